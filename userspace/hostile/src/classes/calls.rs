// SPDX-License-Identifier: MIT OR Apache-2.0

//! E: ioctls with wrong numbers, sizes, pointers or fields, and in the wrong state.

use std::mem::size_of;

use iostream_raw::{echo, page, page_len, sink, source, Map, Prot, Session, DEVICE, OUTPUT};
use iostream_ring::uapi::*;
use rustix::io::Errno;

use super::Round;
use crate::driver;
use crate::sys::{self};

const BATCH: u64 = 256;

const CALLS: [u32; 17] = [
    IOSTREAM_IOC_VERSION,
    IOSTREAM_IOC_SETUP,
    IOSTREAM_IOC_QUEUE,
    IOSTREAM_IOC_EVENTFD,
    IOSTREAM_IOC_NOTIFY,
    IOSTREAM_IOC_RESET,
    IOSTREAM_IOC_RUN,
    IOSTREAM_IOC_COUNTERS,
    IOSTREAM_IOC_WATERMARK,
    IOSTREAM_IOC_READ_MODE,
    // The node has no stream, so all of these are refused.
    IOSTREAM_IOC_STREAM,
    IOSTREAM_IOC_START,
    IOSTREAM_IOC_SUSPEND,
    IOSTREAM_IOC_STOP,
    IOSTREAM_IOC_MODE,
    IOSTREAM_IOC_INPUT,
    IOSTREAM_IOC_INPUT_SYNC,
];

/// All errors that the header documents for these calls.
const ERRNOS: &[Errno] = &[
    Errno::FAULT,
    Errno::INVAL,
    Errno::BADFD,
    Errno::NXIO,
    Errno::ALREADY,
    Errno::OVERFLOW,
    Errno::TOOBIG,
    Errno::DQUOT,
    Errno::RANGE,
    Errno::NOMEM,
    Errno::BADF,
    Errno::BUSY,
    Errno::INTR,
    Errno::TIMEDOUT,
    Errno::BADMSG,
    Errno::NOTTY,
];

/// The shortest latency that is accepted.
const IOSTREAM_LATENCY: u64 = 50_000;

/// More than the largest struct.
const ARGUMENT: usize = 256;

/// Memory for arguments: a page with an inaccessible one after it, and a read-only page.
struct Arena {
    map: Map,
    read_only: Map,
}

impl Arena {
    fn new() -> Self {
        let pages = |n: u64, prot| sys::memory((n * page()) as usize, prot);
        let map = pages(2, Prot::READ | Prot::WRITE);
        let second = map.address() + page_len();
        sys::call(libc::SYS_mprotect, &[second, page_len(), 0]).expect("mprotect");
        Self {
            map,
            read_only: pages(1, Prot::READ),
        }
    }

    /// The first address that is not accessible.
    fn end(&self) -> usize {
        self.map.address() + page_len()
    }

    /// An address with exactly `bytes` accessible bytes, rounded up to words.
    fn good(&self, bytes: usize) -> usize {
        self.end() - bytes.next_multiple_of(8)
    }

    /// An address where an argument is not accessible.
    fn bad(&self, round: &mut Round<'_>) -> usize {
        match round.random.below(8) {
            0 => 0,
            1 => usize::MAX - 7,
            // An address of the kernel's.
            2 => 0xffff_8880_0000_0000,
            3 => 1 << 47,
            // The first inaccessible byte.
            4 => self.end(),
            // The first half of a word is accessible.
            5 => self.end() - 4,
            6 => 8,
            _ => round.random.next_u64() as usize | (1 << 63),
        }
    }
}

/// One round of the class.
pub fn round(round: &mut Round<'_>) {
    let arena = Arena::new();
    let mut session = some_session(round);
    for _ in 0..BATCH {
        if round.random.chance(64) {
            session = some_session(round);
        }
        match round.random.below(4) {
            0 => number(round, &session, &arena),
            1 => pointer(round, &session, &arena),
            _ => fields(round, &session, &arena),
        }
        round.cases += 1;
    }
    round.victim.check();
}

fn some_session(round: &mut Round<'_>) -> Session {
    match round.random.below(4) {
        0 => driver::try_open(DEVICE).expect("open"),
        1 => Session::nonblocking(echo(page())),
        2 => Session::nonblocking(source(page(), 64, 64, 0)),
        _ => Session::nonblocking(sink(2 * page())),
    }
}

/// A number that is none of the calls: a different type, direction, size or number.
fn number(round: &mut Round<'_>, session: &Session, arena: &Arena) {
    let call = round.random.pick(&CALLS);
    let number = match round.random.below(4) {
        0 => call ^ (1 << round.random.below(32)),
        1 => call & 0xff | ((round.random.next_u64() as u32) << 8),
        2 => (u32::from(b'j') << 8) | round.random.below(0x100) as u32,
        _ => round.random.next_u64() as u32,
    };
    // Calls that all files have are handled elsewhere; their type is a different one.
    if CALLS.contains(&number) || (number >> 8) & 0xff != u32::from(b'j') {
        return;
    }
    let result = sys::ioctl(session.raw_fd(), number, arena.good(ARGUMENT));
    assert_eq!(result, Err(Errno::NOTTY), "number {number:#x}");
}

/// A valid call with inaccessible memory.
fn pointer(round: &mut Round<'_>, session: &Session, arena: &Arena) {
    let call = round.random.pick(&[
        IOSTREAM_IOC_VERSION,
        IOSTREAM_IOC_SETUP,
        IOSTREAM_IOC_QUEUE,
        IOSTREAM_IOC_EVENTFD,
        IOSTREAM_IOC_RUN,
        IOSTREAM_IOC_COUNTERS,
    ]);
    let result = match (call, round.random.below(4)) {
        // Zeros that cannot be written: all that this call reads is right.
        (IOSTREAM_IOC_VERSION, 0) => sys::ioctl(session.raw_fd(), call, arena.read_only.address()),
        // The argument is accessible, and the buffer that it names is not.
        (IOSTREAM_IOC_COUNTERS, 0 | 1) => {
            let argument = arena.put(iostream_counters {
                which: IOSTREAM_COUNTERS_OUTPUT,
                buffer_bytes: 8 * (1 + round.random.below(512)) as u32,
                buffer: arena.bad(round) as u64,
                ..Default::default()
            });
            sys::ioctl(session.raw_fd(), call, argument)
        }
        _ => sys::ioctl(session.raw_fd(), call, arena.bad(round)),
    };
    // It does not matter which is found first: that there is no queue, or no memory.
    let error = result.expect_err("inaccessible memory");
    assert!(
        [
            Errno::FAULT,
            Errno::BADFD,
            Errno::NXIO,
            Errno::NOTTY,
            Errno::ALREADY
        ]
        .contains(&error),
        "call {call:#x}: errno {error}"
    );
}

/// A call with fields at some boundary.
fn fields(round: &mut Round<'_>, session: &Session, arena: &Arena) {
    let call = round.random.pick(&CALLS);
    let argument = match call {
        IOSTREAM_IOC_NOTIFY | IOSTREAM_IOC_RESET => {
            // A valid reset waits for a grace period, so it is rare.
            let direction = match round.random.below(256) {
                0 => round.random.below(2),
                _ => 2 + round.random.boundary(0, 2) % (u64::MAX - 2),
            };
            direction as usize
        }
        IOSTREAM_IOC_READ_MODE => round.random.boundary(0, 4) as usize,
        IOSTREAM_IOC_SETUP => arena.put(set_up(round)),
        IOSTREAM_IOC_WATERMARK => arena.put(iostream_watermark {
            direction: small(round),
            reserved: u32::from(round.random.chance(8)),
            bytes: round.random.boundary(page(), 2 * page()),
            latency_ns: round.random.boundary(IOSTREAM_LATENCY, page()),
        }),
        IOSTREAM_IOC_RUN => arena.put(run(round, session)),
        IOSTREAM_IOC_EVENTFD => arena.put(iostream_eventfd {
            direction: small(round),
            fd: round.random.pick(&[
                -1,
                -2,
                0,
                1,
                2,
                1 << 20,
                i32::MAX,
                i32::MIN,
                session.raw_fd(),
            ]),
        }),
        IOSTREAM_IOC_COUNTERS => {
            let buffer_bytes = round.random.boundary(72, 4096) as u32;
            // The buffer lies before the argument, in the same page, or is not there.
            let buffer = match round.random.below(4) {
                0 => 0,
                1 => arena.bad(round),
                _ => arena.map.address(),
            };
            arena.put(iostream_counters {
                which: small(round),
                buffer_bytes,
                buffer: buffer as u64,
                counter_bytes: u32::from(round.random.chance(8)),
                reserved: u32::from(round.random.chance(8)),
            })
        }
        _ => arena.put(iostream_queue {
            direction: small(round),
            flags: round.random.next_u64() as u32,
            data_bytes: round.random.next_u64(),
            ..Default::default()
        }),
    };
    match sys::ioctl(session.raw_fd(), call, argument) {
        Ok(()) if call == IOSTREAM_IOC_NOTIFY || call == IOSTREAM_IOC_RESET => {
            let flags = if call == IOSTREAM_IOC_NOTIFY {
                IOSTREAM_NOTIFY_FLUSH as usize
            } else {
                0
            };
            assert!(argument & !flags < 2, "direction {argument:#x}");
        }
        Ok(()) if call == IOSTREAM_IOC_READ_MODE => {
            assert!(argument <= IOSTREAM_READ_FLAGS as usize, "{argument:#x}");
        }
        result => round.expect(result, ERRNOS),
    }
}

impl Arena {
    /// Puts a struct at the very end of the accessible memory.
    fn put<T>(&self, value: T) -> usize {
        let at = self.good(size_of::<T>());
        // SAFETY: In bounds; aligned, since a page's end and the size are multiples of 8.
        unsafe { (at as *mut T).write(value) };
        at
    }
}

fn small(round: &mut Round<'_>) -> u32 {
    match round.random.below(4) {
        0 => 0,
        1 => 1,
        _ => round.random.boundary(0, 4) as u32,
    }
}

fn set_up(round: &mut Round<'_>) -> iostream_setup {
    // A valid set-up, with one or two fields changed.
    let mut setup = match round.random.below(3) {
        0 => echo(page()),
        1 => source(page(), 64, 64, 0),
        _ => sink(page()),
    };
    for _ in 0..1 + round.random.below(2) {
        let value = round.random.boundary(page(), 1 << 26);
        match round.random.below(9) {
            0 => setup.flags = value as u32,
            1 => setup.endpoint = value as u32,
            // Mostly more than is granted: class H tries allocations.
            2 => setup.output_bytes = value | (1 << 27),
            3 => setup.input_bytes = value | (1 << 27),
            4 => setup.source_min_bytes = value as u32,
            5 => setup.source_max_bytes = value as u32,
            6 => setup.source_rate = value,
            7 => setup.reserved[0] = value,
            _ => setup.reserved[1] = value,
        }
    }
    setup
}

fn run(round: &mut Round<'_>, session: &Session) -> iostream_run {
    // A source that overwrites is never stuck, and would run until it is killed.
    let output = session.try_queue(OUTPUT);
    let endless = output.is_ok_and(|q| q.flags & IOSTREAM_QUEUE_OVERWRITE != 0);
    let mut run = iostream_run {
        entries: 1,
        timeout_ns: 1,
        ..Default::default()
    };
    match round.random.below(5) {
        // A run for any number of entries goes on until nothing moves: the time-out bounds it.
        0 if !endless => run.entries = round.random.boundary(0, 64),
        1 => run.done = 1 + round.random.below(1 << 40),
        2 => run.batch = 65537 + round.random.below(1 << 31) as u32,
        3 => run.reserved = 1 + round.random.below(1 << 31) as u32,
        _ => run.batch = round.random.below(65537) as u32,
    }
    run
}
