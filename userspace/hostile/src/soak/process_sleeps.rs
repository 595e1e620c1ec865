// SPDX-License-Identifier: MIT OR Apache-2.0

//! The process sleeps, and the kernel wakes it: at the next entry, or when there is room again.

use std::sync::atomic::Ordering::*;
use std::sync::atomic::{fence, AtomicBool, AtomicU64};

use iostream_raw::{occupied, page, producer, sink, source, Random, Ring, Session, INPUT, OUTPUT};
use iostream_ring::uapi::IOSTREAM_LATENCY_MIN_NS;
use libc::{EPOLLET, EPOLLIN, EPOLLOUT, EPOLL_CTL_ADD, POLLIN, POLLOUT};

use super::pace::{pin, spin_until, waker_pause, Aim, Meeting};
use super::Progress;
use crate::scribbler::StopWhenDropped;
use crate::sys::{self, Fd};

/// Bytes of an entry.
const LEN: u64 = 40;

/// How the process is woken.
#[derive(Clone, Copy, PartialEq)]
pub enum Means {
    Poll,
    EpollLevel,
    EpollEdge,
    Eventfd,
}

/// When an output queue is readable.
#[derive(Clone, Copy, PartialEq)]
pub enum Readable {
    /// At the first entry.
    AtOnce,
    /// At the second entry, which reaches the watermark.
    AtWatermark,
    /// When the latency is over: nothing reaches the watermark.
    AfterLatency,
}

impl Readable {
    /// How many entries the waker makes at once.
    fn entries(self) -> u64 {
        match self {
            Self::AtWatermark => 2,
            _ => 1,
        }
    }

    /// The watermark in bytes; 0: none.
    fn watermark(self) -> u64 {
        match self {
            Self::AtOnce => 0,
            Self::AtWatermark => 2 * occupied(LEN),
            Self::AfterLatency => page() / 2,
        }
    }

    /// The latency in nanoseconds; 0: none.
    fn latency_ns(self) -> u64 {
        match self {
            Self::AfterLatency => IOSTREAM_LATENCY_MIN_NS.into(),
            _ => 0,
        }
    }
}

/// The process's end, which sleeps.
struct Sleeper {
    means: Means,
    session: Fd,
    other: Fd,
    input: bool,
}

impl Sleeper {
    fn new(session: &Session, direction: u32, means: Means) -> Self {
        let input = direction == INPUT;
        let events = if input { EPOLLOUT } else { EPOLLIN } as u32;
        let other = match means {
            Means::Poll => -1,
            Means::EpollLevel | Means::EpollEdge => {
                let edge = if means == Means::EpollEdge {
                    EPOLLET as u32
                } else {
                    0
                };
                let epoll = sys::epoll();
                let added = sys::epoll_ctl(epoll, EPOLL_CTL_ADD, session.raw_fd(), events | edge);
                added.expect("epoll_ctl");
                epoll
            }
            Means::Eventfd => {
                let eventfd = sys::eventfd(0);
                session
                    .eventfd(direction, eventfd)
                    .expect("set the eventfd");
                eventfd
            }
        };
        Self {
            means,
            session: session.raw_fd(),
            other,
            input,
        }
    }

    /// Sleeps without a time-out. `arm` arms and returns whether there is something to do already.
    /// Only a process that waits on an eventfd alone needs it; for all others the kernel arms.
    fn sleep(&self, arm: impl FnOnce() -> bool) {
        match self.means {
            Means::Poll => {
                sys::poll(self.session, if self.input { POLLOUT } else { POLLIN }, -1);
            }
            Means::EpollLevel | Means::EpollEdge => {
                sys::epoll_wait(self.other, -1);
            }
            Means::Eventfd => {
                if !arm() {
                    sys::poll(self.other, POLLIN, -1);
                    let _ = sys::read(self.other, &mut [0; 8]);
                }
            }
        }
    }
}

/// The process consumes, and sleeps when the queue is empty.
pub fn for_entries(progress: &Progress, wakeups: u64, means: Means, readable: Readable) {
    let session = Session::nonblocking(source(page(), LEN as u32, LEN as u32, 0));
    let ring = Ring::new(&session, OUTPUT).expect("the queue");
    let watermark = readable.watermark();
    if watermark != 0 {
        let set = session.watermark(watermark, readable.latency_ns());
        set.expect("IOSTREAM_IOC_WATERMARK");
    }
    let sleeper = Sleeper::new(&session, OUTPUT, means);
    // The threads meet once for these.
    let (entries, bytes) = (readable.entries(), readable.entries() * occupied(LEN));
    // `done` counts the meetings that the waker has finished.
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(1);
            let mut random = Random::new(1);
            while !stop.load(Relaxed) {
                // As soon as the consumer has finished the last entry.
                let empty =
                    || ring.consumer_pos().load(Acquire) == ring.producer_pos().load(Relaxed);
                spin_until(|| empty() || stop.load(Relaxed));
                waker_pause(&mut random, done.load(Relaxed));
                session.run_for(entries, 0).1.expect("IOSTREAM_IOC_RUN");
                done.store(ring.producer_pos().load(Relaxed) / bytes, Release);
            }
        });
        let _stop = StopWhenDropped(&stop);
        pin(0);
        let mut aim = Aim::new(5);
        let (mut pos, mut sequence, mut meeting) = (0_u64, 0, 0);
        while progress.wakeups() < wakeups {
            let arrived = || ring.producer_pos().load(Acquire) - pos >= bytes;
            if Meeting::of(meeting) == Meeting::Spun {
                spin_until(arrived);
            } else {
                aim.pause(meeting);
                sleeper.sleep(|| {
                    ring.consumer_wake().store(pos + watermark.max(8), Relaxed);
                    fence(SeqCst);
                    match readable {
                        Readable::AfterLatency => ring.info.word(READY_POS).load(Relaxed) > pos,
                        _ => arrived(),
                    }
                });
                // Whoever waits on an eventfd may be woken early.
                spin_until(arrived);
            }
            // An edge is reported once, so all entries are taken.
            while ring.producer_pos().load(Acquire) != pos {
                ring.expect_record(pos, sequence, LEN);
                sequence += 1;
                pos += occupied(LEN);
                if pos % bytes == 0 {
                    aim.learn(meeting, &done, ring.info.word(WAKEUPS_SENT));
                    meeting += 1;
                }
                ring.consumer_pos().store(pos, Release);
                progress.entry();
            }
            progress.set_wakeups(aim.wakeups());
        }
    });
}

/// The process produces, and sleeps until the queue is empty again: that is the room for which it
/// asks.
pub fn for_room(progress: &Progress, wakeups: u64, means: Means) {
    let session = Session::nonblocking(sink(page()));
    let ring = Ring::new(&session, INPUT).expect("the queue");
    ring.producer.word(producer::ROOM).store(ring.size, Release);
    let sleeper = Sleeper::new(&session, INPUT, means);
    // `done` counts the entries that the waker has finished.
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(1);
            let mut random = Random::new(2);
            loop {
                let waits =
                    || ring.producer_pos().load(Acquire) != ring.consumer_pos().load(Relaxed);
                spin_until(|| waits() || stop.load(Relaxed));
                if stop.load(Relaxed) {
                    break;
                }
                waker_pause(&mut random, done.load(Relaxed));
                session.run_for(1, 0).1.expect("IOSTREAM_IOC_RUN");
                // The end of a run may take another entry without counting it as done.
                done.store(ring.consumer_pos().load(Relaxed) / occupied(LEN), Release);
            }
        });
        let _stop = StopWhenDropped(&stop);
        pin(0);
        let mut aim = Aim::new(6);
        let (mut pos, mut sequence) = (0_u64, 0);
        while progress.wakeups() < wakeups {
            ring.put_record(pos, sequence, LEN);
            pos += occupied(LEN);
            ring.producer_pos().store(pos, Release);
            let taken = || ring.consumer_pos().load(Acquire) == pos;
            if Meeting::of(sequence) == Meeting::Spun {
                spin_until(taken);
            }
            aim.pause(sequence);
            // Any of them may wake early: the position decides.
            while !taken() {
                sleeper.sleep(|| {
                    ring.producer_wake().store(pos, Relaxed);
                    fence(SeqCst);
                    taken()
                });
            }
            progress.entry();
            aim.learn(sequence, &done, ring.info.word(WAKEUPS_SENT));
            sequence += 1;
            progress.set_wakeups(aim.wakeups());
        }
        // The last entry was taken, so all were counted.
        let seen = session.endpoint().expect("endpoint");
        assert_eq!((seen.entries, seen.bad, seen.missed), (sequence, 0, 0));
    });
}

/// Where the info page says up to which position entries are ready, whatever the watermark.
const READY_POS: usize = std::mem::offset_of!(iostream_ring::uapi::iostream_info, ready_pos);
/// Where the info page counts the wake-ups that were sent.
const WAKEUPS_SENT: usize = std::mem::offset_of!(iostream_ring::uapi::iostream_info, counters)
    + std::mem::offset_of!(iostream_ring::uapi::iostream_queue_counters, wakeups_sent);
