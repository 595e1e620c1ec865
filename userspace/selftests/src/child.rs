// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs a clause in a process of its own: a crash or a hang affects no other clause.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{memfd_create, MemfdFlags};
use rustix::process::{kill_process_group, pidfd_open, Pid, PidfdFlags, Signal};

use crate::clause::{limit, Clause, SKIPPED};

/// How a clause ended.
pub struct Outcome {
    pub ok: bool,
    pub skip: Option<String>,
    /// The process could not be killed.
    pub hangs: bool,
    pub output: String,
}

/// Runs a clause, and kills it after its time-out.
pub fn run(clause: &Clause) -> Outcome {
    // A file, not a pipe: a process that keeps it open delays nobody.
    let mut output = File::from(memfd_create(clause.name, MemfdFlags::CLOEXEC).unwrap());
    let mut child = Command::new("/proc/self/exe")
        .args(["--exec", clause.name])
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output.try_clone().unwrap())
        // A process group, so that everything that it starts is killed with it.
        .process_group(0)
        .spawn()
        .expect("the clause's process starts");
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("pidfd_open");
    let timeout = limit(clause.timeout_seconds);
    let in_time = ends_within(&pidfd, timeout);
    let _ = kill_process_group(pid, Signal::KILL);
    // A process that hangs in the kernel cannot be killed, and must not block this one.
    let status = ends_within(&pidfd, limit(30)).then(|| child.wait().unwrap());
    let mut bytes = Vec::new();
    output.rewind().unwrap();
    output.read_to_end(&mut bytes).unwrap();
    let mut outcome = Outcome {
        ok: false,
        skip: None,
        hangs: status.is_none(),
        output: String::from_utf8_lossy(&bytes).into_owned(),
    };
    match status {
        Some(status) if in_time => judge(status, &mut outcome),
        Some(_) => outcome.say(&format!("killed after {} s", timeout.as_secs())),
        None => outcome.say("does not die when killed: it hangs in the kernel"),
    }
    outcome
}

impl Outcome {
    fn say(&mut self, line: &str) {
        if !self.output.is_empty() && !self.output.ends_with('\n') {
            self.output.push('\n');
        }
        self.output.push_str(line);
    }
}

fn judge(status: ExitStatus, outcome: &mut Outcome) {
    match (status.code(), status.signal()) {
        (Some(0), _) => outcome.ok = true,
        (Some(SKIPPED), _) => {
            outcome.ok = true;
            let why = outcome.output.lines().last().unwrap_or("no reason given");
            outcome.skip = Some(why.to_owned());
        }
        (Some(code), _) => outcome.say(&format!("ended with status {code}")),
        (None, signal) => outcome.say(&format!("killed by signal {}", signal.unwrap_or(0))),
    }
}

fn ends_within(pidfd: &impl std::os::fd::AsFd, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).unwrap();
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&timeout)) {
            Ok(n) => return n > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("poll: {error}"),
        }
    }
}
