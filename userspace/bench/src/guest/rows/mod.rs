// SPDX-License-Identifier: MIT OR Apache-2.0

//! The benchmarks, by what is compared.

mod buffers;
mod counted;
mod means;
mod paced;
mod queues;
mod sleepers;

use iostream_bench::{Harness, Result};

/// Runs those that are wanted.
pub fn run(harness: &Harness) -> Result<()> {
    queues::output_queues(harness)?;
    queues::input_queues(harness)?;
    means::other_means(harness)?;
    buffers::buffers(harness)?;
    sleepers::sleepers(harness)?;
    counted::counted(harness)?;
    means::from_interrupts(harness)?;
    paced::run(harness)?;
    means::single_calls(harness)?;
    means::many_queues(harness)?;
    counted::set_up(harness)?;
    counted::idle(harness)
}
