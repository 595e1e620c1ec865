// SPDX-License-Identifier: MIT OR Apache-2.0

//! Opening the device that `--device` names.

use std::path::{Path, PathBuf};

use iostream::{BuiltIn, Error, Session, Setup};

use crate::failure::{OnDevice, Result};
use crate::sysfs::System;

/// An open session.
pub struct Opened {
    /// The session.
    pub session: Session,
    /// The path of its node.
    pub path: PathBuf,
    /// The same session, if it is one of `/dev/iostream` and so was set up.
    pub built_in: Option<BuiltIn>,
}

/// Opens a device, and sets it up if it is `/dev/iostream`.
pub fn open(device: &Path, setup: &Setup) -> Result<Opened> {
    let path = resolve(device, &System::real());
    let session = Session::open(&path).on(&path)?;
    let built_in = match BuiltIn::set_up(session.clone(), setup) {
        Ok(built_in) => Some(built_in),
        // On a driver's node the driver has set up the queues.
        Err(Error::Unsupported(_)) => None,
        Err(error) => return Err(error).on(&path),
    };
    Ok(Opened {
        session,
        path,
        built_in,
    })
}

/// The path of a device, which is given as a path, a file in /dev, or a node's name.
pub fn resolve(device: &Path, system: &System) -> PathBuf {
    if device.components().count() != 1 || device.is_absolute() {
        return device.to_owned();
    }
    let in_dev = Path::new("/dev").join(device);
    if in_dev.exists() {
        return in_dev;
    }
    let nodes = system.nodes().unwrap_or_default();
    match nodes
        .into_iter()
        .find(|node| Path::new(&node.name) == device)
    {
        Some(node) => node.path,
        None => in_dev,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_looked_for_in_dev() {
        let system = System::at(Path::new("/nonexistent"));
        let path = |name: &str| resolve(Path::new(name), &system);
        assert_eq!(path("null"), Path::new("/dev/null"));
        assert_eq!(path("/x/y"), Path::new("/x/y"));
        assert_eq!(path("./y"), Path::new("./y"));
        assert_eq!(path("iostream77"), Path::new("/dev/iostream77"));
    }
}
