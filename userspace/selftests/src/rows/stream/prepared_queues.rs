// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-10: queues that are made without a client. S-11: the driver looks at them, and the process
//! maps them.

use iostream_raw::{Area, INPUT, OUTPUT};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::memory::{pages, wait_for_no_pages};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-10/created-without-a-client", created_without_a_client),
    Clause::new("S-10/created-once", created_once),
    Clause::new("S-10/used-by-the-next-client", used_by_the_next_client),
    Clause::new(
        "S-10/destroyed-without-a-client",
        destroyed_without_a_client,
    ),
    Clause::new("S-10/destroying-under-a-client-refused", destroying_refused),
    Clause::new("S-10/creating-under-a-client-refused", creating_refused),
    Clause::new("S-10/buffers-changed-meanwhile", buffers_changed_meanwhile),
    Clause::new("S-10/go-with-the-driver", go_with_the_driver),
    Clause::new(
        "S-10/refused-opener-leaves-them",
        refused_opener_leaves_them,
    ),
    Clause::new("S-11/driver-looks", driver_looks),
    Clause::new("S-11/driver-without-client", driver_without_client),
    Clause::new("S-11/process-maps", process_maps),
];

/// Two queues of three pages and one, the info page, and four buffers.
const PAGES: u64 = 2 * 4 + 1 + 4;

fn created_without_a_client() {
    wait_for_no_pages();
    let driver = Driver::stream("output 4 64");
    assert_eq!(driver.count("has-queues"), 0);
    driver.command("create-queues");
    assert_eq!((driver.count("has-queues"), pages()), (1, PAGES));
}

/// An opener that is refused gets nothing, and so takes nothing from the next.
fn refused_opener_leaves_them() {
    wait_for_no_pages();
    let driver = Driver::stream("output 4 64");
    driver.command("create-queues");
    driver.command("refuse 13");
    for _ in 0..3 {
        assert_eq!(driver.try_open().err(), Some(Errno::ACCESS));
        assert_eq!((driver.count("has-queues"), pages()), (1, PAGES));
    }
    driver.command("refuse 0");
    let _session = driver.open();
    assert_eq!(pages(), PAGES, "none beside them");
}

fn created_once() {
    wait_for_no_pages();
    let driver = Driver::stream("output 4 64");
    driver.command("create-queues");
    driver.command("create-queues");
    assert_eq!(pages(), PAGES);
}

fn used_by_the_next_client() {
    wait_for_no_pages();
    let driver = Driver::stream("input 4 64");
    driver.command("create-queues");
    for _ in 0..2 {
        let mut stream = driver.open_stream();
        assert_eq!(pages(), PAGES, "none beside them");
        stream.session.start().unwrap();
        stream.send_buffer(3, 1);
        driver.command("receive");
        driver.command("release-all");
        drop(stream);
        wait_for_no_pages();
        assert_eq!(driver.count("has-queues"), 0, "each client has its own");
    }
}

fn destroyed_without_a_client() {
    wait_for_no_pages();
    let driver = Driver::stream("output 4 64");
    driver.command("destroy-queues");
    driver.command("create-queues");
    driver.command("destroy-queues");
    assert_eq!(driver.count("has-queues"), 0);
    wait_for_no_pages();
    assert_eq!(driver.open().stream().buffers, 4);
}

fn destroying_refused() {
    let driver = Driver::stream("output 4 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.fails("destroy-queues", Errno::BUSY);
    assert_eq!(driver.count("has-queues"), 1);
    driver.command("produce 4 1");
    assert_eq!(stream.take_all().len(), 4);
    drop(stream);
    driver.command("destroy-queues");
}

fn creating_refused() {
    let driver = Driver::stream("output 4 64");
    let session = driver.open();
    driver.fails("create-queues", Errno::BUSY);
    drop(session);
    driver.command("create-queues");
}

fn buffers_changed_meanwhile() {
    let driver = Driver::stream("output 4 64");
    for (command, buffers) in [
        ("add 2", 6),
        ("remove 0", 5),
        ("remove-all", 0),
        ("add 3", 3),
    ] {
        driver.command("create-queues");
        driver.command(command);
        let stream = driver.open().stream();
        assert_eq!(
            (stream.buffers, stream.max_buffers),
            (buffers, buffers.max(1))
        );
    }
}

fn go_with_the_driver() {
    wait_for_no_pages();
    let driver = Driver::stream("output 4 64");
    driver.command("create-queues");
    driver.unpublish();
    // The driver's ends belong to the next node.
    driver.command("publish selftest output 4 64");
    wait_for_no_pages();
}

fn driver_looks() {
    let driver = Driver::stream("input-output 4 64");
    let mut stream = driver.open_stream();
    let queued = || {
        driver.command("queued");
        (driver.log("queued_output"), driver.log("queued_input"))
    };
    assert_eq!(queued(), (0, 0));
    stream.session.start().unwrap();
    driver.command("produce 3 1");
    assert_eq!(queued(), (3, 0));
    let taken = [stream.take().unwrap(), stream.take().unwrap()];
    assert_eq!(queued(), (1, 0));
    for descriptor in taken {
        stream.send_buffer(descriptor.buffer, 1);
    }
    assert_eq!(queued(), (1, 2));
    driver.command("receive");
    assert_eq!(queued(), (1, 1));
}

fn driver_without_client() {
    let driver = Driver::stream("input-output 4 64");
    for command in ["queued", "mode", "buffers", "take", "receive", "notify"] {
        driver.fails(command, Errno::NOTCONN);
    }
    assert_eq!(driver.count("running"), 0);
}

/// The process maps them like any other queue.
fn process_maps() {
    let driver = Driver::stream("input-output 4 64");
    let session = driver.open();
    for direction in [OUTPUT, INPUT] {
        assert_eq!(session.queue(direction).direction, direction);
        for area in Area::ALL {
            session.map(direction, area);
        }
    }
    session.map_writable(OUTPUT, Area::Consumer);
    session.map_writable(INPUT, Area::Producer);
    session.map_writable(INPUT, Area::Data);
}
