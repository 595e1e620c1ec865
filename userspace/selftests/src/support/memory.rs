// SPDX-License-Identifier: MIT OR Apache-2.0

//! What sessions cost: pages, and what a cgroup is charged.

use std::fs::{create_dir, read_to_string, remove_dir, write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::clause::{limit, skip};

/// A memory cgroup for this process alone.
pub struct Group(PathBuf);

impl Group {
    /// Moves this process into the group. Skips the clause without a memory controller.
    pub fn enter() -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let controllers = read_to_string(root.join("cgroup.subtree_control"));
        if !controllers.is_ok_and(|text| text.contains("memory")) {
            skip("no memory controller");
        }
        let group = Self(root.join(format!("selftests-{}", std::process::id())));
        create_dir(&group.0).unwrap();
        write(group.0.join("cgroup.procs"), "0").unwrap();
        group
    }

    /// Bytes that the group is charged.
    pub fn current(&self) -> u64 {
        let text = read_to_string(self.0.join("memory.current")).unwrap();
        text.trim().parse().unwrap()
    }

    /// Limits the bytes that the group may be charged.
    pub fn limit(&self, bytes: u64) {
        write(self.0.join("memory.max"), bytes.to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        write("/sys/fs/cgroup/cgroup.procs", "0").unwrap();
        // It may be busy until all its memory is freed.
        let _ = remove_dir(&self.0);
    }
}

/// The pages that all queues and buffers together take, without those that a driver has leaked.
pub fn pages() -> u64 {
    all_pages().saturating_sub(leaked_pages())
}

fn all_pages() -> u64 {
    let text = read_to_string("/sys/class/iostream/iostream/pages").unwrap();
    text.trim().parse().unwrap()
}

/// Where a clause whose driver leaks leaves the number of pages for the next clauses.
const LEAKED: &str = "/run/iostream-selftests-leaked";

/// Names this load of the module: the next load counts from zero.
fn load() -> u64 {
    std::fs::metadata("/sys/module/iostream").unwrap().ino()
}

fn leaked_pages() -> u64 {
    let text = read_to_string(LEAKED).unwrap_or_default();
    let (of, leaked) = text.split_once(' ').unwrap_or_default();
    if of.parse() == Ok(load()) {
        leaked.parse().unwrap()
    } else {
        0
    }
}

/// Notes that what is left now was leaked on purpose: nobody can free it. Nothing else may be open
/// or about to be freed.
pub fn note_leak() {
    write(LEAKED, format!("{} {}", load(), all_pages())).unwrap();
}

/// Waits until the pages of ended sessions are freed: a worker does that, after a grace period.
///
/// # Panics
///
/// If some are left.
#[track_caller]
pub fn wait_for_no_pages() {
    let start = Instant::now();
    while pages() > 0 {
        assert!(start.elapsed() < limit(30), "{} pages are left", pages());
        std::thread::yield_now();
    }
}
