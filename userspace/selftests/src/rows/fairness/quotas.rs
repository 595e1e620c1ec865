// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-11, B-05: what one user has does not count against others.

use std::path::Path;

use iostream_raw::{echo, page, sink, source, Session};
use rustix::fs::OFlags;
use rustix::io::{Errno, Result};

use crate::clause::{skip, Clause};
use crate::support::driver::Driver;
use crate::support::memory::{pages, wait_for_no_pages};
use crate::support::user::{obey_limits, OpenToAll, OtherUser, ALICE, BOB};
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::slow("F-11/others-can-open", 240, others_can_open),
    Clause::new("B-05/privileged-exceeds", privileged_exceeds),
    Clause::slow("B-05/closed-is-free-at-once", 240, closed_is_free_at_once),
    Clause::slow("B-05/drivers-memory-is-no-users", 240, drivers_memory),
    Clause::slow("F-11/source-rate-per-user", 240, source_rate_per_user),
];

const BUILT_IN: &str = "/dev/iostream";

/// Takes all that a user can have.
fn take_all() -> Vec<Session> {
    take_rest(Session::bare().version().unwrap().max_queue_bytes)
}

/// Takes all that a user still can have, in sessions of ever smaller queues: the first has so many
/// bytes.
fn take_rest(mut bytes: u64) -> Vec<Session> {
    let mut sessions = Vec::new();
    while bytes >= page() {
        let session = Session::bare();
        match session.setup(sink(bytes)) {
            Ok(()) => sessions.push(session),
            Err(Errno::DQUOT) => bytes /= 2,
            Err(error) => panic!("{error}"),
        }
    }
    sessions
}

/// The number of an error; 0: none.
fn number<T>(result: Result<T>) -> u64 {
    result.err().map_or(0, |error| error.raw_os_error() as u64)
}

/// What a user gets who opens a node, and for the built-in one sets it up.
fn tries(node: &Path) -> u64 {
    number(Session::open(node, OFlags::RDWR).and_then(|session| {
        if node == Path::new(BUILT_IN) {
            session.setup(echo(4096))?;
        }
        Ok(())
    }))
}

/// Skips the clause if a user's total does not fit into this machine.
fn check_memory(total: u64) {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let free = text.lines().find_map(|line| {
        let kib = line.strip_prefix("MemAvailable:")?.strip_suffix("kB")?;
        kib.trim().parse::<u64>().ok()
    });
    if free.unwrap() << 10 < total + total / 4 {
        skip("too little memory for a user's total");
    }
}

/// While one user has all that he can have, each node works for everyone else, and for the kernel's
/// own clients. The same user gets `EDQUOT` on each node.
fn others_can_open() {
    obey_limits();
    check_memory(Session::bare().version().unwrap().max_total_bytes);
    let _open = OpenToAll::new(BUILT_IN);
    let hog = OtherUser::run(ALICE, || (0, take_all()));
    let try_all = |kind: &str, node: &Path| {
        let _open = OpenToAll::new(node);
        for (user, expected) in [(ALICE, Errno::DQUOT.raw_os_error() as u64), (BOB, 0)] {
            let got = OtherUser::run(user, || (tries(node), ())).found;
            assert_eq!(got, expected, "{kind}, user {user}");
        }
        wait_until("root can open", || {
            tries(node) != Errno::BUSY.raw_os_error() as u64
        });
        assert_eq!(tries(node), 0, "{kind}, root");
    };
    try_all("built-in", Path::new(BUILT_IN));
    for (output, input) in [(4096, 0), (0, 4096), (4096, 4096)] {
        let driver = Driver::new(output, input);
        try_all("driver's queues", &driver.path());
    }
    for mode in ["output", "input", "input-output"] {
        let driver = Driver::stream(&format!("{mode} 2 4096"));
        try_all("driver's stream", &driver.path());
        let client = Driver::client();
        client.command("open selftest");
        client.command("close");
    }
    drop(hog);
    wait_for_no_pages();
    assert_eq!(
        OtherUser::run(ALICE, || (tries(Path::new(BUILT_IN)), ())).found,
        0
    );
}

/// A process with `CAP_SYS_RESOURCE` may exceed its user's limits.
fn privileged_exceeds() {
    let rate = || Session::try_nonblocking(source(4096, 16, 16, 1_000_000));
    let first = rate().unwrap();
    let second = rate().unwrap();
    obey_limits();
    assert_eq!(rate().err(), Some(Errno::DQUOT));
    drop((first, second));
    rate().unwrap();
}

/// Whoever has all that a user can have, closes a session, and opens the same again at once, is not
/// refused because the memory of the first is freed after a grace period.
fn closed_is_free_at_once() {
    const BYTES: u64 = 256 << 10;
    obey_limits();
    check_memory(Session::bare().version().unwrap().max_total_bytes);
    let place = Session::try_nonblocking(sink(BYTES)).expect("the first session");
    let _all = take_all();
    drop(place);
    let again = |kind: &str, open: &dyn Fn() -> Result<Session>| {
        let mut session = Some(open().expect(kind));
        let _rest = take_rest(BYTES);
        for round in 0..8 {
            drop(session.take());
            let opened = open();
            session = Some(opened.unwrap_or_else(|error| panic!("{kind}, round {round}: {error}")));
        }
    };
    for (kind, setup) in [
        ("echo", echo(BYTES / 8)),
        ("source", source(BYTES / 4, 16, 16, 0)),
        ("source by the clock", source(BYTES / 4, 16, 16, 1_000_000)),
        ("sink", sink(BYTES / 4)),
    ] {
        again(kind, &|| Session::try_nonblocking(setup));
    }
    for (output, input) in [(BYTES / 4, 0), (0, BYTES / 4), (BYTES / 8, BYTES / 8)] {
        let driver = Driver::new(output, input);
        again("driver's queues", &|| driver.try_open());
    }
    for mode in ["output", "input", "input-output"] {
        let driver = Driver::stream(&format!("{mode} 2 {}", BYTES / 8));
        again("driver's stream", &|| driver.try_open());
    }
}

/// Buffers that a driver prepares count against nobody: here they are more than a user can have.
fn drivers_memory() {
    obey_limits();
    wait_for_no_pages();
    let total = Session::bare().version().unwrap().max_total_bytes;
    check_memory(total);
    let buffers = total / (64 << 20) + 1;
    let driver = Driver::stream(&format!("output {buffers} {}", 64 << 20));
    assert_eq!(driver.try_open().err(), Some(Errno::DQUOT));
    driver.command("create-queues");
    assert!(pages() * page() > total);
    // A client gets what was prepared.
    driver.open();
    driver.unpublish();
    wait_for_no_pages();
}

/// All sources by the clock of a user together can be as fast as one session's, and no faster.
/// Others are not concerned.
fn source_rate_per_user() {
    let _open = OpenToAll::new(BUILT_IN);
    let setup = |rate: u64, len: u32, overwrite: bool| {
        let mut setup = source(131_072, 16, len, rate);
        if overwrite {
            setup.flags |= iostream_ring::uapi::IOSTREAM_SETUP_OVERWRITE;
        }
        setup
    };
    let quota = Errno::DQUOT.raw_os_error() as u64;
    // The first by its entries alone, the others by their bytes.
    for (rate, len) in [
        (1_000_000, 16),
        (1_000_000, 67),
        (1024, 65_536),
        (262_144, 256),
    ] {
        for sessions in [1, 2, 8, 64] {
            let one = setup(rate / sessions, len, sessions % 8 == 0);
            let alice = OtherUser::run(ALICE, || {
                let open = |_| Session::try_nonblocking(one).expect("within the limits");
                let mut all: Vec<Session> = (0..sessions).map(open).collect();
                let refused = number(Session::try_nonblocking(one));
                // Ended sessions count no longer.
                all.pop();
                all.push(Session::try_nonblocking(one).expect("there is room again"));
                (refused, all)
            });
            assert_eq!(
                alice.found, quota,
                "{sessions} of {rate} entries of {len} bytes"
            );
            let again = OtherUser::run(ALICE, || (number(Session::try_nonblocking(one)), ()));
            assert_eq!(again.found, quota, "in another process");
            let bob = OtherUser::run(BOB, || {
                (number(Session::try_nonblocking(setup(rate, len, true))), ())
            });
            assert_eq!(bob.found, 0, "another user");
        }
    }
}
