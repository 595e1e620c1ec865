// SPDX-License-Identifier: MIT OR Apache-2.0

//! Iterating over entries, and calling a function for each.

use std::ops::ControlFlow;

use crate::{Consumer, Error, Received, Result};

/// An iterator over copies of a queue's entries, which waits for each of them.
///
/// It ends once the driver is gone and all entries that it had queued are taken. After another
/// error it may continue. [`Consumer::next`] lends entries in place instead.
#[derive(Debug)]
pub struct Entries {
    consumer: Consumer,
}

impl Entries {
    /// Returns the consumer.
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
    /// Passes each entry to `f` as it arrives, in place, until `f` breaks. Waits for each entry.
    ///
    /// # Errors
    ///
    /// One of the [common errors](Self#errors).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::ops::ControlFlow;
    ///
    /// # fn main() -> std::io::Result<()> {
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
