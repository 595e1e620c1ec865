// SPDX-License-Identifier: MIT OR Apache-2.0

//! seven different errors, and calls with invalid arguments.

use std::ffi::c_void;
use std::sync::atomic::Ordering::Relaxed;

use iostream::{Error, OpenError, Setup};
use iostream_raw::{
    consumer, echo, ioctl, page, page_len, sink, source, Area, Output, Session, INPUT, OUTPUT,
};
use iostream_ring::uapi::{self, *};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::signals::ended_by_signal;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-18/seven-errnos", seven_errnos),
    Clause::new("Q-18/driver-errnos", driver_errnos),
    Clause::new("Q-18/crate-variants", crate_variants),
    Clause::new("Q-18/unknown-ioctl", unknown_ioctl),
    Clause::new("Q-18/bad-pointer", bad_pointer),
    Clause::new("Q-18/bad-set-up", bad_set_up),
    Clause::new("Q-18/bad-run", bad_run),
    Clause::new("Q-18/busy-run-is-interrupted", busy_run_is_interrupted),
    Clause::new("Q-18/before-set-up", before_set_up),
    Clause::new("Q-18/no-such-queue", no_such_queue),
    Clause::new("Q-18/another-files-ioctl", another_files_ioctl),
];

/// Without a library, each of the seven errors is an errno of its own.
fn seven_errnos() {
    let session = Session::nonblocking(echo(4096));
    assert_eq!(session.read(&mut [0; 8]), Err(Errno::AGAIN), "empty");
    assert_eq!(
        session.write(&vec![0; page_len() - 7]),
        Err(Errno::MSGSIZE),
        "too large"
    );
    assert_eq!(session.notify(7), Err(Errno::INVAL), "bad argument");
    session.write_entry(b"ten bytes.");
    let whole = IOSTREAM_READ_WHOLE as usize;
    session.pass_number(IOSTREAM_IOC_READ_MODE, whole).unwrap();
    assert_eq!(session.read(&mut [0; 9]), Err(Errno::NOBUFS), "too small");
    while session.write(&[0; 100]).is_ok() {}
    assert_eq!(session.write(&[0; 100]), Err(Errno::AGAIN), "full");
    let session = Session::new(source(4096, 16, 16, 0));
    let page = session.map_writable(OUTPUT, Area::Consumer);
    page.word(consumer::POS).store(12, Relaxed);
    assert_eq!(session.run(10_000).1, Err(Errno::BADMSG), "corrupt");
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    driver.tell("unpublish").unwrap();
    assert_eq!(session.read(&mut [0; 8]), Err(Errno::NODEV), "gone");
}

/// A signal ends even a call that always has something to do.
fn busy_run_is_interrupted() {
    let mut setup = source(4096, 16, 16, 0);
    setup.flags |= IOSTREAM_SETUP_OVERWRITE;
    let session = Session::new(setup);
    let (moved, result) = ended_by_signal(|| session.run_with(iostream_run::default()));
    assert_eq!(result, Err(Errno::INTR));
    assert_eq!(session.counters(OUTPUT).entries, moved);
}

fn driver_errnos() {
    let driver = Driver::new(4096, 4096);
    let session = driver.open();
    assert_eq!(driver.tell("dequeue 10"), Err(Errno::NODATA), "empty");
    assert_eq!(
        driver.tell(&format!("enqueue {}", page() - 7)),
        Err(Errno::MSGSIZE),
        "too large"
    );
    session.write_entry(b"ten bytes.");
    assert_eq!(driver.tell("dequeue 9"), Err(Errno::NOBUFS), "too small");
    driver.count("fill 100");
    assert_eq!(driver.tell("enqueue 100"), Err(Errno::NOSPC), "full");
    let output = Output::new(&session);
    output.consumer.word(consumer::POS).store(12, Relaxed);
    assert_eq!(driver.tell("enqueue 100"), Err(Errno::BADMSG), "corrupt");
    driver.tell("unpublish").unwrap();
    assert_eq!(driver.tell("enqueue 100"), Err(Errno::NODEV), "gone");
}

fn crate_variants() {
    let session = Setup::echo().input_bytes(4096).open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    assert_eq!(consumer.peek().err(), Some(Error::Empty));
    assert_eq!(
        producer.enqueue(&vec![0; page_len() - 7]),
        Err(Error::TooLarge {
            max: page_len() - 8
        })
    );
    producer.enqueue(b"ten bytes.").unwrap();
    consumer.wait(None).unwrap();
    let too_small = Err(Error::TooSmall { needed: 10 });
    assert_eq!(consumer.dequeue_into(&mut [0; 9]), too_small);
    let zero = Setup::sink().input_bytes(0).open().err();
    assert!(matches!(
        zero,
        Some(OpenError::Other(Error::InvalidArgument(_)))
    ));
    let driver = Driver::new(4096, 4096);
    let session = iostream::Session::open(driver.path()).unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    while producer.enqueue(&[0; 100]).is_ok() {}
    assert_eq!(producer.enqueue(&[0; 100]), Err(Error::Full));
    driver.tell("unpublish").unwrap();
    assert_eq!(consumer.wait(None), Err(Error::Gone));
    // Each has its own errno and can be recovered from an `std::io::Error`.
    let all = [
        Error::Empty,
        Error::Full,
        Error::TooSmall { needed: 1 },
        Error::TooLarge { max: 1 },
        Error::InvalidArgument(""),
        Error::Corrupt,
        Error::Gone,
    ];
    for (i, error) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|other| other.errno() != error.errno()));
        let std = std::io::Error::from(*error);
        let inner = std
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Error>());
        assert_eq!(inner, Some(error));
    }
}

fn unknown_ioctl() {
    let session = Session::new(echo(4096));
    let known = [
        IOSTREAM_IOC_VERSION,
        IOSTREAM_IOC_SETUP,
        IOSTREAM_IOC_QUEUE,
        IOSTREAM_IOC_EVENTFD,
        IOSTREAM_IOC_NOTIFY,
        IOSTREAM_IOC_RESET,
        IOSTREAM_IOC_RUN,
        IOSTREAM_IOC_COUNTERS,
        IOSTREAM_IOC_READ_MODE,
    ];
    let mut arg = [0u64; 64];
    let arg: *mut c_void = arg.as_mut_ptr().cast();
    for number in (0..256).map(|low| (u32::from(b'j') << 8) | low) {
        for (size, way) in [(0, 0), (8, 1), (24, 3), (64, 2)] {
            let number = (way << 30) | (size << 16) | number;
            if !known.contains(&number) {
                assert_eq!(
                    ioctl(&session, number, arg),
                    Err(Errno::NOTTY),
                    "{number:#x}"
                );
            }
        }
    }
    // A known number with a wrong size.
    for known in known {
        let other = known ^ (1 << 16);
        assert_eq!(ioctl(&session, other, arg), Err(Errno::NOTTY), "{other:#x}");
    }
}

fn bad_pointer() {
    let session = Session::bare();
    let wild = [
        0usize,
        1,
        4096,
        usize::MAX,
        usize::MAX - 8,
        1 << 47,
        0xffff_8000_0000_0000,
    ];
    let with_pointer = [
        IOSTREAM_IOC_VERSION,
        IOSTREAM_IOC_SETUP,
        IOSTREAM_IOC_QUEUE,
        IOSTREAM_IOC_EVENTFD,
        IOSTREAM_IOC_RUN,
        IOSTREAM_IOC_COUNTERS,
        IOSTREAM_IOC_WATERMARK,
    ];
    for address in wild {
        let arg = std::ptr::without_provenance_mut(address);
        for number in with_pointer {
            assert_eq!(
                ioctl(&session, number, arg),
                Err(Errno::FAULT),
                "{number:#x} {address:#x}"
            );
        }
    }
    assert_eq!(session.setup(echo(4096)), Ok(()));
    // read(2) and write(2). The entry that could not be copied out stays.
    session.write_entry(b"stays");
    let null = std::ptr::null_mut::<c_void>();
    // SAFETY: The kernel checks the address and fails with EFAULT.
    let got = unsafe {
        libc::read(
            std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&session)),
            null,
            100,
        )
    };
    assert_eq!(
        (got, std::io::Error::last_os_error().raw_os_error()),
        (-1, Some(libc::EFAULT))
    );
    assert_eq!(session.read_entry(), b"stays");
}

fn bad_set_up() {
    let good = echo(4096);
    let (source, sink) = (source(4096, 16, 100, 0), sink(4096));
    let bad = [
        iostream_setup::default(),
        iostream_setup { flags: 0, ..good },
        iostream_setup {
            flags: good.flags | 8,
            ..good
        },
        iostream_setup {
            flags: u32::MAX,
            ..good
        },
        iostream_setup {
            flags: IOSTREAM_SETUP_INPUT,
            ..good
        },
        iostream_setup {
            flags: IOSTREAM_SETUP_OUTPUT,
            ..good
        },
        iostream_setup {
            flags: IOSTREAM_SETUP_OVERWRITE | sink.flags,
            ..sink
        },
        iostream_setup {
            endpoint: 0,
            ..good
        },
        iostream_setup {
            endpoint: 4,
            ..good
        },
        iostream_setup {
            endpoint: u32::MAX,
            ..good
        },
        iostream_setup {
            endpoint: IOSTREAM_ENDPOINT_SINK,
            ..good
        },
        iostream_setup {
            reserved: [1, 0],
            ..good
        },
        iostream_setup {
            reserved: [0, 1 << 63],
            ..good
        },
        iostream_setup {
            input_bytes: 4096,
            ..source
        },
        iostream_setup {
            output_bytes: 4096,
            ..sink
        },
        iostream_setup {
            source_min_bytes: 15,
            ..source
        },
        iostream_setup {
            source_min_bytes: 0,
            ..source
        },
        iostream_setup {
            source_max_bytes: 15,
            ..source
        },
        iostream_setup {
            source_min_bytes: 101,
            ..source
        },
        iostream_setup {
            source_max_bytes: page() as u32 - 7,
            ..source
        },
        iostream_setup {
            source_max_bytes: u32::MAX,
            ..source
        },
        iostream_setup {
            source_min_bytes: 16,
            ..good
        },
        iostream_setup {
            source_rate: 1,
            ..good
        },
        iostream_setup {
            source_rate: 1,
            ..sink
        },
    ];
    let session = Session::bare();
    for setup in bad {
        assert_eq!(session.setup(setup), Err(Errno::INVAL), "{setup:?}");
    }
    for source_rate in [1_000_001, u64::MAX, 700_000] {
        let setup = iostream_setup {
            source_rate,
            ..source
        };
        assert_eq!(session.setup(setup), Err(Errno::RANGE), "{setup:?}");
    }
    // One interrupt makes a whole entry, even at the lowest rate.
    let large = iostream_setup {
        output_bytes: 1 << 20,
        source_max_bytes: (64 << 10) + 1,
        source_rate: 1,
        ..source
    };
    assert_eq!(session.setup(large), Err(Errno::RANGE), "{large:?}");
    assert_eq!(session.setup(good), Ok(()));
    let driver = Driver::new(4096, 0);
    assert_eq!(
        driver.open().setup(good),
        Err(Errno::NOTTY),
        "a driver's node"
    );
}

fn bad_run() {
    let session = Session::new(source(4096, 16, 16, 0));
    let run = |run| session.run_with(run).1;
    let good = iostream_run {
        entries: 1,
        ..Default::default()
    };
    assert_eq!(
        run(iostream_run {
            reserved: 1,
            ..good
        }),
        Err(Errno::INVAL)
    );
    assert_eq!(run(iostream_run { done: 1, ..good }), Err(Errno::INVAL));
    assert_eq!(
        run(iostream_run {
            batch: 65537,
            ..good
        }),
        Err(Errno::TOOBIG)
    );
    assert_eq!(
        run(iostream_run {
            batch: u32::MAX,
            ..good
        }),
        Err(Errno::TOOBIG)
    );
    assert_eq!(
        run(iostream_run {
            batch: 65536,
            ..good
        }),
        Ok(())
    );
    let (done, result) = session.run_with(iostream_run {
        entries: 1_000_000,
        timeout_ns: 1_000_000,
        ..Default::default()
    });
    assert_eq!((done, result), (page() / 24 - 1, Err(Errno::TIMEDOUT)));
    let timer = Session::new(source(4096, 16, 16, 10));
    assert_eq!(timer.run(1).1, Err(Errno::BUSY));
    let driver = Driver::new(4096, 0);
    let session = driver.open();
    assert_eq!(session.run(1).1, Err(Errno::NOTTY));
    assert_eq!(session.endpoint().err(), Some(Errno::NOTTY));
}

fn before_set_up() {
    let session = Session::bare();
    for direction in [OUTPUT, INPUT] {
        assert_eq!(session.try_queue(direction).err(), Some(Errno::BADFD));
        assert_eq!(session.notify(direction), Err(Errno::BADFD));
        assert_eq!(session.reset(direction), Err(Errno::BADFD));
        assert_eq!(session.eventfd(direction, -1), Err(Errno::BADFD));
    }
    assert_eq!(session.run(1).1, Err(Errno::BADFD));
    assert_eq!(session.endpoint().err(), Some(Errno::BADFD));
    assert_eq!(session.read(&mut [0; 8]), Err(Errno::BADFD));
    assert_eq!(session.write(&[0; 8]), Err(Errno::BADFD));
    assert_eq!(session.version().unwrap().version, uapi::IOSTREAM_VERSION);
    assert_eq!(session.setup(echo(4096)), Ok(()));
}

fn no_such_queue() {
    for (setup, missing) in [(source(4096, 16, 16, 0), INPUT), (sink(4096), OUTPUT)] {
        let session = Session::new(setup);
        assert_eq!(session.try_queue(missing).err(), Some(Errno::NXIO));
        assert_eq!(session.notify(missing), Err(Errno::NXIO));
        assert_eq!(session.reset(missing), Err(Errno::NXIO));
        assert_eq!(session.eventfd(missing, -1), Err(Errno::NXIO));
        let moved = if missing == INPUT {
            session.write(&[0; 8])
        } else {
            session.read(&mut [0; 8])
        };
        assert_eq!(moved, Err(Errno::NXIO));
        for direction in [2, 3, u32::MAX] {
            assert_eq!(session.try_queue(direction).err(), Some(Errno::INVAL));
            assert_eq!(session.notify(direction), Err(Errno::INVAL));
            assert_eq!(session.reset(direction), Err(Errno::INVAL));
        }
        // A direction has 32 bits; higher bits are refused, not cut off.
        let wide = std::ptr::without_provenance_mut(1 << 32);
        assert_eq!(
            ioctl(&session, IOSTREAM_IOC_NOTIFY, wide),
            Err(Errno::INVAL)
        );
    }
}

fn another_files_ioctl() {
    let session = Session::new(echo(4096));
    let mut word = 0u64;
    let arg: *mut c_void = std::ptr::from_mut(&mut word).cast();
    // TIOCOUTQ, TCGETS and BLKGETSIZE64 belong to other kinds of files.
    for number in [0x5411, 0x5401, 0x8008_1272] {
        assert_eq!(
            ioctl(&session, number, arg),
            Err(Errno::NOTTY),
            "{number:#x}"
        );
    }
}
