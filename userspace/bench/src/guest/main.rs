// SPDX-License-Identifier: MIT OR Apache-2.0

//! The benchmarks that run in the VM, against the real iostream.ko and real peers.
//!
//! Usage: bench-guest [IDS [PAIRS]]
//!
//! IDS are the benchmarks to run, separated by `|`. Prints one JSON object a result, and reports
//! progress in lines that begin with `#`.

mod calls;
mod counts;
mod growth;
mod idle;
mod input;
mod latency;
mod many;
mod messages;
mod node;
mod output;
mod paced;
mod perf_event;
mod rows;
mod setups;
mod streams;
mod ticks;
mod uring;

use iostream_bench::{Harness, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let pairs = arguments.next().map_or(Ok(5), |pairs| pairs.parse())?;
    let harness = Harness::new(only, pairs);
    rows::run(&harness)?;
    growth::run(&harness)
}
