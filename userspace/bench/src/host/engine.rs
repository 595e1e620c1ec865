// SPDX-License-Identifier: MIT OR Apache-2.0

//! Criterion measures ours and the peers in turn; this reads its estimates.

use std::path::PathBuf;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use iostream_bench::Result;

/// Measures with criterion, each time under another name.
pub struct Engine {
    folder: PathBuf,
    measured: usize,
}

impl Engine {
    /// Criterion's own files go into this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            measured: 0,
        }
    }

    /// Nanoseconds of an iteration. `run` does the number of iterations that it is given, and
    /// returns the time that they took.
    ///
    /// # Errors
    ///
    /// Criterion left no estimate.
    pub fn ns_per_iteration(&mut self, run: impl Fn(u64) -> Duration) -> Result<f64> {
        self.measured += 1;
        let name = format!("run-{}", self.measured);
        let mut criterion = Criterion::default()
            .output_directory(&self.folder)
            .without_plots()
            .sample_size(10)
            .nresamples(1001)
            .warm_up_time(Duration::from_millis(100))
            .measurement_time(Duration::from_millis(500));
        let mut group = criterion.benchmark_group("host");
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function(&name, |bencher| bencher.iter_custom(&run));
        group.finish();
        let file = self
            .folder
            .join("host")
            .join(&name)
            .join("new/estimates.json");
        let estimates: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
        let median = estimates["median"]["point_estimate"].as_f64();
        Ok(median.ok_or("criterion left no estimate")?)
    }
}
