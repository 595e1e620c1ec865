// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the table, slice by slice.

use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;

use super::ends;
use super::ground::{bound, Ground};
use super::means::{Means, MEANS};
use super::outcome::Outcome;
use super::situation::{all, End, Situation, Slice};
use super::waiter::Waiter;
use crate::support::interrupter::interrupter;

/// How often the end comes, if it can come again and the means stays registered.
const ROUNDS: usize = 3;

/// The cells of a slice.
fn cells(slice: Slice) -> Vec<(&'static Means, Situation)> {
    let mut cells = Vec::new();
    for situation in all() {
        for means in MEANS.iter().filter(|means| means.applies(&situation)) {
            if situation.slice(means) == slice {
                cells.push((means, situation));
            }
        }
    }
    cells
}

/// Runs all cells of a slice.
///
/// # Panics
///
/// If a cell failed, or if not all of them ran.
pub fn run(slice: Slice) {
    if matches!(slice, Slice::Frozen | Slice::Stopped) {
        // Before there is a second thread.
        interrupter();
    }
    let cells = cells(slice);
    let (mut ran, mut failed) = (0, 0);
    for (means, situation) in &cells {
        let (means, situation) = (*means, *situation);
        let name = format!("{} x {}", means.name, situation.name());
        let mut done = run_apart(means, situation);
        // A machine that stands still for seconds makes a cell late; a lost wake-up is late again.
        if matches!(done, Err(Fault::Late(_))) {
            println!("# cell {name}: late, tried once more");
            done = run_apart(means, situation);
        }
        ran += 1;
        match done {
            Ok(()) => println!("# cell {name}: ok"),
            Err(why) => {
                failed += 1;
                println!("# cell {name}: FAILED: {why}");
            }
        }
    }
    println!("{ran} cells, {failed} failed");
    assert!(!cells.is_empty(), "an empty slice proves nothing");
    assert_eq!((ran, failed), (cells.len(), 0), "cells run, cells failed");
}

/// What is wrong with a cell.
enum Fault {
    /// It was woken, or found what it wanted, when it was too late. The round.
    Late(usize),
    Wrong(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Late(round) => write!(f, "woken too late, or by its time-out, end {round}"),
            Self::Wrong(why) => f.write_str(why),
        }
    }
}

/// Runs a cell in a thread of its own, so that a panic ends the cell and not the table.
fn run_apart(means: &'static Means, situation: Situation) -> Result<(), Fault> {
    let cell = std::thread::spawn(move || cell(means, situation)).join();
    cell.unwrap_or_else(|panic| Err(words(&*panic).into()))
}

/// The message of a panic.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").replace('\n', " ")
}

/// Runs one cell.
fn cell(means: &'static Means, situation: Situation) -> Result<(), Fault> {
    let ground = Arc::new(Ground::open(situation));
    let waiter = Waiter::new(means, &ground);
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait(means, situation, &ground, &waiter)
    }));
    waiter.abandon(&ground);
    done.unwrap_or_else(|panic| Err(words(&*panic).into()))
}

fn wait(
    means: &'static Means,
    situation: Situation,
    ground: &Ground,
    waiter: &Waiter,
) -> Result<(), Fault> {
    if means.early {
        waiter.begin();
    }
    if situation.end != End::SetUp {
        ground.set_up(means.is_handle());
    }
    if means.maps(&situation) {
        ground.map();
    }
    if !means.early {
        waiter.begin();
    }
    let expected = ends::expected(means, situation);
    let rounds = if means.maps(&situation) && situation.end.repeats() {
        ROUNDS
    } else {
        1
    };
    for round in 1..=rounds {
        ends::prepare(ground);
        let start = Instant::now();
        waiter.go();
        // On a busy machine its time may be over before this thread has seen it asleep.
        let mut tries = if situation.end.is_deadline() { 20 } else { 1 };
        while let Some(outcome) = waiter.ends_unseen() {
            tries -= 1;
            if tries == 0 || outcome != Outcome::TimedOut {
                return Err(format!("it does not sleep: {outcome:?}, end {round}").into());
            }
            waiter.go();
        }
        ends::cause(ground, waiter);
        let caused = Instant::now();
        let mut outcome = waiter.outcome();
        if situation.end.interrupts()
            && means.is_called_again()
            && outcome == Ok(Outcome::Failed(Errno::INTR))
        {
            waiter.go();
            outcome = waiter.outcome();
        }
        // Most calls look once more when their time-out is over, which is no wake-up. A deadline has
        // been held against the kicks that it had to end in spite of, or against its own length.
        let late = match situation.end {
            End::Deadline => false,
            End::DeadlineAwake => caused.elapsed() >= ground.timeout() / 2,
            _ => start.elapsed() >= bound(),
        };
        match outcome {
            Ok(_) if late => return Err(Fault::Late(round)),
            Ok(outcome) if expected.is_met_by(outcome) => {}
            Ok(Outcome::TimedOut) => return Err(format!("not woken, end {round}").into()),
            Ok(outcome) => return Err(format!("{outcome:?} instead of {expected:?}").into()),
            Err(why) => return Err(format!("{why}, end {round}").into()),
        }
        if round < rounds {
            ground.settle();
        }
    }
    Ok(())
}
