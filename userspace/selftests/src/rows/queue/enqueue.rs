// SPDX-License-Identifier: MIT OR Apache-2.0

//! enqueue by copy.

use iostream::Error;
use iostream_raw::{
    check_record, echo, page, page_len, source, wait_for, Area, Input, Output, Session, INPUT,
    OUTPUT,
};
use iostream_ring::uapi::IOSTREAM_ENTRY_GAP;
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::{self, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-03/each-size-by-copy", each_size_by_copy),
    Clause::new("Q-03/max-fits-exactly", max_fits_exactly),
    Clause::new("Q-03/full-writes-nothing", full_writes_nothing),
    Clause::new("Q-03/too-large-refused", too_large_refused),
    Clause::new("Q-03/from-source-thread", from_source_thread),
    Clause::new("Q-03/from-task", || from_context("task")),
    Clause::new("Q-03/from-softirq", || from_context("softirq")),
    Clause::new("Q-03/from-hard-interrupt", || from_context("hardirq")),
    Clause::new("Q-03/driver-too-large", driver_too_large),
    Clause::new("Q-03/driver-full", driver_full),
    Clause::new("Q-03/report-lost", report_lost),
    Clause::new("Q-03/crate-full-and-too-large", crate_full_and_too_large),
];

fn each_size_by_copy() {
    let session = Session::new(echo(4096));
    for len in (1..=4088).step_by(if crate::clause::long() { 1 } else { 7 }) {
        let entry: Vec<u8> = (0..len).map(|i| (i * 31 + len) as u8).collect();
        session.write_entry(&entry);
        assert_eq!(session.read_entry(), entry, "{len} bytes");
    }
}

fn max_fits_exactly() {
    let session = Session::new(echo(4096));
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    for i in 0..10 {
        assert!(input.push(&session, &[i; 4088]));
        assert_eq!(output.take_and_notify(&session).unwrap().bytes, [i; 4088]);
        // Moves the place where the next entry begins.
        assert!(input.push(&session, b""));
        assert_eq!(output.take_and_notify(&session).unwrap().bytes, b"");
    }
}

/// When the kernel's producer finds the queue full, nothing but its counters changes.
fn full_writes_nothing() {
    let session = Session::new(source(4096, 100, 100, 0));
    let mut output = Output::new(&session);
    let (made, result) = session.run_with(iostream_ring::uapi::iostream_run {
        entries: 0,
        timeout_ns: 1,
        ..Default::default()
    });
    assert_eq!((made, result), (page() / 112, Err(Errno::TIMEDOUT)));
    // Both positions are in the first 64 bytes; the kernel may arm in the words after them.
    let before = (output.data.read(0, page_len()), output.producer.read(0, 64));
    let full = session.counters(OUTPUT).full;
    let (made, _) = session.run_with(iostream_ring::uapi::iostream_run {
        entries: 5,
        timeout_ns: 1,
        ..Default::default()
    });
    assert_eq!(made, 0);
    assert!(session.counters(OUTPUT).full > full);
    assert!((output.data.read(0, page_len()), output.producer.read(0, 64)) == before);
    for i in 0..page() / 112 {
        assert_eq!(check_record(&output.take().unwrap().bytes), i);
    }
    assert_eq!(output.take(), None);
}

fn too_large_refused() {
    let session = Session::new(echo(4096));
    for len in [page_len() - 7, page_len(), 2 * page_len(), 1 << 20] {
        assert_eq!(session.write(&vec![0; len]), Err(Errno::MSGSIZE));
    }
    assert_eq!(session.counters(INPUT).entries, 0);
    session.write_entry(&[1; 4088]);
    assert_eq!(session.read_entry(), [1; 4088]);
}

/// A source by the clock produces in a thread, without preemption: every record is whole and in order.
fn from_source_thread() {
    let session = Session::new(source(1 << 18, 16, 200, 20_000));
    let mut output = Output::new(&session);
    let mut next = 0;
    while next < count(40_000) {
        let Some(entry) = output.take_and_notify(&session) else {
            wait_for(&session, PollFlags::IN, -1);
            continue;
        };
        let sequence = check_record(&entry.bytes);
        assert_eq!(
            sequence,
            next + u64::from(entry.lost),
            "in order, except for reported losses"
        );
        next = sequence + 1;
    }
}

/// In each context entries arrive, a full queue is an error, and a sleeper is woken.
fn from_context(context: &str) {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    for i in 0..100 {
        assert_eq!(driver.tell(&format!("enqueue {i} {context}")), Ok(()));
        assert_eq!(output.take().unwrap().bytes, driver::entry(i, i as usize));
    }
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| session.poll(PollFlags::IN, -1));
        assert_eq!(driver.tell(&format!("enqueue 10 {context}")), Ok(()));
        assert_eq!(sleeper.join().unwrap(), PollFlags::IN);
    });
    let mut fitted = 0;
    let full = loop {
        match driver.tell(&format!("enqueue 200 {context}")) {
            Ok(()) => fitted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((full, fitted), (Errno::NOSPC, (page() - 24) / 208));
}

fn driver_too_large() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let data = session.map(OUTPUT, Area::Data);
    for len in [page() - 7, 2 * page(), 1 << 20] {
        assert_eq!(driver.tell(&format!("enqueue {len}")), Err(Errno::MSGSIZE));
        assert_eq!((driver.log("errno"), driver.log("max")), (90, page() - 8));
        assert_eq!(
            driver.tell(&format!("reserve {len} commit")),
            Err(Errno::MSGSIZE)
        );
    }
    assert!(data.read(0, page_len()).iter().all(|byte| *byte == 0));
    assert_eq!(driver.tell("enqueue 4088"), Ok(()));
}

fn driver_full() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    assert_eq!(driver.count("fill 100"), page() / 112);
    let before = (output.data.read(0, page_len()), output.producer.read(0, 64));
    assert_eq!(driver.tell("enqueue 100"), Err(Errno::NOSPC));
    assert_eq!(driver.tell("enqueue 4088"), Err(Errno::NOSPC));
    assert!((output.data.read(0, page_len()), output.producer.read(0, 64)) == before);
    assert_eq!(
        session.counters(OUTPUT).full,
        3,
        "the fill found it full, too"
    );
    output.take().unwrap();
    assert_eq!(driver.tell("enqueue 100"), Ok(()));
}

fn report_lost() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    for (reports, told) in [
        (&[1][..], [1, 0]),
        (&[3, 4], [7, 0]),
        (&[65_534], [65_534, 0]),
        (&[65_535], [65_535, 0]),
        (&[65_536], [65_535, 1]),
        (&[100_000], [65_535, 34_465]),
    ] {
        for report in reports {
            driver.tell(&format!("lost {report}")).unwrap();
        }
        driver.tell("enqueue 8").unwrap();
        driver.tell("enqueue 8").unwrap();
        for lost in told {
            let entry = output.take().unwrap();
            let flags = if lost == 0 {
                0
            } else {
                IOSTREAM_ENTRY_GAP as u16
            };
            assert_eq!((entry.flags, entry.lost), (flags, lost));
        }
    }
}

fn crate_full_and_too_large() {
    let driver = Driver::new(0, 4096);
    let session = iostream::Session::open(driver.path()).unwrap();
    let mut producer = session.producer().unwrap();
    let max = page_len() - 8;
    let too_large = Err(Error::TooLarge { max });
    assert_eq!(producer.enqueue(&vec![0; max + 1]), too_large);
    let mut batch = producer.batch();
    batch.enqueue(&vec![0; max - 88]).unwrap();
    assert_eq!(batch.enqueue(&[0; 100]), Err(Error::Full));
    assert_eq!(batch.enqueue(&vec![0; max + 1]), too_large);
    assert_eq!(batch.enqueue(&[0; 80]), Ok(()));
    assert_eq!(batch.room_bytes(), Ok(0));
}
