// SPDX-License-Identifier: MIT OR Apache-2.0

//! The parts that the benchmarks in the VM, the benchmarks on the host, and the report share.

pub mod bpf;
mod compare;
pub mod flow;
mod goals;
mod machine;
mod record;
mod transfer;

pub use compare::{compared, median, quantile, Contender, Harness, Measure};
pub use goals::{goal_of, Better, Goal, GOALS};
pub use machine::{pin_to, rate_of, Result, Sized};
pub use record::{Comparison, Environment, Pair, Point, Ratio, Record, Samples, Side};
pub use transfer::line_ns;
