// SPDX-License-Identifier: MIT OR Apache-2.0

//! All ioctls, each with what it reads of its argument.

use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd};

use iostream_raw::{echo, sink, source, Session, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;

use crate::support::driver::Driver;

/// What an ioctl is tried on. The driver lives as long as the session.
pub struct Ground {
    /// The session.
    pub session: Session,
    _driver: Option<Driver>,
}

impl Ground {
    fn of(session: Session) -> Self {
        Self {
            session,
            _driver: None,
        }
    }

    /// A stream that runs, to which the driver has added a buffer.
    pub fn stream() -> Self {
        let ground = Self::stopped_stream();
        ground.session.start().unwrap();
        ground
    }

    /// A stream that was never started, to which the driver has added a buffer.
    fn stopped_stream() -> Self {
        let driver = Driver::stream("output 1 64 queue=2");
        let session = driver.open();
        driver.command("add 1");
        Self {
            session,
            _driver: Some(driver),
        }
    }

    /// All that an ioctl can change: the text of fdinfo, the geometry and generation of the queues,
    /// the counters, and what poll reports. Fails in no session.
    pub fn state(&self) -> String {
        let session = &self.session;
        let fd = session.as_fd().as_raw_fd();
        let fdinfo = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let both = |direction| {
            (
                session.try_queue(direction),
                session.try_counters(direction),
            )
        };
        format!(
            "{fdinfo}{:?}{:?}{:?}{:?}",
            (both(OUTPUT), both(INPUT)),
            session.try_stream_counters(),
            session.endpoint(),
            session.poll(PollFlags::PRI, 0),
        )
    }
}

/// An ioctl with a struct as its argument.
pub struct StructCall {
    /// The name in the header.
    pub name: &'static str,
    /// The number in the header.
    pub number: u32,
    /// Start and end of each field, and whether the ioctl reads it.
    pub fields: Vec<(usize, usize, bool)>,
    /// An argument with which the ioctl succeeds.
    pub valid: Vec<u64>,
    /// Makes what the ioctl is tried on.
    pub ground: fn() -> Ground,
}

const IN: bool = true;
const OUT: bool = false;
/// A field that is reserved, or that the ioctl does not read because of the other fields.
const ZERO: bool = false;

/// Describes an ioctl with a struct: the use of each field, and the fields that are not zero in a
/// valid argument.
macro_rules! call {
    ($number:ident, $struct:ident { $($field:ident: $use:ident),* }, $valid:expr, $ground:expr) => {{
        let valid: $struct = $valid;
        StructCall {
            name: stringify!($number),
            number: $number,
            fields: vec![$({
                let start = offset_of!($struct, $field);
                (start, start + size_of_val(&valid.$field), $use)
            }),*],
            valid: words(&valid),
            ground: $ground,
        }
    }};
}

/// An argument of zeros.
fn none<T: Default>() -> T {
    T::default()
}

/// The words of a struct of the header.
fn words<T: Copy>(value: &T) -> Vec<u64> {
    assert_eq!(size_of::<T>() % 8, 0);
    let bytes = std::ptr::from_ref(value).cast::<u8>();
    // SAFETY: The struct has integers only, and no padding: all its bytes are initialised.
    let bytes = unsafe { std::slice::from_raw_parts(bytes, size_of::<T>()) };
    let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().unwrap());
    bytes.chunks_exact(8).map(word).collect()
}

/// Each ioctl with a struct, with each set of fields that it reads.
pub fn struct_calls() -> Vec<StructCall> {
    static BUFFER: [std::sync::atomic::AtomicU64; 9] =
        [const { std::sync::atomic::AtomicU64::new(0) }; 9];
    let bare = || Ground::of(Session::bare());
    let echoing = || Ground::of(Session::new(echo(4096)));
    vec![
        call!(
            IOSTREAM_IOC_VERSION,
            iostream_version {
                version: OUT,
                reserved: ZERO,
                features: OUT,
                max_queue_bytes: OUT,
                max_total_bytes: OUT,
                name: OUT
            },
            none(),
            bare
        ),
        call!(
            IOSTREAM_IOC_SETUP,
            iostream_setup {
                flags: IN,
                endpoint: IN,
                output_bytes: IN,
                input_bytes: IN,
                source_min_bytes: ZERO,
                source_max_bytes: ZERO,
                source_rate: ZERO,
                reserved: ZERO
            },
            echo(4096),
            bare
        ),
        call!(
            IOSTREAM_IOC_SETUP,
            iostream_setup {
                flags: IN,
                endpoint: IN,
                output_bytes: IN,
                input_bytes: ZERO,
                source_min_bytes: IN,
                source_max_bytes: IN,
                source_rate: IN,
                reserved: ZERO
            },
            source(4096, 16, 16, 0),
            bare
        ),
        call!(
            IOSTREAM_IOC_SETUP,
            iostream_setup {
                flags: IN,
                endpoint: IN,
                output_bytes: ZERO,
                input_bytes: IN,
                source_min_bytes: ZERO,
                source_max_bytes: ZERO,
                source_rate: ZERO,
                reserved: ZERO
            },
            sink(4096),
            bare
        ),
        call!(
            IOSTREAM_IOC_QUEUE,
            iostream_queue {
                direction: IN,
                flags: OUT,
                data_bytes: OUT,
                max_entry_bytes: OUT,
                page_bytes: OUT,
                generation: OUT,
                features: OUT,
                info_offset: OUT,
                producer_offset: OUT,
                consumer_offset: OUT,
                data_offset: OUT
            },
            iostream_queue {
                direction: INPUT,
                ..none()
            },
            echoing
        ),
        call!(
            IOSTREAM_IOC_EVENTFD,
            iostream_eventfd {
                direction: IN,
                fd: IN
            },
            iostream_eventfd {
                direction: INPUT,
                fd: -1
            },
            echoing
        ),
        call!(
            IOSTREAM_IOC_RUN,
            iostream_run {
                entries: IN,
                timeout_ns: IN,
                done: OUT,
                batch: IN,
                reserved: ZERO
            },
            iostream_run {
                entries: 1,
                ..none()
            },
            || Ground::of(Session::new(source(4096, 16, 16, 0)))
        ),
        call!(
            IOSTREAM_IOC_COUNTERS,
            iostream_counters {
                which: IN,
                buffer_bytes: IN,
                buffer: IN,
                counter_bytes: OUT,
                reserved: ZERO
            },
            iostream_counters {
                which: IOSTREAM_COUNTERS_INPUT,
                buffer_bytes: 72,
                buffer: BUFFER.as_ptr().expose_provenance() as u64,
                ..none()
            },
            echoing
        ),
        call!(
            IOSTREAM_IOC_COUNTERS,
            iostream_counters {
                which: IN,
                buffer_bytes: IN,
                buffer: ZERO,
                counter_bytes: OUT,
                reserved: ZERO
            },
            none(),
            echoing
        ),
        call!(
            IOSTREAM_IOC_WATERMARK,
            iostream_watermark {
                direction: IN,
                reserved: ZERO,
                bytes: IN,
                latency_ns: IN
            },
            iostream_watermark {
                bytes: 64,
                latency_ns: IOSTREAM_LATENCY_MAX_NS,
                ..none()
            },
            echoing
        ),
        call!(
            IOSTREAM_IOC_WATERMARK,
            iostream_watermark {
                direction: IN,
                reserved: ZERO,
                bytes: IN,
                latency_ns: ZERO
            },
            none(),
            echoing
        ),
        call!(
            IOSTREAM_IOC_STREAM,
            iostream_stream {
                mode: OUT,
                state: OUT,
                buffers: OUT,
                max_buffers: OUT,
                data_bytes: OUT,
                control_bytes: OUT,
                format: OUT,
                clock: OUT,
                generation: OUT,
                info_offset: OUT,
                buffers_offset: OUT,
                buffer_stride: OUT,
                control_start: OUT,
                description: OUT
            },
            none(),
            Ground::stream
        ),
        call!(
            IOSTREAM_IOC_STOP,
            iostream_stop {
                flags: IN,
                reserved: ZERO,
                timeout_ns: ZERO,
                discarded_output: OUT,
                discarded_input: OUT
            },
            none(),
            Ground::stream
        ),
        call!(
            IOSTREAM_IOC_STOP,
            iostream_stop {
                flags: IN,
                reserved: ZERO,
                timeout_ns: IN,
                discarded_output: OUT,
                discarded_input: OUT
            },
            iostream_stop {
                flags: IOSTREAM_STOP_DRAIN,
                timeout_ns: 1,
                ..none()
            },
            Ground::stream
        ),
    ]
}

/// An ioctl whose argument is a number, or that has none.
pub struct NumberCall {
    /// The name in the header.
    pub name: &'static str,
    /// The number in the header.
    pub number: u32,
    /// The bits that the ioctl reads.
    pub inputs: u64,
    /// An argument with which the ioctl succeeds.
    pub valid: usize,
    /// Makes what the ioctl is tried on.
    pub ground: fn() -> Ground,
}

/// Each ioctl whose argument is a number, or that has none.
pub fn number_calls() -> Vec<NumberCall> {
    let call = |name, number, inputs, valid, ground| NumberCall {
        name,
        number,
        inputs,
        valid,
        ground,
    };
    let echoing: fn() -> Ground = || Ground::of(Session::new(echo(4096)));
    let flush = u64::from(IOSTREAM_NOTIFY_FLUSH);
    vec![
        call(
            "IOSTREAM_IOC_NOTIFY",
            IOSTREAM_IOC_NOTIFY,
            1 | flush,
            1,
            echoing,
        ),
        call(
            "IOSTREAM_IOC_READ_MODE",
            IOSTREAM_IOC_READ_MODE,
            IOSTREAM_READ_FLAGS.into(),
            IOSTREAM_READ_LOSS as usize,
            echoing,
        ),
        call("IOSTREAM_IOC_RESET", IOSTREAM_IOC_RESET, 1, 1, echoing),
        call(
            "IOSTREAM_IOC_START",
            IOSTREAM_IOC_START,
            0,
            0,
            Ground::stopped_stream,
        ),
        call(
            "IOSTREAM_IOC_SUSPEND",
            IOSTREAM_IOC_SUSPEND,
            0,
            0,
            Ground::stream,
        ),
        call(
            "IOSTREAM_IOC_MODE",
            IOSTREAM_IOC_MODE,
            3,
            0,
            Ground::stopped_stream,
        ),
        call(
            "IOSTREAM_IOC_INPUT",
            IOSTREAM_IOC_INPUT,
            u32::MAX.into(),
            7,
            Ground::stream,
        ),
        call(
            "IOSTREAM_IOC_INPUT_SYNC",
            IOSTREAM_IOC_INPUT_SYNC,
            u32::MAX.into(),
            7,
            Ground::stream,
        ),
    ]
}
