// SPDX-License-Identifier: MIT OR Apache-2.0

//! The nodes that drivers have published, and how they are named.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::{Error, OpenError, Session};

/// The class of iostream's nodes in sysfs.
const CLASS: &str = "sys/class/iostream";

/// A node: a device that a driver has published.
///
/// Each open function takes a node by one rule. It looks first for a node whose driver gave it that
/// name, such as `pattern`; then for one whose device file in /dev is called so, such as
/// `iostream1`. What is neither, or contains a `/`, is a path.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// for node in iostream::nodes()? {
///     println!("{} is {}", node.name(), node.path().display());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    name: String,
    path: PathBuf,
    sysfs: PathBuf,
}

impl Node {
    /// The name that the driver gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of its device file, such as `/dev/iostream1`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its folder in sysfs, whose files show its state and its counters without opening it.
    pub fn sysfs(&self) -> &Path {
        &self.sysfs
    }

    /// Opens it.
    ///
    /// # Errors
    ///
    /// Those of [`Session::open`].
    pub fn open(&self) -> Result<Session, OpenError> {
        Session::open(&self.path)
    }

    /// The node of a folder of the class, or `None` if it has just gone.
    fn of(root: &Path, folder: &Path) -> Option<Self> {
        let name = fs::read_to_string(folder.join("name")).ok()?;
        let file = device_name(folder).or_else(|| folder.file_name().map(Into::into))?;
        Some(Self {
            name: name.trim_end_matches('\n').to_owned(),
            path: root.join("dev").join(file),
            sysfs: folder.to_owned(),
        })
    }

    fn is_file(&self, name: &Path) -> bool {
        self.path.file_name() == Some(name.as_os_str())
    }
}

/// Returns all nodes, sorted by their paths. Opens none of them.
///
/// # Errors
///
/// [`OpenError::NotFound`] if there is no such class of devices: the module is not loaded, or /sys
/// is not mounted.
pub fn nodes() -> Result<Vec<Node>, OpenError> {
    nodes_below(Path::new("/"))
}

/// Returns the path of the node with this name, or `None` if there is no such node.
///
/// The name is that which its driver gave it, or that of its device file, as [`Node`] says.
pub fn find_node(name: impl AsRef<Path>) -> Option<PathBuf> {
    find_below(Path::new("/"), name.as_ref())
}

/// The path of what an open function was given.
pub(crate) fn path_of(node: &Path) -> PathBuf {
    find_node(node).unwrap_or_else(|| node.to_owned())
}

fn nodes_below(root: &Path) -> Result<Vec<Node>, OpenError> {
    let class = root.join(CLASS);
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => OpenError::NotFound {
            path: class.clone(),
        },
        _ => OpenError::Other(Error::Os {
            call: "readdir",
            errno: error.raw_os_error().unwrap_or_default(),
        }),
    };
    let mut nodes = Vec::new();
    for entry in fs::read_dir(&class).map_err(failed)? {
        let folder = entry.map_err(failed)?.path();
        // A node may go away during the search.
        nodes.extend(Node::of(root, &folder));
    }
    // The shorter number first: iostream9 before iostream10.
    nodes.sort_by_key(|node| (node.path.as_os_str().len(), node.path.clone()));
    Ok(nodes)
}

fn find_below(root: &Path, name: &Path) -> Option<PathBuf> {
    if name.components().count() != 1 || name.is_absolute() {
        return None;
    }
    let nodes = nodes_below(root).ok()?;
    let named = nodes.iter().find(|node| Path::new(&node.name) == name);
    let found = named.or_else(|| nodes.iter().find(|node| node.is_file(name)))?;
    Some(found.path.clone())
}

/// The file name in /dev, which the kernel reports to udev.
fn device_name(folder: &Path) -> Option<OsString> {
    let uevent = fs::read_to_string(folder.join("uevent")).ok()?;
    let name = uevent
        .lines()
        .find_map(|line| line.strip_prefix("DEVNAME="));
    name.map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root folder with some nodes, and one that is about to go.
    fn root(test: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("iostream-{test}-{}", std::process::id()));
        for (path, content) in [
            ("iostream10/name", "tenth\n"),
            ("iostream0/name", "other\n"),
            ("iostream1/name", "pattern\n"),
            ("iostream1/uevent", "MAJOR=1\nDEVNAME=iostream1\n"),
            ("iostream2/uevent", "MAJOR=1\n"),
            // A driver that gave its node the name of another one's file.
            ("iostream3/name", "iostream0\n"),
        ] {
            let path = root.join(CLASS).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    #[test]
    fn a_node_is_found_by_its_name_and_then_by_its_file() {
        let root = root("find");
        let find = |name: &str| find_below(&root, Path::new(name));
        let file = |name: &str| Some(root.join("dev").join(name));
        assert_eq!(find("pattern"), file("iostream1"));
        assert_eq!(find("other"), file("iostream0"));
        assert_eq!(find("iostream1"), file("iostream1"));
        assert_eq!(find("iostream0"), file("iostream3"));
        for no_node in ["iostream2", "nothing", "/pattern", "x/pattern", "", "."] {
            assert_eq!(find(no_node), None, "{no_node}");
        }
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn all_nodes_are_listed_in_order() {
        let root = root("list");
        let nodes = nodes_below(&root).unwrap();
        let names: Vec<&str> = nodes.iter().map(Node::name).collect();
        assert_eq!(names, ["other", "pattern", "iostream0", "tenth"]);
        assert_eq!(nodes[1].path(), root.join("dev/iostream1"));
        assert_eq!(nodes[1].sysfs(), root.join(CLASS).join("iostream1"));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn without_the_module_there_is_no_node() {
        let root = Path::new("/nonexistent");
        assert_eq!(find_below(root, Path::new("x")), None);
        assert!(matches!(nodes_below(root), Err(OpenError::NotFound { .. })));
    }
}
