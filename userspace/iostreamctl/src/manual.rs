// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl completions` and `iostreamctl man`.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::{roff::Roff, Man};

use crate::cli::{Cli, EXAMPLES, EXIT_CODES};
use crate::failure::{Failure, Result};

/// The files that the manual page names.
const FILES: [(&str, &str); 4] = [
    (
        "/dev/iostream",
        "the built-in device, which needs no driver",
    ),
    (
        "/dev/iostream1, /dev/iostream2, ...",
        "the nodes of drivers",
    ),
    (
        "/dev/iostreams/by-name/NAME",
        "links to the nodes by name, made by udev",
    ),
    (
        "/sys/class/iostream/",
        "a folder for each node, with its counters",
    ),
];

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
    write(&page, command, &mut text).map_err(Failure::of_stdout)?;
    Ok(text)
}

fn write(page: &clap::Command, command: Option<&str>, out: &mut Vec<u8>) -> io::Result<()> {
    let extra = page.get_after_help().map(ToString::to_string);
    let man = Man::new(page.clone());
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.is_none() {
        man.render_subcommands_section(out)?;
    }
    let examples = match (command, &extra) {
        (None, _) => Some(EXAMPLES),
        (_, extra) => extra.as_deref(),
    };
    if let Some(text) = examples {
        let (notes, examples) = split(text);
        section(out, "NOTES", &notes)?;
        section(out, "EXAMPLES", &examples)?;
    }
    let (_, codes) = EXIT_CODES.split_once('\n').unwrap_or_default();
    section(out, "EXIT STATUS", codes)?;
    let mut files = Roff::new();
    files.control("SH", ["FILES"]);
    for (file, what) in FILES {
        files.control("TP", []);
        files.text([clap_mangen::roff::italic(file)]);
        files.text([clap_mangen::roff::roman(what)]);
    }
    out.write_all(files.to_roff().as_bytes())?;
    let also = match command {
        None => "udevadm(8), modprobe(8), read(2), write(2), poll(2)",
        Some(_) => "iostreamctl(1)",
    };
    section(out, "SEE ALSO", also)
}

/// Text before the examples, and the examples.
fn split(text: &str) -> (String, String) {
    let (before, rest) = text.split_once("Examples:\n").unwrap_or((text, ""));
    // What follows a blank line is a note again.
    let (examples, after) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let notes = format!("{}\n{}", before.trim(), after.trim());
    (notes.trim().to_owned(), examples.to_owned())
}

/// A section whose lines stay as they are; nothing if it is empty.
fn section(out: &mut Vec<u8>, name: &str, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut roff = Roff::new();
    roff.control("SH", [name]);
    roff.control("nf", []);
    for line in text.lines() {
        roff.text([clap_mangen::roff::roman(line)]);
    }
    roff.control("fi", []);
    out.write_all(roff.to_roff().as_bytes())
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
            for section in ["EXIT STATUS", "FILES", "SEE ALSO"] {
                assert!(
                    page.contains(&format!(".SH \"{section}\""))
                        || page.contains(&format!(".SH {section}")),
                    "{page}"
                );
            }
        }
        assert!(matches!(render(Some("fly")), Err(Failure::Usage(_))));
    }

    #[test]
    fn examples_and_exit_codes_keep_their_lines() {
        let page = String::from_utf8(render(None).unwrap()).unwrap();
        let (_, examples) = page.split_once(".SH EXAMPLES\n.nf\n").unwrap();
        let (examples, _) = examples.split_once(".fi\n").unwrap();
        assert_eq!(examples.lines().count(), EXAMPLES.lines().count() - 1);
        let page = String::from_utf8(render(Some("wait")).unwrap()).unwrap();
        assert!(
            page.contains(".SH NOTES\n.nf\nThe command sleeps until"),
            "{page}"
        );
        let texts = split("Before.\nExamples:\n  one\n  two\n\nAfter.");
        assert_eq!(
            texts,
            ("Before.\nAfter.".to_owned(), "  one\n  two".to_owned())
        );
    }
}
