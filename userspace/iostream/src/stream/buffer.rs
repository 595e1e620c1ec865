// SPDX-License-Identifier: MIT OR Apache-2.0

//! A buffer that this process has.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::core::Core;
use super::descriptor::Descriptor;
use super::mode::{Mode, Writes};
use crate::sys::Lease;
use crate::{Error, Result, Wake};

/// A buffer that this process has, until it is dropped or sent.
///
/// It derefs to its bytes: to those that the driver sent, or, of an input stream, to the whole data
/// area. Dropped, it goes back: to the driver, or, of an input stream, to those that
/// [`Stream::buffer`](crate::Stream::buffer) hands out. Many may be held at once, and go back in
/// any order and from any thread. A buffer that is forgotten is not seen again in its session.
///
/// A buffer may outlive its stream: its bytes stay what they are, and it goes nowhere.
///
/// What may only be read cannot be written:
///
/// ```compile_fail,E0277
/// fn writable<T: std::ops::DerefMut<Target = [u8]>>() {}
/// writable::<iostream::Buffer<iostream::mode::Output>>();
/// ```
///
/// Nor is there a second use of a buffer, once it is gone:
///
/// ```compile_fail,E0382
/// # fn main() -> iostream::Result<()> {
/// # let mut stream = iostream::InputStream::open("sink")?;
/// let buffer = stream.buffer()?;
/// buffer.send(10)?;
/// println!("{}", buffer[0]); // the driver has it
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0505
/// # fn main() -> iostream::Result<()> {
/// # let mut stream = iostream::OutputStream::open("pattern")?;
/// let buffer = stream.dequeue()?;
/// let bytes: &[u8] = &buffer;
/// drop(buffer);
/// println!("{}", bytes.len()); // the driver may write it by now
/// # Ok(())
/// # }
/// ```
pub struct Buffer<M: Mode> {
    /// Gone only while the value itself goes.
    lease: Option<Lease>,
    core: Arc<Core>,
    /// What it derefs to, within the data area.
    data: Range<usize>,
    /// The control data, within the control area.
    control: Range<usize>,
    sequence: u64,
    discarded: bool,
    mode: PhantomData<M>,
}

impl<M: Mode> Buffer<M> {
    /// A buffer with nothing in it yet: all of it is there to be written.
    pub(crate) fn unused(core: Arc<Core>, lease: Lease) -> Self {
        Self {
            data: 0..core.pool.data_bytes(),
            control: 0..0,
            sequence: 0,
            discarded: false,
            lease: Some(lease),
            core,
            mode: PhantomData,
        }
    }

    /// A buffer as a descriptor of the kernel's says, whose ranges are checked here.
    pub(crate) fn received(core: Arc<Core>, lease: Lease, descriptor: Descriptor) -> Result<Self> {
        let mut buffer = Self::unused(core, lease);
        let bad = |why| Error::BadDescriptor {
            buffer: descriptor.buffer,
            why,
        };
        // A range that does not fit is not to be seen; the buffer goes back all the same.
        buffer
            .set_data(descriptor.data.clone())
            .map_err(|_| bad("has data beyond its data area"))?;
        buffer
            .set_control(descriptor.control.clone())
            .map_err(|_| bad("has control data beyond its control area"))?;
        buffer.sequence = descriptor.sequence;
        buffer.discarded = descriptor.is_discarded();
        Ok(buffer)
    }

    /// What the driver said when it returned a buffer that it was sent.
    pub(crate) fn note_return(&mut self, descriptor: &Descriptor) {
        self.sequence = descriptor.sequence;
        self.discarded = descriptor.is_discarded();
    }

    /// Its number among the stream's buffers, from 0.
    pub fn id(&self) -> u32 {
        self.lease.as_ref().map_or(u32::MAX, Lease::id)
    }

    /// The driver's number of this sending: 0, 1, 2 ... in a session. Of a fresh buffer of an input
    /// stream, 0.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whether it came back from the driver unprocessed, because a stop discarded it.
    pub fn is_discarded(&self) -> bool {
        self.discarded
    }

    /// Where in the data area the bytes are that it derefs to.
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

    /// The control data as a type for which all bit patterns are valid; it may be shorter than they.
    ///
    /// # Errors
    ///
    /// [`Error::ControlSize`] if they are shorter than the type; [`Error::InvalidArgument`] if they
    /// are not aligned for it.
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
    /// # fn main() -> iostream::Result<()> {
    /// # let mut stream = iostream::OutputStream::open("pattern")?;
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

    /// Whether it is of this stream.
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

    /// Sends what its ranges say. If that fails, it goes where it goes when dropped.
    fn send_as_is(mut self, wake: Wake) -> Result<()> {
        let Some(lease) = self.lease.take() else {
            return Ok(());
        };
        let descriptor = Descriptor {
            buffer: lease.id(),
            flags: 0,
            data: self.data.clone(),
            control: self.control.clone(),
            sequence: 0,
        };
        self.core.send(lease, descriptor, wake)
    }
}

impl<M: Writes> Buffer<M> {
    /// The whole data area, to be written.
    pub fn area_mut(&mut self) -> &mut [u8] {
        self.lease.as_mut().map_or(&mut [], Lease::data_mut)
    }

    /// The whole control area, to be written. What of it is sent, [`Self::set_control_range`] says.
    pub fn control_area_mut(&mut self) -> &mut [u8] {
        self.lease.as_mut().map_or(&mut [], Lease::control_mut)
    }

    /// Chooses what of the data area the buffer derefs to.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`].
    pub fn set_data_range(&mut self, range: Range<usize>) -> Result<()> {
        self.set_data(range)
    }

    /// Chooses what of the control area is sent: nothing of a fresh buffer, else what came.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`].
    pub fn set_control_range(&mut self, range: Range<usize>) -> Result<()> {
        self.set_control(range)
    }

    /// Writes a value to the start of the control area, and has it sent.
    ///
    /// # Errors
    ///
    /// [`Error::ControlSize`] if it does not fit.
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

    /// Sends `len` bytes of the data area, from the first that the buffer derefs to.
    ///
    /// If it fails, the buffer goes where it goes when dropped.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if there are not so many; [`Error::Gone`], [`Error::Closed`].
    pub fn send(self, len: usize) -> Result<()> {
        self.send_with(len, Wake::Normal)
    }

    /// As [`Self::send`], with a say in whether the driver is woken.
    ///
    /// # Errors
    ///
    /// As [`Self::send`].
    pub fn send_with(mut self, len: usize, wake: Wake) -> Result<()> {
        let start = self.data.start;
        self.set_data(start..start.saturating_add(len))?;
        self.send_as_is(wake)
    }

    /// Sends a range of the data area.
    ///
    /// If it fails, the buffer goes where it goes when dropped.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`]; [`Error::Gone`], [`Error::Closed`].
    pub fn send_range(mut self, range: Range<usize>) -> Result<()> {
        self.set_data(range)?;
        self.send_as_is(Wake::Normal)
    }
}

/// The range, if it lies within so many bytes.
fn check(range: Range<usize>, max: usize) -> Result<Range<usize>> {
    if range.start <= range.end && range.end <= max {
        return Ok(range);
    }
    Err(Error::OutOfRange {
        start: range.start,
        end: range.end,
        max,
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
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}
