// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs the cells of a point.

use super::cell::{self, Order, ORDERS};
use super::ground::KINDS;
use super::operations::{always, Operation};
use crate::clause::share;

/// The short run tries one cell of so many at each point.
const SOME: usize = 37;
/// The short run tries so many kinds of nodes at each point.
const SOME_KINDS: usize = 2;

/// Holds a thread at a point while another one does something, in each order, on each kind of node
/// on which a tour reaches the point.
///
/// # Panics
///
/// If a cell failed, or if no tour reaches the point.
pub fn hold(point: &'static str) {
    crate::support::race::skip_without_points();
    let mut reached = [0; ORDERS.len()];
    let share = share();
    let (step, mut number) = match share {
        Some((part, of)) => (of, part),
        None => (SOME, point.len()),
    };
    let mut kinds = 0;
    for first in 0..KINDS.len() {
        // Another kind comes first at each point.
        let kind = KINDS[(first + point.len()) % KINDS.len()];
        if (kinds == SOME_KINDS && share.is_none()) || !cell::is_reached(point, kind) {
            continue;
        }
        kinds += 1;
        for (order, cells) in ORDERS.into_iter().zip(&mut reached) {
            for operation in Operation::all(kind) {
                number += 1;
                let always = share.is_none() && order == Order::Inside && always(point, operation);
                let tried = number % step == 0 || always;
                if tried && applies(point, order, operation) {
                    // Shown if the cell fails.
                    println!("# {point} x {} on {kind:?}, {order:?}", operation.name);
                    *cells += usize::from(cell::run(point, kind, operation, order));
                }
            }
        }
    }
    let [inside, across, first] = reached;
    println!("{inside} inside, {across} across, {first} first");
    println!("{} cells", inside + across + first);
    assert!(kinds > 0, "no tour reaches {point}");
}

fn applies(point: &str, order: Order, operation: &Operation) -> bool {
    match order {
        Order::Across => operation.own.is_some_and(|own| own != point),
        Order::Inside | Order::First => true,
    }
}
