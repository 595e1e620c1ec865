// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl feed`.

use std::io::{self, Read};
use std::path::Path;
use std::time::Instant;

use iostream::{Error, Stop as How, WriteStream};
use serde_json::json;

use crate::cli::{Cli, Feed};
use crate::device::resolve;
use crate::failure::{Failure, OnDevice, Result};
use crate::files;
use crate::progress::Progress;
use crate::report::{print, Output, Transfer};
use crate::stop::{Patience, Stop, SLICE};
use crate::sysfs::System;

/// What was sent.
#[derive(Default)]
struct Sent {
    buffers: u64,
    bytes: u64,
}

/// Fills a stream's buffers from a file or standard input, and sends them to the driver.
pub fn run(cli: &Cli, arguments: &Feed, stop: &Stop) -> Result<()> {
    let path = resolve(&arguments.node, &System::real());
    let (mut reader, name, size) = files::input(&arguments.file, stop)?;
    let mut stream = WriteStream::open(&path).on(&path)?;
    stream.start().on(&path)?;
    let start = Instant::now();
    let mut progress = Progress::new(size, cli.quiet);
    let mut sent = Sent::default();
    loop {
        let mut buffer = wait(&mut stream, arguments, &path, stop)?;
        let filled = fill(&mut reader, &mut buffer, arguments.full);
        let len = filled.map_err(|error| Failure::of_file(&name, error))?;
        if len == 0 {
            break;
        }
        buffer.send(len).on(&path)?;
        sent.buffers += 1;
        sent.bytes += len as u64;
        progress.add(len);
    }
    drain(&mut stream, arguments, &path, stop)?;
    drop(progress);
    report(cli, &path, &sent, start, stream.system_calls())
}

/// Waits for an unused buffer.
fn wait(
    stream: &mut WriteStream,
    arguments: &Feed,
    path: &Path,
    stop: &Stop,
) -> Result<iostream::Buffer<iostream::mode::Write>> {
    let patience = Patience::new(arguments.timeout);
    loop {
        stop.check()?;
        match stream.buffer_wait(Some(SLICE)) {
            Err(Error::TimedOut) => patience.check()?,
            taken => return taken.on(path),
        }
    }
}

/// Reads once or, if `full`, until the buffer is full or the input ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8], full: bool) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match reader.read(&mut buffer[len..])? {
            0 => break,
            n => len += n,
        }
        if !full {
            break;
        }
    }
    Ok(len)
}

/// Stops the stream once the driver has taken all buffers.
fn drain(stream: &mut WriteStream, arguments: &Feed, path: &Path, stop: &Stop) -> Result<()> {
    let patience = Patience::new(arguments.timeout);
    let slice = How::Drain {
        timeout: Some(SLICE),
    };
    loop {
        match stream.stop(slice) {
            Ok(_) => return Ok(()),
            Err(Error::TimedOut | Error::Interrupted) => {}
            Err(error) => return Err(error).on(path),
        }
        stop.check()?;
        patience.check()?;
    }
}

fn report(cli: &Cli, path: &Path, sent: &Sent, start: Instant, calls: u64) -> Result<()> {
    let transfer = Transfer {
        device: path,
        bytes: sent.bytes,
        elapsed: start.elapsed(),
    };
    let Sent { buffers, bytes } = sent;
    let json = || transfer.json(json!({ "buffers": buffers, "system_calls": calls }));
    print(cli, Output::Free, json, |out| {
        writeln!(
            out,
            "{bytes} bytes in {buffers} buffers, {}",
            transfer.rate()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives three bytes at a time.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(3).min(self.0.len());
            let (now, later) = self.0.split_at(len);
            buffer[..len].copy_from_slice(now);
            self.0 = later;
            Ok(len)
        }
    }

    #[test]
    fn a_buffer_takes_one_read_or_all_that_fits() {
        let bytes = [7; 10];
        let mut buffer = [0; 8];
        let mut reader = Dripping(&bytes);
        assert_eq!(fill(&mut reader, &mut buffer, false).unwrap(), 3);
        assert_eq!(fill(&mut reader, &mut buffer, true).unwrap(), 7);
        assert_eq!(fill(&mut reader, &mut buffer, true).unwrap(), 0);
        assert_eq!(fill(&mut Dripping(&bytes), &mut buffer, true).unwrap(), 8);
    }
}
