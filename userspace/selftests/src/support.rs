// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the clauses share: the kernel's half, hardware, and ways to wait and to measure.

pub mod card;
pub mod command;
pub mod conventions;
pub mod counters;
pub mod driver;
pub mod echo;
pub mod feeding;
pub mod filter;
pub mod interrupter;
pub mod ioctls;
pub mod kprobes;
pub mod kthread;
pub mod memory;
pub mod module;
pub mod monitor;
pub mod process;
pub mod race;
pub mod signals;
pub mod stalled_page;
pub mod system_calls;
pub mod uring;
pub mod user;
pub mod waiting;
pub mod watermark;
