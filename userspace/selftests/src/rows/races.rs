// SPDX-License-Identifier: MIT OR Apache-2.0

//! RACES: a thread is held at each race point of the module while each operation of a process, of
//! the driver and of the system runs.
//!
//! Each point, each kind of node on which it is reached, each operation and each order make a cell.
//! In a cell one thread makes a tour of everything that a program and its driver can do, and another
//! one runs the operation. There are three orders. *Inside*: the point holds the tour, and the
//! operation begins and ends meanwhile, unless it waits for the tour. *Across*: the operation begins
//! while the tour is held, and cannot end before the tour, let go, has come to its own end, because
//! a point of the operation's own holds it. *First*: the point holds the operation, where it passes
//! the point, and the tour runs to its end meanwhile. So of two threads each is once the one that
//! finds what the other one has left half done.
//!
//! Afterwards both must end. Each error must be one that this sort of call may answer in this state
//! (`sorts.rs`). Counters must add up (`ledger.rs`). No session may be left, and the node must work
//! and wake. KASAN, lockdep and kmemleak look on: the points exist only on the bug-hunting kernel.
//! The long run has all cells, the short one a part of them.

mod acts;
mod calls;
mod cell;
mod ground;
mod ledger;
mod operations;
mod sorts;
mod table;
mod tours;
mod works;

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
    "buffers-joined"
    "callbacks-disabled"
    "callbacks-enabled"
    "client-armed"
    "client-drops"
    "client-watches"
    "close-end"
    "close-unpublished"
    "drain-notified"
    "drained"
    "driver-cleared"
    "driver-found"
    "endpoint-called"
    "endpoint-ended"
    "endpoint-ran"
    "ends-quiesced"
    "eventfd-found"
    "eventfd-replaced"
    "gate-opened"
    "input-timer-fires"
    "input-timer-start"
    "input-watermark-set"
    "input-work"
    "kicked"
    "lane-found"
    "lane-retired"
    "look-for-sleeper"
    "looked"
    "map-claimed"
    "marked-ready"
    "mode-agreed"
    "node-added"
    "node-found"
    "node-hidden"
    "node-published"
    "notice-pushed"
    "notices-begin"
    "open-agreed"
    "open-published"
    "output-timer-fires"
    "output-timer-start"
    "passed-over"
    "poll-registered"
    "read-claimed"
    "reset-claimed"
    "reset-halfway"
    "return-begins"
    "revoke-unpublished"
    "set-up-made"
    "source-added"
    "source-due"
    "source-ends"
    "source-served"
    "start-answered"
    "stop-answered"
    "suspend-fenced"
    "timer-claimed"
    "watermark-set"
    "write-claimed"
}

/// The module has no point that nothing here holds a thread at.
fn each_point_has_a_clause() {
    let mut there = crate::support::race::points();
    there.sort();
    // The first does not hold, but makes the card fail; the others are held in
    // `rows/stream/card_races.rs`.
    there.retain(|point| point != "edu-wedged" && !point.starts_with("dma-"));
    assert_eq!(there, POINTS, "points of the module, clauses");
}
