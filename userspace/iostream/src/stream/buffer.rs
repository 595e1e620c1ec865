// SPDX-License-Identifier: MIT OR Apache-2.0

//! A buffer that is with this process.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;
use std::time::Duration;

use iostream_ring::uapi;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::core::Core;
use super::descriptor::Descriptor;
use super::mode::{Mode, Writes};
use crate::sys::Lease;
use crate::{Error, Result, Wake};

/// A buffer that is with this process, until it is dropped or sent.
///
/// It dereferences to bytes: to those that the driver sent or, in a `WriteStream`, to the whole
/// data area. When it is dropped, it goes back to the driver or, in a `WriteStream`, becomes
/// unused, and [`Stream::buffer`](crate::Stream::buffer) returns it again.
///
/// A process can use many buffers at the same time. They can go back in any order and from any thread. A
/// buffer that is forgotten does not come back in its session.
///
/// A buffer can outlive its stream. Its bytes then stay as they are, and it goes nowhere.
///
/// The buffers of a `ReadStream` can only be read:
///
/// ```compile_fail,E0277
/// fn writable<T: std::ops::DerefMut<Target = [u8]>>() {}
/// writable::<iostream::Buffer<iostream::mode::Read>>();
/// ```
///
/// A buffer cannot be used any more once it is sent or dropped:
///
/// ```compile_fail,E0382
/// # fn main() -> std::io::Result<()> {
/// # let mut stream = iostream::WriteStream::open("sink")?;
/// let buffer = stream.buffer()?;
/// buffer.send(10)?;
/// println!("{}", buffer[0]); // it is with the driver
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0505
/// # fn main() -> std::io::Result<()> {
/// # let mut stream = iostream::ReadStream::open("pattern")?;
/// let buffer = stream.dequeue()?;
/// let bytes: &[u8] = &buffer;
/// drop(buffer);
/// println!("{}", bytes.len()); // the driver may write it by now
/// # Ok(())
/// # }
/// ```
pub struct Buffer<M: Mode> {
    /// `None` only while the value is being dropped or sent.
    lease: Option<Lease>,
    core: Arc<Core>,
    /// The bytes that it dereferences to, within the data area.
    data: Range<usize>,
    /// The control data, within the control area.
    control: Range<usize>,
    /// What the driver said about the frame, besides its ranges.
    said: Said,
    /// The timestamp for the driver, in nanoseconds; 0: none.
    timestamp_ns: u64,
    mode: PhantomData<M>,
}

/// What a descriptor of the driver says about its frame.
#[derive(Clone, Copy, Default)]
struct Said {
    flags: u32,
    frame: u64,
    timestamp_ns: u64,
    lost: u64,
    status: i32,
}

impl From<&Descriptor> for Said {
    fn from(descriptor: &Descriptor) -> Self {
        Self {
            flags: descriptor.flags,
            frame: descriptor.frame,
            timestamp_ns: descriptor.timestamp_ns,
            lost: descriptor.lost,
            status: descriptor.status,
        }
    }
}

impl<M: Mode> Buffer<M> {
    /// A buffer without content: it dereferences to the whole data area, to be written.
    pub(crate) fn unused(core: Arc<Core>, lease: Lease) -> Self {
        Self {
            data: 0..core.pool.data_bytes(),
            control: 0..0,
            said: Said::default(),
            timestamp_ns: 0,
            lease: Some(lease),
            core,
            mode: PhantomData,
        }
    }

    /// A buffer that the driver sent. Checks the ranges of its descriptor.
    pub(crate) fn received(core: Arc<Core>, lease: Lease, descriptor: Descriptor) -> Result<Self> {
        let mut buffer = Self::unused(core, lease);
        let bad = |why| Error::BadDescriptor {
            buffer: descriptor.buffer,
            why,
        };
        // On an error the buffer is dropped, and so goes back.
        buffer
            .set_data(descriptor.data.clone())
            .map_err(|_| bad("has data beyond its data area"))?;
        buffer
            .set_control(descriptor.control.clone())
            .map_err(|_| bad("has control data beyond its control area"))?;
        buffer.said = Said::from(&descriptor);
        Ok(buffer)
    }

    /// Records what the driver says about a buffer that it returns.
    pub(crate) fn note_return(&mut self, descriptor: &Descriptor) {
        self.said = Said::from(descriptor);
    }

    /// The number of the buffer in its stream, from 0.
    pub fn id(&self) -> u32 {
        self.lease.as_ref().map_or(u32::MAX, Lease::id)
    }

    /// The number of the frame in this buffer: 0, 1, 2 and so on in a session.
    ///
    /// Frames that the driver [lost](Self::lost) have numbers, too, so the numbers show how many
    /// frames are missing. So do frames that a stop discarded. It is 0 if the buffer of an input
    /// stream has not been with the driver yet.
    pub fn frame(&self) -> u64 {
        self.said.frame
    }

    /// How many frames the driver lost right before this one.
    pub fn lost(&self) -> u64 {
        self.said.lost
    }

    /// When the driver sent this frame or, if the driver knows better, when the frame came into
    /// being.
    ///
    /// It is the time of the [stream's clock](crate::StreamInfo::clock).
    pub fn timestamp(&self) -> Duration {
        Duration::from_nanos(self.said.timestamp_ns)
    }

    /// The flags of the descriptor that brought this frame: bits `IOSTREAM_DESCRIPTOR_*` of
    /// [`uapi`](crate::uapi).
    pub fn flags(&self) -> u32 {
        self.said.flags
    }

    /// The errno that the driver gave this frame; 0 if there is no error.
    pub fn status(&self) -> i32 {
        self.said.status
    }

    /// Whether the data do not continue those before: always if frames were lost.
    pub fn is_discontinuous(&self) -> bool {
        self.said.flags & uapi::IOSTREAM_DESCRIPTOR_DISCONTINUITY != 0
    }

    /// Whether the driver returned the buffer unprocessed, because a stop discarded it.
    pub fn is_discarded(&self) -> bool {
        self.said.flags & uapi::IOSTREAM_DESCRIPTOR_DISCARDED != 0
    }

    /// The range of the data area that the buffer dereferences to.
    pub fn data_range(&self) -> Range<usize> {
        self.data.clone()
    }

    /// The whole data area.
    pub fn area(&self) -> &[u8] {
        self.lease.as_ref().map_or(&[], Lease::data)
    }

    /// The control data.
    #[inline]
    pub fn control(&self) -> &[u8] {
        let area = self.lease.as_ref().map_or(&[][..], Lease::control);
        area.get(self.control.clone()).unwrap_or(&[])
    }

    /// The control data as a value of type `T`, which takes the first `size_of::<T>()` bytes.
    ///
    /// # Errors
    ///
    /// [`Error::ControlSize`] if there are fewer control data than `T` needs;
    /// [`Error::InvalidArgument`] if they are not aligned for `T`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use zerocopy::{FromBytes, Immutable, KnownLayout};
    ///
    /// #[derive(FromBytes, Immutable, KnownLayout)]
    /// #[repr(C)]
    /// struct Stamp {
    ///     nanoseconds: u64,
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let mut stream = iostream::ReadStream::open("pattern")?;
    /// let frame = stream.dequeue_wait(None)?;
    /// println!("{} ns", frame.control_as::<Stamp>()?.nanoseconds);
    /// # Ok(())
    /// # }
    /// ```
    pub fn control_as<T: FromBytes + Immutable + KnownLayout>(&self) -> Result<&T> {
        let control = self.control();
        if control.len() < size_of::<T>() {
            return Err(Error::ControlSize {
                needed: size_of::<T>(),
                found: control.len(),
            });
        }
        match T::ref_from_prefix(control) {
            Ok((value, _)) => Ok(value),
            Err(_) => Err(Error::InvalidArgument(
                "the control data are not aligned for this type",
            )),
        }
    }

    /// Whether the buffer belongs to the stream of `core`.
    pub(crate) fn is_of(&self, core: &Arc<Core>) -> bool {
        Arc::ptr_eq(&self.core, core)
    }

    fn set_data(&mut self, range: Range<usize>) -> Result<()> {
        self.data = check(range, self.core.pool.data_bytes())?;
        Ok(())
    }

    fn set_control(&mut self, range: Range<usize>) -> Result<()> {
        self.control = check(range, self.core.pool.control_bytes())?;
        Ok(())
    }

    /// Sends the bytes that its ranges select. If that fails, the buffer is given back.
    fn send_as_is(mut self, wake: Wake) -> Result<()> {
        let Some(lease) = self.lease.take() else {
            return Ok(());
        };
        let descriptor = Descriptor {
            buffer: lease.id(),
            flags: 0,
            data: self.data.clone(),
            control: self.control.clone(),
            timestamp_ns: self.timestamp_ns,
            ..Descriptor::default()
        };
        self.core.send(lease, descriptor, wake)
    }
}

impl<M: Writes> Buffer<M> {
    /// The whole data area, to be written.
    pub fn area_mut(&mut self) -> &mut [u8] {
        self.lease.as_mut().map_or(&mut [], Lease::data_mut)
    }

    /// The whole control area, to be written. [`Self::set_control_range`] selects the part that is
    /// sent.
    pub fn control_area_mut(&mut self) -> &mut [u8] {
        self.lease.as_mut().map_or(&mut [], Lease::control_mut)
    }

    /// Selects the range of the data area that the buffer dereferences to.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if the range is not within the data area.
    pub fn set_data_range(&mut self, range: Range<usize>) -> Result<()> {
        self.set_data(range)
    }

    /// Selects the range of the control area that is sent.
    ///
    /// By default, this is the control data that the driver sent: nothing in a `WriteStream`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if the range is not within the control area.
    pub fn set_control_range(&mut self, range: Range<usize>) -> Result<()> {
        self.set_control(range)
    }

    /// Sets the timestamp that the driver gets with this buffer. What it means is between the two;
    /// the kernel passes it on as it is.
    ///
    /// Without this the driver gets none. A time of more than 2<sup>64</sup> nanoseconds counts as
    /// 2<sup>64</sup> - 1 nanoseconds.
    pub fn set_timestamp(&mut self, timestamp: Duration) {
        self.timestamp_ns = u64::try_from(timestamp.as_nanos()).unwrap_or(u64::MAX);
    }

    /// Writes a value to the start of the control area, and selects it to be sent.
    ///
    /// # Errors
    ///
    /// [`Error::ControlSize`] if the control area is too small.
    pub fn write_control<T: IntoBytes + Immutable>(&mut self, value: &T) -> Result<()> {
        let bytes = value.as_bytes();
        let area = self.control_area_mut();
        let found = area.len();
        let Some(start) = area.get_mut(..bytes.len()) else {
            return Err(Error::ControlSize {
                needed: bytes.len(),
                found,
            });
        };
        start.copy_from_slice(bytes);
        self.set_control(0..bytes.len())
    }

    /// Sends `len` bytes of the data area, starting where the buffer's bytes start.
    ///
    /// If this fails, the buffer is given back, as if it were dropped.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if the data area has fewer bytes; [`Error::Gone`] if the driver is
    /// gone; [`Error::Closed`] if the stream is closed.
    pub fn send(self, len: usize) -> Result<()> {
        self.send_with(len, Wake::Normal)
    }

    /// Sends `len` bytes of the data area; `wake` decides whether the driver is woken.
    ///
    /// # Errors
    ///
    /// Those of [`Self::send`].
    pub fn send_with(mut self, len: usize, wake: Wake) -> Result<()> {
        let start = self.data.start;
        self.set_data(start..start.saturating_add(len))?;
        self.send_as_is(wake)
    }

    /// Sends a range of the data area.
    ///
    /// If this fails, the buffer is given back, as if it were dropped.
    ///
    /// # Errors
    ///
    /// Those of [`Self::send`].
    pub fn send_range(mut self, range: Range<usize>) -> Result<()> {
        self.set_data(range)?;
        self.send_as_is(Wake::Normal)
    }
}

/// Returns the range if it lies within `max` bytes.
fn check(range: Range<usize>, max: usize) -> Result<Range<usize>> {
    if range.start <= range.end && range.end <= max {
        return Ok(range);
    }
    Err(Error::OutOfRange {
        start: range.start,
        end: range.end,
        // The kernel describes the sizes of both areas with 32 bits.
        max: u32::try_from(max).unwrap_or(u32::MAX),
    })
}

impl<M: Mode> Deref for Buffer<M> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.area().get(self.data.clone()).unwrap_or(&[])
    }
}

impl<M: Writes> DerefMut for Buffer<M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let range = self.data.clone();
        self.area_mut().get_mut(range).unwrap_or(&mut [])
    }
}

impl<M: Mode> AsRef<[u8]> for Buffer<M> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl<M: Mode> Drop for Buffer<M> {
    #[inline]
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.core.give_back(lease);
        }
    }
}

impl<M: Mode> fmt::Debug for Buffer<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("id", &self.id())
            .field("data", &self.data)
            .field("control", &self.control)
            .field("frame", &self.said.frame)
            .finish_non_exhaustive()
    }
}
