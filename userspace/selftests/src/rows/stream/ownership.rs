// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-22: which side owns a buffer, in each mode and after each change of state.

use iostream_raw::{Random, Stream};
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-22/open-output", || opened("output", "ffff")),
    Clause::new("S-22/open-input", || opened("input", "cccc")),
    Clause::new("S-22/open-input-output", || opened("input-output", "ffff")),
    Clause::new("S-22/start-moves-none", start_moves_none),
    Clause::new("S-22/suspend-moves-none", suspend_moves_none),
    Clause::new("S-22/stop-output", stop_output),
    Clause::new("S-22/stop-input", stop_input),
    Clause::new("S-22/stop-input-output", stop_input_output),
    Clause::new("S-22/drain-input-output", drain_input_output),
    Clause::new("S-22/close-takes-all", close_takes_all),
    Clause::new("S-22/mode-gives-out-anew", mode_gives_out_anew),
    Clause::new("S-22/returning-never-fails", returning_never_fails),
    Clause::new("S-22/sending-never-fails", sending_never_fails),
    Clause::new("S-22/at-random", at_random),
];

fn place(driver: &Driver) -> String {
    driver.shown("buffers_where")
}

/// Five buffers: 0 is with the client, 1 is queued to the client, 2 is queued to the driver, 3 is
/// where it was at first, and 4 is held by the driver.
fn mixed(mode: &str) -> (Driver, Stream) {
    let driver = Driver::stream(&format!("{mode} 5 64"));
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    if mode == "input" {
        stream.send_buffer(4, 1);
        stream.send_buffer(1, 1);
        driver.command("receive");
        driver.command("receive");
        // Once the driver looks, the dropped buffer is queued to the client.
        driver.command("release 1");
        driver.fails("receive", Errno::NODATA);
        stream.send_buffer(2, 1);
        assert_eq!(place(&driver), "cccch");
    } else {
        driver.command("produce 1 1");
        assert_eq!(stream.take().unwrap().buffer, 0);
        for id in [1, 2, 3, 4] {
            driver.command("take");
            assert_eq!(driver.log("id"), id);
        }
        driver.command("send 2");
        assert_eq!(stream.take().unwrap().buffer, 2);
        stream.send_buffer(2, 1);
        driver.command("send 1");
        driver.command("release 3");
        assert_eq!(place(&driver), "cccfh");
    }
    (driver, stream)
}

fn opened(mode: &str, expected: &str) {
    let driver = Driver::stream(&format!("{mode} 4 64"));
    for _ in 0..2 {
        let _session = driver.open();
        assert_eq!(place(&driver), expected);
    }
}

fn start_moves_none() {
    for (mode, expected) in [("output", "fff"), ("input", "ccc"), ("input-output", "fff")] {
        let driver = Driver::stream(&format!("{mode} 3 64"));
        let mut stream = driver.open_stream();
        stream.session.start().unwrap();
        assert_eq!(place(&driver), expected);
        assert!(stream.take().is_none());
    }
}

fn suspend_moves_none() {
    for mode in ["output", "input", "input-output"] {
        let (driver, stream) = mixed(mode);
        let before = place(&driver);
        driver.command("queued");
        let queued = (driver.log("queued_output"), driver.log("queued_input"));
        assert_eq!(queued, (1, 1), "{mode}");
        stream.session.suspend().unwrap();
        assert_eq!(place(&driver), before);
        stream.session.start().unwrap();
        assert_eq!(place(&driver), before);
        driver.command("queued");
        assert_eq!(
            (driver.log("queued_output"), driver.log("queued_input")),
            queued
        );
    }
}

/// A buffer that is queued to the client stays with the client, which returns it; one that was
/// queued to the driver is free.
fn stop_output() {
    let (driver, mut stream) = mixed("output");
    assert_eq!(stream.session.stop(), Ok((1, 0)));
    assert_eq!(place(&driver), "ccffh");
    stream.session.start().unwrap();
    let discarded = stream.take().unwrap();
    for id in [0, discarded.buffer] {
        stream.give_back(id);
    }
    driver.command("send 4");
    assert_eq!(stream.take().unwrap().buffer, 4);
    for _ in 0..4 {
        driver.command("take");
    }
    driver.fails("take", Errno::NOSPC);
}

/// A buffer that was queued to the driver comes back.
fn stop_input() {
    let (driver, mut stream) = mixed("input");
    assert_eq!(stream.session.stop(), Ok((0, 1)));
    assert_eq!(place(&driver), "cccch");
    let mut came: Vec<u32> = stream.take_all().iter().map(|one| one.buffer).collect();
    came.sort_unstable();
    assert_eq!(came, [1, 2]);
    // A buffer that the driver holds is not affected; it comes back when the stream runs again.
    driver.command("release 4");
    stream.session.start().unwrap();
    driver.fails("receive", Errno::NODATA);
    assert_eq!(stream.take().unwrap().buffer, 4);
    assert_eq!(place(&driver), "ccccc");
}

fn stop_input_output() {
    let (driver, mut stream) = mixed("input-output");
    assert_eq!(stream.session.stop(), Ok((1, 1)));
    assert_eq!(place(&driver), "ccffh");
    stream.session.start().unwrap();
    let discarded = stream.take().unwrap();
    assert_eq!(discarded.buffer, 1);
    stream.give_back(1);
    stream.send_buffer(0, 3);
    driver.command("receive");
    assert_eq!(
        (driver.log("id"), driver.log("len")),
        (0, 3),
        "1 is not shown to it"
    );
    driver.fails("receive", Errno::NODATA);
    assert_eq!(place(&driver), "hfffh");
}

/// The driver has what the client sent, and the client has what the driver sent.
fn drain_input_output() {
    let (driver, mut stream) = mixed("input-output");
    driver.command("receive");
    assert_eq!(stream.session.drain(0), Ok((0, 0)));
    assert_eq!(place(&driver), "cchfh");
    assert_eq!(stream.take().unwrap().buffer, 1);
    driver.command("release 2");
    assert_eq!(place(&driver), "ccffh");
}

fn close_takes_all() {
    for (mode, fresh) in [
        ("output", "fffff"),
        ("input", "ccccc"),
        ("input-output", "fffff"),
    ] {
        let (driver, stream) = mixed(mode);
        drop(stream);
        assert_eq!(place(&driver), "", "no client");
        for id in 0..5 {
            assert_eq!(driver.count(&format!("references {id}")), 0, "{mode} {id}");
        }
        let _next = driver.open();
        assert_eq!(place(&driver), fresh, "{mode}");
    }
}

fn mode_gives_out_anew() {
    use iostream_ring::uapi::*;
    let driver = Driver::stream("input-output 3 64");
    let session = driver.open();
    for (mode, expected) in [
        (IOSTREAM_MODE_INPUT, "ccc"),
        (IOSTREAM_MODE_OUTPUT, "fff"),
        (IOSTREAM_MODE_INPUT, "ccc"),
        (IOSTREAM_MODE_INPUT_OUTPUT, "fff"),
    ] {
        session.set_mode(mode).unwrap();
        assert_eq!(place(&driver), expected);
        let references = driver.count("references 1");
        assert_eq!(references, u64::from(expected == "ccc"));
    }
}

/// All buffers are returned at once, from any position of the queue, without the driver taking any.
fn returning_never_fails() {
    let driver = Driver::stream("output 102 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    for round in 0..20 {
        driver.command(&format!("produce {} 1", 102 - round));
        let taken = stream.take_all();
        assert_eq!(taken.len(), 102 - round);
        for descriptor in taken {
            // It panics if the queue has no room.
            stream.give_back(descriptor.buffer);
        }
    }
}

fn sending_never_fails() {
    let driver = Driver::stream("input 102 64");
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    for _ in 0..10 {
        for id in 0..102 {
            stream.send_buffer(id, 1);
        }
        driver.command("consume 102");
        driver.fails("receive", Errno::NODATA);
        assert_eq!(stream.take_all().len(), 102);
    }
}

/// Whatever both sides do within the rules, no buffer is lost or owned twice.
fn at_random() {
    const BUFFERS: usize = 6;
    let mut random = Random::seeded();
    let driver = Driver::stream(&format!("input-output {BUFFERS} 64"));
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let (mut process, mut held): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let pick = |list: &mut Vec<u32>, random: &mut Random| {
        (!list.is_empty()).then(|| list.remove(random.below(list.len() as u64) as usize))
    };
    for _ in 0..count(50_000) {
        match random.below(6) {
            0 => {
                if driver.tell("take").is_ok() {
                    held.push(driver.log("id") as u32);
                }
            }
            1 => {
                if driver.tell("receive").is_ok() {
                    held.push(driver.log("id") as u32);
                }
            }
            2 => {
                if let Some(id) = pick(&mut held, &mut random) {
                    driver.command(&format!("send {id}"));
                }
            }
            3 => {
                if let Some(id) = pick(&mut held, &mut random) {
                    driver.command(&format!("release {id}"));
                }
            }
            4 => process.extend(stream.take().map(|descriptor| descriptor.buffer)),
            _ => {
                if let Some(id) = pick(&mut process, &mut random) {
                    stream.send_buffer(id, random.below(65) as u32);
                }
            }
        }
        let mut all: Vec<u32> = process.iter().chain(&held).copied().collect();
        let had = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), had, "a buffer has two owners");
    }
    // Collects all buffers.
    driver.command("release-all");
    process.extend(stream.take_all().iter().map(|descriptor| descriptor.buffer));
    process.into_iter().for_each(|id| stream.send_buffer(id, 1));
    while driver.tell("receive").is_ok() {}
    driver.command("release-all");
    assert_eq!(place(&driver), "f".repeat(BUFFERS));
    assert_eq!(
        iostream_raw::stream::numbers(&stream.counters())[2..],
        [0; 6]
    );
}
