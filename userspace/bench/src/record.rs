// SPDX-License-Identifier: MIT OR Apache-2.0

//! The output of a measuring program, one JSON object a line, which the report reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of output.
#[allow(
    clippy::large_enum_variant,
    reason = "there are some dozens of them in a run"
)]
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    /// Ours against one peer.
    Comparison(Comparison),
    /// A point of a curve.
    Point(Point),
    /// A distribution.
    Samples(Samples),
    /// Facts about the place of the run.
    Environment(Environment),
}

/// One side of a comparison.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Side {
    /// The name of the program or crate.
    pub name: String,
    /// The settings it ran with.
    pub settings: String,
    /// The median of its values.
    pub median: f64,
    /// One value for each pair, in the order of measuring.
    pub values: Vec<f64>,
}

/// Our value divided by the peer's, pair by pair.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ratio {
    /// The median of all pairs.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// Ours against one peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The id of the benchmark, as in the list of goals: `G-1`.
    pub id: String,
    /// The name of this comparison among those of the benchmark.
    pub variant: String,
    /// What is measured.
    pub name: String,
    /// Ours.
    pub ours: Side,
    /// The peer.
    pub peer: Side,
    /// The unit of all values.
    pub unit: String,
    /// Ours divided by the peer's.
    pub ratio: Ratio,
    /// The number of pairs that were measured, after a warm-up of each side.
    pub pairs: usize,
    /// The state of the machine in each pair: the nanoseconds that a cache line took from one
    /// processor to the other, as the median of the looks at it.
    pub line_ns: Vec<f64>,
    /// The pairs that count for nothing, because the machine changed its state in them.
    #[serde(default)]
    pub thrown_away: Vec<Pair>,
    /// False if the machine changed its state in every pair, so that all of them count.
    #[serde(default = "yes")]
    pub steady: bool,
}

fn yes() -> bool {
    true
}

/// One measurement of ours and one of the peer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pair {
    /// Ours.
    pub ours: f64,
    /// The peer's.
    pub peer: f64,
    /// Nanoseconds that a cache line took from one processor to the other: before and after ours,
    /// before and after the peer.
    pub line_ns: [f64; 4],
}

impl Pair {
    /// The factor between two looks beyond which the machine has changed its state: its processors
    /// lie farther apart now, or somebody else uses them.
    const CHANGED: f64 = 1.5;

    /// Whether the machine was in one state.
    pub fn in_one_state(&self) -> bool {
        let least = self.line_ns.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.line_ns.iter().copied().fold(0.0, f64::max);
        most <= least * Self::CHANGED
    }
}

/// A point of a curve.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Point {
    /// The picture or table that it belongs to.
    pub figure: String,
    /// The curve in it.
    pub curve: String,
    /// The value that varies.
    pub x: f64,
    /// The median of the measurements.
    pub y: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
}

/// A distribution.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Samples {
    /// The picture that it belongs to.
    pub figure: String,
    /// The curve in it.
    pub curve: String,
    /// The values, in the order of measuring.
    pub values: Vec<f64>,
}

/// Facts about the place of the run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Environment {
    /// `guest` or `host`.
    pub place: String,
    /// Facts by name: kernel, processor, versions.
    pub facts: BTreeMap<String, String>,
}

impl Record {
    /// Prints the line.
    pub fn print(&self) {
        match serde_json::to_string(self) {
            Ok(line) => println!("{line}"),
            Err(error) => eprintln!("a result that cannot be printed: {error}"),
        }
    }
}
