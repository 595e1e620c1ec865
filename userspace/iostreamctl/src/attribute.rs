// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reading the files of sysfs, each of which holds one value.

use std::fs;
use std::path::Path;

/// The content of a file without the newline at its end; `None` if it cannot be read.
pub fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

/// The number in a file; `None` if there is none.
pub fn number(path: &Path) -> Option<u64> {
    text(path)?.parse().ok()
}
