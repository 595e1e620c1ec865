// SPDX-License-Identifier: MIT OR Apache-2.0

//! nodes of drivers in modules of their own.

use std::fs::{metadata, read_to_string};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use iostream_raw::{echo, node_called, page, page_len, Session, INPUT, OUTPUT};
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::counters::named;
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-20/module-of-its-own", module_of_its_own),
    Clause::new("Q-20/output-input-both", output_input_both),
    Clause::new("Q-20/capacities-refused", capacities_refused),
    Clause::new("Q-20/not-open-is-its-own-error", not_open_is_its_own_error),
    Clause::new("Q-20/named", found_by_name),
    Clause::new("Q-20/name-taken", name_taken),
    Clause::new("Q-20/mode-and-group", mode_and_group),
    Clause::new("Q-20/no-permission", no_permission),
    Clause::new("Q-20/opener-refused", opener_refused),
    Clause::new("Q-20/opened", opened),
    Clause::new("Q-20/one-client-at-a-time", one_client_at_a_time),
    Clause::new("Q-20/told-of-open-and-close", told_of_open_and_close),
    Clause::new("Q-20/mapping-holds-the-session", mapping_holds_the_session),
    Clause::new("Q-20/not-open-for-each-call", not_open_for_each_call),
    Clause::new("Q-20/mode-is-enforced", mode_is_enforced),
    Clause::new("Q-20/no-set-up", no_set_up),
    Clause::new("Q-20/next-open-starts-clean", next_open_starts_clean),
];

fn module_of_its_own() {
    let modules = read_to_string("/proc/modules").unwrap();
    let line = modules
        .lines()
        .find(|line| line.starts_with("iostream "))
        .unwrap();
    assert!(
        line.contains("iostream_test,"),
        "iostream_test depends on it: {line}"
    );
    assert!(modules
        .lines()
        .any(|line| line.starts_with("iostream_test ")));
}

fn output_input_both() {
    for (output, input) in [(page(), 0), (0, page()), (2 * page(), page())] {
        let driver = Driver::new(output, input);
        let session = driver.open();
        for (direction, bytes) in [(OUTPUT, output), (INPUT, input)] {
            match session.try_queue(direction) {
                Ok(queue) => assert_eq!(queue.data_bytes, bytes),
                Err(error) => assert_eq!((error, bytes), (Errno::NXIO, 0)),
            }
        }
    }
}

/// A driver gets the same three errors as a process.
fn capacities_refused() {
    let driver = Driver::unpublished();
    let limit = Session::bare().version().unwrap().max_queue_bytes;
    for (command, error) in [
        ("publish selftest 0 0".into(), Errno::INVAL),
        (format!("publish selftest {} 0", limit + 1), Errno::TOOBIG),
        (format!("publish selftest 0 {}", limit + 1), Errno::TOOBIG),
        (format!("publish selftest {} 0", u64::MAX), Errno::OVERFLOW),
        ("publish-entries selftest 0 8".into(), Errno::INVAL),
        (
            format!("publish-entries selftest {} 8", u64::MAX),
            Errno::OVERFLOW,
        ),
        (format!("publish-entries selftest {limit} 8"), Errno::TOOBIG),
        ("publish selftest 0 4096 overwrite".into(), Errno::INVAL),
    ] {
        let got = driver.tell(&command);
        // This driver makes only the output queue overwrite.
        if command.ends_with("overwrite") && got.is_ok() {
            driver.tell("unpublish").unwrap();
            continue;
        }
        assert_eq!(got, Err(error), "{command}");
        assert_eq!(node_called("selftest"), None);
    }
    assert_eq!(driver.tell("publish selftest 4096 0"), Ok(()));
}

fn not_open_is_its_own_error() {
    let driver = Driver::new(4096, 4096);
    let unopened = || {
        let text = read_to_string(driver.sysfs().join("unopened")).unwrap();
        text.trim().parse::<u64>().unwrap()
    };
    let before = unopened();
    for context in ["task", "softirq", "hardirq"] {
        assert_eq!(
            driver.tell(&format!("enqueue 10 {context}")),
            Err(Errno::NOTCONN)
        );
    }
    assert_eq!(unopened(), before + 3);
    assert_eq!(driver.tell("dequeue 10"), Err(Errno::NOTCONN));
    let session = driver.open();
    assert_eq!(driver.tell("enqueue 10"), Ok(()));
    drop(session);
    assert_eq!(driver.tell("enqueue 10"), Err(Errno::NOTCONN));
    assert_eq!(unopened(), before + 4);
    // The next client starts with an empty queue.
    let session = driver.open_nonblocking();
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::AGAIN));
}

fn found_by_name() {
    let driver = Driver::new(4096, 0);
    let path = driver.path();
    let name = path.file_name().unwrap().to_str().unwrap();
    let number = name.strip_prefix("iostream").unwrap();
    assert!(number.parse::<u32>().is_ok(), "{name}");
    assert!(metadata(&path).unwrap().file_type().is_char_device());
    let version = driver.open().version().unwrap();
    let text = version.name.split(|byte| *byte == 0).next().unwrap();
    assert_eq!(text, b"selftest");
    assert!(version.name[text.len()..].iter().all(|byte| *byte == 0));
    let bare = Session::bare().version().unwrap();
    assert!(bare.name.starts_with(b"iostream\0"));
    driver.tell("unpublish").unwrap();
    for name in ["a/b", "0123456789012345678901234567890123456789"] {
        assert_eq!(
            driver.tell(&format!("publish {name} 4096 0")),
            Err(Errno::INVAL),
            "{name}"
        );
    }
    assert_eq!(
        driver.tell("publish 0123456789012345678901234567890 4096 0"),
        Ok(())
    );
}

fn name_taken() {
    let driver = Driver::unpublished();
    for name in ["itout", "iostream"] {
        let got = driver.tell(&format!("publish {name} 4096 0"));
        assert_eq!(got, Err(Errno::EXIST), "{name}");
    }
    // A removed node's name is free at once, even while a client still has the node open.
    driver.publish(4096, 0);
    let session = driver.open();
    driver.tell("unpublish").unwrap();
    driver.publish(4096, 0);
    assert_eq!(session.notify(OUTPUT), Err(Errno::NODEV));
    driver.open().queue(OUTPUT);
}

fn mode_and_group() {
    let driver = Driver::new(4096, 0);
    let mode = |driver: &Driver| metadata(driver.path()).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&driver), 0o600, "the default mode");
    let built_in = metadata(iostream_raw::DEVICE).unwrap();
    assert_eq!(built_in.permissions().mode() & 0o7777, 0o600);
    for (asked, gid) in [(0o640, 1000), (0o666, 0), (0o400, 65534)] {
        driver.tell("unpublish").unwrap();
        driver
            .tell(&format!("publish-mode selftest {asked:o} {gid}"))
            .unwrap();
        assert_eq!(mode(&driver), asked);
        assert_eq!(metadata(driver.path()).unwrap().gid(), gid);
    }
}

fn no_permission() {
    let driver = Driver::new(4096, 0);
    let path = driver.path();
    // In its own thread, since credentials belong to a thread.
    std::thread::scope(|scope| {
        let outcome = scope.spawn(|| {
            // SAFETY: The raw call changes only this thread.
            let done = unsafe { libc::syscall(libc::SYS_setresuid, 1000, 1000, 1000) };
            assert_eq!(done, 0);
            Session::open(&path, OFlags::RDWR).err()
        });
        assert_eq!(outcome.join().unwrap(), Some(Errno::ACCESS));
    });
    assert!(driver.try_open().is_ok());
}

fn opener_refused() {
    let driver = Driver::new(4096, 0);
    for (errno, error) in [
        (1, Errno::PERM),
        (13, Errno::ACCESS),
        (11, Errno::AGAIN),
        (121, Errno::REMOTEIO),
    ] {
        driver.tell(&format!("refuse {errno}")).unwrap();
        assert_eq!(driver.try_open().err(), Some(error));
        assert_eq!(driver.tell("enqueue 1"), Err(Errno::NOTCONN));
    }
    driver.tell("refuse 0").unwrap();
    assert!(driver.try_open().is_ok());
}

/// The driver learns that a client has come when its queues are there: an entry that it sends then
/// arrives.
fn opened() {
    let driver = Driver::new(4096, 0);
    driver.command("greet 16");
    for _ in 0..3 {
        let session = driver.open();
        let mut entry = [0; 64];
        assert_eq!(session.read(&mut entry), Ok(16));
        drop(session);
    }
    driver.command("greet 0");
    driver.command("refuse 13");
    let opened = driver.log("opened");
    assert_eq!(driver.try_open().err(), Some(Errno::ACCESS));
    assert_eq!(driver.log("opened"), opened, "not for one who is refused");
    driver.command("refuse 0");
}

fn one_client_at_a_time() {
    let driver = Driver::new(4096, 0);
    let first = driver.open();
    for _ in 0..3 {
        assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
    }
    first.queue(OUTPUT);
    drop(first);
    driver.open().queue(OUTPUT);
}

fn told_of_open_and_close() {
    let driver = Driver::new(4096, 0);
    let seen = || (driver.log("opens"), driver.log("closes"));
    let (opens, closes) = seen();
    for i in 0..3 {
        let session = driver.open();
        assert_eq!(seen(), (opens + i + 1, closes + i));
        drop(session);
        assert_eq!(seen(), (opens + i + 1, closes + i + 1));
    }
}

/// The session ends with its last mapping, not with its last descriptor.
fn mapping_holds_the_session() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let map = session.map(OUTPUT, iostream_raw::Area::Data);
    drop(session);
    assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
    assert_eq!(driver.tell("enqueue 10"), Ok(()));
    assert_eq!(map.read(8, 3), [0, 1, 2]);
    drop(map);
    assert!(driver.try_open().is_ok());
}

fn not_open_for_each_call() {
    let driver = Driver::new(4096, 4096);
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
        driver.fails(command, Errno::NOTCONN);
    }
    let session = driver.open();
    driver.command("enqueue 8");
    assert_eq!(
        session.counters(OUTPUT).entries,
        1,
        "nothing was kept for it"
    );
    drop(session);
    driver.fails("enqueue 8", Errno::NOTCONN);
}

/// Whether an unprivileged process of this group can open the node.
fn may_open(driver: &Driver, group: u32) -> bool {
    use std::os::unix::process::CommandExt;
    let script = format!("exec 3<>{}", driver.path().display());
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
        let driver = Driver::unpublished();
        driver.command(&format!("publish-mode selftest {mode} 1000"));
        assert_eq!(may_open(&driver, 1000), group, "{mode}, group");
        assert_eq!(may_open(&driver, 7), others, "{mode}, others");
    }
}

fn no_set_up() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    assert_eq!(session.setup(echo(4096)), Err(Errno::NOTTY));
    assert_eq!(session.run(1), (0, Err(Errno::NOTTY)));
    assert_eq!(session.endpoint().err(), Some(Errno::NOTTY));
    driver.command("enqueue 8");
    assert_eq!(session.read_entry().len(), 8, "it goes on");
}

/// Nothing of one client is left for the next one.
fn next_open_starts_clean() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    driver.command("fill 100");
    driver.command("lost 5");
    session.write_entry(&[7; 500]);
    drop(session);
    let session = driver.open_nonblocking();
    assert_eq!(session.read(&mut [0; 500]), Err(Errno::AGAIN));
    driver.fails("peek", Errno::NODATA);
    for direction in [OUTPUT, INPUT] {
        let counters = named(&session.counters(direction));
        assert!(counters.iter().all(|(_, value)| *value == 0));
        assert_eq!(session.queue(direction).generation, 1);
        let data = session.map(direction, iostream_raw::Area::Data);
        assert!(data.read(0, 2 * page_len()).iter().all(|byte| *byte == 0));
    }
    driver.command("enqueue 8");
    let mut output = iostream_raw::Output::new(&session);
    assert_eq!(output.take().unwrap().lost, 0);
}
