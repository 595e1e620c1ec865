// SPDX-License-Identifier: MIT OR Apache-2.0

//! Q-20 and S-01: what a driver asks for and does not get is explained in the kernel's log, because
//! insmod shows an errno alone.

use iostream_raw::KernelLog;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-20/refusals-are-explained", of_queues),
    Clause::new("S-01/refusals-are-explained", of_streams),
    Clause::new("Q-20/refusals-of-processes-are-not", of_processes),
];

/// Runs commands that must fail, each with its error and a part of what the log must say of it.
fn explains(driver: &Driver, cases: &[(&str, Errno, &str)]) {
    let log = KernelLog::open().expect("/dev/kmsg");
    for (command, errno, words) in cases {
        driver.fails(command, *errno);
        let said = log.messages();
        let ours: Vec<_> = said
            .iter()
            .filter(|line| line.starts_with("iostream: "))
            .collect();
        assert_eq!(ours.len(), 1, "{command}: {said:?}");
        assert!(ours[0].contains(words), "{command}: {said:?}");
    }
}

fn of_queues() {
    let driver = Driver::unpublished();
    let long = format!("publish {} 4096 0", "x".repeat(32));
    explains(
        &driver,
        &[
            (
                "publish itout 4096 0",
                Errno::EXIST,
                "\"itout\" is refused: the name is taken",
            ),
            ("publish iostream 4096 0", Errno::EXIST, "the name is taken"),
            (&long, Errno::INVAL, "1 to 31 bytes, and no /"),
            (
                "publish a/b 4096 0",
                Errno::INVAL,
                "1 to 31 bytes, and no /",
            ),
            ("publish selftest 0 0", Errno::INVAL, "it has no queue"),
            (
                "publish selftest 1000000000000 0",
                Errno::TOOBIG,
                "max_queue_bytes (67108864)",
            ),
            ("publish-entries selftest 0 8", Errno::INVAL, "one at least"),
            (
                "publish-entries selftest 100000000 8",
                Errno::TOOBIG,
                "max_queue_bytes",
            ),
        ],
    );
}

fn of_streams() {
    let driver = Driver::unpublished_stream();
    explains(
        &driver,
        &[
            (
                "publish selftest output 0 64",
                Errno::INVAL,
                "from 1 to 16384 buffers",
            ),
            (
                "publish selftest output 2 0",
                Errno::INVAL,
                "from 1 to 16384 buffers",
            ),
            (
                "publish selftest output 16385 64",
                Errno::TOOBIG,
                "from 1 to 16384 buffers",
            ),
            (
                "publish selftest input 2 4000000000",
                Errno::TOOBIG,
                "max_buffer_bytes (67108864)",
            ),
            (
                "publish selftest output 2 64 control=4000000000",
                Errno::TOOBIG,
                "a control area of",
            ),
            (
                "publish selftest output 4 64 queue=3",
                Errno::INVAL,
                "the 4 that there are",
            ),
            (
                "publish selftest output 4 64 own-queue=1",
                Errno::INVAL,
                "queues of its own",
            ),
            (
                "publish itout output 2 64",
                Errno::EXIST,
                "the name is taken",
            ),
        ],
    );
    let long = format!(
        "publish selftest output 2 64 description={}",
        "x".repeat(64)
    );
    explains(
        &driver,
        &[(&long, Errno::INVAL, "a description of 64 bytes")],
    );
}

/// A process could fill the log.
fn of_processes() {
    let log = KernelLog::open().expect("/dev/kmsg");
    let session = iostream_raw::Session::bare();
    assert_eq!(
        session.setup(iostream_raw::echo(1 << 40)),
        Err(Errno::TOOBIG)
    );
    assert_eq!(session.setup(iostream_raw::echo(0)), Err(Errno::INVAL));
    let said = log.messages();
    assert!(
        said.iter().all(|line| !line.contains("refused")),
        "{said:?}"
    );
}
