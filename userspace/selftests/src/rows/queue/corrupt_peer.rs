// SPDX-License-Identifier: MIT OR Apache-2.0

//! a process that stores invalid positions and headers.

use std::sync::atomic::Ordering::*;
use std::sync::atomic::{AtomicBool, AtomicU64};

use iostream_raw::{
    check_record, consumer, echo, page, producer, sink, source, Area, Input, Map, Output, Random,
    Session, INPUT, OUTPUT,
};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-19/consumer-position", consumer_position),
    Clause::new("Q-19/producer-position", producer_position),
    Clause::new("Q-19/header", header),
    Clause::new("Q-19/poll-says-so", poll_says_so),
    Clause::slow(
        "Q-19/any-word-while-traffic-runs",
        240,
        any_word_while_traffic_runs,
    ),
    Clause::new("Q-19/harms-nobody-else", harms_nobody_else),
    Clause::new("Q-19/kernel-position-reported-once", position_reported_once),
    Clause::new("Q-19/kernel-header-reported-once", header_reported_once),
];

/// Values around every boundary of a position, near `at` and elsewhere.
fn values(at: u64) -> Vec<u64> {
    let mut values = vec![u64::MAX, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63];
    for base in [0, at] {
        for step in [
            0,
            1,
            8,
            page() - 8,
            page() - 1,
            page(),
            page() + 1,
            page() + 8,
            1 << 31,
        ] {
            values.push(base.wrapping_add(step));
            values.push(base.wrapping_sub(step));
        }
        values.extend((0..8).map(|residue| base.wrapping_add(16 + residue)));
    }
    values
}

/// The consumer's position, in a driver's output queue.
fn consumer_position() {
    let driver = Driver::new(page(), 0);
    for start in [0, 24, page() - 16] {
        for value in values(start) {
            let session = driver.open();
            let mut output = Output::new(&session);
            // Both positions advance to `start`, then the queue is filled.
            while output.pos < start {
                driver
                    .tell(if start - output.pos == 8 {
                        "enqueue 0"
                    } else {
                        "enqueue 8"
                    })
                    .unwrap();
                output.take().unwrap();
            }
            let mut head = start;
            while driver.tell("enqueue 100").is_ok() {
                head += 112;
            }
            let (corrupt, word) = (
                session.counters(OUTPUT).corrupt,
                output.consumer.word(consumer::POS),
            );
            word.store(value, Relaxed);
            let legal = value % 8 == 0 && value.wrapping_sub(start) <= head - start;
            for _ in 0..3 {
                let freed = value.wrapping_sub(start);
                let fits = legal && page() - (head - start) + freed >= page();
                let expected = match (legal, fits) {
                    (false, _) => Err(Errno::BADMSG),
                    (true, false) => Err(Errno::NOSPC),
                    (true, true) => Ok(()),
                };
                if !fits {
                    assert_eq!(
                        driver.tell(&format!("enqueue {}", page() - 8)),
                        expected,
                        "{value:#x} at {start}"
                    );
                }
            }
            let events = session.counters(OUTPUT).corrupt - corrupt;
            assert_eq!(
                events,
                u64::from(!legal),
                "{value:#x} at {start}: once per event"
            );
            // With a valid position the queue works again.
            word.store(if legal { value.max(head) } else { head }, Relaxed);
            assert_eq!(driver.tell("enqueue 100"), Ok(()));
        }
    }
}

/// The producer's position, in a driver's input queue.
fn producer_position() {
    let driver = Driver::new(0, page());
    for value in values(32) {
        let session = driver.open();
        let mut input = Input::new(&session);
        assert!(input.push(&session, &[1; 24]));
        driver.tell("dequeue 24").unwrap();
        input.producer.word(producer::POS).store(value, Relaxed);
        let waits = value.wrapping_sub(32);
        let legal = value % 8 == 0 && waits <= page();
        for _ in 0..3 {
            if legal {
                assert_eq!(driver.count("available"), waits);
            } else {
                assert_eq!(driver.tell("available"), Err(Errno::BADMSG), "{value:#x}");
                assert_eq!(driver.tell("dequeue 100"), Err(Errno::BADMSG), "{value:#x}");
                assert_eq!(driver.tell("peek"), Err(Errno::BADMSG), "{value:#x}");
            }
        }
        assert_eq!(
            session.counters(INPUT).corrupt,
            u64::from(!legal),
            "{value:#x}"
        );
        if !legal {
            input.producer.word(producer::POS).store(32, Relaxed);
            assert!(input.push(&session, &[2; 24]));
            assert_eq!(driver.tell("dequeue 24"), Ok(()));
            assert_eq!(driver.log("sum"), 48);
        }
    }
}

fn header() {
    let driver = Driver::new(0, page());
    let page = page() as u32;
    let lens = [
        0,
        1,
        7,
        8,
        9,
        23,
        24,
        25,
        31,
        32,
        33,
        page - 9,
        page - 8,
        page - 7,
        page,
        1 << 31,
        (1 << 31) - 1,
    ];
    for len in lens
        .into_iter()
        .chain([u32::MAX, u32::MAX - 7, u32::MAX - 8])
    {
        for high in [0, 1, 0xffff_ffff, 0xffff_0000, 0x0001_fffe] {
            let session = driver.open();
            let mut input = Input::new(&session);
            assert!(input.put(&[1; 24]));
            input
                .data
                .word(0)
                .store(u64::from(len) | (high << 32), Relaxed);
            input.publish();
            let legal = len <= 24;
            for _ in 0..3 {
                let looked = driver.tell("peek");
                assert_eq!(
                    looked,
                    if legal { Ok(()) } else { Err(Errno::BADMSG) },
                    "{len}"
                );
                assert_eq!(driver.count("available"), 32);
            }
            assert_eq!(
                session.counters(INPUT).corrupt,
                u64::from(!legal),
                "{len}: once per event"
            );
        }
    }
}

/// A poll of a queue with an invalid position returns an error instead of waiting.
fn poll_says_so() {
    let session = Session::new(echo(page()));
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    assert!(input.push(&session, &[1; 24]));
    let events = PollFlags::IN | PollFlags::OUT;
    assert_eq!(session.poll(events, -1), events);
    let word = output.consumer.word(consumer::POS);
    word.store(2 * page(), Relaxed);
    assert_eq!(session.poll(events, -1), events | PollFlags::ERR);
    word.store(0, Relaxed);
    assert_eq!(session.poll(events, -1), events);

    let word = input.producer.word(producer::POS);
    word.store(32 + 2 * page(), Relaxed);
    assert_eq!(session.poll(events, -1), events, "an entry is left to read");
    output.take().unwrap();
    let broken = PollFlags::OUT | PollFlags::ERR;
    assert_eq!(session.poll(events, -1), broken);
    word.store(32, Relaxed);
    assert_eq!(session.poll(events, -1), PollFlags::OUT);
}

/// Every boundary value in every word of every writable page, while entries move in both
/// directions.
fn any_word_while_traffic_runs() {
    let mut random = Random::seeded();
    let rounds = count(20_000);
    let mut corrupt = 0;
    for round in 0..rounds / 200 {
        let session = Session::new(echo(page()));
        let pages = [
            session.map_writable(OUTPUT, Area::Consumer),
            session.map_writable(INPUT, Area::Producer),
            session.map_writable(INPUT, Area::Data),
        ];
        let truth = |session: &Session, direction| {
            let queue = session.queue(direction);
            (
                queue.data_bytes,
                queue.max_entry_bytes,
                queue.generation,
                queue.flags,
                queue.features,
            )
        };
        let before = (truth(&session, OUTPUT), truth(&session, INPUT));
        let (done, calls) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    calls.fetch_add(1, Relaxed);
                    let _ = session.notify(INPUT);
                    let _ = session.notify(OUTPUT);
                    let _ = session.run_with(iostream_ring::uapi::iostream_run {
                        entries: 10,
                        timeout_ns: 1,
                        ..Default::default()
                    });
                }
            });
            for _ in 0..200 {
                let page = &pages[random.below(3) as usize];
                // The words that the header names, and any other.
                let words = [
                    0,
                    8,
                    64,
                    72,
                    8 * random.below(page.len() as u64 / 8) as usize,
                ];
                let word = page.word(words[random.below(5) as usize]);
                let near = values(word.load(Relaxed));
                word.store(near[random.below(near.len() as u64) as usize], Relaxed);
                // The next value is stored while calls are running.
                let before = calls.load(Relaxed);
                while calls.load(Relaxed) == before {
                    std::hint::spin_loop();
                }
            }
            done.store(true, Relaxed);
        });
        assert_eq!(
            (truth(&session, OUTPUT), truth(&session, INPUT)),
            before,
            "round {round}"
        );
        corrupt += session.counters(INPUT).corrupt + session.counters(OUTPUT).corrupt;
        // After a reset no damage is left.
        reset_both(&session, &pages);
    }
    println!("{rounds} stores, {corrupt} corrupt events");
    assert!(corrupt > 0);
}

/// Resets both queues and passes an entry through the pages that are already mapped.
fn reset_both(session: &Session, pages: &[Map; 3]) {
    session.reset(INPUT).unwrap();
    session.reset(OUTPUT).unwrap();
    pages[2].word(0).store(8, Relaxed);
    pages[2].word(8).store(0x5a5a, Relaxed);
    pages[1].word(producer::POS).store(16, Relaxed);
    session.notify(INPUT).unwrap();
    let data = session.map(OUTPUT, Area::Data);
    assert_eq!(
        (data.word(0).load(Relaxed), data.word(8).load(Relaxed)),
        (8, 0x5a5a)
    );
    assert_eq!(
        session.counters(OUTPUT).entries,
        session.counters(INPUT).entries
    );
}

/// Another session keeps working, entry by entry, while this one stores invalid values.
fn harms_nobody_else() {
    let good = Session::new(source(1 << 16, 16, 200, 10_000));
    let mut output = Output::new(&good);
    let bad = Session::new(sink(page()));
    let input = Input::new(&bad);
    let mut random = Random::seeded();
    let mut next = 0;
    while next < count(10_000) {
        input
            .producer
            .word(producer::POS)
            .store(random.next_u64(), Relaxed);
        input
            .data
            .word(8 * random.below(512) as usize)
            .store(random.next_u64(), Relaxed);
        let _ = bad.notify(INPUT);
        while let Some(entry) = output.take_and_notify(&good) {
            next += u64::from(entry.lost);
            assert_eq!(check_record(&entry.bytes), next);
            next += 1;
        }
    }
    assert!(bad.counters(INPUT).corrupt > 0);
    assert_eq!(good.counters(OUTPUT).corrupt, 0);
}

/// Each invalid value is one event, however often the driver reads it.
fn position_reported_once() {
    let driver = Driver::new(0, page());
    let session = driver.open();
    let input = Input::new(&session);
    let bad = [4, page() + 8, u64::MAX - 7, 1 << 63, page() + 16];
    for (event, pos) in (1..).zip(bad) {
        input.producer.word(producer::POS).store(pos, Release);
        for command in [
            "dequeue 100",
            "peek",
            "available",
            "drain 10",
            "dequeue-wait 100 1",
        ] {
            driver.fails(command, Errno::BADMSG);
            assert_eq!(
                session.counters(INPUT).corrupt,
                event,
                "{command}, {pos:#x}"
            );
        }
    }
    // A valid position makes the queue work again, and the next invalid one is a new event.
    input.producer.word(producer::POS).store(0, Release);
    driver.fails("dequeue 100", Errno::NODATA);
    input.producer.word(producer::POS).store(bad[4], Release);
    driver.fails("dequeue 100", Errno::BADMSG);
    assert_eq!(session.counters(INPUT).corrupt, 6);
    assert_eq!(session.counters(INPUT).entries, 0);
}

fn header_reported_once() {
    let driver = Driver::new(0, page());
    let session = driver.open();
    let mut input = Input::new(&session);
    assert!(input.push(&session, &[9; 40]));
    for (event, len) in (1..).zip([41_u64, 4088, 4089, u64::from(u32::MAX)]) {
        input.data.word(0).store(len, Relaxed);
        for command in ["dequeue 5000", "peek", "release", "drain 10"] {
            driver.fails(command, Errno::BADMSG);
            assert_eq!(session.counters(INPUT).corrupt, event, "{command}, {len}");
        }
    }
    input.data.word(0).store(40, Relaxed);
    driver.command("dequeue 100");
    assert_eq!(driver.log("sum"), 360);
    // The entries before it in a batch are taken.
    assert!(input.push(&session, &[1; 8]) && input.push(&session, &[1; 8]));
    input.data.word(48 + 16).store(4000, Relaxed);
    driver.command("drain 10");
    assert_eq!(driver.log("count"), 1);
    driver.fails("drain 10", Errno::BADMSG);
    assert_eq!(session.counters(INPUT).corrupt, 5);
}
