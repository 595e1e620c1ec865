// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finding and opening the node that a command names.

use std::path::{Path, PathBuf};

use iostream::{BuiltIn, Error, Session, Setup};

use crate::failure::{Failure, OnDevice, Result, IN_BOTH_DIRECTIONS};
use crate::framing::Room;
use crate::sysfs::{Node, System};

/// An open session.
pub struct Opened {
    /// The session.
    pub session: Session,
    /// The path of its node.
    pub path: PathBuf,
    /// The same session, if it is one of `/dev/iostream` and so was set up.
    pub built_in: Option<BuiltIn>,
}

impl Opened {
    /// The room for entries in its input queue, whose longest has `max_entry_bytes`.
    pub fn room(&self, max_entry_bytes: u32) -> Room {
        Room {
            max_entry_bytes: max_entry_bytes as usize,
            built_in: self.built_in.is_some(),
        }
    }
}

/// Opens a node with queues, and sets it up if it is `/dev/iostream`. `only_built_in` are the
/// options that apply to that node alone, and whether they are given.
pub fn open(node: &Path, setup: &Setup, only_built_in: &[(&str, bool)]) -> Result<Opened> {
    let system = System::real();
    let path = resolve(node, &system);
    if let Some(stream) = find(&path, &system).and_then(|node| node.stream) {
        let name = path.display();
        return Err(Failure::Usage(match stream.mode.as_str() {
            "output" => format!("{name} is a stream, not a queue: use `iostreamctl cat`"),
            "input" => format!("{name} is a stream, not a queue: use `iostreamctl feed`"),
            _ => format!("{name} is {IN_BOTH_DIRECTIONS}"),
        }));
    }
    let session = Session::open(&path).on(&path)?;
    let built_in = match BuiltIn::set_up(session.clone(), setup) {
        Ok(built_in) => Some(built_in),
        // On a driver's node the driver has set up the queues.
        Err(Error::Unsupported(_)) => None,
        Err(error) => return Err(error).on(&path),
    };
    let given = only_built_in.iter().find(|(_, given)| *given);
    if let (None, Some((option, _))) = (&built_in, given) {
        return Err(Failure::Usage(format!(
            "{option} does not apply to {}: its driver decides; it applies to {}",
            path.display(),
            BuiltIn::PATH
        )));
    }
    Ok(Opened {
        session,
        path,
        built_in,
    })
}

/// The node at a path.
pub fn find(path: &Path, system: &System) -> Option<Node> {
    let nodes = system.nodes().unwrap_or_default();
    nodes.into_iter().find(|node| node.path == path)
}

/// The path of a node. A bare word is the name of a node, otherwise a node's file in /dev,
/// otherwise any file in /dev. Everything else is a path.
pub fn resolve(node: &Path, system: &System) -> PathBuf {
    if node.components().count() != 1 || node.is_absolute() {
        return std::fs::canonicalize(node)
            .ok()
            .filter(|real| find(real, system).is_some())
            .unwrap_or_else(|| node.to_owned());
    }
    let nodes = system.nodes().unwrap_or_default();
    let named = nodes.iter().find(|other| Path::new(&other.name) == node);
    match named {
        Some(named) => named.path.clone(),
        None => system.path("dev").join(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysfs::tests::fake;

    #[test]
    fn a_nodes_name_comes_before_any_file_in_dev() {
        let files = [
            ("sys/class/iostream/iostream0/name", "null\n"),
            ("sys/class/iostream/iostream1/name", "iostream0\n"),
            ("dev/null", ""),
        ];
        let system = fake("resolve", &files);
        let path = |name: &str| resolve(Path::new(name), &system);
        assert_eq!(path("null"), system.path("dev/iostream0"));
        assert_eq!(path("iostream0"), system.path("dev/iostream1"));
        assert_eq!(path("iostream1"), system.path("dev/iostream1"));
        assert_eq!(path("zero"), system.path("dev/zero"));
        assert_eq!(path("/x/y"), Path::new("/x/y"));
        assert_eq!(path("./y"), Path::new("./y"));
        system.remove();
    }
}
