// SPDX-License-Identifier: MIT OR Apache-2.0

//! Received entries, in the queue's own memory.

use std::ops::Deref;

use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::{Consumer, Error, Result};

/// The next entry of a queue, which stays there until it is [released](Self::release).
///
/// If the value is dropped or forgotten, the entry stays in the queue.
///
/// Only one entry can be borrowed at a time:
///
/// ```compile_fail,E0499
/// # fn main() -> std::io::Result<()> {
/// # let session = iostream::Setup::source(16, 16).open()?;
/// let mut consumer = session.consumer()?;
/// let first = consumer.peek()?;
/// let second = consumer.peek()?; // `consumer` is borrowed
/// assert_eq!(first.len(), second.len());
/// # Ok(())
/// # }
/// ```
///
/// A released entry cannot be used any more:
///
/// ```compile_fail,E0505
/// # fn main() -> std::io::Result<()> {
/// # let session = iostream::Setup::source(16, 16).open()?;
/// let mut consumer = session.consumer()?;
/// let entry = consumer.peek()?;
/// let bytes: &[u8] = &entry;
/// entry.release()?;
/// println!("{}", bytes.len()); // may be overwritten by now
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Entry<'a> {
    consumer: &'a mut Consumer,
    batched: bool,
    lost_before: u16,
}

impl<'a> Entry<'a> {
    /// Finds the next entry. If `batched`, the kernel learns of its release with the batch.
    #[inline]
    pub(crate) fn find(consumer: &'a mut Consumer, batched: bool) -> Result<Self> {
        let lost_before = consumer.find()?.lost_before();
        Ok(Self {
            consumer,
            batched,
            lost_before,
        })
    }

    /// How many entries were lost before this one. If there were more than 65535, the entries after
    /// it report the rest.
    pub fn lost_before(&self) -> u16 {
        self.lost_before
    }

    /// The entry as a value of type `T`, in place.
    ///
    /// Entries start at addresses that are multiples of 8. A type that needs more does not compile
    /// here: read it with [`Consumer::dequeue_value`].
    ///
    /// # Errors
    ///
    /// [`Error::WrongLength`] if the entry has not exactly the size of `T`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use iostream::zerocopy::{FromBytes, Immutable, KnownLayout};
    ///
    /// #[derive(FromBytes, Immutable, KnownLayout)]
    /// #[repr(C)]
    /// struct Sample {
    ///     nanoseconds: u64,
    ///     millivolts: [i16; 4],
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut consumer = iostream::Session::open("ticker")?.consumer()?;
    /// let entry = consumer.peek()?;
    /// println!("{} mV", entry.as_value::<Sample>()?.millivolts[0]);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn as_value<T: FromBytes + Immutable + KnownLayout>(&self) -> Result<&T> {
        value_of(self)
    }

    /// Removes the entry from the queue.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if someone else has reset the queue.
    #[inline]
    pub fn release(self) -> Result<()> {
        self.consumer.release(self.batched)
    }
}

impl Deref for Entry<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.consumer.found_bytes()
    }
}

impl AsRef<[u8]> for Entry<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// An entry that is removed from the queue when the value is dropped.
///
/// If the value is forgotten, the entry stays in the queue.
#[derive(Debug)]
pub struct Received<'a> {
    consumer: &'a mut Consumer,
    batched: bool,
    lost_before: u16,
}

impl<'a> Received<'a> {
    /// The entry that `consumer` has just found.
    #[inline]
    pub(crate) fn new(consumer: &'a mut Consumer, batched: bool, lost_before: u16) -> Self {
        Self {
            consumer,
            batched,
            lost_before,
        }
    }

    /// Finds the next entry. If `batched`, the kernel learns of its release with the batch.
    #[inline]
    pub(crate) fn find(consumer: &'a mut Consumer, batched: bool) -> Result<Self> {
        let lost_before = consumer.find()?.lost_before();
        Ok(Self::new(consumer, batched, lost_before))
    }

    /// Like [`Self::find`], but returns `None` if no entry waits.
    #[inline]
    pub(crate) fn find_next(consumer: &'a mut Consumer, batched: bool) -> Result<Option<Self>> {
        match Self::find(consumer, batched) {
            Ok(entry) => Ok(Some(entry)),
            Err(Error::Empty) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many entries were lost before this one. If there were more than 65535, the entries after
    /// it report the rest.
    pub fn lost_before(&self) -> u16 {
        self.lost_before
    }

    /// The entry as a value of type `T`, in place.
    ///
    /// Entries start at addresses that are multiples of 8. A type that needs more does not compile
    /// here: read it with [`Consumer::dequeue_value`].
    ///
    /// # Errors
    ///
    /// [`Error::WrongLength`] if the entry has not exactly the size of `T`.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use iostream::zerocopy::{FromBytes, Immutable, KnownLayout};
    ///
    /// #[derive(FromBytes, Immutable, KnownLayout)]
    /// #[repr(C)]
    /// struct Sample {
    ///     nanoseconds: u64,
    ///     millivolts: [i16; 4],
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let mut consumer = iostream::Session::open("ticker")?.consumer()?;
    /// let entry = consumer.dequeue_wait(None)?;
    /// println!("{} mV", entry.as_value::<Sample>()?.millivolts[0]);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn as_value<T: FromBytes + Immutable + KnownLayout>(&self) -> Result<&T> {
        value_of(self)
    }
}

impl Deref for Received<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.consumer.found_bytes()
    }
}

impl AsRef<[u8]> for Received<'_> {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Received<'_> {
    #[inline]
    fn drop(&mut self) {
        // `peek` and `release` report this error, and so does the next operation.
        let _ = self.consumer.release(self.batched);
    }
}

/// The bytes of an entry as a value.
#[inline]
fn value_of<T: FromBytes + Immutable + KnownLayout>(bytes: &[u8]) -> Result<&T> {
    const {
        assert!(
            align_of::<T>() <= 8,
            "the type's alignment is more than an entry's"
        )
    };
    // The alignment suffices, so that only the length can be wrong.
    T::ref_from_bytes(bytes).map_err(|_| Error::WrongLength {
        needed: size_of::<T>(),
        found: bytes.len(),
    })
}

/// A batch of received entries: the kernel learns of all their releases once, when the batch ends.
///
/// A batch that finds the queue empty tells the kernel immediately. If a batch is forgotten, the kernel
/// learns of its releases with the next entry.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// # let session = iostream::Setup::source(16, 64).rate(10).open()?;
/// # let mut consumer = session.consumer()?;
/// consumer.wait(None)?;
/// let mut batch = consumer.batch();
/// while let Some(entry) = batch.next()? {
///     println!("{} bytes", entry.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ConsumerBatch<'a> {
    consumer: &'a mut Consumer,
}

impl<'a> ConsumerBatch<'a> {
    pub(crate) fn new(consumer: &'a mut Consumer) -> Self {
        Self { consumer }
    }

    /// Returns the next entry and leaves it in the queue until it is released.
    ///
    /// # Errors
    ///
    /// Those of [`Consumer::peek`].
    #[inline]
    pub fn peek(&mut self) -> Result<Entry<'_>> {
        Entry::find(self.consumer, true)
    }

    /// Takes the next entry in place. It is released when the value is dropped.
    ///
    /// # Errors
    ///
    /// Those of [`Consumer::dequeue`].
    #[inline]
    pub fn dequeue(&mut self) -> Result<Received<'_>> {
        Received::find(self.consumer, true)
    }

    /// Takes the next entry in place, or returns `None` if no entry waits.
    ///
    /// # Errors
    ///
    /// Those of [`Consumer::next`].
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends, which Iterator cannot"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Received<'_>>> {
        Received::find_next(self.consumer, true)
    }

    /// Ends the batch. Dropping the batch does the same, but ignores an error.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if someone else has reset the queue.
    pub fn finish(self) -> Result<()> {
        self.consumer.flush()
        // The drop that follows has nothing left to publish.
    }
}

impl Drop for ConsumerBatch<'_> {
    fn drop(&mut self) {
        // `finish` reports this error, and so does the next operation.
        let _ = self.consumer.flush();
    }
}
