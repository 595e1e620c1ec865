// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-03 and S-04: buffers are added at any time, and removed while the stream is closed.

use iostream_raw::stream::info;
use iostream_raw::{Prot, Stream};
use iostream_ring::uapi::*;
use rustix::buffer::spare_capacity;
use rustix::event::{epoll, PollFlags};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-03/at-the-end-while-closed", at_the_end_while_closed),
    Clause::new("S-03/others-keep-their-id", others_keep_their_id),
    Clause::new("S-03/while-open", while_open),
    Clause::new("S-03/not-there-before-joining", not_there_before_joining),
    Clause::new("S-03/wakes-with-pri", wakes_with_pri),
    Clause::new("S-03/pri-by-edge", pri_by_edge),
    Clause::new("S-03/pri-ends-when-joined", pri_ends_when_joined),
    Clause::new("S-03/generation", generation),
    Clause::new("S-03/mapped-after-joining", mapped_after_joining),
    Clause::new("S-03/client-has-them-in-input", client_has_them_in_input),
    Clause::new("S-03/while-running", while_running),
    Clause::new("S-03/beyond-room-refused", beyond_room_refused),
    Clause::new("S-03/room-for-all", room_for_all),
    Clause::new("S-03/too-many-refused", too_many_refused),
    Clause::new("S-04/by-id", by_id),
    Clause::new("S-04/by-object", by_object),
    Clause::new("S-04/all", all),
    Clause::new("S-04/while-open-refused", while_open_refused),
    Clause::new("S-04/while-mapped-refused", while_mapped_refused),
    Clause::new("S-04/after-close", after_close),
    Clause::new("S-04/bad-id", bad_id),
    Clause::new("S-04/foreign-object", foreign_object),
];

fn at_the_end_while_closed() {
    let driver = Driver::stream("output 2 64");
    driver.command("add 3");
    assert_eq!(driver.count("count"), 5);
    let stream = driver.open().stream();
    assert_eq!((stream.buffers, stream.max_buffers), (5, 5));
}

fn others_keep_their_id() {
    let driver = Driver::stream("output 2 64 queue=4");
    driver.command("set-value 0 10");
    driver.command("set-value 1 11");
    driver.command("add 1");
    let _session = driver.open();
    driver.command("add 1");
    let values: Vec<u64> = (0..4)
        .map(|id| driver.count(&format!("value {id}")))
        .collect();
    assert_eq!(values, [10, 11, 0, 0]);
}

fn while_open() {
    let driver = Driver::stream("output 2 64 queue=4");
    let session = driver.open();
    driver.command("add 2");
    assert_eq!(session.stream().buffers, 4);
    for _ in 0..4 {
        driver.command("take");
    }
    driver.fails("take", Errno::NOSPC);
}

/// Neither side can use added buffers before the client has asked for the stream's state.
fn not_there_before_joining() {
    let driver = Driver::stream("input 1 64 queue=2");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("add 1");
    assert_eq!(driver.count("buffers"), 1);
    stream.send_buffer(1, 1);
    driver.fails("receive", Errno::NODATA);
    assert_eq!(stream.counters().rejected_id, 1);
    assert_eq!(driver.count("buffers"), 1, "counters add nothing");
    assert_eq!(stream.session.stream().buffers, 2);
    assert_eq!(driver.count("buffers"), 2);
    stream.send_buffer(1, 1);
    driver.command("receive");
}

fn wakes_with_pri() {
    let driver = Driver::stream("output 1 64 queue=2");
    let session = driver.open();
    let poll = || session.poll(PollFlags::PRI, -1);
    let said = woken_by(libc::SYS_ppoll, poll, || driver.command("add 1"));
    assert_eq!(said, PollFlags::PRI);
}

fn pri_by_edge() {
    let driver = Driver::stream("output 1 64 queue=3");
    let session = driver.open();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let flags = epoll::EventFlags::ET | epoll::EventFlags::PRI;
    epoll::add(&epoll, &session, epoll::EventData::new_u64(1), flags).unwrap();
    let wait = || {
        let mut found: Vec<epoll::Event> = Vec::with_capacity(4);
        epoll::wait(&epoll, spare_capacity(&mut found), None).unwrap();
        found[0].flags
    };
    for buffers in [2, 3] {
        let said = woken_by(libc::SYS_epoll_pwait, wait, || driver.command("add 1"));
        assert_eq!(said, epoll::EventFlags::PRI);
        assert_eq!(session.stream().buffers, buffers);
    }
}

fn pri_ends_when_joined() {
    let driver = Driver::stream("output 1 64 queue=2");
    let session = driver.open();
    let pri = || session.poll(PollFlags::PRI, 0) == PollFlags::PRI;
    assert!(!pri());
    driver.command("add 1");
    assert!(pri());
    assert!(pri(), "until it is asked for");
    session.stream();
    assert!(!pri());
}

fn generation() {
    let driver = Driver::stream("output 1 64 queue=4");
    let session = driver.open();
    let page = session.map_stream_info();
    let shown = || {
        page.word(info::GENERATION)
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    assert_eq!((shown(), session.stream().generation), (1, 1));
    driver.command("add 2");
    assert_eq!(shown(), 2, "without a system call");
    driver.command("add 1");
    assert_eq!((shown(), session.stream().generation), (3, 3));
    drop((page, session));
    // The generation belongs to the stream, not to the session.
    assert_eq!(driver.open().stream().generation, 3);
}

fn mapped_after_joining() {
    let driver = Driver::stream("output 2 64 queue=4");
    let session = driver.open();
    let before = session.try_map_buffers(0..2, Prot::READ).unwrap();
    driver.command("add 2");
    let stride = session.stream().buffer_stride as usize;
    let added = session.try_map_buffers(2..4, Prot::READ).unwrap();
    let all = session.try_map_buffers(0..4, Prot::READ).unwrap();
    for id in 0..4 {
        driver.command("take");
        driver.command(&format!("fill {id} {id} 0 64"));
    }
    for id in 0..4_usize {
        let expected = entry(id as u64, 64);
        assert_eq!(all.read(id * stride, 64), expected);
        let part = if id < 2 { &before } else { &added };
        assert_eq!(part.read(id % 2 * stride, 64), expected);
    }
}

fn client_has_them_in_input() {
    let driver = Driver::stream("input 1 64 queue=2");
    let session = driver.open();
    driver.command("add 1");
    let mut stream = Stream::new(session);
    assert_eq!(stream.count, 2);
    stream.session.start().unwrap();
    stream.send_buffer(1, 5);
    driver.command("receive");
    assert_eq!(driver.log("id"), 1);
}

/// Buffers that are already queued keep moving.
fn while_running() {
    let driver = Driver::stream("output 2 64 queue=4");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 1 10");
    driver.command("add 2");
    assert_eq!(stream.session.stream().buffers, 4);
    driver.command("produce 3 10");
    let ids: Vec<u32> = stream
        .take_all()
        .iter()
        .map(|descriptor| descriptor.buffer)
        .collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    assert_eq!(stream.word(info::STATE), u64::from(IOSTREAM_STATE_RUNNING));
}

fn beyond_room_refused() {
    let driver = Driver::stream("output 2 64 queue=3");
    let session = driver.open();
    driver.fails("add 2", Errno::BUSY);
    assert_eq!(driver.count("count"), 2, "none of them");
    driver.command("add 1");
    driver.fails("add 1", Errno::BUSY);
    assert_eq!(session.stream().buffers, 3);
    drop(session);
    driver.command("add 1");
    assert_eq!(driver.open().stream().buffers, 4);
}

/// The queues have room for every buffer: all of them are queued at once, and returned.
fn room_for_all() {
    for buffers in [102, 103] {
        let driver = Driver::stream(&format!("output 1 64 queue={buffers}"));
        let mut stream = driver.open_stream();
        driver.command(&format!("add {}", buffers - 1));
        stream.session.stream();
        stream.session.start().unwrap();
        for _ in 0..3 {
            driver.command(&format!("produce {buffers} 1"));
            let taken = stream.take_all();
            assert_eq!(taken.len(), buffers);
            for descriptor in taken {
                stream.give_back(descriptor.buffer);
            }
        }
    }
}

fn too_many_refused() {
    let driver = Driver::stream("output 1 64");
    driver.fails("add 16384", Errno::TOOBIG);
    driver.fails("add 4294967295", Errno::TOOBIG);
    assert_eq!(driver.count("count"), 1);
    driver.command("add 16383");
    driver.fails("add 1", Errno::TOOBIG);
    driver.command("add 0");
    assert_eq!(driver.count("count"), 16384);
}

/// A stream whose buffers have the values 10, 11, 12 ...
fn numbered(buffers: u64) -> Driver {
    let driver = Driver::stream(&format!("output {buffers} 64"));
    for id in 0..buffers {
        driver.command(&format!("set-value {id} {}", 10 + id));
    }
    driver
}

fn values(driver: &Driver) -> Vec<u64> {
    let count = driver.count("count");
    (0..count)
        .map(|id| driver.count(&format!("value {id}")))
        .collect()
}

/// The ids of the buffers after it shift down: ids stay 0 to count - 1.
fn by_id() {
    let driver = numbered(5);
    driver.command("remove 1");
    assert_eq!(values(&driver), [10, 12, 13, 14]);
    driver.command("remove 3");
    assert_eq!(values(&driver), [10, 12, 13]);
    driver.command("remove 0");
    assert_eq!(values(&driver), [12, 13]);
    assert_eq!(driver.open().stream().buffers, 2);
}

fn by_object() {
    let driver = numbered(4);
    driver.command("keep-record 2");
    // The object is removed, whatever its id is by then.
    driver.command("remove 0");
    driver.command("remove-kept");
    assert_eq!(values(&driver), [11, 13]);
    driver.fails("remove-kept", Errno::INVAL);
}

fn all() {
    let driver = numbered(4);
    driver.command("remove-all");
    assert_eq!(driver.count("count"), 0);
    let session = driver.open();
    assert_eq!(session.stream().buffers, 0);
    session.start().unwrap();
    driver.fails("take", Errno::NOSPC);
    drop(session);
    driver.command("add 2");
    assert_eq!(driver.open().stream().buffers, 2);
}

fn while_open_refused() {
    let driver = numbered(3);
    driver.command("keep-record 1");
    let session = driver.open();
    for command in ["remove 0", "remove-kept", "remove-all"] {
        driver.fails(command, Errno::BUSY);
    }
    assert_eq!(session.stream().buffers, 3);
    assert_eq!(values(&driver), [10, 11, 12]);
}

/// The session lasts as long as its last mapping.
fn while_mapped_refused() {
    let driver = numbered(3);
    let session = driver.open();
    let map = session.try_map_buffers(0..1, Prot::READ).unwrap();
    drop(session);
    driver.fails("remove 0", Errno::BUSY);
    drop(map);
    driver.command("remove 0");
}

fn after_close() {
    let driver = numbered(3);
    for left in [2, 1] {
        let session = driver.open();
        driver.fails("remove 0", Errno::BUSY);
        drop(session);
        driver.command("remove 0");
        let stream = driver.open().stream();
        assert_eq!((stream.buffers, stream.max_buffers), (left, left));
    }
}

fn bad_id() {
    let driver = numbered(3);
    for id in [3, 4, u32::MAX] {
        driver.fails(&format!("remove {id}"), Errno::INVAL);
    }
    assert_eq!(values(&driver), [10, 11, 12]);
}

/// A buffer of another stream, or one that was removed, is refused.
fn foreign_object() {
    let driver = numbered(3);
    driver.command("keep-record 1");
    driver.unpublish();
    driver.command("publish selftest output 3 64");
    driver.fails("remove-kept", Errno::INVAL);
    assert_eq!(driver.count("count"), 3);
}
