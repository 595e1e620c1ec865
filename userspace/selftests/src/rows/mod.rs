// SPDX-License-Identifier: MIT OR Apache-2.0

//! The rows of the contract, one file each.

use crate::clause::Clause;

mod b01;
mod b02;
mod b03;
mod b04;
mod b05;
mod kernel_consume;
mod kernel_counters;
mod kernel_driver;
mod kernel_module;
mod kernel_removal;
mod kernel_reserve;
mod kernel_wait;
mod q01;
mod q02;
mod q03;
mod q04;
mod q05;
mod q06;
mod q07;
mod q08;
mod q09;
mod q10;
mod q11;
mod q12;
mod q13;
mod q14;
mod q15;
mod q16;
mod q17;
mod q18;
mod q19;
mod q20;
mod q21;
mod s01;
mod s02;
mod s03;
mod s04;
mod s05;
mod u01;
mod u02;
mod u03;
mod u04;
mod u05;
mod u05_async;
mod u06;
mod u07;
mod u08;
mod u10;
mod u11;

/// All clauses, in the contract's order.
pub fn all() -> Vec<Clause> {
    let all = [
        q01::CLAUSES,
        q02::CLAUSES,
        q03::CLAUSES,
        q04::CLAUSES,
        q05::CLAUSES,
        q06::CLAUSES,
        q07::CLAUSES,
        q08::CLAUSES,
        q09::CLAUSES,
        q10::CLAUSES,
        q11::CLAUSES,
        q12::CLAUSES,
        q13::CLAUSES,
        q14::CLAUSES,
        q15::CLAUSES,
        q16::CLAUSES,
        q17::CLAUSES,
        q18::CLAUSES,
        q19::CLAUSES,
        q20::CLAUSES,
        q21::CLAUSES,
        s01::CLAUSES,
        s02::CLAUSES,
        s03::CLAUSES,
        s04::CLAUSES,
        s05::CLAUSES,
        u01::CLAUSES,
        u02::CLAUSES,
        u03::CLAUSES,
        u04::CLAUSES,
        u05::CLAUSES,
        u05_async::CLAUSES,
        u06::CLAUSES,
        u07::CLAUSES,
        u08::CLAUSES,
        u10::CLAUSES,
        u11::CLAUSES,
        b01::CLAUSES,
        b02::CLAUSES,
        b02::settings::CLAUSES,
        b02::waiting::CLAUSES,
        b02::input::CLAUSES,
        b02::stream::CLAUSES,
        b03::CLAUSES,
        b04::CLAUSES,
        b05::CLAUSES,
        kernel_reserve::CLAUSES,
        kernel_consume::CLAUSES,
        kernel_wait::CLAUSES,
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
