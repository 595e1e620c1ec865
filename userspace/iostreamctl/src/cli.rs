// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line, as clap parses it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::framing::Framing;
use crate::units::{parse_bytes, parse_milliseconds, parse_seconds, parse_sizes, Sizes};

const EXAMPLES: &str = "\
Examples:
  iostreamctl list                          devices and open sessions
  iostreamctl info --watch                  counters, once a second
  iostreamctl echo Cargo.lock               a file to the kernel and back, compared
  iostreamctl echo --generate 1G --entry-size 1-4K --flat-out
  iostreamctl source --count 100000         entries made by the kernel, checked
  iostreamctl send -d iostream0 data.bin    a file to a driver's input queue
  journalctl -f | iostreamctl send -d iostream0 --framing lines
  iostreamctl recv -d iostream0 --count 10 --framing lines | head
  iostreamctl cat pattern --count 30 -o frames.raw    buffers of a stream to a file
  iostreamctl feed sink song.raw            a file to the buffers of a stream
  iostreamctl suspend pattern               a stream that any program has open
  iostreamctl watch                         the rates of all nodes, once a second

Exit codes:
  0 success          5 busy: another program has it      9 timed out
  1 other failures   6 the device is gone              130 interrupted by Ctrl-C
  2 wrong usage      7 data corrupt or different       141 the reader of a pipe is gone
  3 no such device   8 a limit, or out of memory
  4 no permission";

/// Lists, inspects, fills and drains iostream devices.
#[derive(Debug, Parser)]
#[command(name = "iostreamctl", version, after_help = EXAMPLES)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Device, as a path or a node's name.
    #[arg(short, long, global = true, default_value = "/dev/iostream")]
    pub device: PathBuf,
    /// Print results as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Show no progress line.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List devices and the sessions that are open on them.
    List,
    /// Show a device's limits, queues and counters.
    #[command(after_help = "\
Counters of /dev/iostream belong to its sessions. Only root sees those of other users' processes.")]
    Info(Info),
    /// Send a file or standard input to an input queue.
    #[command(after_help = "\
On /dev/iostream a sink checks the entries. It expects records, so the default there is --framing
record: each entry starts with a number and a checksum.")]
    Send(Send),
    /// Write the entries of an output queue to a file or standard output.
    #[command(after_help = "\
On /dev/iostream a source makes records. --framing record checks each of them, and writes its bytes
without the head. The command ends after --count entries, if nothing arrives for --timeout, or with
Ctrl-C.")]
    Recv(Recv),
    /// Send a file to the kernel and back, and compare.
    #[command(after_help = "\
Examples:
  iostreamctl echo /etc/services
  iostreamctl echo --generate 1G --entry-size 1-4K --flat-out
  iostreamctl echo picture.png --output copy.png")]
    Echo(Echo),
    /// Let the kernel make entries, and check each of them.
    #[command(after_help = "\
Examples:
  iostreamctl source --count 1M --entry-size 64-1500
  iostreamctl source --rate 1000 --seconds 5
  iostreamctl source --rate 10000 --seconds 5 --overwrite --queue-bytes 4K")]
    Source(Source),
    /// Write the data of an output stream's buffers to standard output or a file.
    #[command(after_help = "\
The command opens the stream and starts it. It ends after --count buffers, after --duration, when the
stream is stopped, or with Ctrl-C.")]
    Cat(Cat),
    /// Fill an input stream's buffers from a file or standard input.
    #[command(after_help = "\
The command opens the stream and starts it. It stops the stream once the driver has taken everything.")]
    Feed(Feed),
    /// Start or resume a stream that another program has open.
    Start(OneNode),
    /// Stop a stream that another program has open. Queued buffers are discarded.
    Stop(StopNode),
    /// Suspend a stream that another program has open. Queued buffers stay queued.
    Suspend(OneNode),
    /// Show rates, occupancy, losses and wake-ups of all nodes repeatedly.
    Watch(Watch),
    /// Print completions for a shell.
    #[command(after_help = "\
Examples:
  iostreamctl completions bash > /usr/share/bash-completion/completions/iostreamctl
  iostreamctl completions zsh > ~/.zfunc/_iostreamctl")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of iostreamctl or of one command.
    #[command(after_help = "\
Examples:
  iostreamctl man | man -l -
  iostreamctl man cat > /usr/local/share/man/man1/iostreamctl-cat.1")]
    Man {
        /// The command.
        command: Option<String>,
    },
}

/// Arguments of `start` and `suspend`.
#[derive(Debug, Args)]
pub struct OneNode {
    /// The stream, as a node's name or a path.
    pub node: PathBuf,
}

/// Arguments of `stop`.
#[derive(Debug, Args)]
pub struct StopNode {
    /// The stream, as a node's name or a path.
    pub node: PathBuf,
    /// Wait until the driver has taken everything that was sent, instead of discarding it.
    #[arg(long)]
    pub drain: bool,
}

/// Arguments of `cat`.
#[derive(Debug, Args)]
pub struct Cat {
    /// The stream, as a node's name or a path.
    pub node: PathBuf,
    /// File to write; `-` is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Stop after this many buffers.
    #[arg(long, value_name = "N", value_parser = parse_bytes)]
    pub count: Option<u64>,
    /// Stop after this time.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub duration: Option<Duration>,
    /// Fail if nothing arrives for this time.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
}

/// Arguments of `feed`.
#[derive(Debug, Args)]
pub struct Feed {
    /// The stream, as a node's name or a path.
    pub node: PathBuf,
    /// File to send; `-` is standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// Fill each buffer before it is sent. By default a buffer holds what one read returned.
    #[arg(long)]
    pub full: bool,
    /// Fail if the driver takes nothing for this time.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
}

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Nodes, by name or path [default: all].
    pub nodes: Vec<PathBuf>,
    /// Time between two tables.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_seconds)]
    pub interval: Duration,
    /// Stop after this many tables.
    #[arg(long, value_name = "N")]
    pub times: Option<u64>,
}

/// Arguments of `info`.
#[derive(Debug, Args)]
pub struct Info {
    /// Show it repeatedly, with this time in between.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1",
          value_parser = parse_seconds)]
    pub watch: Option<Duration>,
    /// Stop watching after this many times.
    #[arg(long, value_name = "N", requires = "watch")]
    pub times: Option<u64>,
}

/// How to make queues on /dev/iostream, and how to wait.
#[derive(Debug, Args)]
pub struct Queue {
    /// Capacity of each queue of /dev/iostream (K, M, G: powers of 1024).
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub queue_bytes: Option<u64>,
    /// Number of looks before a wait sleeps. More save system calls and cost processor time.
    #[arg(long, value_name = "LOOKS")]
    pub spin: Option<u32>,
    /// Fail if nothing moves for this time.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
}

/// Arguments of `send`.
#[derive(Debug, Args)]
pub struct Send {
    /// File to send; `-` is standard input.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// How to cut bytes into entries [default: record on /dev/iostream, otherwise none].
    #[arg(long, value_enum)]
    pub framing: Option<Framing>,
    /// Bytes of each entry, or a range to choose from, if the framing does not decide.
    #[arg(long, value_name = "BYTES", default_value = "4K", value_parser = parse_sizes)]
    pub entry_size: Sizes,
    #[command(flatten)]
    pub queue: Queue,
}

/// Arguments of `recv`.
#[derive(Debug, Args)]
pub struct Recv {
    /// File to write; `-` is standard output.
    #[arg(default_value = "-")]
    pub file: PathBuf,
    /// How to join entries into bytes.
    #[arg(long, value_enum, default_value = "none")]
    pub framing: Framing,
    /// Stop after this many entries.
    #[arg(long, value_name = "N", value_parser = parse_bytes)]
    pub count: Option<u64>,
    /// Sleep until this many bytes wait, including overhead, or the queue is full.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub watermark: Option<u64>,
    /// Wake up this long after an entry has arrived, even below the watermark.
    #[arg(long, value_name = "MILLISECONDS", requires = "watermark", value_parser = parse_milliseconds)]
    pub latency: Option<Duration>,
    #[command(flatten)]
    pub source: SourceQueue,
    #[command(flatten)]
    pub queue: Queue,
}

/// What to ask of the source of /dev/iostream.
#[derive(Debug, Args)]
pub struct SourceQueue {
    /// Bytes of the entries that /dev/iostream makes, or a range to choose from.
    #[arg(long, value_name = "BYTES", default_value = "64-1500", value_parser = parse_sizes)]
    pub entry_size: Sizes,
    /// Entries that /dev/iostream makes in a second; 0: as many as it can.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub rate: u64,
    /// Let a full queue of /dev/iostream overwrite its oldest entries.
    #[arg(long)]
    pub overwrite: bool,
}

/// Arguments of `echo`.
#[derive(Debug, Args)]
pub struct Echo {
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
    /// Run the kernel's side in a thread of its own, so that nobody has to be woken.
    #[arg(long)]
    pub flat_out: bool,
    #[command(flatten)]
    pub queue: Queue,
}

/// Arguments of `source`.
#[derive(Debug, Args)]
pub struct Source {
    /// Stop after this many entries (K, M, G: powers of 1024) [default: 100000 without --seconds].
    #[arg(long, value_name = "N", value_parser = parse_bytes)]
    pub count: Option<u64>,
    /// Stop after this time.
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    pub seconds: Option<Duration>,
    #[command(flatten)]
    pub source: SourceQueue,
    #[command(flatten)]
    pub queue: Queue,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"iostreamctl").chain(arguments))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_are_as_the_help_says() {
        let cli = parse(&["send"]).unwrap();
        assert_eq!(cli.device, PathBuf::from("/dev/iostream"));
        let Command::Send(send) = cli.command else {
            panic!();
        };
        assert_eq!(send.file, PathBuf::from("-"));
        assert_eq!(send.framing, None);
        assert_eq!(
            send.entry_size,
            Sizes {
                min: 4096,
                max: 4096
            }
        );
    }

    #[test]
    fn global_options_go_before_and_after_the_command() {
        for arguments in [
            ["-d", "dev0", "--json", "list"],
            ["list", "--json", "-d", "dev0"],
        ] {
            let cli = parse(&arguments).unwrap();
            assert!(cli.json && cli.device.as_os_str() == "dev0");
        }
    }

    #[test]
    fn watch_has_an_optional_interval() {
        let watch = |arguments: &[&str]| match parse(arguments).unwrap().command {
            Command::Info(info) => info.watch,
            _ => panic!(),
        };
        assert_eq!(watch(&["info"]), None);
        assert_eq!(watch(&["info", "--watch"]), Some(Duration::from_secs(1)));
        assert_eq!(
            watch(&["info", "--watch=0.5"]),
            Some(Duration::from_millis(500))
        );
    }

    #[test]
    fn wrong_usage_is_refused() {
        for arguments in [
            &["echo"][..],
            &["echo", "file", "--generate", "1K"],
            &["echo", "file", "--batch", "0"],
            &["echo", "file", "--entry-size", "9-8"],
            &["echo", "file", "--entry-size", "0"],
            &["send", "--framing", "words"],
            &["info", "--times", "3"],
            &["info", "--watch=0"],
            &["source", "--seconds=-1"],
            &["cat"],
            &["cat", "frames", "--count", "many"],
            &["start"],
            &["suspend", "frames", "--drain"],
            &["watch", "--interval", "0"],
            &["completions", "sh"],
            &["nothing"],
        ] {
            assert_eq!(
                parse(arguments).unwrap_err().exit_code(),
                2,
                "{arguments:?}"
            );
        }
    }
}
