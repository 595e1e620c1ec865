// SPDX-License-Identifier: MIT OR Apache-2.0

//! dequeue by copy.

use rustix::io::Errno;

use crate::clause::Clause;
use crate::raw::{echo, Session};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-05/read-copies-one", read_copies_one),
    Clause::new("Q-05/read-too-small-stays", read_too_small_stays),
    Clause::new("Q-05/read-empty", read_empty),
];

fn read_copies_one() {
    let session = Session::new(echo(4096));
    session.write_entry(b"first");
    session.write_entry(b"second");
    let mut buffer = [0xee; 100];
    assert_eq!(session.read(&mut buffer), Ok(5));
    assert_eq!(&buffer[..5], b"first");
    assert!(buffer[5..].iter().all(|b| *b == 0xee));
    assert_eq!(session.read_entry(), b"second");
}

fn read_too_small_stays() {
    let session = Session::new(echo(4096));
    let entry: Vec<u8> = (0..100).collect();
    session.write_entry(&entry);
    for len in [0, 1, 50, 99] {
        let mut buffer = vec![0xee; len];
        assert_eq!(session.read(&mut buffer), Err(Errno::NOBUFS), "{len} bytes");
        assert!(buffer.iter().all(|b| *b == 0xee));
    }
    let mut exact = [0; 100];
    assert_eq!(session.read(&mut exact), Ok(100));
    assert_eq!(exact[..], entry);
}

fn read_empty() {
    let session = Session::nonblocking(echo(4096));
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
    session.write_entry(b"");
    assert_eq!(
        session.read(&mut [0; 10]),
        Ok(0),
        "an empty entry is an entry"
    );
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
}
