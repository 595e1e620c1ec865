// SPDX-License-Identifier: MIT OR Apache-2.0

//! Each thread on a processor of its own, and pauses of every length between what they do.

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
