// SPDX-License-Identifier: MIT OR Apache-2.0

//! A second thread that writes garbage into every word that the process may write, while the kernel
//! uses them.

use std::sync::atomic::{AtomicBool, Ordering::*};

use iostream_raw::Random;
use iostream_raw::Ring;

/// Runs `work` while another thread writes garbage into these rings.
pub fn with_scribbler<R>(seed: u64, rings: &[&Ring], work: impl FnOnce() -> R) -> R {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| scribble(&mut Random::new(seed), rings, &stop));
        let _stop = StopWhenDropped(&stop);
        work()
    })
}

/// Ends the other thread, even when this one panics.
pub struct StopWhenDropped<'a>(pub &'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn scribble(random: &mut Random, rings: &[&Ring], stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        let ring = random.pick(rings);
        let (page, words) = ring.own_words();
        let near = ring.producer_pos().load(Relaxed);
        match random.below(8) {
            // Any word of any writable page, entry headers and data included.
            0..2 => {
                let map = random.pick(&ring.writable());
                let offset = random.below(map.len() as u64 / 8) as usize * 8;
                let value = random.boundary(near, ring.size);
                map.word(offset).store(value, Relaxed);
            }
            // A word that the header names, flipped between a valid and an invalid value.
            2..5 => {
                let word = page.word(random.pick(words));
                let good = ring.consumer_pos().load(Relaxed);
                let bad = random.boundary(near, ring.size);
                for _ in 0..16 {
                    word.store(good, Relaxed);
                    word.store(bad, Relaxed);
                }
            }
            _ => {
                let word = page.word(random.pick(words));
                let value = ring.consumer_pos().load(Relaxed);
                word.store(value.wrapping_add(8 * random.below(64)), Relaxed);
            }
        }
    }
}
