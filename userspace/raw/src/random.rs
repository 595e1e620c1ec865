// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random choices that a seed decides.

/// A generator by Vigna: splitmix64. Seeds are often small numbers that follow each other, which it
/// tells well apart.
pub struct Random(u64);

impl Random {
    /// Begins with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Begins with `SEED` from the environment, else with the clock. Prints the seed, so that a run
    /// can be repeated.
    pub fn seeded() -> Self {
        let seed = match std::env::var("SEED") {
            Ok(text) if !text.is_empty() => text.parse().expect("SEED is a number"),
            _ => std::time::UNIX_EPOCH.elapsed().expect("a clock").as_nanos() as u64,
        };
        println!("SEED={seed}");
        Self::new(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next_u64() >> 33) % bound
    }

    /// True in one of `one_in` cases.
    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// One of several values.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A number with which programs go wrong. `near` is a position and `size` a length that mean
    /// something to the peer.
    pub fn boundary(&mut self, near: u64, size: u64) -> u64 {
        let base = match self.below(16) {
            0 => 0,
            1 => 1,
            2 => size,
            3 => near,
            4 => near.wrapping_add(size),
            5 => near.wrapping_sub(size),
            6 => near.wrapping_add(size / 2),
            7 => near.wrapping_add(2 * size),
            8 => 1 << 31,
            9 => u64::from(u32::MAX),
            10 => 1 << 32,
            11 => i64::MAX as u64,
            12 => 1 << 63,
            13 => u64::MAX,
            14 => near ^ (1 << self.below(64)),
            _ => return self.next_u64(),
        };
        match self.below(4) {
            0 => base.wrapping_add(1),
            1 => base.wrapping_sub(1),
            2 => base.wrapping_add(8 * (self.below(9)).wrapping_sub(4)),
            _ => base,
        }
    }
}
