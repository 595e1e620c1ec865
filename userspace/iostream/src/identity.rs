// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a file is, found out without opening it.
//!
//! Opening a device can do something: a watchdog starts, a tape rewinds, a terminal raises its
//! signals. So a path is only opened once it is known to be an iostream device.

use std::fs;
use std::path::Path;

use rustix::fs::{major, minor, FileType, Stat};

/// The class of our devices in sysfs, and their name in /proc/devices.
const OURS: &str = "iostream";

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// An iostream device.
    Ours,
    /// Something else, in words.
    Other(String),
    /// A character device without a driver.
    NoDriver,
    /// A character device of an unknown kind: neither /sys nor /proc says what it is.
    Unknown,
}

impl Identity {
    /// The identity of a file.
    pub(crate) fn of(stat: &Stat) -> Self {
        Self::below(Path::new("/"), stat.st_mode, stat.st_rdev)
    }

    /// The identity of a file by its mode and device number, as the system below `root` shows it.
    fn below(root: &Path, mode: u32, device: u64) -> Self {
        let other = |what: &str| Self::Other(what.to_owned());
        match FileType::from_raw_mode(mode) {
            FileType::CharacterDevice => {}
            FileType::RegularFile => return other("a regular file"),
            FileType::Directory => return other("a directory"),
            FileType::BlockDevice => return other("a block device"),
            FileType::Fifo => return other("a pipe"),
            FileType::Socket => return other("a socket"),
            FileType::Symlink | FileType::Unknown => return other("a special file"),
        }
        let (major, minor) = (major(device), minor(device));
        let link = root.join(format!("sys/dev/char/{major}:{minor}/subsystem"));
        if let Ok(target) = fs::read_link(link) {
            let class = target.file_name().unwrap_or_default().to_string_lossy();
            return match &*class {
                OURS => Self::Ours,
                class => Self::Other(format!("a character device of class {class}")),
            };
        }
        // In a container without /sys, or for a device without a class.
        let Ok(devices) = fs::read_to_string(root.join("proc/devices")) else {
            return Self::Unknown;
        };
        let names = drivers(&devices, major);
        match names.first() {
            None => Self::NoDriver,
            Some(_) if names.contains(&OURS) => Self::Ours,
            Some(name) => Self::Other(format!("a character device of driver {name}")),
        }
    }
}

/// The names of a character device's major number in the text of /proc/devices.
fn drivers(devices: &str, major: u32) -> Vec<&str> {
    let lines = devices
        .lines()
        .skip_while(|line| *line != "Character devices:");
    let lines = lines.skip(1).take_while(|line| !line.is_empty());
    let mut names = Vec::new();
    for line in lines {
        if let Some((number, name)) = line.trim_start().split_once(' ') {
            if number.parse() == Ok(major) {
                names.push(name);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::makedev;

    const CHARACTER: u32 = 0o020_600;
    const DEVICES: &str = "\
Character devices:
  1 mem
  4 /dev/vc/0
  4 tty
 10 misc
235 iostream

Block devices:
  7 loop
 11 iostream
";

    /// A folder that looks like the root of a system.
    struct Root(std::path::PathBuf);

    impl Root {
        fn new(name: &str) -> Self {
            let name = format!("iostream-identity-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            fs::create_dir_all(root.join("proc")).unwrap();
            Self(root)
        }

        fn class(&self, device: &str, class: &str) {
            let folder = self.0.join("sys/dev/char").join(device);
            fs::create_dir_all(&folder).unwrap();
            let target = Path::new("../../../../class").join(class);
            std::os::unix::fs::symlink(target, folder.join("subsystem")).unwrap();
        }

        fn devices(&self) {
            fs::write(self.0.join("proc/devices"), DEVICES).unwrap();
        }

        fn identity(&self, major: u32, minor: u32) -> Identity {
            Identity::below(&self.0, CHARACTER, makedev(major, minor))
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn other(what: &str) -> Identity {
        Identity::Other(what.to_owned())
    }

    #[test]
    fn sysfs_tells_the_class() {
        let root = Root::new("sysfs");
        root.class("235:1", "iostream");
        root.class("10:130", "misc");
        assert_eq!(root.identity(235, 1), Identity::Ours);
        let misc = other("a character device of class misc");
        assert_eq!(root.identity(10, 130), misc);
        assert_eq!(root.identity(235, 2), Identity::Unknown);
    }

    #[test]
    fn without_sysfs_the_major_number_tells_the_driver() {
        let root = Root::new("proc");
        root.devices();
        assert_eq!(root.identity(235, 7), Identity::Ours);
        let terminal = other("a character device of driver /dev/vc/0");
        assert_eq!(root.identity(4, 1), terminal);
        assert_eq!(root.identity(11, 0), Identity::NoDriver);
        assert_eq!(root.identity(23, 0), Identity::NoDriver);
    }

    #[test]
    fn only_character_devices_are_ours() {
        let root = Root::new("types");
        root.devices();
        for (mode, what) in [
            (0o100_600, "a regular file"),
            (0o040_700, "a directory"),
            (0o060_600, "a block device"),
            (0o010_600, "a pipe"),
            (0o140_600, "a socket"),
        ] {
            let identity = Identity::below(&root.0, mode, makedev(235, 0));
            assert_eq!(identity, other(what));
        }
    }
}
