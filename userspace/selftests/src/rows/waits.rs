// SPDX-License-Identifier: MIT OR Apache-2.0

//! The table of waits: whatever waits is woken.
//!
//! The table is the product of the means (`means.rs`: poll, io_uring, read(2), a driver's wait …)
//! and the situations (`situation.rs`: on which node, what is waited for, and what ends the wait).
//! A cell is one of each. It starts the wait in a thread of its own, proves that the thread sleeps,
//! causes the end, and checks that the wait returns in time with the right result. Each clause runs
//! one slice of the table, and prints one line for each cell.

mod aio;
mod calls;
mod driver_side;
mod early;
mod ends;
mod epolls;
mod eventfds;
mod ground;
mod library;
mod means;
mod outcome;
mod polls;
mod situation;
mod table;
mod uring;
mod waiter;

use crate::clause::Clause;
use situation::Slice;
use table::run;

/// Seconds after which a clause has failed. Even if every cell fails, all of them run.
const SECONDS: u64 = 900;

pub const CLAUSES: &[Clause] = &[
    Clause::slow("Q-12/table-of-waits", SECONDS, || run(Slice::Process)),
    Clause::slow("F-02/before-set-up", SECONDS, || run(Slice::Early)),
    Clause::slow("F-02/on-two-queues", SECONDS, || run(Slice::TwoQueues)),
    Clause::slow("F-02/multishot", SECONDS, || run(Slice::Multishot)),
    Clause::slow("F-04/frozen-waits-go-on", SECONDS, || run(Slice::Frozen)),
    Clause::slow("F-04/stopped-waits-go-on", SECONDS, || run(Slice::Stopped)),
    Clause::slow("F-04/time-passes-while-awake", SECONDS, || {
        crate::support::race::skip_without_points();
        run(Slice::Awake)
    }),
    Clause::slow("Q-12/deadline", SECONDS, || run(Slice::Deadline)),
    Clause::slow("Q-13/table-of-waits", SECONDS, || run(Slice::Kernel)),
    Clause::slow("Q-19/reset-wakes-all", SECONDS, || run(Slice::Reset)),
    Clause::slow("S-03/join-wakes-all", SECONDS, || run(Slice::Join)),
    Clause::slow("S-07/stop-wakes-all", SECONDS, || run(Slice::Stop)),
    Clause::slow("S-14/table-of-waits", SECONDS, || run(Slice::Stream)),
    Clause::slow("S-18/removal-wakes-all", SECONDS, || run(Slice::Removal)),
];
