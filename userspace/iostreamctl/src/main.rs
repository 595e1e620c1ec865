// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl`: lists, inspects, fills and drains iostream devices.

#![forbid(unsafe_code)]

mod arguments;
mod ask;
mod attribute;
mod cat;
mod changes;
mod cli;
mod counters;
mod device;
mod doctor;
mod dump;
mod echo;
mod failure;
mod feed;
mod files;
mod framing;
mod hex;
mod info;
mod list;
mod manual;
mod moving;
mod output;
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
mod surroundings;
mod sysfs;
mod units;
mod usage;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};
use failure::{Failure, Result};
use stop::Stop;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error),
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // A user that closed the pipe or sent a signal knows the reason.
            if !matches!(failure, Failure::BrokenPipe | Failure::Interrupted(_)) {
                report::complain(&failure, cli.json);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let stop = Stop::on_signals(cli.json)?;
    match &cli.command {
        Command::List => list::run(cli),
        Command::Info(arguments) => info::run(cli, arguments),
        Command::Wait(arguments) => state::wait(cli, arguments, &stop),
        Command::Doctor => doctor::run(cli),
        Command::Send(arguments) => send::run(cli, arguments, &stop),
        Command::Recv(arguments) => recv::run(cli, arguments, &stop),
        Command::Ask(arguments) => ask::run(cli, arguments, &stop),
        Command::Echo(arguments) => echo::run(cli, arguments, &stop),
        Command::Source(arguments) => source::run(cli, arguments, &stop),
        Command::Cat(arguments) => cat::run(cli, arguments, &stop),
        Command::Feed(arguments) => feed::run(cli, arguments, &stop),
        Command::Start(arguments) => state::set(cli, &arguments.node, "running"),
        Command::Stop(arguments) => {
            let word = if arguments.drain {
                "drained"
            } else {
                "stopped"
            };
            state::set(cli, &arguments.node.node, word)
        }
        Command::Suspend(arguments) => state::set(cli, &arguments.node, "suspended"),
        Command::Watch(arguments) => watch::run(cli, arguments, &stop),
        Command::Completions { .. } | Command::Man { .. } if cli.json => Err(Failure::Usage(
            "--json does not apply to completions and man".to_owned(),
        )),
        Command::Completions { shell } => manual::completions(*shell),
        Command::Man { command } => manual::page(command.as_deref()),
    }
}
