// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command line, as clap parses it.

use clap::{Parser, Subcommand};

use crate::arguments::{
    Ask, Cat, Echo, Feed, Info, OneNode, Recv, Send, Source, StopNode, Wait, Watch,
};

/// The examples of the help and of the manual page.
pub const EXAMPLES: &str = "\
Examples:
  iostreamctl list                          devices and open sessions
  iostreamctl info pattern                  one device, without opening it
  iostreamctl doctor                        what is wrong with this installation
  iostreamctl recv ticker --format hex      what a driver sends, for people
  iostreamctl recv iostream1 --count 10 --framing lines | head
  iostreamctl send iostream1 data.bin       a file to a driver's input queue
  journalctl -f | iostreamctl send iostream1 --framing lines
  iostreamctl ask meter --data 'MEAS?' --timeout 1s   a request, and its answer
  iostreamctl cat pattern --count 30 -o frames.raw    buffers of a stream to a file
  iostreamctl feed sink song.raw            a file to the buffers of a stream
  iostreamctl wait pattern --state running --timeout 5s
  iostreamctl suspend pattern               a stream that any program has open
  iostreamctl watch                         the rates of all nodes, once a second
  iostreamctl echo iostream Cargo.lock      a file to the kernel and back, compared
  iostreamctl source iostream --count 100000    entries made by the kernel, checked
";

/// The exit codes of the help and of the manual page.
pub const EXIT_CODES: &str = "\
Exit codes:
  0 success; also after Ctrl-C or SIGTERM, if nothing else ends the command and nothing is lost
  1 other failures
  2 wrong usage
  3 no such device
  4 no permission
  5 busy: another program has it
  6 the device is gone
  7 data corrupt or different
  8 a limit, or out of memory
  9 timed out
  129, 130, 143 ended early by SIGHUP, Ctrl-C or SIGTERM
  141 the reader of a pipe is gone
";

/// Lists, inspects, fills and drains iostream devices.
#[derive(Debug, Parser)]
#[command(name = "iostreamctl", version, after_help = format!("{EXAMPLES}\n{}", EXIT_CODES.trim_end()))]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
    /// Print results as JSON, one object a line. Failures and wrong usage are objects on standard
    /// error.
    #[arg(long, global = true)]
    pub json: bool,
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
Examples:
  iostreamctl send iostream1 data.bin --entry-size 512
  journalctl -f | iostreamctl send iostream1 --framing lines

On /dev/iostream a sink checks the entries. It expects records, so the default there is --framing
record: each entry starts with a number and a checksum.")]
    Send(Send),
    /// Write the entries of an output queue to a file or standard output.
    #[command(after_help = "\
Examples:
  iostreamctl recv ticker --format hex --count 3
  iostreamctl recv ticker --count 3 | od -t d8
  iostreamctl recv iostream1 --framing lines --output lines.txt

On /dev/iostream a source makes records. --framing record checks each of them, and writes its bytes
without the head. The command ends after --count entries, after --duration, if nothing arrives for
--timeout, or with Ctrl-C.")]
    Recv(Recv),
    /// Send requests to an input queue, and write the answers of the output queue.
    #[command(after_help = "\
Examples:
  iostreamctl ask meter --data 'MEAS?' --timeout 1s
  iostreamctl ask card --framing hex --data '06 01' --data '06 02'
  iostreamctl ask card --framing hex <requests.txt >answers.txt

Each line is a request, and each answer is written as a line, unless --framing says otherwise. A
queue does not say which request an entry answers. So the next request is sent once the last one is
answered, and what comes without a request is counted and passed over. On /dev/iostream the kernel
answers each request with its own bytes.")]
    Ask(Ask),
    /// Send a file to the kernel and back, and compare.
    #[command(after_help = "\
Examples:
  iostreamctl echo iostream /etc/services
  iostreamctl echo iostream --generate 1G --entry-size 1-4K --flat-out
  iostreamctl echo iostream picture.png --output copy.png")]
    Echo(Echo),
    /// Let the kernel make entries, and check each of them.
    #[command(after_help = "\
Examples:
  iostreamctl source iostream --count 1000000 --entry-size 64-1500
  iostreamctl source iostream --rate 1000 --duration 5s
  iostreamctl source iostream --rate 10000 --duration 5s --overwrite --queue-bytes 4K

Without --count and --duration it asks for 100000 entries.")]
    Source(Source),
    /// Write the data of an output stream's buffers to standard output or a file.
    #[command(after_help = "\
Examples:
  iostreamctl cat pattern --count 30 --output frames.raw
  iostreamctl cat pattern --format hex --count 1
  iostreamctl cat pattern --output frames.raw --control control.hex

The command opens the stream and starts it. It ends after --count buffers, after --duration, when
the stream is stopped, or with Ctrl-C.")]
    Cat(Cat),
    /// Fill an input stream's buffers from a file or standard input.
    #[command(after_help = "\
Examples:
  iostreamctl feed sink song.raw
  arecord | iostreamctl feed sink
  iostreamctl feed sink frames.raw --full --control control.hex

The command opens the stream and starts it. It stops the stream once the driver has taken
everything, and says how often the driver reported that it had no data: the underruns.")]
    Feed(Feed),
    /// Start or resume a stream that another program has open. A running stream goes on.
    Start(OneNode),
    /// Stop a stream that another program has open. Queued buffers are discarded.
    Stop(StopNode),
    /// Suspend a stream that another program has open. Queued buffers stay queued.
    Suspend(OneNode),
    /// Wait until a node is there, or is in a state.
    #[command(after_help = "\
Examples:
  iostreamctl wait pattern --timeout 10s      until its driver is loaded
  iostreamctl wait pattern --state running    until a program has started it

The command sleeps until something happens to the node. The kernel announces nodes that come and go,
opens and closes, and what start, stop and suspend do. It does not announce that a program changes
the state of its own stream: for --state the command looks once a second as well, and so it does
where /dev is not the kernel's.")]
    Wait(Wait),
    /// Say what is wrong with this installation, and what would be right.
    Doctor,
    /// Show rates, occupancy, losses and wake-ups of all nodes repeatedly.
    #[command(after_help = "\
Examples:
  iostreamctl watch pattern --interval 5s
  iostreamctl watch --json | jq '.nodes[].bytes_per_second'")]
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

#[cfg(test)]
mod tests {
    use std::path::Path;

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
        let Command::Send(send) = parse(&["send", "itin"]).unwrap().command else {
            panic!();
        };
        assert_eq!(send.file, Path::new("-"));
        assert_eq!((send.framing, send.entry_size), (None, None));
    }

    #[test]
    fn json_goes_before_and_after_the_command() {
        for arguments in [["--json", "list"], ["list", "--json"]] {
            assert!(parse(&arguments).unwrap().json);
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for arguments in [
            &["echo"][..],
            &["echo", "iostream"],
            &["echo", "iostream", "file", "--generate", "1K"],
            &["echo", "iostream", "file", "--batch", "0"],
            &["echo", "iostream", "file", "--entry-size", "9-8"],
            &["echo", "iostream", "file", "--entry-size", "0"],
            &["send"],
            &["send", "-d", "itin"],
            &["send", "itin", "--framing", "words"],
            &["recv"],
            &["recv", "itout", "--timeout", "2"],
            &["recv", "itout", "--latency", "2ms"],
            &["recv", "itout", "--count", "1K"],
            &["info", "iostream", "--watch"],
            &["list", "--quiet"],
            &["source", "iostream", "--duration=-1s"],
            &["cat"],
            &["cat", "frames", "--count", "many"],
            &["start"],
            &["suspend", "frames", "--drain"],
            &["wait", "frames", "--state", "asleep"],
            &["watch", "--interval", "0s"],
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
