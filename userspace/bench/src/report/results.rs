// SPDX-License-Identifier: MIT OR Apache-2.0

//! results.json: one object for each benchmark.

use std::collections::BTreeMap;

use iostream_bench::{goal_of, Comparison, Ratio, Record, Result, Side, GOALS};
use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Clone, Serialize, Deserialize)]
pub struct Results {
    /// Facts about each place of the run, and the versions of the crates.
    pub environment: BTreeMap<String, BTreeMap<String, String>>,
    /// The benchmarks, in the order of the goals.
    pub benchmarks: Vec<Benchmark>,
}

/// One benchmark. Its own fields are those of the comparison whose goal is hardest to reach.
#[derive(Clone, Serialize, Deserialize)]
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
    #[serde(default = "yes")]
    pub steady: bool,
    pub goal: Option<String>,
    pub met: Option<bool>,
    /// All comparisons of the benchmark.
    pub comparisons: Vec<Line>,
}

fn yes() -> bool {
    true
}

/// One comparison and its goal.
#[derive(Clone, Serialize, Deserialize)]
pub struct Line {
    #[serde(flatten)]
    pub comparison: Comparison,
    pub goal: Option<String>,
    pub met: Option<bool>,
    /// How far the value exceeds the goal: above 1 the goal is met.
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
    /// Sorts the printed records by benchmark.
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
        // Those without a goal come last.
        let without = lines.iter().map(|line| line.comparison.id.as_str());
        let mut ids: Vec<&str> = Vec::new();
        for id in GOALS.iter().map(|goal| goal.id).chain(without) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let benchmarks = ids
            .into_iter()
            .filter_map(|id| Benchmark::new(lines.iter().filter(|l| l.comparison.id == id)))
            .collect();
        Self {
            environment,
            benchmarks,
        }
    }

    /// The file: one line for each place and each comparison.
    pub fn to_json(&self) -> Result<String> {
        let mut places = Vec::new();
        for (place, facts) in &self.environment {
            let facts = serde_json::to_string(facts)?;
            places.push(format!("    {}: {facts}", serde_json::to_string(place)?));
        }
        let mut benchmarks = Vec::new();
        for benchmark in &self.benchmarks {
            benchmarks.push(benchmark.to_json()?);
        }
        Ok(format!(
            "{{\n  \"environment\": {{\n{}\n  }},\n  \"benchmarks\": [\n{}\n  ]\n}}",
            places.join(",\n"),
            benchmarks.join(",\n")
        ))
    }

    /// Reads the file.
    ///
    /// # Errors
    ///
    /// A field is missing, or a comparison lacks a value of one of its pairs.
    pub fn from_json(text: &str) -> Result<Self> {
        let results: Self = serde_json::from_str(text)?;
        for line in results.benchmarks.iter().flat_map(|b| &b.comparisons) {
            let c = &line.comparison;
            if c.pairs == 0 || c.line_ns.len() != c.pairs {
                return Err(format!("{} {}: a pair lacks its line_ns", c.id, c.variant).into());
            }
        }
        Ok(results)
    }
}

impl Benchmark {
    fn to_json(&self) -> Result<String> {
        let mut comparisons = Vec::new();
        for line in &self.comparisons {
            comparisons.push(format!("      {}", serde_json::to_string(line)?));
        }
        let alone = Self {
            comparisons: Vec::new(),
            ..self.clone()
        };
        let alone = serde_json::to_string(&alone)?;
        // Its last field is the empty list of comparisons.
        let head = alone.trim_end_matches("]}");
        Ok(format!("    {head}\n{}\n    ]}}", comparisons.join(",\n")))
    }

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
            steady: comparison.steady,
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
        "iostream-client",
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
