// SPDX-License-Identifier: MIT OR Apache-2.0

//! One open of a device.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::fstat;
use rustix::io::Errno;

use crate::identity::Identity;
use crate::nodes::path_of;
use crate::opening::open_device;
use crate::sys::{
    ConsumerEnd, Device, OverwriteEnd, Owner, ProducerEnd, QueueKind, QueueMemory, Role,
};
use crate::{
    Consumer, Counters, DeviceInfo, Direction, Error, OpenError, OverwriteReader, Producer,
    QueueInfo, Result, StreamCounters, StreamInfo, StreamMode,
};

/// One open of a device, with its queues.
///
/// A session is cheap to clone. All clones, and all ends taken from them, belong to the same
/// session, which lasts until the last of them is dropped.
///
/// # Examples
///
/// ```no_run
/// use iostream::Session;
///
/// # fn main() -> std::io::Result<()> {
/// let session = Session::open("ticker")?;
/// let mut consumer = session.consumer()?;
/// println!("{} bytes", consumer.dequeue_wait(None)?.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    device: Arc<Device>,
    info: Arc<DeviceInfo>,
}

impl Session {
    /// Opens a device for reading and writing. It is given by its node's name, such as `pattern`, by
    /// the name of its device file, such as `iostream1`, or by its path: see [`Node`](crate::Node).
    ///
    /// A file that is not an iostream device is not opened, since opening some devices has effects.
    /// This needs /sys or /proc, which say what a device is.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotFound`] if the device does not exist or has no driver;
    /// [`OpenError::Permission`] if the program may not open it; [`OpenError::NotADevice`] if it is
    /// not an iostream device, or nothing says what it is; [`Error::Busy`] if another program has it
    /// open, and keeps it for half a second; [`Error::Version`] if it has another version of the
    /// protocol; otherwise [`Error::Os`].
    pub fn open(node: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path_of(node.as_ref());
        Self::with_fd(open_device(&path)?, &path)
    }

    /// Makes a session of a descriptor that is open for reading and writing.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotADevice`] if it is not an iostream device; [`Error::Version`] if it has
    /// another version of the protocol.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, OpenError> {
        let path = format!("descriptor {}", fd.as_raw_fd());
        Self::with_fd(fd, Path::new(&path))
    }

    fn with_fd(fd: OwnedFd, path: &Path) -> Result<Self, OpenError> {
        let not_a_device = |is: &str| OpenError::NotADevice {
            path: path.to_owned(),
            is: is.to_owned(),
        };
        // For other files the ioctl's number might mean something else.
        let stat = fstat(&fd).map_err(|errno| Error::of_call("fstat", errno))?;
        if let Identity::Other(is) = Identity::of(&stat) {
            return Err(not_a_device(&is));
        }
        // Fails here rather than when the first end is taken.
        Owner::this_process().map_err(|errno| Error::of_call("madvise(MADV_WIPEONFORK)", errno))?;
        let device = Device::new(fd);
        let version = device.version();
        let version = version.map_err(|_| not_a_device("a device of another protocol"))?;
        Ok(Self {
            info: Arc::new(DeviceInfo::new(&version)?),
            device: Arc::new(device),
        })
    }

    /// Returns the session's descriptor, or a duplicate if other values still use the session.
    ///
    /// # Errors
    ///
    /// [`Error::Os`] if the process has too many descriptors.
    pub fn into_fd(self) -> Result<OwnedFd> {
        match Arc::try_unwrap(self.device) {
            Ok(device) => Ok(device.into_fd()),
            Err(shared) => rustix::io::fcntl_dupfd_cloexec(&*shared, 0)
                .map_err(|errno| Error::of_call("fcntl", errno)),
        }
    }

    /// The name, features and limits of the device.
    pub fn device_info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Takes the producing end of the input queue, which is possible once in a session.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if the end was taken before, even if it was dropped since;
    /// [`Error::NoQueue`] if the session has no input queue; [`Error::NotSetUp`] if it has no
    /// queues yet; [`Error::InvalidArgument`] if the queue belongs to a stream;
    /// [`Error::OutOfMemory`] if there is not enough memory; [`Error::Mismatch`] if the device
    /// describes the queue wrongly; [`Error::Gone`] if the driver is gone.
    pub fn producer(&self) -> Result<Producer> {
        let memory = QueueMemory::map(&self.device, Role::Producer, QueueKind::Lossless)?;
        Producer::new(self.device.clone(), ProducerEnd::new(memory)?)
    }

    /// Takes the consuming end of the output queue, which is possible once in a session.
    ///
    /// # Errors
    ///
    /// Those of [`Self::producer`], for the output queue; [`Error::InvalidArgument`] also if the
    /// queue overwrites.
    pub fn consumer(&self) -> Result<Consumer> {
        let memory = QueueMemory::map(&self.device, Role::Consumer, QueueKind::Lossless)?;
        Consumer::new(self.device.clone(), ConsumerEnd::new(memory)?)
    }

    /// Takes the reading end of an output queue that overwrites, which is possible once in a
    /// session.
    ///
    /// # Errors
    ///
    /// Those of [`Self::producer`], for the output queue; [`Error::InvalidArgument`] also if the
    /// queue does not overwrite.
    pub fn overwrite_reader(&self) -> Result<OverwriteReader> {
        let memory = QueueMemory::map(&self.device, Role::Consumer, QueueKind::Overwriting)?;
        OverwriteReader::new(self.device.clone(), OverwriteEnd::new(memory)?)
    }

    /// The geometry of a queue, by a system call.
    ///
    /// # Errors
    ///
    /// [`Error::NoQueue`] if the session has no such queue; [`Error::NotSetUp`] if it has no queues
    /// yet; [`Error::Gone`] if the driver is gone.
    pub fn queue_info(&self, direction: Direction) -> Result<QueueInfo> {
        Ok(QueueInfo::new(direction, &self.device.queue(direction)?))
    }

    /// The kernel's counters of a queue, by a system call.
    ///
    /// The ends of the queue report them without one.
    ///
    /// # Errors
    ///
    /// [`Error::NoQueue`] if the session has no such queue; [`Error::NotSetUp`] if it has no queues
    /// yet; [`Error::Gone`] if the driver is gone.
    pub fn queue_counters(&self, direction: Direction) -> Result<Counters> {
        Ok(self.device.queue_counters(direction)?.into())
    }

    /// The kernel's counters of the node's stream, by a system call.
    ///
    /// A mapped stream reports them without one, in
    /// [`Control::counters`](crate::Control::counters).
    ///
    /// # Errors
    ///
    /// [`Error::NotAStream`] if the node has no stream; [`Error::Gone`] if the driver is gone.
    pub fn stream_counters(&self) -> Result<StreamCounters> {
        let counters = self.device.stream_counters();
        Ok(counters.map_err(Error::of_stream_call)?.into())
    }

    /// The geometry and state of the node's stream, by a system call.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStream`] if the node has no stream; [`Error::Gone`] if the driver is gone.
    pub fn stream_info(&self) -> Result<StreamInfo> {
        StreamInfo::new(&self.device.stream().map_err(Error::of_stream_call)?)
    }

    /// Changes the mode of the node's stream until the end of the session.
    ///
    /// This is possible until the stream is mapped with
    /// [`Stream::from_session`](crate::Stream::from_session).
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] if the driver does not support this; [`Error::Busy`] if the stream was
    /// started or a part of it is mapped; [`Error::NotAStream`] if the node has no stream;
    /// [`Error::Gone`] if the driver is gone; other errors of the driver as [`Error::Os`].
    pub fn set_stream_mode(&self, mode: StreamMode) -> Result<()> {
        let call = self.device.set_mode(mode.raw());
        call.map_err(|errno| match errno {
            Errno::BUSY => Error::Busy("the stream was started or mapped: its mode stays"),
            Errno::OPNOTSUPP => Error::NotOffered("support for changing the mode"),
            errno => Error::of_driver("IOSTREAM_IOC_MODE", errno),
        })
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn into_device(self) -> Arc<Device> {
        self.device
    }

    /// How many system calls this crate has made for the session since it was opened.
    pub fn system_calls(&self) -> u64 {
        self.device.calls()
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl AsRawFd for Session {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl TryFrom<OwnedFd> for Session {
    type Error = OpenError;

    fn try_from(fd: OwnedFd) -> Result<Self, OpenError> {
        Self::from_fd(fd)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("fd", &self.as_raw_fd())
            .field("device", &self.info)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_told_from_devices() {
        for (path, is) in [
            ("/proc/self/exe", "a regular file"),
            ("/", "a directory"),
            // Without /sys it is of driver mem.
            ("/dev/null", "a character device of "),
        ] {
            match Session::open(path).unwrap_err() {
                OpenError::NotADevice {
                    path: named,
                    is: is_said,
                } => {
                    assert_eq!(named, Path::new(path));
                    assert!(is_said.starts_with(is), "{is_said}");
                }
                error => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_missing_device_is_not_found() {
        let error = Session::open("/nonexistent/iostream").unwrap_err();
        assert!(matches!(error, OpenError::NotFound { .. }));
    }

    #[test]
    fn a_descriptor_of_something_else_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = Session::from_fd(file.into()).unwrap_err();
        assert!(matches!(error, OpenError::NotADevice { .. }));
    }
}
