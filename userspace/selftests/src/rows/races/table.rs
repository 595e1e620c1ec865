// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the cells of a point.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::ground::{Ground, Kind, KINDS};
use super::operations::{is_expected, Operation};
use super::tours::{tour, Step};
use crate::clause::long;
use crate::support::race::RacePoint;
use crate::support::waiting::deadline;

/// The short run tries one operation of so many at each point.
const SOME: usize = 12;

/// An operation that has not ended by then waits for the held thread.
const PATIENCE: Duration = Duration::from_millis(100);

/// Holds a thread at a point while each operation runs, on each kind of node on which a tour
/// reaches the point.
///
/// # Panics
///
/// If a cell failed, or if no tour reaches the point.
pub fn hold(point: &'static str) {
    let mut cells = 0;
    for (number, kind) in KINDS.into_iter().enumerate() {
        if !is_reached(point, kind) {
            continue;
        }
        // Another part of them at each point and kind.
        let (step, first) = if long() {
            (1, 0)
        } else {
            (SOME, point.len() + number)
        };
        for operation in Operation::all(kind).skip(first % step).step_by(step) {
            // Shown if the cell fails.
            println!("# {point} x {} on {kind:?}", operation.name);
            cell(point, kind, operation);
            cells += 1;
        }
    }
    println!("{cells} cells");
    assert!(cells > 0, "no tour reaches {point}");
}

/// Whether a tour reaches the point. A tour that nobody disturbs succeeds.
fn is_reached(point: &'static str, kind: Kind) -> bool {
    let ground = Arc::new(Ground::new(kind));
    let set = RacePoint::set(point);
    let traveller = start_tour(&ground);
    let held = wait_held(&set, &traveller);
    drop(set);
    for (step, done) in end("the tour", traveller) {
        assert_eq!(done, Ok(()), "{step} on {kind:?}");
    }
    ground.check_works();
    held
}

fn cell(point: &'static str, kind: Kind, operation: &'static Operation) {
    let ground = Arc::new(Ground::new(kind));
    let set = RacePoint::set(point);
    let traveller = start_tour(&ground);
    assert!(wait_held(&set, &traveller), "this tour does not reach it");
    let place = ground.clone();
    let other = std::thread::spawn(move || (operation.run)(&place));
    let start = Instant::now();
    while !other.is_finished() && start.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    drop(set);
    let answer = end("the operation", other);
    let steps = end("the tour", traveller);
    for (step, done) in [(operation.name, answer)].into_iter().chain(steps) {
        if let Err(error) = done {
            assert!(is_expected(error), "{step}: {error}");
        }
    }
    ground.check_works();
}

fn start_tour(ground: &Arc<Ground>) -> JoinHandle<Vec<Step>> {
    let ground = ground.clone();
    std::thread::spawn(move || tour(&ground))
}

/// Waits until the point holds a thread: the tour's own, or one that works for it and may come
/// after its end.
fn wait_held(set: &RacePoint, traveller: &JoinHandle<Vec<Step>>) -> bool {
    let mut ended = None;
    while !set.is_held() {
        if traveller.is_finished() {
            let ended = ended.get_or_insert_with(Instant::now);
            if ended.elapsed() > Duration::from_millis(500) {
                return false;
            }
        }
        std::thread::yield_now();
    }
    true
}

/// Waits for the end of a thread.
fn end<T>(what: &str, thread: JoinHandle<T>) -> T {
    let start = Instant::now();
    while !thread.is_finished() {
        assert!(start.elapsed() < deadline(), "{what} does not end");
        std::thread::yield_now();
    }
    match thread.join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
