// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-08 and S-17: who may open a stream: one client at a time, or several, each with queues and
//! buffers of its own.

use std::fs::metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use iostream_raw::{page, Stream};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-08/second-open-busy", second_open_busy),
    Clause::new("S-08/second-open-harms-nobody", second_open_harms_nobody),
    Clause::new("S-08/several-clients", several_clients),
    Clause::new("S-08/clients-are-apart", clients_are_apart),
    Clause::new("S-08/state-of-ones-own", state_of_ones_own),
    Clause::new("S-08/more-than-allowed-busy", more_than_allowed_busy),
    Clause::new("S-08/place-free-again", place_free_again),
    Clause::new("S-08/queues-made-at-open", queues_made_at_open),
    Clause::new("S-17/opener-refused", opener_refused),
    Clause::new("S-17/refused-keeps-nothing", refused_keeps_nothing),
    Clause::new("S-17/mode-and-group", mode_and_group),
    Clause::new("S-17/root-alone-unless-told", root_alone),
];

fn second_open_busy() {
    for mode in ["output", "input", "input-output"] {
        let driver = Driver::stream(&format!("{mode} 2 64"));
        let session = driver.open();
        assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
        drop(session);
        driver.open();
    }
}

fn second_open_harms_nobody() {
    let driver = Driver::stream("output 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let opens = driver.log("opens");
    for _ in 0..3 {
        assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
    }
    assert_eq!(driver.log("opens"), opens, "the driver is not asked");
    driver.command("produce 2 10");
    assert_eq!(stream.take_all().len(), 2);
    assert_eq!(driver.attribute("sessions"), 1);
}

fn several_clients() {
    let driver = Driver::stream("output 2 64 clients=3");
    let mut streams = [(); 3].map(|()| driver.open_stream());
    assert_eq!(driver.attribute("sessions"), 3);
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.session.start().unwrap();
        driver.command(&format!("client {number}"));
        driver.command(&format!("produce {} 64", number % 2 + 1));
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        assert_eq!(stream.take_all().len(), number % 2 + 1);
    }
}

/// No client sees what another one sends or receives.
fn clients_are_apart() {
    let driver = Driver::stream("input-output 2 64 clients=2");
    let (mut one, mut other) = (driver.open_stream(), driver.open_stream());
    let fill = |number: usize, stream: &mut Stream| {
        stream.session.start().unwrap();
        driver.command(&format!("client {number}"));
        for _ in 0..2 {
            driver.command("take");
            let id = driver.log("id");
            driver.command(&format!("fill {id} {} 0 64", 100 * number));
            driver.command(&format!("range {id} 0 64"));
            driver.command(&format!("send {id}"));
        }
    };
    fill(0, &mut one);
    fill(1, &mut other);
    for (number, stream) in [(0, &mut one), (1, &mut other)] {
        for id in 0..2 {
            let descriptor = stream.take().unwrap();
            assert_eq!((descriptor.buffer, descriptor.frame), (id, u64::from(id)));
            assert_eq!(stream.data(&descriptor), entry(100 * number, 64));
        }
        assert!(stream.take().is_none());
    }
    one.send_buffer(0, 1);
    driver.command("client 1");
    driver.fails("receive", Errno::NODATA);
    driver.command("client 0");
    driver.command("receive");
    assert_eq!(other.counters().received, 0);
}

fn state_of_ones_own() {
    let driver = Driver::stream("output 2 64 clients=2");
    let (one, other) = (driver.open_stream(), driver.open_stream());
    one.session.start().unwrap();
    driver.command("client 0");
    assert_eq!(driver.count("running"), 1);
    driver.command("client 1");
    assert_eq!(driver.count("running"), 0);
    driver.fails("produce 1 1", Errno::SHUTDOWN);
    other.session.start().unwrap();
    one.session.stop().unwrap();
    driver.command("produce 1 1");
}

fn more_than_allowed_busy() {
    let driver = Driver::stream("output 1 64 clients=3");
    let _sessions = [(); 3].map(|()| driver.open());
    assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
}

fn place_free_again() {
    let driver = Driver::stream("output 1 64 clients=2");
    let first = driver.open();
    let _second = driver.open();
    assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
    drop(first);
    let third = driver.open();
    // It uses the port's end that has become free.
    third.start().unwrap();
    driver.command("client 0");
    driver.command("produce 1 1");
    assert_eq!(third.counters(iostream_raw::OUTPUT).entries, 1);
    assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
}

/// Queues and buffers take pages while a session is open, and neither before nor after.
fn queues_made_at_open() {
    let pages = crate::support::memory::pages;
    crate::support::memory::wait_for_no_pages();
    let driver = Driver::stream(&format!("output 4 {} control=64", 2 * page()));
    assert_eq!(pages(), 0);
    driver.fails("take", Errno::NOTCONN);
    driver.fails("receive", Errno::INVAL);
    driver.fails("queued", Errno::NOTCONN);
    let session = driver.open();
    // Two queues of three pages and one, the info page, four buffers of three.
    assert_eq!(pages(), 2 * 4 + 1 + 4 * 3);
    drop(session);
    crate::support::memory::wait_for_no_pages();
}

fn opener_refused() {
    let driver = Driver::stream("output 1 64");
    for (errno, error) in [
        (1, Errno::PERM),
        (13, Errno::ACCESS),
        (121, Errno::REMOTEIO),
    ] {
        driver.command(&format!("refuse {errno}"));
        assert_eq!(driver.try_open().err(), Some(error));
        driver.fails("take", Errno::NOTCONN);
    }
    driver.command("refuse 0");
    driver.open();
}

fn refused_keeps_nothing() {
    crate::support::memory::wait_for_no_pages();
    let driver = Driver::stream("output 16 65536");
    driver.command("refuse 1");
    for _ in 0..20 {
        assert_eq!(driver.try_open().err(), Some(Errno::PERM));
    }
    crate::support::memory::wait_for_no_pages();
    assert_eq!(driver.attribute("sessions"), 0);
    let closes = driver.log("closes");
    driver.command("refuse 0");
    drop(driver.open());
    assert_eq!(driver.log("closes"), closes + 1);
}

fn mode_and_group() {
    for (mode, gid) in [("640", 1000), ("666", 0)] {
        let driver = Driver::stream(&format!("output 1 64 mode={mode} gid={gid}"));
        let data = metadata(driver.path()).unwrap();
        assert_eq!(format!("{:o}", data.permissions().mode() & 0o7777), mode);
        assert_eq!(data.gid(), gid);
    }
}

fn root_alone() {
    let driver = Driver::stream("input 1 64");
    let data = metadata(driver.path()).unwrap();
    assert_eq!(
        (data.permissions().mode() & 0o7777, data.uid(), data.gid()),
        (0o600, 0, 0)
    );
}
