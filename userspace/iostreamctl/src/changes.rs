// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sleeping until a node may have changed.
//!
//! The kernel tells by inotify(7) of files that come and go in /dev, of opens and closes of a node's
//! file, and of what is written to its `state` in sysfs. It does not tell of a state that a program
//! sets by ioctl(2), of a client in the kernel, and of the end of a close: then the command looks, soon
//! after something has happened and ever more rarely later.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::failure::Result;
use crate::stop::Stop;
use crate::sysfs::{Node, System};

/// How soon after something has happened the command looks again. Each further look comes after
/// twice the time.
const SOONEST: Duration = Duration::from_millis(1);

/// The time between two looks while nothing happens.
const SLOWEST: Duration = Duration::from_secs(1);

/// What may change.
pub struct Changes {
    /// `None` if the system allows no more of them.
    told: Option<OwnedFd>,
    /// The numbers of what is watched. A file that takes the place of another has a new one.
    watched: BTreeSet<i32>,
    /// The time until the next look.
    pause: Duration,
}

impl Changes {
    /// Watches nothing yet.
    pub fn new() -> Self {
        let told = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        Self {
            told: told.ok(),
            watched: BTreeSet::new(),
            pause: SOONEST,
        }
    }

    /// Watches everything that tells of the node at `path` and of what is to be there. Returns
    /// whether anything of that was not watched before, so that the caller has to look once more.
    pub fn watch(&mut self, path: &Path, node: Option<&Node>, system: &System) -> bool {
        let dev = system.path("dev");
        let folders = path.ancestors().skip(1).chain([dev.as_path()]);
        // Folders that are missing yet are found in the ones above.
        let comes = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let goes = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::DELETE_SELF;
        let mut new = false;
        for folder in folders.filter(|folder| !folder.as_os_str().is_empty()) {
            new |= self.add(folder, comes | goes);
        }
        if let Some(node) = node {
            new |= self.add(&node.path, WatchFlags::OPEN | WatchFlags::CLOSE);
            new |= self.add(&node.directory.join("state"), WatchFlags::MODIFY);
        }
        new
    }

    /// Watches a file, if it is there and the user may. Returns whether it was not watched.
    fn add(&mut self, path: &Path, what: WatchFlags) -> bool {
        let told = self.told.as_ref();
        let added = told.and_then(|told| inotify::add_watch(told, path, what).ok());
        added.is_some_and(|number| self.watched.insert(number))
    }

    /// Sleeps until something has happened, or for a while that gets longer from call to call; if
    /// all is `announced`, in the end until something happens. Sleeps for `left` at most.
    pub fn sleep(&mut self, stop: &Stop, announced: bool, left: Option<Duration>) -> Result<()> {
        let pause = (!announced || self.pause < SLOWEST).then_some(self.pause);
        self.pause = (self.pause * 2).min(SLOWEST);
        let timeout = [pause, left].into_iter().flatten().min();
        let Some(told) = &self.told else {
            return stop.sleep(timeout.unwrap_or(SLOWEST));
        };
        let [seen] = stop.wait([(told.as_fd(), PollFlags::IN)], timeout)?;
        if !seen.is_empty() {
            self.pause = SOONEST;
            // What has happened does not matter: the caller looks at everything. An error means
            // that there is nothing left.
            while rustix::io::read(told, &mut [0; 4096]).is_ok_and(|len| len > 0) {}
        }
        Ok(())
    }
}

/// Whether the kernel itself makes the files in /dev. It does so last, once a node is in sysfs. In a
/// container others may have made them, at any time.
pub fn kernel_makes_dev(system: &System) -> bool {
    let mounts = fs::read_to_string(system.path("proc/self/mountinfo")).unwrap_or_default();
    // The last one lies over the others.
    let last = mounts
        .lines()
        .rfind(|line| line.split(' ').nth(4) == Some("/dev"));
    last.and_then(|line| line.split_once(" - "))
        .is_some_and(|(_, rest)| rest.starts_with("devtmpfs "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysfs::tests::fake;

    /// Whether a sleep that would otherwise last very long has ended.
    fn is_told(changes: &mut Changes, stop: &Stop) -> bool {
        changes.pause = Duration::from_secs(3600);
        // Has already happened, so that no time is needed.
        changes.sleep(stop, true, Some(Duration::ZERO)).unwrap();
        changes.pause == SOONEST
    }

    #[test]
    fn what_happens_to_a_node_is_told() {
        let files = [
            ("dev/iostream0", ""),
            ("sys/class/iostream/iostream0/state", "stopped\n"),
        ];
        let system = fake("changes", &files);
        let stop = Stop::new().unwrap();
        let node = system.nodes().unwrap().remove(0);
        let mut changes = Changes::new();
        assert!(changes.watch(&node.path, Some(&node), &system));
        assert!(!changes.watch(&node.path, Some(&node), &system));
        assert!(!is_told(&mut changes, &stop));
        drop(fs::File::open(&node.path).unwrap());
        assert!(is_told(&mut changes, &stop) && !is_told(&mut changes, &stop));
        fs::write(node.directory.join("state"), "running").unwrap();
        assert!(is_told(&mut changes, &stop) && !is_told(&mut changes, &stop));
        fs::remove_file(&node.path).unwrap();
        assert!(is_told(&mut changes, &stop));
        // What takes its place is watched, too.
        fs::write(&node.path, "").unwrap();
        assert!(is_told(&mut changes, &stop));
        assert!(changes.watch(&node.path, Some(&node), &system));
        drop(fs::File::open(&node.path).unwrap());
        assert!(is_told(&mut changes, &stop));
        system.remove();
    }

    #[test]
    fn links_in_folders_that_are_missing_are_told() {
        let system = fake("links", &[("dev/null", "")]);
        let stop = Stop::new().unwrap();
        let link = system.path("dev/iostreams/by-name/pattern");
        let mut changes = Changes::new();
        assert!(changes.watch(&link, None, &system));
        for folder in [
            system.path("dev/iostreams"),
            system.path("dev/iostreams/by-name"),
        ] {
            fs::create_dir(folder).unwrap();
            assert!(is_told(&mut changes, &stop));
            assert!(changes.watch(&link, None, &system));
        }
        fs::write(&link, "").unwrap();
        assert!(is_told(&mut changes, &stop));
        system.remove();
    }

    #[test]
    fn looks_get_rarer() {
        let stop = Stop::new().unwrap();
        let mut changes = Changes::new();
        let mut looks = 0;
        while changes.pause < SLOWEST {
            changes.sleep(&stop, false, Some(Duration::ZERO)).unwrap();
            looks += 1;
        }
        assert_eq!(looks, 10);
    }

    #[test]
    fn the_kernels_dev_is_told_from_others() {
        let dev = |line: &str, test| {
            let rest = "30 1 0:6 / /dev/pts rw - devpts devpts rw\n";
            let text = format!("{line}\n{rest}");
            let system = fake(test, &[("proc/self/mountinfo", &text)]);
            let is = kernel_makes_dev(&system);
            system.remove();
            is
        };
        assert!(dev(
            "24 1 0:6 / /dev rw shared:2 - devtmpfs udev rw",
            "dev1"
        ));
        assert!(!dev("24 1 0:6 / /dev rw - tmpfs devtmpfs rw", "dev2"));
        assert!(!kernel_makes_dev(&System::at(Path::new("/nonexistent"))));
    }
}
