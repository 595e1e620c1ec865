// SPDX-License-Identifier: MIT OR Apache-2.0

//! C: a stream's descriptors with bad ids, ranges and flags, of buffers that the client does not
//! hold, or cut short; rewritten while the driver looks, in any state.

use std::mem::offset_of;
use std::sync::atomic::Ordering::*;

use iostream_ring::uapi::*;

use super::Round;
use crate::driver::{self, Driver};
use crate::scribbler::with_scribbler;
use crate::sys;
use iostream_raw::{Ring, Session, INPUT, OUTPUT};

const BATCH: u64 = 256;
const BUFFERS: u64 = 4;
const DATA: u64 = 4096;
const CONTROL: u64 = 64;
const BYTES: u64 = size_of::<iostream_descriptor>() as u64;
/// The word of the info page with the position up to which a stop has discarded.
const DISCARDED: usize = offset_of!(iostream_stream_info, discarded_pos);

/// The driver's stream, opened. All buffers are with the client at first.
struct Stream {
    driver: Driver,
    session: Session,
    input: Ring,
    output: Ring,
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.driver.unpublish();
    }
}

impl Stream {
    fn new() -> Self {
        let driver = Driver::of_stream();
        let _ = driver.unpublish();
        let publish = format!("publish hostile input {BUFFERS} {DATA} control={CONTROL}");
        driver.tell(&publish).expect("publish");
        let session = driver::open(&driver::path().expect("the node"));
        sys::ioctl(session.raw_fd(), IOSTREAM_IOC_START, 0).expect("start");
        Self {
            input: Ring::new(&session, INPUT).expect("the input queue"),
            output: Ring::new(&session, OUTPUT).expect("the output queue"),
            driver,
            session,
        }
    }

    fn counters(&self) -> iostream_stream_counters {
        self.session.stream_counters()
    }

    fn corrupt(&self) -> u64 {
        self.session.counters(INPUT).corrupt
    }

    /// Consumes everything that came back.
    fn drain(&self) {
        let head = self.output.producer_pos().load(Acquire);
        self.output.consumer_pos().store(head, Release);
    }

    /// Puts a descriptor into the input queue and advances the position by `bytes`.
    fn send(&self, descriptor: &iostream_descriptor, bytes: u64) {
        let pos = self.input.consumer_pos().load(Acquire);
        let pair = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
        let [first, second, third] = descriptor.reserved;
        let words = [
            pair(descriptor.buffer, descriptor.flags),
            pair(descriptor.data_offset, descriptor.data_len),
            pair(descriptor.control_offset, descriptor.control_len),
            descriptor.frame,
            descriptor.timestamp_ns,
            descriptor.lost,
            pair(descriptor.status as u32, first),
            pair(second, third),
        ];
        for (place, word) in (pos..).step_by(8).zip(words) {
            self.input.data_word(place).store(word, Relaxed);
        }
        self.input.producer_pos().store(pos + bytes, Release);
    }
}

/// One round of the class.
pub fn round(round: &mut Round<'_>) {
    let stream = Stream::new();
    if round.random.chance(3) {
        rewritten(round, &stream);
    } else {
        one_by_one(round, &stream);
    }
    drop(stream);
    round.victim.check();
}

/// What the kernel must decide about a descriptor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Received,
    /// The position is not at the end of a descriptor: the queue is corrupt.
    Between,
    Id,
    Owner,
    Range,
    Flags,
}

impl Verdict {
    /// The decision that the header documents, in the kernel's order of checks. `out` are the
    /// buffers that the driver holds.
    fn of(descriptor: &iostream_descriptor, bytes: u64, out: &[u32]) -> Self {
        let inside = |offset: u32, len: u32, size: u64| u64::from(offset) + u64::from(len) <= size;
        if bytes != BYTES {
            Self::Between
        } else if descriptor.flags & !IOSTREAM_DESCRIPTOR_UNUSED != 0
            || descriptor.lost != 0
            || descriptor.status != 0
            || descriptor.reserved != [0; 3]
        {
            Self::Flags
        } else if u64::from(descriptor.buffer) >= BUFFERS {
            Self::Id
        } else if !inside(descriptor.data_offset, descriptor.data_len, DATA)
            || !inside(descriptor.control_offset, descriptor.control_len, CONTROL)
        {
            Self::Range
        } else if out.contains(&descriptor.buffer) {
            Self::Owner
        } else {
            Self::Received
        }
    }

    /// The counter of this decision.
    fn count(self, counters: &iostream_stream_counters) -> u64 {
        match self {
            Self::Received => counters.received,
            Self::Between => 0,
            Self::Id => counters.rejected_id,
            Self::Owner => counters.rejected_owner,
            Self::Range => counters.rejected_range,
            Self::Flags => counters.rejected_flags,
        }
    }
}

fn total(c: &iostream_stream_counters) -> u64 {
    let rejected = c.rejected_id + c.rejected_owner + c.rejected_range + c.rejected_flags;
    c.received + rejected
}

/// A descriptor, mostly valid, with some field at a boundary; and by how much the position
/// advances.
fn descriptor(round: &mut Round<'_>) -> (iostream_descriptor, u64) {
    let random = &mut round.random;
    let mut descriptor = iostream_descriptor {
        buffer: random.below(BUFFERS) as u32,
        data_len: random.below(DATA + 1) as u32,
        frame: random.next_u64(),
        timestamp_ns: random.next_u64(),
        ..Default::default()
    };
    let mut bytes = BYTES;
    match random.below(12) {
        0 => descriptor.buffer = random.boundary(BUFFERS, DATA) as u32,
        1 => descriptor.flags = random.boundary(1, 2) as u32,
        2 => descriptor.data_offset = random.boundary(DATA, DATA) as u32,
        3 => descriptor.data_len = random.boundary(DATA, DATA) as u32,
        4 => descriptor.control_offset = random.boundary(CONTROL, DATA) as u32,
        5 => descriptor.control_len = random.boundary(CONTROL, DATA) as u32,
        6 => bytes = 1 + random.below(BYTES),
        7 => descriptor.lost = random.boundary(1, DATA),
        8 => descriptor.status = random.boundary(1, DATA) as i32,
        9 => descriptor.reserved[random.below(3) as usize] = random.boundary(1, DATA) as u32,
        _ => {}
    }
    (descriptor, bytes)
}

fn one_by_one(round: &mut Round<'_>, stream: &Stream) {
    let mut out: Vec<u32> = Vec::new();
    let mut last_bad = None;
    for _ in 0..BATCH {
        let (descriptor, bytes) = descriptor(round);
        let verdict = Verdict::of(&descriptor, bytes, &out);
        let (before, corrupt) = (stream.counters(), stream.corrupt());
        stream.send(&descriptor, bytes);
        // The result is not checked: the counters show what the kernel decided.
        let _ = stream.driver.tell("receive");
        let after = stream.counters();
        let case = format!("{verdict:?} of {descriptor:?}, {bytes} bytes, out {out:?}");
        if verdict == Verdict::Between {
            assert_eq!(total(&after), total(&before), "{case}");
            // The same position is not counted twice in a row.
            let pos = stream.input.consumer_pos().load(Acquire);
            let counted = last_bad.replace(pos + bytes) != Some(pos + bytes);
            assert_eq!(stream.corrupt() > corrupt, counted, "{case}");
            // Back to where it was.
            stream.input.producer_pos().store(pos, Release);
        } else {
            last_bad = None;
            let counted = verdict.count(&after) - verdict.count(&before);
            assert_eq!(counted, 1, "{case}");
            assert_eq!(total(&after) - total(&before), 1, "one entry, one count");
        }
        if verdict == Verdict::Received && descriptor.flags == 0 {
            out.push(descriptor.buffer);
        }
        if round.random.chance(4) {
            stream.driver.tell("release-all").expect("release-all");
            // The buffers go back when the driver next looks.
            out.clear();
        }
        stream.drain();
        round.cases += 1;
    }
}

/// A second thread changes all words, while the stream's state changes.
fn rewritten(round: &mut Round<'_>, stream: &Stream) {
    with_scribbler(round.seed, &[&stream.input, &stream.output], || {
        for _ in 0..BATCH {
            let (descriptor, bytes) = descriptor(round);
            stream.send(&descriptor, bytes);
            let fd = stream.session.raw_fd();
            match round.random.below(16) {
                0 => {
                    let _ = sys::ioctl(fd, IOSTREAM_IOC_SUSPEND, 0);
                }
                1 => {
                    let mut stop = iostream_stop::default();
                    let _ = sys::ioctl_with(fd, IOSTREAM_IOC_STOP, &mut stop);
                }
                2..4 => {
                    let _ = sys::ioctl(fd, IOSTREAM_IOC_START, 0);
                }
                4 => {
                    let _ = stream.driver.tell("release-all");
                }
                5..7 => {
                    let _ = sys::ioctl(fd, IOSTREAM_IOC_INPUT, 7);
                }
                7 => {
                    sys::poll(fd, libc::POLLIN | libc::POLLOUT, 0);
                }
                8..10 => {
                    let _ = stream.session.notify(round.random.pick(&[OUTPUT, INPUT]));
                }
                _ => {
                    let _ = stream.driver.tell("receive");
                }
            }
            round.cases += 1;
        }
    });
    let mut stream_now = iostream_stream::default();
    sys::ioctl_with(
        stream.session.raw_fd(),
        IOSTREAM_IOC_STREAM,
        &mut stream_now,
    )
    .expect("stream");
    let geometry = (
        stream_now.buffers,
        stream_now.data_bytes,
        stream_now.control_bytes,
    );
    assert_eq!(
        geometry,
        (BUFFERS as u32, DATA as u32, CONTROL as u32),
        "the geometry"
    );
    let info =
        sys::map(&stream.session, stream_now.info_offset, 4096, false).expect("the info page");
    info.word(DISCARDED).load(Relaxed);
}
