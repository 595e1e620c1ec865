// SPDX-License-Identifier: MIT OR Apache-2.0

//! G: epoll in all its modes and nestings, eventfds at their maximum, and signals.

use iostream_raw::{echo, page, source, Session, INPUT, OUTPUT};
use libc::{EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD};
use rustix::io::Errno;

use super::Round;
use crate::sys::{self, Fd};

const BATCH: u64 = 128;
const MANY: usize = 4;

const EVENTS: [i32; 9] = [
    libc::EPOLLIN,
    libc::EPOLLOUT,
    libc::EPOLLIN | libc::EPOLLOUT,
    libc::EPOLLIN | libc::EPOLLET,
    libc::EPOLLOUT | libc::EPOLLET,
    libc::EPOLLIN | libc::EPOLLONESHOT,
    libc::EPOLLIN | libc::EPOLLEXCLUSIVE,
    libc::EPOLLIN | libc::EPOLLWAKEUP | libc::EPOLLET,
    libc::EPOLLPRI | libc::EPOLLHUP,
];

/// Descriptors that watch each other.
struct Net {
    sessions: [Session; 2],
    epolls: Vec<Fd>,
    eventfds: Vec<Fd>,
    /// The context for poll requests that signal an eventfd from within the session's wake-up.
    aio: Option<usize>,
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Some(context) = self.aio {
            let _ = sys::call(libc::SYS_io_destroy, &[context]);
        }
        for fd in self.epolls.iter().chain(&self.eventfds) {
            sys::close(*fd);
        }
    }
}

/// One round of the class.
pub fn round(round: &mut Round<'_>) {
    let mut context = 0_usize;
    let made = sys::call(
        libc::SYS_io_setup,
        &[64, std::ptr::from_mut(&mut context) as usize],
    );
    let mut net = Net {
        sessions: [
            Session::nonblocking(echo(page())),
            Session::nonblocking(source(page(), 64, 64, 2000)),
        ],
        epolls: (0..MANY).map(|_| sys::epoll()).collect(),
        eventfds: (0..MANY).map(|_| sys::eventfd(0)).collect(),
        aio: made.is_ok().then_some(context),
    };
    for _ in 0..BATCH {
        step(round, &mut net);
        round.cases += 1;
    }
    // Whatever was done before, a new epoll sees what waits.
    let fd = net.sessions[0].raw_fd();
    while sys::read(fd, &mut [0; 4096]).is_ok() {}
    let fresh = sys::epoll();
    sys::epoll_ctl(fresh, EPOLL_CTL_ADD, fd, libc::EPOLLIN as u32).expect("epoll_ctl");
    assert_eq!(sys::epoll_wait(fresh, 0).0, 0, "readable, and empty");
    assert_eq!(sys::write(fd, &[1; 8]), Ok(8));
    let (n, events) = sys::epoll_wait(fresh, 10_000);
    assert_eq!((n, events & libc::EPOLLIN as u32), (1, 1), "not woken");
    sys::close(fresh);
    round.victim.check();
}

fn step(round: &mut Round<'_>, net: &mut Net) {
    let random = &mut round.random;
    let session = &net.sessions[random.below(2) as usize];
    let epoll = random.pick(&net.epolls);
    let eventfd = random.pick(&net.eventfds);
    match random.below(13) {
        0 | 1 => {
            let what = random.pick(&[EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL]);
            let events = random.pick(&EVENTS) as u32;
            let result = sys::epoll_ctl(epoll, what, session.raw_fd(), events);
            round.expect(result, &[Errno::EXIST, Errno::NOENT, Errno::INVAL]);
        }
        2 => {
            let other = random.pick(&[eventfd, net.epolls[0], net.epolls[MANY - 1]]);
            let events = random.pick(&EVENTS) as u32;
            let result = sys::epoll_ctl(epoll, EPOLL_CTL_ADD, other, events);
            // epoll itself refuses loops.
            round.expect(result, &[Errno::EXIST, Errno::INVAL, Errno::LOOP]);
        }
        3 => {
            let fd = random.pick(&[eventfd, eventfd, -1]);
            let result = session.eventfd(random.pick(&[OUTPUT, INPUT]), fd);
            round.expect(result, &[Errno::NXIO]);
        }
        4 => {
            // Not an eventfd, or not even a descriptor.
            let fd = random.pick(&[epoll, session.raw_fd(), 1 << 20, -7]);
            let result = session.eventfd(OUTPUT, fd);
            assert!(
                matches!(result, Err(Errno::INVAL | Errno::BADF)),
                "{result:?}"
            );
        }
        5 => {
            // At its maximum, where a signal must neither block nor be lost.
            let _ = sys::write(eventfd, &(u64::MAX - 1).to_ne_bytes());
        }
        6 => {
            let _ = sys::read(eventfd, &mut [0; 8]);
        }
        7 => {
            let _ = sys::write(session.raw_fd(), &[7; 100]);
        }
        8 => {
            let _ = sys::read(session.raw_fd(), &mut [0; 4096]);
        }
        9 => {
            sys::epoll_wait(epoll, 0);
        }
        10 => {
            // It is closed while a session still signals it and others watch it.
            let place = random.below(MANY as u64) as usize;
            if random.chance(2) {
                sys::close(std::mem::replace(&mut net.eventfds[place], sys::eventfd(0)));
            } else {
                sys::close(std::mem::replace(&mut net.epolls[place], sys::epoll()));
            }
        }
        11 => {
            if let Some(context) = net.aio {
                poll_with_eventfd(context, session.raw_fd(), eventfd);
            }
        }
        _ => storm(session),
    }
}

/// An asynchronous poll whose completion signals an eventfd, from within the session's wake-up.
fn poll_with_eventfd(context: usize, fd: Fd, eventfd: Fd) {
    // struct iocb: a poll request, with the flag and the descriptor for the eventfd.
    let mut request = [0_u64; 8];
    request[2] = 5 | ((fd as u64) << 32);
    request[3] = libc::POLLIN as u64;
    request[7] = 1 | ((eventfd as u64) << 32);
    let list = [request.as_ptr() as usize];
    let _ = sys::call(libc::SYS_io_submit, &[context, 1, list.as_ptr() as usize]);
    let mut done = [0_u64; 4 * 16];
    let now = [0_u64; 2];
    let arguments = [
        context,
        0,
        16,
        done.as_mut_ptr() as usize,
        now.as_ptr() as usize,
    ];
    let _ = sys::call(libc::SYS_io_getevents, &arguments);
}

extern "C" fn nothing(_: libc::c_int) {}

/// Signals in quick succession, while calls sleep.
fn storm(session: &Session) {
    // SAFETY: The handler does nothing.
    unsafe {
        libc::signal(
            libc::SIGUSR1,
            nothing as extern "C" fn(libc::c_int) as libc::sighandler_t,
        );
    }
    let this = sys::call(libc::SYS_gettid, &[]).expect("gettid") as usize;
    // SAFETY: No preconditions.
    let process = unsafe { libc::getpid() } as usize;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..32 {
                let _ = sys::call(libc::SYS_tgkill, &[process, this, libc::SIGUSR1 as usize]);
                std::thread::yield_now();
            }
        });
        for _ in 0..4 {
            sys::poll(session.raw_fd(), libc::POLLIN, 1);
            let (_, result) = session.run_for(1, 1);
            assert!(
                matches!(
                    result,
                    Ok(()) | Err(Errno::INTR | Errno::TIMEDOUT | Errno::BUSY)
                ),
                "{result:?}"
            );
        }
    });
}
