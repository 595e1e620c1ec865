// SPDX-License-Identifier: MIT OR Apache-2.0

//! One open of a device.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{fstat, open, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::notify::timeout_ns;
use crate::sys::{ConsumerEnd, Device, OverwriteEnd, ProducerEnd, QueueKind, QueueMemory, Role};
use crate::{
    find_node, Consumer, DeviceInfo, Direction, EndpointStats, Error, OverwriteReader, Producer,
    QueueInfo, Result, Setup, StreamInfo, StreamMode,
};

/// One open of a device, with its queues.
///
/// It is cheap to clone; all clones and all ends taken from it are the same session, which lasts
/// until the last of them is gone.
///
/// # Examples
///
/// ```no_run
/// use iostream::{Session, Setup};
///
/// # fn main() -> iostream::Result<()> {
/// let session = Setup::echo().open()?;
/// let mut producer = session.producer()?;
/// let mut consumer = session.consumer()?;
/// producer.enqueue(b"hello")?;
/// assert_eq!(&*consumer.dequeue_wait(None)?, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    device: Arc<Device>,
    info: Arc<DeviceInfo>,
}

/// What [`Session::run`] did.
#[derive(Debug)]
#[must_use]
pub struct Run {
    /// Entries that were moved, also if it ended in an error.
    pub entries: u64,
    /// How it ended.
    pub result: Result<()>,
}

impl Session {
    /// The built-in device, whose kernel side is an endpoint of the opener's choice.
    pub const BUILT_IN: &'static str = "/dev/iostream";

    /// Opens a device for reading and writing.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Permission`], [`Error::Busy`], [`Error::NotADevice`],
    /// [`Error::Version`], [`Error::Os`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOENT | Errno::NXIO | Errno::NODEV | Errno::NOTDIR => Error::NotFound {
                path: path.to_owned(),
            },
            Errno::ISDIR => Error::NotADevice {
                path: path.to_owned(),
            },
            Errno::ACCESS | Errno::PERM => Error::Permission {
                what: path.to_owned(),
            },
            Errno::BUSY => Error::Busy("another program has the device open"),
            errno => Error::of_call("open", errno),
        })?;
        Self::with_fd(fd, path)
    }

    /// As [`Self::open`], of a node that may also be given by its name.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_named(node: impl AsRef<Path>) -> Result<Self> {
        let node = node.as_ref();
        match find_node(node) {
            Some(path) => Self::open(path),
            None => Self::open(node),
        }
    }

    /// A session over a descriptor that someone else opened for reading and writing.
    ///
    /// # Errors
    ///
    /// [`Error::NotADevice`], [`Error::Version`].
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let path = format!("descriptor {}", fd.as_raw_fd());
        Self::with_fd(fd, Path::new(&path))
    }

    fn with_fd(fd: OwnedFd, path: &Path) -> Result<Self> {
        let not_a_device = || Error::NotADevice {
            path: path.to_owned(),
        };
        // A number that other files take for something else is asked of devices only.
        let stat = fstat(&fd).map_err(|errno| Error::of_call("fstat", errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice {
            return Err(not_a_device());
        }
        let device = Device::new(fd);
        let version = device.version().map_err(|_| not_a_device())?;
        Ok(Self {
            info: Arc::new(DeviceInfo::new(&version)?),
            device: Arc::new(device),
        })
    }

    /// The descriptor of this session: the one it has, if nobody shares it, or a duplicate.
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

    /// Name, features and limits of the device.
    pub fn device_info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Makes the queues of a session of `/dev/iostream`, once.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadySetUp`], [`Error::InvalidArgument`], [`Error::Overflow`],
    /// [`Error::LimitExceeded`], [`Error::Quota`], [`Error::RateTooHigh`],
    /// [`Error::OutOfMemory`], [`Error::Unsupported`] on other devices.
    pub fn set_up(&self, setup: &Setup) -> Result<()> {
        let request = setup.request()?;
        self.device
            .set_up(request)
            .map_err(|errno| setup.explain(errno, self.info.max_queue_bytes))
    }

    /// Takes the producing end of the input queue. It can be taken once in a session.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if it was taken before, also if it was dropped since; [`Error::NoQueue`],
    /// [`Error::NotSetUp`], [`Error::Gone`], [`Error::OutOfMemory`], [`Error::Mismatch`].
    pub fn producer(&self) -> Result<Producer> {
        let memory = QueueMemory::map(&self.device, Role::Producer, QueueKind::Lossless)?;
        Producer::new(self.device.clone(), ProducerEnd::new(memory)?)
    }

    /// Takes the consuming end of the output queue. It can be taken once in a session.
    ///
    /// # Errors
    ///
    /// As [`Self::producer`]; [`Error::InvalidArgument`] if the queue overwrites.
    pub fn consumer(&self) -> Result<Consumer> {
        let memory = QueueMemory::map(&self.device, Role::Consumer, QueueKind::Lossless)?;
        Consumer::new(self.device.clone(), ConsumerEnd::new(memory)?)
    }

    /// Takes the reading end of an output queue that overwrites. It can be taken once in a session.
    ///
    /// # Errors
    ///
    /// As [`Self::producer`]; [`Error::InvalidArgument`] if the queue does not overwrite.
    pub fn overwrite_reader(&self) -> Result<OverwriteReader> {
        let memory = QueueMemory::map(&self.device, Role::Consumer, QueueKind::Overwriting)?;
        OverwriteReader::new(self.device.clone(), OverwriteEnd::new(memory)?)
    }

    /// Geometry and counters of a queue, by a system call. The ends tell the same without one.
    ///
    /// # Errors
    ///
    /// [`Error::NoQueue`], [`Error::NotSetUp`], [`Error::Gone`].
    pub fn queue_info(&self, direction: Direction) -> Result<QueueInfo> {
        Ok(QueueInfo::new(direction, &self.device.queue(direction)?))
    }

    /// Geometry, state and counters of the node's stream, by a system call.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStream`], [`Error::Gone`].
    pub fn stream_info(&self) -> Result<StreamInfo> {
        StreamInfo::new(&self.device.stream().map_err(Error::of_stream_call)?)
    }

    /// Changes the mode of the node's stream until the end of the session, before it is taken with
    /// [`Stream::from_session`](crate::Stream::from_session).
    ///
    /// # Errors
    ///
    /// [`Error::NotOffered`] if the driver changes none; [`Error::Busy`] if the stream was started,
    /// or something of it is mapped; [`Error::NotAStream`], [`Error::Gone`]; else the driver's own,
    /// as [`Error::Os`].
    pub fn set_stream_mode(&self, mode: StreamMode) -> Result<()> {
        let call = self.device.set_mode(mode.raw());
        call.map_err(|errno| match errno {
            Errno::BUSY => Error::Busy("the stream was started or mapped: its mode stays"),
            Errno::OPNOTSUPP => Error::NotOffered("such mode"),
            errno => Error::of_driver("IOSTREAM_IOC_MODE", errno),
        })
    }

    pub(crate) fn into_device(self) -> Arc<Device> {
        self.device
    }

    /// Has the endpoint of `/dev/iostream` work flat out in this thread.
    ///
    /// It ends after `entries` entries (0: never), or when nothing moved for `timeout` (`None`:
    /// never). A signal ends it, too. The other ends may be used in other threads meanwhile.
    ///
    /// # Errors
    ///
    /// In [`Run::result`]: [`Error::TimedOut`], [`Error::Interrupted`], [`Error::Busy`],
    /// [`Error::Corrupt`], [`Error::Unsupported`], [`Error::NotSetUp`], [`Error::Gone`].
    pub fn run(&self, entries: u64, timeout: Option<Duration>) -> Run {
        self.run_batched(entries, 1, timeout)
    }

    /// As [`Self::run`], where the source publishes `batch` entries at once, up to 65536.
    ///
    /// # Errors
    ///
    /// As [`Self::run`]; [`Error::LimitExceeded`] for a larger batch.
    pub fn run_batched(&self, entries: u64, batch: u32, timeout: Option<Duration>) -> Run {
        let (entries, result) = self.device.run(entries, timeout_ns(timeout), batch);
        Run { entries, result }
    }

    /// What the endpoint of `/dev/iostream` has seen.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`], [`Error::NotSetUp`], [`Error::Gone`].
    pub fn endpoint_stats(&self) -> Result<EndpointStats> {
        EndpointStats::new(&self.device.endpoint()?)
    }

    /// System calls that this crate made for the session since it was opened.
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
    type Error = Error;

    fn try_from(fd: OwnedFd) -> Result<Self> {
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
        for path in ["/dev/null", "/proc/self/exe", "/"] {
            let error = Session::open(path).unwrap_err();
            let path = path.into();
            // The running program cannot be opened for writing.
            let busy = matches!(error, Error::Os { call: "open", .. });
            assert!(busy || error == Error::NotADevice { path }, "{error}");
        }
    }

    #[test]
    fn a_missing_device_is_not_found() {
        let error = Session::open("/nonexistent/iostream").unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }));
    }

    #[test]
    fn a_descriptor_of_something_else_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = Session::from_fd(file.into()).unwrap_err();
        assert!(matches!(error, Error::NotADevice { .. }));
    }
}
