// SPDX-License-Identifier: MIT OR Apache-2.0

//! Modules that a clause loads and removes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use iostream_raw::{node_called, Session};
use rustix::fs::OFlags;

/// Runs `insmod` for a module of iostream, with parameters.
pub fn insert(name: &str, parameters: &[&str]) -> Output {
    let path = format!("/lib/modules/iostream/{name}.ko");
    let mut command = Command::new("insmod");
    command.arg(path).args(parameters).output().expect("insmod")
}

/// Runs `rmmod`.
pub fn remove(name: &str) -> Output {
    Command::new("rmmod").arg(name).output().expect("rmmod")
}

/// Whether a module is loaded.
pub fn is_loaded(name: &str) -> bool {
    Path::new("/sys/module").join(name).exists()
}

/// A module, loaded until dropped.
pub struct Module(&'static str);

impl Module {
    /// Loads the module, which must succeed.
    #[track_caller]
    pub fn load(name: &'static str, parameters: &[&str]) -> Self {
        let done = insert(name, parameters);
        assert!(done.status.success(), "insmod {name}: {done:?}");
        Self(name)
    }

    /// A number in the module's file of counts.
    pub fn count(&self, key: &str) -> u64 {
        let path = PathBuf::from("/sys/kernel/debug")
            .join(self.0)
            .join("counts");
        let text = std::fs::read_to_string(path).expect("the counts");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.expect(key).parse().unwrap()
    }

    /// Waits until a count is as wanted. The clause's time-out ends the wait.
    pub fn wait_for(&self, key: &str, wanted: impl Fn(u64) -> bool) {
        while !wanted(self.count(key)) {
            std::thread::yield_now();
        }
    }

    /// Removes the module, which must succeed even if its node is open.
    #[track_caller]
    pub fn unload(self) {
        let name = self.0;
        drop(self);
        assert!(!is_loaded(name), "{name} is still there");
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let done = remove(self.0);
        // Another failure is more important.
        if !std::thread::panicking() {
            assert!(done.status.success(), "rmmod {}: {done:?}", self.0);
        }
    }
}

/// Opens the node of a name.
pub fn open_node(name: &str) -> rustix::io::Result<Session> {
    let path = node_called(name).expect("a node of that name");
    Session::open(path, OFlags::RDWR)
}
