// SPDX-License-Identifier: MIT OR Apache-2.0

//! What all commands that move entries share.

use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use iostream::{BuiltIn, Direction, Error, Producer, Session, Setup};

use crate::cli::{Queue, SourceQueue};
use crate::failure::{Failure, OnDevice, Result};
use crate::framing::Cutter;
use crate::stop::{Patience, Stop, SLICE};

/// How long the endpoint may be idle before its thread checks whether to stop.
const RUN_SLICE: Duration = Duration::from_millis(50);

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

    /// Waits for room, and sends one entry.
    fn send_waiting(&mut self, entry: &[u8]) -> Result<()> {
        let patience = Patience::new(self.timeout);
        loop {
            match self.producer.enqueue_wait(entry, Some(SLICE)) {
                Err(Error::TimedOut) => {}
                result => return result.on(self.device),
            }
            self.stop.check()?;
            patience.check()?;
        }
    }

    /// Waits until the other side has taken everything.
    pub fn drain(&mut self) -> Result<()> {
        let mut patience = Patience::new(self.timeout);
        let mut room = 0;
        loop {
            let all = self.producer.capacity_bytes();
            match self.producer.wait_room(all, Some(SLICE)) {
                Err(Error::TimedOut) => {}
                result => return result.on(self.device),
            }
            let now = self.producer.room_bytes().on(self.device)?;
            if now != room {
                room = now;
                patience.renew();
            }
            self.stop.check()?;
            patience.check()?;
        }
    }
}

/// Runs the endpoint until `done`, or until it has made `count` entries (0: no limit).
pub fn run_endpoint(
    built_in: &BuiltIn,
    device: &Path,
    count: u64,
    done: &AtomicBool,
    stop: &Stop,
) -> Result<()> {
    let mut made = 0;
    while !done.load(Ordering::Relaxed) && !stop.is_set() && (count == 0 || made < count) {
        let left = if count == 0 { 0 } else { count - made };
        let run = built_in.run_batched(left, RUN_BATCH, Some(RUN_SLICE));
        made += run.entries;
        match run.result {
            Ok(()) | Err(Error::TimedOut | Error::Interrupted) => {}
            Err(error) => {
                // Otherwise the other threads would wait for entries that never arrive.
                stop.fail();
                return Err(error).on(device);
            }
        }
    }
    Ok(())
}

/// Waits for a thread that runs the endpoint, if there is one. Returns how it ended.
pub fn join(runner: Option<ScopedJoinHandle<'_, Result<()>>>) -> Result<()> {
    match runner.map(ScopedJoinHandle::join) {
        Some(Ok(result)) => result,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => Ok(()),
    }
}

/// The set-up of a source, as the arguments ask for it.
pub fn source_setup(source: &SourceQueue, queue: &Queue) -> Setup {
    let setup = Setup::source(source.entry_size.min, source.entry_size.max)
        .rate(source.rate)
        .overwrite(source.overwrite);
    match queue.queue_bytes {
        Some(bytes) => setup.output_bytes(bytes),
        None => setup,
    }
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
    let mut interrupted = false;
    for result in results {
        match result {
            Ok(()) => {}
            Err(Failure::Interrupted) => interrupted = true,
            Err(failure) => return Err(failure),
        }
    }
    if interrupted {
        return Err(Failure::Interrupted);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_comes_before_its_consequence() {
        let cause = || Err(Failure::BrokenPipe);
        let stopped = || Err(Failure::Interrupted);
        assert!(first_cause([Ok(()), Ok(())]).is_ok());
        let found = first_cause([stopped(), cause(), Ok(())]);
        assert!(matches!(found, Err(Failure::BrokenPipe)));
        let found = first_cause([Ok(()), stopped()]);
        assert!(matches!(found, Err(Failure::Interrupted)));
    }
}
