// SPDX-License-Identifier: MIT OR Apache-2.0

//! A session that does nothing wrong: its bytes must come back whatever the others do.

use std::cell::Cell;

use crate::sys;
use iostream_raw::{echo, Session};

/// An echo whose bytes must come back.
pub struct Victim {
    session: Session,
    number: Cell<u64>,
}

impl Victim {
    /// Opens the session.
    pub fn new() -> Self {
        Self {
            session: Session::nonblocking(echo(4096)),
            number: Cell::new(0),
        }
    }

    /// Checks that an entry still goes through the kernel and back.
    #[track_caller]
    pub fn check(&self) {
        let number = self.number.get() + 1;
        self.number.set(number);
        let entry = [number; 32].map(u64::to_le_bytes).concat();
        assert_eq!(sys::write(self.session.raw_fd(), &entry), Ok(entry.len()));
        let mut back = vec![0; 2 * entry.len()];
        assert_eq!(sys::read(self.session.raw_fd(), &mut back), Ok(entry.len()));
        assert_eq!(back[..entry.len()], entry, "another session's bytes");
    }
}
