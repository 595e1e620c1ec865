// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl completions` and `iostreamctl man`.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::{Failure, Result};

/// Prints the completions for a shell.
pub fn completions(shell: Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "iostreamctl", &mut text);
    print(&text)
}

/// Prints the manual page of iostreamctl, or of one of its commands.
pub fn page(command: Option<&str>) -> Result<()> {
    print(&render(command)?)
}

fn render(command: Option<&str>) -> Result<Vec<u8>> {
    let mut top = Cli::command();
    top.build();
    let page = match command {
        None => top,
        Some(name) => {
            let found = top.find_subcommand(name).cloned();
            found.ok_or_else(|| {
                Failure::Usage(format!(
                    "there is no command {name}: see iostreamctl --help"
                ))
            })?
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut text)
        .map_err(Failure::of_stdout)?;
    Ok(text)
}

/// Writes without a buffer, so that a reader that has gone away is noticed.
fn print(text: &[u8]) -> Result<()> {
    io::stdout().write_all(text).map_err(Failure::of_stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let whole = String::from_utf8(render(None).unwrap()).unwrap();
        assert!(whole.contains(".TH iostreamctl 1"));
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let page = String::from_utf8(render(Some(name)).unwrap()).unwrap();
            assert!(
                page.contains(&format!(".TH iostreamctl-{name} 1")),
                "{page}"
            );
        }
        assert!(matches!(render(Some("fly")), Err(Failure::Usage(_))));
    }
}
