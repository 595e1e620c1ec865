// SPDX-License-Identifier: MIT OR Apache-2.0

//! How often functions of iostream.ko are called, counted by kprobes.

use std::fs::{read_to_string, OpenOptions};
use std::io::Write;
use std::path::Path;

use crate::clause::skip;

const TRACING: &str = "/sys/kernel/tracing";
const GROUP: &str = "iostream_selftests";

fn append(file: &str, text: &str) {
    let path = Path::new(TRACING).join(file);
    let file = OpenOptions::new().append(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.unwrap_or_else(|error| panic!("{text} to {}: {error}", path.display()));
}

/// Counts calls of functions of iostream.ko until dropped.
pub struct FunctionCalls(Vec<&'static str>);

impl FunctionCalls {
    /// Skips the clause where the kernel has no kprobes.
    pub fn count(functions: &[&'static str]) -> Self {
        if !Path::new(TRACING).join("kprobe_events").exists() {
            skip("this kernel has no kprobes");
        }
        let mut calls = Self(Vec::new());
        for &function in functions {
            append(
                "kprobe_events",
                &format!("p:{GROUP}/{function} iostream:{function}\n"),
            );
            calls.0.push(function);
            append(&format!("events/{GROUP}/{function}/enable"), "1");
        }
        calls
    }

    /// Calls so far. Fails if the kernel missed any.
    pub fn of(&self, function: &str) -> u64 {
        let profile = read_to_string(Path::new(TRACING).join("kprobe_profile")).expect("profile");
        let mut lines = profile.lines().map(|line| line.split_whitespace());
        let mut line = lines.find(|line| line.clone().next() == Some(function));
        let line = line.as_mut().expect("a probe that is set");
        let (hits, misses) = (line.nth(1).unwrap(), line.next().unwrap());
        assert_eq!(misses, "0", "missed calls of {function}");
        hits.parse().unwrap()
    }
}

impl Drop for FunctionCalls {
    fn drop(&mut self) {
        for function in &self.0 {
            append(&format!("events/{GROUP}/{function}/enable"), "0");
            append("kprobe_events", &format!("-:{GROUP}/{function}\n"));
        }
    }
}
