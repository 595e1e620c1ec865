// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl feed`.

use std::io::{self, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::mpsc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use iostream::{Error, Stop as How, WriteStream};
use rustix::event::{PollFd, PollFlags};
use serde_json::json;

use crate::arguments::Feed;
use crate::cat::no_control;
use crate::cli::Cli;
use crate::device::resolve;
use crate::failure::{Failure, OnDevice, Result};
use crate::files::{self, is_standard, Input};
use crate::framing::not_hex;
use crate::hex::{self, Wrong};
use crate::moving::first_cause;
use crate::progress::Progress;
use crate::report::{print, Output, Transfer};
use crate::stop::{Bell, Patience, Stop};
use crate::sysfs::System;

/// What was sent.
#[derive(Default)]
struct Sent {
    buffers: u64,
    bytes: u64,
    /// How often the driver had no data.
    underruns: u64,
}

/// Fills a stream's buffers from a file or standard input, and sends them to the driver.
pub fn run(cli: &Cli, arguments: &Feed, stop: &Stop) -> Result<()> {
    let path = resolve(&arguments.node.node, &System::real());
    let control = arguments.control.as_ref();
    if control.is_some_and(|control| is_standard(control)) && is_standard(&arguments.file) {
        return Err(Failure::Usage(
            "data and control data cannot both come from standard input: name a file for one of them"
                .to_owned(),
        ));
    }
    let (mut reader, name, size) = files::input(&arguments.file, stop)?;
    let control = control.map(|path| files::input(path, stop)).transpose()?;
    let mut stream = WriteStream::open(&path).on(&path)?;
    if control.is_some() && stream.control_bytes() == 0 {
        return Err(no_control(&path));
    }
    let control = control.map(|(input, name, _)| Control {
        lines: BufReader::new(input),
        name,
        max: stream.control_bytes(),
        line: Vec::new(),
    });
    stream.start().on(&path)?;
    let start = Instant::now();
    let mut sent = Sent::default();
    let mut feeding = Feeding {
        stream: &mut stream,
        arguments,
        path: &path,
        stop,
        control,
        progress: Progress::new(size, arguments.moving.quiet),
    };
    let mut result = feeding.send_all(&mut reader, &name, &mut sent);
    if matches!(
        result,
        Ok(()) | Err(Failure::Interrupted(_) | Failure::Mismatch(_))
    ) {
        // After a signal the driver has a little time to take what was sent.
        result = first_cause([result, feeding.drain()]);
    }
    drop(feeding);
    sent.underruns = stream.control().counters().lost;
    if result.is_ok() || sent.buffers > 0 {
        let calls = stream.system_calls() + stop.calls();
        report(cli, &path, &sent, start, calls)?;
    }
    result
}

/// The sending side.
struct Feeding<'a> {
    stream: &'a mut WriteStream,
    arguments: &'a Feed,
    path: &'a Path,
    stop: &'a Stop,
    control: Option<Control>,
    progress: Progress,
}

/// Where the control data come from.
struct Control {
    lines: BufReader<Input>,
    name: String,
    /// The size of a control area.
    max: usize,
    line: Vec<u8>,
}

impl Control {
    /// Reads the line of the next buffer. Returns whether there is one.
    fn next(&mut self) -> Result<bool> {
        let name = &self.name;
        let read = hex::read_line(&mut self.lines, self.max, &mut self.line);
        read.map_err(|wrong| match wrong {
            Wrong::File(error) => Failure::of_file(name, error),
            Wrong::NotHex => not_hex(&format!("a line of {name}")),
            Wrong::TooLong => Failure::Usage(format!(
                "a line of {name} has more than the {} bytes of control data that a buffer takes",
                self.max
            )),
        })
    }
}

impl Feeding<'_> {
    fn send_all(&mut self, reader: &mut impl Read, name: &str, sent: &mut Sent) -> Result<()> {
        loop {
            let mut buffer = self.wait()?;
            let filled = fill(reader, &mut buffer, self.arguments.full);
            let len = filled.map_err(|error| Failure::of_file(name, error))?;
            if len == 0 {
                return self.end_control(sent.buffers);
            }
            if let Some(control) = &mut self.control {
                if !control.next()? {
                    return Err(Failure::Mismatch(format!(
                        "{} ends after {} lines: each buffer needs one, even if it is empty",
                        control.name, sent.buffers
                    )));
                }
                let line = &control.line;
                // Fits, since no longer line is read.
                buffer.control_area_mut()[..line.len()].copy_from_slice(line);
                buffer.set_control_range(0..line.len()).on(self.path)?;
            }
            buffer.send(len).on(self.path)?;
            sent.buffers += 1;
            sent.bytes += len as u64;
            self.progress.add(len);
        }
    }

    /// Fails if there are control data left for which there were no data.
    fn end_control(&mut self, buffers: u64) -> Result<()> {
        let Some(control) = &mut self.control else {
            return Ok(());
        };
        if !control.next()? {
            return Ok(());
        }
        Err(Failure::Mismatch(format!(
            "{} has more lines than the {buffers} buffers that were sent",
            control.name
        )))
    }

    /// Waits for an unused buffer.
    fn wait(&mut self) -> Result<iostream::Buffer<iostream::mode::Write>> {
        let patience = Patience::new(self.arguments.moving.timeout);
        loop {
            self.stop.check()?;
            match self.stream.buffer() {
                Err(Error::Empty) => {}
                taken => return taken.on(self.path),
            }
            match self.stream.wait(Some(Duration::ZERO)) {
                Err(Error::TimedOut) => {
                    let device = (self.stream.as_fd(), PollFlags::IN);
                    self.stop.wait([device], patience.left()?)?;
                }
                looked => looked.on(self.path)?,
            }
        }
    }

    /// Stops the stream once the driver has taken all buffers. Gives up when a signal comes.
    fn drain(&mut self) -> Result<()> {
        let limit = match self.stop.grace() {
            Some(grace) => Some(grace),
            None => self.arguments.moving.timeout,
        };
        // The call waits in the kernel, so it needs a thread of its own, which ends with it or with
        // the process.
        let control = self.stream.control();
        let done = Arc::new(Bell::new()?);
        let (result, ended) = mpsc::channel();
        let bell = done.clone();
        thread::spawn(move || {
            let stopped = loop {
                match control.stop(How::Drain { timeout: None }) {
                    Err(Error::Interrupted) => {}
                    stopped => break stopped,
                }
            };
            // Nobody listens if the command ends meanwhile.
            let _ = result.send(stopped);
            bell.ring();
        });
        if self.stop.is_set() {
            let mut fds = [PollFd::new(&*done, PollFlags::IN)];
            self.stop.poll(&mut fds, limit)?;
        } else {
            self.stop.wait([(done.as_fd(), PollFlags::IN)], limit)?;
        }
        match ended.try_recv() {
            Ok(stopped) => stopped.map(|_| ()).on(self.path),
            Err(_) => match limit {
                Some(limit) if !self.stop.is_set() => Err(Failure::TimedOut(limit.as_secs_f64())),
                _ => Ok(()),
            },
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

fn report(cli: &Cli, path: &Path, sent: &Sent, start: Instant, calls: u64) -> Result<()> {
    let transfer = Transfer {
        device: path,
        bytes: sent.bytes,
        elapsed: start.elapsed(),
    };
    let Sent {
        buffers,
        bytes,
        underruns,
    } = sent;
    let json = || {
        transfer.json(json!({
            "buffers": buffers, "underruns": underruns, "system_calls": calls,
        }))
    };
    print(cli, Output::Free, json, |out| {
        writeln!(
            out,
            "{bytes} bytes in {buffers} buffers, {}; {underruns} underruns of the driver",
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
