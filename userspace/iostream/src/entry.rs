// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entries that were received, in the queue's own memory.

use std::ops::Deref;

use crate::{Consumer, Error, Result};

/// The next entry, looked at and not removed. Dropped or forgotten, it stays in the queue.
///
/// There is one at a time:
///
/// ```compile_fail,E0499
/// # fn main() -> iostream::Result<()> {
/// # let session = iostream::Setup::source(16, 16).open()?;
/// let mut consumer = session.consumer()?;
/// let first = consumer.peek()?;
/// let second = consumer.peek()?; // `consumer` is borrowed
/// assert_eq!(first.len(), second.len());
/// # Ok(())
/// # }
/// ```
///
/// And once released it is out of reach:
///
/// ```compile_fail,E0505
/// # fn main() -> iostream::Result<()> {
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
    #[inline]
    pub(crate) fn new(consumer: &'a mut Consumer, batched: bool, lost_before: u16) -> Self {
        Self {
            consumer,
            batched,
            lost_before,
        }
    }

    /// Entries that were lost right before this one; 65535 stands for that many or more.
    pub fn lost_before(&self) -> u16 {
        self.lost_before
    }

    /// Removes the entry.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`].
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

/// An entry that is removed from the queue when the value is dropped.
///
/// A value that is forgotten leaves the entry in the queue.
#[derive(Debug)]
pub struct Received<'a> {
    consumer: &'a mut Consumer,
    batched: bool,
    lost_before: u16,
}

impl<'a> Received<'a> {
    #[inline]
    pub(crate) fn new(consumer: &'a mut Consumer, batched: bool, lost_before: u16) -> Self {
        Self {
            consumer,
            batched,
            lost_before,
        }
    }

    /// Entries that were lost right before this one; 65535 stands for that many or more.
    pub fn lost_before(&self) -> u16 {
        self.lost_before
    }
}

impl Deref for Received<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.consumer.found_bytes()
    }
}

impl Drop for Received<'_> {
    #[inline]
    fn drop(&mut self) {
        // Whoever wants to know uses `peek` and `release`; the next operation meets the same error.
        let _ = self.consumer.release(self.batched);
    }
}

/// Many entries received, of which the kernel learns at once when the batch ends.
///
/// A batch that finds the queue empty tells the kernel at once. One that is forgotten is told of
/// with the next entry.
///
/// # Examples
///
/// ```no_run
/// # fn main() -> iostream::Result<()> {
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

    /// As [`Consumer::peek`].
    ///
    /// # Errors
    ///
    /// As [`Consumer::peek`].
    #[inline]
    pub fn peek(&mut self) -> Result<Entry<'_>> {
        let entry = self.consumer.find()?;
        Ok(Entry::new(self.consumer, true, entry.lost_before()))
    }

    /// As [`Consumer::dequeue`].
    ///
    /// # Errors
    ///
    /// As [`Consumer::dequeue`].
    #[inline]
    pub fn dequeue(&mut self) -> Result<Received<'_>> {
        let entry = self.consumer.find()?;
        Ok(Received::new(self.consumer, true, entry.lost_before()))
    }

    /// As [`Consumer::next`].
    ///
    /// # Errors
    ///
    /// As [`Consumer::next`].
    #[expect(
        clippy::should_implement_trait,
        reason = "it lends, which Iterator cannot"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<Received<'_>>> {
        match self.consumer.find() {
            Ok(entry) => Ok(Some(Received::new(
                self.consumer,
                true,
                entry.lost_before(),
            ))),
            Err(Error::Empty) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends the batch. Dropping it does the same and keeps an error to itself.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`].
    pub fn finish(self) -> Result<()> {
        self.consumer.flush()
        // The drop that follows finds nothing left to tell.
    }
}

impl Drop for ConsumerBatch<'_> {
    fn drop(&mut self) {
        // Whoever wants to know calls `finish`; the next operation meets the same error.
        let _ = self.consumer.flush();
    }
}
