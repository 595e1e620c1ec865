// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams as readers and writers of `std::io`.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use super::buffer::Buffer;
use super::mode::{self, Receives};
use super::{Stop, Stream};
use crate::io::read_buffered;
use crate::Error;

/// Reads the bytes of a stream's buffers, one buffer after the other.
///
/// It waits for buffers without a timeout. The end of the bytes is reached once the stream is
/// stopped and everything is read. A driver that is gone is an error.
#[derive(Debug)]
pub struct Reader<M: Receives> {
    stream: Stream<M>,
    current: Option<Buffer<M>>,
    /// How many bytes of `current` have been read.
    done: usize,
}

/// Writes bytes into a stream's buffers, one buffer after the other.
///
/// It sends a buffer when it is full or flushed, and waits for buffers without a timeout.
///
/// When it is dropped, it sends the last bytes but ignores an error: call
/// [`flush`](std::io::Write::flush) first to see it. Dropping it ends the session, and what the
/// driver has not taken by then is lost, whether it was sent or not: a program that is to lose nothing
/// calls [`drain`](Self::drain) last.
#[derive(Debug)]
pub struct Writer {
    // Declared first, and so dropped and sent before the stream is closed.
    partial: Partial,
    stream: Stream<mode::Write>,
}

/// A buffer whose first bytes are written.
#[derive(Debug, Default)]
struct Partial {
    buffer: Option<Buffer<mode::Write>>,
    done: usize,
}

impl<M: Receives> Stream<M> {
    /// Turns the stream into a reader of bytes.
    pub fn into_reader(self) -> Reader<M> {
        Reader {
            stream: self,
            current: None,
            done: 0,
        }
    }
}

impl<M: Receives> Reader<M> {
    /// Returns the stream. The rest of the buffer that was being read is lost.
    pub fn into_inner(self) -> Stream<M> {
        self.stream
    }

    /// The stream, to start, stop or inspect it.
    pub fn get_mut(&mut self) -> &mut Stream<M> {
        &mut self.stream
    }
}

impl<M: Receives> Read for Reader<M> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}

impl<M: Receives> BufRead for Reader<M> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stream.receiver.open.check_owner()?;
        self.stream.receiver.consumer.handle.check_waker()?;
        while self.current.as_ref().is_none_or(|b| b.len() <= self.done) {
            // Goes back before the wait for the next one: it may be the only one.
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
        // Goes back immediately, so that the driver can use it.
        if self.current.as_ref().is_some_and(|b| b.len() <= self.done) {
            self.current = None;
            self.done = 0;
        }
    }
}

impl Stream<mode::Write> {
    /// Turns the stream into a writer of bytes.
    pub fn into_writer(self) -> Writer {
        Writer {
            partial: Partial::default(),
            stream: self,
        }
    }
}

impl Writer {
    /// Sends the bytes written so far, and returns the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`] if the driver is gone.
    pub fn into_inner(mut self) -> crate::Result<Stream<mode::Write>> {
        self.stream.receiver.open.check_owner()?;
        self.partial.send()?;
        Ok(self.stream)
    }

    /// Sends the bytes written so far, waits until the driver has taken everything, and stops the
    /// stream. `timeout` is how long it waits, or `None` to wait without limit.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] and [`Error::Interrupted`], after which the stream keeps running and this
    /// may be called again; [`Error::AlreadyInState`] if the stream is stopped; [`Error::NotRunning`]
    /// if it is suspended; [`Error::Gone`] if the driver is gone.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::io::Write;
    /// use std::time::Duration;
    ///
    /// let stream = iostream::WriteStream::open("sink")?;
    /// stream.start()?;
    /// let mut writer = stream.into_writer();
    /// writer.write_all(b"the last words")?;
    /// writer.drain(Some(Duration::from_secs(5)))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn drain(&mut self, timeout: Option<Duration>) -> crate::Result<()> {
        self.stream.receiver.open.check_owner()?;
        self.partial.send()?;
        self.stream.stop(Stop::Drain { timeout })?;
        Ok(())
    }

    /// The stream, to start, stop or inspect it.
    pub fn get_mut(&mut self) -> &mut Stream<mode::Write> {
        &mut self.stream
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.stream.receiver.open.check_owner()?;
        self.stream.receiver.consumer.handle.check_waker()?;
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
        self.stream.receiver.open.check_owner()?;
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
        // `flush` reports this error.
        let _ = self.send();
    }
}
