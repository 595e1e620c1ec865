// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-04: a process that waits is frozen with its control group, and stopped by SIGSTOP, like any
//! other; afterwards its call goes on as if nothing had happened.

use std::fs::{create_dir, read_to_string, remove_dir, write};
use std::path::{Path, PathBuf};

use iostream_raw::{source, Session};
use rustix::event::PollFlags;
use rustix::fs::fsync;
use rustix::io::{ioctl_fionread, Result};

use crate::clause::{skip, Clause};
use crate::support::driver::Driver;
use crate::support::waiting::{wait_asleep, wait_until};

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-04/frozen-waits-go-on", || each_wait(freeze_and_thaw)),
    Clause::new("F-04/stopped-waits-go-on", || each_wait(stop_and_continue)),
];

/// A wait, and what ends it.
struct Wait {
    what: &'static str,
    node: fn() -> Driver,
    first: fn(&Driver, &Session),
    /// The system call in which it sleeps.
    call: libc::c_long,
    wait: fn(&Session) -> Result<()>,
    end: fn(&Driver),
}

fn nothing(_: &Driver, _: &Session) {}

fn entry(driver: &Driver) {
    driver.command("enqueue 8");
}

fn buffer(driver: &Driver) {
    driver.command("produce 1 8");
}

/// Takes what the process has sent, and returns it.
fn take_buffer(driver: &Driver) {
    driver.command("receive");
    driver.command("release-all");
}

fn read(session: &Session) -> Result<()> {
    session.read(&mut [0; 64]).map(drop)
}

const WAITS: &[Wait] = &[
    Wait {
        what: "read of a queue",
        node: || Driver::new(4096, 0),
        first: nothing,
        call: libc::SYS_read,
        wait: read,
        end: entry,
    },
    Wait {
        what: "read of an overwriting queue",
        node: || Driver::overwriting(4096),
        first: nothing,
        call: libc::SYS_read,
        wait: read,
        end: entry,
    },
    Wait {
        what: "read of a stream",
        node: || Driver::stream("output 2 64"),
        first: nothing,
        call: libc::SYS_read,
        wait: read,
        end: buffer,
    },
    Wait {
        what: "poll",
        node: || Driver::new(4096, 0),
        first: nothing,
        call: libc::SYS_ppoll,
        wait: |session| {
            assert_eq!(session.poll(PollFlags::IN, -1), PollFlags::IN);
            Ok(())
        },
        end: entry,
    },
    Wait {
        what: "write to a queue",
        node: || Driver::new(0, 4096),
        first: |_, session| session.write_entry(&[1; 3000]),
        call: libc::SYS_write,
        wait: |session| session.write(&[1; 2000]).map(drop),
        end: |driver| driver.command("drain 1"),
    },
    Wait {
        what: "write to a stream",
        node: || Driver::stream("input 2 64"),
        first: |_, session| assert_eq!(session.write(&[1; 128]), Ok(128)),
        call: libc::SYS_write,
        wait: |session| session.write(&[1; 64]).map(drop),
        end: take_buffer,
    },
    Wait {
        what: "fsync of a queue",
        node: || Driver::new(0, 4096),
        first: |_, session| session.write_entry(&[1; 100]),
        call: libc::SYS_fsync,
        wait: |session| fsync(session),
        end: |driver| driver.command("drain 1"),
    },
    Wait {
        what: "fsync of a stream",
        node: || Driver::stream("input 2 64"),
        first: |_, session| assert_eq!(session.write(&[1; 64]), Ok(64)),
        call: libc::SYS_fsync,
        wait: |session| fsync(session),
        end: take_buffer,
    },
    Wait {
        what: "drain",
        node: || Driver::stream("input 2 64"),
        first: |_, session| assert_eq!(session.write(&[1; 64]), Ok(64)),
        call: libc::SYS_ioctl,
        wait: |session| session.drain(0).map(drop),
        end: take_buffer,
    },
];

fn each_wait(interrupt: fn(libc::pid_t)) {
    for wait in WAITS {
        println!("# {}", wait.what);
        let driver = (wait.node)();
        let session = driver.open();
        (wait.first)(&driver, &session);
        check(
            wait.call,
            || (wait.wait)(&session),
            interrupt,
            || {
                (wait.end)(&driver);
            },
        );
    }
    // A run of which nothing has moved: the queue is full.
    println!("# run");
    let session = Session::new(source(64, 64, 64, 0));
    while session.run_for(1, 1).1.is_ok() {}
    let run = || session.run_for(1, 0).1;
    check(libc::SYS_ioctl, run, interrupt, || {
        // It waits for more than room for one entry.
        while ioctl_fionread(&session).unwrap() > 0 {
            session.read(&mut [0; 64]).unwrap();
        }
    });
}

/// A child waits; it is interrupted, and then what it waits for comes.
#[track_caller]
fn check(
    call: libc::c_long,
    wait: impl FnOnce() -> Result<()>,
    interrupt: fn(libc::pid_t),
    end: impl FnOnce(),
) {
    // SAFETY: This process has one thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let status = match wait() {
            Ok(()) => 0,
            Err(error) => error.raw_os_error(),
        };
        // SAFETY: It ends the process.
        unsafe { libc::_exit(status) }
    }
    let task = PathBuf::from(format!("/proc/{child}"));
    wait_asleep(&task, call);
    interrupt(child);
    wait_asleep(&task, call);
    end();
    let mut status = -1;
    // SAFETY: The child is this process's own and was not waited for.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(libc::WEXITSTATUS(status), 0, "the errno of the wait");
    assert!(libc::WIFEXITED(status));
}

/// Freezes a process by the control group, and thaws it.
fn freeze_and_thaw(child: libc::pid_t) {
    let group = Path::new("/sys/fs/cgroup").join(format!("frozen-{child}"));
    if create_dir(&group).is_err() {
        skip("no control groups");
    }
    write(group.join("cgroup.procs"), child.to_string()).unwrap();
    for (order, is) in [("1", "frozen 1"), ("0", "frozen 0")] {
        write(group.join("cgroup.freeze"), order).unwrap();
        wait_until(is, || {
            let events = read_to_string(group.join("cgroup.events")).unwrap();
            events.contains(is)
        });
    }
    write("/sys/fs/cgroup/cgroup.procs", child.to_string()).unwrap();
    remove_dir(&group).unwrap();
}

/// Stops a process, as Ctrl-Z does, and lets it go on.
fn stop_and_continue(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: The child is this process's own and was not waited for.
    unsafe {
        assert_eq!(libc::kill(child, libc::SIGSTOP), 0);
        let waited = libc::waitpid(child, &mut status, libc::WUNTRACED);
        assert_eq!(waited, child);
        assert!(libc::WIFSTOPPED(status));
        assert_eq!(libc::kill(child, libc::SIGCONT), 0);
    }
}
