// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-18: a stream's driver is removed, whatever its clients do.

use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::*;

use iostream_raw::{node_called, page_len, Descriptor, Map, Prot, Session, Stream, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::{entry, Driver};
use crate::support::memory::wait_for_no_pages;
use crate::support::waiting::{wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-18/stream-calls-say-gone", calls_say_gone),
    Clause::new("S-18/stream-mappings-say-gone", mappings_say_gone),
    Clause::new("S-18/stream-poller-wakes", poller_wakes),
    Clause::new("S-18/stream-eventfd-signalled", eventfd_signalled),
    Clause::new("S-18/stream-drain-wakes", drain_wakes),
    Clause::new("S-18/stream-waits-for-start", waits_for_start),
    Clause::new("S-18/stream-memory-stays", memory_stays),
    Clause::new("S-18/stream-is-stopped", is_stopped),
    Clause::new("S-18/stream-nothing-called-after", nothing_called_after),
    Clause::new("S-18/stream-buffer-at-the-driver", buffer_at_the_driver),
    Clause::new("S-18/stream-buffers-waiting", buffers_waiting),
    Clause::new("S-18/stream-never-started", never_started),
    Clause::new("S-18/stream-all-clients", all_clients),
    Clause::new("S-18/stream-published-again", published_again),
    Clause::slow("S-18/stream-removals-under-load", 1200, removals_under_load),
    Clause::new(
        "S-18/stream-module-removed-while-running",
        removed_while_running,
    ),
    Clause::new(
        "S-18/stream-module-removed-from-under-all",
        removed_from_under_all,
    ),
];

fn running(plan: &str) -> (Driver, Stream) {
    let driver = Driver::stream(plan);
    let stream = driver.open_stream();
    stream.session.start().unwrap();
    (driver, stream)
}

fn calls_say_gone() {
    let (driver, stream) = running("input-output 2 64");
    driver.unpublish();
    let session = &stream.session;
    assert_eq!(session.try_stream().err(), Some(Errno::NODEV));
    assert_eq!(session.start(), Err(Errno::NODEV));
    assert_eq!(session.suspend(), Err(Errno::NODEV));
    assert_eq!(session.stop(), Err(Errno::NODEV));
    assert_eq!(session.drain(0), Err(Errno::NODEV));
    assert_eq!(session.set_mode(IOSTREAM_MODE_INPUT), Err(Errno::NODEV));
    for number in [IOSTREAM_IOC_INPUT, IOSTREAM_IOC_INPUT_SYNC] {
        let done = iostream_raw::ioctl(session, number, std::ptr::null_mut());
        assert_eq!(done, Err(Errno::NODEV));
    }
    for direction in [OUTPUT, INPUT] {
        assert_eq!(session.try_queue(direction).err(), Some(Errno::NODEV));
        assert_eq!(session.notify(direction), Err(Errno::NODEV));
        assert_eq!(session.eventfd(direction, -1), Err(Errno::NODEV));
    }
}

fn mappings_say_gone() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    let stream = session.stream();
    driver.unpublish();
    for offset in [stream.info_offset, stream.buffers_offset] {
        let flags = rustix::mm::MapFlags::SHARED;
        let map = Map::try_new(&session, offset, page_len(), Prot::READ, flags);
        assert_eq!(map.err(), Some(Errno::NODEV));
    }
}

fn poller_wakes() {
    let (driver, stream) = running("output 2 64");
    let poll = || stream.session.poll(PollFlags::IN, -1);
    let said = woken_by(libc::SYS_ppoll, poll, || driver.unpublish());
    assert!(said.contains(PollFlags::HUP | PollFlags::ERR), "{said:?}");
    let again = poll();
    assert!(
        again.contains(PollFlags::HUP | PollFlags::ERR),
        "and every time after that"
    );
}

fn eventfd_signalled() {
    use std::os::fd::{AsFd, AsRawFd};
    let (driver, stream) = running("output 2 64");
    let fd = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    stream
        .session
        .eventfd(OUTPUT, fd.as_fd().as_raw_fd())
        .unwrap();
    let read = || rustix::io::read(&fd, &mut [0; 8]);
    assert_eq!(woken_by(libc::SYS_read, read, || driver.unpublish()), Ok(8));
}

fn drain_wakes() {
    let (driver, mut stream) = running("input 2 64");
    stream.send_buffer(0, 1);
    let drain = || stream.session.drain(0);
    let drained = woken_by(libc::SYS_ioctl, drain, || driver.unpublish());
    assert_eq!(drained, Err(Errno::NODEV));
}

/// The removal waits for a start that is under way, and then undoes it.
fn waits_for_start() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    driver.command("behave");
    std::thread::scope(|scope| {
        let callback = driver.hold_callbacks();
        let started = scope.spawn(|| session.start());
        callback.wait_running(1);
        let removed = || {
            driver.unpublish();
            driver.log("in_callback")
        };
        let running = woken_by(libc::SYS_write, removed, || callback.release());
        assert_eq!(running, 0, "nothing runs any more");
        assert!(matches!(
            started.join().unwrap(),
            Ok(()) | Err(Errno::NODEV)
        ));
    });
    let order = driver.text("order").replace('R', "");
    assert_eq!(order, "sx", "started, and stopped");
}

fn memory_stays() {
    let (driver, mut stream) = running("input-output 4 8192 control=64");
    driver.command("produce 2 8192");
    let taken = stream.take().unwrap();
    driver.unpublish();
    assert!(stream.data(&taken) == entry(0, 8192));
    let waiting = stream.take().expect("what was sent is there");
    assert!(stream.data(&waiting) == entry(1, 8192));
    stream.buffers.write(0, &vec![7; stream.buffers.len()]);
    assert!(stream
        .buffers
        .read(0, stream.buffers.len())
        .iter()
        .all(|byte| *byte == 7));
    // The same without the descriptor.
    let Stream {
        session,
        output,
        input,
        info,
        buffers,
        stride,
        ..
    } = stream;
    drop((output, input, info));
    drop(session);
    assert_eq!(buffers.read(stride, 3), [7; 3]);
    drop(buffers);
    wait_for_no_pages();
}

fn is_stopped() {
    let (driver, stream) = running("output 2 64");
    driver.command("behave");
    driver.unpublish();
    assert_eq!(
        driver.text("order").replace('R', ""),
        "x",
        "and nothing after it"
    );
    assert_eq!(
        stream.word(iostream_raw::stream::info::STATE),
        IOSTREAM_STATE_STOPPED.into()
    );
    drop(stream);
}

fn nothing_called_after() {
    let (driver, mut stream) = running("input 2 64");
    driver.unpublish();
    driver.command("behave");
    assert_eq!(stream.try_send(Descriptor::default()), Err(Errno::NODEV));
    drop(stream);
    wait_for_no_pages();
    assert_eq!(driver.text("order"), "", "not even the driver's close");
}

/// The driver may keep a buffer that it holds, but cannot send it.
fn buffer_at_the_driver() {
    let (driver, stream) = running("output 2 4096");
    driver.command("take");
    driver.unpublish();
    drop(stream);
    driver.command("fill 0 3 0 4096");
    driver.command("range 0 0 1");
    driver.command("look 0");
    assert_eq!(driver.log("sum"), 3);
    for command in [
        "send 0",
        "take",
        "notify",
        "mode",
        "buffers",
        "queued",
        "produce 1 1",
    ] {
        driver.fails(command, Errno::NODEV);
    }
    assert_eq!(driver.count("running"), 0);
    driver.command("release-all");
    wait_for_no_pages();
}

fn buffers_waiting() {
    wait_for_no_pages();
    let (driver, mut stream) = running("input-output 4 4096");
    driver.command("produce 3 1");
    let one = stream.take().unwrap();
    stream.send_buffer(one.buffer, 1);
    driver.unpublish();
    drop(stream);
    wait_for_no_pages();
}

fn never_started() {
    let driver = Driver::stream("output 2 64");
    let stream = driver.open_stream();
    driver.command("behave");
    driver.unpublish();
    assert_eq!(driver.text("order"), "", "nothing to stop");
    drop(stream);
    wait_for_no_pages();
}

fn all_clients() {
    let driver = Driver::stream("output 2 64 clients=3");
    let streams = [(); 3].map(|()| driver.open_stream());
    streams[0].session.start().unwrap();
    streams[2].session.start().unwrap();
    driver.command("behave");
    driver.unpublish();
    assert_eq!(driver.text("order").replace('R', ""), "xx");
    for stream in &streams {
        assert_eq!(stream.session.start(), Err(Errno::NODEV));
    }
}

/// While the old client still has its session.
fn published_again() {
    let (driver, mut old) = running("output 2 64");
    driver.command("produce 1 5");
    driver.unpublish();
    driver.command("publish selftest output 2 64");
    let mut new = driver.open_stream();
    new.session.start().unwrap();
    driver.command("produce 2 6");
    assert_eq!(new.take_all().len(), 2);
    assert_eq!(old.take_all().len(), 1);
    assert_eq!(old.session.start(), Err(Errno::NODEV));
}

/// The driver is removed while two threads open, start, move buffers, stop and close.
fn removals_under_load() {
    wait_for_no_pages();
    let driver = Driver::unpublished_stream();
    driver.command("auto turn-round 64");
    let (total, mut moved) = (count(1000), 0);
    for _ in 0..total {
        driver.command("publish selftest input-output 4 4096 clients=2");
        let path = driver.path();
        let done = AtomicBool::new(false);
        let before = driver.log("data_callbacks");
        moved += std::thread::scope(|scope| {
            let clients = [(); 2].map(|()| scope.spawn(|| client(&path, &done)));
            // While buffers move.
            wait_until("buffers move", || {
                driver.log("data_callbacks") >= before + 4
            });
            driver.unpublish();
            done.store(true, Relaxed);
            clients
                .map(|client| client.join().unwrap())
                .iter()
                .sum::<u64>()
        });
    }
    println!("{total} removals, {moved} buffers moved");
    wait_for_no_pages();
}

/// Opens the stream and moves buffers until the driver is gone.
fn client(path: &std::path::Path, done: &AtomicBool) -> u64 {
    let gone = [Errno::NODEV, Errno::NXIO, Errno::NOENT, Errno::BUSY];
    let mut moved = 0;
    while !done.load(Relaxed) {
        let session = match Session::open(path, OFlags::RDWR) {
            Ok(session) => session,
            Err(error) => {
                assert!(gone.contains(&error), "open: {error}");
                continue;
            }
        };
        // The driver may be removed between two calls.
        let Ok(mut stream) = Stream::try_new(session) else {
            continue;
        };
        for round in 0..100 {
            if stream.session.start().is_err() {
                break;
            }
            while let Ok(Some(descriptor)) = stream.try_take() {
                moved += 1;
                let back = Descriptor {
                    data_len: 8,
                    ..descriptor
                };
                if stream.try_send(back).is_err() {
                    break;
                }
            }
            if round % 4 == 3 {
                let _ = stream.session.stop();
            } else {
                let _ = stream.session.suspend();
            }
        }
    }
    moved
}

fn ran(program: &str, argument: &str) {
    let done = Command::new(program).arg(argument).output().expect(program);
    assert!(done.status.success(), "{program}: {done:?}");
}

/// Loads the driver's module again when the clause ends.
struct BackAgain;

impl Drop for BackAgain {
    fn drop(&mut self) {
        if !std::path::Path::new("/sys/module/iostream_test").exists() {
            ran("insmod", "/lib/modules/iostream/iostream_test.ko");
        }
    }
}

/// The module is removed while buffers are with every owner and a client sleeps in poll.
fn removed_while_running() {
    let _back = BackAgain;
    let driver = Driver::stream("input-output 6 4096");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 3 10");
    let mine = stream.take().unwrap();
    let sent = stream.take().unwrap();
    stream.send_buffer(sent.buffer, 1);
    driver.command("take");
    let poll = || stream.session.poll(PollFlags::PRI, -1);
    let said = woken_by(libc::SYS_ppoll, poll, || ran("rmmod", "iostream_test"));
    assert!(said.contains(PollFlags::HUP), "{said:?}");
    assert_eq!(node_called("selftest"), None);
    assert_eq!(stream.data(&mine), entry(0, 10));
    let waiting = stream.take().expect("what was sent is there");
    assert_eq!(stream.data(&waiting), entry(2, 10));
    assert_eq!(stream.session.stop(), Err(Errno::NODEV));
    stream.buffers.write(0, &[1; 100]);
    drop(stream);
    crate::support::memory::wait_for_no_pages();
}

fn removed_from_under_all() {
    let _back = BackAgain;
    let streams: Vec<_> = ["stout", "stin", "stinout", "stmulti", "stmulti"]
        .iter()
        .map(|name| {
            let stream = Driver::loaded(name).open_stream();
            stream.session.start().unwrap();
            stream
        })
        .collect();
    ran("rmmod", "iostream_test");
    for stream in &streams {
        assert_eq!(stream.session.start(), Err(Errno::NODEV));
        assert!(stream
            .session
            .poll(PollFlags::IN, 0)
            .contains(PollFlags::HUP));
    }
    drop(streams);
    crate::support::memory::wait_for_no_pages();
    ran("insmod", "/lib/modules/iostream/iostream_test.ko");
    Driver::loaded("stin").open_stream();
}
