// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl cat`.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use iostream::{mode, Buffer, Error, ReadStream, Stop as How};
use serde_json::json;

use crate::arguments::Cat;
use crate::cli::Cli;
use crate::device::resolve;
use crate::dump::Dump;
use crate::failure::{Failure, OnDevice, Result};
use crate::files::{self, is_standard};
use crate::hex;
use crate::moving::{ended, first_cause};
use crate::output::Writer;
use crate::progress::Progress;
use crate::receiver::Waiting;
use crate::report::{print, Output, Transfer};
use crate::stop::{Patience, Stop};
use crate::sysfs::System;

/// What was received.
#[derive(Default)]
struct Got {
    buffers: u64,
    bytes: u64,
    /// Frames that are missing: the driver lost them, or a stop discarded them.
    missed: u64,
    /// Frames that the driver lost before those that were received.
    lost: u64,
    /// The number of the next frame, if none is missing.
    next: u64,
    /// Bytes that the output did not take.
    unwritten: u64,
}

/// Writes the data of a stream's buffers to a file or to standard output.
pub fn run(cli: &Cli, arguments: &Cat, stop: &Stop) -> Result<()> {
    let path = resolve(&arguments.node.node, &System::real());
    let control = arguments.control.as_ref();
    if control.is_some_and(|control| is_standard(control)) && is_standard(&arguments.output) {
        return Err(Failure::Usage(
            "data and control data cannot both go to standard output: name a file for one of them"
                .to_owned(),
        ));
    }
    let mut stream = ReadStream::open(&path).on(&path)?;
    if control.is_some() && stream.control_bytes() == 0 {
        return Err(no_control(&path));
    }
    let is_text = arguments.format.is_some();
    let mut outputs = Outputs {
        data: Writer::create(&arguments.output, stop, is_text)?,
        control: control
            .map(|control| Writer::create(control, stop, true))
            .transpose()?,
        dump: arguments.format.map(Dump::new),
    };
    stream.start().on(&path)?;
    let start = Instant::now();
    let mut got = Got::default();
    let took = take(
        arguments,
        &Waiting {
            device: &path,
            stop,
            ended: None,
        },
        &mut stream,
        &mut got,
        &mut outputs,
    );
    // Data received before a failure are written in any case.
    let finished = outputs.finish();
    got.unwritten = outputs.unwritten();
    let calls = stream.system_calls() + stop.calls();
    let result = first_cause([took, finished]);
    match stream.stop(How::Discard) {
        // Someone else has stopped the stream, or the driver is gone.
        Ok(_) | Err(Error::AlreadyInState(_) | Error::Gone) => {}
        Err(error) => return first_cause([result, Err(error).on(&path)]),
    }
    if result.is_ok() || got.buffers > 0 {
        report(cli, arguments, &path, &got, start, calls)?;
    }
    ended(result, arguments.end.is_never(), got.unwritten)
}

/// The failure for a stream whose buffers have no control data.
pub fn no_control(path: &Path) -> Failure {
    Failure::Usage(format!(
        "--control does not apply to {}: its buffers have no control data",
        path.display()
    ))
}

/// What is written.
struct Outputs {
    data: Writer,
    control: Option<Writer>,
    /// Writes the buffers for people, if that is wanted.
    dump: Option<Dump>,
}

impl Outputs {
    fn put(&mut self, buffer: &Buffer<mode::Read>) -> Result<()> {
        match &mut self.dump {
            Some(dump) => dump.frame(
                &mut self.data,
                buffer,
                buffer.control(),
                buffer.frame(),
                buffer.lost(),
            )?,
            None => self.data.write_all(buffer).map_err(Failure::of_output)?,
        }
        match &mut self.control {
            Some(control) => {
                writeln!(control, "{}", hex::line(buffer.control())).map_err(Failure::of_output)
            }
            None => Ok(()),
        }
    }

    fn has_data(&self) -> bool {
        self.data.has_data() || self.control.as_ref().is_some_and(Writer::has_data)
    }

    fn flush(&mut self) -> Result<()> {
        self.data.flush().map_err(Failure::of_output)?;
        let control = self.control.as_mut();
        control.map_or(Ok(()), |control| {
            control.flush().map_err(Failure::of_output)
        })
    }

    /// Writes the rest of both, as [`Writer::finish`] does.
    fn finish(&mut self) -> Result<()> {
        let data = self.data.finish();
        let control = self.control.as_mut();
        data.and(control.map_or(Ok(()), Writer::finish))
    }

    /// How many bytes the outputs have not taken.
    fn unwritten(&self) -> u64 {
        self.data.unwritten() + self.control.as_ref().map_or(0, Writer::unwritten)
    }
}

/// Takes buffers until there are enough, and writes their data. Whenever no buffer waits, it
/// flushes.
fn take(
    arguments: &Cat,
    waiting: &Waiting<'_>,
    stream: &mut ReadStream,
    got: &mut Got,
    outputs: &mut Outputs,
) -> Result<()> {
    let mut progress = Progress::new(None, arguments.moving.quiet);
    let mut patience = Patience::new(arguments.moving.timeout);
    let end = arguments.end.deadline(Instant::now());
    loop {
        waiting.stop.check()?;
        let enough = arguments
            .end
            .count
            .is_some_and(|count| got.buffers >= count);
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if enough || left == Some(Duration::ZERO) {
            return Ok(());
        }
        match stream.dequeue() {
            Ok(buffer) => {
                // Counted before it is written, since it is taken in any case.
                progress.add(buffer.len());
                got.buffers += 1;
                got.bytes += buffer.len() as u64;
                got.missed += buffer.frame().saturating_sub(got.next);
                got.lost += buffer.lost();
                got.next = buffer.frame().saturating_add(1);
                outputs.put(&buffer)?;
                patience.renew();
                continue;
            }
            Err(Error::Empty) => {}
            Err(error) => return Err(error).on(waiting.device),
        }
        if outputs.has_data() {
            // The reader of our output must not wait for data that are here already.
            outputs.flush()?;
            // That may have taken long.
            patience.renew();
            continue;
        }
        match stream.wait(Some(Duration::ZERO)) {
            Ok(()) => {}
            Err(Error::TimedOut) => {
                let left = [left, patience.left()?].into_iter().flatten().min();
                waiting.sleep(stream.as_fd(), Some(outputs.data.as_fd()), left)?;
            }
            // Stopped through sysfs or by the driver: the stream is at its end.
            Err(Error::NotRunning) => {
                // No frame follows that would tell of them.
                let lost = stream.control().counters().lost;
                got.missed += lost.saturating_sub(got.lost);
                return Ok(());
            }
            Err(error) => return Err(error).on(waiting.device),
        }
    }
}

fn report(
    cli: &Cli,
    arguments: &Cat,
    path: &Path,
    got: &Got,
    start: Instant,
    calls: u64,
) -> Result<()> {
    let transfer = Transfer {
        device: path,
        bytes: got.bytes,
        elapsed: start.elapsed(),
    };
    let control = arguments.control.as_deref();
    let output = match files::report_output(&arguments.output) {
        Output::Free => control.map_or(Output::Free, files::report_output),
        carries => carries,
    };
    let json = || {
        transfer.json(json!({
            "buffers": got.buffers, "missed": got.missed,
            "unwritten_bytes": got.unwritten, "system_calls": calls,
        }))
    };
    print(cli, output, json, |out| {
        let Got { buffers, bytes, .. } = got;
        let (rate, missed) = (transfer.rate(), got.missed);
        if output == Output::CarriesData {
            return match missed {
                0 => Ok(()),
                _ => writeln!(out, "iostreamctl: {missed} frames are missing"),
            };
        }
        writeln!(
            out,
            "{bytes} bytes in {buffers} buffers, {rate}; {missed} missed"
        )
    })
}
