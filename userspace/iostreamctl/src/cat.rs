// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl cat`.

use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use iostream::{Error, OutputStream, Stop as How};
use serde_json::json;

use crate::cli::{Cat, Cli};
use crate::device::resolve;
use crate::failure::{Failure, OnDevice, Result};
use crate::files;
use crate::moving::first_cause;
use crate::progress::Progress;
use crate::report::write_json;
use crate::stop::{Patience, Stop, SLICE};
use crate::sysfs::System;
use crate::units::{human_bytes, per_second};

/// What came.
#[derive(Default)]
struct Got {
    buffers: u64,
    bytes: u64,
    /// Sequence numbers that did not come.
    missed: u64,
    next: u64,
}

/// Writes the data of a stream's buffers to a file or to standard output.
pub fn run(cli: &Cli, arguments: &Cat, stop: &Stop) -> Result<()> {
    let path = resolve(&arguments.node, &System::real());
    let mut stream = OutputStream::open(&path).on(&path)?;
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
    // What came before a failure is written all the same.
    let flushed = writer
        .flush()
        .map_err(|error| Failure::of_file(&name, error));
    let calls = stream.system_calls();
    match stream.stop(How::Discard) {
        // Stopped by someone else, or nothing is left to be stopped.
        Ok(_) | Err(Error::AlreadyInState(_) | Error::Gone) => {}
        Err(error) => return Err(error).on(&path),
    }
    let result = first_cause([took, flushed]);
    if result.is_ok() || got.buffers > 0 {
        report(cli, arguments, &path, &got, start, calls).map_err(Failure::of_stdout)?;
    }
    result
}

/// Takes buffers until it is enough, and gives their data to `put`; nothing, when none waits.
fn take(
    cli: &Cli,
    arguments: &Cat,
    stop: &Stop,
    path: &Path,
    stream: &mut OutputStream,
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
                got.missed += buffer.sequence().saturating_sub(got.next);
                got.next = buffer.sequence().saturating_add(1);
                patience.renew();
            }
            Err(Error::TimedOut) => {
                // Whoever reads our output need not wait for what is here already.
                put(&[]).map_err(Failure::of_output)?;
                patience.check()?;
            }
            // Someone stopped it, through sysfs or as its driver: that is the end.
            Err(Error::NotRunning) => return Ok(()),
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
) -> io::Result<()> {
    let elapsed = start.elapsed();
    let rate = per_second(got.bytes, elapsed);
    // Standard output is for the data, if they go there.
    let to_stdout = files::is_standard(&arguments.output);
    if cli.json {
        let value = json!({
            "device": path, "buffers": got.buffers, "bytes": got.bytes, "missed": got.missed,
            "system_calls": calls, "seconds": elapsed.as_secs_f64(), "bytes_per_second": rate,
        });
        return if to_stdout {
            write_json(&mut io::stderr(), &value)
        } else {
            write_json(&mut io::stdout(), &value)
        };
    }
    if to_stdout {
        return Ok(());
    }
    writeln!(
        io::stdout(),
        "{} bytes in {} buffers, {}/s; {} missed",
        got.bytes,
        got.buffers,
        human_bytes(rate),
        got.missed
    )
}
