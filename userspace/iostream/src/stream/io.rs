// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams as `std::io` knows readers and writers.

use std::io::{self, BufRead, Read, Write};

use super::buffer::Buffer;
use super::mode::{Input, Receives};
use super::Stream;
use crate::Error;

/// The bytes of a stream's buffers, one after the other; it waits for buffers without a time-out.
///
/// It is at its end once the stream is stopped and all is read; a driver that is gone is an error.
#[derive(Debug)]
pub struct Reader<M: Receives> {
    stream: Stream<M>,
    current: Option<Buffer<M>>,
    /// Bytes of `current` that were read.
    done: usize,
}

/// Fills a stream's buffers one after the other, and sends each when it is full or flushed. It
/// waits for buffers without a time-out.
///
/// Dropped, it keeps to itself whether the last bytes could be sent: flush it.
#[derive(Debug)]
pub struct Writer {
    // Dropped before the stream, which would refuse it.
    partial: Partial,
    stream: Stream<Input>,
}

/// A buffer with its first bytes written.
#[derive(Debug, Default)]
struct Partial {
    buffer: Option<Buffer<Input>>,
    done: usize,
}

impl<M: Receives> Stream<M> {
    /// The stream as a reader of bytes.
    pub fn into_reader(self) -> Reader<M> {
        Reader {
            stream: self,
            current: None,
            done: 0,
        }
    }
}

impl<M: Receives> Reader<M> {
    /// The stream; what is left of the buffer that was being read is given up.
    pub fn into_inner(self) -> Stream<M> {
        self.stream
    }

    /// The stream, to be started, stopped and asked.
    pub fn get_mut(&mut self) -> &mut Stream<M> {
        &mut self.stream
    }
}

impl<M: Receives> Read for Reader<M> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
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

impl<M: Receives> BufRead for Reader<M> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.as_ref().is_none_or(|b| b.len() <= self.done) {
            // Goes back before the next is waited for: there may be but one.
            self.current = None;
            self.done = 0;
            match self.stream.dequeue_wait(None) {
                Ok(buffer) => self.current = Some(buffer),
                Err(Error::NotRunning) => return Ok(&[]),
                Err(error) => return Err(error.into()),
            }
        }
        let bytes = self.current.as_deref().unwrap_or(&[]);
        Ok(bytes.get(self.done..).unwrap_or(&[]))
    }

    fn consume(&mut self, amount: usize) {
        self.done = self.done.saturating_add(amount);
        // At once, so that the driver has it.
        if self.current.as_ref().is_some_and(|b| b.len() <= self.done) {
            self.current = None;
            self.done = 0;
        }
    }
}

impl Stream<Input> {
    /// The stream as a writer of bytes.
    pub fn into_writer(self) -> Writer {
        Writer {
            partial: Partial::default(),
            stream: self,
        }
    }
}

impl Writer {
    /// Sends what is written, and gives the stream back.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`].
    pub fn into_inner(mut self) -> crate::Result<Stream<Input>> {
        self.partial.send()?;
        Ok(self.stream)
    }

    /// The stream, to be started, stopped and asked.
    pub fn get_mut(&mut self) -> &mut Stream<Input> {
        &mut self.stream
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let partial = &mut self.partial;
        let buffer = match &mut partial.buffer {
            Some(buffer) => buffer,
            none => none.insert(self.stream.buffer_wait(None)?),
        };
        let room = buffer.get_mut(partial.done..).unwrap_or(&mut []);
        let len = room.len().min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
        partial.done += len;
        if partial.done >= buffer.len() {
            partial.send()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(self.partial.send()?)
    }
}

impl Partial {
    fn send(&mut self) -> crate::Result<()> {
        let done = std::mem::take(&mut self.done);
        match self.buffer.take() {
            Some(buffer) if done > 0 => buffer.send(done),
            _ => Ok(()),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Whoever wants to know flushes.
        let _ = self.send();
    }
}
