// SPDX-License-Identifier: MIT OR Apache-2.0

//! The arguments of each command.
//!
//! A node is always the first argument. An option has the same name and the same unit in each
//! command that has it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use crate::dump::Format;
use crate::framing::Framing;
use crate::units::{parse_bytes, parse_count, parse_duration, parse_sizes, Sizes};

/// A node.
#[derive(Debug, Args)]
pub struct OneNode {
    /// The node: its name, such as pattern or iostream1, or a path.
    #[arg(value_name = "NODE")]
    pub node: PathBuf,
}

/// What all commands that move data have.
#[derive(Debug, Args)]
pub struct Moving {
    /// Show no progress line.
    #[arg(short, long)]
    pub quiet: bool,
    /// Fail if nothing moves for this time, such as 500ms or 2s.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
}

/// When a command that receives ends by itself.
#[derive(Debug, Args)]
pub struct End {
    /// Stop after this many entries or buffers.
    #[arg(short, long, value_name = "N", value_parser = parse_count)]
    pub count: Option<u64>,
    /// Stop after this time, such as 500ms, 10s or 5min.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
}

impl End {
    /// Whether only a signal ends the command.
    pub fn is_never(&self) -> bool {
        self.count.is_none() && self.duration.is_none()
    }

    /// When the command ends that began at `start`.
    pub fn deadline(&self, start: Instant) -> Option<Instant> {
        self.duration.and_then(|time| start.checked_add(time))
    }
}

/// Arguments of `stop`.
#[derive(Debug, Args)]
pub struct StopNode {
    #[command(flatten)]
    pub node: OneNode,
    /// Wait until the driver has taken everything that was sent, instead of discarding it.
    #[arg(long)]
    pub drain: bool,
}

/// The states that `wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Awaited {
    /// The node is there.
    Present,
    /// A process has it open.
    Open,
    /// No process has it open.
    Closed,
    /// Its stream is running.
    Running,
    /// Its stream is suspended.
    Suspended,
    /// Its stream is stopped.
    Stopped,
}

/// Arguments of `wait`.
#[derive(Debug, Args)]
pub struct Wait {
    #[command(flatten)]
    pub node: OneNode,
    /// The state to wait for.
    #[arg(long, value_enum, default_value = "present")]
    pub state: Awaited,
    /// Fail if it is not reached in this time, such as 500ms or 2s.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
}

/// Arguments of `cat`.
#[derive(Debug, Args)]
pub struct Cat {
    #[command(flatten)]
    pub node: OneNode,
    /// File to write; `-` is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Show the buffers to people instead: each with its frame's number, its length and the time.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// File to write the control data to: a line of hexadecimal digits for each buffer.
    #[arg(long, value_name = "FILE")]
    pub control: Option<PathBuf>,
    #[command(flatten)]
    pub end: End,
    #[command(flatten)]
    pub moving: Moving,
}

/// Arguments of `feed`.
#[derive(Debug, Args)]
pub struct Feed {
    #[command(flatten)]
    pub node: OneNode,
    /// File to send; `-` is standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Fill each buffer before it is sent. By default a buffer holds what one read returned.
    #[arg(long)]
    pub full: bool,
    /// File with the control data: a line of hexadecimal digits for each buffer, as cat writes it.
    /// An empty line means that the buffer has none.
    #[arg(long, value_name = "FILE")]
    pub control: Option<PathBuf>,
    #[command(flatten)]
    pub moving: Moving,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Nodes, by name or path [default: all].
    #[arg(value_name = "NODE")]
    pub nodes: Vec<PathBuf>,
    /// Time between two samples, such as 500ms or 1min.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub interval: Duration,
    /// Stop after this many samples.
    #[arg(short, long, value_name = "N", value_parser = parse_count)]
    pub count: Option<u64>,
}

/// Arguments of `info`.
#[derive(Debug, Args)]
pub struct Info {
    /// The node: its name, such as pattern or iostream1, or a path.
    #[arg(value_name = "NODE", default_value = "/dev/iostream")]
    pub node: PathBuf,
}

/// How queues are used.
#[derive(Debug, Args)]
pub struct Queue {
    /// Capacity of each queue that /dev/iostream makes (K, M, G: powers of 1024).
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub queue_bytes: Option<u64>,
    /// Number of looks before a wait sleeps. More save system calls and cost processor time.
    #[arg(long, value_name = "LOOKS")]
    pub spin: Option<u32>,
}

/// Arguments of `send`.
#[derive(Debug, Args)]
pub struct Send {
    #[command(flatten)]
    pub node: OneNode,
    /// File to send; `-` is standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// How to cut bytes into entries [default: record on /dev/iostream, otherwise none].
    #[arg(long, value_enum)]
    pub framing: Option<Framing>,
    /// Bytes of each entry, or a range to choose from, with the framings none and record
    /// [default: 4K, or what the queue takes].
    #[arg(long, value_name = "BYTES", value_parser = parse_sizes)]
    pub entry_size: Option<Sizes>,
    #[command(flatten)]
    pub queue: Queue,
    #[command(flatten)]
    pub moving: Moving,
}

/// Arguments of `recv`.
#[derive(Debug, Args)]
pub struct Recv {
    #[command(flatten)]
    pub node: OneNode,
    /// File to write; `-` is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// How to write the entries.
    #[arg(long, value_enum, default_value = "none", conflicts_with = "format")]
    pub framing: Framing,
    /// Show the entries to people instead: each with its number, its length and the time.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    #[command(flatten)]
    pub end: End,
    /// Sleep until this many bytes wait, including overhead, or the queue is full.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub watermark: Option<u64>,
    /// Wake up this long after an entry has arrived, even below the watermark: 500us, 10ms.
    #[arg(long, value_name = "TIME", requires = "watermark", value_parser = parse_duration)]
    pub latency: Option<Duration>,
    #[command(flatten)]
    pub source: SourceQueue,
    #[command(flatten)]
    pub queue: Queue,
    #[command(flatten)]
    pub moving: Moving,
}

/// What to ask of the source of /dev/iostream.
#[derive(Debug, Args)]
pub struct SourceQueue {
    /// Bytes of the entries that /dev/iostream makes, or a range to choose from
    /// [default: 64-1500].
    #[arg(long, value_name = "BYTES", value_parser = parse_sizes)]
    pub entry_size: Option<Sizes>,
    /// Entries that /dev/iostream makes in a second; 0: as many as it can [default: 0].
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub rate: Option<u64>,
    /// Let a full queue of /dev/iostream overwrite its oldest entries.
    #[arg(long)]
    pub overwrite: bool,
}

/// Arguments of `ask`.
#[derive(Debug, Args)]
pub struct Ask {
    #[command(flatten)]
    pub node: OneNode,
    /// File with the requests; `-` is standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// A request, instead of those of a file; with --framing hex in hexadecimal. Can be given again.
    #[arg(
        long,
        value_name = "TEXT",
        conflicts_with = "file",
        allow_hyphen_values = true
    )]
    pub data: Vec<String>,
    /// How requests are cut, and answers are written.
    #[arg(long, default_value = "lines", value_parser = plain_framings())]
    pub framing: Framing,
    /// Bytes of each request, or a range to choose from, with the framing none [default: 4K, or
    /// what the queue takes].
    #[arg(long, value_name = "BYTES", value_parser = parse_sizes)]
    pub entry_size: Option<Sizes>,
    /// File to write the answers to; `-` is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Show the answers to people instead: each with its number, its length and the time.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Stop after this many answers.
    #[arg(short, long, value_name = "N", value_parser = parse_count)]
    pub count: Option<u64>,
    /// Fail if an answer does not come in this time, such as 500ms or 2s.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub queue: Queue,
}

/// The framings that put nothing into entries.
fn plain_framings() -> impl TypedValueParser<Value = Framing> {
    let all = Framing::value_variants().iter();
    let plain = all.filter(|framing| **framing != Framing::Record);
    PossibleValuesParser::new(plain.filter_map(ValueEnum::to_possible_value))
        .try_map(|name| Framing::from_str(&name, false))
}

/// Arguments of `echo`.
#[derive(Debug, Args)]
pub struct Echo {
    #[command(flatten)]
    pub node: OneNode,
    /// File to send; `-` is standard input.
    #[arg(required_unless_present = "generate")]
    pub file: Option<PathBuf>,
    /// Send this many generated bytes instead of a file.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, conflicts_with = "file")]
    pub generate: Option<u64>,
    /// File to write what comes back to; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Bytes of each entry, or a range to choose from.
    #[arg(long, value_name = "BYTES", default_value = "4K", value_parser = parse_sizes)]
    pub entry_size: Sizes,
    /// Entries to publish, or to release, together.
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Run the kernel's side of /dev/iostream in a thread, so that nobody has to be woken.
    #[arg(long)]
    pub flat_out: bool,
    #[command(flatten)]
    pub queue: Queue,
    #[command(flatten)]
    pub moving: Moving,
}

/// Arguments of `source`.
#[derive(Debug, Args)]
pub struct Source {
    #[command(flatten)]
    pub node: OneNode,
    #[command(flatten)]
    pub end: End,
    #[command(flatten)]
    pub source: SourceQueue,
    #[command(flatten)]
    pub queue: Queue,
    #[command(flatten)]
    pub moving: Moving,
}
