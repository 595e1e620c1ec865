// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl`: lists, inspects, fills and drains iostream devices.

#![forbid(unsafe_code)]

mod attribute;
mod cat;
mod cli;
mod counters;
mod device;
mod echo;
mod failure;
mod feed;
mod files;
mod framing;
mod info;
mod list;
mod manual;
mod moving;
mod progress;
mod receiver;
mod record;
mod recv;
mod report;
mod send;
mod sessions;
mod source;
mod state;
mod stop;
mod streams;
mod sysfs;
mod units;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::{Failure, Result};
use stop::Stop;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A user that closed the pipe or pressed Ctrl-C knows the reason.
            if !matches!(failure, Failure::BrokenPipe | Failure::Interrupted) {
                // If this fails as well, the message is lost.
                use std::io::Write;
                let _ = writeln!(std::io::stderr(), "iostreamctl: {failure}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let stop = Stop::on_signals()?;
    match &cli.command {
        Command::List => list::run(cli),
        Command::Info(arguments) => info::run(cli, arguments, &stop),
        Command::Send(arguments) => send::run(cli, arguments, &stop),
        Command::Recv(arguments) => recv::run(cli, arguments, &stop),
        Command::Echo(arguments) => echo::run(cli, arguments, &stop),
        Command::Source(arguments) => source::run(cli, arguments, &stop),
        Command::Cat(arguments) => cat::run(cli, arguments, &stop),
        Command::Feed(arguments) => feed::run(cli, arguments, &stop),
        Command::Start(arguments) => state::set(&arguments.node, "running"),
        Command::Stop(arguments) => {
            let word = if arguments.drain {
                "drained"
            } else {
                "stopped"
            };
            state::set(&arguments.node, word)
        }
        Command::Suspend(arguments) => state::set(&arguments.node, "suspended"),
        Command::Watch(arguments) => watch::run(cli, arguments, &stop),
        Command::Completions { shell } => manual::completions(*shell),
        Command::Man { command } => manual::page(command.as_deref()),
    }
}
