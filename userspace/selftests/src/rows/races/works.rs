// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the node of a cell still works.

use std::time::Instant;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::ground::{Ground, Kind, ENTRY};
use crate::support::waiting::{deadline, wait_until, woken_by};

/// Checks that the node is as new: it can be opened, moves data both ways where it can, and wakes
/// who waits. No session is left afterwards.
pub fn check_works(ground: &Ground) {
    let _ = ground.close();
    if ground.kind.has_driver() {
        let _ = ground.tell("release-all-clients");
        let _ = ground.tell("enable");
    }
    if ground.kind != Kind::Echo && iostream_raw::node_called(ground.name()).is_none() {
        ground.publish().expect("publish");
    }
    let start = Instant::now();
    // A session ends when the last thread has left its calls.
    while let Err(error) = ground.open() {
        assert_eq!(error, Errno::BUSY, "open");
        assert!(start.elapsed() < deadline(), "the node stays busy");
        std::thread::yield_now();
    }
    moves_data(ground);
    ground.close().expect("the session");
    if ground.kind != Kind::Echo {
        let path = iostream_raw::node_called(ground.name()).expect("the node");
        let sessions = std::path::Path::new("/sys/class/iostream")
            .join(path.file_name().expect("a name"))
            .join("sessions");
        wait_until("no session is left", || {
            std::fs::read_to_string(&sessions).is_ok_and(|text| text.trim() == "0")
        });
    }
}

fn moves_data(ground: &Ground) {
    let session = ground.session().expect("the session");
    let ready = |events, make: &dyn Fn()| {
        let poll = || session.poll(events, -1);
        assert!(woken_by(libc::SYS_ppoll, poll, make).contains(events));
    };
    if ground.kind.is_stream() {
        session.start().expect("start");
    }
    let produce = || {
        let command = if ground.kind.is_stream() {
            format!("produce 1 {ENTRY}")
        } else {
            format!("enqueue {ENTRY}")
        };
        ground.driver().command(&command);
    };
    match ground.kind {
        Kind::Input => {
            while session.write(&[3; ENTRY]).is_ok() {}
            ready(PollFlags::OUT, &|| ground.driver().command("consume 1"));
        }
        Kind::Module => {
            let come = session.poll(PollFlags::IN, 20_000);
            assert!(come.contains(PollFlags::IN), "the ticker sends nothing");
        }
        Kind::Echo => {
            ground.set_up().expect("set-up");
            ready(PollFlags::IN, &|| session.write_entry(&[3; ENTRY]));
            assert_eq!(session.read(&mut [0; 64]), Ok(ENTRY), "read");
        }
        kind => {
            ready(PollFlags::IN, &produce);
            assert_eq!(session.read(&mut [0; 64]), Ok(ENTRY), "read");
            if kind.has_entries() {
                session.write_entry(&[3; ENTRY]);
                ground.driver().command(&format!("dequeue {ENTRY}"));
            }
        }
    }
}
