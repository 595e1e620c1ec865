// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-21: a driver that is the client of another stream, which it starts and stops when its own is
//! started and stopped. On the bug-hunting kernel the lock validator judges every step.

use iostream_raw::{node_called, Session, Stream};
use iostream_ring::uapi::*;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};
use crate::support::filter::Filter;
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-21/filter", filter),
    Clause::new("S-21/filter-of-a-filter", filter_of_a_filter),
    Clause::new("S-21/filter-source-refuses", source_refuses),
    Clause::new("S-21/filters-in-a-ring", in_a_ring),
];

const NAMES: [&str; 2] = ["filter-0", "filter-1"];

fn open(name: &str) -> Stream {
    let path = node_called(name).expect("the filter's node");
    Stream::new(Session::open(path, OFlags::RDWR).expect("open a filter"))
}

/// The driver of the first source, and `depth` filters on top of each other.
fn chain(depth: usize) -> (Driver, Vec<Filter>) {
    let driver = Driver::stream("output 4 4096");
    let filters = (0..depth).map(|number| {
        let source = match number {
            0 => "selftest",
            _ => NAMES[number - 1],
        };
        Filter::publish(number, NAMES[number], source)
    });
    let filters = filters.collect();
    (driver, filters)
}

/// Buffers go all the way through, and each state of the last stream is the state of all.
fn works(driver: &Driver, stream: &mut Stream) {
    stream.session.start().unwrap();
    assert_eq!(driver.shown("state"), "running");
    for round in 0..20 {
        driver.command(&format!("produce 1 {}", 10 + round));
        let mut found = None;
        wait_until("the buffer comes", || {
            found = stream.take();
            found.is_some()
        });
        let found = found.unwrap();
        assert_eq!(stream.data(&found), entry(0, 10 + round));
        stream.give_back(found.buffer);
    }
    stream.session.suspend().unwrap();
    assert_eq!(driver.shown("state"), "suspended");
    stream.session.start().unwrap();
    assert_eq!(driver.shown("state"), "running");
    stream.session.stop().unwrap();
    assert_eq!(driver.shown("state"), "stopped");
}

/// Starts, moves buffers, stops and is removed, in every order of removal.
fn removed_in_every_order(depth: usize) {
    for running in [false, true] {
        for source_first in [false, true] {
            let (driver, mut filters) = chain(depth);
            let mut stream = open(NAMES[depth - 1]);
            works(&driver, &mut stream);
            works(&driver, &mut stream);
            if running {
                stream.session.start().unwrap();
            }
            if source_first {
                driver.unpublish();
                filters.reverse();
            }
            // Without a reversal the last filter is dropped first.
            while let Some(filter) = filters.pop() {
                drop(filter);
            }
            assert_eq!(stream.session.start(), Err(Errno::NODEV));
        }
    }
}

fn filter() {
    removed_in_every_order(1);
}

fn filter_of_a_filter() {
    removed_in_every_order(2);
}

/// An error of the source's driver reaches the client of the last filter, and nothing runs.
fn source_refuses() {
    let (driver, _filters) = chain(2);
    let mut stream = open(NAMES[1]);
    driver.command("fail start 5");
    assert_eq!(stream.session.start(), Err(Errno::IO));
    assert_eq!(stream.session.stream().state, IOSTREAM_STATE_STOPPED);
    assert_eq!(driver.shown("state"), "stopped");
    driver.command("fail start 0");
    works(&driver, &mut stream);
}

/// Two filters that are each other's source cannot run.
fn in_a_ring() {
    let filters = [0, 1].map(|number| Filter::publish(number, NAMES[number], NAMES[1 - number]));
    // The second opens the first, which has a client already.
    let stream = open(NAMES[0]);
    assert_eq!(stream.session.start(), Err(Errno::BUSY));
    drop(stream);
    drop(filters);
    let filters = [0, 1].map(|number| Filter::early(number, NAMES[number], NAMES[1 - number]));
    filters.iter().for_each(Filter::open);
    // Each has the other as its client, so only root can start one.
    let path = node_called(NAMES[0]).unwrap();
    let state = std::path::Path::new("/sys/class/iostream").join(path.file_name().unwrap());
    let started = std::fs::write(state.join("state"), "running");
    let errno = started.map_err(|error| Errno::from_io_error(&error).unwrap());
    assert_eq!(errno, Err(Errno::DEADLK));
}
