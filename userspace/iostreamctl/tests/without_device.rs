// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a script sees of the command where there is no device.

use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_iostreamctl"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The exit code, and the one line that was said.
fn fails(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), said)
}

#[test]
fn files_that_are_no_devices_are_told_from_missing_ones() {
    let this_file = file!().rsplit('/').next().unwrap();
    let source = format!("tests/{this_file}");
    for path in ["/dev/null", "/", &source] {
        for command in ["info", "recv", "source", "start", "cat"] {
            let (code, said) = fails(&[command, path]);
            assert_eq!(code, 3, "{said}");
        }
    }
    for command in ["recv", "cat", "info", "stop"] {
        let (code, said) = fails(&[command, "/dev/iostream-none"]);
        assert_eq!(code, 3);
        assert!(said.contains("/dev/iostream-none does not exist"), "{said}");
    }
}

#[test]
fn failures_are_json_on_request() {
    let (code, said) = fails(&["recv", "/dev/null", "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["exit_code"]), (3, &3.into()));
    assert!(said["error"].as_str().unwrap().contains("not an iostream"));
}

/// Each command: what is wrong before it runs is said as what is wrong later.
#[test]
fn wrong_usage_is_json_on_request() {
    let commands = [
        "list",
        "info",
        "send",
        "recv",
        "ask",
        "echo",
        "source",
        "cat",
        "feed",
        "start",
        "stop",
        "suspend",
        "wait",
        "doctor",
        "watch",
        "completions",
        "man",
    ];
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed: Vec<&str> = listed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert_eq!(listed.len(), commands.len(), "{listed:?}");
    for command in listed {
        assert!(commands.contains(&command), "{command}");
        for arguments in [[command, "--json", "--no-such"], ["--json", command, "-9"]] {
            let (code, said) = fails(&arguments);
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            assert_eq!((code, &said["exit_code"]), (2, &2.into()), "{said}");
            let error = said["error"].as_str().unwrap();
            assert!(error.contains(arguments[2]), "{error}");
            assert!(!error.contains('\n') && !error.contains("Usage"), "{error}");
        }
    }
    // Help that was asked for is no failure.
    let output = run(&["recv", "--json", "--help"]);
    assert!(output.status.success() && output.stderr.is_empty());
}

#[test]
fn a_file_that_cannot_be_sent_is_no_business_of_the_device() {
    let (code, said) = fails(&["send", "/dev/null", "/nonexistent/file"]);
    assert_eq!(code, 1);
    assert!(said.contains("/nonexistent/file"), "{said}");
    assert_eq!(fails(&["echo", "/dev/null", "/"]).0, 2);
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["echo"][..],
        &["frobnicate"],
        &["recv", "-d", "/dev/null"],
        &["send", "/dev/null", "--entry-size", "x"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2));
    }
}

#[test]
fn the_help_tells_the_exit_codes() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(help.contains("Exit codes:") && help.contains("iostreamctl echo"));
}
