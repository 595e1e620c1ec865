// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-07: read(2) with buffers of any size, as programs use that know nothing of entries.

use iostream_raw::{echo, Random, Session, OUTPUT};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::io::{Errno, IoSliceMut};

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-07/small-buffers", || small_buffers(false)),
    Clause::new("F-07/small-buffers-overwriting", || small_buffers(true)),
    Clause::new("F-07/small-buffers-of-a-stream", small_buffers_of_a_stream),
    Clause::new("F-07/rest-survives", rest_survives),
    Clause::new("F-07/rest-is-ready", rest_is_ready),
    Clause::new("F-07/reset-forgets-the-rest", reset_forgets),
    Clause::new("F-07/whole-entries-on-request", whole),
    Clause::new("F-07/empty-entries-are-no-end", empty_entries),
    Clause::new("F-07/read-of-nothing", read_of_nothing),
    Clause::new("F-07/bytes-to-read", bytes_to_read),
    Clause::new("F-07/read-mode-arguments", read_mode_arguments),
];

/// The entries that the driver makes, one after the other.
fn produce(driver: &Driver, lens: &[usize]) -> Vec<u8> {
    driver.command("sequence 0");
    let entries = lens.iter().enumerate().map(|(number, len)| {
        driver.command(&format!("enqueue {len}"));
        entry(number as u64, *len)
    });
    entries.flatten().collect()
}

/// What a program reads with buffers of at most `most` bytes. No read may return more than one
/// entry has.
fn read_all(session: &Session, random: &mut Random, most: u64) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let (first, second) = (1 + random.below(most), random.below(most));
        let (mut first, mut second) = (vec![0; first as usize], vec![0; second as usize]);
        // Of all ways to read, in turn.
        let read = if random.below(2) == 0 {
            session.read(&mut first)
        } else {
            let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            rustix::io::readv(session, &mut parts)
        };
        match read {
            Ok(len) => {
                assert!(len > 0, "the end of the file");
                first.append(&mut second);
                all.extend_from_slice(&first[..len]);
            }
            Err(error) => {
                assert_eq!(error, Errno::AGAIN);
                return all;
            }
        }
    }
}

/// Lengths of entries that take at most 4000 bytes together, with their overhead.
fn lengths(random: &mut Random) -> Vec<usize> {
    let mut lens = Vec::new();
    let mut left = 4000_u64;
    while left > 600 {
        let len = random.below(500);
        left -= len + 16;
        lens.push(len as usize);
    }
    lens
}

/// What is the most that a program reads at once.
const MOST: [u64; 10] = [1, 2, 3, 7, 8, 9, 63, 100, 600, 5000];

fn small_buffers(overwriting: bool) {
    let driver = Driver::output(overwriting);
    let session = driver.open_nonblocking();
    let mut random = Random::seeded();
    for most in MOST {
        let wanted = produce(&driver, &lengths(&mut random));
        let read = read_all(&session, &mut random, most);
        assert_eq!(read, wanted, "at most {most}");
    }
}

fn small_buffers_of_a_stream() {
    let driver = Driver::stream("output 8 512");
    let session = driver.open_nonblocking();
    session.start().unwrap();
    let mut random = Random::seeded();
    for most in MOST {
        let mut wanted = Vec::new();
        for _ in 0..8 {
            let (seed, len) = (random.below(256), random.below(513) as usize);
            driver.command("take");
            let id = driver.log("id");
            driver.command(&format!("fill {id} {seed} 0 {len}"));
            driver.command(&format!("range {id} 0 {len}"));
            driver.command(&format!("send {id}"));
            wanted.extend(entry(seed, len));
        }
        assert_eq!(
            read_all(&session, &mut random, most),
            wanted,
            "at most {most}"
        );
    }
}

/// What was begun is finished, whatever happens to the queue meanwhile.
fn rest_survives() {
    let mut rest = [0; 100];
    // The producer overwrites what was begun.
    let driver = Driver::overwriting(4096);
    let session = driver.open();
    let first = produce(&driver, &[50]);
    assert_eq!(session.read(&mut rest[..20]), Ok(20));
    produce(&driver, &[80; 100]);
    assert_eq!(session.read(&mut rest), Ok(30));
    assert_eq!(rest[..30], first[20..]);
    // The driver goes.
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    let first = produce(&driver, &[50]);
    assert_eq!(session.read(&mut rest[..20]), Ok(20));
    driver.unpublish();
    assert_eq!(
        session.poll(PollFlags::IN, 0),
        PollFlags::IN | PollFlags::HUP
    );
    assert_eq!(session.read(&mut rest), Ok(30));
    assert_eq!(rest[..30], first[20..]);
    assert_eq!(session.read(&mut rest), Err(Errno::NODEV));
    // A page of the process is missing.
    let driver = Driver::overwriting(4096);
    let session = driver.open();
    let first = produce(&driver, &[50]);
    let nowhere = std::ptr::without_provenance_mut::<libc::c_void>(4096);
    // SAFETY: Nothing is mapped at the address; the kernel fails with EFAULT.
    let read = unsafe { libc::read(session.raw_fd(), nowhere, 100) };
    assert_eq!(
        (read, std::io::Error::last_os_error().raw_os_error()),
        (-1, Some(libc::EFAULT))
    );
    assert_eq!(session.read(&mut rest), Ok(50));
    assert_eq!(rest[..50], first);
}

/// The rest of an entry is ready even below the watermark.
fn rest_is_ready() {
    for overwriting in [false, true] {
        let driver = Driver::output(overwriting);
        let session = driver.open();
        session.watermark(64, 0).unwrap();
        produce(&driver, &[50, 50]);
        let ready = || session.poll(PollFlags::IN, 0) == PollFlags::IN;
        assert!(ready());
        assert_eq!(session.read(&mut [0; 50]), Ok(50));
        assert!(ready(), "what was ready stays so");
        for _ in 0..5 {
            assert_eq!(session.read(&mut [0; 9]), Ok(9));
            assert!(ready());
        }
        assert_eq!(session.read(&mut [0; 9]), Ok(5));
        assert!(!ready());
        // Below the watermark; a call that must not wait takes a part of it nevertheless.
        produce(&driver, &[30]);
        assert!(!ready());
        rustix::io::ioctl_fionbio(&session, true).unwrap();
        assert_eq!(session.read(&mut [0; 9]), Ok(9));
        rustix::io::ioctl_fionbio(&session, false).unwrap();
        assert!(ready());
        assert_eq!(session.read(&mut [0; 100]), Ok(21));
        assert!(!ready());
    }
    let driver = Driver::stream("output 4 64");
    let session = driver.open();
    session.start().unwrap();
    session.watermark(128, 0).unwrap();
    driver.command("produce 1 50");
    let ready = || session.poll(PollFlags::IN, 0) == PollFlags::IN;
    assert!(!ready());
    rustix::io::ioctl_fionbio(&session, true).unwrap();
    assert_eq!(session.read(&mut [0; 9]), Ok(9));
    rustix::io::ioctl_fionbio(&session, false).unwrap();
    assert!(ready());
    assert_eq!(session.read(&mut [0; 100]), Ok(41));
    assert!(!ready());
    // A stop discards the rest, and with it that it is ready.
    rustix::io::ioctl_fionbio(&session, true).unwrap();
    driver.command("produce 1 50");
    assert_eq!(session.read(&mut [0; 9]), Ok(9));
    session.stop().unwrap();
    session.start().unwrap();
    assert_eq!(session.read(&mut [0; 9]), Err(Errno::AGAIN));
    driver.command("produce 1 50");
    assert!(!ready());
}

fn reset_forgets() {
    for overwriting in [false, true] {
        let driver = Driver::output(overwriting);
        let session = driver.open_nonblocking();
        produce(&driver, &[50, 50]);
        assert_eq!(session.read(&mut [0; 20]), Ok(20));
        session.reset(OUTPUT).unwrap();
        assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::empty());
        assert_eq!(session.read(&mut [0; 20]), Err(Errno::AGAIN));
        let second = produce(&driver, &[60]);
        let mut read = [0; 100];
        assert_eq!(session.read(&mut read), Ok(60));
        assert_eq!(read[..60], second);
    }
}

fn read_mode(session: &Session, flags: u32) -> rustix::io::Result<()> {
    session.pass_number(IOSTREAM_IOC_READ_MODE, flags as usize)
}

fn whole() {
    let check = |session: &Session| {
        read_mode(session, IOSTREAM_READ_WHOLE).unwrap();
        for len in [1, 49] {
            assert_eq!(session.read(&mut vec![0; len]), Err(Errno::NOBUFS));
        }
        assert_eq!(session.read(&mut [0; 50]), Ok(50));
        read_mode(session, 0).unwrap();
        assert_eq!(session.read(&mut [0; 49]), Ok(49));
        // The rest is whole, too.
        read_mode(session, IOSTREAM_READ_WHOLE).unwrap();
        assert_eq!(session.read(&mut [0; 49]), Ok(1));
    };
    for overwriting in [false, true] {
        let driver = Driver::output(overwriting);
        let session = driver.open_nonblocking();
        produce(&driver, &[50, 50, 0]);
        check(&session);
        // An empty entry is one of zero bytes.
        assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::IN);
        assert_eq!(session.read(&mut [0; 49]), Ok(0));
        assert_eq!(session.read(&mut [0; 49]), Err(Errno::AGAIN));
    }
    let driver = Driver::stream("output 4 64");
    let session = driver.open_nonblocking();
    session.start().unwrap();
    driver.command("produce 2 50");
    check(&session);
}

/// A program that is told that it can read gets bytes, and never the end.
fn empty_entries() {
    for overwriting in [false, true] {
        let driver = Driver::output(overwriting);
        let session = driver.open_nonblocking();
        for lens in [&[0][..], &[0, 0, 0], &[0; 300]] {
            produce(&driver, lens);
            if lens.len() < 256 {
                assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::empty());
            }
            assert_eq!(session.read(&mut [0; 49]), Err(Errno::AGAIN));
            produce(&driver, lens);
            let last = produce(&driver, &[7]);
            assert_eq!(session.poll(PollFlags::IN, 0), PollFlags::IN);
            let mut read = [0; 49];
            assert_eq!(session.read(&mut read), Ok(7));
            assert_eq!(read[..7], last);
        }
        produce(&driver, &[0]);
        driver.unpublish();
        let gone = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        assert_eq!(session.poll(PollFlags::IN, 0), gone);
        assert_eq!(session.read(&mut [0; 49]), Err(Errno::NODEV));
    }
}

/// A read of zero bytes returns zero, and takes nothing.
fn read_of_nothing() {
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    assert_eq!(session.read(&mut []), Ok(0));
    produce(&driver, &[50]);
    assert_eq!(session.read(&mut []), Ok(0));
    assert_eq!(session.read(&mut [0; 50]), Ok(50));
    let driver = Driver::stream("output 4 64");
    assert_eq!(driver.open().read(&mut []), Ok(0));
    let driver = Driver::new(0, 4096);
    assert_eq!(driver.open().read(&mut []), Err(Errno::NXIO));
    assert_eq!(Session::bare().read(&mut []), Err(Errno::BADFD));
}

/// FIONREAD says what the next read(2) returns.
fn bytes_to_read() {
    let bytes = |session: &Session| rustix::io::ioctl_fionread(session);
    for plan in ["queue", "overwriting", "stream"] {
        let driver = match plan {
            "queue" => Driver::new(4096, 0),
            "overwriting" => Driver::overwriting(4096),
            _ => Driver::stream("output 4 64"),
        };
        let session = driver.open_nonblocking();
        assert_eq!(bytes(&session), Ok(0), "{plan}");
        if plan == "stream" {
            session.start().unwrap();
            driver.command("produce 1 0");
            driver.command("produce 1 50");
            driver.command("produce 1 20");
        } else {
            produce(&driver, &[0, 50, 0, 20]);
        }
        for left in [50, 41, 32, 23, 14, 5] {
            assert_eq!(bytes(&session), Ok(left), "{plan}");
            assert_eq!(bytes(&session), Ok(left), "{plan}: a look changes nothing");
            assert_eq!(session.read(&mut [0; 9]), Ok(left.min(9) as usize));
        }
        assert_eq!(bytes(&session), Ok(20), "{plan}");
        assert_eq!(session.read(&mut [0; 100]), Ok(20));
        assert_eq!(bytes(&session), Ok(0), "{plan}");
    }
    let session = Session::new(echo(4096));
    let map = session.map_writable(OUTPUT, iostream_raw::Area::Consumer);
    assert_eq!(bytes(&session), Err(Errno::BUSY));
    drop(map);
    assert_eq!(bytes(&Session::bare()), Err(Errno::BADFD));
    let driver = Driver::new(0, 4096);
    assert_eq!(bytes(&driver.open()), Err(Errno::NXIO));
    let driver = Driver::stream("input 2 64");
    assert_eq!(bytes(&driver.open()), Err(Errno::NXIO));
}

fn read_mode_arguments() {
    let session = Session::bare();
    for flags in [
        0,
        IOSTREAM_READ_WHOLE,
        IOSTREAM_READ_LOSS,
        IOSTREAM_READ_FLAGS,
    ] {
        assert_eq!(read_mode(&session, flags), Ok(()));
    }
    for bit in 0..64 {
        let flags = 1_usize << bit;
        if flags & IOSTREAM_READ_FLAGS as usize == 0 {
            let set = session.pass_number(IOSTREAM_IOC_READ_MODE, flags);
            assert_eq!(set, Err(Errno::INVAL), "bit {bit}");
        }
    }
}
