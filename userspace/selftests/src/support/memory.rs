// SPDX-License-Identifier: MIT OR Apache-2.0

//! What sessions cost: pages, and what a cgroup is charged.

use std::fs::{create_dir, read_to_string, remove_dir, write};
use std::path::{Path, PathBuf};

use crate::clause::skip;

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

/// The pages that all queues and buffers together take.
pub fn pages() -> u64 {
    let text = read_to_string("/sys/class/iostream/iostream/pages").unwrap();
    text.trim().parse().unwrap()
}

/// Waits until the pages of ended sessions are freed: a worker does that, after a grace period.
pub fn wait_for_no_pages() {
    while pages() > 0 {
        std::thread::yield_now();
    }
}
