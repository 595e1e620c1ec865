// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-12: latency under load.

use std::rc::Rc;

use iostream_bench::{compared, line_ns, median, quantile, Harness, Record, Result, Side};

use crate::paced::{self, Eventfd, Ours, Ring, Way};

/// The loads. At 100 % an entry would be due whenever the slowest consumer of all has been woken for
/// the one before it.
const LOADS: [(f64, [&str; 6]); 3] = [
    (
        0.1,
        [
            "10 %: BPF, p50",
            "10 %: BPF, p99",
            "10 %: BPF, p99.9",
            "10 %: eventfd, p50",
            "10 %: eventfd, p99",
            "10 %: eventfd, p99.9",
        ],
    ),
    (
        0.5,
        [
            "50 %: BPF, p50",
            "50 %: BPF, p99",
            "50 %: BPF, p99.9",
            "50 %: eventfd, p50",
            "50 %: eventfd, p99",
            "50 %: eventfd, p99.9",
        ],
    ),
    (
        0.9,
        [
            "90 %: BPF, p50",
            "90 %: BPF, p99",
            "90 %: BPF, p99.9",
            "90 %: eventfd, p50",
            "90 %: eventfd, p99",
            "90 %: eventfd, p99.9",
        ],
    ),
];
const QUANTILES: [f64; 3] = [0.5, 0.99, 0.999];
/// Entries of a measurement, five of which lie above the highest quantile; and the turns that they are
/// split into, because the machine changes from one second to the next.
const ENTRIES: u64 = 5000;
const TURNS: usize = 10;

/// Measures all loads.
pub fn run(harness: &Harness) -> Result<()> {
    if !harness.wants("G-12") {
        return Ok(());
    }
    let ring: Rc<dyn Way> = Rc::new(Ring::new()?);
    // Ours and the eventfd have the same node, so they are made anew for each turn.
    /// What makes a way ready.
    type Make = Box<dyn Fn() -> Result<Rc<dyn Way>>>;
    let make: [(&str, Make); 3] = [
        ("iostream", Box::new(|| Ok(Rc::new(Ours::new()?)))),
        ("BPF ring buffer", Box::new(move || Ok(ring.clone()))),
        (
            "shared memory and an eventfd",
            Box::new(|| Ok(Rc::new(Eventfd::new()?))),
        ),
    ];
    harness.say("G-12 warm-up");
    let mut slowest_ns = 0.0f64;
    for (_, make) in &make {
        slowest_ns = slowest_ns.max(paced::rare(&*make()?)?);
    }
    for (load, variants) in LOADS {
        let period_ns = (slowest_ns / load) as u64;
        let mut values = [const { [const { Vec::new() }; 3] }; 3];
        let mut lines = Vec::new();
        for pair in 0..harness.pairs() {
            harness.say(&format!("G-12 at {load}, pair {}", pair + 1));
            lines.push(line_ns()?);
            let mut pooled = [const { Vec::new() }; 3];
            for turn in 0..TURNS {
                // Each contender goes first equally often.
                for i in 0..make.len() {
                    let i = (i + turn) % make.len();
                    let way = (make[i].1)()?;
                    let count = ENTRIES / TURNS as u64;
                    pooled[i].extend(paced::run(&*way, count, period_ns)?.0);
                }
            }
            for (latencies, values) in pooled.iter().zip(&mut values) {
                for (values, share) in values.iter_mut().zip(QUANTILES) {
                    values.push(quantile(latencies, share));
                }
            }
        }
        let side = |i: usize, at: usize| Side {
            name: make[i].0.into(),
            settings: format!("an entry every {period_ns} ns, looks and pauses, then epoll"),
            median: median(&values[i][at]),
            values: values[i][at].clone(),
        };
        let name = "8-byte records at a steady rate: due until read";
        for (i, variant) in variants.into_iter().enumerate() {
            let (peer, at) = (1 + i / QUANTILES.len(), i % QUANTILES.len());
            let about = ("G-12", variant, name, "ns");
            let compared = compared(about, side(0, at), side(peer, at), &lines);
            Record::Comparison(compared).print();
        }
    }
    Ok(())
}
