// SPDX-License-Identifier: MIT OR Apache-2.0

//! The consumer as an iterator and as a loop of callbacks.

use std::ops::ControlFlow;

use crate::{Consumer, Error, Received, Result};

/// The entries of a queue as copies, as they come; the iterator waits for each.
///
/// It ends once the driver is gone and all that it had queued is taken. After another error it may
/// go on. [`Consumer::next`] lends entries in place instead.
#[derive(Debug)]
pub struct Entries {
    consumer: Consumer,
}

impl Entries {
    /// The consumer again.
    pub fn into_inner(self) -> Consumer {
        self.consumer
    }
}

impl Iterator for Entries {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.consumer.dequeue_wait(None) {
            Ok(entry) => Some(Ok(entry.to_vec())),
            Err(Error::Gone) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl IntoIterator for Consumer {
    type Item = Result<Vec<u8>>;
    type IntoIter = Entries;

    fn into_iter(self) -> Entries {
        Entries { consumer: self }
    }
}

impl Consumer {
    /// Gives each entry to `f` as it comes, in place, until `f` breaks.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`]. See also the type.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::ops::ControlFlow;
    ///
    /// # fn main() -> iostream::Result<()> {
    /// # let session = iostream::Setup::source(16, 64).rate(10).open()?;
    /// let mut bytes = 0;
    /// session.consumer()?.for_each(|entry| {
    ///     bytes += entry.len();
    ///     if bytes < 1000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_each<B>(&mut self, mut f: impl FnMut(&Received<'_>) -> ControlFlow<B>) -> Result<B> {
        loop {
            if let ControlFlow::Break(value) = f(&self.dequeue_wait(None)?) {
                return Ok(value);
            }
        }
    }
}
