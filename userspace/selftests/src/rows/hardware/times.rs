// SPDX-License-Identifier: MIT OR Apache-2.0

//! H-04: the timestamps of frames, what a client says about its own, and what the crate and a
//! client in the kernel see.

use std::mem::offset_of;
use std::time::Duration;

use iostream::{Clock, ReadStream, WriteStream};
use iostream_raw::stream::info;
use iostream_raw::{Descriptor, Random};
use iostream_ring::uapi::*;
use rustix::io::Errno;

use super::super::client::c::program;
use crate::clause::{count, Clause};
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("H-04/each-clock", each_clock),
    Clause::new("H-04/time-of-the-driver", time_of_the_driver),
    Clause::new(
        "H-04/time-of-a-forwarded-buffer",
        time_of_a_forwarded_buffer,
    ),
    Clause::new("H-04/client-says-its-own", client_says_its_own),
    Clause::new(
        "H-04/client-sets-no-other-field",
        client_sets_no_other_field,
    ),
    Clause::new("H-04/crate", crate_sees_the_same),
    Clause::new("H-04/crate-sends", crate_sends),
    Clause::new("H-04/module-as-client", module_as_client),
    Clause::new("H-04/layout-in-c", || program("descriptor")),
];

const CLOCKS: [(&str, Clock, libc::clockid_t); 4] = [
    ("realtime", Clock::RealTime, libc::CLOCK_REALTIME),
    ("monotonic", Clock::Monotonic, libc::CLOCK_MONOTONIC),
    ("boottime", Clock::BootTime, libc::CLOCK_BOOTTIME),
    ("tai", Clock::Tai, libc::CLOCK_TAI),
];

/// The time of a clock in nanoseconds.
fn now(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the kernel to write to.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut time) }, 0);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// By how many seconds TAI is ahead of the time of day, until dropped.
struct TaiOffset;

impl TaiOffset {
    fn set(seconds: libc::c_long) {
        // SAFETY: The struct has integers only, for which zero is a value.
        let mut request: libc::timex = unsafe { std::mem::zeroed() };
        request.modes = libc::ADJ_TAI;
        request.constant = seconds;
        // SAFETY: `request` is a valid argument.
        assert!(unsafe { libc::adjtimex(&mut request) } >= 0, "adjtimex");
    }

    fn new() -> Self {
        Self::set(37);
        Self
    }
}

impl Drop for TaiOffset {
    fn drop(&mut self) {
        Self::set(0);
    }
}

/// A frame's time lies between a look at the clock before and after the send, and is never before
/// that of the last frame.
fn each_clock() {
    let _apart = TaiOffset::new();
    assert!(now(libc::CLOCK_TAI) > now(libc::CLOCK_REALTIME) + 30_000_000_000);
    for (name, _, clock) in CLOCKS {
        let driver = Driver::stream(&format!("output 2 64 clock={name}"));
        let mut stream = driver.open_stream();
        assert_eq!(stream.session.stream().clock, clock as u32);
        assert_eq!(stream.word(info::CLOCK), clock as u64);
        assert_eq!(driver.shown("clock"), name);
        stream.session.start().unwrap();
        let mut last = 0;
        for _ in 0..count(500) {
            let before = now(clock);
            driver.command("produce 1 8");
            let after = now(clock);
            let descriptor = stream.take().unwrap();
            let time = descriptor.timestamp_ns;
            assert!(
                (before..=after).contains(&time),
                "{name}: {time}, not {before}..={after}"
            );
            assert!(time >= last);
            last = time;
            stream.give_back(descriptor.buffer);
        }
    }
    let driver = Driver::stream("input 1 64");
    assert_eq!(
        driver.shown("clock"),
        "monotonic",
        "unless the driver says otherwise"
    );
}

/// Takes a buffer in the driver, and has it say when its frame came into being.
fn take_and_stamp(driver: &Driver, ns: u64) -> u64 {
    driver.command("take");
    let id = driver.log("id");
    driver.command(&format!("timestamp {id} {ns}"));
    id
}

/// The driver's own time arrives whatever it is, and goes with the one frame.
fn time_of_the_driver() {
    let driver = Driver::stream("output 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let mut random = Random::seeded();
    let some = (0..50).map(|_| random.next_u64());
    for time in [0, 1, 5, u64::MAX].into_iter().chain(some) {
        let id = take_and_stamp(&driver, time);
        driver.command(&format!("send {id}"));
        let descriptor = stream.take().unwrap();
        assert_eq!(descriptor.timestamp_ns, time);
        stream.give_back(descriptor.buffer);
        let before = now(libc::CLOCK_MONOTONIC);
        driver.command("produce 1 8");
        let descriptor = stream.take().unwrap();
        assert!(descriptor.timestamp_ns >= before, "a time of its own");
        stream.give_back(descriptor.buffer);
    }
}

/// A buffer that the driver received and sends on has a new time, not the client's.
fn time_of_a_forwarded_buffer() {
    let driver = Driver::stream("input-output 2 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 1 8");
    let mut buffer = stream.take().unwrap().buffer;
    for round in 1..20 {
        stream.send(Descriptor {
            buffer,
            data_len: 8,
            frame: 1 << 50,
            timestamp_ns: u64::MAX,
            ..Default::default()
        });
        let before = now(libc::CLOCK_MONOTONIC);
        driver.command("echo 1");
        let after = now(libc::CLOCK_MONOTONIC);
        let back = stream.take().unwrap();
        assert_eq!((back.frame, back.lost, back.flags), (round, 0, 0));
        assert!((before..=after).contains(&back.timestamp_ns));
        buffer = back.buffer;
    }
}

/// The driver gets the frame number and the time that the client gave, whatever they are.
fn client_says_its_own() {
    let driver = Driver::stream("input 1 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let mut random = Random::seeded();
    let some: Vec<_> = (0..50)
        .map(|_| (random.next_u64(), random.next_u64()))
        .collect();
    for (frame, timestamp_ns) in [(0, 0), (u64::MAX, u64::MAX)].into_iter().chain(some) {
        stream.send(Descriptor {
            frame,
            timestamp_ns,
            ..Default::default()
        });
        driver.command("receive");
        assert_eq!(driver.log("frame"), frame);
        assert_eq!(driver.log("timestamp"), timestamp_ns);
        driver.command("release-all");
        driver.fails("receive", Errno::NODATA);
        stream.take().unwrap();
    }
}

/// A descriptor with a bit in a field that only the kernel sets is refused, whichever bit it is.
/// Nothing else of it counts.
fn client_sets_no_other_field() {
    let driver = Driver::stream("input 1 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let first = offset_of!(iostream_descriptor, lost);
    let mut refused = 0;
    for bit in 8 * first..8 * size_of::<iostream_descriptor>() {
        let mut bytes = iostream_raw::stream::to_bytes(&Descriptor::default());
        bytes[bit / 8] |= 1 << (bit % 8);
        assert!(stream.input.push(&stream.session, &bytes));
        driver.fails("receive", Errno::NODATA);
        refused += 1;
        assert_eq!(stream.counters().rejected_flags, refused, "bit {bit}");
    }
    assert_eq!(driver.attribute("stream/rejected_flags"), refused);
    let counters = stream.counters();
    assert_eq!((counters.received, counters.lost), (0, 0));
    stream.send_buffer(0, 1);
    driver.command("receive");
}

fn crate_sees_the_same() {
    for (name, clock, id) in CLOCKS {
        let driver = Driver::stream(&format!("output 4 64 clock={name}"));
        let mut stream = ReadStream::open("selftest").unwrap();
        let info = stream.info().unwrap();
        assert_eq!((info.clock, info.clock.id()), (clock, id as u32));
        assert_eq!(info.clock.to_string(), name);
        stream.start().unwrap();
        let mut next = 0;
        let mut random = Random::seeded();
        let mut sum = 0;
        for _ in 0..100 {
            let lost = random.below(3);
            driver.command(&format!("lost {lost}"));
            sum += lost;
            let before = now(id);
            driver.command("produce 1 8");
            let times = before..=now(id);
            let frame = stream.dequeue().unwrap();
            assert_eq!((frame.frame(), frame.lost()), (next + lost, lost));
            assert_eq!((frame.status(), frame.is_discontinuous()), (0, lost != 0));
            let gap = if lost == 0 {
                0
            } else {
                IOSTREAM_DESCRIPTOR_DISCONTINUITY
            };
            assert_eq!(frame.flags(), gap);
            assert!(times.contains(&(frame.timestamp().as_nanos() as u64)));
            next = frame.frame() + 1;
        }
        let calls = stream.system_calls();
        assert_eq!(stream.control().counters().lost, sum);
        assert_eq!(stream.system_calls(), calls);
        assert_eq!(driver.attribute("stream/lost"), sum);
    }
}

/// The times that a program gives its buffers arrive, and those that it does not give are none.
/// Buffers that come back can be sent again, whatever the driver said of them.
fn crate_sends() {
    let driver = Driver::stream("input 1 64");
    let mut stream = WriteStream::open("selftest").unwrap();
    stream.start().unwrap();
    let max = Duration::from_nanos(u64::MAX);
    let times = [
        None,
        Some(Duration::ZERO),
        Some(Duration::from_nanos(5)),
        Some(max),
    ];
    let beyond = Some(max + Duration::from_nanos(1));
    for (number, time) in times.into_iter().chain([beyond]).enumerate() {
        let mut buffer = stream.buffer().unwrap();
        assert_eq!(buffer.lost(), u64::from(number != 0));
        if let Some(time) = time {
            buffer.set_timestamp(time);
        }
        buffer.send(8).unwrap();
        driver.command("receive");
        let time = time.unwrap_or_default().min(max);
        assert_eq!(u128::from(driver.log("timestamp")), time.as_nanos());
        assert_eq!(driver.log("frame"), number as u64);
        driver.command("lost 1");
        driver.command("release-all");
    }
    assert_eq!(stream.control().counters().rejected_flags, 0);
}

/// A client in the kernel sees what a process sees, and what it sends is accepted.
fn module_as_client() {
    let driver = Driver::stream("output 4 64");
    let client = Driver::client();
    client.command("open selftest");
    client.command("start");
    let mut next = 0;
    for lost in [0, 1, 0, 7, 1 << 40] {
        driver.command(&format!("lost {lost}"));
        let before = now(libc::CLOCK_MONOTONIC);
        driver.command("produce 1 8");
        let times = before..=now(libc::CLOCK_MONOTONIC);
        client.command("receive");
        assert_eq!(
            (client.log("frame"), client.log("lost")),
            (next + lost, lost)
        );
        assert_eq!(client.log("discontinuous"), u64::from(lost != 0));
        assert!(times.contains(&client.log("timestamp")));
        next += lost + 1;
        client.command("send");
    }
    client.command("close");

    let driver = Driver::stream("input 1 64");
    client.command("open selftest");
    client.command("start");
    for number in 0..5 {
        client.command("take");
        assert_eq!(client.log("lost"), u64::from(number != 0));
        client.command("fill 1 8");
        client.command(&format!("timestamp {}", number * 1000));
        client.command("send");
        driver.command("receive");
        assert_eq!(
            (driver.log("frame"), driver.log("timestamp")),
            (number, number * 1000)
        );
        driver.command("lost 1");
        driver.command("release-all");
    }
    // A stop returns the buffer, and it can be sent once more.
    client.command("take");
    client.command("fill 1 8");
    client.command("send");
    client.command("stop");
    client.command("start");
    client.command("take");
    assert_eq!(client.log("discarded"), 1);
    client.command("send");
    driver.command("receive");
    assert_eq!(driver.attribute("stream/rejected_flags"), 0);
}
