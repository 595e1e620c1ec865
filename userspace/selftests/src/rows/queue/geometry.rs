// SPDX-License-Identifier: MIT OR Apache-2.0

//! the geometry is the kernel's own record.

use std::sync::atomic::Ordering::Relaxed;

use iostream_raw::{echo, page, source, Area, Prot, Session, INPUT, OUTPUT};
use iostream_ring::uapi::{self};
use rustix::io::Errno;
use rustix::mm::{mprotect, MprotectFlags};

use crate::clause::Clause;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-10/info-page-agrees", info_page_agrees),
    Clause::new("Q-10/info-page-is-read-only", info_page_is_read_only),
    Clause::new("Q-10/no-store-changes-it", no_store_changes_it),
];

fn info_page_agrees() {
    let overwriting = uapi::iostream_setup {
        flags: uapi::IOSTREAM_SETUP_OUTPUT | uapi::IOSTREAM_SETUP_OVERWRITE,
        ..source(5000, 16, 16, 0)
    };
    for setup in [echo(page()), echo(70_000), overwriting] {
        let session = Session::new(setup);
        for direction in [OUTPUT, INPUT] {
            let Ok(queue) = session.try_queue(direction) else {
                continue;
            };
            let info = session.map(direction, Area::Info).queue_info();
            assert_eq!(info.magic_low, uapi::IOSTREAM_MAGIC_LOW);
            assert_eq!(info.magic_high, uapi::IOSTREAM_MAGIC_HIGH);
            assert_eq!(info.version, uapi::IOSTREAM_VERSION);
            assert_eq!((info.flags, info.features), (queue.flags, queue.features));
            assert_eq!(info.data_bytes, queue.data_bytes);
            assert_eq!(info.max_entry_bytes, queue.max_entry_bytes);
            assert_eq!((info.direction, queue.direction), (direction, direction));
            assert_eq!((info.generation, queue.generation), (1, 1));
            assert_eq!((info.gone, info.reserved), (0, [0; 6]));
        }
    }
}

fn info_page_is_read_only() {
    let session = Session::new(echo(4096));
    for direction in [OUTPUT, INPUT] {
        let map = session.try_map(direction, Area::Info, Prot::READ | Prot::WRITE);
        assert_eq!(map.err(), Some(Errno::ACCESS));
        let map = session.map(direction, Area::Info);
        // SAFETY: Only the test uses the mapping, and only its rights change.
        let got = unsafe {
            mprotect(
                map.as_ptr(),
                map.len(),
                MprotectFlags::READ | MprotectFlags::WRITE,
            )
        };
        assert_eq!(got, Err(Errno::ACCESS));
    }
}

/// Nothing that a process stores in its pages changes geometry or generation.
fn no_store_changes_it() {
    let session = Session::new(echo(2 * page()));
    let pages = [
        session.map_writable(OUTPUT, Area::Consumer),
        session.map_writable(INPUT, Area::Producer),
        session.map_writable(INPUT, Area::Data),
    ];
    let record = |direction| {
        let queue = session.queue(direction);
        (
            queue.data_bytes,
            queue.max_entry_bytes,
            queue.generation,
            queue.flags,
        )
    };
    let before = (record(OUTPUT), record(INPUT));
    for value in [0, 1, 8, 2 * page(), u64::MAX] {
        for page in &pages {
            for offset in (0..page.len()).step_by(8) {
                page.word(offset).store(value, Relaxed);
            }
        }
        for direction in [OUTPUT, INPUT] {
            let _ = session.notify(direction);
            let info = session.map(direction, Area::Info).queue_info();
            assert_eq!((info.data_bytes, info.generation), (2 * page(), 1));
        }
        assert_eq!((record(OUTPUT), record(INPUT)), before);
    }
}
