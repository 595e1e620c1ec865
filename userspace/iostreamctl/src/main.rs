// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl`: lists, inspects, fills and drains iostream devices.

#![forbid(unsafe_code)]

mod cli;
mod device;
mod echo;
mod failure;
mod files;
mod framing;
mod info;
mod list;
mod moving;
mod progress;
mod receiver;
mod record;
mod recv;
mod report;
mod send;
mod sessions;
mod source;
mod stop;
mod sysfs;
mod units;

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
            // Who closed the pipe, or pressed Ctrl-C, knows.
            if !matches!(failure, Failure::BrokenPipe | Failure::Interrupted) {
                // Nobody is left to be told if this fails, too.
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
    }
}
