// SPDX-License-Identifier: MIT OR Apache-2.0

//! The timing of the two threads. Each has a processor of its own and pauses between its steps:
//! some pauses have random lengths, others are aimed so that the threads meet where a wake-up could
//! be lost.

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

/// Spins until the other thread has met the condition, which it is about to do.
pub fn spin_until(condition: impl FnMut() -> bool) {
    spin(condition, std::hint::spin_loop);
}

/// Spins without the processor's hint, which takes a microsecond on an emulated processor, so that
/// it returns at once.
pub fn spin_closely(condition: impl FnMut() -> bool) {
    spin(condition, || ());
}

fn spin(mut condition: impl FnMut() -> bool, between: impl Fn()) {
    let mut spins = 0_u32;
    while !condition() {
        spins = spins.wrapping_add(1);
        // With a single processor the other thread needs it.
        if spins % 65536 == 0 {
            std::thread::yield_now();
        } else {
            between();
        }
    }
}

/// A pause of random length, which hits a different moment of the other thread each time.
pub fn pause(random: &mut Random) {
    let longest = 1 << random.below(12);
    for _ in 0..random.below(longest) {
        std::hint::spin_loop();
    }
}

/// How the two threads meet at an entry. Both count entries, so they agree on it.
#[derive(Clone, Copy, PartialEq)]
pub enum Meeting {
    /// The pauses are aimed at the moment when a wake-up could be lost.
    Aimed,
    /// Pauses of every length.
    Random,
    /// The sleeper spins until the entry is there. A poll that returned has left the kernel armed:
    /// this entry uses that up, so that an aimed meeting begins unarmed. Otherwise no wake-up could
    /// be lost in it.
    Spun,
}

impl Meeting {
    /// How the threads meet at this entry.
    pub fn of(sequence: u64) -> Self {
        match sequence % 3 {
            0 => Self::Aimed,
            1 => Self::Random,
            _ => Self::Spun,
        }
    }
}

/// Turns of [`spend`] for which the waker pauses at an aimed meeting: longer than the sleeper takes
/// from its last entry to its last look, so that the sleeper can pause as well.
const LEAD: u64 = 5_000;

/// The waker's pause.
pub fn waker_pause(random: &mut Random, sequence: u64) {
    if Meeting::of(sequence) == Meeting::Aimed {
        spend(LEAD);
    } else {
        pause(random);
    }
}

/// Pauses for some turns of a loop. The processor's hint would be too coarse: it takes a
/// microsecond on an emulated processor.
fn spend(turns: u64) {
    for turn in 0..turns {
        std::hint::black_box(turn);
    }
}

/// The waker's pause where the kernel sleeps, found by trial: if the kernel had armed, the waker
/// comes earlier the next time, otherwise later. So it soon comes between the kernel's last look
/// and its arming.
pub struct WakerAim {
    random: Random,
    turns: u64,
    /// Doubles while the waker is too late, or too early, several times in a row: the kernel spins
    /// for milliseconds before it arms.
    step: u64,
    armed: bool,
}

impl WakerAim {
    /// In turns of [`spend`]: about a millisecond.
    const LONGEST_STEP: u64 = 1 << 18;

    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            turns: 0,
            step: 1,
            armed: false,
        }
    }

    /// The pause before the waker publishes.
    pub fn pause(&self) {
        spend(self.turns);
    }

    /// Adapts the pause to whether the kernel had armed.
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

/// The sleeper's pause, found by trial: if it was woken, it had armed before the waker looked, and
/// it comes later the next time; otherwise earlier. So both soon do at the same moment what has to
/// be ordered.
pub struct Aim {
    random: Random,
    turns: u64,
    /// Wake-ups sent, as the kernel counts them.
    sent: u64,
    /// Wake-ups of a sleeper that slept, or was about to.
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

    /// The pause before the sleeper arms; `sequence` is the entry for which it waits.
    pub fn pause(&self, sequence: u64) {
        if Meeting::of(sequence) == Meeting::Aimed {
            spend(self.turns);
        }
    }

    /// Adapts the pause once the entry has come. `done` is how many entries the waker has finished,
    /// `sent` how many wake-ups the kernel has sent.
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
