// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-07: start, stop, suspend, mode.

use std::time::Duration;

use iostream::{
    DuplexStream, Error, ReadStream, Session, Stop, StreamMode, StreamState, WriteStream,
};

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};
use crate::support::waiting::{wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-07/states", states),
    Clause::new("U-07/drivers-error", drivers_error),
    Clause::new("U-07/discard", discard),
    Clause::new("U-07/discarded-input", discarded_input),
    Clause::new("U-07/drain", drain),
    Clause::new("U-07/drain-times-out", drain_times_out),
    Clause::new("U-07/suspended-keeps", suspended_keeps),
    Clause::new("U-07/by-another", by_another),
    Clause::new("U-07/stop-ends-a-wait", stop_ends_a_wait),
    Clause::new("U-07/mode", mode),
    Clause::new("U-07/mode-stays-once-mapped", mode_stays_once_mapped),
    Clause::new("U-07/mode-not-offered", mode_not_offered),
];

fn states() {
    let _driver = Driver::stream("output 2 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    let calls = stream.system_calls();
    assert_eq!(stream.state(), StreamState::Stopped);
    assert_eq!(stream.system_calls(), calls);
    let already = |state| Err(Error::AlreadyInState(state));
    assert_eq!(stream.suspend(), Err(Error::NotRunning));
    assert_eq!(
        stream.stop(Stop::Discard).unwrap_err(),
        Error::AlreadyInState(StreamState::Stopped)
    );
    for _ in 0..3 {
        stream.start().unwrap();
        assert_eq!(stream.state(), StreamState::Running);
        assert_eq!(stream.start(), already(StreamState::Running));
        stream.suspend().unwrap();
        assert_eq!(stream.state(), StreamState::Suspended);
        assert_eq!(stream.suspend(), already(StreamState::Suspended));
        stream.start().unwrap();
        stream.stop(Stop::Discard).unwrap();
        assert_eq!(stream.state(), StreamState::Stopped);
    }
}

fn drivers_error() {
    let driver = Driver::stream("output 2 64");
    let stream = ReadStream::open("selftest").unwrap();
    driver.command(&format!("fail start {}", libc::EXDEV));
    assert_eq!(stream.start().unwrap_err().errno(), libc::EXDEV);
    assert_eq!(stream.state(), StreamState::Stopped);
    driver.command("fail start 0");
    stream.start().unwrap();
    driver.command(&format!("fail suspend {}", libc::EXDEV));
    assert_eq!(stream.suspend().unwrap_err().errno(), libc::EXDEV);
    assert_eq!(stream.state(), StreamState::Running);
}

fn discard() {
    let driver = Driver::stream("output 4 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 4 8");
    let held = stream.dequeue().unwrap();
    let discarded = stream.stop(Stop::Discard).unwrap();
    assert_eq!((discarded.output, discarded.input), (3, 0));
    assert_eq!(&*held, entry(0, 8));
    assert_eq!(stream.dequeue_wait(None).unwrap_err(), Error::NotRunning);
    // All buffers are free again, except the one that is held.
    stream.start().unwrap();
    driver.command("produce 3 8");
    driver.fails("take", rustix::io::Errno::NOSPC);
    assert_eq!(stream.dequeue().unwrap().frame(), 4);
    drop(held);
    driver.command("take");
}

fn discarded_input() {
    let driver = Driver::stream("input 3 64");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    for _ in 0..2 {
        stream.buffer().unwrap().send(8).unwrap();
    }
    let discarded = stream.stop(Stop::Discard).unwrap();
    assert_eq!((discarded.output, discarded.input), (0, 2));
    driver.fails("receive", rustix::io::Errno::NODATA);
    let all: Vec<_> = (0..3).map(|_| stream.buffer().unwrap()).collect();
    assert_eq!(all.iter().filter(|buffer| buffer.is_discarded()).count(), 2);
    assert_eq!(stream.buffer().unwrap_err(), Error::Empty);
}

fn drain() {
    let driver = Driver::stream("input 8 64");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    for _ in 0..5 {
        stream.buffer().unwrap().send(8).unwrap();
    }
    let stop = || stream.stop(Stop::Drain { timeout: None });
    let stopped = woken_by(libc::SYS_ioctl, stop, || driver.command("consume 5"));
    assert_eq!(stopped.map(|discarded| discarded.input), Ok(0));
    assert_eq!(stream.state(), StreamState::Stopped);
}

fn drain_times_out() {
    let _driver = Driver::stream("input 2 64");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    stream.buffer().unwrap().send(8).unwrap();
    for timeout in [Duration::ZERO, Duration::from_millis(5)] {
        let timeout = Some(timeout);
        let error = stream.stop(Stop::Drain { timeout }).unwrap_err();
        assert_eq!(error, Error::TimedOut);
        assert_eq!(stream.state(), StreamState::Running);
    }
}

fn suspended_keeps() {
    let driver = Driver::stream("output 2 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 2 8");
    stream.suspend().unwrap();
    assert_eq!(&*stream.dequeue().unwrap(), entry(0, 8));
    stream.start().unwrap();
    assert_eq!(&*stream.dequeue().unwrap(), entry(1, 8));
}

/// Somebody else changes the state through sysfs.
fn by_another() {
    let driver = Driver::stream("output 2 64");
    let stream = ReadStream::open("selftest").unwrap();
    let file = driver.sysfs().join("state");
    for (word, state) in [
        ("running", StreamState::Running),
        ("suspended", StreamState::Suspended),
        ("running", StreamState::Running),
        ("stopped", StreamState::Stopped),
    ] {
        std::fs::write(&file, word).unwrap();
        assert_eq!(stream.state(), state);
    }
}

fn stop_ends_a_wait() {
    let _driver = Driver::stream("output 2 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.set_spin(0);
    stream.start().unwrap();
    let control = stream.control();
    for _ in 0..10 {
        let wait = || stream.dequeue_wait(None).map(drop);
        let stop = || assert!(control.stop(Stop::Discard).is_ok());
        assert_eq!(
            woken_by(libc::SYS_ppoll, wait, stop),
            Err(Error::NotRunning)
        );
        control.start().unwrap();
    }
}

fn mode() {
    let driver = Driver::stream("input-output 2 64");
    let session = Session::open(driver.path()).unwrap();
    for mode in [StreamMode::Read, StreamMode::Write] {
        session.set_stream_mode(mode).unwrap();
        assert_eq!(session.stream_info().unwrap().mode, mode);
    }
    driver.command(&format!("fail mode {}", libc::EXDEV));
    let error = session.set_stream_mode(StreamMode::Read).unwrap_err();
    assert_eq!(error.errno(), libc::EXDEV);
    let mut stream = WriteStream::from_session(session).unwrap();
    assert_eq!(stream.control().mode(), Ok(StreamMode::Write));
    let all: Vec<_> = (0..2).map(|_| stream.buffer().unwrap()).collect();
    assert_eq!(all.len(), 2);
    drop((stream, all));
    // The next session begins in the driver's mode.
    wait_until("closed", || driver.attribute("sessions") == 0);
    DuplexStream::open("selftest").unwrap();
}

fn mode_stays_once_mapped() {
    let driver = Driver::stream("input-output 2 64");
    let session = Session::open(driver.path()).unwrap();
    let _stream = DuplexStream::from_session(session.clone()).unwrap();
    let error = session.set_stream_mode(StreamMode::Read).unwrap_err();
    assert!(matches!(error, Error::Busy(_)), "{error}");
}

fn mode_not_offered() {
    let driver = Driver::stream("output 2 64");
    let session = Session::open(driver.path()).unwrap();
    let error = session.set_stream_mode(StreamMode::Write).unwrap_err();
    assert!(matches!(error, Error::NotOffered(_)), "{error}");
}
