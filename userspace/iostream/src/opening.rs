// SPDX-License-Identifier: MIT OR Apache-2.0

//! Opening a device by its path, once it is known to be one of ours.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{fstat, open, Mode, OFlags};
use rustix::io::Errno;

use crate::identity::Identity;
use crate::{Error, OpenError};

/// Opens an iostream device for reading and writing.
///
/// The file is first opened without access (`O_PATH`), which asks no driver, and looked at. The
/// same file is then opened through /proc, so that it cannot be exchanged in between.
pub(crate) fn open_device(path: &Path) -> Result<OwnedFd, OpenError> {
    let failed = |errno| of_open(path, errno);
    let not_a_device = |is: String| OpenError::NotADevice {
        path: path.to_owned(),
        is,
    };
    let file = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let looked_at = fstat(&file).map_err(|errno| Error::of_call("fstat", errno))?;
    match Identity::of(&looked_at) {
        Identity::Ours => {}
        Identity::Other(is) => return Err(not_a_device(is)),
        Identity::NoDriver => return Err(failed(Errno::NODEV)),
        Identity::Unknown => {
            let is = "a character device, and neither /sys nor /proc says of which class";
            return Err(not_a_device(is.to_owned()));
        }
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY;
    let same = format!("/proc/self/fd/{}", file.as_raw_fd());
    match open(same, flags, Mode::empty()) {
        // There is no /proc here.
        Err(Errno::NOENT | Errno::NOTDIR) => {}
        opened => return opened.map_err(failed),
    }
    let opened = open(path, flags, Mode::empty()).map_err(failed)?;
    let stat = fstat(&opened).map_err(|errno| Error::of_call("fstat", errno))?;
    if (stat.st_mode, stat.st_rdev) != (looked_at.st_mode, looked_at.st_rdev) {
        return Err(not_a_device(
            "a file that was exchanged meanwhile".to_owned(),
        ));
    }
    Ok(opened)
}

fn of_open(path: &Path, errno: Errno) -> OpenError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT | Errno::NXIO | Errno::NODEV | Errno::NOTDIR => OpenError::NotFound { path },
        Errno::ACCESS | Errno::PERM => OpenError::Permission { path },
        Errno::BUSY => Error::Busy("another program has the device open").into(),
        errno => Error::of_call("open", errno).into(),
    }
}
