// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finding a device node by the name that its driver gave it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Returns the path of the node with this name, or `None` if there is no such node.
///
/// Drivers choose the names, and sysfs shows them in each node's file `name`. A name that contains
/// a `/` belongs to no node.
pub fn find_node(name: impl AsRef<Path>) -> Option<PathBuf> {
    let root = Path::new("/");
    find_below(root, name.as_ref()).map(|file| root.join("dev").join(file))
}

fn find_below(root: &Path, name: &Path) -> Option<OsString> {
    if name.components().count() != 1 || name.is_absolute() {
        return None;
    }
    for entry in fs::read_dir(root.join("sys/class/iostream")).ok()? {
        // A node may go away during the search.
        let Ok(entry) = entry else { continue };
        let Ok(found) = fs::read_to_string(entry.path().join("name")) else {
            continue;
        };
        if Path::new(found.trim_end_matches('\n')) == name {
            return Some(device_name(&entry.path()).unwrap_or_else(|| entry.file_name()));
        }
    }
    None
}

/// The file name in /dev, which the kernel reports to udev.
fn device_name(directory: &Path) -> Option<OsString> {
    let uevent = fs::read_to_string(directory.join("uevent")).ok()?;
    let name = uevent
        .lines()
        .find_map(|line| line.strip_prefix("DEVNAME="));
    name.map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_found_by_its_name() {
        let root = std::env::temp_dir().join(format!("iostream-nodes-{}", std::process::id()));
        for (path, content) in [
            ("iostream0/name", "other\n"),
            ("iostream1/name", "pattern\n"),
            ("iostream1/uevent", "MAJOR=1\nDEVNAME=iostream1\n"),
            ("iostream2/uevent", "MAJOR=1\n"),
        ] {
            let path = root.join("sys/class/iostream").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let find = |name: &str| find_below(&root, Path::new(name));
        assert_eq!(find("pattern"), Some("iostream1".into()));
        assert_eq!(find("other"), Some("iostream0".into()));
        assert_eq!(find("iostream1"), None);
        assert_eq!(find("/pattern"), None);
        assert_eq!(find("x/pattern"), None);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn without_the_module_there_is_no_node() {
        assert_eq!(find_below(Path::new("/nonexistent"), Path::new("x")), None);
    }
}
