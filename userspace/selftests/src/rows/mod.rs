// SPDX-License-Identifier: MIT OR Apache-2.0

//! The rows of the contract, one file each.

use crate::clause::Clause;

mod q01;

/// All clauses, in the contract's order.
pub fn all() -> Vec<Clause> {
    let rows: &[&[Clause]] = &[q01::CLAUSES];
    let all = rows.concat();
    for (i, clause) in all.iter().enumerate() {
        let twice = all[..i].iter().any(|other| other.name == clause.name);
        assert!(!twice, "two clauses are called {}", clause.name);
    }
    all
}
