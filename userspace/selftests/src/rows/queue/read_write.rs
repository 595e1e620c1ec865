// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-10: read(2) and write(2) move one entry by copy.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::{Command, Stdio};

use iostream_raw::{
    check_record, echo, page, page_len, source, wait_for, Area, Random, Session, INPUT,
};
use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::{Errno, IoSlice, IoSliceMut};

use crate::clause::{count, Clause};
use crate::support::driver::{self, Driver};
use crate::support::echo::stuck_echo;
use crate::support::signals::ended_by_signal;
use crate::support::waiting::{woken_by, HOUR_MS};

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-10/one-entry-a-call", one_entry_a_call),
    Clause::new(
        "U-10/too-long-is-refused-unread",
        too_long_is_refused_unread,
    ),
    Clause::new("U-10/gathered-and-scattered", gathered_and_scattered),
    Clause::new("U-10/read-blocks", read_blocks),
    Clause::new("U-10/write-blocks", write_blocks),
    Clause::new("U-10/signal-ends-it", signal_ends_it),
    Clause::new("U-10/nonblocking", nonblocking),
    Clause::new("U-10/read-only-write-only", read_only_write_only),
    Clause::new("U-10/mapped-end-is-refused", mapped_end_is_refused),
    Clause::new("U-10/mapped-data-are-refused", mapped_data_are_refused),
    Clause::new("U-10/many-readers", many_readers),
    Clause::new("U-10/overwriting-by-read", overwriting_by_read),
    Clause::new("U-10/cat-and-dd", cat_and_dd),
    Clause::new("U-10/driver-node-read", node_read),
    Clause::new("U-10/driver-node-write", node_write),
    Clause::new("U-10/driver-node-nonblocking", node_nonblocking),
    Clause::new("U-10/driver-node-one-way", node_one_way),
];

fn one_entry_a_call() {
    let session = Session::new(echo(1 << 16));
    let mut random = Random::seeded();
    let entries: Vec<Vec<u8>> = (0..100)
        .map(|i| vec![i; 1 + random.below(500) as usize])
        .collect();
    for entry in &entries {
        session.write_entry(entry);
    }
    for entry in &entries {
        assert_eq!(&session.read_entry(), entry);
    }
}

fn gathered_and_scattered() {
    let session = Session::new(echo(4096));
    let parts = [
        IoSlice::new(b"ga"),
        IoSlice::new(b""),
        IoSlice::new(b"thered"),
    ];
    assert_eq!(rustix::io::writev(&session, &parts), Ok(8));
    let (mut first, mut second) = ([0; 3], [0; 10]);
    let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    assert_eq!(rustix::io::readv(&session, &mut parts), Ok(8));
    assert_eq!((&first, &second[..5]), (b"gat", &b"hered"[..]));
}

fn read_blocks() {
    let session = Session::new(source(4096, 16, 100, 0));
    let total = count(20_000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..total {
                assert_eq!(check_record(&session.read_entry()), i);
            }
        });
        for _ in 0..total {
            assert_eq!(session.run(1), (1, Ok(())));
        }
    });
}

fn write_blocks() {
    let session = Session::new(echo(4096));
    let total = count(20_000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0..total {
                session.write_entry(&iostream_raw::make_record(i, 16 + (i % 300) as usize));
            }
        });
        for i in 0..total {
            assert_eq!(check_record(&session.read_entry()), i);
        }
    });
}

fn signal_ends_it() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let read = ended_by_signal(|| session.read(&mut [0; 100]));
    assert_eq!(read, Err(Errno::INTR));
    let written: Result<(), _> = ended_by_signal(|| loop {
        session.write(&[0; 100])?;
    });
    assert_eq!(written, Err(Errno::INTR));
    session.queue(iostream_raw::OUTPUT);
}

/// The bytes of an entry that is refused are not even copied.
fn too_long_is_refused_unread() {
    let session = Session::nonblocking(echo(4096));
    let nowhere = std::ptr::without_provenance::<libc::c_void>(4096);
    let write = |len: usize| {
        // SAFETY: Nothing is mapped at the address; the kernel fails with EFAULT.
        let written = unsafe { libc::write(session.as_fd().as_raw_fd(), nowhere, len) };
        assert_eq!(written, -1);
        Errno::from_io_error(&std::io::Error::last_os_error())
    };
    assert_eq!(write(page_len() - 8), Some(Errno::FAULT));
    assert_eq!(write(page_len() - 7), Some(Errno::MSGSIZE));
    assert_eq!(write(1 << 30), Some(Errno::MSGSIZE));
}

fn nonblocking() {
    let session = Session::nonblocking(echo(4096));
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
    let mut sent = 0;
    while session.write(&[1; 100]).is_ok() {
        sent += 1;
    }
    assert_eq!(session.write(&[1; 100]), Err(Errno::AGAIN));
    // Nothing of a refused entry is in the queue, and a smaller one may still fit.
    for _ in 0..sent {
        assert_eq!(session.read(&mut [0; 200]), Ok(100));
    }
    assert_eq!(session.read(&mut [0; 200]), Err(Errno::AGAIN));
    assert_eq!(session.poll(PollFlags::OUT, -1), PollFlags::OUT);
}

fn read_only_write_only() {
    for (flags, reads, writes) in [
        (OFlags::RDONLY, Ok(3), Err(Errno::BADF)),
        (OFlags::WRONLY, Err(Errno::BADF), Ok(3)),
    ] {
        let driver = Driver::new(4096, 4096);
        let session = Session::open(driver.path(), flags).unwrap();
        driver.tell("enqueue 3").unwrap();
        assert_eq!(session.read(&mut [0; 10]), reads);
        assert_eq!(session.write(b"abc"), writes);
    }
}

/// An end of a queue is mapped or used by calls, never both at once.
fn mapped_end_is_refused() {
    let (session, input, output) = stuck_echo();
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::BUSY));
    assert_eq!(session.write(&[0; 8]), Err(Errno::BUSY));
    drop((input, output));
    // An end that was used by calls can still be mapped.
    let session = Session::new(echo(4096));
    session.write_entry(b"call");
    assert_eq!(session.read_entry(), b"call");
    let _maps = (
        iostream_raw::Input::new(&session),
        iostream_raw::Output::new(&session),
    );
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::BUSY));
}

/// A process that has mapped the data of its queue, and not yet its words, writes entries as well.
fn mapped_data_are_refused() {
    let session = Session::new(echo(4096));
    let data = session.map_writable(INPUT, Area::Data);
    assert_eq!(session.write(&[0; 8]), Err(Errno::BUSY));
    drop(data);
    assert_eq!(session.write(&[0; 8]), Err(Errno::BUSY), "for good");
}

/// Several threads read: each entry goes to one of them.
fn many_readers() {
    let session = Session::new(source(4096, 16, 16, 0));
    let total = count(20_000);
    let mut seen: Vec<u64> = std::thread::scope(|scope| {
        let readers = [(); 4].map(|()| {
            scope.spawn(|| {
                let mut mine = Vec::new();
                let mut buffer = [0; 16];
                loop {
                    match session.read(&mut buffer) {
                        Ok(16) => match check_record(&buffer) {
                            last if last >= total => return mine,
                            sequence => mine.push(sequence),
                        },
                        Err(Errno::BUSY) => {}
                        other => panic!("{other:?}"),
                    }
                }
            })
        });
        assert_eq!(session.run(total + 4), (total + 4, Ok(())));
        readers
            .into_iter()
            .flat_map(|reader| reader.join().unwrap())
            .collect()
    });
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..total));
}

fn overwriting_by_read() {
    let driver = Driver::overwriting(4096);
    let session = driver.open_nonblocking();
    let total = 3 * page() / 112;
    for _ in 0..total {
        driver.tell("enqueue 100").unwrap();
    }
    for sequence in total - page() / 112..total {
        assert_eq!(
            session.read_entry(),
            crate::support::driver::entry(sequence, 100)
        );
    }
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::AGAIN));
}

/// Usual tools, on a descriptor that they inherit.
fn cat_and_dd() {
    let session = Session::new(echo(1 << 16));
    let with = |command: &str, input: bool| {
        let fd = rustix::io::fcntl_dupfd_cloexec(&session, 0).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).stderr(Stdio::null());
        if input {
            shell.stdin(fd).stdout(Stdio::piped());
        } else {
            shell.stdout(fd).stdin(Stdio::null());
        }
        let done = shell.output().unwrap();
        assert!(done.status.success(), "{command}");
        done.stdout
    };
    with("echo by cat | cat", false);
    assert_eq!(with("dd bs=100 count=1", true), b"by cat\n");
    with("printf 'one entry a block' | dd bs=5", false);
    assert_eq!(with("dd bs=4096 count=4", true), b"one entry a block");
}

fn node_read() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    for number in 0..100 {
        let len = 1 + (number * 41) % 255;
        let context = ["task", "softirq", "hardirq"][number as usize % 3];
        let read = woken_by(
            libc::SYS_read,
            || session.read_entry(),
            || driver.command(&format!("enqueue {len} {context}")),
        );
        assert_eq!(read, driver::entry(number, len as usize));
    }
}

fn node_write() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    let fit = page() / 256;
    woken_by(
        libc::SYS_write,
        || (0..fit + 4).for_each(|_| session.write_entry(&[1; 248])),
        || {
            for _ in 0..fit + 4 {
                driver.command(&format!("dequeue-wait 248 {HOUR_MS}"));
                assert_eq!(driver.log("sum"), 248);
            }
        },
    );
    assert_eq!(session.write(&vec![1; page_len() - 7]), Err(Errno::MSGSIZE));
    assert_eq!(session.counters(INPUT).entries, fit + 4);
}

fn node_nonblocking() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open_nonblocking();
    assert_eq!(session.read(&mut [0; 100]), Err(Errno::AGAIN));
    for _ in 0..page() / 256 {
        session.write_entry(&[1; 248]);
    }
    assert_eq!(session.write(&[1; 248]), Err(Errno::AGAIN));
    driver.command("release");
    assert_eq!(wait_for(&session, PollFlags::OUT, -1), PollFlags::OUT);
    session.write_entry(&[1; 248]);
    driver.command("enqueue 5");
    assert_eq!(wait_for(&session, PollFlags::IN, -1), PollFlags::IN);
    assert_eq!(session.read(&mut [0; 100]), Ok(5));
}

fn node_one_way() {
    let driver = Driver::new(4096, 0);
    assert_eq!(driver.open().write(b"x"), Err(Errno::NXIO));
    drop(driver);
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::NXIO));
    assert_eq!(
        wait_for(&session, PollFlags::IN | PollFlags::OUT, -1),
        PollFlags::OUT
    );
}
