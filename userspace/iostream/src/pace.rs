// SPDX-License-Identifier: MIT OR Apache-2.0

//! How long a consumer that keeps up with its producer pauses before it looks again.

/// Pauses of the processor before the first look of a wait.
///
/// A consumer that is as fast as its producer finds one entry with each look. Each look takes two
/// cache lines from the producer: that of its position, and the one that it is writing. So while
/// looks find a little, the consumer pauses longer before the next one. Where entries come one by
/// one, the look after a single pause finds nothing, and no entry is delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pauses: u32,
}

impl Pace {
    /// The longest pause: a microsecond or two.
    const MOST_PAUSES: u32 = 64;
    /// A look that finds this much was late enough: 64 cache lines.
    const ENOUGH_BYTES: u64 = 4096;

    /// Starts with one pause.
    pub(crate) const fn new() -> Self {
        Self { pauses: 1 }
    }

    /// Pauses.
    pub(crate) fn pause(self) {
        for _ in 0..self.pauses {
            std::hint::spin_loop();
        }
    }

    /// Adapts the next pause to what the look after this one found.
    pub(crate) fn learn(&mut self, found_bytes: u64) {
        self.pauses = match found_bytes {
            0 => 1,
            1..Self::ENOUGH_BYTES => self.pauses.saturating_mul(2).min(Self::MOST_PAUSES),
            // A shorter pause may do.
            _ => (self.pauses / 2).max(1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_lengthens_it_up_to_a_limit() {
        let mut pace = Pace::new();
        let lengths = [2, 4, 8, 16, 32, 64, 64, 64];
        for pauses in lengths {
            pace.learn(Pace::ENOUGH_BYTES - 1);
            assert_eq!(pace, Pace { pauses });
        }
    }

    #[test]
    fn enough_shortens_it_down_to_one() {
        let mut pace = Pace { pauses: 5 };
        for pauses in [2, 1, 1] {
            pace.learn(Pace::ENOUGH_BYTES);
            assert_eq!(pace, Pace { pauses });
        }
    }

    #[test]
    fn nothing_makes_it_one() {
        let mut pace = Pace { pauses: 64 };
        pace.learn(0);
        assert_eq!(pace, Pace::new());
    }
}
