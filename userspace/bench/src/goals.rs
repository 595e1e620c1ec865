// SPDX-License-Identifier: MIT OR Apache-2.0

//! The goals. A ratio is our value divided by the peer's.

/// The better direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// The goal of one comparison.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The `Comparison::id` it applies to.
    pub id: &'static str,
    /// The `Comparison::variant` it applies to.
    pub variant: &'static str,
    /// The side of the bound on which the goal is met.
    pub better: Better,
    /// The bound.
    pub bound: f64,
    /// Whether the bound applies to our own value instead of the ratio.
    pub absolute: bool,
}

const fn at_least(id: &'static str, variant: &'static str, bound: f64) -> Goal {
    Goal {
        id,
        variant,
        better: Better::Higher,
        bound,
        absolute: false,
    }
}

const fn at_most(id: &'static str, variant: &'static str, bound: f64) -> Goal {
    Goal {
        better: Better::Lower,
        ..at_least(id, variant, bound)
    }
}

const fn ours_at_most(id: &'static str, variant: &'static str, bound: f64) -> Goal {
    Goal {
        absolute: true,
        ..at_most(id, variant, bound)
    }
}

/// All goals, in the order of the table.
pub const GOALS: &[Goal] = &[
    at_least("G-1", "two processors", 10.0),
    at_least("G-2", "default flags", 5.0),
    at_least("G-2", "forced wake-ups", 25.0),
    at_least("G-3", "one processor", 10.0),
    at_least("G-4", "in batches", 10.0),
    at_least("G-4", "one by one", 10.0),
    at_least("G-5", "64 bytes", 4.0),
    at_least("G-5", "1024 bytes", 2.0),
    at_least("G-5", "4096 bytes", 1.2),
    at_least("G-6", "pipe", 10.0),
    at_least("G-6", "Unix datagrams", 10.0),
    at_least("G-6", "kfifo device", 10.0),
    at_least("G-6", "read(2) of a device", 10.0),
    at_least("G-7", "read(2)", 10.0),
    at_least("G-7", "io_uring", 10.0),
    at_most("G-8", "eventfd, p50", 1.1),
    at_most("G-8", "eventfd, p99", 1.1),
    at_most("G-8", "BPF, p50", 1.0),
    at_most("G-8", "BPF, p99", 1.0),
    ours_at_most("G-9", "both sides busy", 100.0),
    ours_at_most("G-9", "a pre-filled queue", 0.0),
    ours_at_most("G-10", "512 KiB", 3.0),
    // A third of the time: three times as fast.
    at_most("G-11", "awake: BPF", 1.0 / 3.0),
    at_most("G-11", "awake: perf_buffer", 1.0 / 3.0),
    at_most("G-11", "asleep: BPF", 1.0 / 3.0),
    at_most("G-11", "asleep: perf_buffer", 1.0 / 3.0),
    at_most("G-12", "10 %: BPF, p50", 1.0),
    at_most("G-12", "10 %: BPF, p99", 1.0),
    at_most("G-12", "10 %: BPF, p99.9", 1.0),
    at_most("G-12", "10 %: eventfd, p50", 1.0),
    at_most("G-12", "10 %: eventfd, p99", 1.0),
    at_most("G-12", "10 %: eventfd, p99.9", 1.0),
    at_most("G-12", "50 %: BPF, p50", 1.0),
    at_most("G-12", "50 %: BPF, p99", 1.0),
    at_most("G-12", "50 %: BPF, p99.9", 1.0),
    at_most("G-12", "50 %: eventfd, p50", 1.0),
    at_most("G-12", "50 %: eventfd, p99", 1.0),
    at_most("G-12", "50 %: eventfd, p99.9", 1.0),
    at_most("G-12", "90 %: BPF, p50", 1.0),
    at_most("G-12", "90 %: BPF, p99", 1.0),
    at_most("G-12", "90 %: BPF, p99.9", 1.0),
    at_most("G-12", "90 %: eventfd, p50", 1.0),
    at_most("G-12", "90 %: eventfd, p99", 1.0),
    at_most("G-12", "90 %: eventfd, p99.9", 1.0),
    at_most("G-13", "read(2): pipe", 1.1),
    at_most("G-13", "read(2): kfifo device", 1.1),
    at_most("G-13", "write(2): pipe", 1.1),
    at_most("G-13", "write(2): kfifo device", 1.1),
    at_least("G-14", "BPF", 2.0),
    at_least("G-14", "pipes", 2.0),
    at_least("G-14", "idle queues", 0.9),
    at_most("G-15", "BPF", 1.0),
    at_most("G-15", "pipe", 1.0),
    at_most("G-16", "512 KiB: memfd", 1.2),
    at_most("G-16", "512 KiB: BPF", 1.2),
    at_most("G-16", "512 KiB: perf", 1.2),
    at_most("G-16", "1 GiB: memfd", 1.2),
    at_most("G-16", "1 GiB: BPF", 1.2),
    at_most("G-16", "1 GiB: perf", 1.2),
    ours_at_most("G-17", "crate", 0.0),
    ours_at_most("G-17", "tokio", 0.0),
    ours_at_most("G-17", "iostreamctl", 0.0),
    at_least("N-1", "one at a time", 1.0),
    at_least("N-1", "in batches", 1.0),
    at_least("N-2", "bbqueue", 1.5),
    at_least("N-2", "Unix socket", 1.5),
    at_least("N-3", "64 KiB", 0.9),
    at_most("N-4", "enqueue and dequeue", 1.2),
];

/// The goal of a comparison, if it has one.
pub fn goal_of(id: &str, variant: &str) -> Option<&'static Goal> {
    GOALS
        .iter()
        .find(|goal| goal.id == id && goal.variant == variant)
}

impl Goal {
    /// How far the value exceeds the goal: above 1 the goal is met.
    pub fn margin(&self, ours: f64, ratio: f64) -> f64 {
        let value = if self.absolute { ours } else { ratio };
        match self.better {
            Better::Higher => value / self.bound,
            Better::Lower if value <= self.bound => f64::INFINITY,
            Better::Lower => self.bound / value,
        }
    }

    /// Whether our value `ours`, with this ratio to the peer's, meets the goal.
    pub fn is_met(&self, ours: f64, ratio: f64) -> bool {
        let value = if self.absolute { ours } else { ratio };
        match self.better {
            Better::Higher => value >= self.bound,
            Better::Lower => value <= self.bound,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.better {
            Better::Higher => '≥',
            Better::Lower => '≤',
        };
        let times = if self.absolute { "" } else { "×" };
        // A third has no end.
        let bound = (self.bound * 100.0).round() / 100.0;
        write!(f, "{sign} {bound}{times}")
    }
}
