// SPDX-License-Identifier: MIT OR Apache-2.0

//! One cell: a tour and an operation, of which a point holds one.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::calls::{check_errors, story};
use super::ground::{Ground, Kind};
use super::operations::{must_wait, Operation};
use super::tours::{prepare, tour};
use super::works::check_works;
use crate::support::race::RacePoint;
use crate::support::waiting::deadline;

/// A thread that has not moved for so long waits for the held one.
const PATIENCE: Duration = Duration::from_millis(100);
/// Who works for a thread has come to the point by then.
const WORKER: Duration = Duration::from_millis(150);

/// In which order the tour and the operation go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The tour is held. The operation begins, and runs to its end.
    Inside,
    /// The tour is held. The operation begins, and is held at a point of its own until the tour,
    /// let go, has come to its end.
    Across,
    /// The operation is held. The tour runs to its end.
    First,
}

pub const ORDERS: [Order; 3] = [Order::Inside, Order::Across, Order::First];

/// The threads of a cell.
struct Cell {
    ground: Arc<Ground>,
    tour: Option<JoinHandle<()>>,
    other: Option<JoinHandle<()>>,
    /// The tour waits where it rests until the operation has ended.
    waits: bool,
}

/// Runs a cell. Returns whether a thread was held as the order says.
pub fn run(point: &'static str, kind: Kind, operation: &'static Operation, order: Order) -> bool {
    let mut cell = Cell::new(kind);
    // In one half of the cells the counters are compared, in the other one the session ends while
    // the operation is held.
    cell.waits = order == Order::Inside || (point.len() + operation.name.len()) % 2 == 0;
    let reached = match order {
        Order::Inside => {
            let (held, reached) = cell.hold_tour(point);
            cell.start_operation(operation);
            cell.attend(|cell| cell.operation_ended());
            // In this order: a thread that an interrupt holds goes on by itself.
            let passed = cell.succeeded(operation) && held.is_held();
            assert!(
                !(passed && must_wait(point, operation)),
                "it ended before the held thread: {}",
                story(&cell.ground.calls())
            );
            drop(held);
            reached
        }
        Order::Across => {
            let (held, tour_held) = cell.hold_tour(point);
            let own = RacePoint::set(operation.own.expect("a point of its own"));
            cell.start_operation(operation);
            cell.attend(|cell| own.is_held() || cell.operation_ended());
            let reached = tour_held && own.is_held();
            drop(held);
            cell.attend(|cell| cell.tour_ended() || (cell.waits && cell.ground.rests()));
            drop(own);
            reached
        }
        Order::First => {
            prepare(&cell.ground);
            let held = RacePoint::set(point);
            cell.start_operation(operation);
            let reached = cell.wait_held(&held, |cell| cell.operation_ended());
            if reached {
                cell.start_tour();
                cell.attend(|cell| cell.tour_ended() || (cell.waits && cell.ground.rests()));
            }
            drop(held);
            reached
        }
    };
    cell.finish(operation.name, reached);
    reached
}

/// Whether a tour reaches the point. A tour that nobody disturbs succeeds.
pub fn is_reached(point: &'static str, kind: Kind) -> bool {
    let mut cell = Cell::new(kind);
    let set = RacePoint::set(point);
    cell.start_tour();
    let held = cell.wait_held(&set, |cell| cell.tour_ended());
    drop(set);
    let ground = cell.ground.clone();
    cell.finish("nothing", true);
    let calls = ground.calls();
    let failed = calls.iter().find(|call| call.result.is_err());
    assert!(
        failed.is_none(),
        "{failed:?} on {kind:?}, in {}",
        story(&calls)
    );
    held
}

impl Cell {
    fn new(kind: Kind) -> Self {
        Self {
            ground: Arc::new(Ground::new(kind)),
            tour: None,
            other: None,
            waits: true,
        }
    }

    fn start_tour(&mut self) {
        let ground = self.ground.clone();
        self.tour = Some(std::thread::spawn(move || tour(&ground)));
    }

    fn start_operation(&mut self, operation: &'static Operation) {
        let ground = self.ground.clone();
        let run = move || ground.call(operation.name, operation.sort, operation.run);
        self.other = Some(std::thread::spawn(run));
    }

    /// Starts the tour, and waits until the point holds it. Returns whether it does, or did: an
    /// interrupt is held for a moment alone, and perhaps on the processor of the one who looks.
    fn hold_tour(&mut self, point: &'static str) -> (RacePoint, bool) {
        let set = RacePoint::set(point);
        self.start_tour();
        let held = self.wait_held(&set, |cell| cell.tour_ended());
        (set, held)
    }

    fn succeeded(&self, operation: &Operation) -> bool {
        let calls = self.ground.calls();
        let mut made = calls.iter().filter(|call| call.name == operation.name);
        self.operation_ended() && made.next_back().is_some_and(|call| call.result.is_ok())
    }

    fn tour_ended(&self) -> bool {
        self.tour.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn operation_ended(&self) -> bool {
        self.other.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Lets the tour pass where it rests, once the operation has ended or does not move any more.
    fn lead(&self, moves: bool) {
        if self.ground.rests() && (self.operation_ended() || !moves) {
            self.ground.let_pass(self.operation_ended());
        }
    }

    /// Waits until `over`, or until all that goes on waits for something.
    fn attend(&self, over: impl Fn(&Self) -> bool) {
        let mut moved = (self.ground.moment(), Instant::now());
        while !over(self) && moved.1.elapsed() < PATIENCE {
            let moment = self.ground.moment();
            if moment != moved.0 {
                moved = (moment, Instant::now());
            }
            self.lead(self.waits && moved.1.elapsed() < PATIENCE / 2);
            std::thread::yield_now();
        }
    }

    /// Waits until the point holds a thread: the one that is watched, or one that works for it and
    /// may come after its end.
    fn wait_held(&self, set: &RacePoint, ended: impl Fn(&Self) -> bool) -> bool {
        let mut since = None;
        while !set.has_held() {
            self.lead(true);
            if ended(self) {
                let since = since.get_or_insert_with(Instant::now);
                if since.elapsed() > WORKER {
                    return false;
                }
            }
            std::thread::yield_now();
        }
        true
    }

    /// Waits for the ends of all threads, and checks what they leave behind. The node is looked at if
    /// the cell counts.
    fn finish(mut self, name: &str, counts: bool) {
        let mut resting = Instant::now();
        let start = Instant::now();
        while !self.tour_ended() || !self.operation_ended() {
            let what = if self.tour_ended() { name } else { "the tour" };
            assert!(start.elapsed() < deadline(), "{what} does not end");
            if !self.ground.rests() {
                resting = Instant::now();
            }
            self.lead(resting.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
        for thread in [self.other.take(), self.tour.take()].into_iter().flatten() {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        check_errors(&self.ground.calls(), self.ground.kind);
        if counts {
            check_works(&self.ground);
        }
    }
}
