// SPDX-License-Identifier: MIT OR Apache-2.0

//! the queue's memory, mapped into the process.

use std::io::Read;
use std::sync::atomic::Ordering::*;

use iostream_raw::{
    consumer, echo, page, page_len, sink, Area, Input, Output, Session, INPUT, OUTPUT,
};
use iostream_ring::uapi::iostream_info;
use rustix::pipe::{pipe, vmsplice, IoSliceRaw, SpliceFlags};

use crate::clause::{count, Clause};
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-09/data-twice-in-a-row", data_twice_in_a_row),
    Clause::new("Q-09/valid-after-close", valid_after_close),
    Clause::new("Q-09/fresh-is-zero", fresh_is_zero),
    Clause::new(
        "Q-09/pinned-pages-are-not-handed-on",
        pinned_pages_are_not_handed_on,
    ),
    Clause::new("Q-09/valid-after-driver-removal", valid_after_removal),
];

fn data_twice_in_a_row() {
    let session = Session::new(sink(3 * page()));
    let data = session.map_writable(INPUT, Area::Data);
    let size = session.queue(INPUT).data_bytes as usize;
    for offset in (0..2 * size).step_by(page_len()) {
        let mark = [offset as u8 + 1, (offset >> 8) as u8, 0xaa];
        data.write(offset + 5, &mark);
        assert_eq!(data.read((offset + size) % (2 * size) + 5, 3), mark);
    }
}

/// With the descriptor closed, the mappings keep the session and its memory.
fn valid_after_close() {
    let session = Session::new(echo(4096));
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    assert!(input.push(&session, b"before"));
    drop(session);
    assert_eq!(output.take().unwrap().bytes, b"before");
    assert!(input.put(b"after"));
    input.publish();
    assert_eq!(output.take(), None);
}

fn assert_zero(session: &Session) {
    for direction in [OUTPUT, INPUT] {
        for area in [Area::Producer, Area::Consumer, Area::Data] {
            let map = session.map(direction, area);
            let bytes = map.read(0, map.len());
            // The kernel's end of an input queue is armed from the start.
            let armed = direction == INPUT && area == Area::Consumer;
            let from = if armed {
                iostream_raw::consumer::WAKE + 8
            } else {
                0
            };
            let dirty = bytes[from..].iter().position(|b| *b != 0);
            assert_eq!(dirty, None, "{area:?} of direction {direction}");
        }
        // The info page and the calls' answers have nothing but what the header defines.
        let info = session.map(direction, Area::Info).read(0, page_len());
        let used = size_of::<iostream_ring::uapi::iostream_info>();
        assert!(info[used..].iter().all(|b| *b == 0));
    }
}

const SECRET: &[u8] = b"the first client's secret";

/// Fills all memory that a process can write with a secret.
fn leave_secrets(session: &Session) {
    let input = Input::new(session);
    let output = Output::new(session);
    for at in (0..input.data.len() / 2 - SECRET.len()).step_by(SECRET.len()) {
        input.data.write(at, SECRET);
    }
    for page in [&input.producer, &output.consumer] {
        page.write(128, SECRET);
    }
}

fn fresh_is_zero() {
    for i in 0..count(500) {
        let size = page() * (1 + i % 5);
        let session = Session::new(echo(size));
        assert_zero(&session);
        session.write_entry(SECRET);
        leave_secrets(&session);
    }
}

/// A pipe keeps the first client's pages after its session: the next session must not get them.
fn pinned_pages_are_not_handed_on() {
    let (from, to) = pipe().unwrap();
    let first = Session::new(echo(4096));
    leave_secrets_and_pin(&first, &to);
    drop(first);
    let others: Vec<Session> = (0..64).map(|_| Session::new(echo(4096))).collect();
    for other in &others {
        assert_zero(other);
        let input = other.map_writable(INPUT, Area::Data);
        input.write(0, &vec![b'x'; page_len()]);
    }
    drop(to);
    let mut pinned = Vec::new();
    std::fs::File::from(from).read_to_end(&mut pinned).unwrap();
    assert_eq!(pinned.len(), page_len());
    assert!(
        pinned.starts_with(SECRET),
        "the next client's bytes are seen through the pipe"
    );
}

fn leave_secrets_and_pin(session: &Session, pipe: &rustix::fd::OwnedFd) {
    let input = Input::new(session);
    for at in (0..page_len() - SECRET.len()).step_by(SECRET.len()) {
        input.data.write(at, SECRET);
    }
    // SAFETY: The mapping is as long as stated; the pipe takes references to its pages.
    let spliced = unsafe {
        let bytes = std::slice::from_raw_parts(input.data.as_ptr().cast::<u8>(), page_len());
        vmsplice(pipe, &[IoSliceRaw::from_slice(bytes)], SpliceFlags::empty())
    };
    assert_eq!(spliced, Ok(page_len()));
}

fn info_gone(info: &iostream_raw::Map) -> u64 {
    info.word(std::mem::offset_of!(iostream_info, gone))
        .load(Acquire)
}

fn valid_after_removal() {
    let driver = Driver::new(page(), page());
    let session = driver.open();
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    let info = session.map(OUTPUT, Area::Info);
    driver.command("enqueue 100");
    assert_eq!(info_gone(&info), 0);
    driver.unpublish();
    assert_eq!(info_gone(&info), 1);
    let size = page_len();
    // First with the descriptor open, then without.
    let mut session = Some(session);
    for _ in 0..2 {
        output.data.read(0, output.data.len());
        output.consumer.word(consumer::WAKE).store(77, Relaxed);
        assert_eq!(output.consumer.word(consumer::WAKE).load(Relaxed), 77);
        input.data.write(size + 5, b"still mapped");
        assert_eq!(input.data.read(5, 12), b"still mapped");
        assert!(input.put(&[1; 10]));
        input.publish();
        session = None;
    }
    drop(session);
    assert_eq!(output.take().unwrap().bytes.len(), 100);
    assert_eq!(output.take(), None);
    // The name is free again, and a new session gets other memory.
    let next = Driver::new(page(), page());
    let fresh = Output::new(&next.open());
    next.command("enqueue 100");
    assert_eq!((fresh.available(), output.available()), (112, 0));
    drop((info, input, output));
    assert_eq!(fresh.available(), 112);
}
