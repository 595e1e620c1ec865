// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-21: a kernel module as the client of a stream.

use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::waiting::{woken_by, HOUR_MS};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-21/open-by-name", open_by_name),
    Clause::new("S-21/no-such-stream", no_such_stream),
    Clause::new("S-21/one-client", one_client),
    Clause::new("S-21/driver-refuses", driver_refuses),
    Clause::new("S-21/receives", receives),
    Clause::new("S-21/dropped-goes-back", dropped_goes_back),
    Clause::new("S-21/sends", sends),
    Clause::new("S-21/sends-control", sends_control),
    Clause::new("S-21/both-ways", both_ways),
    Clause::new("S-21/only-reads-in-output-mode", only_reads),
    Clause::new("S-21/wait", wait),
    Clause::new("S-21/callback", callback),
    Clause::new("S-21/suspend-and-stop", suspend_and_stop),
    Clause::new("S-21/mode", mode),
    Clause::new("S-21/notices", notices),
    Clause::new("S-21/buffers-added", buffers_added),
    Clause::new("S-21/buffer-outlives-the-session", buffer_outlives),
    Clause::new("S-21/driver-removed", driver_removed),
    Clause::new("S-21/next-client-starts-clean", next_starts_clean),
];

const OPEN: &str = "open selftest";

/// A driver, and a client in the kernel that has its stream open.
fn opened(plan: &str) -> (Driver, Driver) {
    let pair = (Driver::stream(plan), Driver::client());
    pair.1.command(OPEN);
    pair
}

fn send(driver: &Driver, seed: u64, len: u64) {
    driver.command("take");
    let id = driver.log("id");
    driver.command(&format!("fill {id} {seed} 0 {len}"));
    driver.command(&format!("range {id} 0 {len}"));
    driver.command(&format!("send {id}"));
}

fn sum(seed: u64, len: u64) -> u64 {
    (0..len).map(|i| (seed + i) & 0xff).sum()
}

fn open_by_name() {
    let driver = Driver::stream("output 4 4096");
    let client = Driver::client();
    let (opens, closes) = (driver.log("opens"), driver.log("closes"));
    client.command(OPEN);
    assert_eq!(driver.log("opens"), opens + 1);
    assert_eq!(driver.attribute("sessions"), 1);
    client.command("close");
    assert_eq!(driver.log("closes"), closes + 1);
    assert_eq!(driver.attribute("sessions"), 0);
    for _ in 0..count(500) {
        client.command(OPEN);
        client.command("close");
    }
}

fn no_such_stream() {
    let client = Driver::client();
    client.fails("open nobody", Errno::NOENT);
    client.fails("open it2way", Errno::NOTTY);
    client.fails("open iostream", Errno::NOTTY);
    let driver = Driver::stream("output 4 4096");
    driver.unpublish();
    client.fails(OPEN, Errno::NOENT);
}

/// A process and the module exclude each other as clients.
fn one_client() {
    let (driver, client) = opened("output 4 4096");
    assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
    client.command("close");
    let session = driver.open();
    client.fails(OPEN, Errno::BUSY);
    drop(session);
    client.command(OPEN);
}

fn driver_refuses() {
    let driver = Driver::stream("output 4 4096");
    let client = Driver::client();
    driver.command("fail open 71");
    client.fails(OPEN, Errno::PROTO);
    driver.command("fail open 0");
    client.command(OPEN);
}

fn receives() {
    let (driver, client) = opened("output 4 4096 control=8");
    client.fails("receive", Errno::NODATA);
    client.command("start");
    for round in 0..50 {
        send(&driver, round, 100 + round);
        client.command("receive");
        assert_eq!(client.log("len"), 100 + round);
        assert_eq!(client.log("sum"), sum(round, 100 + round));
        assert_eq!(client.log("frame"), round);
        client.command("send");
    }
}

/// Buffers that the client still holds are not free; dropped ones are, once the driver receives
/// again.
fn dropped_goes_back() {
    let (driver, client) = opened("output 4 64");
    client.command("start");
    (0..4).for_each(|seed| send(&driver, seed, 10));
    (0..4).for_each(|_| client.command("receive"));
    driver.fails("take", Errno::NOSPC);
    client.command("drop");
    client.command("drop");
    client.fails("receive", Errno::NODATA);
    (0..2).for_each(|seed| send(&driver, seed, 10));
    driver.fails("take", Errno::NOSPC);
}

fn sends() {
    let (driver, client) = opened("input 3 64");
    client.command("start");
    for round in 0..50 {
        for _ in 0..3 {
            client.command("take");
            client.command(&format!("fill {round} 40"));
        }
        client.fails("take", Errno::NODATA);
        (0..3).for_each(|_| client.command("send"));
        for _ in 0..3 {
            driver.command("receive");
            assert_eq!(driver.log("sum"), sum(round, 40));
        }
        driver.command("release-all");
        driver.fails("receive", Errno::NODATA);
    }
}

fn sends_control() {
    let (driver, client) = opened("input 2 64 control=16");
    client.command("start");
    client.command("take");
    client.command("fill 3 40");
    client.command("fill-control 200 16");
    client.command("send");
    driver.command("receive");
    assert_eq!(driver.log("sum"), sum(3, 40));
    assert_eq!(driver.log("control_len"), 16);
    assert_eq!(driver.log("control_sum"), sum(200, 16));
}

fn both_ways() {
    let (driver, client) = opened("input-output 2 64");
    client.command("start");
    driver.command("take");
    driver.command(&format!("send {}", driver.log("id")));
    driver.command("auto echo");
    client.command("take");
    assert_eq!(client.log("len"), 0, "a buffer to fill");
    for round in 0..50 {
        client.command(&format!("fill {round} 40"));
        client.command("send");
        // The driver answered within that call.
        client.command("receive");
        assert_eq!(client.log("sum"), 255 * 40 - sum(round, 40));
    }
}

fn only_reads() {
    let (driver, client) = opened("output 2 64 control=16");
    client.command("start");
    client.fails("take", Errno::INVAL);
    send(&driver, 1, 10);
    client.command("receive");
    client.fails("fill 1 10", Errno::ACCESS);
    client.fails("fill-control 1 10", Errno::ACCESS);
}

fn wait() {
    let (driver, client) = opened("output 2 64");
    client.command("start");
    client.fails("wait 10", Errno::TIMEDOUT);
    for seed in 0..20 {
        let wait = || client.tell(&format!("wait {HOUR_MS}"));
        let waited = woken_by(libc::SYS_write, wait, || send(&driver, seed, 10));
        assert_eq!(waited, Ok(()));
        client.command("receive");
        client.command("send");
    }
    // A stop by somebody else ends the wait.
    let wait = || client.tell(&format!("wait {HOUR_MS}"));
    let stop = || std::fs::write(driver.sysfs().join("state"), "stopped").unwrap();
    assert_eq!(woken_by(libc::SYS_write, wait, stop), Err(Errno::SHUTDOWN));
    client.fails("receive", Errno::SHUTDOWN);
}

fn callback() {
    let (driver, client) = opened("output 2 64");
    client.command("start");
    let before = client.log("calls");
    client.command("watch");
    client.wait_for("calls", |calls| calls == before + 1);
    // The client is called only if it had found the queue empty.
    send(&driver, 1, 10);
    client.command("receive");
    assert_eq!(client.log("calls"), before + 1);
    for round in 2..20 {
        client.fails("receive", Errno::NODATA);
        client.command("send");
        send(&driver, round, 10);
        client.wait_for("calls", |calls| calls == before + round);
        client.command("receive");
    }
    let before = client.log("calls");
    driver.unpublish();
    client.wait_for("calls", |calls| calls > before);
}

fn suspend_and_stop() {
    let (driver, client) = opened("output 4 64");
    client.fails("suspend", Errno::BADFD);
    client.command("start");
    client.fails("start", Errno::ALREADY);
    send(&driver, 1, 10);
    client.command("suspend");
    client.command("receive");
    client.command("drop");
    client.command("start");
    // What a stop discards goes back to the driver, which has four buffers in all.
    for round in 0..5 {
        send(&driver, 2, 10);
        send(&driver, 3, 10);
        client.command("stop");
        assert_eq!(client.log("count"), 2, "discarded");
        client.fails("receive", Errno::SHUTDOWN);
        client.command("start");
        send(&driver, round, 10);
        client.command("receive");
        assert_eq!(client.log("sum"), sum(round, 10));
        client.command("drop");
    }
    client.command("drain 1000");
}

fn mode() {
    let (_driver, client) = opened("shared-output 2 64");
    client.command("mode 1");
    client.command("take");
    client.command("fill 1 10");
    client.fails("mode 0", Errno::BUSY);
    client.command("close");
    let (_driver, client) = opened("output 2 64");
    client.fails("mode 1", Errno::OPNOTSUPP);
}

fn notices() {
    let (driver, client) = opened("input 2 64");
    client.command("notice 77");
    driver.wait_for("last_token", |token| token == 77);
    driver.command("fail sync 71");
    client.fails("sync 78", Errno::PROTO);
    assert_eq!(driver.log("last_token"), 78);
}

fn buffers_added() {
    let (driver, client) = opened("input 2 64 queue=5");
    client.command("start");
    (0..2).for_each(|_| client.command("take"));
    client.fails("take", Errno::NODATA);
    driver.command("add 3");
    client.command("buffers");
    assert_eq!(client.log("count"), 5);
    for _ in 0..3 {
        client.command("take");
        client.command("fill 1 64");
    }
    client.fails("take", Errno::NODATA);
}

/// A buffer's memory outlives its session, but the buffer cannot be sent in the next one.
fn buffer_outlives() {
    let (driver, client) = opened("output 2 64");
    client.command("start");
    send(&driver, 1, 10);
    client.command("receive");
    driver.unpublish();
    client.fails("send", Errno::NODEV);
    client.command("close");
    client.fails("drop", Errno::NXIO);
}

fn driver_removed() {
    let (driver, client) = opened("output 2 64");
    client.command("start");
    send(&driver, 1, 10);
    driver.unpublish();
    // Queued buffers are still received.
    client.command("receive");
    assert_eq!(client.log("sum"), sum(1, 10));
    for (command, errno) in [
        ("receive", Errno::NODEV),
        ("wait 1000", Errno::NODEV),
        ("start", Errno::NODEV),
        ("stop", Errno::NODEV),
        ("notice 1", Errno::NODEV),
        ("sync 1", Errno::NODEV),
        ("buffers", Errno::NODEV),
    ] {
        client.fails(command, errno);
    }
    // The name is free for another stream while this client still has the old one.
    let next = Driver::stream("output 2 64");
    client.fails("receive", Errno::NODEV);
    drop(next.open());
}

fn next_starts_clean() {
    let (driver, client) = opened("input 2 64");
    client.command("start");
    client.command("take");
    client.command("fill 1 64");
    client.command("send");
    client.command("close");
    client.command(OPEN);
    driver.fails("receive", Errno::NODATA);
    client.command("start");
    for _ in 0..2 {
        client.command("take");
        assert_eq!((client.log("len"), client.log("sum")), (0, 0));
    }
    client.fails("take", Errno::NODATA);
}
