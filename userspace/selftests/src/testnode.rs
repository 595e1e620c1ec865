// SPDX-License-Identifier: MIT OR Apache-2.0

//! A node of iostream_test.ko: opened like any other, and told by its control file what its driver
//! is to do.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use iostream_ring::uapi::iostream_counters;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};

use crate::clause::patience;
use crate::raw::Session;

const CONTROL: &str = "/sys/kernel/debug/iostream_test";
const CLASS: &str = "/sys/class/iostream";

/// A command that ends well is taken to have hung after this long.
const DEADLINE: Duration = Duration::from_secs(20);

/// A node under the tests' control. Its callbacks are quick, its openers welcome, its next entry is
/// number 0.
pub struct TestNode {
    name: String,
    control: Control,
    /// It was published for this test alone.
    own: bool,
}

/// The control file of a node, also of one that is not published.
#[derive(Clone, Copy)]
pub struct Control(&'static str);

/// The node that is published for one test at a time.
pub const SPARE: Control = Control("spare");

impl Control {
    /// Has the driver run a command; fails with the command's own error.
    pub fn command(self, text: &str) -> Result<()> {
        let path = Path::new(CONTROL).join(self.0);
        let file = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(rustix::io::write(&file, text.as_bytes())?, text.len());
        Ok(())
    }

    /// What the driver has noted of its last command, or of all so far.
    pub fn value(self, key: &str) -> u64 {
        let path = Path::new(CONTROL).join(self.0);
        let text = fs::read_to_string(path).expect("the control file");
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let value = line.and_then(|line| line.strip_prefix('='));
        value.and_then(|v| v.parse().ok()).expect(key)
    }
}

impl TestNode {
    /// One that is published when the module is loaded.
    pub fn published(name: &'static str) -> Self {
        Self::ready(name, Control(name), false)
    }

    /// A new one, with queues of these capacities; `-` for none.
    pub fn with(queues: &str) -> Self {
        Self::publish(&format!("publish spare {queues}")).expect("publish")
    }

    /// A new one called `spare`, by a command of its own.
    pub fn publish(command: &str) -> Result<Self> {
        // A test that was killed may have left one.
        SPARE.command("unpublish")?;
        SPARE.command(command)?;
        Ok(Self::ready("spare", SPARE, true))
    }

    fn ready(name: &str, control: Control, own: bool) -> Self {
        for command in ["slow 0", "refuse 0", "sequence 0"] {
            control.command(command).expect(command);
        }
        Self {
            name: name.to_owned(),
            control,
            own,
        }
    }

    pub fn control(&self) -> Control {
        self.control
    }

    /// Has the driver run a command that succeeds.
    #[track_caller]
    pub fn run(&self, command: &str) {
        assert_eq!(self.control.command(command), Ok(()), "{command}");
    }

    /// Has the driver run a command that fails.
    #[track_caller]
    pub fn fails(&self, command: &str, errno: Errno) {
        assert_eq!(self.control.command(command), Err(errno), "{command}");
    }

    /// See [`Control::value`].
    pub fn value(&self, key: &str) -> u64 {
        self.control.value(key)
    }

    pub fn open(&self) -> Session {
        self.try_open(OFlags::RDWR).expect("open")
    }

    pub fn open_nonblocking(&self) -> Session {
        self.try_open(OFlags::RDWR | OFlags::NONBLOCK)
            .expect("open")
    }

    pub fn try_open(&self, flags: OFlags) -> Result<Session> {
        Session::open(self.path(), flags)
    }

    /// Its file in `/dev`.
    pub fn path(&self) -> PathBuf {
        let sysfs = find(&self.name).expect("a node of this name");
        Path::new("/dev").join(sysfs.file_name().expect("a file name"))
    }

    /// A number that sysfs shows.
    pub fn attribute(&self, name: &str) -> u64 {
        let path = find(&self.name).expect("a node of this name").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        text.trim().parse().expect(name)
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        if self.own {
            // If it fails, the module is gone, and with it the node.
            let _ = self.control.command("unpublish");
        }
    }
}

/// Where sysfs shows the node of a name.
pub fn find(name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(CLASS).expect(CLASS);
    let mut paths = entries.map(|entry| entry.expect(CLASS).path());
    paths.find(|path| fs::read_to_string(path.join("name")).is_ok_and(|text| text.trim() == name))
}

/// Waits for what another thread or the kernel does by itself.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE * patience(), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until a thread of this process, or another process, sleeps in a system call.
#[track_caller]
pub fn wait_asleep(task: &Path, call: libc::c_long) {
    wait_until("sleeps in the call", || {
        let doing = fs::read_to_string(task.join("syscall")).unwrap_or_default();
        doing.split(' ').next() == Some(&call.to_string())
    });
}

/// This thread, for [`wait_asleep`].
pub fn this_thread() -> PathBuf {
    let tid = rustix::thread::gettid().as_raw_nonzero();
    PathBuf::from(format!("/proc/self/task/{tid}"))
}

/// Runs `wait` in a thread of its own; once that sleeps in the system call, runs `wake`. Returns
/// what `wait` returned.
pub fn woken_by<R: Send>(
    call: libc::c_long,
    wait: impl FnOnce() -> R + Send,
    wake: impl FnOnce(),
) -> R {
    std::thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::channel();
        let waiter = scope.spawn(move || {
            send.send(this_thread()).expect("the test waits for it");
            wait()
        });
        let task = receive.recv().expect("the thread says who it is");
        wait_asleep(&task, call);
        wake();
        waiter.join().expect("the thread that waits")
    })
}

/// All counters, by name.
pub fn named(counters: &iostream_counters) -> [(&'static str, u64); 9] {
    [
        ("entries", counters.entries),
        ("bytes", counters.bytes),
        ("wakeups_sent", counters.wakeups_sent),
        ("wakeups_suppressed", counters.wakeups_suppressed),
        ("notifications", counters.notifications),
        ("full", counters.full),
        ("lost", counters.lost),
        ("corrupt", counters.corrupt),
        ("high_water_bytes", counters.high_water_bytes),
    ]
}
