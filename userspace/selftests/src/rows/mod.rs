// SPDX-License-Identifier: MIT OR Apache-2.0

//! The rows of the contract, one file each.

use crate::clause::Clause;

mod b01;
mod b02;
mod b03;
mod b04;
mod b04_stream;
mod b05;
mod b05_stream;
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
mod s06;
mod s07;
mod s07_stop;
mod s07_sysfs;
mod s08;
mod s09;
mod s10;
mod s12;
mod s13;
mod s14;
mod s15;
mod s18;
mod s18_card;
mod s18_module;
mod s19;
mod s21;
mod s22;
mod stream_drivers;
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
mod u10_stream;
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
        s06::CLAUSES,
        s07::CLAUSES,
        s07_stop::CLAUSES,
        s07_sysfs::CLAUSES,
        s08::CLAUSES,
        s09::CLAUSES,
        s10::CLAUSES,
        s12::CLAUSES,
        s13::CLAUSES,
        s14::CLAUSES,
        s18::CLAUSES,
        s18_module::CLAUSES,
        s22::CLAUSES,
        s15::CLAUSES,
        stream_drivers::CLAUSES,
        s21::CLAUSES,
        s18_card::CLAUSES,
        s19::CLAUSES,
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
        u10_stream::CLAUSES,
        u11::CLAUSES,
        b01::CLAUSES,
        b02::CLAUSES,
        b02::settings::CLAUSES,
        b02::waiting::CLAUSES,
        b02::input::CLAUSES,
        b02::stream::CLAUSES,
        b03::CLAUSES,
        b04::CLAUSES,
        b04_stream::CLAUSES,
        b05::CLAUSES,
        b05_stream::CLAUSES,
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
