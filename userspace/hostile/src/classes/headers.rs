// SPDX-License-Identifier: MIT OR Apache-2.0

//! B: entry headers that are invalid, or that change while the kernel reads them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

use super::Round;
use crate::driver::{self, Driver};
use crate::scribbler::StopWhenDropped;
use iostream_raw::{echo, occupied, page, Ring, Session, INPUT, OUTPUT};

const BATCH: u64 = 256;

/// One round of the class.
pub fn round(round: &mut Round<'_>) {
    let size = page() * round.random.pick(&[1, 2, 4]);
    let taker = if round.random.chance(4) {
        Taker::driver(size)
    } else {
        Taker::echo(size)
    };
    if round.random.chance(3) {
        flipped(round, &taker);
    } else {
        for _ in 0..BATCH {
            taker.case(round);
        }
    }
    drop(taker);
    round.victim.check();
}

/// The consumer of the entries: a driver takes them one by one, the echo many in a row.
struct Taker {
    session: Session,
    input: Ring,
    by: By,
}

enum By {
    /// The entries come back here.
    Echo(Ring),
    Driver(Driver),
}

impl Drop for Taker {
    fn drop(&mut self) {
        if let By::Driver(driver) = &self.by {
            let _ = driver.unpublish();
        }
    }
}

fn length(header: u64) -> u64 {
    header & u64::from(u32::MAX)
}

impl Taker {
    fn echo(size: u64) -> Self {
        let session = Session::nonblocking(echo(size));
        Self {
            input: Ring::new(&session, INPUT).expect("the input queue"),
            by: By::Echo(Ring::new(&session, OUTPUT).expect("the output queue")),
            session,
        }
    }

    fn driver(size: u64) -> Self {
        let driver = Driver::new();
        let _ = driver.unpublish();
        driver.publish_sized(0, size).expect("publish");
        let session = driver::open(&driver::path().expect("the node"));
        Self {
            input: Ring::new(&session, INPUT).expect("the input queue"),
            by: By::Driver(driver),
            session,
        }
    }

    /// Makes the kernel take all entries.
    fn take(&self) {
        match &self.by {
            By::Echo(_) => self.session.notify(INPUT).expect("notify"),
            By::Driver(driver) => {
                // A buffer that is large enough for any entry.
                let dequeue = format!("dequeue {}", 2 * self.input.size);
                let most = self.input.size / 8;
                let _ = (0..=most)
                    .take_while(|_| driver.tell(&dequeue).is_ok())
                    .count();
            }
        }
    }

    /// Consumes everything that came back, and returns the position of the next entry.
    fn drain(&self) -> u64 {
        match &self.by {
            By::Echo(output) => {
                let head = output.producer_pos().load(Acquire);
                output.consumer_pos().store(head, Release);
                head
            }
            By::Driver(_) => 0,
        }
    }

    /// How many bytes came back after `back`, and the length at a position; `None` if nothing comes
    /// back.
    fn came_back(&self, back: u64, pos: u64) -> Option<(u64, u64)> {
        match &self.by {
            By::Echo(output) => Some((
                output.producer_pos().load(Acquire) - back,
                length(output.data_word(pos).load(Relaxed)),
            )),
            By::Driver(_) => None,
        }
    }

    fn corrupt(&self) -> u64 {
        self.session.counters(INPUT).corrupt
    }

    /// Some valid entries, a header, and a position that covers some bytes after it.
    fn case(&self, round: &mut Round<'_>) {
        let (size, max) = (self.input.size, self.input.max);
        let back = self.drain();
        let tail = self.input.consumer_pos().load(Acquire);
        let mut ahead = 0;
        for _ in 0..round.random.below(4) {
            let len = round.random.below(64);
            self.input.data_word(tail + ahead).store(len, Relaxed);
            ahead += occupied(len);
        }
        let at = tail + ahead;
        let span = 8 * (1 + round.random.below((size - ahead) / 8));
        let header = match round.random.below(4) {
            // Around the length that just fits, with any flags.
            0 => {
                (span - 8)
                    .wrapping_add(round.random.below(17))
                    .wrapping_sub(8)
                    & 0xffff_ffff
            }
            1 => round.random.boundary(max, size) & 0xffff_ffff,
            2 => round.random.boundary(max, size),
            _ => round.random.next_u64(),
        };
        let len = length(header);
        // One whole entry follows, or nothing.
        let rest = span.wrapping_sub(occupied(len));
        let good = len <= max && occupied(len) <= span;
        self.input.data_word(at).store(header, Relaxed);
        if good && rest >= 8 {
            self.input
                .data_word(at + occupied(len))
                .store(rest - 8, Relaxed);
        }
        let corrupt = self.corrupt();
        self.input
            .producer_pos()
            .store(at.wrapping_add(span), Release);
        self.take();
        let now = self.input.consumer_pos().load(Acquire);
        let came_back = self.came_back(back, back + ahead);
        let case = format!("header {header:#x} over {span} bytes, after {ahead}");
        if good {
            assert_eq!(now, at + span, "{case}");
            assert_eq!(self.corrupt(), corrupt, "{case}");
            if let Some(found) = came_back {
                assert_eq!(found, (ahead + span, len), "what came back: {case}");
            }
        } else {
            assert_eq!(now, at, "{case}");
            assert_eq!(self.corrupt(), corrupt + 1, "{case}");
            if let Some((bytes, _)) = came_back {
                assert_eq!(bytes, ahead, "what came back: {case}");
            }
            // With a valid header in its place the queue works again.
            self.input.data_word(at).store(span - 8, Relaxed);
            self.take();
            let now = self.input.consumer_pos().load(Acquire);
            assert_eq!(now, at + span, "put right: {case}");
        }
        round.cases += 1;
    }
}

/// A second thread flips the header between two lengths while the kernel reads it: a whole entry of
/// one of the two lengths comes back.
fn flipped(round: &mut Round<'_>, taker: &Taker) {
    let (size, max) = (taker.input.size, taker.input.max);
    let short = 8 * round.random.below(4);
    let lengths = [max, max + 1, size, u64::from(u32::MAX), short + 8, 64];
    let long = AtomicU64::new(round.random.pick(&lengths));
    let place = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                let word = taker.input.data_word(place.load(Relaxed));
                word.store(long.load(Relaxed), Relaxed);
                word.store(short, Relaxed);
            }
        });
        let _stop = StopWhenDropped(&stop);
        for _ in 0..BATCH {
            let long = long.load(Relaxed);
            let tail = taker.input.consumer_pos().load(Acquire);
            // Set here as well, in case the other thread has not come to it.
            taker.input.data_word(tail).store(short, Relaxed);
            place.store(tail, Relaxed);
            // What follows either length is an invalid header, so that the kernel stops there.
            for end in [occupied(short), occupied(long.min(max))] {
                if end < size {
                    taker.input.data_word(tail + end).store(u64::MAX, Relaxed);
                }
            }
            let back = taker.drain();
            taker.input.producer_pos().store(tail + size, Release);
            taker.take();
            let moved = taker.input.consumer_pos().load(Acquire) - tail;
            let possible = [0, occupied(short), occupied(long)];
            assert!(
                possible.contains(&moved) && moved <= size,
                "moved by {moved}"
            );
            if let Some((bytes, len)) = taker.came_back(back, back) {
                assert_eq!(bytes, moved, "the length that came back");
                assert!(
                    moved == 0 || len == short || len == long,
                    "{len} bytes came back"
                );
            }
            round.cases += 1;
        }
    });
}
