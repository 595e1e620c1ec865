// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-06: the mode of a stream, and its change.

use iostream_raw::stream::info;
use iostream_raw::{Area, Prot, Session, Stream, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-06/reported", reported),
    Clause::new("S-06/every-change", every_change),
    Clause::new("S-06/driver-is-asked", driver_is_asked),
    Clause::new("S-06/refused-by-the-driver", refused_by_the_driver),
    Clause::new("S-06/output-for-ever", output_for_ever),
    Clause::new("S-06/running-refused", running_refused),
    Clause::new("S-06/suspended-refused", suspended_refused),
    Clause::new("S-06/stopped-again-refused", stopped_again_refused),
    Clause::new("S-06/queue-mapped-refused", queue_mapped_refused),
    Clause::new("S-06/info-mapped-refused", info_mapped_refused),
    Clause::new("S-06/buffers-mapped-refused", buffers_mapped_refused),
    Clause::new("S-06/unmapped-again-refused", unmapped_again_refused),
    Clause::new("S-06/driver-holds-one-refused", driver_holds_one_refused),
    Clause::new("S-06/until-the-end-of-the-session", until_the_end),
    Clause::new("S-06/same-mode-is-nothing", same_mode_is_nothing),
    Clause::new("S-06/unknown-refused", unknown_refused),
    Clause::new("S-06/no-stream", no_stream),
    Clause::new("S-06/refused-start-leaves-it", refused_start_leaves_it),
    Clause::new("S-06/refused-start-that-sent", refused_start_that_sent),
    Clause::new("S-06/both-agree-in-every-order", both_agree),
];

const MODES: [(&str, u32); 3] = [
    ("shared-output", IOSTREAM_MODE_OUTPUT),
    ("input", IOSTREAM_MODE_INPUT),
    ("input-output", IOSTREAM_MODE_INPUT_OUTPUT),
];

const NAMES: [&str; 3] = ["output", "input", "input-output"];

fn reported() {
    for (name, mode) in MODES {
        let driver = Driver::stream(&format!("{name} 2 64"));
        let stream = driver.open_stream();
        assert_eq!(stream.session.stream().mode, mode);
        assert_eq!(stream.word(info::MODE), u64::from(mode));
        assert_eq!(driver.count("mode"), u64::from(mode));
        assert_eq!(driver.shown("mode"), NAMES[mode as usize]);
    }
}

/// Data moves through the stream as its mode says.
fn works(driver: &Driver, mut stream: Stream, mode: u32) {
    stream.session.start().unwrap();
    if mode != IOSTREAM_MODE_INPUT {
        driver.command("produce 2 10");
        let taken = stream.take_all();
        assert_eq!(stream.data(&taken[1]), entry(1, 10));
        stream.give_back(0);
    }
    if mode != IOSTREAM_MODE_OUTPUT {
        stream.write(1, 0, &[1; 8]);
        stream.send_buffer(1, 8);
        driver.command("receive");
        assert_eq!((driver.log("id"), driver.log("sum")), (1, 8));
    }
}

fn every_change() {
    for (from, _) in MODES {
        for (_, to) in MODES {
            let driver = Driver::stream(&format!("{from} 2 64"));
            let session = driver.open();
            session.set_mode(to).unwrap();
            assert_eq!(session.stream().mode, to);
            assert_eq!(driver.count("mode"), u64::from(to));
            assert_eq!(driver.shown("mode"), NAMES[to as usize]);
            let stream = Stream::new(session);
            assert_eq!(stream.word(info::MODE), u64::from(to));
            works(&driver, stream, to);
        }
    }
}

fn driver_is_asked() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    let modes = driver.log("modes");
    session.set_mode(IOSTREAM_MODE_INPUT_OUTPUT).unwrap();
    assert_eq!(driver.log("modes"), modes + 1);
    assert_eq!(
        driver.log("last_mode"),
        u64::from(IOSTREAM_MODE_INPUT_OUTPUT)
    );
}

fn refused_by_the_driver() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    for (errno, error) in [(95, Errno::OPNOTSUPP), (5, Errno::IO)] {
        driver.command(&format!("fail mode {errno}"));
        assert_eq!(session.set_mode(IOSTREAM_MODE_OUTPUT), Err(error));
        assert_eq!(session.stream().mode, IOSTREAM_MODE_INPUT);
    }
    works(&driver, Stream::new(session), IOSTREAM_MODE_INPUT);
}

/// A stream whose driver has slices of the buffers stays in output mode.
fn output_for_ever() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    for mode in [IOSTREAM_MODE_INPUT, IOSTREAM_MODE_INPUT_OUTPUT] {
        assert_eq!(session.set_mode(mode), Err(Errno::OPNOTSUPP));
    }
    works(&driver, Stream::new(session), IOSTREAM_MODE_OUTPUT);
}

fn busy(session: &Session) {
    assert_eq!(session.set_mode(IOSTREAM_MODE_OUTPUT), Err(Errno::BUSY));
    assert_eq!(session.stream().mode, IOSTREAM_MODE_INPUT);
}

fn running_refused() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    session.start().unwrap();
    busy(&session);
}

fn suspended_refused() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    session.start().unwrap();
    session.suspend().unwrap();
    busy(&session);
}

fn stopped_again_refused() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    session.start().unwrap();
    session.stop().unwrap();
    busy(&session);
}

fn queue_mapped_refused() {
    let driver = Driver::stream("input 2 64");
    for direction in [OUTPUT, INPUT] {
        for area in Area::ALL {
            let session = driver.open();
            let _map = session.map(direction, area);
            busy(&session);
        }
    }
}

fn info_mapped_refused() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    let _map = session.map_stream_info();
    busy(&session);
}

fn buffers_mapped_refused() {
    let driver = Driver::stream("input 2 64");
    for prot in [Prot::READ, Prot::READ | Prot::WRITE] {
        let session = driver.open();
        let _map = session.try_map_buffers(1..2, prot).unwrap();
        busy(&session);
    }
}

/// The kernel does not count mappings: a process that had one may have kept the page elsewhere.
fn unmapped_again_refused() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    drop(session.try_map_buffers(0..2, Prot::READ).unwrap());
    busy(&session);
}

fn driver_holds_one_refused() {
    let driver = Driver::stream("input-output 2 64");
    let session = driver.open();
    driver.command("take");
    assert_eq!(session.set_mode(IOSTREAM_MODE_INPUT), Err(Errno::BUSY));
    driver.command("release 0");
    session.set_mode(IOSTREAM_MODE_INPUT).unwrap();
    driver.fails("take", Errno::NOSPC);
}

fn until_the_end() {
    let driver = Driver::stream("input 2 64");
    for _ in 0..2 {
        let session = driver.open();
        assert_eq!(session.stream().mode, IOSTREAM_MODE_INPUT);
        session.set_mode(IOSTREAM_MODE_OUTPUT).unwrap();
        session.set_mode(IOSTREAM_MODE_INPUT_OUTPUT).unwrap();
    }
    works(&driver, driver.open_stream(), IOSTREAM_MODE_INPUT);
}

/// Setting the present mode succeeds even while the stream runs, and the driver is not asked.
fn same_mode_is_nothing() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    driver.command("fail mode 5");
    assert_eq!(session.set_mode(IOSTREAM_MODE_INPUT), Ok(()));
    session.start().unwrap();
    assert_eq!(session.set_mode(IOSTREAM_MODE_INPUT), Ok(()));
}

fn unknown_refused() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    for mode in [3, 4, 1 << 31, u32::MAX] {
        assert_eq!(session.set_mode(mode), Err(Errno::INVAL));
    }
    let arg = std::ptr::without_provenance_mut(1 << 32);
    let done = iostream_raw::ioctl(&session, IOSTREAM_IOC_MODE, arg);
    assert_eq!(done, Err(Errno::INVAL), "not cut to 32 bits");
    assert_eq!(session.stream().mode, IOSTREAM_MODE_INPUT);
}

fn no_stream() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    assert_eq!(session.try_stream().err(), Some(Errno::NOTTY));
    assert_eq!(session.set_mode(0), Err(Errno::NOTTY));
    assert_eq!(session.start(), Err(Errno::NOTTY));
    assert_eq!(session.suspend(), Err(Errno::NOTTY));
    assert_eq!(session.stop(), Err(Errno::NOTTY));
}

/// A start that the driver refuses changes nothing: another mode can be chosen, as often as wanted.
fn refused_start_leaves_it() {
    for (from, _) in MODES {
        for (_, to) in MODES {
            let driver = Driver::stream(&format!("{from} 2 64"));
            let session = driver.open();
            driver.command("fail start 5");
            for mode in [IOSTREAM_MODE_INPUT, IOSTREAM_MODE_OUTPUT, to] {
                assert_eq!(session.start(), Err(Errno::IO));
                session.set_mode(mode).unwrap();
                assert_eq!(session.stream().mode, mode);
            }
            driver.command("fail start 0");
            works(&driver, Stream::new(session), to);
        }
    }
    // What has fixed the mode before, or meanwhile, still does.
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    driver.command("fail start 5");
    std::thread::scope(|scope| {
        let held = driver.hold_callbacks();
        let start = scope.spawn(|| session.start());
        held.wait_running(1);
        let _map = session.map_stream_info();
        held.release();
        assert_eq!(start.join().unwrap(), Err(Errno::IO));
    });
    busy(&session);
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    session.start().unwrap();
    session.suspend().unwrap();
    driver.command("fail start 5");
    assert_eq!(session.start(), Err(Errno::IO));
    session.stop().unwrap();
    assert_eq!(session.start(), Err(Errno::IO));
    busy(&session);
}

/// The client may have what was sent before the start was refused, so it stays with the client.
fn refused_start_that_sent() {
    let driver = Driver::stream("input-output 2 64");
    let session = driver.open();
    driver.command("fail start 5");
    std::thread::scope(|scope| {
        let held = driver.hold_callbacks();
        let start = scope.spawn(|| session.start());
        held.wait_running(1);
        driver.command("produce 1 8");
        held.release();
        assert_eq!(start.join().unwrap(), Err(Errno::IO));
    });
    assert_eq!(session.set_mode(IOSTREAM_MODE_INPUT), Err(Errno::BUSY));
    assert_eq!(driver.shown("buffers_where"), "cf");
}

/// What keeps the mode from being changed.
#[derive(Clone, Copy, Debug)]
enum Obstacle {
    Map(u32, Area),
    MapInfo,
    MapBuffers,
    Take,
}

/// When it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Before,
    /// While the driver is asked.
    Meanwhile,
    After,
}

impl Obstacle {
    fn all() -> Vec<Self> {
        let mut all = vec![Self::MapInfo, Self::MapBuffers, Self::Take];
        for direction in [OUTPUT, INPUT] {
            all.extend(Area::ALL.map(|area| Self::Map(direction, area)));
        }
        all
    }

    fn comes(self, driver: &Driver, session: &Session) {
        match self {
            Self::Map(direction, area) => drop(session.map(direction, area)),
            Self::MapInfo => drop(session.map_stream_info()),
            Self::MapBuffers => drop(session.try_map_buffers(0..2, Prot::READ).unwrap()),
            Self::Take => driver.command("take"),
        }
    }
}

/// Whatever fixes the mode, and whenever: afterwards the driver and the session have the same mode.
fn both_agree() {
    for obstacle in Obstacle::all() {
        for when in [When::Before, When::Meanwhile, When::After] {
            let what = format!("{obstacle:?} {when:?}");
            let driver = Driver::stream("input-output 2 64");
            let session = driver.open();
            session.set_mode(IOSTREAM_MODE_OUTPUT).unwrap();
            if when == When::Before {
                obstacle.comes(&driver, &session);
            }
            let changed = std::thread::scope(|scope| {
                let held = (when == When::Meanwhile).then(|| driver.hold_callbacks());
                let change = scope.spawn(|| session.set_mode(IOSTREAM_MODE_INPUT_OUTPUT));
                if let Some(held) = held {
                    held.wait_running(1);
                    obstacle.comes(&driver, &session);
                }
                change.join().unwrap()
            });
            let (expected, mode) = match when {
                When::After => (Ok(()), IOSTREAM_MODE_INPUT_OUTPUT),
                _ => (Err(Errno::BUSY), IOSTREAM_MODE_OUTPUT),
            };
            assert_eq!(changed, expected, "{what}");
            if when == When::After {
                obstacle.comes(&driver, &session);
            }
            assert_eq!(session.stream().mode, mode, "{what}");
            assert_eq!(driver.count("mode"), u64::from(mode), "{what}");
            assert_eq!(driver.log("last_mode"), u64::from(mode), "{what}");
            driver.command("release-all");
        }
    }
}
