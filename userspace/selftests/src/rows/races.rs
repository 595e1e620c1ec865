// SPDX-License-Identifier: MIT OR Apache-2.0

//! RACES: a thread is held at each race point of the module while each operation of a process, of
//! the driver and of the system runs.
//!
//! Each point, each kind of node on which it is reached, and each operation make a cell. In a cell
//! one thread makes a tour of everything that a program and its driver can do. The point holds the
//! first thread that reaches it. Then the operation runs: to its end, or until it waits for the
//! held thread. Then the thread goes on. Afterwards both must end, all errors must be documented
//! ones, no session may be left, and the node must work and wake. KASAN, lockdep and kmemleak look
//! on: the points exist only on the bug-hunting kernel. The long run has all cells, the short one a
//! twelfth of them.

mod ground;
mod operations;
mod table;
mod tours;

use crate::clause::Clause;

/// The clause of each point.
macro_rules! points {
    ($($point:literal)+) => {
        /// The points that have a clause.
        const POINTS: &[&str] = &[$($point),+];

        pub const CLAUSES: &[Clause] = &[
            Clause::new("RACES/each-point", each_point_has_a_clause),
            $(Clause::slow(concat!("RACES/", $point), 600, || table::hold($point)),)+
        ];
    };
}

points! {
    "armed"
    "buffer-given"
    "buffer-joins"
    "close-end"
    "close-unpublished"
    "drained"
    "driver-found"
    "ends-quiesced"
    "eventfd-found"
    "eventfd-replaced"
    "input-timer-start"
    "input-watermark-set"
    "lane-found"
    "lane-retired"
    "look-for-sleeper"
    "map-claimed"
    "mode-agreed"
    "node-hidden"
    "open-agreed"
    "open-published"
    "output-timer-start"
    "read-claimed"
    "reset-halfway"
    "revoke-unpublished"
    "start-answered"
    "stop-answered"
    "suspend-fenced"
    "watermark-set"
    "write-claimed"
}

/// The module has no point that nothing here holds a thread at.
fn each_point_has_a_clause() {
    let mut there = crate::support::race::points();
    there.sort();
    // It does not hold, but makes the card fail.
    there.retain(|point| point != "edu-wedged");
    assert_eq!(there, POINTS, "points of the module, clauses");
}
