// SPDX-License-Identifier: MIT OR Apache-2.0

//! destroying a queue that is mapped, waited on, or being copied from.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use iostream_raw::{echo, Area, Input, Output, Session, INPUT, OUTPUT};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::waiting::{wait_until, HOUR_MS};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-17/while-mapped", while_mapped),
    Clause::new("Q-17/while-in-poll", while_in_poll),
    Clause::new("Q-17/while-in-read", while_in_read),
    Clause::new("Q-17/while-in-write", while_in_write),
    Clause::new("Q-17/while-driver-waits", while_driver_waits),
    Clause::slow("Q-17/while-copying", 120, while_copying),
    Clause::slow("Q-17/while-endpoint-runs", 120, while_endpoint_runs),
    Clause::slow("Q-17/while-all-at-once", 180, while_all_at_once),
    Clause::slow("Q-17/all-is-freed", 120, all_is_freed),
];

fn while_mapped() {
    let driver = Driver::new(8192, 8192);
    let session = driver.open();
    let (input, output) = (Input::new(&session), Output::new(&session));
    let info = session.map(OUTPUT, Area::Info);
    driver.tell("enqueue 100").unwrap();
    driver.tell("unpublish").unwrap();
    assert_eq!(info.queue_info().gone, 1);
    // Every byte of every mapping is still accessible.
    for map in [&input.data, &input.producer, &output.consumer] {
        for offset in (0..map.len()).step_by(8) {
            map.word(offset).store(offset as u64, Relaxed);
        }
    }
    for map in [&output.data, &output.producer, &input.consumer, &info] {
        map.read(0, map.len());
    }
    assert_eq!(driver.tell("enqueue 100"), Err(Errno::NODEV));
    for direction in [OUTPUT, INPUT] {
        assert_eq!(session.notify(direction), Err(Errno::NODEV));
        assert_eq!(session.reset(direction), Err(Errno::NODEV));
        assert_eq!(session.eventfd(direction, -1), Err(Errno::NODEV));
    }
    drop(session);
    output.data.read(0, output.data.len());
}

fn while_in_poll() {
    let driver = Driver::new(4096, 0);
    for _ in 0..count(100) {
        let session = driver.open();
        std::thread::scope(|scope| {
            let waiters = [(); 3].map(|()| scope.spawn(|| session.poll(PollFlags::IN, -1)));
            driver.tell("unpublish").unwrap();
            for waiter in waiters {
                assert!(waiter.join().unwrap().contains(PollFlags::HUP));
            }
        });
        drop(session);
        driver.publish(4096, 0);
    }
}

fn while_in_read() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut lens = Vec::new();
            loop {
                match session.read(&mut [0; 100]) {
                    Ok(len) => lens.push(len),
                    Err(error) => return (lens, error),
                }
            }
        });
        driver.tell("enqueue 10").unwrap();
        driver.tell("enqueue 20").unwrap();
        driver.tell("unpublish").unwrap();
        // The entries that were there are read first.
        assert_eq!(reader.join().unwrap(), (vec![10, 20], Errno::NODEV));
    });
}

fn while_in_write() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| loop {
            if let Err(error) = session.write(&[1; 100]) {
                return error;
            }
        });
        // The queue is full, or soon will be.
        driver.wait_for("held", |_| session.counters(INPUT).entries == 0);
        driver.tell("unpublish").unwrap();
        assert_eq!(writer.join().unwrap(), Errno::NODEV);
    });
}

/// The driver waits in the kernel, for room or for data, when the session ends or the node is
/// removed.
fn while_driver_waits() {
    for unpublish in [true, false] {
        let driver = Driver::new(4096, 4096);
        let session = driver.open();
        driver.count("fill 100");
        std::thread::scope(|scope| {
            let producer = scope.spawn(|| driver.tell("enqueue-wait 100"));
            let consumer = scope.spawn(|| driver.tell(&format!("dequeue-wait 100 {HOUR_MS}")));
            if unpublish {
                driver.tell("unpublish").unwrap();
            } else {
                drop(session);
            }
            let error = if unpublish {
                Errno::NODEV
            } else {
                Errno::NOTCONN
            };
            assert_eq!(producer.join().unwrap(), Err(error));
            assert_eq!(consumer.join().unwrap(), Err(error));
        });
    }
}

/// The node is removed and published again while a process reads and writes as fast as it can.
fn while_copying() {
    let driver = Driver::new(1 << 16, 1 << 16);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                let path = iostream_raw::node_called("selftest");
                let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK;
                let Some(Ok(session)) = path.map(|path| Session::open(path, flags)) else {
                    continue;
                };
                let mut buffer = vec![0; 1 << 16];
                while !matches!(session.read(&mut buffer), Err(Errno::NODEV)) {
                    let _ = session.write(&buffer[..60_000]);
                }
            }
        });
        scope.spawn(|| {
            while !done.load(Relaxed) {
                let _ = driver.tell("enqueue 50000");
                let _ = driver.tell("dequeue 65536");
            }
        });
        for _ in 0..count(1000) {
            driver.tell("unpublish").unwrap();
            driver.publish(65536, 65536);
        }
        done.store(true, Relaxed);
        driver.tell("unpublish").unwrap();
    });
}

/// One thread closes the last descriptor while others are in calls.
fn while_endpoint_runs() {
    for i in 0..count(1000) {
        let session = Session::new(echo(1 << 14));
        let raw = std::sync::Arc::new(session);
        let threads: Vec<_> = (0..3)
            .map(|kind| {
                let session = raw.clone();
                std::thread::spawn(move || match kind {
                    0 => drop(session.run_with(iostream_ring::uapi::iostream_run {
                        timeout_ns: 1000 * (i + 1),
                        ..Default::default()
                    })),
                    1 => {
                        for _ in 0..20 {
                            let _ = session.write(&[1; 100]);
                            let _ = session.notify(INPUT);
                        }
                    }
                    _ => {
                        let _ = session.poll(PollFlags::IN, 1);
                    }
                })
            })
            .collect();
        drop(raw);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

/// Every call in threads of its own, while node and session come and go.
fn while_all_at_once() {
    let driver = Driver::new(4096, 4096);
    let done = AtomicBool::new(false);
    let open = || {
        let path = iostream_raw::node_called("selftest")?;
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK;
        Session::open(path, flags).ok()
    };
    let commands = [
        "enqueue 100 hardirq",
        "drain 10",
        "enqueue 10 softirq",
        "batch 5 50",
    ];
    std::thread::scope(|scope| {
        for command in commands {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let _ = driver.tell(command);
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let Some(session) = open() else { continue };
                    std::thread::scope(|scope| {
                        scope.spawn(|| {
                            drop(session.try_map(OUTPUT, Area::Data, iostream_raw::Prot::READ))
                        });
                        scope.spawn(|| {
                            let _ = session.notify(OUTPUT);
                        });
                        scope.spawn(|| {
                            let _ = session.reset(INPUT);
                        });
                        scope.spawn(|| session.read(&mut [0; 200]).is_ok());
                        scope.spawn(|| session.write(&[1; 200]).is_ok());
                        scope.spawn(|| {
                            let _ = session.poll(PollFlags::IN, 0);
                        });
                    });
                }
            });
        }
        for _ in 0..count(300) {
            driver.tell("unpublish").unwrap();
            driver.publish(4096, 4096);
            driver.tell("disable").unwrap();
            driver.tell("enable").unwrap();
        }
        done.store(true, Relaxed);
    });
}

/// The kernel's per-processor memory in KiB. Each port has some of it, and kmemleak does not see
/// what such memory points at.
fn for_each_processor() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Percpu:"));
    let words = line.expect("Percpu").split_whitespace().next();
    words.unwrap().parse().unwrap()
}

fn all_is_freed() {
    let driver = Driver::unpublished();
    let come_and_go = |times: u64| {
        for _ in 0..times {
            driver.publish(4096, 4096);
            drop(driver.open());
            driver.unpublish();
        }
    };
    come_and_go(10);
    let before = for_each_processor();
    come_and_go(300);
    // The 300 ports had about 300 KiB.
    wait_until("the per-processor memory is freed", || {
        for_each_processor() < before + 100
    });
}
