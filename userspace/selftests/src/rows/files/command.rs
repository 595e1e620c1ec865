// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-09: `iostreamctl` ends when it is asked to, says the truth about what it has done, and sleeps
//! as long as nothing moves.

use iostream_raw::page;
use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{mknodat, FileType, Mode, CWD};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::clause::Clause;
use crate::support::command::{open_pipe, Running};
use crate::support::driver::Driver;
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::slow("F-09/ends-on-a-full-pipe", 120, full_pipe),
    Clause::new("F-09/ends-when-idle", idle),
    Clause::new("F-09/ends-before-its-count", before_count),
    Clause::new("F-09/ends-when-nobody-reads", nobody_reads),
    Clause::new("F-09/ends-within-a-call", within_a_call),
    Clause::new("F-09/feed-ends", feed_ends),
    Clause::new("F-09/send-ends", send_ends),
    Clause::new("F-09/ignored-signals-stay-ignored", ignored),
    Clause::new("F-09/sleeps-when-idle", sleeps),
    Clause::slow("F-09/wait-sleeps", 120, wait_sleeps),
    Clause::new("F-09/cat-holds-nothing-back", holds_nothing_back),
    Clause::new("F-09/tells-of-a-full-disk", full_disk),
];

/// The signals that ask a command to end, and the exit code if something is lost.
const SIGNALS: [(Signal, i32); 3] = [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)];

/// A number in a report of JSON.
#[track_caller]
fn reported(report: &str, key: &str) -> u64 {
    let (_, rest) = report.split_once(&format!("\"{key}\":")).expect(key);
    let digits = rest.trim_start();
    let end = digits.find(|c: char| !c.is_ascii_digit());
    digits[..end.unwrap_or(digits.len())].parse().expect(key)
}

/// Enqueues an entry as soon as the command has the node open.
#[track_caller]
fn enqueue(queue: &Driver, bytes: usize) {
    let command = format!("enqueue {bytes}");
    wait_until("open", || queue.tell(&command).is_ok());
}

/// Each has more to write than a pipe holds.
fn full_pipe() {
    let stream = Driver::stream("output 8 65536");
    let node = stream.path();
    let cat = ["cat", node.to_str().unwrap(), "--json"];
    for (signal, code) in SIGNALS {
        let running = Running::start(&cat);
        wait_until("running", || stream.shown("state") == "running");
        stream.command("produce 8 65536");
        blocked(running, signal, code);
    }
    drop(stream);
    let queue = Driver::new(1 << 18, 0);
    for (signal, code) in SIGNALS {
        let running = Running::start(&["recv", "selftest", "--json"]);
        for _ in 0..50 {
            enqueue(&queue, 4000);
        }
        blocked(running, signal, code);
    }
    let echo = ["echo", "iostream", "--generate", "1G", "-o", "-"];
    for (signal, code) in SIGNALS {
        let running = Running::start(&echo);
        running.wait_blocked();
        running.signal(signal);
        assert_eq!(running.ended().code, code);
    }
}

/// Ends a command whose output is full: it says how much it could not write.
fn blocked(running: Running, signal: Signal, code: i32) {
    running.wait_blocked();
    running.signal(signal);
    let ended = running.ended();
    let said = format!("{signal:?}: {}", ended.said);
    assert_eq!(ended.code, code, "{said}");
    assert!(said.contains("the output did not take the last"), "{said}");
    let written = reported(&said, "bytes") - reported(&said, "unwritten_bytes");
    assert_eq!(written, ended.data.len() as u64, "{said}");
}

fn idle() {
    let queue = Driver::new(4096, 0);
    let stream = Driver::loaded("stout");
    for (signal, code) in SIGNALS {
        // A signal that the user sends ends them successfully; the loss of the terminal does not.
        let code = if signal == Signal::HUP { code } else { 0 };
        let recv = Running::start(&["recv", "selftest"]);
        enqueue(&queue, 100);
        wait_until("written", || recv.waiting_bytes() == 100);
        recv.wait_idle();
        recv.signal(signal);
        let ended = recv.ended();
        assert_eq!((ended.code, &*ended.said), (code, ""), "recv, {signal:?}");
        assert_eq!(ended.data.len(), 100, "recv, {signal:?}");

        let cat = Running::start(&["cat", "stout"]);
        wait_until("running", || stream.shown("state") == "running");
        cat.wait_idle();
        cat.signal(signal);
        let ended = cat.ended();
        assert_eq!((ended.code, &*ended.said), (code, ""), "cat, {signal:?}");
        assert_eq!(stream.shown("state"), "stopped");

        let watch = Running::start(&["watch", "--interval", "1h"]);
        wait_until("two threads", || watch.sleeps().len() == 2);
        watch.signal(signal);
        let ended = watch.ended();
        assert_eq!((ended.code, &*ended.said), (code, ""), "watch, {signal:?}");
    }
}

fn before_count() {
    let queue = Driver::new(4096, 0);
    let arguments = ["recv", "selftest", "--count", "3"];
    for (signal, code) in SIGNALS {
        let recv = Running::start(&arguments);
        enqueue(&queue, 7);
        wait_until("written", || recv.waiting_bytes() == 7);
        recv.signal(signal);
        let ended = recv.ended();
        assert_eq!((ended.code, ended.data.len()), (code, 7), "{signal:?}");
    }
}

fn nobody_reads() {
    let queue = Driver::new(4096, 0);
    let stream = Driver::loaded("stout");
    let mut recv = Running::start(&["recv", "selftest"]);
    wait_until("open", || queue.attribute("sessions") == 1);
    let mut cat = Running::start(&["cat", "stout"]);
    wait_until("running", || stream.shown("state") == "running");
    for running in [&mut recv, &mut cat] {
        running.wait_idle();
        running.stop_reading();
    }
    for running in [recv, cat] {
        let ended = running.ended();
        assert_eq!((ended.code, &*ended.said), (141, ""));
    }
}

/// Nobody reads the FIFO, so open(2) does not return.
fn within_a_call() {
    let queue = Driver::new(4096, 0);
    let fifo = std::env::temp_dir().join("iostreamctl-fifo");
    let _ = std::fs::remove_file(&fifo);
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let running = Running::start(&["recv", "selftest", "-o", fifo.to_str().unwrap()]);
    wait_until("open", || queue.attribute("sessions") == 1);
    running.signal(Signal::TERM);
    let ended = running.ended();
    std::fs::remove_file(&fifo).unwrap();
    assert_eq!(ended.code, 143, "{}", ended.said);
    assert!(
        ended.said.contains("a call that does not return"),
        "{}",
        ended.said
    );
}

fn feed_ends() {
    let driver = Driver::stream("input 4 64");
    let (input, mut writer) = open_pipe();
    let feed = Running::start_from(&["feed", "selftest", "--json"], input);
    wait_until("running", || driver.shown("state") == "running");
    writer.write_all(&[7; 50]).unwrap();
    wait_until("sent", || driver.tell("receive").is_ok());
    feed.wait_idle();
    feed.signal(Signal::TERM);
    let ended = feed.ended();
    let report = String::from_utf8(ended.data).unwrap();
    assert_eq!(ended.code, 143, "{report}{}", ended.said);
    assert_eq!(reported(&report, "bytes"), 50);
}

fn send_ends() {
    let queue = Driver::new(0, 4096);
    let (input, mut writer) = open_pipe();
    let send = Running::start_from(
        &["send", "selftest", "--entry-size", "100", "--json"],
        input,
    );
    // More than the queue holds: it waits for room.
    writer.write_all(&[7; 30_000]).unwrap();
    send.wait_idle();
    assert_eq!(queue.attribute("sessions"), 1);
    send.signal(Signal::INT);
    let ended = send.ended();
    let report = String::from_utf8(ended.data).unwrap();
    assert_eq!(ended.code, 130, "{report}{}", ended.said);
    // Each entry takes 112 bytes of the page.
    let full = page() / 112;
    assert_eq!(reported(&report, "entries"), full);
    assert_eq!(reported(&report, "bytes"), 100 * full);
}

fn ignored() {
    let queue = Driver::new(4096, 0);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec iostreamctl recv selftest"]);
    let mut recv = Running::spawn(shell);
    enqueue(&queue, 10);
    assert_eq!(recv.read(10).len(), 10);
    recv.signal(Signal::HUP);
    enqueue(&queue, 10);
    assert_eq!(recv.read(10).len(), 10);
    recv.wait_idle();
    assert!(recv.runs());
    recv.signal(Signal::TERM);
    assert_eq!(recv.ended().code, 0);
}

/// No thread of a command that waits wakes up in ten seconds.
fn sleeps() {
    let queue = Driver::new(4096, 4096);
    let stream = Driver::loaded("stout");
    let input = Driver::loaded("stin");
    let both = Driver::loaded("it2way");
    let (nothing, _writer) = open_pipe();
    let nothing = || nothing.try_clone().unwrap();
    let all = [
        Running::start(&["recv", "itout"]),
        Running::start(&["cat", "stout"]),
        Running::start_from(&["feed", "stin"], nothing()),
        Running::start_from(&["send", "selftest"], nothing()),
        Running::start_from(&["echo", "iostream", "-"], nothing()),
        Running::start_from(&["ask", "it2way"], nothing()),
        Running::start(&["watch", "--interval", "1h"]),
    ];
    wait_until("all are open", || {
        queue.attribute("sessions") == 1
            && stream.shown("state") == "running"
            && input.shown("state") == "running"
            && both.attribute("sessions") == 1
    });
    let (watch, others) = all.split_last().unwrap();
    for running in others {
        running.wait_idle();
    }
    // Its sleep has a limit.
    wait_until("two threads", || watch.sleeps().len() == 2);
    watch.wait_asleep(libc::SYS_ppoll);
    let before: Vec<_> = all.iter().map(Running::sleeps).collect();
    let start = Instant::now();
    wait_until("ten seconds are over", || {
        start.elapsed() >= Duration::from_secs(10)
    });
    for (running, before) in all.iter().zip(before) {
        assert_eq!(running.sleeps(), before);
    }
}

/// A wait for a node does not wake up before the node comes. One for a state, which the kernel does
/// not announce, looks once a second.
fn wait_sleeps() {
    let stream = Driver::loaded("stout");
    let present = [
        Running::start(&["wait", "selftest"]),
        Running::start(&["wait", "/dev/iostreams/by-test/link"]),
    ];
    let looking = Running::start(&["wait", "stout", "--state", "running"]);
    present.iter().for_each(Running::wait_idle);
    wait_until("two threads", || looking.sleeps().len() == 2);
    let sleeps = || present.each_ref().map(Running::sleeps);
    let total = || looking.sleeps().values().sum::<u64>();
    // At first it looks more often.
    let mut looks = total();
    let start = Instant::now();
    let second = |number| {
        wait_until("a second is over", || {
            start.elapsed() >= Duration::from_secs(number)
        });
    };
    second(3);
    let before = sleeps();
    looks = total() - looks;
    assert!(looks <= 25, "{looks} looks in three seconds");
    looks = total();
    second(13);
    assert_eq!(sleeps(), before);
    looks = total() - looks;
    // A busy machine may let it look less often. That it looks at all shows at the end.
    assert!(looks <= 15, "{looks} looks in ten seconds");

    let node = Driver::new(4096, 0);
    let [by_name, by_path] = present;
    assert_eq!(by_name.ended().code, 0);
    // As udev makes a link: in folders that were not there.
    let folder = std::path::Path::new("/dev/iostreams/by-test");
    std::fs::create_dir_all(folder).unwrap();
    std::os::unix::fs::symlink(node.path(), folder.join("link")).unwrap();
    let code = by_path.ended().code;
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(code, 0);
    let session = stream.open();
    session.start().unwrap();
    assert_eq!(looking.ended().code, 0);
}

/// What the driver has sent is written before the next buffer comes, and while buffers keep coming: a
/// source that never pauses is not to wait until much has been gathered.
fn holds_nothing_back() {
    let driver = Driver::stream("output 4 64");
    let mut cat = Running::start(&["cat", "selftest"]);
    wait_until("running", || driver.shown("state") == "running");
    for _ in 0..20 {
        driver.command("produce 1 64");
        wait_until("written", || cat.waiting_bytes() == 64);
        cat.read(64);
    }
    let mut sent = 0;
    while cat.waiting_bytes() == 0 {
        // There are four buffers: more are sent only if the command takes them.
        sent += u64::from(driver.tell("produce 1 64").is_ok());
        assert!(sent < 1000, "nothing is written while buffers come");
        let moment = Instant::now();
        wait_until("a moment is over", || {
            moment.elapsed() >= Duration::from_millis(5)
        });
    }
    cat.signal(Signal::TERM);
    assert_eq!(cat.ended().code, 0);
}

/// A disk that is full is told of, with how much of what was taken is not on it.
fn full_disk() {
    let driver = Driver::stream("output 4 65536");
    let folder = "/tmp/full";
    std::fs::create_dir(folder).unwrap();
    let run = |command: &str, arguments: &[&str]| {
        let status = Command::new(command).args(arguments).status().unwrap();
        assert!(status.success(), "{command}");
    };
    run("mount", &["-t", "tmpfs", "-o", "size=100k", "none", folder]);
    let file = format!("{folder}/data");
    let cat = Running::start(&["cat", "selftest", "--json", "--output", &file]);
    wait_until("running", || driver.shown("state") == "running");
    // The command may stop the stream, or have ended, before the driver has sent the last one.
    let sent = driver.tell("produce 4 65536");
    assert!(
        matches!(sent, Ok(()) | Err(Errno::SHUTDOWN | Errno::NOTCONN)),
        "{sent:?}"
    );
    let ended = cat.ended();
    let written = std::fs::metadata(&file).unwrap().len();
    run("umount", &[folder]);
    std::fs::remove_dir(folder).unwrap();
    assert_eq!(ended.code, 1);
    let report = String::from_utf8(ended.data).unwrap();
    let unwritten = reported(&report, "unwritten_bytes");
    assert_eq!(reported(&report, "bytes"), written + unwritten);
    let said = format!(
        "{file}: No space left on device (os error 28): the last {unwritten} bytes that were taken \
         are not written"
    );
    assert!(ended.said.contains(&said), "{}", ended.said);
}
