// SPDX-License-Identifier: MIT OR Apache-2.0

//! F: sessions that outlive what they depend on, or end before it, in processes that come and go.

use std::mem::offset_of;
use std::sync::atomic::Ordering::*;

use iostream_raw::{echo, page, page_len, sink, source, Map, Ring, Session, DEVICE, INPUT, OUTPUT};
use iostream_ring::uapi::iostream_info;
use libc::{pid_t, SIGKILL};
use rustix::io::Errno;

use super::Round;
use crate::driver::{self, Driver};
use crate::sys::{self, Fd};

const BATCH: u64 = 8;

/// One round of the class.
pub fn round(round: &mut Round<'_>) {
    for _ in 0..BATCH {
        match round.random.below(8) {
            0 => closed_while_mapped(round),
            1 => passed_on(round),
            2 => duplicated(round),
            3 => across_exec(round),
            4 => killed(round),
            5 => forked(round),
            6 => removed(round),
            _ => two_openers(round),
        }
        round.cases += 1;
    }
    round.victim.check();
}

/// Waits until a child sets the word, or ends.
fn wait_for(word: &Map, pid: pid_t) {
    // SAFETY: Zero is a valid value of this type.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let look = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    while word.word(0).load(Acquire) == 0 {
        std::thread::yield_now();
        // SAFETY: `info` is a valid place to write to; its id is set, or still zero.
        let ended = unsafe {
            libc::waitid(libc::P_PID, pid as u32, &mut info, look) == 0 && info.si_pid() == pid
        };
        if ended {
            return;
        }
    }
}

#[track_caller]
fn ends_well(pid: pid_t) {
    let status = sys::wait(pid);
    assert_eq!(status, 0, "the child's status");
}

fn both(session: &Session) -> (Ring, Ring) {
    let output = Ring::new(session, OUTPUT).expect("the output queue");
    (Ring::new(session, INPUT).expect("the input queue"), output)
}

/// The descriptor is closed first; the mappings go later, in any order.
fn closed_while_mapped(round: &mut Round<'_>) {
    let session = Session::nonblocking(echo(page()));
    let (input, output) = both(&session);
    drop(session);
    let mut maps = vec![
        input.data,
        input.producer,
        output.consumer,
        output.data,
        output.info,
    ];
    while !maps.is_empty() {
        for map in &maps[..3.min(maps.len())] {
            map.word(8).load(Relaxed);
        }
        let next = round.random.below(maps.len() as u64) as usize;
        maps.swap_remove(next);
    }
}

/// A descriptor is sent by SCM_RIGHTS to a process that has it alone in the end.
fn passed_on(round: &mut Round<'_>) {
    let mut pair = [0; 2];
    // SAFETY: The array has room for two descriptors.
    let made = unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM, 0, pair.as_mut_ptr()) };
    assert_eq!(made, 0);
    let mapped_first = round.random.chance(2);
    let pid = sys::fork(|| {
        sys::close(pair[0]);
        let Some(fd) = receive(pair[1]) else {
            sys::exit_now(2);
        };
        let session = sys::session(fd);
        // What the sender has mapped cannot be mapped again; everything else works.
        let ok = match Ring::new(&session, INPUT) {
            Ok(ring) => {
                ring.producer_pos().store(u64::MAX, Release);
                session.notify(INPUT).is_ok()
            }
            Err(error) => mapped_first && error == Errno::BUSY,
        };
        sys::exit_now(i32::from(!ok));
    });
    let session = Session::nonblocking(sink(page()));
    let ring = mapped_first.then(|| Ring::new(&session, INPUT));
    send(pair[0], session.raw_fd());
    drop(session);
    if round.random.chance(2) {
        drop(ring);
        ends_well(pid);
    } else {
        ends_well(pid);
        drop(ring);
    }
    sys::close(pair[0]);
    sys::close(pair[1]);
}

/// Room for a message with one descriptor.
const CONTROL: usize = 64;

fn message(control: &mut [u64; CONTROL / 8], io: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: Zero is a valid value of this type.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = io;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: The macro only computes a size.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as _;
    message
}

fn send(socket: Fd, fd: Fd) {
    let mut byte = 1_u8;
    let mut io = libc::iovec {
        iov_base: std::ptr::from_mut(&mut byte).cast(),
        iov_len: 1,
    };
    let mut control = [0; CONTROL / 8];
    let message = message(&mut control, &mut io);
    // SAFETY: The message has room for one header with one descriptor.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header).cast::<Fd>().write_unaligned(fd);
        libc::sendmsg(socket, &message, 0)
    };
    assert_eq!(sent, 1, "sendmsg");
}

fn receive(socket: Fd) -> Option<Fd> {
    let mut byte = 0_u8;
    let mut io = libc::iovec {
        iov_base: std::ptr::from_mut(&mut byte).cast(),
        iov_len: 1,
    };
    let mut control = [0; CONTROL / 8];
    let mut message = message(&mut control, &mut io);
    // SAFETY: The control buffer has room for one header with one descriptor, and a header is read
    // only if there is one.
    unsafe {
        if libc::recvmsg(socket, &mut message, 0) != 1 {
            return None;
        }
        let header = libc::CMSG_FIRSTHDR(&message);
        (!header.is_null()).then(|| libc::CMSG_DATA(header).cast::<Fd>().read_unaligned())
    }
}

fn duplicated(round: &mut Round<'_>) {
    let session = Session::nonblocking(echo(page()));
    let mut all: Vec<_> = (0..1 + round.random.below(8))
        .map(|_| sys::duplicate(&session))
        .collect();
    drop(session);
    while let Some(one) = all.pop() {
        assert_eq!(sys::write(one.raw_fd(), &[1; 16]), Ok(16));
        assert_eq!(sys::read(one.raw_fd(), &mut [0; 16]), Ok(16));
    }
}

/// The next program has the descriptor, but no mapping of the previous one.
fn across_exec(round: &mut Round<'_>) {
    let session = Session::nonblocking(echo(page()));
    let mapped = round.random.chance(2);
    let pid = sys::fork(|| {
        let rings = mapped.then(|| both(&session));
        // The duplicate is not closed by exec.
        let fd = sys::dup(session.raw_fd()).expect("dup");
        let fd = std::ffi::CString::new(fd.to_string()).expect("digits");
        let args = [
            c"hostile".as_ptr(),
            c"--use".as_ptr(),
            fd.as_ptr(),
            std::ptr::null(),
        ];
        // SAFETY: The strings end in zero, and the list in null.
        unsafe { libc::execv(c"/proc/self/exe".as_ptr(), args.as_ptr()) };
        drop(rings);
        sys::exit_now(3);
    });
    if round.random.chance(2) {
        drop(session);
    }
    ends_well(pid);
}

/// What `hostile --use FD` does: the descriptor works in a new program, mappings included, except
/// for areas that the previous program had mapped writable.
pub fn used_after_exec(fd: Fd) -> bool {
    let session = sys::session(fd);
    match sys::write(fd, &[1; 16]) {
        Ok(16) => {
            let read = sys::read(fd, &mut [0; 16]) == Ok(16);
            read && [INPUT, OUTPUT]
                .iter()
                .all(|d| Ring::new(&session, *d).is_ok())
        }
        Err(Errno::BUSY) => Ring::new(&session, INPUT).err() == Some(Errno::BUSY),
        _ => false,
    }
}

/// SIGKILL during an operation, sleeping or not.
fn killed(round: &mut Round<'_>) {
    let what = round.random.below(6);
    let word = sys::shared_page();
    let pid = sys::fork(|| {
        let setup = match what {
            0..3 => echo(page()),
            3 => source(page(), 64, 64, 1000),
            4 => source(page(), 64, 64, 0),
            _ => sink(page()),
        };
        let session = Session::nonblocking(setup);
        let rings: Vec<_> = [OUTPUT, INPUT]
            .map(|d| Ring::new(&session, d))
            .into_iter()
            .collect();
        word.word(0).store(1, Release);
        loop {
            match what {
                0 => {
                    sys::poll(session.raw_fd(), libc::POLLIN, -1);
                }
                1 => {
                    let epoll = sys::epoll();
                    let _ = sys::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, session.raw_fd(), 1);
                    sys::epoll_wait(epoll, -1);
                }
                2 => {
                    for ring in rings.iter().flatten() {
                        ring.own_words().0.word(0).store(8, Release);
                    }
                    let _ = session.notify(INPUT);
                }
                3 => {
                    sys::poll(session.raw_fd(), libc::POLLIN, -1);
                    for ring in rings.iter().flatten() {
                        let head = ring.producer_pos().load(Acquire);
                        ring.consumer_pos().store(head, Release);
                    }
                }
                // It waits for room, or for an entry, which never comes.
                _ => {
                    let _ = session.run_for(0, 0);
                }
            }
        }
    });
    wait_for(&word, pid);
    for _ in 0..round.random.below(64) {
        std::thread::yield_now();
    }
    sys::kill(pid, SIGKILL);
    assert_eq!(sys::wait(pid), SIGKILL, "the child's status");
}

/// Two processes with one session; either may end first. The child has no mapping.
fn forked(round: &mut Round<'_>) {
    let session = Session::nonblocking(echo(page()));
    let rings = both(&session);
    let at = rings.0.data.address();
    let word = sys::shared_page();
    let pid = sys::fork(|| {
        word.word(0).store(1, Release);
        let copied = sys::call(libc::SYS_mincore, &[at, page_len(), word.address() + 8]);
        // Nothing is mapped there.
        if copied != Err(Errno::NOMEM) {
            sys::exit_now(5);
        }
        sys::exit_now(i32::from(session.notify(INPUT).is_err()));
    });
    if round.random.chance(2) {
        wait_for(&word, pid);
        drop(rings);
        drop(session);
        ends_well(pid);
    } else {
        ends_well(pid);
    }
}

/// The driver's node is removed while a client has it open and mapped, and sleeps.
fn removed(round: &mut Round<'_>) {
    let driver = Driver::new();
    // An earlier round may have left it.
    let _ = driver.unpublish();
    driver.publish().expect("publish");
    let path = driver::path().expect("the node");
    let word = sys::shared_page();
    let what = round.random.below(4);
    let pid = sys::fork(|| {
        let session = driver::open(&path);
        let rings = (what != 1).then(|| both(&session));
        word.word(0).store(1, Release);
        match what {
            0 => {
                sys::poll(session.raw_fd(), 0, -1);
            }
            1 => {
                let mut bytes = [0; 64];
                while sys::read(session.raw_fd(), &mut bytes) != Err(Errno::NODEV) {
                    sys::poll(session.raw_fd(), libc::POLLIN, -1);
                }
            }
            2 => while session.notify(INPUT) != Err(Errno::NODEV) {},
            _ => {
                let event = sys::eventfd(0);
                let _ = session.eventfd(OUTPUT, event);
                while session.try_queue(OUTPUT).is_ok() {
                    sys::poll(event, libc::POLLIN, 1);
                }
            }
        }
        // The memory stays valid until it is unmapped.
        if let Some((input, output)) = &rings {
            input.producer_pos().store(8, Release);
            output.data_word(0).load(Acquire);
            if output
                .info
                .word(offset_of!(iostream_info, gone))
                .load(Acquire)
                != 1
            {
                sys::exit_now(4);
            }
        }
        let gone = driver::try_open(&path).err();
        sys::exit_now(i32::from(!matches!(
            gone,
            Some(Errno::NODEV | Errno::NXIO | Errno::NOENT)
        )));
    });
    wait_for(&word, pid);
    let _ = driver.tell("enqueue 16");
    driver.unpublish().expect("unpublish");
    ends_well(pid);
}

/// A driver's node can be opened once; the built-in one gives each opener a session.
fn two_openers(round: &mut Round<'_>) {
    let driver = Driver::new();
    let _ = driver.unpublish();
    driver.publish().expect("publish");
    let path = driver::path().expect("the node");
    let first = driver::open(&path);
    let ring = round.random.chance(2).then(|| Ring::new(&first, OUTPUT));
    assert_eq!(driver::try_open(&path).err(), Some(Errno::BUSY));
    drop(first);
    if ring.is_some() {
        assert_eq!(
            driver::try_open(&path).err(),
            Some(Errno::BUSY),
            "mapped is open"
        );
    }
    drop(ring);
    let next = driver::open(&path);
    let ring = Ring::new(&next, OUTPUT).expect("the queue");
    assert_eq!(
        ring.data.words().map(|word| word.load(Relaxed)).max(),
        Some(0),
        "clean"
    );
    drop((ring, next, driver::try_open(DEVICE)));
    driver.unpublish().expect("unpublish");
}
