// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ends as `std::io` knows readers and writers.

use std::io::{BufRead, Read, Result, Write};

use crate::{Consumer, Error, Producer};

/// A stream of bytes, over the boundaries of entries; it waits for entries without a time-out.
///
/// What a read leaves of an entry, the next read gets. Entries of 0 bytes are skipped. The stream
/// has no end: once the driver is gone and all is read, reads fail with [`Error::Gone`].
/// [`Consumer::peek`] and the like see a half-read entry as a whole.
impl Read for Consumer {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let bytes = self.fill_buf()?;
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        self.consume(len);
        Ok(len)
    }
}

/// The rest of one entry, in place.
impl BufRead for Consumer {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        loop {
            match self.find() {
                Ok(entry) if entry.len() > self.read_bytes => break,
                Ok(_) => self.release(false)?,
                Err(Error::Empty) => self.wait(None)?,
                Err(error) => return Err(error.into()),
            }
        }
        let read_bytes = self.read_bytes;
        Ok(&self.found_bytes()[read_bytes..])
    }

    fn consume(&mut self, amount: usize) {
        self.read_bytes = self.read_bytes.saturating_add(amount);
        // Released at once, so that the kernel has the room. Should that fail, `fill_buf` says so.
        if amount > 0 && self.read_bytes >= self.found_bytes().len() {
            let _ = self.release(false);
        }
    }
}

/// Each write becomes one entry, of at most the longest that the queue takes; it waits for room
/// without a time-out. A write of 0 bytes makes no entry.
impl Write for Producer {
    fn write(&mut self, buffer: &[u8]) -> Result<usize> {
        let len = buffer.len().min(self.max_entry_bytes());
        if len > 0 {
            self.enqueue_wait(&buffer[..len], None)?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(Self::flush(self)?)
    }
}
