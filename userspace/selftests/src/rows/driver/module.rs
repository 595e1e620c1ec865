// SPDX-License-Identifier: MIT OR Apache-2.0

//! the driver's module comes and goes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output as Ran};

use iostream_raw::{node_called, page, Area, Input, Output, Session, INPUT, OUTPUT};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::memory::wait_for_no_pages;
use crate::support::module::Module;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-20/removal-while-open", removal_while_open),
    Clause::new(
        "Q-20/framework-stays-while-open",
        framework_stays_while_open,
    ),
    Clause::new("Q-20/removed-and-loaded-again", removed_and_loaded_again),
    Clause::new("Q-17/free-all-while-waiting", free_all_while_waiting),
    Clause::new("Q-20/leaked-registration", leaked_registration),
    Clause::new("S-18/leaked-registration", leaked_stream),
    Clause::new("S-21/leaked-client", leaked_client),
];

const MODULE: &str = "/lib/modules/iostream/iostream_test.ko";

fn ran(program: &str, argument: &str) -> Ran {
    Command::new(program).arg(argument).output().expect(program)
}

fn loaded(module: &str) -> bool {
    Path::new("/sys/module").join(module).exists()
}

/// Loads the driver's module again when the clause ends.
struct BackAgain;

impl Drop for BackAgain {
    fn drop(&mut self) {
        if !loaded("iostream_test") {
            let done = ran("insmod", MODULE);
            assert!(done.status.success(), "{done:?}");
        }
    }
}

#[track_caller]
fn remove() {
    let done = ran("rmmod", "iostream_test");
    assert!(done.status.success(), "{done:?}");
    assert!(!loaded("iostream_test"));
}

/// The line of a module in /proc/modules.
fn line(module: &str) -> Vec<String> {
    let text = fs::read_to_string("/proc/modules").unwrap();
    let mut lines = text.lines().map(|line| line.split(' ').map(str::to_owned));
    let found = lines.find_map(|words| {
        let words: Vec<String> = words.collect();
        (words[0] == module).then_some(words)
    });
    found.expect(module)
}

/// A client has the node open and mapped, and sleeps in poll. Afterwards nothing of the driver may
/// be used: its code is gone.
fn removal_while_open() {
    let _back = BackAgain;
    let driver = Driver::loaded("it2way");
    let session = driver.open();
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    let info = session.map(OUTPUT, Area::Info);
    driver.command("enqueue 100");
    assert_eq!(output.take().unwrap().bytes.len(), 100);
    driver.command("enqueue 200 task suppress");
    let path = driver.path();
    let said = woken_by(libc::SYS_ppoll, || session.poll(PollFlags::PRI, -1), remove);
    assert_eq!(said, PollFlags::HUP, "no error while an entry is left");
    assert!(!path.exists() && node_called("it2way").is_none());
    // Queued entries can still be read; everything else says that the driver is gone.
    assert_eq!(output.take().unwrap().bytes.len(), 200);
    assert_eq!(output.take_and_notify(&session), None);
    let left = session.poll(PollFlags::PRI, 0);
    assert_eq!(left, PollFlags::HUP | PollFlags::ERR);
    assert!(input.put(&[1; 100]));
    input.publish();
    for direction in [OUTPUT, INPUT] {
        assert_eq!(session.notify(direction), Err(Errno::NODEV));
    }
    assert_eq!(
        info.word(std::mem::offset_of!(
            iostream_ring::uapi::iostream_info,
            gone
        ))
        .load(std::sync::atomic::Ordering::Acquire),
        1
    );
    drop(session);
    assert_eq!(output.take(), None);
    drop((input, output, info));
}

/// iostream.ko cannot be removed while a client has the node of a removed driver open or mapped.
fn framework_stays_while_open() {
    let _back = BackAgain;
    let session = Driver::loaded("it2way").open();
    let busy = |why: &str| {
        let done = ran("rmmod", "iostream");
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && loaded("iostream"), "{why}");
        assert!(
            text.contains("temporarily unavailable") || text.contains("in use"),
            "{text}"
        );
    };
    busy("a driver uses it");
    remove();
    busy("a session is open");
    assert_ne!(line("iostream")[2], "0");
    drop(session);
    assert_eq!(line("iostream")[2], "0", "nothing holds the module");
}

fn removed_and_loaded_again() {
    let _back = BackAgain;
    for round in 0..5 {
        let (session, maps);
        {
            let driver = Driver::loaded("it2way");
            session = driver.open();
            maps = (Input::new(&session), Output::new(&session));
            driver.command("fill 1000");
            assert!(session.counters(OUTPUT).entries > 60, "round {round}");
        }
        remove();
        drop(BackAgain);
        // The old session still exists; the new node is a different one.
        let next = Driver::loaded("it2way").open();
        assert_eq!(next.counters(OUTPUT).entries, 0);
        assert_eq!(session.try_queue(OUTPUT).err(), Some(Errno::NODEV));
        drop((session, maps, next));
    }
}

/// Sleepers of every kind, each on its own node: all wake when the module is removed.
fn free_all_while_waiting() {
    let _back = BackAgain;
    let sessions: Vec<Session> = ["it2way", "itout", "itin"]
        .into_iter()
        .map(|name| Driver::loaded(name).open())
        .collect();
    (0..page() / 256).for_each(|_| sessions[2].write_entry(&[1; 248]));
    let said = woken_by(
        libc::SYS_ppoll,
        || sessions[0].poll(PollFlags::IN, -1),
        || {
            let said = woken_by(
                libc::SYS_read,
                || sessions[1].read(&mut [0; 100]),
                || {
                    let write = || sessions[2].write(&[1; 248]);
                    let said = woken_by(libc::SYS_write, write, remove);
                    assert_eq!(said, Err(Errno::NODEV));
                },
            );
            assert_eq!(said, Err(Errno::NODEV));
        },
    );
    assert_eq!(said, PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
}

/// A driver that leaks its registration is unloaded like any other. Its node ends with the module,
/// and nothing that its client does reaches the driver.
fn leaked_registration() {
    let _back = BackAgain;
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    // The driver waits for an entry, and for room.
    driver.fails("peek", Errno::NODATA);
    driver.command("fill 1000");
    driver.fails("enqueue 1000", Errno::NOSPC);
    driver.command("forget");
    let path = driver.path();
    let said = woken_by(libc::SYS_ppoll, || session.poll(PollFlags::PRI, -1), remove);
    assert_eq!(said, PollFlags::HUP, "no error while entries are left");
    assert!(!path.exists() && node_called("selftest").is_none());
    assert!(input.put(&[1; 100]));
    input.publish();
    while output.take().is_some() {}
    for direction in [OUTPUT, INPUT] {
        assert_eq!(session.notify(direction), Err(Errno::NODEV));
    }
    drop(session);
    drop((input, output));
    // The name is free again.
    drop(BackAgain);
    let driver = Driver::new(4096, 4096);
    driver.open().write_entry(b"to the next driver");
}

/// The same with a stream that runs: it is stopped without the driver.
fn leaked_stream() {
    let _back = BackAgain;
    let driver = Driver::stream("input-output 2 64 clients=2");
    let mut streams = [driver.open_stream(), driver.open_stream()];
    for stream in &mut streams {
        stream.session.start().unwrap();
    }
    driver.command("produce 1 64");
    driver.command("forget");
    remove();
    for mut stream in streams {
        assert!(stream
            .session
            .poll(PollFlags::PRI, -1)
            .contains(PollFlags::HUP));
        assert_eq!(stream.session.suspend(), Err(Errno::NODEV));
        assert_eq!(stream.session.start(), Err(Errno::NODEV));
        assert_eq!(stream.session.notify(INPUT), Err(Errno::NODEV));
        stream.take();
    }
    drop(BackAgain);
    Driver::stream("input-output 2 64").open().start().unwrap();
}

/// A module that leaks its client of another module's stream is not called any more either, and the
/// session ends. The module's memory stays as long as a call of its callback runs.
fn leaked_client() {
    let sessions = || {
        let node = node_called("pattern").expect("a node");
        let name = node.file_name().expect("a name");
        let path = Path::new("/sys/class/iostream").join(name).join("sessions");
        let text = fs::read_to_string(path).expect("sessions");
        text.trim().parse::<u64>().expect("a number")
    };
    let _back = BackAgain;
    let pattern = Module::load("iostream_pattern", &[]);
    let client = Driver::client();
    client.command("open pattern");
    client.command("watch 500");
    client.wait_for("calls", |calls| calls != 0);
    client.command("forget");
    assert_eq!(sessions(), 1);
    // The first call of the callback still runs: nobody else holds the module.
    remove();
    assert_eq!(sessions(), 0);
    // Its client would be called now.
    pattern.unload();
    wait_for_no_pages();
}
