// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl ask`: requests in one queue of a node, and their answers in the other.
//!
//! A queue does not say which request an entry answers. So a request is sent only once the last one
//! is answered, and what waits before it is sent is no answer to it.

use std::os::fd::AsFd;
use std::time::Instant;

use iostream::{Direction, Error, Setup};
use serde_json::json;

use crate::arguments::Ask;
use crate::cli::Cli;
use crate::device::{open, Opened};
use crate::dump::Dump;
use crate::failure::{Failure, OnDevice, Result};
use crate::files::{self, Input};
use crate::framing::{not_hex, Cutter, Framing, Joiner, Room};
use crate::hex;
use crate::moving::{ended, first_cause, wakeups, Sender};
use crate::output::Writer;
use crate::receiver::{Arrived, Receiver, Waiting};
use crate::report::{print, Output, Transfer};
use crate::stop::{Patience, Stop};
use crate::units::Sizes;

/// The size of a request, if neither the framing nor the user says it, and the queue takes as much.
const REQUEST_SIZE: u32 = 4096;

/// What was asked and answered.
#[derive(Default)]
struct Asked {
    requests: u64,
    request_bytes: u64,
    answers: u64,
    answer_bytes: u64,
    /// Entries that came without a request.
    unasked: u64,
    /// Bytes that the output did not take.
    unwritten: u64,
}

/// Where the requests come from.
enum Requests {
    /// From a file.
    Cut(Box<Cutter<Input>>),
    /// From the command line.
    Given(std::vec::IntoIter<Vec<u8>>, Vec<u8>),
}

impl Requests {
    /// The next request; `None` if there is none.
    fn next(&mut self) -> Result<Option<&[u8]>> {
        match self {
            Self::Cut(cutter) => Ok(cutter.advance()?.then_some(cutter.entry())),
            Self::Given(rest, now) => match rest.next() {
                None => Ok(None),
                Some(request) => {
                    *now = request;
                    Ok(Some(now))
                }
            },
        }
    }
}

/// Sends each request, and writes its answer before it sends the next one.
pub fn run(cli: &Cli, arguments: &Ask, stop: &Stop) -> Result<()> {
    arguments.framing.check_sizes(arguments.entry_size)?;
    let given = given(arguments)?;
    let mut setup = Setup::echo();
    if let Some(bytes) = arguments.queue.queue_bytes {
        setup = setup.input_bytes(bytes).output_bytes(bytes);
    }
    let opened = open(
        &arguments.node.node,
        &setup,
        &[("--queue-bytes", arguments.queue.queue_bytes.is_some())],
    )?;
    let path = &opened.path;
    let queue = opened.session.queue_info(Direction::Input).on(path)?;
    let room = opened.room(queue.max_entry_bytes);
    let receiver = Receiver::new(&opened.session, arguments.queue.spin).on(path)?;
    let is_text = arguments.format.is_some() || arguments.framing.is_text();
    let writer = Writer::create(&arguments.output, stop, is_text)?;
    let requests = match given {
        Some(given) => {
            check_lengths(&given, room)?;
            Requests::Given(given.into_iter(), Vec::new())
        }
        None => cut(arguments, stop, &writer, room)?,
    };
    let mut producer = opened.session.producer().on(path)?;
    if let Some(spin) = arguments.queue.spin {
        producer.set_spin(spin);
    }
    let start = Instant::now();
    let name = writer.name().to_owned();
    let mut asking = Asking {
        arguments,
        sender: Sender {
            producer,
            device: path,
            stop,
            batch: 1,
            timeout: arguments.timeout,
        },
        receiver,
        waiting: Waiting {
            device: path,
            stop,
            ended: None,
        },
        joiner: Joiner::new(writer, &name, arguments.framing),
        dump: arguments.format.map(Dump::new),
    };
    let mut asked = Asked::default();
    let result = asking.ask_all(requests, &mut asked);
    // Answers that came before a failure are written in any case.
    let finished = asking.joiner.writer().finish();
    asked.unwritten = asking.joiner.writer().unwritten();
    let result = first_cause([result, finished]);
    drop(asking);
    if result.is_ok() || asked.requests > 0 {
        report(cli, arguments, &opened, &asked, start, stop)?;
    }
    ended(result, false, asked.unwritten)
}

/// The requests of the command line, if there are any there.
fn given(arguments: &Ask) -> Result<Option<Vec<Vec<u8>>>> {
    if arguments.data.is_empty() {
        return Ok(None);
    }
    let request = |text: &String| {
        if arguments.framing != Framing::Hex {
            return Ok(text.as_bytes().to_vec());
        }
        let mut bytes = Vec::new();
        match hex::parse(text.as_bytes(), &mut bytes) {
            Some(()) => Ok(bytes),
            None => Err(not_hex(&format!("--data {text}"))),
        }
    };
    arguments
        .data
        .iter()
        .map(request)
        .collect::<Result<_>>()
        .map(Some)
}

/// Fails if a request does not fit, before the first one is sent.
fn check_lengths(requests: &[Vec<u8>], room: Room) -> Result<()> {
    let max = room.max_entry_bytes;
    match requests.iter().find(|request| request.len() > max) {
        Some(request) => Err(Failure::Usage(format!(
            "a request of {} bytes does not fit: the queue takes up to {max}{}",
            request.len(),
            room.advice(false)
        ))),
        None => Ok(()),
    }
}

/// The requests of a file or of standard input.
fn cut(arguments: &Ask, stop: &Stop, writer: &Writer, room: Room) -> Result<Requests> {
    let (mut input, name, _) = files::input(&arguments.file, stop)?;
    // The command may wait long for a request, but not if nobody wants the answer.
    input.end_with(writer.as_fd())?;
    let default = REQUEST_SIZE.min(room.max_entry_bytes as u32);
    let sizes = arguments.entry_size.unwrap_or(Sizes {
        min: default,
        max: default,
    });
    let cutter = Cutter::new(input, &name, arguments.framing, sizes, room)?;
    Ok(Requests::Cut(Box::new(cutter)))
}

/// Both sides of the command.
struct Asking<'a> {
    arguments: &'a Ask,
    sender: Sender<'a>,
    receiver: Receiver,
    waiting: Waiting<'a>,
    joiner: Joiner<Writer>,
    /// Writes the answers for people, if that is wanted.
    dump: Option<Dump>,
}

impl Asking<'_> {
    fn ask_all(&mut self, mut requests: Requests, asked: &mut Asked) -> Result<()> {
        while self
            .arguments
            .count
            .is_none_or(|count| asked.answers < count)
        {
            let Some(request) = requests.next()? else {
                return Ok(());
            };
            self.pass_over(asked)?;
            self.sender.send_one(request)?;
            asked.requests += 1;
            asked.request_bytes += request.len() as u64;
            self.answer(asked)?;
            // Whoever asks may need this answer for the next request.
            self.joiner.flush()?;
        }
        Ok(())
    }

    /// Takes what came without a request.
    fn pass_over(&mut self, asked: &mut Asked) -> Result<()> {
        loop {
            let before = asked.unasked;
            let taken = self.receiver.take(|_| {
                asked.unasked += 1;
                Ok::<_, Error>(true)
            });
            taken.on(self.waiting.device)?;
            self.waiting.stop.check()?;
            if asked.unasked == before {
                return Ok(());
            }
        }
    }

    /// Waits for the answer to the last request, and writes it.
    fn answer(&mut self, asked: &mut Asked) -> Result<()> {
        let patience = Patience::new(self.arguments.timeout);
        let mut answer = None;
        loop {
            let taken = self.receiver.take(|entry: Arrived<'_>| {
                answer = Some((entry.bytes.to_vec(), entry.lost, entry.gap_bytes));
                Ok::<_, Error>(false)
            });
            taken.on(self.waiting.device)?;
            if let Some((bytes, lost, gap_bytes)) = answer {
                return self.write(&bytes, lost, gap_bytes, asked);
            }
            let left = patience.left().map_err(|_| Failure::NoAnswer {
                request: asked.requests,
                seconds: self.arguments.timeout.unwrap_or_default().as_secs_f64(),
            })?;
            let output = self.joiner.writer();
            self.receiver
                .wait(&self.waiting, Some(output.as_fd()), left)?;
        }
    }

    fn write(&mut self, bytes: &[u8], lost: u64, gap_bytes: u64, asked: &mut Asked) -> Result<()> {
        if lost > 0 || gap_bytes > 0 {
            return Err(Failure::Mismatch(format!(
                "entries were lost before the answer to request {}: it may answer another one",
                asked.requests
            )));
        }
        asked.answers += 1;
        asked.answer_bytes += bytes.len() as u64;
        match &mut self.dump {
            Some(dump) => dump.entry(self.joiner.writer(), bytes, 0, 0),
            None => self.joiner.put(bytes),
        }
    }
}

fn report(
    cli: &Cli,
    arguments: &Ask,
    opened: &Opened,
    asked: &Asked,
    start: Instant,
    stop: &Stop,
) -> Result<()> {
    let transfer = Transfer {
        device: &opened.path,
        bytes: asked.answer_bytes,
        elapsed: start.elapsed(),
    };
    let output = files::report_output(&arguments.output);
    let json = || {
        transfer.json(json!({
            "requests": asked.requests, "request_bytes": asked.request_bytes,
            "answers": asked.answers, "unasked": asked.unasked,
            "unwritten_bytes": asked.unwritten,
            "wakeups": wakeups(&opened.session),
            "system_calls": opened.session.system_calls() + stop.calls(),
        }))
    };
    print(cli, output, json, |out| {
        let unasked = asked.unasked;
        if output == Output::CarriesData {
            return match unasked {
                0 => Ok(()),
                1 => writeln!(out, "iostreamctl: 1 entry came without a request"),
                _ => writeln!(out, "iostreamctl: {unasked} entries came without a request"),
            };
        }
        writeln!(
            out,
            "{} requests, {} answers of {} bytes; {unasked} entries without a request",
            asked.requests, asked.answers, asked.answer_bytes
        )
    })
}
