// SPDX-License-Identifier: MIT OR Apache-2.0

//! The rows of the contract, one file each.

use crate::clause::Clause;

mod kernel_callbacks;
mod kernel_consume;
mod kernel_counters;
mod kernel_driver;
mod kernel_module;
mod kernel_queue;
mod kernel_removal;
mod kernel_reserve;
mod kernel_wait;
mod q01;
mod q03;
mod q05;
mod q07;
mod q08;
mod q09;
mod q10;
mod q11;
mod q12;

/// All clauses, in the contract's order.
pub fn all() -> Vec<Clause> {
    let all = [
        q01::CLAUSES,
        q03::CLAUSES,
        q05::CLAUSES,
        q07::CLAUSES,
        q08::CLAUSES,
        q09::CLAUSES,
        q10::CLAUSES,
        q11::CLAUSES,
        q12::CLAUSES,
        kernel_queue::CLAUSES,
        kernel_reserve::CLAUSES,
        kernel_consume::CLAUSES,
        kernel_wait::CLAUSES,
        kernel_callbacks::CLAUSES,
        kernel_removal::CLAUSES,
        kernel_driver::CLAUSES,
        kernel_module::CLAUSES,
        kernel_counters::CLAUSES,
    ]
    .concat();
    for (i, clause) in all.iter().enumerate() {
        let twice = all[..i].iter().any(|other| other.name == clause.name);
        assert!(!twice, "two clauses are called {}", clause.name);
    }
    all
}
