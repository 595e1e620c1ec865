// SPDX-License-Identifier: MIT OR Apache-2.0

//! Each thread on a processor of its own, and pauses between what they do: some of every length, some
//! such that the two meet just where a wake-up could be lost.

use std::sync::atomic::{AtomicU64, Ordering::*};

use iostream_raw::Random;

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
pub fn spin_until(condition: impl FnMut() -> bool) {
    spin(condition, std::hint::spin_loop);
}

/// As [`spin_until`], and comes back at once: the processor's hint takes an emulated one a microsecond.
pub fn spin_closely(condition: impl FnMut() -> bool) {
    spin(condition, || ());
}

fn spin(mut condition: impl FnMut() -> bool, between: impl Fn()) {
    let mut spins = 0_u32;
    while !condition() {
        spins = spins.wrapping_add(1);
        // With one processor the other has to get it.
        if spins % 65536 == 0 {
            std::thread::yield_now();
        } else {
            between();
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

/// How an entry is met. Both threads count entries, so that both know.
#[derive(Clone, Copy, PartialEq)]
pub enum Meeting {
    /// The pauses are aimed at the moment in which a wake-up could be lost.
    Aimed,
    /// Pauses of every length.
    Random,
    /// The sleeper looks until the entry is there, and does not sleep. A poll that ended has armed once
    /// more: the waker takes that, and nobody is armed when an aimed meeting begins. Else no wake-up
    /// could be lost in it.
    Spun,
}

impl Meeting {
    pub fn of(sequence: u64) -> Self {
        match sequence % 3 {
            0 => Self::Aimed,
            1 => Self::Random,
            _ => Self::Spun,
        }
    }
}

/// Turns of [`spend`] that the waker lets pass each time that is aimed: longer than a sleeper takes from
/// its last entry to its last look, so that the sleeper has time to waste.
const LEAD: u64 = 5_000;

/// The waker's pause.
pub fn waker_pause(random: &mut Random, sequence: u64) {
    if Meeting::of(sequence) == Meeting::Aimed {
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

/// The waker's pause where the kernel sleeps, by trial: who found that it had armed comes earlier the next time, who did
/// not comes later. So it soon comes between its last look and the moment in which it arms.
pub struct WakerAim {
    random: Random,
    turns: u64,
    /// Doubles while it was too late, or too early, again and again: the kernel looks for milliseconds before it arms.
    step: u64,
    armed: bool,
}

impl WakerAim {
    /// Turns: a millisecond or so.
    const LONGEST_STEP: u64 = 1 << 18;

    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            turns: 0,
            step: 1,
            armed: false,
        }
    }

    /// Before the waker publishes.
    pub fn pause(&self) {
        spend(self.turns);
    }

    /// Whether the kernel had armed.
    pub fn learn(&mut self, armed: bool) {
        self.step = if armed == self.armed {
            (self.step * 2).min(Self::LONGEST_STEP)
        } else {
            1 + self.random.below(64)
        };
        self.armed = armed;
        self.turns = if armed {
            self.turns.saturating_sub(self.step)
        } else {
            self.turns + self.step
        };
    }
}

/// The sleeper's pause, by trial: who was woken had armed before the other looked, and comes later the
/// next time; who was not comes earlier. So both soon do at one moment what has to be in order.
pub struct Aim {
    random: Random,
    turns: u64,
    /// As the kernel counts them.
    sent: u64,
    /// Of those who slept, or were about to.
    wakeups: u64,
}

impl Aim {
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            turns: 0,
            sent: 0,
            wakeups: 0,
        }
    }

    /// Before the sleeper arms; `sequence` is the entry that it waits for.
    pub fn pause(&self, sequence: u64) {
        if Meeting::of(sequence) == Meeting::Aimed {
            spend(self.turns);
        }
    }

    /// The entry has come. The waker is through with so many, and the kernel has sent so many wake-ups.
    pub fn learn(&mut self, sequence: u64, done: &AtomicU64, sent: &AtomicU64) {
        let meeting = Meeting::of(sequence);
        if meeting != Meeting::Random {
            // The kernel counts after it has published.
            spin_until(|| done.load(Acquire) > sequence);
        }
        let sent = sent.load(Relaxed);
        let woken = sent != self.sent;
        self.sent = sent;
        if woken && meeting != Meeting::Spun {
            self.wakeups += 1;
        }
        if meeting == Meeting::Aimed {
            let step = 1 + self.random.below(64);
            self.turns = if woken {
                (self.turns + step).min(4 * LEAD)
            } else {
                self.turns.saturating_sub(step)
            };
        }
    }

    /// How many entries the sleeper was woken for.
    pub fn wakeups(&self) -> u64 {
        self.wakeups
    }
}
