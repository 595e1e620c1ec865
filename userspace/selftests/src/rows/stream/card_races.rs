// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-19: a buffer's mapping for QEMU's edu card, while it is made, used or ended, against everything
//! that ends it: a thread is held at each race point of `memory/dma.rs`, and meanwhile another one
//! does everything else. What stays mapped, or is used afterwards, the bug-hunting kernel finds: the
//! lists of an unmapped table are freed, those of a forgotten one leak.

use std::sync::{Arc, Mutex};
use std::thread::{spawn, JoinHandle};
use std::time::{Duration, Instant};

use iostream_raw::{node_called, Session};
use rustix::fs::OFlags;
use rustix::io::{Errno, Result};

use super::card::round_trip;
use crate::clause::{long, Clause};
use crate::support::card::{device, name, pci, try_pci, unload, Card};
use crate::support::memory::wait_for_no_pages;
use crate::support::race::{points, RacePoint};
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[Clause::slow("S-19/held-races-of-mappings", 600, held_races)];

/// A thread that has not ended by then waits for the held one.
const PATIENCE: Duration = Duration::from_millis(300);

/// What a program or the system does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Open,
    Start,
    Send,
    Stop,
    Close,
    Unbind,
    Remove,
    Unload,
}
use Step::*;

const STEPS: [Step; 8] = [Open, Start, Send, Stop, Close, Unbind, Remove, Unload];

/// The points of the mappings, and the steps that reach each, of which a short run takes the first.
const POINTS: [(&str, &[Step]); 7] = [
    ("dma-closed", &[Unbind, Remove, Unload]),
    ("dma-closing", &[Unbind, Remove, Unload]),
    ("dma-mapped", &[Open]),
    ("dma-maps", &[Open]),
    ("dma-syncs", &[Send, Start]),
    ("dma-unbound", &[Unbind, Remove, Unload]),
    ("dma-unmaps", &[Close]),
];

/// The session of a cell.
type Slot = Arc<Mutex<Option<Arc<Session>>>>;

impl Step {
    /// Whether nothing is mapped for the card after it.
    fn ends_mappings(self) -> bool {
        matches!(self, Unbind | Remove | Unload)
    }

    /// The steps before it.
    fn needs(self) -> &'static [Step] {
        match self {
            Open => &[],
            Start => &[Open],
            _ => &[Open, Start],
        }
    }

    fn run(self, slot: &Slot) -> Result<()> {
        let session = || slot.lock().unwrap().clone().ok_or(Errno::BADF);
        match self {
            Open => {
                let node = node_called("edu").ok_or(Errno::NOENT)?;
                let opened = Session::open(node, OFlags::RDWR | OFlags::NONBLOCK)?;
                slot.lock().unwrap().get_or_insert(Arc::new(opened));
                Ok(())
            }
            Start => session()?.start(),
            Send => session()?.write(&[1; 64]).map(drop),
            Stop => session()?.stop().map(drop),
            Close => {
                let session = slot.lock().unwrap().take();
                drop(session);
                Ok(())
            }
            Unbind => {
                let name = name().ok_or(Errno::NODEV)?;
                try_pci("drivers/iostream_edu/unbind", &name)
            }
            Remove => {
                let name = name().ok_or(Errno::NODEV)?;
                try_pci(&format!("devices/{name}/remove"), "1")
            }
            Unload => {
                unload();
                Ok(())
            }
        }
    }

    fn start(self, slot: &Slot) -> JoinHandle<Result<()>> {
        let slot = slot.clone();
        spawn(move || self.run(&slot))
    }
}

/// Errors of a step that meets another one.
const MAY: [Errno; 9] = [
    Errno::BADF,
    Errno::NODEV,
    Errno::NXIO,
    Errno::NOENT,
    Errno::BUSY,
    Errno::AGAIN,
    Errno::ALREADY,
    Errno::NOTCONN,
    Errno::SHUTDOWN,
];

fn held_races() {
    let mut there = points();
    there.retain(|point| point.starts_with("dma-"));
    there.sort();
    assert_eq!(there, POINTS.map(|(point, _)| point), "points, their steps");
    for (point, ways) in POINTS {
        let tried = if long() { ways.len() } else { 1 };
        for &way in &ways[..tried] {
            for other in STEPS {
                if other != way {
                    cell(point, way, other);
                }
            }
        }
    }
}

/// Holds the thread that does `way` at a point, while `other` is done.
fn cell(point: &'static str, way: Step, other: Step) {
    let case = format!("{point} of {way:?}, {other:?}");
    let card = Card::new();
    let slot = Slot::default();
    for step in way.needs() {
        step.run(&slot).expect("nothing disturbs it");
    }
    let held = RacePoint::set(point);
    let first = way.start(&slot);
    // Or one that works for it. With interrupts disabled it goes on by itself after a moment.
    wait_until(&format!("{case}: held"), || held.has_held());
    let second = other.start(&slot);
    let start = Instant::now();
    while !second.is_finished() && start.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    // The held thread uses a mapping, or has the lock of all.
    if ["dma-mapped", "dma-syncs"].contains(&point) && other.ends_mappings() {
        // In this order: the point gives up at some time.
        let unmapped = second.is_finished() && held.is_held();
        assert!(!unmapped, "{case}: it ended before the held thread");
    }
    drop(held);
    for (step, thread) in [(way, first), (other, second)] {
        wait_until(&format!("{case}: {step:?} ends"), || thread.is_finished());
        let result = thread.join().expect("no panic");
        let allowed = result.map_or_else(|error| MAY.contains(&error), |()| true);
        assert!(allowed, "{case}: {step:?}: {result:?}");
    }
    Close.run(&slot).expect("close");
    restore(&card);
    round_trip(&card);
    drop(card);
    wait_for_no_pages();
}

/// Brings the card and its driver back.
fn restore(card: &Card) {
    if device().is_none() {
        pci("rescan", "1");
    }
    if !Card::is_loaded() {
        card.insert_module();
    }
    if card.node().is_none() {
        // The rescan may have bound it.
        let _ = try_pci("drivers/iostream_edu/bind", &name().expect("the card"));
    }
    card.wait_node();
}
