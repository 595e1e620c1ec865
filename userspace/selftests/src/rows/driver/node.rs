// SPDX-License-Identifier: MIT OR Apache-2.0

//! drivers in modules of their own.

use std::fs::{metadata, read_to_string};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::clause::{skip, Clause};
use crate::raw::{Session, INPUT, OUTPUT};
use crate::support::driver::{node_called, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-20/module-of-its-own", module_of_its_own),
    Clause::new("Q-20/output-input-both", output_input_both),
    Clause::new("Q-20/capacities-refused", capacities_refused),
    Clause::new("Q-20/not-open-is-its-own-error", not_open_is_its_own_error),
    Clause::new("Q-20/named", named),
    Clause::new("Q-20/name-taken", name_taken),
    Clause::new("Q-20/mode-and-group", mode_and_group),
    Clause::new("Q-20/no-permission", no_permission),
    Clause::new("Q-20/opener-refused", opener_refused),
    Clause::new("Q-20/one-client-at-a-time", one_client_at_a_time),
    Clause::new("Q-20/told-of-open-and-close", told_of_open_and_close),
    Clause::new("Q-20/removed-while-open", removed_while_open),
    Clause::new("Q-20/mapping-holds-the-session", mapping_holds_the_session),
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
    for (output, input) in [(4096, 0), (0, 4096), (8192, 4096)] {
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

/// A driver is refused with the same three errors as a process.
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
        // Overwriting goes to the output queue alone, in this driver.
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
    // The next client begins with an empty queue.
    let session = driver.open_nonblocking();
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::AGAIN));
}

fn named() {
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
    // A name is free again when its node is gone, also while a client still has that open.
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
    assert_eq!(mode(&driver), 0o600, "unless told otherwise");
    let built_in = metadata(crate::raw::DEVICE).unwrap();
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
    // In a thread of its own: the credentials are the thread's.
    std::thread::scope(|scope| {
        let outcome = scope.spawn(|| {
            // SAFETY: The raw call changes this thread alone.
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

/// The node goes from /dev and sysfs at once; the client's calls say so, and a new open finds none.
fn removed_while_open() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let path = driver.path();
    driver.tell("enqueue 10").unwrap();
    driver.tell("unpublish").unwrap();
    assert_eq!(node_called("selftest"), None);
    assert!(Session::open(&path, OFlags::RDWR).is_err());
    assert_eq!(session.try_queue(OUTPUT).err(), Some(Errno::NODEV));
    assert_eq!(session.notify(INPUT), Err(Errno::NODEV));
    assert_eq!(session.write(&[0; 8]), Err(Errno::NODEV));
    assert_eq!(
        session.read(&mut [0; 100]),
        Ok(10),
        "what waited is still read"
    );
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::NODEV));
    assert!(session.version().is_ok());
    if !path.exists() {
        return;
    }
    skip("another node has taken the number");
}

/// The session ends with its last mapping, not with its last descriptor.
fn mapping_holds_the_session() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let map = session.map(OUTPUT, crate::raw::Area::Data);
    drop(session);
    assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
    assert_eq!(driver.tell("enqueue 10"), Ok(()));
    assert_eq!(map.read(8, 3), [0, 1, 2]);
    drop(map);
    assert!(driver.try_open().is_ok());
}
