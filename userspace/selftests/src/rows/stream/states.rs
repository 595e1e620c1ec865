// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-07: start, suspend, stop.

use iostream_raw::stream::info;
use iostream_raw::{Session, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-07/start-calls-the-driver", start_calls_the_driver),
    Clause::new("S-07/fails-in-start", fails_in_start),
    Clause::new("S-07/fails-in-start-again", fails_in_start_again),
    Clause::new("S-07/start-twice", start_twice),
    Clause::new("S-07/suspend-calls-the-driver", suspend_calls_the_driver),
    Clause::new("S-07/fails-in-suspend", fails_in_suspend),
    Clause::new("S-07/suspend-stopped", suspend_stopped),
    Clause::new("S-07/suspend-twice", suspend_twice),
    Clause::new("S-07/suspend-keeps-output", suspend_keeps_output),
    Clause::new("S-07/suspend-keeps-input", suspend_keeps_input),
    Clause::new("S-07/goes-on-after-suspend", goes_on_after_suspend),
    Clause::new("S-07/stop-calls-the-driver", stop_calls_the_driver),
    Clause::new("S-07/stop-suspended", stop_suspended),
    Clause::new("S-07/stop-twice", stop_twice),
    Clause::new("S-07/stop-bad-arguments", stop_bad_arguments),
    Clause::new("S-07/starts-again", starts_again),
    Clause::new("S-07/every-order", every_order),
    Clause::new("S-07/state-in-the-info-page", state_in_the_info_page),
    Clause::new("S-07/not-told-while-stopped", not_told_while_stopped),
    Clause::new("S-07/not-told-while-suspended", not_told_while_suspended),
    Clause::new("S-07/send-while-stopped", send_while_stopped),
    Clause::new("S-07/send-while-suspended", send_while_suspended),
    Clause::new("S-07/sends-from-start", sends_from_start),
    Clause::new("S-07/one-change-at-a-time", one_change_at_a_time),
    Clause::new(
        "S-07/no-buffer-callback-during-a-change",
        no_buffer_callback_during_a_change,
    ),
    Clause::new("S-07/change-waits-for-a-callback", change_waits),
];

const STOPPED: u32 = IOSTREAM_STATE_STOPPED;
const RUNNING: u32 = IOSTREAM_STATE_RUNNING;
const SUSPENDED: u32 = IOSTREAM_STATE_SUSPENDED;

/// While the driver starts, suspends or stops its stream, a notification of another thread calls it
/// for no buffer; what it notified of is told once the stream runs.
fn no_buffer_callback_during_a_change() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    let told = || driver.log("data_callbacks") + driver.log("room_callbacks");
    let during = |change: &(dyn Fn() -> rustix::io::Result<()> + Sync)| {
        let before = told();
        let held = driver.hold_callbacks();
        std::thread::scope(|scope| {
            let changing = scope.spawn(change);
            driver.wait_for("in_callback", |callbacks| callbacks == 1);
            session.notify(iostream_raw::INPUT).unwrap();
            assert_eq!(told(), before, "during the change");
            drop(held);
            changing.join().unwrap().unwrap();
        });
        before
    };
    let before = during(&|| session.start());
    driver.wait_for("data_callbacks", |calls| calls > 0);
    assert!(told() > before, "after the start");
    let before = during(&|| session.suspend());
    session.notify(iostream_raw::INPUT).unwrap();
    assert_eq!(told(), before, "suspended");
    during(&|| session.start());
    let before = during(&|| session.stop().map(drop));
    session.notify(iostream_raw::INPUT).unwrap();
    assert_eq!(told(), before, "stopped");
}

/// A suspend or a stop reaches the driver once its buffer callback has returned, in each mode.
fn change_waits() {
    type Change = fn(&Session) -> rustix::io::Result<()>;
    let changes: [Change; 2] = [Session::suspend, |session| session.stop().map(drop)];
    for (mode, direction) in [
        ("output", OUTPUT),
        ("input", INPUT),
        ("input-output", OUTPUT),
        ("input-output", INPUT),
    ] {
        for change in changes {
            let driver = Driver::stream(&format!("{mode} 2 64"));
            let session = driver.open();
            session.start().unwrap();
            order(&driver);
            std::thread::scope(|scope| {
                let held = driver.hold_callbacks();
                let notifier = scope.spawn(|| session.notify(direction));
                driver.wait_for("in_callback", |callbacks| callbacks == 1);
                let during = || {
                    assert!(!driver.text("order").contains(['p', 'x']), "{mode}");
                    drop(held);
                };
                let changed = woken_by(libc::SYS_ioctl, || change(&session), during);
                assert_eq!((changed, notifier.join().unwrap()), (Ok(()), Ok(())));
            });
            assert!(driver.text("order").contains(['p', 'x']), "{mode}");
        }
    }
}

/// The driver's calls since the last question.
fn order(driver: &Driver) -> String {
    let order = driver.text("order");
    driver.command("behave");
    order
}

fn state(session: &Session) -> u32 {
    session.stream().state
}

fn start_calls_the_driver() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    let starts = driver.log("starts");
    order(&driver);
    assert_eq!((state(&session), driver.count("running")), (STOPPED, 0));
    assert_eq!(session.start(), Ok(()));
    assert_eq!((state(&session), driver.count("running")), (RUNNING, 1));
    assert_eq!(driver.log("starts"), starts + 1);
    assert!(order(&driver).starts_with('s'));
}

/// The driver's error reaches the caller, and the state does not change.
fn fails_in_start() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    for (errno, error) in [(5, Errno::IO), (110, Errno::TIMEDOUT), (16, Errno::BUSY)] {
        driver.command(&format!("fail start {errno}"));
        assert_eq!(session.start(), Err(error));
        assert_eq!(state(&session), STOPPED);
        driver.fails("produce 1 1", Errno::SHUTDOWN);
        assert_eq!(session.suspend(), Err(Errno::BADFD));
        assert_eq!(session.stop(), Err(Errno::ALREADY));
    }
    driver.command("fail start 0");
    assert_eq!(session.start(), Ok(()));
    driver.command("produce 1 1");
}

/// A suspended stream stays suspended.
fn fails_in_start_again() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    session.suspend().unwrap();
    driver.command("fail start 5");
    assert_eq!(session.start(), Err(Errno::IO));
    assert_eq!(state(&session), SUSPENDED);
    driver.command("fail start 0");
    assert_eq!(session.start(), Ok(()));
}

fn start_twice() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    order(&driver);
    assert_eq!(session.start(), Err(Errno::ALREADY));
    assert_eq!(state(&session), RUNNING);
    assert_eq!(order(&driver), "", "the driver is not called");
}

fn suspend_calls_the_driver() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    order(&driver);
    assert_eq!(session.suspend(), Ok(()));
    assert_eq!(order(&driver), "p");
    assert_eq!((state(&session), driver.count("running")), (SUSPENDED, 0));
}

fn fails_in_suspend() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    driver.command("fail suspend 5");
    assert_eq!(session.suspend(), Err(Errno::IO));
    assert_eq!((state(&session), driver.count("running")), (RUNNING, 1));
}

fn suspend_stopped() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    order(&driver);
    assert_eq!(session.suspend(), Err(Errno::BADFD));
    session.start().unwrap();
    session.stop().unwrap();
    order(&driver);
    assert_eq!(session.suspend(), Err(Errno::BADFD));
    assert_eq!(order(&driver), "");
}

fn suspend_twice() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    session.suspend().unwrap();
    order(&driver);
    assert_eq!(session.suspend(), Err(Errno::ALREADY));
    assert_eq!(order(&driver), "");
    assert_eq!(state(&session), SUSPENDED);
}

fn suspend_keeps_output() {
    let driver = Driver::stream("output 3 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 3 64");
    stream.session.suspend().unwrap();
    driver.command("queued");
    assert_eq!(driver.log("queued_output"), 3);
    assert_eq!(stream.word(info::DISCARDED), 0);
    // Queued buffers can be taken while the stream is suspended, or later.
    let first = stream.take().unwrap();
    stream.session.start().unwrap();
    let taken: Vec<_> = std::iter::once(first).chain(stream.take_all()).collect();
    for (number, descriptor) in taken.iter().enumerate() {
        assert_eq!(stream.data(descriptor), entry(number as u64, 64));
        assert_eq!(descriptor.frame, number as u64);
    }
    assert_eq!((taken.len(), stream.counters().discarded), (3, 0));
}

fn suspend_keeps_input() {
    let driver = Driver::stream("input 3 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    stream.write(2, 0, &[9; 10]);
    stream.send_buffer(2, 10);
    stream.session.suspend().unwrap();
    stream.send_buffer(1, 0);
    driver.command("queued");
    assert_eq!(driver.log("queued_input"), 2);
    stream.session.start().unwrap();
    driver.command("receive");
    assert_eq!((driver.log("id"), driver.log("sum")), (2, 90));
    driver.command("receive");
    assert_eq!(stream.counters().discarded, 0);
}

fn goes_on_after_suspend() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    for _ in 0..3 {
        session.start().unwrap();
        session.suspend().unwrap();
    }
    order(&driver);
    assert_eq!(session.start(), Ok(()));
    assert!(order(&driver).starts_with('s'));
    assert_eq!((state(&session), driver.count("running")), (RUNNING, 1));
}

fn stop_calls_the_driver() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    order(&driver);
    assert_eq!(session.stop(), Ok((0, 0)));
    assert_eq!(order(&driver), "x");
    assert_eq!((state(&session), driver.count("running")), (STOPPED, 0));
    session.start().unwrap();
    order(&driver);
    assert_eq!(session.drain(0), Ok((0, 0)));
    assert_eq!(order(&driver), "d", "a drain");
}

fn stop_suspended() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    driver.command("produce 2 1");
    session.suspend().unwrap();
    assert_eq!(session.stop(), Ok((2, 0)));
    assert_eq!(state(&session), STOPPED);
}

fn stop_twice() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    assert_eq!(session.stop(), Err(Errno::ALREADY));
    session.start().unwrap();
    session.stop().unwrap();
    order(&driver);
    assert_eq!(session.stop(), Err(Errno::ALREADY));
    assert_eq!(session.drain(0), Err(Errno::ALREADY));
    assert_eq!(order(&driver), "");
}

fn stop_bad_arguments() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    for (flags, reserved, discarded_output, discarded_input) in [
        (2, 0, 0, 0),
        (u32::MAX, 0, 0, 0),
        (0, 1, 0, 0),
        (0, 0, 1, 0),
        (0, 0, 0, 1),
    ] {
        let stop = iostream_stop {
            flags,
            reserved,
            timeout_ns: 0,
            discarded_output,
            discarded_input,
        };
        assert_eq!(session.stop_with(stop).err(), Some(Errno::INVAL));
    }
    let bad = std::ptr::without_provenance_mut(8);
    let done = iostream_raw::ioctl(&session, IOSTREAM_IOC_STOP, bad);
    assert_eq!(done, Err(Errno::FAULT));
    assert_eq!(state(&session), RUNNING);
}

/// A stream that was stopped starts again cleanly, and the frame numbers continue.
fn starts_again() {
    let driver = Driver::stream("output 2 64");
    let mut stream = driver.open_stream();
    for round in 0..5 {
        stream.session.start().unwrap();
        driver.command("produce 2 64");
        let taken = stream.take_all();
        assert_eq!(taken.len(), 2);
        assert_eq!(taken[1].frame, 2 * round + 1);
        assert_eq!(stream.data(&taken[1]), entry(1, 64));
        taken
            .iter()
            .for_each(|descriptor| stream.give_back(descriptor.buffer));
        assert_eq!(stream.session.stop(), Ok((0, 0)));
    }
}

/// Every sequence of four calls follows the state machine.
fn every_order() {
    let driver = Driver::stream("input-output 2 64");
    for number in 0..81 {
        let session = driver.open();
        let mut now = STOPPED;
        for step in 0..4 {
            let (done, next) = match number / 3_u32.pow(step) % 3 {
                0 if now == RUNNING => (session.start(), Err(Errno::ALREADY)),
                0 => (session.start(), Ok(RUNNING)),
                1 if now == STOPPED => (session.suspend(), Err(Errno::BADFD)),
                1 if now == SUSPENDED => (session.suspend(), Err(Errno::ALREADY)),
                1 => (session.suspend(), Ok(SUSPENDED)),
                _ if now == STOPPED => (session.stop().map(drop), Err(Errno::ALREADY)),
                _ => (session.stop().map(drop), Ok(STOPPED)),
            };
            assert_eq!(done, next.map(drop), "order {number}, step {step}");
            now = next.unwrap_or(now);
            assert_eq!(state(&session), now);
        }
    }
}

fn state_in_the_info_page() {
    let driver = Driver::stream("output 2 64");
    let stream = driver.open_stream();
    let shown = || stream.word(info::STATE) as u32;
    assert_eq!(shown(), STOPPED);
    stream.session.start().unwrap();
    assert_eq!(shown(), RUNNING);
    stream.session.suspend().unwrap();
    assert_eq!(shown(), SUSPENDED);
    stream.session.stop().unwrap();
    assert_eq!(shown(), STOPPED);
    driver.command("fail start 5");
    let _ = stream.session.start();
    assert_eq!(shown(), STOPPED);
}

/// Buffers that are sent while the stream is stopped reach the driver once it starts.
fn not_told_while_stopped() {
    let driver = Driver::stream("input 2 64");
    let mut stream = driver.open_stream();
    let told = driver.log("data_callbacks");
    stream.send_buffer(0, 1);
    stream.session.notify(iostream_raw::INPUT).unwrap();
    assert_eq!(driver.log("data_callbacks"), told);
    stream.session.start().unwrap();
    assert_eq!(driver.log("data_callbacks"), told + 1);
    driver.command("receive");
}

fn not_told_while_suspended() {
    let driver = Driver::stream("input 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    stream.session.suspend().unwrap();
    let told = driver.log("data_callbacks");
    stream.send_buffer(0, 1);
    stream.session.notify(iostream_raw::INPUT).unwrap();
    assert_eq!(driver.log("data_callbacks"), told);
    stream.session.start().unwrap();
    assert_eq!(driver.log("data_callbacks"), told + 1);
}

fn send_while_stopped() {
    let driver = Driver::stream("output 2 64");
    let mut stream = driver.open_stream();
    driver.command("take");
    driver.fails("send 0", Errno::SHUTDOWN);
    // The buffer is free again.
    for id in [1, 0] {
        driver.command("take");
        assert_eq!(driver.log("id"), id);
    }
    assert!(stream.take().is_none());
    assert_eq!(stream.counters().sent, 0);
    stream.session.start().unwrap();
    driver.command("send 0");
    assert_eq!(stream.take().unwrap().buffer, 0);
}

/// A driver that is being suspended may still send the buffers that it holds.
fn send_while_suspended() {
    let driver = Driver::stream("output 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("take");
    stream.session.suspend().unwrap();
    driver.command("send 0");
    assert_eq!(stream.take().unwrap().buffer, 0);
}

fn sends_from_start() {
    let driver = Driver::stream("output 3 64");
    driver.command("auto produce 20");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    assert_eq!(stream.session.poll(PollFlags::IN, 0), PollFlags::IN);
    assert_eq!(stream.take_all().len(), 3);
}

/// Several threads change the state: the driver sees one change after another.
fn one_change_at_a_time() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    driver.command("slow 1");
    let counts = || ["starts", "suspends", "stops_discard"].map(|key| driver.log(key));
    let (before, overlaps) = (counts(), driver.log("overlaps"));
    let done = std::thread::scope(|scope| {
        let threads = [0, 1, 2].map(|which| {
            let session = &session;
            scope.spawn(move || {
                let mut done = 0;
                for _ in 0..crate::clause::count(1000) {
                    let changed = match which {
                        0 => session.start(),
                        1 => session.suspend(),
                        _ => session.stop().map(drop),
                    };
                    done += u64::from(changed.is_ok());
                    if changed.is_err() {
                        std::thread::yield_now();
                    }
                }
                done
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    let after = counts();
    for which in 0..3 {
        assert_eq!(
            after[which] - before[which],
            done[which],
            "calls and callbacks"
        );
    }
    assert!(done[0] > 0);
    assert_eq!(driver.log("overlaps"), overlaps);
}
