// SPDX-License-Identifier: MIT OR Apache-2.0

//! poll, select and epoll.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::*;

use iostream_raw::{
    check_record, echo, page, producer, sink, source, wait_for, Output, Session, OUTPUT,
};
use iostream_ring::uapi::iostream_run;
use rustix::buffer::spare_capacity;
use rustix::event::{epoll, PollFlags, Timespec};

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::echo::stuck_echo;
use crate::support::feeding::feed_sink;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-12/poll-readable", poll_readable),
    Clause::new("Q-12/poll-writable", poll_writable),
    Clause::new("Q-12/poll-by-read-and-write", poll_by_read_and_write),
    Clause::new("Q-12/poll-before-set-up", poll_before_set_up),
    Clause::new("Q-12/select", select),
    Clause::new("Q-12/epoll-level", epoll_level),
    Clause::new("Q-12/epoll-edge", epoll_edge),
    Clause::new("Q-12/epoll-one-shot", epoll_one_shot),
    Clause::slow("Q-12/epoll-edge-never-loses", 180, epoll_edge_never_loses),
    Clause::slow("Q-12/poll-never-loses", 180, poll_never_loses),
    Clause::slow(
        "Q-12/poll-for-room-never-loses",
        180,
        poll_for_room_never_loses,
    ),
    Clause::new("Q-12/epoll-in-epoll", epoll_in_epoll),
    Clause::new("Q-12/hang-up-poll", hang_up_poll),
    Clause::new("Q-12/hang-up-epoll", || {
        hang_up_epoll(epoll::EventFlags::empty())
    }),
    Clause::new("Q-12/hang-up-epoll-edge", || {
        hang_up_epoll(epoll::EventFlags::ET)
    }),
    Clause::new("Q-12/hang-up-not-asked-for", hang_up_not_asked_for),
];

const READABLE: PollFlags = PollFlags::IN.union(PollFlags::RDNORM);
const WRITABLE: PollFlags = PollFlags::OUT.union(PollFlags::WRNORM);

fn poll_readable() {
    let session = Session::new(source(4096, 16, 16, 0));
    let mut output = Output::new(&session);
    let all = READABLE | WRITABLE;
    assert_eq!(session.poll(all, 0), PollFlags::empty());
    session.run(2).1.unwrap();
    assert_eq!(session.poll(all, -1), READABLE);
    output.take().unwrap();
    assert_eq!(session.poll(all, -1), READABLE, "one is left");
    output.take().unwrap();
    assert_eq!(session.poll(all, 0), PollFlags::empty());
}

fn poll_writable() {
    let (session, input, mut output) = stuck_echo();
    let mut make_room = || {
        output.take().unwrap();
        session.notify(OUTPUT).unwrap();
    };
    assert_eq!(session.poll(WRITABLE, 0), PollFlags::empty());
    make_room();
    assert_eq!(session.poll(WRITABLE, -1), WRITABLE, "any room will do");
    // Writable means that the requested room is there.
    input.producer.word(producer::ROOM).store(96, Relaxed);
    assert_eq!(session.poll(WRITABLE, 0), PollFlags::empty());
    make_room();
    assert_eq!(session.poll(WRITABLE, 0), PollFlags::empty());
    make_room();
    assert_eq!(session.poll(WRITABLE, -1), WRITABLE);
    // More room than the queue has: writable once it is empty.
    input.producer.word(producer::ROOM).store(u64::MAX, Relaxed);
    assert_eq!(session.poll(WRITABLE, 0), PollFlags::empty());
    for _ in 0..page() / 32 - 4 {
        make_room();
    }
    assert_eq!(input.room(), page() - 32);
    assert_eq!(session.poll(WRITABLE, 0), PollFlags::empty());
    make_room();
    assert_eq!(session.poll(WRITABLE, -1), WRITABLE);
}

/// poll(2) with read(2) and write(2), without a mapping.
fn poll_by_read_and_write() {
    let session = Session::nonblocking(echo(4096));
    let all = READABLE | WRITABLE;
    assert_eq!(session.poll(all, -1), WRITABLE);
    let mut sent = 0;
    while session.write(&[7; 100]).is_ok() {
        sent += 1;
    }
    assert_eq!(session.poll(all, -1) & READABLE, READABLE);
    assert_eq!(session.poll(WRITABLE, 0), PollFlags::empty());
    for _ in 0..sent {
        assert_eq!(session.read(&mut [0; 100]), Ok(100));
    }
    assert_eq!(session.poll(all, -1), WRITABLE);
}

fn poll_before_set_up() {
    let session = Session::bare();
    let events = session.poll(READABLE | WRITABLE, -1);
    assert_eq!(events, READABLE | WRITABLE | PollFlags::ERR);
}

fn select() {
    let session = Session::new(echo(4096));
    let fd = session.as_fd().as_raw_fd();
    let selected = |read: bool| {
        let mut set = vec![Default::default(); rustix::event::fd_set_num_elements(1, fd + 1)];
        rustix::event::fd_set_insert(&mut set, fd);
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let (reads, writes) = if read {
            (Some(&mut set[..]), None)
        } else {
            (None, Some(&mut set[..]))
        };
        // SAFETY: The descriptor is open.
        unsafe { rustix::event::select(fd + 1, reads, writes, None, Some(&zero)) }.unwrap()
    };
    assert_eq!((selected(true), selected(false)), (0, 1));
    session.write_entry(b"x");
    assert_eq!((selected(true), selected(false)), (1, 1));
    session.read_entry();
    assert_eq!((selected(true), selected(false)), (0, 1));
}

fn new_epoll(session: &Session, flags: epoll::EventFlags) -> OwnedFd {
    let fd = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    epoll::add(&fd, session, epoll::EventData::new_u64(7), flags).unwrap();
    fd
}

/// The events that epoll has now, or waits for.
fn events(epoll: &OwnedFd, wait: bool) -> Option<epoll::EventFlags> {
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let mut found = Vec::with_capacity(4);
    epoll::wait(epoll, spare_capacity(&mut found), (!wait).then_some(&zero)).unwrap();
    assert!(found.len() <= 1);
    found.first().map(|event: &epoll::Event| {
        assert_eq!({ event.data }.u64(), 7);
        event.flags
    })
}

fn epoll_level() {
    let session = Session::new(source(4096, 16, 16, 0));
    let mut output = Output::new(&session);
    let epoll = new_epoll(&session, epoll::EventFlags::IN);
    assert_eq!(events(&epoll, false), None);
    session.run(2).1.unwrap();
    for _ in 0..2 {
        for _ in 0..3 {
            assert_eq!(events(&epoll, true), Some(epoll::EventFlags::IN));
        }
        output.take().unwrap();
    }
    assert_eq!(events(&epoll, false), None);
}

fn epoll_edge() {
    let session = Session::new(source(4096, 16, 16, 0));
    let mut output = Output::new(&session);
    let epoll = new_epoll(&session, epoll::EventFlags::IN | epoll::EventFlags::ET);
    assert_eq!(events(&epoll, false), None);
    for _ in 0..10 {
        session.run(2).1.unwrap();
        assert_eq!(events(&epoll, true), Some(epoll::EventFlags::IN));
        assert_eq!(events(&epoll, false), None, "told once");
        // A new entry is a new edge, even while an older one is left.
        output.take().unwrap();
        session.run(1).1.unwrap();
        assert_eq!(events(&epoll, true), Some(epoll::EventFlags::IN));
        while output.take().is_some() {}
        assert_eq!(events(&epoll, false), None);
    }
}

fn epoll_one_shot() {
    let session = Session::new(source(4096, 16, 16, 0));
    let mut output = Output::new(&session);
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
    let epoll = new_epoll(&session, flags);
    session.run(1).1.unwrap();
    assert_eq!(events(&epoll, true), Some(epoll::EventFlags::IN));
    session.run(1).1.unwrap();
    assert_eq!(events(&epoll, false), None, "not asked again");
    epoll::modify(&epoll, &session, epoll::EventData::new_u64(7), flags).unwrap();
    assert_eq!(events(&epoll, true), Some(epoll::EventFlags::IN));
    while output.take().is_some() {}
    epoll::modify(&epoll, &session, epoll::EventData::new_u64(7), flags).unwrap();
    assert_eq!(events(&epoll, false), None);
    session.run(1).1.unwrap();
    assert_eq!(events(&epoll, true), Some(epoll::EventFlags::IN));
}

fn forever(entries: u64) -> iostream_run {
    iostream_run {
        entries,
        ..Default::default()
    }
}

/// A consumer that sleeps in `wait` and never arms by itself. A lost wake-up hangs it.
fn never_loses(setup: iostream_ring::uapi::iostream_setup, wait: impl Fn(&Session)) {
    let session = Session::new(setup);
    let mut output = Output::new(&session);
    let total = count(200_000);
    let mut sleeps = 0u64;
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(session.run_with(forever(total)), (total, Ok(()))));
        let mut next = 0;
        while next < total {
            while let Some(entry) = output.take_and_notify(&session) {
                assert_eq!(check_record(&entry.bytes), next);
                next += 1;
            }
            if next < total {
                sleeps += 1;
                wait(&session);
            }
        }
    });
    println!("{total} entries, {sleeps} sleeps");
    assert!(sleeps > 0);
}

fn epoll_edge_never_loses() {
    let epoll = std::cell::OnceCell::new();
    never_loses(source(4096, 16, 200, 0), |session| {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        let epoll = epoll.get_or_init(|| new_epoll(session, flags));
        assert_eq!(events(epoll, true), Some(epoll::EventFlags::IN));
    });
}

fn poll_never_loses() {
    never_loses(source(4096, 16, 200, 0), |session| {
        assert_eq!(session.poll(PollFlags::IN, -1), PollFlags::IN);
    });
}

/// A producer that uses poll alone, and asks for the room of its next entry.
fn poll_for_room_never_loses() {
    let session = Session::new(sink(4096));
    feed_sink(
        &session,
        |input, need| {
            input.producer.word(producer::ROOM).store(need, Relaxed);
            false
        },
        || assert_eq!(session.poll(PollFlags::OUT, -1), PollFlags::OUT),
    );
}

fn epoll_in_epoll() {
    let session = Session::new(source(4096, 16, 16, 0));
    let inner = new_epoll(&session, epoll::EventFlags::IN);
    let outer = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let data = epoll::EventData::new_u64(7);
    epoll::add(&outer, &inner, data, epoll::EventFlags::IN).unwrap();
    assert_eq!(events(&outer, false), None);
    session.run(1).1.unwrap();
    assert_eq!(events(&outer, true), Some(epoll::EventFlags::IN));
    assert_eq!(wait_for(&inner, PollFlags::IN, 0), PollFlags::IN);
}

fn hang_up_poll() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let poll = || session.poll(PollFlags::IN, -1);
    let said = woken_by(libc::SYS_ppoll, poll, || driver.unpublish());
    // A read(2) fails at once.
    assert_eq!(said, PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
    assert_eq!(poll(), said, "and every time after that");
}

fn hang_up_epoll(flags: epoll::EventFlags) {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let data = epoll::EventData::new_u64(1);
    epoll::add(&epoll, &session, data, flags | epoll::EventFlags::IN).unwrap();
    let wait = || {
        let mut found: Vec<epoll::Event> = Vec::with_capacity(4);
        epoll::wait(&epoll, spare_capacity(&mut found), None).unwrap();
        found[0].flags
    };
    let said = woken_by(libc::SYS_epoll_pwait, wait, || driver.unpublish());
    let gone = epoll::EventFlags::HUP | epoll::EventFlags::ERR;
    assert_eq!(said, gone | epoll::EventFlags::IN);
}

/// A poll that asks for no event is told as well.
fn hang_up_not_asked_for() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let poll = || session.poll(PollFlags::empty(), -1);
    let said = woken_by(libc::SYS_ppoll, poll, || driver.unpublish());
    assert_eq!(said, PollFlags::HUP | PollFlags::ERR);
}
