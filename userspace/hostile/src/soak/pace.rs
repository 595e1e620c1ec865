// SPDX-License-Identifier: MIT OR Apache-2.0

//! Each thread on a processor of its own, and pauses between what they do: half of them of every length,
//! half such that the two meet just where a wake-up could be lost.

use crate::random::Random;

/// Keeps the calling thread on one processor.
pub fn pin(processor: usize) {
    // SAFETY: Zero is an empty set; the set is read.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

/// Waits for the other thread, which is about to do it.
pub fn spin_until(mut condition: impl FnMut() -> bool) {
    let mut spins = 0_u32;
    while !condition() {
        spins += 1;
        // With one processor the other has to get it.
        if spins % 65536 == 0 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

/// A pause that hits another moment of the other thread's way to sleep each time.
pub fn pause(random: &mut Random) {
    let longest = 1 << random.below(12);
    for _ in 0..random.below(longest) {
        std::hint::spin_loop();
    }
}

/// Whether the pauses around an entry are aimed. Both threads count entries.
pub fn is_aimed(sequence: u64) -> bool {
    sequence % 2 == 0
}

/// Turns of [`spend`] that the waker lets pass each time that is aimed: longer than a sleeper takes from
/// its last entry to its last look, so that the sleeper has time to waste.
const LEAD: u64 = 5_000;

/// The waker's pause.
pub fn waker_pause(random: &mut Random, sequence: u64) {
    if is_aimed(sequence) {
        spend(LEAD);
    } else {
        pause(random);
    }
}

/// Finer than the processor's own hint, which takes an emulated one a microsecond.
fn spend(turns: u64) {
    for turn in 0..turns {
        std::hint::black_box(turn);
    }
}

/// The sleeper's pause, by trial: who was woken had armed before the other looked, and comes later the
/// next time; who was not comes earlier. So both soon do at one moment what has to be in order.
pub struct Aim {
    random: Random,
    turns: u64,
    wakeups: u64,
}

impl Aim {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            turns: 0,
            wakeups: 0,
        }
    }

    /// Before the sleeper arms; `sequence` is the entry that it waits for.
    pub fn pause(&self, sequence: u64) {
        if is_aimed(sequence) {
            spend(self.turns);
        }
    }

    /// The entry has come, and so many wake-ups were sent in all.
    pub fn learn(&mut self, sequence: u64, wakeups: u64) {
        let woken = wakeups != self.wakeups;
        self.wakeups = wakeups;
        if is_aimed(sequence) {
            let step = 1 + self.random.below(64);
            self.turns = if woken {
                (self.turns + step).min(4 * LEAD)
            } else {
                self.turns.saturating_sub(step)
            };
        }
    }
}
