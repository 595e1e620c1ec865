// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-03: a driver waits for room, in process context.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use iostream_raw::{page, Output, OUTPUT};
use rustix::io::Errno;
use rustix::process::{kill_process, Pid, Signal};

use crate::clause::{limit, Clause};
use crate::support::driver::Driver;
use crate::support::waiting::{wait_asleep, wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-03/enqueue-wait-blocks", enqueue_wait_blocks),
    Clause::new("B-03/enqueue-wait-times-out", enqueue_wait_times_out),
    Clause::new("B-03/enqueue-wait-killable", enqueue_wait_killable),
    Clause::new(
        "B-03/enqueue-wait-ends-with-session",
        enqueue_wait_ends_with_session,
    ),
    Clause::new("B-03/driver-waits-for-room", driver_waits_for_room),
    Clause::new("B-03/driver-wait-times-out", driver_wait_times_out),
    Clause::new("B-03/driver-wait-is-killable", driver_wait_is_killable),
    Clause::new("B-03/no-time-only-looks", no_time_does_not_sleep),
    Clause::new("F-04/driver-cancels-its-waits", cancelled),
];

fn enqueue_wait_blocks() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    for round in 0..20 {
        driver.command("fill 248");
        let done = woken_by(
            libc::SYS_write,
            || driver.tell("enqueue-wait 100"),
            || {
                assert_eq!(output.available(), page(), "round {round}");
                while output.take_and_notify(&session).is_some() {}
            },
        );
        assert_eq!(done, Ok(()));
        // The wait was counted, and its entry came last.
        let last = std::iter::from_fn(|| output.take()).last();
        let bytes = last.map_or(100, |entry| entry.bytes.len());
        assert_eq!(bytes, 100);
        assert!(session.counters(OUTPUT).full > round);
    }
    // With room it does not wait.
    driver.command("enqueue-wait 100 0");
}

fn enqueue_wait_times_out() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    driver.command("fill 248");
    let start = Instant::now();
    driver.fails("enqueue-wait 100 200", Errno::TIMEDOUT);
    let waited = start.elapsed();
    // No sooner; a busy machine does not take so much longer.
    let in_time = Duration::from_millis(200)..limit(20);
    assert!(in_time.contains(&waited), "{waited:?}");
    assert_eq!(session.counters(OUTPUT).entries, page() / 256);
}

/// A process in which the driver runs a command, and the file that shows where it sleeps.
fn commander(command: &str) -> (Child, Pid, PathBuf) {
    let file = "/sys/kernel/debug/iostream_test/spare";
    let child = Command::new("/bin/sh")
        .args(["-c", &format!("trap : USR1; echo '{command}' >{file}")])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    (
        child,
        pid,
        PathBuf::from(format!("/proc/{}", child_id(pid))),
    )
}

fn child_id(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn enqueue_wait_killable() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    driver.command("fill 248");
    let (mut child, pid, proc) = commander("enqueue-wait 100");
    wait_asleep(&proc, libc::SYS_write);
    // A signal that the process catches does not end the wait: it stays pending.
    kill_process(pid, Signal::USR1).unwrap();
    wait_until("the signal is pending", || {
        let status = std::fs::read_to_string(proc.join("status")).unwrap();
        status.contains("ShdPnd:\t0000000000000200")
    });
    wait_asleep(&proc, libc::SYS_write);
    kill_process(pid, Signal::KILL).unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success());
    // The producer can be used again.
    let mut output = Output::new(&session);
    while output.take().is_some() {}
    driver.command("enqueue-wait 100");
    assert_eq!(output.take().unwrap().bytes.len(), 100);
}

fn enqueue_wait_ends_with_session() {
    let driver = Driver::new(4096, 0);
    let mut session = Some(driver.open());
    driver.command("fill 248");
    let done = woken_by(
        libc::SYS_write,
        || driver.tell("enqueue-wait 100"),
        || session = None,
    );
    assert_eq!(done, Err(Errno::NOTCONN));
    driver.fails("enqueue-wait 100", Errno::NOTCONN);
}

fn driver_waits_for_room() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let mut output = Output::new(&session);
    driver.count("fill 100");
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| driver.tell("enqueue-wait 3000"));
        let mut taken = 0;
        // It is woken when the requested room is there, not by the first free byte.
        while output.available() > 0 && !waiter.is_finished() {
            if output.take_and_notify(&session).unwrap().bytes.len() == 3000 {
                break;
            }
            taken += 1;
        }
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert!(taken >= 27, "{taken}");
    });
}

fn driver_wait_times_out() {
    let driver = Driver::new(4096, 0);
    let _session = driver.open();
    driver.count("fill 100");
    assert_eq!(driver.tell("enqueue-wait 100 50"), Err(Errno::TIMEDOUT));
    assert_eq!(
        driver.tell(&format!("enqueue-wait {} 50", page() - 7)),
        Err(Errno::MSGSIZE)
    );
}

/// The waiting thread can be killed, and its entry is not in the queue.
fn driver_wait_is_killable() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    driver.count("fill 100");
    let control = "/sys/kernel/debug/iostream_test/spare";
    let mut child = std::process::Command::new("sh")
        .args([
            "-c",
            &format!("echo ready; exec echo enqueue-wait 100 > {control}"),
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
    // Waits until it sleeps in the kernel.
    let stat = format!("/proc/{}/wchan", child.id());
    while !std::fs::read_to_string(&stat).is_ok_and(|place| place.contains("iostream")) {
        if !matches!(child.try_wait(), Ok(None)) {
            panic!("it did not wait in the kernel");
        }
        std::thread::yield_now();
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(session.counters(OUTPUT).entries, page() / 112);
    let mut output = Output::new(&session);
    while output.take().is_some() {}
    assert_eq!(driver.tell("enqueue 100"), Ok(()));
}

/// How often this thread has gone to sleep.
fn sleeps() -> libc::c_long {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: The call fills the struct, as it cannot fail with these arguments.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.ru_nvcsw
}

/// A wait whose time is over looks, and does not sleep for even one tick: otherwise a client that
/// notifies again and again could keep it.
fn no_time_does_not_sleep() {
    let driver = Driver::new(4096, 4096);
    let _session = driver.open();
    driver.command("fill 248");
    for command in ["dequeue-wait 24 0", "enqueue-wait 100 0", "wait-room 100 0"] {
        // Anything may make a thread sleep now and then, but not each time.
        let slept = |_| {
            let before = sleeps();
            driver.fails(command, Errno::TIMEDOUT);
            sleeps() - before
        };
        let fewest = (0..20).map(slept).min();
        assert_eq!(fewest, Some(0), "{command}");
    }
}

/// The driver ends a wait of its own, and those that would begin until it allows them again. What is
/// there is taken all the same.
fn cancelled() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    driver.command("fill 248");
    let waits = [
        ("dequeue-wait 24", ""),
        ("dequeue-wait 24", " killable"),
        ("enqueue-wait 100", ""),
        ("wait-room 100", ""),
        ("wait-room 100", " killable"),
    ];
    for (wait, killable) in waits {
        let for_ever = format!("{wait} never{killable}");
        println!("# {for_ever}");
        let done = woken_by(
            libc::SYS_write,
            || driver.tell(&for_ever),
            || driver.command("cancel-waits"),
        );
        assert_eq!(done, Err(Errno::INTR));
        driver.fails(&for_ever, Errno::INTR);
        driver.command("allow-waits");
        driver.fails(&format!("{wait} 1{killable}"), Errno::TIMEDOUT);
    }
    driver.command("cancel-waits");
    session.write_entry(b"here");
    driver.command("dequeue-wait 24 never");
    assert_eq!(driver.log("len"), 4);
    assert_eq!(session.read_entry().len(), 248);
    driver.command("enqueue-wait 100 never");
}
