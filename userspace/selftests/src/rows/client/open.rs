// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-01: one call opens and maps a stream, and drop undoes it.

use std::fs::read_to_string;

use iostream::{
    BuiltIn, DuplexStream, Error, OpenError, ReadStream, Session, Setup, Stop, StreamMode,
    WriteStream,
};

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};
use crate::support::waiting::{wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("U-01/maps-all-buffers", maps_all_buffers),
    Clause::new("U-01/by-name-and-by-path", by_name_and_by_path),
    Clause::new("U-01/nodes-are-listed", nodes_are_listed),
    Clause::new("U-01/endpoint-of-the-built-in-alone", endpoint_alone),
    Clause::new("U-01/wakes", wakes),
    Clause::new("U-01/drop-undoes-it", drop_undoes_it),
    Clause::new("U-01/drop-stops-it", drop_stops_it),
    Clause::new("U-01/second-is-busy", second_is_busy),
    Clause::new("U-01/once-a-session", once_a_session),
    Clause::new("U-01/wrong-mode", wrong_mode),
    Clause::new("U-01/queues-are-no-stream", queues_are_no_stream),
];

fn maps_all_buffers() {
    let driver = Driver::stream("output 5 10000 control=40");
    let mut stream = ReadStream::open(driver.path()).unwrap();
    stream.start().unwrap();
    driver.command("produce 5 10000");
    for i in 0..5 {
        assert_eq!(&*stream.dequeue().unwrap(), entry(i, 10000));
    }
}

fn by_name_and_by_path() {
    let driver = Driver::stream("input 2 64");
    let file = driver.path().file_name().unwrap().into();
    for node in [driver.path(), "selftest".into(), file] {
        let stream = WriteStream::open(node).unwrap();
        assert_eq!(stream.info().unwrap().mode, StreamMode::Write);
    }
    let error = ReadStream::open("no-such-node").unwrap_err();
    assert!(matches!(error, OpenError::NotFound { .. }), "{error}");
}

/// A node is listed as long as it is there, even while another session has it.
fn nodes_are_listed() {
    let find = || {
        let mut nodes = iostream::nodes().unwrap();
        nodes.retain(|node| node.name() == "selftest");
        nodes
    };
    let driver = Driver::new(4096, 0);
    let session = find()[0].open().unwrap();
    let nodes = find();
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].path(), driver.path());
    assert_eq!(nodes[0].sysfs(), driver.sysfs());
    let error = nodes[0].open().unwrap_err();
    assert!(is_busy(&error), "{error}");
    drop(session);
    driver.unpublish();
    assert_eq!(find(), []);
}

/// A driver's node has no endpoint to choose; asking for one changes nothing.
fn endpoint_alone() {
    let driver = Driver::new(4096, 0);
    let session = Session::open("selftest").unwrap();
    let error = BuiltIn::set_up(session.clone(), &Setup::echo()).unwrap_err();
    assert_eq!(error, Error::Unsupported("IOSTREAM_IOC_SETUP"));
    driver.command("enqueue 8");
    assert_eq!(session.consumer().unwrap().dequeue().unwrap().len(), 8);
    let built_in = Setup::source(16, 16).open().unwrap();
    let mut consumer = built_in.consumer().unwrap();
    assert_eq!(built_in.run(3, None).entries, 3);
    assert_eq!(built_in.endpoint_stats().unwrap().entries, 3);
    // The endpoint stays when the value is turned into a session.
    let session = built_in.into_session();
    assert_eq!(consumer.drain(10, |_| true), Ok(3));
    let again = BuiltIn::set_up(session, &Setup::echo()).map(drop);
    assert_eq!(again, Err(Error::AlreadySetUp));
}

fn wakes() {
    let driver = Driver::stream("output 1 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.set_spin(0);
    stream.start().unwrap();
    let wait = || stream.dequeue_wait(None).map(|buffer| buffer.to_vec());
    let came = woken_by(libc::SYS_ppoll, wait, || driver.command("produce 1 3"));
    assert_eq!(came, Ok(entry(0, 3)));
}

/// How many mappings of the device and how many descriptors of it this process has.
fn traces(driver: &Driver) -> (usize, usize) {
    let path = driver.path();
    let maps = read_to_string("/proc/self/maps").unwrap();
    let maps = maps
        .lines()
        .filter(|map| map.ends_with(path.to_str().unwrap()));
    let fds = std::fs::read_dir("/proc/self/fd").unwrap();
    let fds =
        fds.filter(|fd| std::fs::read_link(fd.as_ref().unwrap().path()).is_ok_and(|to| to == path));
    (maps.count(), fds.count())
}

fn drop_undoes_it() {
    let driver = Driver::stream("output 4 64");
    let stream = ReadStream::open("selftest").unwrap();
    let (maps, fds) = traces(&driver);
    assert!(maps >= 8 && fds == 1, "{maps} {fds}");
    drop(stream);
    assert_eq!(traces(&driver), (0, 0));
    wait_until("closed", || driver.attribute("sessions") == 0);
    // A new session starts with memory of its own.
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 4 8");
    assert_eq!(stream.dequeue().unwrap().frame(), 0);
}

fn drop_stops_it() {
    let driver = Driver::stream("output 2 64");
    let mut stream = ReadStream::open("selftest").unwrap();
    stream.start().unwrap();
    driver.command("produce 2 8");
    let held = stream.dequeue().unwrap();
    let before = driver.log("stops_discard");
    drop(stream);
    // Dropping the stream stops it, although a held buffer delays the end of the session.
    assert_eq!(driver.log("stops_discard"), before + 1);
    assert_eq!(
        (driver.shown("state"), driver.attribute("sessions")),
        ("stopped".into(), 1)
    );
    assert_eq!(&*held, entry(0, 8));
    drop(held);
    wait_until("closed", || driver.attribute("sessions") == 0);
}

fn is_busy(error: &OpenError) -> bool {
    matches!(error, OpenError::Other(Error::Busy(_)))
}

fn second_is_busy() {
    let _driver = Driver::stream("output 1 64");
    let stream = ReadStream::open("selftest").unwrap();
    let error = ReadStream::open("selftest").unwrap_err();
    assert!(is_busy(&error), "{error}");
    drop(stream);
    ReadStream::open("selftest").unwrap();
}

/// A second stream of a session is refused: each buffer would have two values.
fn once_a_session() {
    let driver = Driver::stream("input-output 1 64");
    let session = Session::open(driver.path()).unwrap();
    let stream = DuplexStream::from_session(session.clone()).unwrap();
    for _ in 0..2 {
        let error = DuplexStream::from_session(session.clone()).unwrap_err();
        assert!(matches!(error, Error::Busy(_)), "{error}");
        // A stream's queues hold descriptors and cannot be opened as entry queues.
        let error = session.consumer().unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    }
    drop(stream);
    // A session can be opened once, even after the first stream is gone.
    let error = DuplexStream::from_session(session).unwrap_err();
    assert!(matches!(error, Error::Busy(_)), "{error}");
}

fn wrong_mode() {
    let driver = Driver::stream("input 1 64");
    let (is, wanted) = (StreamMode::Write, StreamMode::Read);
    let session = Session::open(driver.path()).unwrap();
    let error = ReadStream::from_session(session.clone()).unwrap_err();
    assert_eq!(error, Error::WrongMode { is, wanted });
    // Nothing was mapped, so the right type can still be opened.
    let mut stream = WriteStream::from_session(session).unwrap();
    stream.start().unwrap();
    stream.stop(Stop::Discard).unwrap();
}

fn queues_are_no_stream() {
    let error = ReadStream::open("it2way").unwrap_err();
    assert_eq!(error, Error::NotAStream.into());
    let error = Session::open("/dev/iostream")
        .unwrap()
        .stream_info()
        .unwrap_err();
    assert_eq!(error, Error::NotAStream);
}
