// SPDX-License-Identifier: MIT OR Apache-2.0

//! `iostreamctl`, or another command, as a process that the test watches.

use std::collections::BTreeMap;
use std::fs::{read_dir, read_to_string, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::pipe::{fcntl_setpipe_size, pipe_with, PipeFlags};
use rustix::process::{kill_process, Pid, Signal};

use super::waiting::{sleeps, wait_asleep, wait_until};

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; negative: the signal that killed it.
    pub code: i32,
    /// What it wrote to standard output, apart from what was read before.
    pub data: Vec<u8>,
    /// What it wrote to standard error.
    pub said: String,
}

/// A running command. Its output is a pipe, which nobody reads but the test.
pub struct Running {
    child: Child,
    output: Option<File>,
    /// The command's own side of its output.
    stdout: Option<OwnedFd>,
}

impl Running {
    /// Starts `iostreamctl`, with nothing to read.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_from(arguments, Stdio::null())
    }

    /// Starts `iostreamctl`, which reads from `input`.
    pub fn start_from(arguments: &[&str], input: impl Into<Stdio>) -> Self {
        let mut command = Command::new("/usr/bin/iostreamctl");
        command.args(arguments).stdin(input);
        Self::spawn(command)
    }

    /// Starts a command.
    pub fn spawn(command: Command) -> Self {
        Self::spawn_into(command, own_pipe())
    }

    /// Starts a command whose output takes nothing.
    pub fn spawn_with_full_output(command: Command) -> Self {
        let (output, stdout) = own_pipe();
        let size = fcntl_setpipe_size(&stdout, 4096).expect("a small pipe");
        let written = rustix::io::write(&stdout, &vec![0; size]);
        assert_eq!(written, Ok(size));
        Self::spawn_into(command, (output, stdout))
    }

    fn spawn_into(mut command: Command, (output, stdout): (OwnedFd, OwnedFd)) -> Self {
        let ours = stdout.try_clone().expect("a descriptor");
        let child = command.stdout(stdout).stderr(Stdio::piped()).spawn();
        Self {
            stdout: Some(ours),
            child: child.expect("the command starts"),
            output: Some(output.into()),
        }
    }

    /// How many bytes wait in its output.
    pub fn waiting_bytes(&self) -> u64 {
        let output = self.output.as_ref().expect("the output is open");
        rustix::io::ioctl_fionread(output).expect("FIONREAD")
    }

    /// Waits until its output takes no more and, for that, its main thread sleeps.
    pub fn wait_blocked(&self) {
        let stdout = self.stdout.as_ref().expect("the output is open");
        wait_until("the pipe is full", || {
            let now = Timespec::default();
            poll(&mut [PollFd::new(stdout, PollFlags::OUT)], Some(&now)) == Ok(0)
        });
        self.wait_asleep(libc::SYS_ppoll);
    }

    /// Waits until its main thread sleeps in this system call.
    pub fn wait_asleep(&self, call: libc::c_long) {
        wait_asleep(&PathBuf::from(format!("/proc/{}", self.child.id())), call);
    }

    /// Reads as many bytes of its output.
    pub fn read(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let output = self.output.as_mut().expect("the output is open");
        output.read_exact(&mut bytes).expect("enough output");
        bytes
    }

    /// Closes the other side of its output.
    pub fn stop_reading(&mut self) {
        self.output = None;
    }

    fn tasks(&self) -> Vec<PathBuf> {
        let folder = format!("/proc/{}/task", self.child.id());
        let tasks = read_dir(folder).expect("the process is there");
        tasks.map(|task| task.unwrap().path()).collect()
    }

    /// Waits until each of its threads sleeps in a call that has no time limit.
    pub fn wait_idle(&self) {
        // The number of the call, and then its arguments: for ppoll(2) the third is the time.
        let sleeps = |task: PathBuf| {
            let doing = read_to_string(task.join("syscall")).unwrap_or_default();
            let words: Vec<&str> = doing.split(' ').collect();
            words[0] == libc::SYS_ppoll.to_string() && words.get(3) == Some(&"0x0")
        };
        wait_until("all threads sleep without a limit", || {
            self.tasks().into_iter().all(sleeps)
        });
    }

    /// How often each thread has gone to sleep.
    pub fn sleeps(&self) -> BTreeMap<PathBuf, u64> {
        let tasks = self.tasks().into_iter();
        tasks.map(|task| (task.clone(), sleeps(&task))).collect()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process is there");
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Waits until it has ended. Nothing reads its output until then.
    #[track_caller]
    pub fn ended(mut self) -> Ended {
        use std::os::unix::process::ExitStatusExt;
        wait_until("the command ends", || !self.runs());
        self.stdout = None;
        let status = self.child.wait().expect("a child");
        let mut ended = Ended {
            code: status.code().unwrap_or(-status.signal().unwrap_or(0)),
            data: Vec::new(),
            said: String::new(),
        };
        if let Some(output) = &mut self.output {
            output.read_to_end(&mut ended.data).expect("the output");
        }
        let mut stderr = self.child.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut ended.said).expect("text");
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipe that no other command inherits.
fn own_pipe() -> (OwnedFd, OwnedFd) {
    let pipe = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    // As long as it is where a page has 4 KiB: it is 16 pages without this.
    fcntl_setpipe_size(&pipe.1, 1 << 16).expect("a longer pipe");
    pipe
}

/// A pipe that a command reads from, and that the test keeps open.
pub fn open_pipe() -> (OwnedFd, File) {
    let (reader, writer) = own_pipe();
    (reader, writer.into())
}
