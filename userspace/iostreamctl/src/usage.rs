// SPDX-License-Identifier: MIT OR Apache-2.0

//! Wrong usage of the command line: for people as clap says it, in several lines, and for scripts
//! as one JSON object, as all other failures.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::report;

/// Says what clap has to say, which may be the help that was asked for. Returns the exit code.
pub fn explain(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(2);
    if error.use_stderr() && asks_for_json(std::env::args_os().skip(1)) {
        report::complain_json(&sentence(error), code);
    } else {
        // If this fails as well, the message is lost.
        let _ = error.print();
    }
    ExitCode::from(code)
}

/// Whether the arguments ask for JSON. They could not be parsed, so this looks for the option alone.
fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let mut options = arguments.take_while(|argument| argument != "--");
    options.any(|argument| argument == "--json")
}

/// What is wrong, in one line: without the usage and the hint at the help that clap adds.
fn sentence(error: &clap::Error) -> String {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing: see iostreamctl --help".to_owned();
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let end = ["\n\nUsage:", "\n\nFor more information"]
        .into_iter()
        .filter_map(|mark| text.find(mark))
        .min();
    let text = &text[..end.unwrap_or(text.len())];
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let words: Vec<&str> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    paragraphs.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn said(arguments: &[&str]) -> String {
        let arguments = std::iter::once(&"iostreamctl").chain(arguments);
        sentence(&Cli::try_parse_from(arguments).unwrap_err())
    }

    #[test]
    fn a_sentence_has_no_usage() {
        for (arguments, sentence) in [
            (
                &["recv"][..],
                "the following required arguments were not provided: <NODE>",
            ),
            (
                &["recv", "x", "--timeout", "2"],
                "invalid value '2' for '--timeout <TIME>': a time with its unit is expected: 500us, \
                 10ms, 2s, 5min or 1h",
            ),
            (
                &["wait", "x", "--state", "runing"],
                "invalid value 'runing' for '--state <STATE>' [possible values: present, open, \
                 closed, running, suspended, stopped]; tip: a similar value exists: 'running'",
            ),
            (&["fly"], "unrecognized subcommand 'fly'"),
            (&[], "a command is missing: see iostreamctl --help"),
        ] {
            assert_eq!(said(arguments), sentence);
        }
    }

    #[test]
    fn json_is_asked_for_before_the_end_of_the_options() {
        let asks = |arguments: &[&str]| asks_for_json(arguments.iter().map(OsString::from));
        assert!(asks(&["recv", "--json"]) && asks(&["--json", "recv", "--"]));
        assert!(!asks(&["recv", "--", "--json"]) && !asks(&["--json=x"]));
    }
}
