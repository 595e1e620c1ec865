// SPDX-License-Identifier: MIT OR Apache-2.0

//! dequeue by copy.

use iostream::{Error, Setup};
use iostream_raw::{echo, page, Input, Session};
use iostream_ring::uapi::{IOSTREAM_IOC_READ_MODE, IOSTREAM_READ_WHOLE};
use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::driver::Driver;
use crate::support::waiting::{woken_by, HOUR_MS};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-05/read-copies-one", read_copies_one),
    Clause::new("Q-05/read-too-small-stays", read_too_small_stays),
    Clause::new("Q-05/read-empty", read_empty),
    Clause::new("Q-05/crate", by_crate),
    Clause::new("Q-05/driver", by_driver),
    Clause::new("Q-05/kernel-wait", driver_waits),
];

fn read_copies_one() {
    let session = Session::new(echo(4096));
    session.write_entry(b"first");
    session.write_entry(b"second");
    let mut buffer = [0xee; 100];
    assert_eq!(session.read(&mut buffer), Ok(5));
    assert_eq!(&buffer[..5], b"first");
    assert!(buffer[5..].iter().all(|b| *b == 0xee));
    assert_eq!(session.read_entry(), b"second");
}

fn read_too_small_stays() {
    let session = Session::new(echo(4096));
    let entry: Vec<u8> = (0..100).collect();
    session.write_entry(&entry);
    let whole = IOSTREAM_READ_WHOLE as usize;
    session.pass_number(IOSTREAM_IOC_READ_MODE, whole).unwrap();
    for len in [1, 50, 99] {
        let mut buffer = vec![0xee; len];
        assert_eq!(session.read(&mut buffer), Err(Errno::NOBUFS), "{len} bytes");
        assert!(buffer.iter().all(|b| *b == 0xee));
    }
    let mut exact = [0; 100];
    assert_eq!(session.read(&mut exact), Ok(100));
    assert_eq!(exact[..], entry);
}

fn read_empty() {
    let session = Session::nonblocking(echo(4096));
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
    let whole = IOSTREAM_READ_WHOLE as usize;
    session.pass_number(IOSTREAM_IOC_READ_MODE, whole).unwrap();
    session.write_entry(b"");
    assert_eq!(
        session.read(&mut [0; 10]),
        Ok(0),
        "an empty entry is an entry"
    );
    assert_eq!(session.read(&mut [0; 10]), Err(Errno::AGAIN));
}

fn by_crate() {
    let session = Setup::echo().open().unwrap();
    let (mut producer, mut consumer) = (session.producer().unwrap(), session.consumer().unwrap());
    let mut buffer = [0xee; 8];
    assert_eq!(consumer.dequeue_into(&mut buffer), Err(Error::Empty));
    producer.enqueue(b"0123456789").unwrap();
    for len in 0..8 {
        let got = consumer.dequeue_into(&mut buffer[..len]);
        assert_eq!(got, Err(Error::TooSmall { needed: 10 }));
        assert_eq!(buffer, [0xee; 8]);
    }
    let mut buffer = [0; 10];
    assert_eq!(consumer.dequeue_into(&mut buffer), Ok(10));
    assert_eq!(&buffer, b"0123456789");
    assert_eq!(consumer.dequeue_into(&mut buffer), Err(Error::Empty));
}

fn by_driver() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    let mut input = Input::new(&session);
    assert_eq!(driver.tell("dequeue 100"), Err(Errno::NODATA));
    assert!(input.push(&session, &[3; 50]));
    for capacity in [0, 1, 49] {
        assert_eq!(
            driver.tell(&format!("dequeue {capacity}")),
            Err(Errno::NOBUFS)
        );
        assert_eq!(driver.log("needed"), 50);
    }
    assert_eq!(driver.tell("dequeue 50"), Ok(()));
    assert_eq!((driver.log("len"), driver.log("sum")), (50, 150));
    assert_eq!(driver.tell("dequeue 100"), Err(Errno::NODATA));
    assert_eq!(input.room(), page(), "released and published");
}

/// The driver sleeps until a process sends.
fn driver_waits() {
    let driver = Driver::new(0, 4096);
    let session = driver.open();
    driver.fails("dequeue-wait 100 20", Errno::TIMEDOUT);
    let done = woken_by(
        libc::SYS_write,
        || driver.tell(&format!("dequeue-wait 100 {HOUR_MS}")),
        || session.write_entry(&[2; 9]),
    );
    assert_eq!((done, driver.log("sum")), (Ok(()), 18));
}
