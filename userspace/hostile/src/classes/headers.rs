// SPDX-License-Identifier: MIT OR Apache-2.0

//! B: headers of entries that cannot be right, or that change while the kernel looks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::*};

use super::Round;
use crate::device::{echo, occupied, Ring, Session, INPUT, OUTPUT, PAGE};
use crate::scribbler::StopWhenDropped;

const BATCH: u64 = 256;

pub fn round(round: &mut Round<'_>) {
    let size = PAGE * round.random.pick(&[1, 2, 4]);
    let session = Session::new(echo(size));
    let input = Ring::new(&session, INPUT).expect("the input queue");
    let output = Ring::new(&session, OUTPUT).expect("the output queue");
    let echo = Echo {
        session: &session,
        input: &input,
        output: &output,
    };
    if round.random.chance(3) {
        flipped(round, &echo);
    } else {
        for _ in 0..BATCH {
            echo.case(round);
        }
    }
    round.victim.lives();
}

struct Echo<'a> {
    session: &'a Session,
    input: &'a Ring,
    output: &'a Ring,
}

fn length(header: u64) -> u64 {
    header & u64::from(u32::MAX)
}

impl Echo<'_> {
    /// Lets go of all that came back.
    fn drain(&self) {
        let head = self.output.producer_pos().load(Acquire);
        self.output.consumer_pos().store(head, Release);
    }

    fn corrupt(&self) -> u64 {
        self.session.queue(INPUT).expect("queue").counters.corrupt
    }

    /// A header, and a position that covers some bytes after it.
    fn case(&self, round: &mut Round<'_>) {
        let (size, max) = (self.input.size, self.input.max);
        self.drain();
        let tail = self.input.consumer_pos().load(Acquire);
        let span = 8 * (1 + round.random.below(size / 8));
        let header = match round.random.below(4) {
            // Around what just fits, with any flags.
            0 => {
                (span - 8)
                    .wrapping_add(round.random.below(17))
                    .wrapping_sub(8)
                    & 0xffff_ffff
            }
            1 => round.random.boundary(max, size) & 0xffff_ffff,
            2 => round.random.boundary(max, size),
            _ => round.random.next(),
        };
        let len = length(header);
        // What comes after it is one whole entry, or nothing.
        let rest = span.wrapping_sub(occupied(len));
        let good = len <= max && occupied(len) <= span;
        self.input.data_word(tail).store(header, Relaxed);
        if good && rest >= 8 {
            self.input
                .data_word(tail + occupied(len))
                .store(rest - 8, Relaxed);
        }
        let corrupt = self.corrupt();
        let back = self.output.producer_pos().load(Acquire);
        self.input
            .producer_pos()
            .store(tail.wrapping_add(span), Release);
        self.session.notify(INPUT).expect("notify");
        let now = self.input.consumer_pos().load(Acquire);
        if good {
            assert_eq!(now, tail + span, "header {header:#x} over {span} bytes");
            assert_eq!(self.corrupt(), corrupt);
            let echoed = self.output.data_word(back).load(Relaxed);
            assert_eq!(length(echoed), len, "what came back");
        } else {
            assert_eq!(now, tail, "header {header:#x} over {span} bytes");
            assert_eq!(self.corrupt(), corrupt + 1);
            assert_eq!(
                self.output.producer_pos().load(Acquire),
                back,
                "something came back"
            );
            // A right one in its place, and all goes on.
            self.input.data_word(tail).store(span - 8, Relaxed);
            self.session.notify(INPUT).expect("notify");
            assert_eq!(self.input.consumer_pos().load(Acquire), tail + span);
        }
        round.cases += 1;
    }
}

/// A second thread flips the header between two lengths while the kernel reads it: what comes back
/// is one of the two, whole.
fn flipped(round: &mut Round<'_>, echo: &Echo<'_>) {
    let (size, max) = (echo.input.size, echo.input.max);
    let short = 8 * round.random.below(4);
    let lengths = [max, max + 1, size, u64::from(u32::MAX), short + 8, 64];
    let long = AtomicU64::new(round.random.pick(&lengths));
    let place = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                let word = echo.input.data_word(place.load(Relaxed));
                word.store(long.load(Relaxed), Relaxed);
                word.store(short, Relaxed);
            }
        });
        let _stop = StopWhenDropped(&stop);
        for _ in 0..BATCH {
            let long = long.load(Relaxed);
            let tail = echo.input.consumer_pos().load(Acquire);
            // Before the other thread gets here as well as after.
            echo.input.data_word(tail).store(short, Relaxed);
            place.store(tail, Relaxed);
            // Whatever may lie behind either length is no entry: the look ends there.
            for end in [occupied(short), occupied(long.min(max))] {
                if end < size {
                    echo.input.data_word(tail + end).store(u64::MAX, Relaxed);
                }
            }
            echo.drain();
            let back = echo.output.producer_pos().load(Acquire);
            echo.input.producer_pos().store(tail + size, Release);
            echo.session.notify(INPUT).expect("notify");
            let moved = echo.input.consumer_pos().load(Acquire) - tail;
            let possible = [0, occupied(short), occupied(long)];
            assert!(
                possible.contains(&moved) && moved <= size,
                "moved by {moved}"
            );
            let echoed = echo.output.producer_pos().load(Acquire) - back;
            assert_eq!(echoed, moved, "what came back is as long as what was taken");
            if moved > 0 {
                let len = length(echo.output.data_word(back).load(Relaxed));
                assert!(len == short || len == long, "{len} bytes came back");
            }
            round.cases += 1;
        }
    });
}
