// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl echo`.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use iostream::{Consumer, Direction, Error, Setup};
use serde_json::json;

use crate::arguments::Echo;
use crate::cli::Cli;
use crate::device::{open, Opened};
use crate::failure::{Failure, OnDevice, Result};
use crate::files::{self, Made};
use crate::framing::{Cutter, Framing};
use crate::moving::{ended, first_cause, wakeups, Runner, Sender, Sent};
use crate::output::Writer;
use crate::progress::Progress;
use crate::receiver::Waiting;
use crate::report::{print, Output, Table, Transfer};
use crate::stop::{Bell, Patience, Stop};

/// The total before the sender knows how many bytes there are.
const UNKNOWN: u64 = u64::MAX;

/// What was sent and received, and how it ended.
struct Outcome {
    sent: Sent,
    received: Sent,
    elapsed: Duration,
    result: Result<()>,
}

/// Sends a file through the kernel and back, and compares.
pub fn run(cli: &Cli, arguments: &Echo, stop: &Stop) -> Result<()> {
    match (&arguments.file, arguments.generate) {
        (Some(path), _) => {
            let (input, name, size) = files::input(path, stop)?;
            echo(cli, arguments, stop, input, &name, size)
        }
        (None, bytes) => {
            // clap requires one of the two.
            let bytes = bytes.unwrap_or(0);
            echo(
                cli,
                arguments,
                stop,
                Made::new(bytes),
                "(made up)",
                Some(bytes),
            )
        }
    }
}

fn echo(
    cli: &Cli,
    arguments: &Echo,
    stop: &Stop,
    input: impl Read + Send,
    name: &str,
    size: Option<u64>,
) -> Result<()> {
    let mut setup = Setup::echo();
    if let Some(bytes) = arguments.queue.queue_bytes {
        setup = setup.input_bytes(bytes).output_bytes(bytes);
    }
    let opened = Arc::new(open(
        &arguments.node.node,
        &setup,
        &[
            ("--queue-bytes", arguments.queue.queue_bytes.is_some()),
            ("--flat-out", arguments.flat_out),
        ],
    )?);
    let session = &opened.session;
    let limit = |direction| {
        session
            .queue_info(direction)
            .map(|queue| queue.max_entry_bytes)
    };
    let max = limit(Direction::Input).on(&opened.path)?;
    let max = max.min(limit(Direction::Output).on(&opened.path)?);
    let cutter = Cutter::new(
        input,
        name,
        Framing::None,
        arguments.entry_size,
        opened.room(max),
    )?;
    let output = match &arguments.output {
        Some(path) => Some(Writer::create(path, stop, false)?),
        None => None,
    };
    let calls = session.system_calls();
    let outcome = transfer(arguments, stop, &opened, cutter, output, size)?;
    // Includes the dozen calls that take and map the ends.
    let calls = session.system_calls() + stop.calls() - calls;
    // A table of zeros would only distract from the failure.
    if outcome.result.is_ok() || outcome.sent.entries > 0 {
        report(cli, arguments, &opened, name, &outcome, calls)?;
    }
    let Outcome { sent, received, .. } = outcome;
    outcome.result?;
    if sent != received {
        return Err(Failure::Mismatch(format!(
            "what came back is different: sent {} bytes in {} entries (crc {:08x}), received {} \
             bytes in {} (crc {:08x})",
            sent.bytes, sent.entries, sent.crc, received.bytes, received.entries, received.crc
        )));
    }
    Ok(())
}

fn transfer<R: Read + Send>(
    arguments: &Echo,
    stop: &Stop,
    opened: &Arc<Opened>,
    mut cutter: Cutter<R>,
    output: Option<Writer>,
    size: Option<u64>,
) -> Result<Outcome> {
    let session = &opened.session;
    let mut producer = session.producer().on(&opened.path)?;
    let mut consumer = session.consumer().on(&opened.path)?;
    if let Some(spin) = arguments.queue.spin {
        producer.set_spin(spin);
        consumer.set_spin(spin);
    }
    let mut sender = Sender {
        producer,
        device: &opened.path,
        stop,
        batch: arguments.batch,
        timeout: arguments.moving.timeout,
    };
    let total = AtomicU64::new(UNKNOWN);
    let all_sent = Bell::new()?;
    let runner = if arguments.flat_out && opened.built_in.is_some() {
        Some(Runner::start(opened, 0, stop)?)
    } else {
        None
    };
    let start = Instant::now();
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let (sent, result) = sender.send_all(&mut cutter, |_| {});
            match result {
                Ok(()) => total.store(sent.bytes, Ordering::Release),
                Err(_) => stop.fail(),
            }
            all_sent.ring();
            // Returns the sender: its end must live as long as the queue is in use.
            (sent, result, sender)
        });
        let mut receiving = Receiving {
            consumer,
            waiting: Waiting {
                device: &opened.path,
                stop,
                ended: Some(all_sent.as_fd()),
            },
            output,
            batch: arguments.batch,
            patience: Patience::new(arguments.moving.timeout),
            progress: Progress::new(size, arguments.moving.quiet),
        };
        let (received, result) = receiving.receive_all(&total);
        let elapsed = start.elapsed();
        if result.is_err() {
            stop.fail();
        }
        let (sent, sending) = match sending.join() {
            Ok((sent, result, _sender)) => (sent, result),
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let running = runner.as_ref().map_or(Ok(()), Runner::result);
        Ok(Outcome {
            sent,
            received,
            elapsed,
            result: first_cause([sending, running, result]),
        })
    })
}

/// The receiving side.
struct Receiving<'a> {
    consumer: Consumer,
    waiting: Waiting<'a>,
    output: Option<Writer>,
    batch: u32,
    patience: Patience,
    progress: Progress,
}

impl Receiving<'_> {
    /// Receives until `total` bytes have arrived. Returns what was received, and how it ended.
    fn receive_all(&mut self, total: &AtomicU64) -> (Sent, Result<()>) {
        let mut received = Sent::default();
        let mut crc = crc32fast::Hasher::new();
        let mut result = self.receive_until(total, &mut received, &mut crc);
        if let Some(output) = &mut self.output {
            let finished = output.finish();
            result = ended(first_cause([result, finished]), false, output.unwritten());
        }
        received.crc = crc.finalize();
        (received, result)
    }

    fn receive_until(
        &mut self,
        total: &AtomicU64,
        received: &mut Sent,
        crc: &mut crc32fast::Hasher,
    ) -> Result<()> {
        loop {
            let all = total.load(Ordering::Acquire);
            if all != UNKNOWN {
                // The bell rings all the time.
                self.waiting.ended = None;
            }
            if received.bytes >= all {
                return Ok(());
            }
            self.waiting.stop.check()?;
            match self.consumer.wait(Some(Duration::ZERO)) {
                Ok(()) => self.receive_some(received, crc)?,
                Err(Error::TimedOut) => {
                    if let Some(output) = &mut self.output {
                        output.flush().map_err(Failure::of_output)?;
                    }
                    let left = self.patience.left()?;
                    let output = self.output.as_ref().map(|output| output.as_fd());
                    self.waiting.sleep(self.consumer.as_fd(), output, left)?;
                }
                Err(error) => return Err(error).on(self.waiting.device),
            }
        }
    }

    fn receive_some(&mut self, received: &mut Sent, crc: &mut crc32fast::Hasher) -> Result<()> {
        self.patience.renew();
        let device = self.waiting.device;
        let mut batch = self.consumer.batch();
        for _ in 0..self.batch {
            let Some(entry) = batch.next().on(device)? else {
                break;
            };
            crc.update(&entry);
            received.entries += 1;
            received.bytes += entry.len() as u64;
            self.progress.add(entry.len());
            if let Some(output) = &mut self.output {
                output.write_all(&entry).map_err(Failure::of_output)?;
            }
        }
        batch.finish().on(device)
    }
}

fn report(
    cli: &Cli,
    arguments: &Echo,
    opened: &Opened,
    name: &str,
    outcome: &Outcome,
    calls: u64,
) -> Result<()> {
    let output = match &arguments.output {
        Some(path) => files::report_output(path),
        None => Output::Free,
    };
    let Outcome { sent, received, .. } = outcome;
    let wakeups = wakeups(&opened.session);
    let transfer = Transfer {
        device: &opened.path,
        bytes: received.bytes,
        elapsed: outcome.elapsed,
    };
    let json = || {
        transfer.json(json!({
            "file": name, "entries": received.entries, "wakeups": wakeups, "system_calls": calls,
            "crc32_sent": format!("{:08x}", sent.crc),
            "crc32_received": format!("{:08x}", received.crc),
            "equal": outcome.result.is_ok() && sent == received,
        }))
    };
    print(cli, output, json, |out| {
        let crc = if outcome.result.is_err() {
            "incomplete".to_owned()
        } else if sent == received {
            format!("0x{:08x} equal", sent.crc)
        } else {
            format!("0x{:08x} sent, 0x{:08x} received", sent.crc, received.crc)
        };
        let table = Table::of_row([
            ("FILE", name.to_owned()),
            ("BYTES", received.bytes.to_string()),
            ("ENTRIES", received.entries.to_string()),
            ("WAKE-UPS", wakeups.to_string()),
            ("SYSTEM CALLS", calls.to_string()),
            ("RATE", transfer.rate()),
            ("CRC", crc),
        ]);
        table.write(out)
    })
}
