// SPDX-License-Identifier: MIT OR Apache-2.0

//! A: invalid positions and armed words of both sides, in both directions.

use std::sync::atomic::Ordering::*;

use iostream_raw::{echo, occupied, page, sink, source, Ring, Session, INPUT, OUTPUT};
use iostream_ring::uapi::IOSTREAM_SETUP_OVERWRITE;
use rustix::io::Errno;

use super::Round;
use crate::scribbler::with_scribbler;
use crate::sys;

/// Cases of a round.
const BATCH: u64 = 256;

/// Bytes of a source's entry.
const LEN: u32 = 24;

/// One round of the class.
pub fn round(round: &mut Round<'_>) {
    match round.random.below(5) {
        0 => consumer(round),
        1 => producer(round),
        2 => overwritten(round),
        _ => scribbled(round),
    }
}

/// The kernel produces. Whatever the consumer's words say, it writes only into free room, in order,
/// and counts correctly.
fn consumer(round: &mut Round<'_>) {
    let size = page() * round.random.pick(&[1, 2, 4]);
    let session = Session::nonblocking(source(size, LEN, LEN, 0));
    let ring = Ring::new(&session, OUTPUT).expect("the queue");
    let (page, words) = ring.own_words();
    // The position that the kernel may believe: the largest valid one so far.
    let mut freed = 0;
    let mut made = 0;
    for _ in 0..BATCH {
        let head = ring.producer_pos().load(Acquire);
        let word = round.random.pick(words);
        let value = round.random.boundary(head, size);
        page.word(word).store(value, Release);
        // Sometimes more than there can be room for.
        let entries = match round.random.chance(24) {
            true => size / occupied(LEN.into()) + 1,
            false => 1 + round.random.below(3),
        };
        let room = size - (head - freed);
        // Mostly only if there is room: waiting for room takes a tick.
        let (done, result) = if room >= entries * occupied(LEN.into()) || round.random.chance(16) {
            session.run_for(entries, 1)
        } else {
            (0, session.notify(OUTPUT))
        };
        round.expect(result, &[Errno::BADMSG, Errno::TIMEDOUT]);
        made += done;
        let now = ring.producer_pos().load(Acquire);
        // A position is valid between what was freed and what was published; the entries of this
        // run may have made this one valid.
        if word == words[0] && value % 8 == 0 && value.wrapping_sub(freed) <= now - freed {
            freed = value;
        }
        assert_eq!(
            now,
            made * occupied(LEN.into()),
            "the kernel's own position"
        );
        assert!(now - freed <= size, "more than there is room for");
        if done > 0 {
            let header = ring.data_word(now - occupied(LEN.into())).load(Relaxed);
            assert_eq!(header, u64::from(LEN), "the header of the last entry");
            let sequence = ring.data_word(now - occupied(LEN.into()) + 8).load(Relaxed);
            assert_eq!(sequence, made - 1, "the number of the last entry");
        }
        // A valid position again, and all room is free.
        page.word(words[0]).store(now, Release);
        freed = now;
        round.cases += 1;
    }
    assert_eq!(session.endpoint().expect("endpoint").entries, made);
    let counters = session.counters(OUTPUT);
    assert_eq!((counters.entries, counters.lost), (made, 0));
    assert_eq!(counters.bytes, made * u64::from(LEN));
    round.victim.check();
}

/// The kernel consumes, and never goes beyond a valid position of the producer.
fn producer(round: &mut Round<'_>) {
    let size = page() * round.random.pick(&[1, 2, 4]);
    let session = Session::nonblocking(sink(size));
    let ring = Ring::new(&session, INPUT).expect("the queue");
    let (page, words) = ring.own_words();
    let mut last_bad = None;
    for _ in 0..BATCH {
        let tail = ring.consumer_pos().load(Acquire);
        let word = round.random.pick(words);
        let value = round.random.boundary(tail, size);
        let before = session.counters(INPUT);
        page.word(word).store(value, Release);
        session.notify(INPUT).expect("notify");
        sys::poll(session.raw_fd(), libc::POLLOUT, 0);
        let after = session.counters(INPUT);
        let now = ring.consumer_pos().load(Acquire);
        let possible = value % 8 == 0 && value.wrapping_sub(tail) <= size;
        if word == words[0] && !possible {
            assert_eq!(now, tail, "moved by an impossible position");
            assert_eq!(after.entries, before.entries);
            // One event is counted once.
            let counted = u64::from(last_bad != Some(value));
            assert_eq!(
                after.corrupt - before.corrupt,
                counted,
                "position {value:#x}"
            );
            last_bad = Some(value);
        } else if word == words[0] {
            assert!(
                now.wrapping_sub(tail) <= value.wrapping_sub(tail),
                "too far"
            );
            last_bad = None;
        } else {
            assert_eq!(now, tail, "moved by a word that is not a position");
            last_bad = None;
        }
        if word == words[0] && possible && now != value {
            // A header was invalid, and the accepted position stays: the queue needs a reset.
            session.reset(INPUT).expect("reset");
            last_bad = None;
        } else {
            page.word(words[0]).store(now, Release);
        }
        round.cases += 1;
    }
    round.victim.check();
}

/// Both queues of an echo, or a source with a timer, while a second thread changes all words.
fn scribbled(round: &mut Round<'_>) {
    let size = page() * round.random.pick(&[1, 2, 4]);
    let by_timer = round.random.chance(3);
    let session = Session::nonblocking(if by_timer {
        source(size, LEN, LEN, 20_000)
    } else {
        echo(size)
    });
    let output = Ring::new(&session, OUTPUT).expect("the output queue");
    let input = (!by_timer).then(|| Ring::new(&session, INPUT).expect("the input queue"));
    let rings: Vec<&Ring> = [&output].into_iter().chain(&input).collect();
    let geometry = |session: &Session| {
        rings_geometry(session, OUTPUT)
            ^ if by_timer {
                0
            } else {
                rings_geometry(session, INPUT)
            }
    };
    let before = geometry(&session);
    with_scribbler(round.seed, &rings, || {
        for _ in 0..BATCH {
            let direction = if by_timer {
                OUTPUT
            } else {
                round.random.pick(&[OUTPUT, INPUT])
            };
            match round.random.below(8) {
                0 => {
                    let (_, result) = session.run_for(1 + round.random.below(4), 1);
                    round.expect(result, &[Errno::BADMSG, Errno::TIMEDOUT, Errno::BUSY]);
                }
                1 if round.random.chance(32) => {
                    round.expect(session.reset(direction), &[Errno::BUSY]);
                }
                1 | 2 => {
                    sys::poll(session.raw_fd(), libc::POLLIN | libc::POLLOUT, 0);
                }
                3 => assert_eq!(sys::read(session.raw_fd(), &mut [0; 64]), Err(Errno::BUSY)),
                _ => session.notify(direction).expect("notify"),
            }
            round.cases += 1;
        }
    });
    assert_eq!(geometry(&session), before, "the geometry");
    round.victim.check();
}

/// An overwriting queue, read by calls, or mapped while a second thread changes its words: entries
/// are whole and in order.
fn overwritten(round: &mut Round<'_>) {
    let by_timer = round.random.chance(2);
    let mut setup = source(page(), LEN, LEN, if by_timer { 20_000 } else { 0 });
    setup.flags |= IOSTREAM_SETUP_OVERWRITE;
    let session = Session::nonblocking(setup);
    let ring = round
        .random
        .chance(2)
        .then(|| Ring::new(&session, OUTPUT).expect("the queue"));
    let rings: Vec<&Ring> = ring.iter().collect();
    let mut work = || {
        let mut next = 0;
        for _ in 0..BATCH {
            if !by_timer {
                let entries = 1 + round.random.below(200);
                assert_eq!(session.run_for(entries, 0), (entries, Ok(())), "never full");
            }
            sys::poll(session.raw_fd(), libc::POLLIN, 0);
            let mut entry = [0; 64];
            match sys::read(session.raw_fd(), &mut entry) {
                Ok(len) => {
                    assert_eq!(len, LEN as usize);
                    let number = entry.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
                    assert!(number >= Some(next), "{number:?} after {next}");
                    next = number.unwrap_or(0) + 1;
                }
                Err(Errno::BUSY) => assert!(ring.is_some()),
                Err(error) => assert_eq!(error, Errno::AGAIN),
            }
            round.cases += 1;
        }
    };
    if rings.is_empty() {
        work();
    } else {
        with_scribbler(round.seed, &rings, work);
    }
    round.victim.check();
}

/// The geometry of a queue, which no store may change, as one number.
fn rings_geometry(session: &Session, direction: u32) -> u64 {
    let q = session.try_queue(direction).expect("queue");
    q.data_bytes
        .wrapping_mul(31)
        .wrapping_add(q.max_entry_bytes.into())
        .wrapping_mul(31)
        .wrapping_add(q.info_offset ^ q.producer_offset ^ q.consumer_offset ^ q.data_offset)
        .wrapping_mul(31)
        .wrapping_add(q.flags.into())
}
