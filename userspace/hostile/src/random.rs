// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where the choices of a round come from: all from its seed.

/// A generator by Vigna: splitmix64, since seeds are small numbers that follow each other.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }

    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A number with which programs go wrong; `near` and `size` are a position and a length that
    /// mean something here.
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
            _ => return self.next(),
        };
        match self.below(4) {
            0 => base.wrapping_add(1),
            1 => base.wrapping_sub(1),
            2 => base.wrapping_add(8 * (self.below(9)).wrapping_sub(4)),
            _ => base,
        }
    }
}
