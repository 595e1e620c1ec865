// SPDX-License-Identifier: MIT OR Apache-2.0

//! The errors of the functions that open or look for a file.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::Error;

/// The reason why a device could not be found, opened or used.
///
/// It names the file. An [`Error`] converts into it, and both convert into an [`io::Error`], so that
/// `?` works in a function that opens a device and uses it:
///
/// ```no_run
/// use iostream::{OpenError, Session};
///
/// fn first_entry(node: &str) -> Result<Vec<u8>, OpenError> {
///     // An `OpenError`,
///     let session = Session::open(node)?;
///     // an `Error`,
///     let mut consumer = session.consumer()?;
///     // and another one.
///     let entry = consumer.dequeue_wait(None)?;
///     Ok(entry.to_vec())
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The device does not exist (`ENOENT`).
    #[error("{} does not exist: is the module loaded, the driver bound?", .path.display())]
    NotFound {
        /// The file that could not be opened.
        path: PathBuf,
    },
    /// The caller lacks permission for the file (`EACCES`).
    #[error("no permission for {}", .path.display())]
    Permission {
        /// The file that could not be opened.
        path: PathBuf,
    },
    /// The file is not an iostream device (`ENOTTY`).
    #[error("{} is not an iostream device: it is {is}", .path.display())]
    NotADevice {
        /// The file.
        path: PathBuf,
        /// What it is instead, such as `a regular file`.
        is: String,
    },
    /// Another error, with its own errno.
    #[error(transparent)]
    Other(#[from] Error),
}

impl OpenError {
    /// The errno that corresponds to this error.
    pub fn errno(&self) -> i32 {
        let errno = match self {
            Self::NotFound { .. } => Errno::NOENT,
            Self::Permission { .. } => Errno::ACCESS,
            Self::NotADevice { .. } => Errno::NOTTY,
            Self::Other(error) => return error.errno(),
        };
        errno.raw_os_error()
    }
}

impl From<OpenError> for io::Error {
    /// The source of the result is the [`Error`], if it is one, and otherwise the `OpenError`.
    fn from(error: OpenError) -> Self {
        use io::ErrorKind;
        let kind = match error {
            OpenError::NotFound { .. } => ErrorKind::NotFound,
            OpenError::Permission { .. } => ErrorKind::PermissionDenied,
            OpenError::NotADevice { .. } => ErrorKind::Unsupported,
            OpenError::Other(error) => return error.into(),
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each error with its errno, its kind and its words.
    fn all() -> [(OpenError, Errno, io::ErrorKind, &'static str); 4] {
        let path = || PathBuf::from("/dev/x");
        let is = "a pipe".to_owned();
        [
            (
                OpenError::NotFound { path: path() },
                Errno::NOENT,
                io::ErrorKind::NotFound,
                "/dev/x does not exist: is the module loaded, the driver bound?",
            ),
            (
                OpenError::Permission { path: path() },
                Errno::ACCESS,
                io::ErrorKind::PermissionDenied,
                "no permission for /dev/x",
            ),
            (
                OpenError::NotADevice { path: path(), is },
                Errno::NOTTY,
                io::ErrorKind::Unsupported,
                "/dev/x is not an iostream device: it is a pipe",
            ),
            (
                Error::Permission("open").into(),
                Errno::ACCESS,
                io::ErrorKind::PermissionDenied,
                "no permission for open",
            ),
        ]
    }

    #[test]
    fn errno_kind_and_words_stay_in_an_io_error() {
        for (error, errno, kind, words) in all() {
            assert_eq!(error.errno(), errno.raw_os_error(), "{error}");
            assert_eq!(error.to_string(), words);
            let io = io::Error::from(error.clone());
            assert_eq!((io.kind(), io.to_string().as_str()), (kind, words));
            let source = io.get_ref().unwrap();
            match error {
                OpenError::Other(error) => assert_eq!(source.downcast_ref(), Some(&error)),
                error => assert_eq!(source.downcast_ref(), Some(&error)),
            }
        }
    }
}
