// SPDX-License-Identifier: MIT OR Apache-2.0

//! The file or pipe that a command writes its data to.
//!
//! A write never sleeps where a signal could not end it: it first waits in poll(2) until the output
//! takes data, and then writes no more than it takes. After a signal the output has some time left
//! to take what the command has, and then the rest is given up, and counted.

use std::fs::File;
use std::io::{self, IoSlice, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::{pwritev2, Errno, ReadWriteFlags};

use crate::failure::{Failure, Result};
use crate::files::is_standard;
use crate::stop::Stop;

/// How many bytes are gathered before they are written.
const GATHERED: usize = 256 * 1024;

/// What a pipe takes without sleeping once poll(2) says that it is writable: `PIPE_BUF` of Linux.
const PIPE_BUF: usize = 4096;

/// How data are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A regular file, for which poll(2) has no meaning.
    Regular,
    /// The calls do not wait: `RWF_NOWAIT`.
    Unwaiting,
    /// The file knows no `RWF_NOWAIT`: FIFOs and terminals.
    Small,
}

/// An output with a buffer. If a signal comes, what is written afterwards stays in the buffer; the
/// caller learns of the signal from [`Stop`], and then calls [`Self::finish`].
pub struct Writer {
    file: File,
    name: String,
    kind: Kind,
    stop: Stop,
    buffer: Vec<u8>,
    /// How many bytes of the buffer are written.
    written: usize,
}

impl Writer {
    /// Creates or empties a file to write; `-` is standard output.
    ///
    /// Data that are no text are refused if the output is a terminal, which they could confuse.
    pub fn create(path: &Path, stop: &Stop, is_text: bool) -> Result<Self> {
        let (file, name) = if is_standard(path) {
            // Not `Stdout`, which would look for newlines.
            let fd = io::stdout().as_fd().try_clone_to_owned();
            let file = fd.map_err(Failure::of_stdout).map(File::from)?;
            (file, "standard output".to_owned())
        } else {
            let name = path.display().to_string();
            let file = File::create(path).map_err(|error| Failure::of_file(&name, error))?;
            (file, name)
        };
        if !is_text && file.is_terminal() {
            return Err(Failure::Usage(format!(
                "{name} is a terminal, and the data may be binary: use --format hex, a pipe or \
                 --output FILE"
            )));
        }
        let metadata = file.metadata();
        let metadata = metadata.map_err(|error| Failure::of_file(&name, error))?;
        let kind = if metadata.is_file() {
            Kind::Regular
        } else {
            Kind::Unwaiting
        };
        Ok(Self {
            file,
            name,
            kind,
            stop: stop.clone(),
            buffer: Vec::with_capacity(GATHERED),
            written: 0,
        })
    }

    /// The name of the file, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether data wait in the buffer.
    pub fn has_data(&self) -> bool {
        !self.rest().is_empty()
    }

    /// How many bytes the output has not taken.
    pub fn unwritten(&self) -> u64 {
        self.rest().len() as u64
    }

    /// Writes what is in the buffer, in the time that a signal leaves: [`Self::unwritten`] then says
    /// how much the output did not take.
    pub fn finish(&mut self) -> Result<()> {
        while !self.rest().is_empty() {
            let grace = self.stop.grace();
            if !self.write_some(grace)? && grace == Some(Duration::ZERO) {
                break;
            }
        }
        Ok(())
    }

    /// What is not written yet.
    fn rest(&self) -> &[u8] {
        &self.buffer[self.written..]
    }

    /// Writes what is in the buffer, until that is done or a signal comes.
    fn drain(&mut self) -> Result<()> {
        while !self.rest().is_empty() && !self.stop.is_set() {
            self.write_some(None)?;
        }
        Ok(())
    }

    /// Waits until the output takes data, and writes some. After a signal it waits for `grace`.
    /// Returns whether it wrote.
    fn write_some(&mut self, grace: Option<Duration>) -> Result<bool> {
        if self.kind != Kind::Regular {
            let writable = match grace {
                // A signal ends this wait.
                None => match self.stop.wait([(self.file.as_fd(), PollFlags::OUT)], None) {
                    Ok([seen]) => !seen.is_empty(),
                    Err(Failure::Interrupted(_)) => false,
                    Err(failure) => return Err(failure),
                },
                Some(grace) => {
                    let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
                    self.stop.poll(&mut fds, Some(grace))?;
                    !fds[0].revents().is_empty()
                }
            };
            if !writable {
                return Ok(false);
            }
        }
        let written = match self.kind {
            Kind::Regular => self.file.write(&self.buffer[self.written..]),
            Kind::Unwaiting => {
                let bytes = [IoSlice::new(self.rest())];
                // `u64::MAX` means the file's own position, if it has one.
                let flags = ReadWriteFlags::NOWAIT;
                match pwritev2(&self.file, &bytes, u64::MAX, flags) {
                    Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                        self.kind = Kind::Small;
                        return Ok(true);
                    }
                    written => written.map_err(Into::into),
                }
            }
            Kind::Small => {
                let rest = &self.buffer[self.written..];
                self.file.write(&rest[..rest.len().min(PIPE_BUF)])
            }
        };
        match written {
            Ok(len) => {
                self.written += len;
                if self.rest().is_empty() {
                    self.buffer.clear();
                    self.written = 0;
                }
                Ok(true)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => Ok(true),
                _ => Err(Failure::of_file(&self.name, error)),
            },
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.rest().len() >= GATHERED {
            self.drain().map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.drain().map_err(io::Error::other)
    }
}

impl AsFd for Writer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
