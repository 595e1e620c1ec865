// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ends of queues as readers and writers of `std::io`.

use std::io::{BufRead, Read, Result, Write};

use crate::{Consumer, Error, Producer};

/// Reads the bytes of entries, across their boundaries.
///
/// It waits for entries without a timeout. A read returns bytes of one entry, and the next read
/// continues there. Entries of 0 bytes are skipped. The bytes have no end: once the driver is gone
/// and everything is read, a read fails with [`Error::Gone`].
///
/// Methods such as [`Consumer::peek`] return an entry as a whole even if it is half read.
impl Read for Consumer {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        read_buffered(self, buffer)
    }
}

/// Returns the rest of the current entry, in place.
impl BufRead for Consumer {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        self.check_waker()?;
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
        // Releases the entry immediately, so that the kernel has the room. `fill_buf` reports an error.
        if amount > 0 && self.read_bytes >= self.found_bytes().len() {
            let _ = self.release(false);
        }
    }
}

/// Writes one entry with each call, of at most [`Producer::max_entry_bytes`].
///
/// It waits for room without a timeout. A write of 0 bytes appends no entry.
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

/// Implements `Read::read` for a reader that buffers. It never waits to fill an empty `buffer`.
pub(crate) fn read_buffered(reader: &mut impl BufRead, buffer: &mut [u8]) -> Result<usize> {
    if buffer.is_empty() {
        return Ok(0);
    }
    let bytes = reader.fill_buf()?;
    let len = bytes.len().min(buffer.len());
    buffer[..len].copy_from_slice(&bytes[..len]);
    reader.consume(len);
    Ok(len)
}
