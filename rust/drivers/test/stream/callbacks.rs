// SPDX-License-Identifier: GPL-2.0

//! The driver of a test stream. It logs its callbacks, and fails or is slow as the tests tell it.

use iostream::{Driver, Mode, Opener, Stop};
use kernel::{
    fmt,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        new_mutex, Arc, Mutex,
    },
    time::{delay::fsleep, Delta},
};

use super::Ends;
use crate::gate::Gate;

/// The number of last callbacks that are kept in order.
const MOST: usize = 64;

/// The callbacks, each with its key in the log and its letter in the order of events.
#[derive(Clone, Copy)]
pub(crate) enum Event {
    Open,
    Closed,
    Start,
    Suspend,
    StopDiscard,
    StopDrain,
    Mode,
    Input,
    InputSync,
    Data,
    Room,
}

const EVENTS: [(&str, u8); 11] = [
    ("opens", b'o'),
    ("closes", b'c'),
    ("starts", b's'),
    ("suspends", b'p'),
    ("stops_discard", b'x'),
    ("stops_drain", b'd'),
    ("modes", b'm'),
    ("inputs", b'i'),
    ("syncs", b'y'),
    ("data_callbacks", b'D'),
    ("room_callbacks", b'R'),
];

/// The driver does nothing by itself when it is started or when buffers come.
pub(crate) const AUTO_OFF: u32 = 0;
/// Sends buffers of `auto_bytes` until none is free.
pub(crate) const AUTO_PRODUCE: u32 = 1;
/// Receives and counts all buffers.
pub(crate) const AUTO_CONSUME: u32 = 2;
/// Inverts each buffer that it receives, and sends it back.
pub(crate) const AUTO_ECHO: u32 = 3;
/// Sends all free buffers when it starts, and then each buffer that comes back.
pub(crate) const AUTO_TURN_ROUND: u32 = 4;

/// What the callbacks have seen, and how they must behave.
#[pin_data]
pub(crate) struct Seen {
    counts: [Atomic<u64>; EVENTS.len()],
    /// The errno with which each callback fails, or 0.
    fails: [Atomic<i32>; EVENTS.len()],
    /// Milliseconds that each callback takes.
    pub(crate) slow_ms: Atomic<u32>,
    /// Closed while callbacks are held.
    #[pin]
    pub(crate) gate: Gate,
    /// Callbacks that are running now.
    in_callback: Atomic<u32>,
    /// Callbacks for a change of state or mode that are running now.
    changing: Atomic<u32>,
    /// How often two of these ran at once.
    overlaps: Atomic<u64>,
    last_mode: Atomic<u32>,
    last_token: Atomic<u32>,
    pub(crate) auto: Atomic<u32>,
    pub(crate) auto_bytes: Atomic<u32>,
    /// Buffers that the driver moved by itself.
    pub(crate) moved: Atomic<u64>,
    #[pin]
    order: Mutex<KVec<u8>>,
}

impl Seen {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            counts: [const { Atomic::new(0) }; EVENTS.len()],
            fails: [const { Atomic::new(0) }; EVENTS.len()],
            slow_ms: Atomic::new(0),
            gate <- Gate::new(),
            in_callback: Atomic::new(0),
            changing: Atomic::new(0),
            overlaps: Atomic::new(0),
            last_mode: Atomic::new(0),
            last_token: Atomic::new(0),
            auto: Atomic::new(AUTO_OFF),
            auto_bytes: Atomic::new(0),
            moved: Atomic::new(0),
            order <- new_mutex!(KVec::with_capacity(MOST, GFP_KERNEL)?),
        })
    }

    /// Makes one kind of callback fail from now on; 0 ends that.
    pub(crate) fn fail(&self, what: &str, errno: i32) -> Result {
        let event = match what {
            "open" => Event::Open,
            "start" => Event::Start,
            "suspend" => Event::Suspend,
            "mode" => Event::Mode,
            "sync" => Event::InputSync,
            _ => return Err(EINVAL),
        };
        self.fails[event as usize].store(errno, Relaxed);
        Ok(())
    }

    /// Restores the initial behaviour; the counts stay.
    pub(crate) fn behave(&self) {
        for errno in &self.fails {
            errno.store(0, Relaxed);
        }
        self.slow_ms.store(0, Relaxed);
        self.gate.open();
        self.auto.store(AUTO_OFF, Relaxed);
        self.order.lock().clear();
    }

    fn called(&self, event: Event) -> Result {
        let changes = matches!(
            event,
            Event::Start | Event::Suspend | Event::StopDiscard | Event::StopDrain | Event::Mode
        );
        if changes && self.changing.fetch_add(1, Relaxed) != 0 {
            self.overlaps.fetch_add(1, Relaxed);
        }
        self.in_callback.fetch_add(1, Relaxed);
        {
            let mut order = self.order.lock();
            if order.len() == MOST {
                let _ = order.remove(0);
            }
            let _ = order.push_within_capacity(EVENTS[event as usize].1);
        }
        // After a signal the callback goes on: a test that is killed must not hang.
        let _ = self.gate.pass();
        let slow = self.slow_ms.load(Relaxed);
        if slow != 0 {
            fsleep(Delta::from_millis(slow.into()));
        }
        let fails = self.fails[event as usize].load(Relaxed);
        if fails == 0 {
            self.counts[event as usize].fetch_add(1, Relaxed);
        }
        self.in_callback.fetch_sub(1, Relaxed);
        if changes {
            self.changing.fetch_sub(1, Relaxed);
        }
        match fails {
            0 => Ok(()),
            errno => Err(Error::from_errno(-errno)),
        }
    }

    pub(crate) fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((key, _), count) in EVENTS.iter().zip(&self.counts) {
            writeln!(out, "{key}={}", count.load(Relaxed))?;
        }
        writeln!(out, "in_callback={}", self.in_callback.load(Relaxed))?;
        writeln!(out, "overlaps={}", self.overlaps.load(Relaxed))?;
        writeln!(out, "last_mode={}", self.last_mode.load(Relaxed))?;
        writeln!(out, "last_token={}", self.last_token.load(Relaxed))?;
        writeln!(out, "moved={}", self.moved.load(Relaxed))?;
        let order = self.order.lock();
        writeln!(out, "order={}", core::str::from_utf8(&order).unwrap_or("?"))
    }
}

/// The driver of one client.
pub(crate) struct Watcher {
    seen: Arc<Seen>,
    ends: Arc<Ends>,
    client: usize,
}

impl Watcher {
    pub(crate) fn new(seen: Arc<Seen>, ends: Arc<Ends>, client: usize) -> Self {
        Self { seen, ends, client }
    }

    fn move_buffers(&self, starts: bool) {
        let auto = match self.seen.auto.load(Relaxed) {
            AUTO_OFF => return,
            AUTO_TURN_ROUND if starts => AUTO_PRODUCE,
            auto => auto,
        };
        let len = self.seen.auto_bytes.load(Relaxed) as usize;
        if let Some(end) = self.ends.ends.lock().get_mut(self.client) {
            let moved = end.move_buffers(auto, len);
            self.seen.moved.fetch_add(moved, Relaxed);
        }
    }
}

impl Driver for Watcher {
    fn open(&self, _opener: &Opener<'_>) -> Result {
        self.seen.called(Event::Open)
    }

    fn closed(&self) {
        let _ = self.seen.called(Event::Closed);
    }

    fn data_available(&self) {
        let _ = self.seen.called(Event::Data);
        self.move_buffers(false);
    }

    fn room_available(&self) {
        let _ = self.seen.called(Event::Room);
        self.move_buffers(false);
    }

    fn start(&self) -> Result {
        self.seen.called(Event::Start)?;
        self.move_buffers(true);
        Ok(())
    }

    fn suspend(&self) -> Result {
        self.seen.called(Event::Suspend)
    }

    fn stop(&self, how: Stop) {
        let _ = self.seen.called(match how {
            Stop::Discard => Event::StopDiscard,
            Stop::Drain => Event::StopDrain,
        });
    }

    fn mode_change(&self, mode: Mode) -> Result {
        self.seen.called(Event::Mode)?;
        self.seen.last_mode.store(mode as u32, Relaxed);
        Ok(())
    }

    fn input_callback(&self, token: u32) {
        self.seen.last_token.store(token, Relaxed);
        let _ = self.seen.called(Event::Input);
    }

    fn input_sync_callback(&self, token: u32) -> Result {
        self.seen.last_token.store(token, Relaxed);
        self.seen.called(Event::InputSync)
    }
}
