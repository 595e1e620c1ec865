// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sessions with a watermark.

use iostream_raw::{page, Session, OUTPUT};
use rustix::event::PollFlags;

use crate::support::driver::Driver;
use crate::support::waiting::woken_by;

/// Nanoseconds of a millisecond.
pub const MS: u64 = 1_000_000;
/// What poll returns after its time-out.
pub const NONE: PollFlags = PollFlags::empty();

/// A driver's node with an output queue of a page, and a session with a watermark.
pub fn watched(bytes: u64, latency_ns: u64) -> (Driver, Session) {
    let driver = Driver::new(page(), 0);
    let session = driver.open();
    session.watermark(bytes, latency_ns).unwrap();
    (driver, session)
}

/// Wake-ups that were sent for the output queue.
pub fn wakeups(session: &Session) -> u64 {
    session.counters(OUTPUT).wakeups_sent
}

/// Sleeps in poll until `wake` has woken it.
pub fn polled(session: &Session, wake: impl FnOnce()) -> PollFlags {
    woken_by(libc::SYS_ppoll, || session.poll(PollFlags::IN, -1), wake)
}
