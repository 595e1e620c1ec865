// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-06: notices with a token, sent when the driver needs them.

use iostream::{Error, Wake, WriteStream};

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-06/when-needed", when_needed),
    Clause::new("U-06/not-when-busy", not_when_busy),
    Clause::new("U-06/forced", forced),
    Clause::new("U-06/synchronous", synchronous),
    Clause::new("U-06/synchronous-error", synchronous_error),
    Clause::new("U-06/too-many", too_many),
];

/// A driver that has found its queue empty, and waits.
fn waiting() -> (Driver, WriteStream) {
    let driver = Driver::stream("input 4 64");
    let stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.fails("receive", rustix::io::Errno::NODATA);
    (driver, stream)
}

fn when_needed() {
    let (driver, mut stream) = waiting();
    let inputs = driver.log("inputs");
    for _ in 0..3 {
        let buffer = stream.buffer().unwrap();
        buffer.send_with(1, Wake::Suppress).unwrap();
    }
    assert_eq!(stream.notify(0x1234_5678), Ok(true));
    driver.wait_for("inputs", |now| now == inputs + 1);
    assert_eq!(driver.log("last_token"), 0x1234_5678);
}

fn not_when_busy() {
    let (driver, mut stream) = waiting();
    let (inputs, data) = (driver.log("inputs"), driver.log("data_callbacks"));
    // The first buffer wakes the driver; the others find it awake until it has looked again.
    stream.buffer().unwrap().send(1).unwrap();
    driver.wait_for("data_callbacks", |now| now == data + 1);
    stream
        .buffer()
        .unwrap()
        .send_with(1, Wake::Suppress)
        .unwrap();
    let calls = stream.system_calls();
    assert_eq!(stream.notify(1), Ok(false));
    assert_eq!(stream.system_calls(), calls);
    assert_eq!(driver.log("inputs"), inputs);
}

fn forced() {
    let (driver, stream) = waiting();
    let inputs = driver.log("inputs");
    for token in [0, 1, u32::MAX] {
        stream.force_notify(token).unwrap();
    }
    driver.wait_for("inputs", |now| now == inputs + 3);
    assert_eq!(driver.log("last_token"), u32::MAX.into());
}

fn synchronous() {
    let (driver, stream) = waiting();
    let syncs = driver.log("syncs");
    let driver = &driver;
    let callback = driver.hold_callbacks();
    let call = move || {
        stream.notify_sync(99).unwrap();
        (driver.log("syncs"), driver.log("last_token"))
    };
    let seen = woken_by(libc::SYS_ioctl, call, || callback.release());
    // The callback has run when the call returns.
    assert_eq!(seen, (syncs + 1, 99));
}

fn synchronous_error() {
    let (driver, stream) = waiting();
    driver.command(&format!("fail sync {}", libc::EXDEV));
    let error = stream.notify_sync(1).unwrap_err();
    assert_eq!(error.errno(), libc::EXDEV);
    assert!(matches!(error, Error::Os { .. }), "{error}");
}

fn too_many() {
    let (driver, stream) = waiting();
    let inputs = driver.log("inputs");
    driver.command("disable");
    let sent = (0..1000).take_while(|token| stream.force_notify(*token).is_ok());
    let sent = sent.count() as u64;
    assert!(sent < 1000);
    assert_eq!(stream.force_notify(0), Err(Error::TooManyNotices));
    driver.command("enable");
    driver.wait_for("inputs", |now| now >= inputs + sent);
    stream.force_notify(0).unwrap();
}
