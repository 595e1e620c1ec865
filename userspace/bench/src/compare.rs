// SPDX-License-Identifier: MIT OR Apache-2.0

//! Measures ours and the peers in turn.

use std::io::Write;

use crate::{line_ns, Comparison, Pair, Point, Ratio, Record, Result, Side};

/// One measurement: a rate, a time, a count.
pub type Measure<'a> = Box<dyn FnMut() -> Result<f64> + 'a>;

/// One of the programs that are compared.
pub struct Contender<'a> {
    /// The comparison of the benchmark that it is for; empty for ours.
    variant: &'static str,
    name: &'static str,
    /// The settings to try. The warm-up chooses the fastest.
    settings: Vec<(String, Measure<'a>)>,
}

impl<'a> Contender<'a> {
    /// Ours, with the recommended settings.
    pub fn ours(settings: impl Into<String>, measure: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self::peer("", "iostream").at(settings, measure)
    }

    /// A peer; [`Self::at`] adds its settings.
    pub fn peer(variant: &'static str, name: &'static str) -> Self {
        Self {
            variant,
            name,
            settings: Vec::new(),
        }
    }

    /// Adds one setting to try.
    pub fn at(
        mut self,
        settings: impl Into<String>,
        measure: impl FnMut() -> Result<f64> + 'a,
    ) -> Self {
        self.settings.push((settings.into(), Box::new(measure)));
        self
    }

    /// Runs each setting once and keeps the best.
    fn warm_up(&mut self, higher_is_better: bool) -> Result<()> {
        let mut best: Option<(f64, usize)> = None;
        for (i, (_, measure)) in self.settings.iter_mut().enumerate() {
            let value = measure()?;
            let better = best.is_none_or(|(best, _)| (value > best) == higher_is_better);
            if better {
                best = Some((value, i));
            }
        }
        if let Some((_, i)) = best {
            self.settings.swap(0, i);
            self.settings.truncate(1);
        }
        Ok(())
    }

    fn measure(&mut self) -> Result<f64> {
        let (_, measure) = self.settings.first_mut().ok_or("nobody to measure")?;
        measure()
    }

    fn side(&self, values: &[f64]) -> Side {
        Side {
            name: self.name.into(),
            settings: self
                .settings
                .first()
                .map(|s| s.0.clone())
                .unwrap_or_default(),
            median: median(values),
            values: values.to_vec(),
        }
    }
}

/// Runs benchmarks, reports progress, and prints the results.
pub struct Harness {
    /// The ids of the benchmarks that run, separated by `|`; without it all run.
    only: Option<String>,
    pairs: usize,
    progress: bool,
}

impl Harness {
    /// Runs all benchmarks, or those whose ids `only` lists, separated by `|`; `pairs` of each.
    pub fn new(only: Option<String>, pairs: usize) -> Self {
        Self {
            only: only.filter(|only| !only.is_empty()),
            pairs,
            progress: true,
        }
    }

    /// Whether a benchmark, or the curves of growth, are to be run.
    pub fn wants(&self, id: &str) -> bool {
        self.only
            .as_deref()
            .is_none_or(|only| only.split('|').any(|wanted| wanted == id))
    }

    /// The number of pairs that are measured.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    /// Reports progress, in a line that begins with `#` and is no result.
    pub fn say(&self, text: &str) {
        if self.progress {
            println!("# {text}");
            let _ = std::io::stdout().flush();
        }
    }

    /// Measures ours and each peer in turn, and prints one comparison for each peer.
    ///
    /// A pair between whose measurements the machine changed its state counts as thrown away, and
    /// another one is measured for it.
    ///
    /// # Errors
    ///
    /// The error of the measurement that failed.
    pub fn compare(
        &self,
        id: &str,
        name: &str,
        unit: &str,
        mut ours: Contender<'_>,
        mut peers: Vec<Contender<'_>>,
    ) -> Result<()> {
        self.say(&format!("{id} warm-up"));
        let higher = unit.ends_with("/s");
        ours.warm_up(higher)?;
        for peer in &mut peers {
            peer.warm_up(higher)?;
        }
        let mut pairs = vec![Vec::<Pair>::new(); peers.len()];
        let kept = |pairs: &[Pair]| pairs.iter().filter(|pair| pair.in_one_state()).count();
        for round in 0..self.pairs * ROUNDS {
            let least = pairs.iter().map(|pairs| kept(pairs)).min();
            if least.unwrap_or(self.pairs) >= self.pairs {
                break;
            }
            self.say(&format!("{id} round {}", round + 1));
            let begun = line_ns()?;
            let our_value = ours.measure()?;
            let mut before = line_ns()?;
            let ours_in = [begun, before];
            for (peer, pairs) in peers.iter_mut().zip(&mut pairs) {
                if kept(pairs) >= self.pairs {
                    continue;
                }
                let peer_value = peer.measure()?;
                let after = line_ns()?;
                pairs.push(Pair {
                    ours: our_value,
                    peer: peer_value,
                    line_ns: [ours_in[0], ours_in[1], before, after],
                });
                before = after;
            }
        }
        for (peer, pairs) in peers.iter().zip(pairs) {
            let (mut kept, mut thrown_away): (Vec<_>, Vec<_>) =
                pairs.into_iter().partition(Pair::in_one_state);
            let steady = !kept.is_empty();
            if !steady {
                std::mem::swap(&mut kept, &mut thrown_away);
            }
            let side = |of: fn(&Pair) -> f64| kept.iter().map(of).collect::<Vec<_>>();
            let lines: Vec<f64> = kept.iter().map(|pair| median(&pair.line_ns)).collect();
            let compared = Comparison {
                thrown_away,
                steady,
                ..compared(
                    (id, peer.variant, name, unit),
                    ours.side(&side(|pair| pair.ours)),
                    peer.side(&side(|pair| pair.peer)),
                    &lines,
                )
            };
            Record::Comparison(compared).print();
        }
        Ok(())
    }

    /// Measures one point of a curve a few times and prints it. As in a comparison, a warm-up
    /// chooses the fastest setting of the contender, whose name is that of the curve.
    ///
    /// # Errors
    ///
    /// The error of the measurement.
    pub fn point(&self, figure: &str, x: f64, mut contender: Contender<'_>) -> Result<()> {
        let curve = contender.name;
        self.say(&format!("{figure}: {curve} at {x}"));
        contender.warm_up(true)?;
        let mut values = Vec::new();
        for _ in 0..self.pairs.min(3) {
            values.push(contender.measure()?);
        }
        let (low, high) = bounds(&values);
        Record::Point(Point {
            figure: figure.into(),
            curve: curve.into(),
            x,
            y: median(&values),
            low,
            high,
        })
        .print();
        Ok(())
    }
}

/// Rounds for each pair that is wanted: the machine may change its state in the others.
const ROUNDS: usize = 3;

/// Compares values that were measured in pairs: those of the benchmark with this id, variant, name
/// and unit. `line_ns` has the state of the machine in each pair.
pub fn compared(
    (id, variant, name, unit): (&str, &str, &str, &str),
    ours: Side,
    peer: Side,
    line_ns: &[f64],
) -> Comparison {
    let ratios: Vec<f64> = ours
        .values
        .iter()
        .zip(&peer.values)
        // Two zeros are equal: their ratio is 1.
        .map(|(a, b)| if a == b { 1.0 } else { a / b })
        .collect();
    let (min, max) = bounds(&ratios);
    Comparison {
        id: id.into(),
        variant: variant.into(),
        name: name.into(),
        pairs: ratios.len(),
        ratio: Ratio {
            median: median(&ratios),
            min,
            max,
        },
        ours,
        peer,
        unit: unit.into(),
        line_ns: line_ns.to_vec(),
        thrown_away: Vec::new(),
        steady: true,
    }
}

/// The median.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this share of all values lies, interpolated; NaN of no values.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = share * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

fn bounds(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        })
}
