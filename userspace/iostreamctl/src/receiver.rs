// SPDX-License-Identifier: MIT OR Apache-2.0

//! The reading end of a device, whether its queue overwrites or not.

use std::time::Duration;

use iostream::{Consumer, Direction, Error, OverwriteReader, Session};

/// Entries that are taken before the other side learns of it.
const BATCH: usize = 64;

/// An entry that was received.
pub struct Arrived<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Entries that the driver declared lost before it.
    pub lost: u64,
    /// Bytes that were overwritten before it.
    pub gap_bytes: u64,
}

/// The reading end.
pub enum Receiver {
    /// Of a queue that loses nothing.
    Plain(Consumer),
    /// Of a queue that overwrites, with room for its longest entry.
    Overwriting(OverwriteReader, Vec<u8>),
}

impl Receiver {
    /// Takes the reading end of a session.
    pub fn new(session: &Session, spin: Option<u32>) -> iostream::Result<Self> {
        if session.queue_info(Direction::Output)?.overwrite {
            let mut reader = session.overwrite_reader()?;
            if let Some(spin) = spin {
                reader.set_spin(spin);
            }
            let buffer = vec![0; reader.max_entry_bytes()];
            return Ok(Self::Overwriting(reader, buffer));
        }
        let mut consumer = session.consumer()?;
        if let Some(spin) = spin {
            consumer.set_spin(spin);
        }
        Ok(Self::Plain(consumer))
    }

    /// Sets the watermark by which [`Self::wait`] goes.
    pub fn set_watermark(&mut self, bytes: u64, latency: Duration) -> iostream::Result<()> {
        match self {
            Self::Plain(consumer) => consumer.set_watermark(bytes, latency),
            Self::Overwriting(reader, _) => reader.set_watermark(bytes, latency),
        }
    }

    /// Waits until an entry is there, or the watermark is reached.
    pub fn wait(&mut self, timeout: Duration) -> iostream::Result<()> {
        match self {
            Self::Plain(consumer) => consumer.wait(Some(timeout)),
            Self::Overwriting(reader, _) => reader.wait(Some(timeout)),
        }
    }

    /// Gives `f` some of the entries that wait, until it says `false` or fails.
    ///
    /// Returns whether `f` wants more.
    pub fn take<E: From<Error>>(
        &mut self,
        mut f: impl FnMut(Arrived<'_>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        match self {
            Self::Plain(consumer) => {
                let mut batch = consumer.batch();
                for _ in 0..BATCH {
                    let Some(entry) = batch.next()? else {
                        break;
                    };
                    let more = f(Arrived {
                        lost: entry.lost_before().into(),
                        gap_bytes: 0,
                        bytes: &entry,
                    })?;
                    if !more {
                        return Ok(false);
                    }
                }
                batch.finish()?;
                Ok(true)
            }
            Self::Overwriting(reader, buffer) => {
                for _ in 0..BATCH {
                    let read = match reader.read_into(buffer) {
                        Ok(read) => read,
                        Err(Error::Empty) => break,
                        Err(error) => return Err(error.into()),
                    };
                    let more = f(Arrived {
                        lost: read.lost_before.into(),
                        gap_bytes: read.gap_bytes,
                        bytes: &buffer[..read.len],
                    })?;
                    if !more {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }
}
