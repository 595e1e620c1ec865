// SPDX-License-Identifier: MIT OR Apache-2.0

//! Counters by name, from sysfs or fdinfo.

use std::path::Path;

use serde_json::{Map, Value};

use crate::attribute::number;

/// The counters of one queue or stream, with the kernel's names and in the kernel's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(Vec<(String, u64)>);

impl Counters {
    /// No counters.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Reads the counters that have a file in a folder of sysfs.
    pub fn read(directory: &Path, names: &[&str]) -> Self {
        let read = |name: &&str| Some(((*name).to_owned(), number(&directory.join(name))?));
        names.iter().filter_map(read).collect()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(name, n)| (name.as_str(), *n))
    }

    fn find(&self, name: &str) -> Option<u64> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, n)| n)
    }

    /// The value of a counter; 0 if there is no such counter.
    pub fn get(&self, name: &str) -> u64 {
        self.find(name).unwrap_or(0)
    }

    /// The value of a counter as text; `-` if there is no such counter.
    pub fn text(&self, name: &str) -> String {
        self.find(name).map_or("-".to_owned(), |n| n.to_string())
    }

    /// The counters as a JSON object.
    pub fn json(&self) -> Value {
        let pairs = self.iter().map(|(name, n)| (name.to_owned(), n.into()));
        Value::Object(pairs.collect::<Map<_, _>>())
    }
}

impl FromIterator<(String, u64)> for Counters {
    fn from_iter<I: IntoIterator<Item = (String, u64)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_is_missing_is_told_from_zero() {
        let counters: Counters = [("full".to_owned(), 0)].into_iter().collect();
        assert_eq!((counters.get("full"), counters.get("lost")), (0, 0));
        assert_eq!(
            (&*counters.text("full"), &*counters.text("lost")),
            ("0", "-")
        );
    }
}
