// SPDX-License-Identifier: MIT OR Apache-2.0

//! what a driver decides about its node.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::kernel_queue::entry;
use crate::clause::Clause;
use crate::raw::{echo, INPUT, OUTPUT};
use crate::testnode::{find, named, TestNode, SPARE};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-20/node-named", node_named),
    Clause::new("Q-20/output-input-or-both", output_input_or_both),
    Clause::new("Q-20/both-ways-at-once", both_ways_at_once),
    Clause::new("Q-20/not-open-error", not_open_error),
    Clause::new("Q-20/not-open-counted", not_open_counted),
    Clause::new("Q-20/refuse-opener", refuse_opener),
    Clause::new("Q-20/mode-default", mode_default),
    Clause::new("Q-20/driver-mode-and-group", mode_and_group),
    Clause::new("Q-20/mode-is-enforced", mode_is_enforced),
    Clause::new("Q-20/driver-name-taken", name_taken),
    Clause::new("Q-20/bad-names", bad_names),
    Clause::new("Q-20/second-open-busy", second_open_busy),
    Clause::new("Q-20/session-lasts-with-its-mappings", session_lasts),
    Clause::new("Q-20/no-set-up", no_set_up),
    Clause::new("Q-20/next-open-starts-clean", next_open_starts_clean),
];

fn node_named() {
    for name in ["it2way", "itout", "itin", "itover"] {
        let node = TestNode::published(name);
        let version = node.open().version().unwrap();
        let end = version.name.iter().position(|byte| *byte == 0).unwrap();
        assert_eq!(&version.name[..end], name.as_bytes());
        assert!(version.name[end..].iter().all(|byte| *byte == 0));
    }
    let longest = "n".repeat(31);
    SPARE.command("unpublish").unwrap();
    SPARE.command(&format!("publish {longest} 4096 -")).unwrap();
    let path = find(&longest).expect("a name of 31 bytes is whole in sysfs");
    SPARE.command("unpublish").unwrap();
    assert!(!path.exists() && find(&longest).is_none());
}

fn output_input_or_both() {
    for (name, output, input) in [
        ("it2way", Ok(65536), Ok(65536)),
        ("itout", Ok(4096), Err(Errno::NXIO)),
        ("itin", Err(Errno::NXIO), Ok(4096)),
        ("itover", Ok(4096), Err(Errno::NXIO)),
    ] {
        let node = TestNode::published(name);
        let session = node.open();
        let bytes = |direction| session.try_queue(direction).map(|queue| queue.data_bytes);
        assert_eq!((bytes(OUTPUT), bytes(INPUT)), (output, input), "{name}");
        for (direction, has) in [(OUTPUT, output.is_ok()), (INPUT, input.is_ok())] {
            let expected = if has { Ok(()) } else { Err(Errno::NXIO) };
            assert_eq!(session.notify(direction), expected);
            assert_eq!(session.eventfd(direction, -1), expected);
            assert_eq!(session.reset(direction), expected);
        }
        // The driver has no other ends than those, either.
        let produced = node.control().command("enqueue 8").is_ok();
        assert_eq!(produced, output.is_ok());
        assert_eq!(node.control().command("available").is_ok(), input.is_ok());
        let overwrites = output.is_ok() && session.queue(OUTPUT).flags == 1;
        assert_eq!(overwrites, name == "itover");
    }
}

fn both_ways_at_once() {
    let node = TestNode::published("it2way");
    let session = node.open();
    for number in 0..50 {
        node.run("enqueue 30");
        session.write_entry(&[number; 30]);
        assert_eq!(
            session.poll(PollFlags::IN | PollFlags::OUT, -1).bits() & 5,
            5
        );
        node.run("dequeue 30");
        assert_eq!(node.value("sum"), 30 * u64::from(number));
        assert_eq!(session.read_entry(), entry(u64::from(number), 30));
    }
}

fn not_open_error() {
    let node = TestNode::with("4096 4096");
    for command in [
        "enqueue 8",
        "enqueue 8 softirq",
        "enqueue 8 hardirq",
        "enqueue-wait 8",
        "reserve 8 commit",
        "batch 2 8",
        "can 8 1",
        "lost 1",
        "flush",
        "dequeue 8",
        "dequeue-wait 8 10",
        "peek",
        "drain 1",
        "available",
    ] {
        node.fails(command, Errno::NOTCONN);
    }
    let session = node.open();
    node.run("enqueue 8");
    assert_eq!(
        session.counters(OUTPUT).entries,
        1,
        "nothing was kept for it"
    );
    drop(session);
    node.fails("enqueue 8", Errno::NOTCONN);
}

fn not_open_counted() {
    let node = TestNode::with("4096 4096");
    assert_eq!(node.attribute("unopened"), 0);
    for (count, command) in (1..).zip(["enqueue 8", "enqueue 8 hardirq", "reserve 8 commit"]) {
        node.fails(command, Errno::NOTCONN);
        assert_eq!(node.attribute("unopened"), count, "{command}");
    }
    let session = node.open();
    node.run("enqueue 8");
    node.fails("dequeue 8", Errno::NODATA);
    assert_eq!(node.attribute("unopened"), 3);
    drop(session);
    node.fails("enqueue 8", Errno::NOTCONN);
    assert_eq!(node.attribute("unopened"), 4);
}

fn refuse_opener() {
    let node = TestNode::with("4096 4096");
    for errno in [Errno::ACCESS, Errno::NOMEM, Errno::PERM, Errno::AGAIN] {
        node.run(&format!("refuse {}", errno.raw_os_error()));
        let (opens, closes) = (node.value("opens"), node.value("closes"));
        assert_eq!(node.try_open(OFlags::RDWR).err(), Some(errno));
        assert_eq!((node.value("opens"), node.value("closes")), (opens, closes));
        node.fails("enqueue 8", Errno::NOTCONN);
        assert_eq!(node.attribute("sessions"), 0);
    }
    node.run("refuse 0");
    node.open();
}

/// Mode and group of a node.
fn rights(node: &TestNode) -> (u32, u32, u32) {
    let metadata = fs::metadata(node.path()).unwrap();
    (metadata.mode() & 0o7777, metadata.uid(), metadata.gid())
}

fn mode_default() {
    for name in ["it2way", "itout", "itin", "itover"] {
        assert_eq!(rights(&TestNode::published(name)), (0o600, 0, 0), "{name}");
    }
}

fn mode_and_group() {
    for (mode, gid) in [(0o660, 1000), (0o666, 0), (0o400, 7), (0o604, 65534)] {
        let node = TestNode::publish(&format!("publish-mode spare {mode:o} {gid}")).unwrap();
        assert_eq!(rights(&node), (mode, 0, gid));
    }
}

/// A process without privileges, of a group.
fn may_open(node: &TestNode, group: u32) -> bool {
    use std::os::unix::process::CommandExt;
    let script = format!("exec 3<>{}", node.path().display());
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &script]).uid(1000).gid(group);
    shell.stderr(std::process::Stdio::null());
    shell.status().unwrap().success()
}

fn mode_is_enforced() {
    for (mode, group, others) in [
        ("600", false, false),
        ("660", true, false),
        ("666", true, true),
        ("606", false, true),
    ] {
        let node = TestNode::publish(&format!("publish-mode spare {mode} 1000")).unwrap();
        assert_eq!(may_open(&node, 1000), group, "{mode}, group");
        assert_eq!(may_open(&node, 7), others, "{mode}, others");
    }
}

fn name_taken() {
    SPARE.command("unpublish").unwrap();
    for name in ["it2way", "itout", "iostream"] {
        let again = SPARE.command(&format!("publish {name} 4096 -"));
        assert_eq!(again, Err(Errno::EXIST), "{name}");
    }
    // Whose it is goes on, and a free one is taken after that.
    let node = TestNode::published("itout");
    let session = node.open();
    node.run("enqueue 8");
    assert_eq!(session.read_entry().len(), 8);
    drop(TestNode::with("4096 -"));
    drop(TestNode::with("4096 -"));
}

fn bad_names() {
    SPARE.command("unpublish").unwrap();
    let nodes = || fs::read_dir("/sys/class/iostream").unwrap().count();
    let before = nodes();
    let long = "n".repeat(32);
    for name in ["a/b", "/", &long] {
        let made = SPARE.command(&format!("publish {name} 4096 -"));
        assert_eq!(made, Err(Errno::INVAL), "{name}");
    }
    assert_eq!(nodes(), before);
}

fn second_open_busy() {
    let node = TestNode::with("4096 4096");
    let session = node.open();
    let opens = node.value("opens");
    for flags in [OFlags::RDWR, OFlags::RDONLY, OFlags::WRONLY] {
        assert_eq!(node.try_open(flags).err(), Some(Errno::BUSY));
    }
    assert_eq!(
        (node.value("opens"), node.attribute("sessions")),
        (opens, 1)
    );
    node.run("enqueue 8");
    assert_eq!(session.read_entry().len(), 8, "the first one goes on");
    drop(session);
    for flags in [OFlags::RDWR, OFlags::RDONLY, OFlags::WRONLY] {
        node.try_open(flags).unwrap();
    }
}

/// From open to the last reference, mappings included.
fn session_lasts() {
    let node = TestNode::with("4096 4096");
    let closes = node.value("closes");
    let session = node.open();
    let copy = rustix::io::dup(&session).unwrap();
    let map = session.map(OUTPUT, crate::raw::Area::Info);
    drop(session);
    assert_eq!(node.try_open(OFlags::RDWR).err(), Some(Errno::BUSY));
    drop(copy);
    assert_eq!(node.try_open(OFlags::RDWR).err(), Some(Errno::BUSY));
    assert_eq!(
        (node.value("closes"), node.attribute("sessions")),
        (closes, 1)
    );
    node.run("enqueue 8");
    drop(map);
    assert_eq!(node.value("closes"), closes + 1);
    node.open();
}

fn no_set_up() {
    let node = TestNode::with("4096 4096");
    let session = node.open();
    assert_eq!(session.setup(echo(4096)), Err(Errno::NOTTY));
    assert_eq!(session.run(1), (0, Err(Errno::NOTTY)));
    assert_eq!(session.endpoint().err(), Some(Errno::NOTTY));
    node.run("enqueue 8");
    assert_eq!(session.read_entry().len(), 8, "it goes on");
}

/// Nothing of one client is left for the next.
fn next_open_starts_clean() {
    let node = TestNode::with("4096 4096");
    let session = node.open();
    node.run("fill 100");
    node.run("lost 5");
    session.write_entry(&[7; 500]);
    drop(session);
    let session = node.open_nonblocking();
    assert_eq!(session.read(&mut [0; 500]), Err(Errno::AGAIN));
    node.fails("peek", Errno::NODATA);
    for direction in [OUTPUT, INPUT] {
        let counters = named(&session.counters(direction));
        assert!(counters.iter().all(|(_, value)| *value == 0));
        assert_eq!(session.queue(direction).generation, 1);
        let data = session.map(direction, crate::raw::Area::Data);
        assert!(data.read(0, 8192).iter().all(|byte| *byte == 0));
    }
    node.run("enqueue 8");
    let mut output = crate::raw::Output::new(&session);
    assert_eq!(output.take().unwrap().lost, 0);
}
