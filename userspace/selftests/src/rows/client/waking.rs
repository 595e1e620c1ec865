// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-04: what ends a wait of the crate besides what it waits for.

use iostream_raw::page;
use std::path::Path;
use std::sync::OnceLock;

use iostream::{
    Consumer, Error, OverwriteReader, Producer, ReadStream, Result, Session, Waker, WriteStream,
};

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::signals::{catch_signal, ended_by_signal, signal, ThisThread};
use crate::support::waiting::{this_thread, wait_asleep, wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-04/waker-ends-a-wait", waker_ends_a_wait),
    Clause::new("F-04/waker-ends-all-waits", waker_ends_all_waits),
    Clause::new("F-04/waker-of-a-child", waker_of_a_child),
    Clause::new("F-04/waker-in-a-signal-handler", waker_in_a_signal_handler),
    Clause::new("F-04/signal-ends-a-wait-if-asked", signal_if_asked),
    Clause::new("F-04/signal-alone-ends-no-wait", signal_alone),
    Clause::new("F-04/no-idle-wake-ups", no_idle_wake_ups),
];

/// Entries of 24 bytes, of which a queue of a page holds 128.
const ENTRY: [u8; 24] = [7; 24];

/// An end, or a stream, whose wait does not end by itself.
trait Waits: Send {
    fn wait(&mut self) -> Result<()>;
    fn set_waker(&mut self, waker: Option<Waker>);
    fn set_interruptible(&mut self, interruptible: bool);
}

macro_rules! waits {
    ($($end:ty: $this:ident => $wait:expr;)*) => { $(
        impl Waits for $end {
            fn wait(&mut self) -> Result<()> {
                let $this = self;
                $wait
            }

            fn set_waker(&mut self, waker: Option<Waker>) {
                Self::set_waker(self, waker);
            }

            fn set_interruptible(&mut self, interruptible: bool) {
                Self::set_interruptible(self, interruptible);
            }
        }
    )* };
}

waits! {
    Consumer: consumer => consumer.dequeue_wait(None).map(drop);
    OverwriteReader: reader => reader.wait(None);
    Producer: producer => producer.enqueue_wait(&ENTRY, None);
    ReadStream: stream => stream.dequeue_wait(None).map(drop);
    WriteStream: stream => stream.buffer_wait(None).map(drop);
}

/// Runs `check` with each kind of wait, in a state in which nothing is there to be had.
fn with_each(check: impl Fn(&mut dyn Waits)) {
    let session = || Session::open("selftest").unwrap();
    let _driver = Driver::new(page(), 0);
    check(&mut session().consumer().unwrap());
    let _driver = Driver::overwriting(page());
    check(&mut session().overwrite_reader().unwrap());
    let _driver = Driver::new(0, page());
    let mut producer = session().producer().unwrap();
    while producer.enqueue(&ENTRY).is_ok() {}
    check(&mut producer);
    drop(producer);
    let _driver = Driver::stream("output 1 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    check(&mut stream);
    drop(stream);
    let _driver = Driver::stream("input 1 64");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    stream.buffer().unwrap().send(1).unwrap();
    check(&mut stream);
}

fn waker_ends_a_wait() {
    with_each(|end| {
        let waker = Waker::new().unwrap();
        end.set_waker(Some(waker.clone()));
        for _ in 0..10 {
            let waited = woken_by(libc::SYS_ppoll, || end.wait(), || waker.wake());
            assert_eq!(waited, Err(Error::Cancelled));
            // Until the waker is cleared, no wait sleeps.
            assert_eq!(end.wait(), Err(Error::Cancelled));
            waker.clear();
        }
    });
}

/// Two ends of one session, in two threads, with one waker.
fn waker_ends_all_waits() {
    let _driver = Driver::new(page(), page());
    let session = Session::open("selftest").unwrap();
    let mut producer = session.producer().unwrap();
    let mut consumer = session.consumer().unwrap();
    while producer.enqueue(&ENTRY).is_ok() {}
    let waker = Waker::new().unwrap();
    producer.set_waker(Some(waker.clone()));
    consumer.set_waker(Some(waker.clone()));
    let both = std::thread::scope(|scope| {
        let (tell, told) = std::sync::mpsc::channel();
        let other = scope.spawn(move || {
            tell.send(this_thread()).unwrap();
            producer.enqueue_wait(&ENTRY, None)
        });
        let this = woken_by(
            libc::SYS_ppoll,
            || consumer.wait(None),
            || {
                wait_asleep(&told.recv().unwrap(), libc::SYS_ppoll);
                waker.wake();
            },
        );
        (this, other.join().unwrap())
    });
    assert_eq!(both, (Err(Error::Cancelled), Err(Error::Cancelled)));
}

/// A child shares the waker with its parent, and ends the parent's wait.
fn waker_of_a_child() {
    let driver = Driver::new(page(), 0);
    let session = Session::open("selftest").unwrap();
    let mut consumer = session.consumer().unwrap();
    let waker = Waker::new().unwrap();
    consumer.set_waker(Some(waker.clone()));
    let wake = || crate::support::process::in_own_child(|| waker.wake());
    let waited = woken_by(libc::SYS_ppoll, || consumer.wait(None), wake);
    assert_eq!(waited, Err(Error::Cancelled));
    // From here on the parent knows, without a system call.
    driver.command("enqueue 8");
    let calls = session.system_calls();
    assert_eq!(consumer.wait(None), Err(Error::Cancelled));
    assert_eq!(session.system_calls(), calls);
    assert_eq!(consumer.dequeue().unwrap().len(), 8);
}

fn waker_in_a_signal_handler() {
    static WAKER: OnceLock<Waker> = OnceLock::new();
    extern "C" fn wake(_: libc::c_int) {
        if let Some(waker) = WAKER.get() {
            waker.wake();
        }
    }
    let waker = WAKER.get_or_init(|| Waker::new().unwrap());
    catch_signal(libc::SIGUSR1, wake);
    with_each(|end| {
        waker.clear();
        end.set_waker(Some(waker.clone()));
        let thread = OnceLock::new();
        let wait = || {
            thread.get_or_init(ThisThread::new);
            end.wait()
        };
        let waited = woken_by(libc::SYS_ppoll, wait, || {
            signal(thread.get().unwrap(), libc::SIGUSR1);
        });
        assert_eq!(waited, Err(Error::Cancelled));
    });
}

fn signal_if_asked() {
    with_each(|end| {
        end.set_interruptible(true);
        assert_eq!(ended_by_signal(|| end.wait()), Err(Error::Interrupted));
    });
}

/// The thread handles the signal, and sleeps again.
fn signal_alone() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static SEEN: AtomicU32 = AtomicU32::new(0);
    extern "C" fn count(_: libc::c_int) {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }
    catch_signal(libc::SIGUSR1, count);
    with_each(|end| {
        let waker = Waker::new().unwrap();
        end.set_waker(Some(waker.clone()));
        let (thread, before) = (OnceLock::new(), SEEN.load(Ordering::Relaxed));
        let wait = || {
            thread.get_or_init(|| (ThisThread::new(), this_thread()));
            end.wait()
        };
        let waited = woken_by(libc::SYS_ppoll, wait, || {
            let (thread, task) = thread.get().unwrap();
            signal(thread, libc::SIGUSR1);
            wait_until("the signal is handled", || {
                SEEN.load(Ordering::Relaxed) > before
            });
            wait_asleep(task, libc::SYS_ppoll);
            waker.wake();
        });
        assert_eq!(waited, Err(Error::Cancelled));
    });
}

/// A wait without a deadline sleeps in a poll(2) without a time-out.
fn no_idle_wake_ups() {
    with_each(|end| {
        let waker = Waker::new().unwrap();
        end.set_waker(Some(waker.clone()));
        end.set_interruptible(true);
        let task = OnceLock::new();
        let wait = || {
            task.get_or_init(this_thread);
            end.wait()
        };
        let waited = woken_by(libc::SYS_ppoll, wait, || {
            // A producer insists on much room for a millisecond.
            wait_until("poll without a time-out", || {
                sleeps_without_timeout(task.get().unwrap())
            });
            waker.wake();
        });
        assert_eq!(waited, Err(Error::Cancelled));
    });
}

/// Whether the thread sleeps in ppoll(2) with a null pointer as its third argument, the time-out.
fn sleeps_without_timeout(task: &Path) -> bool {
    let doing = std::fs::read_to_string(task.join("syscall")).unwrap_or_default();
    let words: Vec<&str> = doing.split(' ').collect();
    words.first() == Some(&libc::SYS_ppoll.to_string().as_str()) && words.get(3) == Some(&"0x0")
}
