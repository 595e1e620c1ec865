// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-10: read(2) and write(2) of streams move one buffer by copy.

use std::os::fd::{AsFd, AsRawFd};

use iostream_raw::{Area, Prot, Session, Stream, INPUT, OUTPUT};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};
use crate::support::stalled_page::StalledPage;
use crate::support::waiting::woken_by;

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-10/stream-read", read),
    Clause::new("U-10/stream-read-gives-back", read_gives_back),
    Clause::new("U-10/stream-read-in-parts", read_in_parts),
    Clause::new("U-10/stream-read-starts", read_starts),
    Clause::new("U-10/stream-start-refused", start_refused),
    Clause::new("U-10/stream-read-blocks", read_blocks),
    Clause::new("U-10/stream-end-of-file", end_of_file),
    Clause::new("U-10/stream-empty-buffer-is-not-the-end", empty_buffer),
    Clause::new("U-10/stream-discarded-is-not-read", discarded),
    Clause::new("U-10/stream-suspended-read-waits", suspended),
    Clause::new("U-10/stream-write", write),
    Clause::new("U-10/stream-write-in-parts", write_in_parts),
    Clause::new("U-10/stream-write-blocks", write_blocks),
    Clause::new("U-10/stream-write-stopped", write_stopped),
    Clause::new("U-10/stream-write-and-read", write_and_read),
    Clause::new("U-10/stream-full-of-answers", full_of_answers),
    Clause::new("U-10/stream-wrong-direction", wrong_direction),
    Clause::new("U-10/stream-mapped-is-refused", mapped_is_refused),
    Clause::new(
        "U-10/stream-mapped-data-are-refused",
        mapped_data_are_refused,
    ),
    Clause::new("U-10/stream-no-mapping-in-a-call", no_mapping_in_a_call),
    Clause::new("U-10/stream-poll-writable", poll_writable),
    Clause::new("U-10/stream-gone", gone),
];

/// The driver sends a buffer of `len` bytes with the pattern that begins with `seed`.
fn send(driver: &Driver, seed: usize, len: usize) {
    driver.command("take");
    let id = driver.log("id");
    driver.command(&format!("fill {id} {seed} 10 {len}"));
    driver.command(&format!("range {id} 10 {len}"));
    driver.command(&format!("send {id}"));
}

#[track_caller]
fn reads(session: &Session, room: usize, wanted: &[u8]) {
    let mut buffer = vec![0; room];
    assert_eq!(session.read(&mut buffer), Ok(wanted.len()));
    assert_eq!(&buffer[..wanted.len()], wanted);
}

fn read() {
    let driver = Driver::stream("output 4 4096");
    let session = driver.open_nonblocking();
    session.start().unwrap();
    send(&driver, 7, 100);
    send(&driver, 9, 4086);
    // One buffer a call, even if more would fit.
    reads(&session, 10_000, &entry(7, 100));
    reads(&session, 4086, &entry(9, 4086));
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
    assert_eq!(session.read(&mut []), Ok(0));
}

/// A buffer that was read is free again: four buffers are enough for any number of reads.
fn read_gives_back() {
    let driver = Driver::stream("output 4 64");
    let session = driver.open_nonblocking();
    session.start().unwrap();
    for seed in 0..50 {
        send(&driver, seed, 20);
        send(&driver, seed + 1, 20);
        reads(&session, 64, &entry(seed as u64, 20));
        reads(&session, 64, &entry(seed as u64 + 1, 20));
    }
    let counters = session.stream_counters();
    // The driver takes returned buffers first; it has not yet received the last two.
    assert_eq!((counters.sent, counters.received), (100, 98));
    assert_eq!(counters.rejected_owner, 0);
}

/// The rest of a buffer waits for the next call, which does not go on to the next buffer.
fn read_in_parts() {
    let driver = Driver::stream("output 4 4096");
    let session = driver.open_nonblocking();
    session.start().unwrap();
    send(&driver, 7, 100);
    send(&driver, 50, 3);
    let whole = entry(7, 100);
    for part in whole.chunks(30) {
        reads(&session, 30, part);
    }
    reads(&session, 30, &entry(50, 3));
    // A stop discards the rest of a buffer that was read in part.
    send(&driver, 7, 100);
    reads(&session, 30, &whole[..30]);
    assert_eq!(session.stop(), Ok((1, 0)));
    session.start().unwrap();
    send(&driver, 90, 40);
    reads(&session, 30, &entry(90, 40)[..30]);
}

/// The first read starts the stream, so that `cat` works; later ones do not.
fn read_starts() {
    let driver = Driver::stream("output 4 4096");
    let before = driver.log("starts");
    let session = driver.open_nonblocking();
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
    assert_eq!(driver.log("starts"), before + 1);
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
    assert_eq!(driver.log("starts"), before + 1);
    drop(session);
    let session = driver.open_nonblocking();
    session.start().unwrap();
    session.stop().unwrap();
    assert_eq!(session.read(&mut [0; 10]), Ok(0));
    assert_eq!(driver.log("starts"), before + 2);
}

fn start_refused() {
    let driver = Driver::stream("output 4 4096");
    let session = driver.open_nonblocking();
    driver.command("fail start 71");
    for _ in 0..2 {
        assert_eq!(session.read(&mut [0; 10]), Err(Errno::PROTO));
    }
    driver.command("fail start 0");
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
}

fn read_blocks() {
    let driver = Driver::stream("output 4 4096");
    let session = driver.open();
    for seed in 0..20 {
        let read = || {
            let mut buffer = [0; 100];
            session.read(&mut buffer).map(|len| buffer[..len].to_vec())
        };
        let read = woken_by(libc::SYS_read, read, || send(&driver, seed, 50));
        assert_eq!(read, Ok(entry(seed as u64, 50)));
    }
}

/// A stopped stream is read up to its end, then reads return 0; it can be started again.
fn end_of_file() {
    let driver = Driver::stream("output 4 4096");
    let session = driver.open();
    session.start().unwrap();
    send(&driver, 0, 10);
    reads(&session, 100, &entry(0, 10));
    send(&driver, 1, 10);
    send(&driver, 2, 10);
    // The driver has not received the first one, and need not.
    session.drain(0).unwrap();
    reads(&session, 100, &entry(1, 10));
    reads(&session, 100, &entry(2, 10));
    reads(&session, 100, &[]);
    session.start().unwrap();
    let read = || session.read(&mut [0; 10]);
    let stop = || {
        session.stop().unwrap();
    };
    assert_eq!(woken_by(libc::SYS_read, read, stop), Ok(0));
}

/// A buffer without data says nothing to a reader, and goes back to the driver.
fn empty_buffer() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open_nonblocking();
    session.start().unwrap();
    for seed in 0..5 {
        send(&driver, seed, 0);
        send(&driver, seed, 20);
        reads(&session, 64, &entry(seed as u64, 20));
    }
    send(&driver, 0, 0);
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
    driver.command("take");
    driver.command("take");
}

fn discarded() {
    let driver = Driver::stream("output 4 4096");
    let session = driver.open_nonblocking();
    session.start().unwrap();
    (0..4).for_each(|seed| send(&driver, seed, 10));
    driver.fails("take", Errno::NOSPC);
    assert_eq!(session.stop(), Ok((4, 0)));
    reads(&session, 100, &[]);
    session.start().unwrap();
    // All four buffers are free again.
    (5..9).for_each(|seed| send(&driver, seed, 10));
    reads(&session, 100, &entry(5, 10));
}

fn suspended() {
    let driver = Driver::stream("output 4 4096");
    let session = driver.open();
    session.start().unwrap();
    send(&driver, 1, 10);
    session.suspend().unwrap();
    reads(&session, 100, &entry(1, 10));
    let read = || session.read(&mut [0; 10]);
    let go_on = || {
        session.start().unwrap();
        send(&driver, 2, 10);
    };
    assert_eq!(woken_by(libc::SYS_read, read, go_on), Ok(10));
}

fn write() {
    let driver = Driver::stream("input 3 64");
    let session = driver.open_nonblocking();
    for len in [1, 64, 7] {
        session.write_entry(&vec![3; len]);
    }
    assert_eq!(session.write(&[1]), Err(Errno::AGAIN), "no buffer is left");
    for len in [1, 64, 7] {
        driver.command("receive");
        assert_eq!((driver.log("len"), driver.log("sum")), (len, 3 * len));
    }
    driver.command("release-all");
    driver.fails("receive", Errno::NODATA);
    // They came back to the client.
    (0..3).for_each(|_| session.write_entry(&[9; 9]));
    assert_eq!(session.write(&[]), Ok(0));
}

/// What does not fit into one buffer goes into the next ones, as far as there are some.
fn write_in_parts() {
    let driver = Driver::stream("input 3 64");
    for nonblocking in [true, false] {
        let session = if nonblocking {
            driver.open_nonblocking()
        } else {
            driver.open()
        };
        for (write, lens) in [
            (1, &[1][..]),
            (64, &[64]),
            (65, &[64, 1]),
            (130, &[64, 64, 2]),
            (192, &[64, 64, 64]),
            (193, &[64, 64, 64]),
            (100_000, &[64, 64, 64]),
        ] {
            let bytes: Vec<u8> = (0..write).map(|i| (i / 64) as u8).collect();
            assert_eq!(session.write(&bytes), Ok(lens.iter().sum()), "{write}");
            for (buffer, len) in lens.iter().enumerate() {
                driver.command("receive");
                assert_eq!(driver.log("len"), *len as u64);
                assert_eq!(driver.log("sum"), (buffer * len) as u64);
            }
            driver.command("release-all");
        }
    }
}

fn write_blocks() {
    let driver = Driver::stream("input 1 64");
    let session = driver.open();
    session.write_entry(&[0; 10]);
    driver.command("receive");
    for len in 1..20 {
        let bytes = vec![1; len];
        let write = || session.write(&bytes);
        let return_it = || {
            driver.command("release-all");
            // The released buffer goes back first; the writer may use it at once, or not.
            while driver.tell("receive").is_err() {
                std::thread::yield_now();
            }
        };
        assert_eq!(woken_by(libc::SYS_write, write, return_it), Ok(len));
    }
}

fn write_stopped() {
    let driver = Driver::stream("input 1 64");
    let session = driver.open();
    session.write_entry(&[0; 10]);
    let write = || session.write(&[0; 10]);
    let stop = || {
        session.stop().unwrap();
    };
    assert_eq!(woken_by(libc::SYS_write, write, stop), Err(Errno::SHUTDOWN));
    session.start().unwrap();
    // The stop returned the buffers that were sent.
    session.write_entry(&[0; 10]);
}

/// The driver sends empty buffers, and sends them again with an answer.
fn write_and_read() {
    let driver = Driver::stream("input-output 2 64");
    let session = driver.open_nonblocking();
    assert_eq!(session.write(b"early"), Err(Errno::AGAIN));
    for _ in 0..2 {
        driver.command("take");
        let id = driver.log("id");
        driver.command(&format!("send {id}"));
    }
    driver.command("auto echo");
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN), "empties");
    for i in 0..100_u8 {
        session.write_entry(&[i, 1]);
        session.write_entry(&[i, 2, 3]);
        assert_eq!(session.write(b"x"), Err(Errno::AGAIN));
        reads(&session, 64, &[!i, !1]);
        reads(&session, 64, &[!i, !2, !3]);
    }
}

/// A writer waits while the next buffer has an answer to be read first.
fn full_of_answers() {
    let driver = Driver::stream("input-output 1 64");
    let session = driver.open();
    session.start().unwrap();
    driver.command("take");
    driver.command("send 0");
    driver.command("auto echo");
    session.write_entry(&[1, 2]);
    let write = || session.write(&[3]);
    let read = || reads(&session, 64, &[!1, !2]);
    assert_eq!(woken_by(libc::SYS_write, write, read), Ok(1));
    reads(&session, 64, &[!3]);
}

fn wrong_direction() {
    let driver = Driver::stream("output 2 64");
    assert_eq!(driver.open().write(b"x"), Err(Errno::NXIO));
    let driver = Driver::stream("input 2 64");
    assert_eq!(driver.open().read(&mut [0; 10]), Err(Errno::NXIO));
}

fn mapped_is_refused() {
    let driver = Driver::stream("input-output 2 64");
    let stream = driver.open_stream();
    assert_eq!(stream.session.read(&mut [0; 10]), Err(Errno::BUSY));
    assert_eq!(stream.session.write(b"x"), Err(Errno::BUSY));
    drop(stream);
    // An end that was used by calls can still be mapped.
    let session = driver.open_nonblocking();
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
    let stream = Stream::new(session);
    assert_eq!(stream.session.read(&mut [0; 10]), Err(Errno::BUSY));
}

/// What a process can write of a stream's queues.
const WRITABLE: [(u32, Area); 3] = [
    (OUTPUT, Area::Consumer),
    (INPUT, Area::Producer),
    (INPUT, Area::Data),
];

/// The descriptors that a call sends lie in the data of the input queue. A process that can write
/// there could make the driver take, and write, the buffer that a read(2) is copying.
fn mapped_data_are_refused() {
    for mode in ["output", "input", "input-output"] {
        for (direction, area) in WRITABLE {
            println!("{mode}, {area:?} of queue {direction}");
            let driver = Driver::stream(&format!("{mode} 2 64"));
            let session = driver.open_nonblocking();
            session.start().unwrap();
            if mode != "input" {
                driver.command("produce 2 64");
            }
            let map = session.map_writable(direction, area);
            let refused = |session: &Session| {
                if mode != "input" {
                    assert_eq!(session.read(&mut [0; 64]), Err(Errno::BUSY));
                }
                if mode != "output" {
                    assert_eq!(session.write(&[0; 64]), Err(Errno::BUSY));
                }
            };
            refused(&session);
            drop(map);
            refused(&session);
        }
    }
}

/// While a read(2) copies a buffer, the process cannot map what would let it give the buffer away.
fn no_mapping_in_a_call() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    driver.command("produce 1 64");
    let page = StalledPage::new();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| page.read_into(session.as_fd().as_raw_fd(), 64));
        page.wait_touched();
        for (direction, area) in WRITABLE {
            let mapped = session.try_map(direction, area, Prot::READ | Prot::WRITE);
            assert_eq!(
                mapped.err(),
                Some(Errno::BUSY),
                "{area:?} of queue {direction}"
            );
        }
        page.arrive();
        assert_eq!(reader.join().unwrap(), 64);
    });
    for (direction, area) in WRITABLE {
        session.map_writable(direction, area);
    }
}

/// Writable means that a buffer can be filled, not that the queue has room.
fn poll_writable() {
    let driver = Driver::stream("input 1 64");
    let session = driver.open();
    let now = || session.poll(PollFlags::OUT, 0);
    assert_eq!(now(), PollFlags::OUT);
    session.write_entry(b"x");
    assert_eq!(now(), PollFlags::empty());
    driver.command("receive");
    let return_it = || driver.command("release-all");
    let said = woken_by(
        libc::SYS_ppoll,
        || session.poll(PollFlags::OUT, -1),
        return_it,
    );
    assert_eq!(said, PollFlags::OUT);
    let driver = Driver::stream("output 1 64");
    assert_eq!(driver.open().poll(PollFlags::OUT, 0), PollFlags::empty());
}

fn gone() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    send(&driver, 1, 10);
    reads(&session, 64, &entry(1, 10));
    let read = || session.read(&mut [0; 10]);
    let said = woken_by(libc::SYS_read, read, || driver.unpublish());
    assert_eq!(said, Err(Errno::NODEV));
    let driver = Driver::stream("input 1 64");
    let session = driver.open();
    session.write_entry(b"x");
    let write = || session.write(b"y");
    let said = woken_by(libc::SYS_write, write, || driver.unpublish());
    assert_eq!(said, Err(Errno::NODEV));
}
