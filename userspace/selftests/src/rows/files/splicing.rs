// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-07: splice(2), sendfile(2) and copy_file_range(2).

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use iostream_raw::{echo, Session};
use rustix::io::{Errno, Result};
use rustix::pipe::{pipe, splice, SpliceFlags};

use crate::clause::Clause;
use crate::support::conventions::did;
use crate::support::driver::{entry, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-07/splice-from-a-queue", from_a_queue),
    Clause::new("F-07/splice-from-a-stream", from_a_stream),
    Clause::new("F-07/splice-into-a-queue", into_a_queue),
    Clause::new("F-07/splice-into-a-stream", into_a_stream),
    Clause::new("F-07/splice-through-the-built-in", through_the_built_in),
    Clause::new("F-07/no-sendfile-from-a-node", no_sendfile),
];

/// A pipe: its reader and its writer.
fn new_pipe() -> (File, File) {
    pipe().map(|(r, w)| (r.into(), w.into())).unwrap()
}

fn spliced(from: impl AsFd, to: impl AsFd, len: usize) -> Result<usize> {
    splice(from, None, to, None, len, SpliceFlags::empty())
}

/// Each call moves one entry, or a part of one.
fn from_a_queue() {
    for overwriting in [false, true] {
        let driver = Driver::output(overwriting);
        let session = driver.open_nonblocking();
        let (mut reader, writer) = new_pipe();
        driver.command("sequence 0");
        driver.command("enqueue 1000");
        driver.command("enqueue 0");
        driver.command("enqueue 300");
        for (most, len) in [(600, 600), (4096, 400), (4096, 300)] {
            assert_eq!(spliced(&session, &writer, most), Ok(len));
        }
        assert_eq!(spliced(&session, &writer, 4096), Err(Errno::AGAIN));
        let mut bytes = vec![0; 1300];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [entry(0, 1000), entry(2, 300)].concat());
    }
    did(
        "splice(2)",
        "output queue",
        "an entry a call, or a part of one",
    );
}

fn from_a_stream() {
    let driver = Driver::stream("output 2 5000");
    let session = driver.open_nonblocking();
    session.start().unwrap();
    driver.command("produce 2 5000");
    let (mut reader, writer) = new_pipe();
    let mut left = 10_000;
    while left > 0 {
        left -= spliced(&session, &writer, left).unwrap();
    }
    let mut bytes = vec![0; 10_000];
    reader.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [entry(0, 5000), entry(1, 5000)].concat());
    assert_eq!(spliced(&session, &writer, 1), Err(Errno::AGAIN));
    // The stream was stopped: this is the end of the file.
    session.stop().unwrap();
    assert_eq!(spliced(&session, &writer, 1), Ok(0));
    did(
        "splice(2)",
        "output stream that is stopped",
        "all, and 0 at the end",
    );
}

/// What one call moves is one entry, however it came into the pipe.
fn into_a_queue() {
    let driver = Driver::new(0, 16_384);
    let session = driver.open();
    let (reader, mut writer) = new_pipe();
    for part in [100, 200, 5000] {
        writer.write_all(&vec![1; part]).unwrap();
    }
    assert_eq!(spliced(&reader, &session, 5300), Ok(5300));
    writer.write_all(&[1; 50]).unwrap();
    assert_eq!(spliced(&reader, &session, 20), Ok(20));
    assert_eq!(spliced(&reader, &session, 4096), Ok(30));
    for len in [5300, 20, 30] {
        driver.command("dequeue 16384");
        assert_eq!(driver.log("len"), len);
    }
    did("splice(2)", "input queue", "an entry a call");
}

fn into_a_stream() {
    let driver = Driver::stream("input 4 1000");
    let session = driver.open();
    let (reader, mut writer) = new_pipe();
    writer.write_all(&[1; 2500]).unwrap();
    let mut left = 2500;
    while left > 0 {
        left -= spliced(&reader, &session, left).unwrap();
    }
    let mut taken = 0;
    while taken < 2500 {
        driver.command("receive");
        taken += driver.log("sum");
    }
    assert_eq!(taken, 2500);
    did("splice(2)", "input stream", "all");
}

fn through_the_built_in() {
    let session = Session::new(echo(65_536));
    let (reader, mut writer) = new_pipe();
    let (mut back, into) = new_pipe();
    let data: Vec<u8> = (0..20_000_u32).map(|i| i as u8).collect();
    writer.write_all(&data).unwrap();
    let mut left = data.len();
    while left > 0 {
        left -= spliced(&reader, &session, left).unwrap();
    }
    let mut read = 0;
    while read < data.len() {
        read += spliced(&session, &into, data.len() - read).unwrap();
    }
    let mut bytes = vec![0; data.len()];
    back.read_exact(&mut bytes).unwrap();
    assert!(bytes == data, "the bytes are others");
}

/// As from every character device: a program then reads and writes.
fn no_sendfile() {
    let driver = Driver::new(4096, 0);
    let session = driver.open_nonblocking();
    driver.command("enqueue 100");
    let path = "/tmp/no-sendfile";
    let file = File::create(path).unwrap();
    let sent = rustix::fs::sendfile(&file, &session, None, 100);
    assert_eq!(sent, Err(Errno::INVAL));
    let (from, to) = (session.as_fd().as_raw_fd(), file.as_raw_fd());
    // SAFETY: Both are open, and no offsets are passed.
    let copied = unsafe {
        libc::copy_file_range(from, std::ptr::null_mut(), to, std::ptr::null_mut(), 100, 0)
    };
    let error = std::io::Error::last_os_error();
    assert_eq!((copied, error.raw_os_error()), (-1, Some(libc::EINVAL)));
    assert_eq!(session.read(&mut [0; 100]), Ok(100), "nothing was taken");
    std::fs::remove_file(path).unwrap();
    did(
        "sendfile(2), copy_file_range(2)",
        "from any node",
        "EINVAL, and nothing is taken",
    );
}
