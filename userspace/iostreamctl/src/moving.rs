// SPDX-License-Identifier: MIT OR Apache-2.0

//! What all commands that move entries share.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use iostream::{BuiltIn, Direction, Error, Producer, Session, Setup, Wake};
use rustix::event::PollFlags;

use crate::arguments::{Queue, SourceQueue};
use crate::device::Opened;
use crate::failure::{Failure, OnDevice, Result};
use crate::framing::Cutter;
use crate::stop::{Bell, Patience, Stop};
use crate::units::Sizes;

/// How long the crate waits for much room before the command waits for any. Otherwise the two sides
/// would wake each other for every entry.
const LOOK: Duration = Duration::from_millis(2);

/// What an entry occupies in a queue beyond its bytes, at most: its header and its padding.
const OVERHEAD: u64 = 16;

/// How many entries a source publishes together.
const RUN_BATCH: u32 = 64;

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// How many entries.
    pub entries: u64,
    /// The bytes of these entries.
    pub bytes: u64,
    /// The CRC-32 of all their bytes in order.
    pub crc: u32,
}

/// Sends the entries of a cutter.
pub struct Sender<'a> {
    /// The producing end.
    pub producer: Producer,
    /// Its device.
    pub device: &'a Path,
    /// Ends the sending early.
    pub stop: &'a Stop,
    /// How many entries are published together.
    pub batch: u32,
    /// How long to wait for room.
    pub timeout: Option<Duration>,
}

impl Sender<'_> {
    /// Sends all entries, and passes the length of each to `seen`. Returns what was sent, and how
    /// the sending ended.
    pub fn send_all<R: Read>(
        &mut self,
        cutter: &mut Cutter<R>,
        mut seen: impl FnMut(usize),
    ) -> (Sent, Result<()>) {
        let mut sent = Sent::default();
        let mut crc = crc32fast::Hasher::new();
        let result = loop {
            let step = self.send_batch(cutter, |entry| {
                crc.update(entry);
                sent.entries += 1;
                sent.bytes += entry.len() as u64;
                seen(entry.len());
            });
            match step {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        sent.crc = crc.finalize();
        (sent, result)
    }

    /// Sends some entries. Returns whether there may be more.
    fn send_batch<R: Read>(
        &mut self,
        cutter: &mut Cutter<R>,
        mut sent: impl FnMut(&[u8]),
    ) -> Result<bool> {
        self.stop.check()?;
        let mut batch = self.producer.batch();
        let mut left_over = false;
        let mut more = true;
        for i in 0..self.batch {
            // Entries that are in the batch must not wait for a slow reader.
            if i > 0 && !cutter.has_buffered() {
                break;
            }
            if !cutter.advance()? {
                more = false;
                break;
            }
            match batch.enqueue(cutter.entry()) {
                Ok(()) => sent(cutter.entry()),
                Err(Error::Full) => {
                    left_over = true;
                    break;
                }
                Err(error) => return Err(error).on(self.device),
            }
        }
        batch.finish().on(self.device)?;
        if left_over {
            self.send_waiting(cutter.entry())?;
            sent(cutter.entry());
        }
        Ok(more)
    }

    /// Waits for room, and sends one entry. The driver learns of it even below its watermark: no
    /// other entry follows before it has answered.
    pub fn send_one(&mut self, entry: &[u8]) -> Result<()> {
        let patience = Patience::new(self.timeout);
        let room = (entry.len() as u64 + OVERHEAD).min(self.producer.capacity_bytes());
        loop {
            self.stop.check()?;
            match self.producer.enqueue_with(entry, Wake::Force) {
                Err(Error::Full) => self.wait_room(room, &patience)?,
                result => return result.on(self.device),
            }
        }
    }

    /// Waits for room, and sends one entry.
    fn send_waiting(&mut self, entry: &[u8]) -> Result<()> {
        let patience = Patience::new(self.timeout);
        let room = (entry.len() as u64 + OVERHEAD).min(self.producer.capacity_bytes());
        loop {
            self.stop.check()?;
            match self.producer.enqueue_wait(entry, Some(LOOK)) {
                Err(Error::TimedOut) => {}
                result => return result.on(self.device),
            }
            self.wait_room(room, &patience)?;
        }
    }

    /// Waits until `room` bytes are free, or until the driver is gone.
    fn wait_room(&mut self, room: u64, patience: &Patience) -> Result<()> {
        let left = patience.left()?;
        if self.producer.arm_room(room).on(self.device)? {
            return Ok(());
        }
        let queue = (self.producer.as_fd(), PollFlags::OUT);
        self.stop.wait([queue], left).map(|_| ())
    }

    /// Waits until the other side has taken everything.
    pub fn drain(&mut self) -> Result<()> {
        let mut patience = Patience::new(self.timeout);
        let all = self.producer.capacity_bytes();
        let mut room = 0;
        loop {
            self.stop.check()?;
            match self.producer.wait_room(all, Some(Duration::ZERO)) {
                Err(Error::TimedOut) => {}
                result => return result.on(self.device),
            }
            let now = self.producer.room_bytes().on(self.device)?;
            if now != room {
                room = now;
                patience.renew();
            }
            self.wait_room(all, &patience)?;
        }
    }
}

/// A thread that runs the endpoint. It ends with the process: a call that waits in the kernel for
/// room or for entries has nothing to wake it but them.
pub struct Runner {
    /// Rings once the thread has ended.
    ended: Arc<Bell>,
    failure: Arc<Mutex<Option<Failure>>>,
}

impl Runner {
    /// Runs the endpoint until it has made `count` entries (0: no limit). Without an endpoint, on a
    /// driver's node, there is nothing to run.
    pub fn start(opened: &Arc<Opened>, count: u64, stop: &Stop) -> Result<Self> {
        let runner = Self {
            ended: Arc::new(Bell::new()?),
            failure: Arc::default(),
        };
        let (ended, failure) = (runner.ended.clone(), runner.failure.clone());
        let (opened, stop) = (opened.clone(), stop.clone());
        thread::spawn(move || {
            let run = opened.built_in.as_ref();
            let run = run.map(|built_in| run_endpoint(built_in, count, &stop));
            if let Some(Err(error)) = run {
                *lock(&failure) = Err::<(), _>(error).on(&opened.path).err();
                // Otherwise the other threads would wait for entries that never arrive.
                stop.fail();
            }
            ended.ring();
        });
        Ok(runner)
    }

    /// What becomes readable once the thread has ended.
    pub fn ended(&self) -> &Bell {
        &self.ended
    }

    /// Why the thread has failed, if it has.
    pub fn result(&self) -> Result<()> {
        lock(&self.failure).take().map_or(Ok(()), Err)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run_endpoint(built_in: &BuiltIn, count: u64, stop: &Stop) -> iostream::Result<()> {
    let mut made = 0;
    while !stop.is_set() && (count == 0 || made < count) {
        let left = if count == 0 { 0 } else { count - made };
        let run = built_in.run_batched(left, RUN_BATCH, None);
        made += run.entries;
        match run.result {
            Ok(()) | Err(Error::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The set-up of a source, as the arguments ask for it.
pub fn source_setup(source: &SourceQueue, queue: &Queue) -> Setup {
    let sizes = source.entry_size.unwrap_or(Sizes { min: 64, max: 1500 });
    let setup = Setup::source(sizes.min, sizes.max)
        .rate(source.rate.unwrap_or(0))
        .overwrite(source.overwrite);
    match queue.queue_bytes {
        Some(bytes) => setup.output_bytes(bytes),
        None => setup,
    }
}

/// The options that only the source of `/dev/iostream` has, and whether they are given.
pub fn only_built_in(source: &SourceQueue, queue: &Queue) -> [(&'static str, bool); 4] {
    [
        ("--entry-size", source.entry_size.is_some()),
        ("--rate", source.rate.is_some()),
        ("--overwrite", source.overwrite),
        ("--queue-bytes", queue.queue_bytes.is_some()),
    ]
}

/// How often this process was woken, in both directions.
pub fn wakeups(session: &Session) -> u64 {
    [Direction::Output, Direction::Input]
        .into_iter()
        .filter_map(|direction| session.queue_counters(direction).ok())
        .map(|counters| counters.wakeups_sent)
        .sum()
}

/// The first failure that is not an interruption, since an interruption may be its consequence.
pub fn first_cause(results: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let mut interrupted = None;
    for result in results {
        match result {
            Ok(()) => {}
            // Another thread's failure tells nothing, a signal does.
            Err(Failure::Interrupted(signal)) => {
                interrupted = Some(interrupted.unwrap_or(0).max(signal));
            }
            Err(failure) => return Err(failure),
        }
    }
    interrupted.map_or(Ok(()), |signal| Err(Failure::Interrupted(signal)))
}

/// How a command ends that has given `unwritten` bytes up because of a signal.
///
/// SIGINT and SIGTERM are how the user ends a command that is `endless`, so that is a success if
/// nothing is lost.
pub fn ended(result: Result<()>, endless: bool, unwritten: u64) -> Result<()> {
    match result {
        Err(Failure::Interrupted(signal)) if unwritten > 0 => Err(Failure::Unwritten {
            signal,
            bytes: unwritten,
        }),
        Err(Failure::File { what, source }) if unwritten > 0 => Err(Failure::NotWritten {
            what,
            source,
            bytes: unwritten,
        }),
        Err(Failure::Interrupted(2 | 15)) if endless => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_comes_before_its_consequence() {
        let cause = || Err(Failure::BrokenPipe);
        let stopped = || Err(Failure::Interrupted(2));
        assert!(first_cause([Ok(()), Ok(())]).is_ok());
        let found = first_cause([stopped(), cause(), Ok(())]);
        assert!(matches!(found, Err(Failure::BrokenPipe)));
        let found = first_cause([Ok(()), stopped()]);
        assert!(matches!(found, Err(Failure::Interrupted(2))));
    }
}
