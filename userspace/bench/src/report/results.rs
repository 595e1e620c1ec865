// SPDX-License-Identifier: MIT OR Apache-2.0

//! results.json: one object a benchmark.

use std::collections::BTreeMap;

use iostream_bench::{goal_of, Comparison, Ratio, Record, Result, Side, GOALS};
use serde::Serialize;

/// Everything, as it is written.
#[derive(Serialize)]
pub struct Results {
    /// Where it ran, and the versions of all that had a part in it.
    pub environment: BTreeMap<String, BTreeMap<String, String>>,
    /// One object a benchmark, in the order of the goals.
    pub benchmarks: Vec<Benchmark>,
}

/// One benchmark. Its own fields are those of the comparison whose goal is hardest to reach.
#[derive(Serialize)]
pub struct Benchmark {
    pub id: String,
    pub name: String,
    pub ours: Side,
    pub peer: Side,
    pub unit: String,
    /// Ours divided by the peer's.
    pub ratio: Ratio,
    pub pairs: usize,
    pub line_ns: Vec<f64>,
    pub goal: Option<String>,
    pub met: Option<bool>,
    /// All comparisons of the benchmark.
    pub comparisons: Vec<Line>,
}

/// One comparison and its goal.
#[derive(Clone, Serialize)]
pub struct Line {
    #[serde(flatten)]
    pub comparison: Comparison,
    pub goal: Option<String>,
    pub met: Option<bool>,
    /// By how much the goal is exceeded: above 1 it is met.
    #[serde(skip)]
    pub margin: f64,
}

impl Line {
    fn new(comparison: Comparison) -> Self {
        let goal = goal_of(&comparison.id, &comparison.variant);
        let met = goal.map(|goal| goal.is_met(comparison.ours.median, comparison.ratio.median));
        let margin = goal.map_or(f64::INFINITY, |goal| {
            goal.margin(comparison.ours.median, comparison.ratio.median)
        });
        Self {
            goal: goal.map(ToString::to_string),
            met,
            margin,
            comparison,
        }
    }
}

impl Results {
    /// Sorts what was printed by benchmark.
    pub fn new(records: &[Record]) -> Self {
        let mut environment = BTreeMap::new();
        let mut lines: Vec<Line> = Vec::new();
        for record in records {
            match record {
                Record::Environment(place) => {
                    environment.insert(place.place.clone(), place.facts.clone());
                }
                Record::Comparison(comparison) => lines.push(Line::new(comparison.clone())),
                Record::Point(_) | Record::Samples(_) => {}
            }
        }
        environment.insert("crates".into(), crates());
        let mut ids: Vec<&str> = GOALS.iter().map(|goal| goal.id).collect();
        ids.dedup();
        let benchmarks = ids
            .into_iter()
            .filter_map(|id| Benchmark::new(lines.iter().filter(|l| l.comparison.id == id)))
            .collect();
        Self {
            environment,
            benchmarks,
        }
    }

    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

impl Benchmark {
    fn new<'a>(lines: impl Iterator<Item = &'a Line>) -> Option<Self> {
        let comparisons: Vec<Line> = lines.cloned().collect();
        let hardest = comparisons
            .iter()
            .min_by(|a, b| a.margin.total_cmp(&b.margin))?
            .clone();
        let comparison = hardest.comparison;
        Some(Self {
            id: comparison.id,
            name: comparison.name,
            ours: comparison.ours,
            peer: comparison.peer,
            unit: comparison.unit,
            ratio: comparison.ratio,
            pairs: comparison.pairs,
            line_ns: comparison.line_ns,
            goal: hardest.goal,
            met: hardest.met,
            comparisons,
        })
    }
}

/// The versions of the crates that are compared or that measure.
fn crates() -> BTreeMap<String, String> {
    const NAMED: [&str; 9] = [
        "bbqueue",
        "criterion",
        "crossbeam-queue",
        "io-uring",
        "iostream",
        "libbpf-rs",
        "libbpf-sys",
        "ringbuf",
        "rtrb",
    ];
    let mut versions = BTreeMap::new();
    let mut name = "";
    for line in include_str!("../../Cargo.lock").lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value.trim_matches('"');
        } else if let Some(value) = line.strip_prefix("version = ") {
            if NAMED.contains(&name) {
                versions.insert(name.into(), value.trim_matches('"').into());
            }
        }
    }
    versions
}
