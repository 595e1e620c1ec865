// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tables: for the terminal, for the documentation, and of how cost grows.

use std::collections::BTreeMap;
use std::fmt::Write;

use iostream_bench::{median, Comparison, Record, GOALS};

use crate::results::{Benchmark, Line, Results};

/// The table for the terminal: one line for each comparison.
pub fn text(results: &Results) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:5} {:27} {:>10} {:>10} {:12} {:>8} {:>15} {:>8} {:>8}  peer",
        "id", "", "ours", "peer", "", "ratio", "min-max", "a line", "goal"
    );
    for line in all(results) {
        let c = &line.comparison;
        let _ = writeln!(
            out,
            "{:5} {:27} {:>10} {:>10} {:12} {:>8} {:>15} {:>8} {:>8}  {} {}",
            c.id,
            c.variant,
            number(c.ours.median),
            number(c.peer.median),
            c.unit,
            ratio(c.ratio.median),
            format!("{}-{}", ratio(c.ratio.min), ratio(c.ratio.max)),
            format!("{:.0} ns", median(&c.line_ns)),
            line.goal.as_deref().unwrap_or(""),
            verdict(line),
            peer(line),
        );
    }
    for id in missing(results) {
        let _ = writeln!(out, "{id:5} not measured");
    }
    out
}

/// Which table goes into the documentation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Markdown {
    /// Every comparison.
    All,
    /// Of each benchmark the comparison whose goal is hardest to reach.
    Hardest,
}

/// A table in Markdown.
pub fn markdown(results: &Results, which: Markdown) -> String {
    let (title, rule) = match which {
        Markdown::All => (" a line |", "---:|"),
        Markdown::Hardest => ("", ""),
    };
    let mut out = format!(
        "| | what | iostream | peer | ours / peer (min to max) |{title} goal |\n\
         |---|---|---:|---:|---:|{rule}---|\n"
    );
    for benchmark in &results.benchmarks {
        match which {
            Markdown::All => benchmark.comparisons.iter().for_each(|line| {
                let c = &line.comparison;
                let name = format!("{}; {}", c.name, c.variant);
                let ns = format!(" {:.0} ns |", median(&c.line_ns));
                row(&mut out, line, &name, &ns);
            }),
            Markdown::Hardest => row(&mut out, &hardest(benchmark), &benchmark.name, ""),
        }
    }
    out
}

/// The benchmark's own fields, as a line of the table.
fn hardest(benchmark: &Benchmark) -> Line {
    let b = benchmark.clone();
    Line {
        comparison: Comparison {
            id: b.id,
            variant: String::new(),
            name: b.name,
            ours: b.ours,
            peer: b.peer,
            unit: b.unit,
            ratio: b.ratio,
            pairs: b.pairs,
            line_ns: b.line_ns,
            thrown_away: Vec::new(),
            steady: b.steady,
        },
        goal: b.goal,
        met: b.met,
        margin: 0.0,
    }
}

fn row(out: &mut String, line: &Line, name: &str, ns: &str) {
    let c = &line.comparison;
    let met = match line.met {
        _ if !c.steady => ", **the machine changed in every pair**",
        Some(true) => ", met",
        Some(false) => ", **not met**",
        None => "",
    };
    let _ = writeln!(
        out,
        "| {} | {name} | {} | {}: {} {} | {:.2} ({:.2} to {:.2}) |{ns} {}{met} |",
        c.id,
        number(c.ours.median),
        c.peer.name,
        number(c.peer.median),
        c.unit,
        c.ratio.median,
        c.ratio.min,
        c.ratio.max,
        line.goal.as_deref().unwrap_or(""),
    );
}

/// How cost grows: one table for each figure, one line for each value of what varies.
pub fn growth(records: &[Record]) -> String {
    type Curves<'a> = BTreeMap<&'a str, BTreeMap<u64, f64>>;
    let mut figures: BTreeMap<&str, Curves<'_>> = BTreeMap::new();
    for record in records {
        if let Record::Point(point) = record {
            let curves = figures.entry(&point.figure).or_default();
            let curve = curves.entry(&point.curve).or_default();
            curve.insert(point.x as u64, point.y);
        }
    }
    let mut out = String::new();
    for (figure, curves) in figures {
        let names: Vec<&str> = curves.keys().copied().collect();
        let _ = writeln!(out, "\n| {figure} | {} |", names.join(" | "));
        let _ = writeln!(out, "|---:|{}", "---:|".repeat(names.len()));
        let mut values: Vec<u64> = curves.values().flat_map(|c| c.keys().copied()).collect();
        values.sort_unstable();
        values.dedup();
        for x in values {
            let _ = write!(out, "| {x} |");
            for curve in curves.values() {
                let value = curve.get(&x).map_or(String::new(), |y| number(*y));
                let _ = write!(out, " {value} |");
            }
            out.push('\n');
        }
    }
    out
}

fn all(results: &Results) -> impl Iterator<Item = &Line> {
    results.benchmarks.iter().flat_map(|b| &b.comparisons)
}

fn missing(results: &Results) -> Vec<&'static str> {
    let mut ids: Vec<&str> = GOALS.iter().map(|goal| goal.id).collect();
    ids.dedup();
    ids.retain(|id| results.benchmarks.iter().all(|b| b.id != *id));
    ids
}

fn peer(line: &Line) -> String {
    let (peer, thrown_away) = (&line.comparison.peer, line.comparison.thrown_away.len());
    let thrown_away = match thrown_away {
        0 => String::new(),
        1 => " (1 pair thrown away)".into(),
        n => format!(" ({n} pairs thrown away)"),
    };
    format!("{}: {}{thrown_away}", peer.name, peer.settings)
}

fn verdict(line: &Line) -> &'static str {
    match line.met {
        _ if !line.comparison.steady => "unsteady",
        Some(true) => "met",
        Some(false) => "not met",
        None => "",
    }
}

fn ratio(value: f64) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    format!("{value:.2}×")
}

/// Three digits, and a letter for the power of a thousand.
fn number(value: f64) -> String {
    let (value, letter) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "G"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let places = match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.places$}{letter}")
}
