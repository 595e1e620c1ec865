// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why a node cannot be reached from where the command runs, and what would be right: permissions,
//! and what services and containers are shut off from.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{access, Access};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::attribute::text;
use crate::device::find;
use crate::sysfs::System;

/// What is said where /sys is missing.
pub const NO_SYS: &str =
    "/sys is not mounted here, or hidden by a service's or container's settings: only there are the \
     nodes listed, with their names, states and counters";

/// Whether this process sees /sys.
pub fn sees_sys(system: &System) -> bool {
    system.path("sys/class").is_dir()
}

/// Why a node's file is missing.
pub fn why_missing(path: &Path, system: &System) -> String {
    if find(path, system).is_some() {
        return "is hidden from this process, whose /dev is not the machine's: a service has it with \
                DeviceAllow=char-iostream and without PrivateDevices=, a container with an option \
                such as --device or --bind"
            .to_owned();
    }
    if !sees_sys(system) {
        return format!("does not exist; {NO_SYS}");
    }
    if path == Path::new(iostream::BuiltIn::PATH) {
        return "does not exist: load the module with `modprobe iostream`".to_owned();
    }
    "does not exist: load its driver; `iostreamctl list` shows the devices there are".to_owned()
}

/// What would give this process permission for a node.
pub fn what_permits(path: &Path) -> String {
    // What the control group denies has another error than what the permission bits deny.
    if access(path, Access::READ_OK | Access::WRITE_OK) == Err(Errno::PERM) {
        return "the control group of this process denies it: a service needs \
                DeviceAllow=char-iostream, a container an option such as --device"
            .to_owned();
    }
    let Ok(metadata) = fs::metadata(path) else {
        return "this process does not see the file's permissions".to_owned();
    };
    let built_in = path.file_name() == Some("iostream".as_ref());
    of_bits(
        metadata.mode(),
        metadata.gid(),
        geteuid().is_root(),
        built_in,
    )
}

/// What would give permission, by the mode and the group of a node.
fn of_bits(mode: u32, group: u32, root: bool, built_in: bool) -> String {
    if root {
        // Of another namespace, or without the capability to override permissions.
        return "root of this service or container is not root of the machine: give it the group of \
                the node"
            .to_owned();
    }
    match (mode & 0o060, group) {
        (0..0o060, _) if built_in => {
            "only root may open it unless the module is loaded with mode=0660 \
                                   (/etc/modprobe.d: options iostream mode=0660): run as root"
                .to_owned()
        }
        (0, _) => "its driver lets only its owner open it: run as root".to_owned(),
        (0o040, _) => format!(
            "its driver lets the group {} read it and not write to it, and iostreamctl needs both: \
             run as root, or read it with cat(1)",
            group_name(group)
        ),
        (0o020, _) => format!(
            "its driver lets the group {} write to it and not read it, and iostreamctl needs both: \
             run as root, or write to it with tee(1)",
            group_name(group)
        ),
        (_, 0) => {
            "only root has it: install the rules of udev, which give it to the group iostream"
                .to_owned()
        }
        (_, _) => format!(
            "join the group {} and log in again, or run as root",
            group_name(group)
        ),
    }
}

/// The name of a group, or its number.
fn group_name(gid: u32) -> String {
    let groups = text(Path::new("/etc/group")).unwrap_or_default();
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| gid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysfs::tests::fake;

    #[test]
    fn each_reason_why_a_node_is_missing_is_told() {
        let says = |files: &[(&str, &str)], test, word: &str| {
            let system = fake(test, files);
            let said = why_missing(&system.path("dev/iostream0"), &system);
            system.remove();
            assert!(said.contains(word), "{said}");
        };
        let node = ("sys/class/iostream/iostream0/name", "frames\n");
        says(&[node], "missing1", "PrivateDevices=");
        says(&[("sys/class/tty/x", "")], "missing2", "load its driver");
        says(&[("dev/null", "")], "missing3", "/sys is not mounted");
    }

    #[test]
    fn each_reason_for_no_permission_is_told() {
        for (mode, group, root, built_in, word) in [
            (0o600, 9, false, false, "its driver lets only its owner"),
            (0o600, 9, false, true, "options iostream mode=0660"),
            (0o640, 9, false, false, "read it and not write to it"),
            (0o440, 9, false, false, "cat(1)"),
            (0o620, 9, false, false, "write to it and not read it"),
            (0o640, 9, false, true, "options iostream mode=0660"),
            (0o660, 0, false, false, "rules of udev"),
            (0o660, 9, false, false, "join the group"),
            (0o660, 9, true, false, "not root of the machine"),
        ] {
            let said = of_bits(mode, group, root, built_in);
            assert!(said.contains(word), "{said}");
        }
    }
}
