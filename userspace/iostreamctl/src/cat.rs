// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl cat`.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use iostream::{Error, ReadStream, Stop as How};
use serde_json::json;

use crate::cli::{Cat, Cli};
use crate::device::resolve;
use crate::failure::{Failure, OnDevice, Result};
use crate::files;
use crate::moving::first_cause;
use crate::progress::Progress;
use crate::report::{print, Output, Transfer};
use crate::stop::{Patience, Stop, SLICE};
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
}

/// Writes the data of a stream's buffers to a file or to standard output.
pub fn run(cli: &Cli, arguments: &Cat, stop: &Stop) -> Result<()> {
    let path = resolve(&arguments.node, &System::real());
    let mut stream = ReadStream::open(&path).on(&path)?;
    let (mut writer, name) = files::output(&arguments.output)?;
    stream.start().on(&path)?;
    let start = Instant::now();
    let mut got = Got::default();
    let took = take(cli, arguments, stop, &path, &mut stream, &mut got, |data| {
        if data.is_empty() {
            return writer.flush();
        }
        writer.write_all(data)
    });
    // Data received before a failure is written in any case.
    let flushed = writer
        .flush()
        .map_err(|error| Failure::of_file(&name, error));
    let calls = stream.system_calls();
    match stream.stop(How::Discard) {
        // Someone else has stopped the stream, or the driver is gone.
        Ok(_) | Err(Error::AlreadyInState(_) | Error::Gone) => {}
        Err(error) => return Err(error).on(&path),
    }
    let result = first_cause([took, flushed]);
    if result.is_ok() || got.buffers > 0 {
        report(cli, arguments, &path, &got, start, calls)?;
    }
    result
}

/// Takes buffers until there are enough, and passes their data to `put`. When no buffer waits, it
/// passes nothing, so that `put` flushes.
fn take(
    cli: &Cli,
    arguments: &Cat,
    stop: &Stop,
    path: &Path,
    stream: &mut ReadStream,
    got: &mut Got,
    mut put: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<()> {
    let mut progress = Progress::new(None, cli.quiet);
    let mut patience = Patience::new(arguments.timeout);
    let start = Instant::now();
    loop {
        stop.check()?;
        let enough = arguments.count.is_some_and(|count| got.buffers >= count);
        let over = arguments
            .duration
            .is_some_and(|time| start.elapsed() >= time);
        if enough || over {
            return Ok(());
        }
        match stream.dequeue_wait(Some(SLICE)) {
            Ok(buffer) => {
                if !buffer.is_empty() {
                    put(&buffer).map_err(Failure::of_output)?;
                }
                progress.add(buffer.len());
                got.buffers += 1;
                got.bytes += buffer.len() as u64;
                got.missed += buffer.frame().saturating_sub(got.next);
                got.lost += buffer.lost();
                got.next = buffer.frame().saturating_add(1);
                patience.renew();
            }
            Err(Error::TimedOut) => {
                // The reader of our output must not wait for data that is here already.
                put(&[]).map_err(Failure::of_output)?;
                patience.check()?;
            }
            // Stopped through sysfs or by the driver: the stream is at its end.
            Err(Error::NotRunning) => {
                // No frame follows that would tell of them.
                let lost = stream.control().counters().lost;
                got.missed += lost.saturating_sub(got.lost);
                return Ok(());
            }
            Err(error) => return Err(error).on(path),
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
    let output = files::report_output(&arguments.output);
    let json = || {
        transfer.json(json!({
            "buffers": got.buffers, "missed": got.missed, "system_calls": calls,
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
