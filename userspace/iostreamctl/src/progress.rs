// SPDX-License-Identifier: MIT OR Apache-2.0

//! A line that shows progress and speed. It appears only on a terminal, and changes only while
//! something moves.

use indicatif::{ProgressBar, ProgressStyle};

/// How many bytes are moved between two updates.
const STEP_BYTES: u64 = 64 * 1024;

/// The progress of moving bytes.
pub struct Progress {
    bar: ProgressBar,
    bytes: u64,
    shown: u64,
}

impl Progress {
    /// Starts a line, of `total` bytes if that is known. It stays hidden if `quiet`, or if standard
    /// error is not a terminal.
    pub fn new(total: Option<u64>, quiet: bool) -> Self {
        let bar = match (quiet, total) {
            (true, _) => ProgressBar::hidden(),
            // Drawn to standard error, and only if that is a terminal.
            (false, Some(total)) => ProgressBar::new(total),
            (false, None) => ProgressBar::no_length(),
        };
        let template = if total.is_some() {
            "{bar:30} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left"
        } else {
            "{spinner} {binary_bytes}, {binary_bytes_per_sec}, {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            bytes: 0,
            shown: 0,
        }
    }

    /// Counts bytes that were moved.
    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.bytes - self.shown >= STEP_BYTES {
            self.shown = self.bytes;
            self.bar.set_position(self.bytes);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
