// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-02 and S-05: what a buffer has, and how it is found.

use iostream_raw::{page, page_len, Map, Prot};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-02/ids", ids),
    Clause::new("S-02/data-area", data_area),
    Clause::new("S-02/control-area", control_area),
    Clause::new("S-02/no-control-area", no_control_area),
    Clause::new("S-02/areas-are-apart", areas_are_apart),
    Clause::new("S-02/zeroed", zeroed),
    Clause::new("S-02/value-kept", value_kept),
    Clause::new("S-02/references", references),
    Clause::new(
        "S-02/references-without-a-client",
        references_without_a_client,
    ),
    Clause::new("S-05/count-on-both-sides", count_on_both_sides),
    Clause::new("S-05/by-id-for-the-driver", by_id_for_the_driver),
    Clause::new("S-05/bad-id-for-the-driver", bad_id_for_the_driver),
    Clause::new("S-05/by-id-for-the-client", by_id_for_the_client),
    Clause::new("S-05/bad-id-for-the-client", bad_id_for_the_client),
];

/// The driver gets each id once, from 0 to count - 1.
fn ids() {
    let driver = Driver::stream("output 5 64");
    let _session = driver.open();
    let mut ids: Vec<u64> = (0..5)
        .map(|_| {
            driver.command("take");
            driver.log("id")
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
    driver.fails("take", Errno::NOSPC);
}

/// Each side sees what the other one writes.
fn data_area() {
    let driver = Driver::stream("input-output 3 5000");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("take");
    driver.command("fill 0 7 100 4900");
    driver.command("range 0 100 4900");
    driver.command("send 0");
    let descriptor = stream.take().unwrap();
    assert_eq!(stream.data(&descriptor), entry(7, 4900));
    stream.write(0, 0, &[3; 5000]);
    stream.send_buffer(0, 5000);
    driver.command("receive");
    assert_eq!(driver.log("sum"), 3 * 5000);
}

fn control_area() {
    let driver = Driver::stream("input-output 2 4096 control=100");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("take");
    driver.command("fill-control 0 9 10 90");
    driver.command("control-range 0 10 90");
    driver.command("send 0");
    let mut descriptor = stream.take().unwrap();
    assert_eq!(stream.control(&descriptor), entry(9, 90));
    assert_eq!(descriptor.data_len, 0);
    stream.write_control(0, 0, &[5; 100]);
    (descriptor.control_offset, descriptor.control_len) = (0, 100);
    stream.send(descriptor);
    driver.command("receive");
    assert_eq!(driver.log("control_sum"), 5 * 100);
    assert_eq!(driver.log("len"), 0);
}

fn no_control_area() {
    let driver = Driver::stream("output 1 4096");
    let session = driver.open();
    let stream = session.stream();
    assert_eq!(stream.control_bytes, 0);
    assert_eq!(
        (stream.control_start, stream.buffer_stride),
        (page(), page())
    );
    driver.command("take");
    driver.fails("control-range 0 0 1", Errno::INVAL);
    driver.command("control-range 0 0 0");
    driver.fails("fill-control 0 1 0 1", Errno::INVAL);
}

/// No areas overlap, seen from both sides.
fn areas_are_apart() {
    let page = page_len();
    let driver = Driver::stream(&format!("input-output 4 {page} control={page}"));
    let stream = driver.open_stream();
    for id in 0..4 {
        driver.command("take");
        assert_eq!(driver.log("id"), id);
    }
    for id in 0..4 {
        driver.command(&format!("fill {id} {} 0 {page}", 10 * id));
        driver.command(&format!("fill-control {id} {} 0 {page}", 10 * id + 100));
    }
    for id in 0..4 {
        let at = id as usize * stream.stride;
        assert_eq!(stream.buffers.read(at, page), entry(10 * id, page));
        let control = stream.buffers.read(at + stream.control_start, page);
        assert_eq!(control, entry(10 * id + 100, page));
    }
}

fn zeroed() {
    let driver = Driver::stream("output 8 5000 control=10");
    let session = driver.open();
    let map = session.try_map_buffers(0..8, Prot::READ).unwrap();
    assert!(map.read(0, map.len()).iter().all(|byte| *byte == 0));
    let info = session.map_stream_info();
    // Mode and state are zero, the generation and the number of the clock are one.
    let words: Vec<u8> = info.read(0, page_len());
    assert_eq!(words.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 2);
}

/// The driver's value stays with the buffer, across sessions.
fn value_kept() {
    let driver = Driver::stream("output 3 64");
    for id in 0..3 {
        assert_eq!(driver.count(&format!("value {id}")), 0, "at first");
        driver.command(&format!("set-value {id} {}", u64::MAX - id));
    }
    for _ in 0..2 {
        let session = driver.open();
        for id in 0..3 {
            assert_eq!(driver.count(&format!("value {id}")), u64::MAX - id);
        }
        drop(session);
    }
}

/// One while the buffer is with the client or queued.
fn references() {
    let driver = Driver::stream("output 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let count = || [0, 1].map(|id| driver.count(&format!("references {id}")));
    assert_eq!(count(), [0, 0]);
    driver.command("take");
    assert_eq!(count(), [0, 0], "the driver's");
    driver.command("send 0");
    assert_eq!(count(), [1, 0], "queued to the client");
    stream.take().unwrap();
    assert_eq!(count(), [1, 0], "the process's");
    stream.give_back(0);
    assert_eq!(count(), [1, 0], "queued to the driver");
    driver.command("take");
    driver.command("take");
    driver.fails("take", Errno::NOSPC);
    assert_eq!(count(), [0, 0]);
}

/// Nobody has references to the buffers of queues that no client has.
fn references_without_a_client() {
    let driver = Driver::stream("input 2 64");
    let count = || [0, 1].map(|id| driver.count(&format!("references {id}")));
    driver.command("create-queues");
    assert_eq!(count(), [0, 0]);
    driver.command("refuse 1");
    assert_eq!(driver.try_open().err(), Some(Errno::PERM));
    assert_eq!(count(), [0, 0]);
    driver.command("refuse 0");
    let session = driver.open();
    assert_eq!(count(), [1, 1], "with the client from the start");
    drop(session);
    assert_eq!(count(), [0, 0]);
    driver.command("destroy-queues");
    assert_eq!(count(), [0, 0]);
}

fn count_on_both_sides() {
    let driver = Driver::stream("input-output 7 64");
    assert_eq!(driver.count("count"), 7);
    let session = driver.open();
    assert_eq!(driver.count("buffers"), 7);
    assert_eq!(driver.attribute("buffers"), 7);
    assert_eq!(session.stream().buffers, 7);
    let fdinfo = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&session));
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fdinfo}")).unwrap();
    assert!(
        text.contains("state stopped buffers 7 data_bytes 64 "),
        "{text}"
    );
}

fn by_id_for_the_driver() {
    let driver = Driver::stream("output 3 64");
    driver.command("set-value 2 77");
    assert_eq!(driver.count("value 2"), 77);
    assert_eq!(driver.count("value 1"), 0);
}

fn bad_id_for_the_driver() {
    let driver = Driver::stream("output 3 64");
    for id in [3, 4, u32::MAX] {
        driver.fails(&format!("value {id}"), Errno::INVAL);
    }
    driver.command("remove-all");
    driver.fails("value 0", Errno::INVAL);
}

/// Each buffer lies where offset and stride say.
fn by_id_for_the_client() {
    let driver = Driver::stream("output 3 5000");
    let session = driver.open();
    for id in 0..3 {
        driver.command("take");
        driver.command(&format!("fill {id} {} 0 1", 50 + id));
        let map = session.try_map_buffers(id..id + 1, Prot::READ).unwrap();
        assert_eq!(u32::from(map.read(0, 1)[0]), 50 + id);
    }
}

fn bad_id_for_the_client() {
    let driver = Driver::stream("output 3 64");
    let session = driver.open();
    for ids in [3..4, 2..4, 0..4, 1000..1001] {
        let map = session.try_map_buffers(ids.clone(), Prot::READ);
        assert_eq!(map.err(), Some(Errno::INVAL), "{ids:?}");
    }
    // The largest offset.
    let far = session.stream().buffers_offset + (1 << 40) - page();
    let flags = rustix::mm::MapFlags::SHARED;
    let map = Map::try_new(&session, far, page_len(), Prot::READ, flags);
    assert_eq!(map.err(), Some(Errno::INVAL));
}
