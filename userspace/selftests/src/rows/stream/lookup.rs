// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-05: count and buffers, on both sides.

use rustix::io::Errno;

use crate::clause::Clause;
use crate::raw::{Map, Prot};
use crate::support::driver::Driver;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-05/count-on-both-sides", count_on_both_sides),
    Clause::new("S-05/by-id-for-the-driver", by_id_for_the_driver),
    Clause::new("S-05/bad-id-for-the-driver", bad_id_for_the_driver),
    Clause::new("S-05/by-id-for-the-client", by_id_for_the_client),
    Clause::new("S-05/bad-id-for-the-client", bad_id_for_the_client),
];

fn count_on_both_sides() {
    let driver = Driver::stream("input-output 7 64");
    assert_eq!(driver.count("count"), 7);
    let session = driver.open();
    assert_eq!(driver.count("buffers"), 7);
    assert_eq!(driver.attribute("buffers"), 7);
    assert_eq!(session.stream().buffers, 7);
    let fdinfo = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&session));
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fdinfo}")).unwrap();
    assert!(
        text.contains("state stopped buffers 7 data_bytes 64 "),
        "{text}"
    );
}

fn by_id_for_the_driver() {
    let driver = Driver::stream("output 3 64");
    driver.does("set-value 2 77");
    assert_eq!(driver.count("value 2"), 77);
    assert_eq!(driver.count("value 1"), 0);
}

fn bad_id_for_the_driver() {
    let driver = Driver::stream("output 3 64");
    for id in [3, 4, u32::MAX] {
        driver.fails(&format!("value {id}"), Errno::INVAL);
    }
    driver.does("remove-all");
    driver.fails("value 0", Errno::INVAL);
}

/// Each buffer is where offset and stride say.
fn by_id_for_the_client() {
    let driver = Driver::stream("output 3 5000");
    let session = driver.open();
    for id in 0..3 {
        driver.does("take");
        driver.does(&format!("fill {id} {} 0 1", 50 + id));
        let map = session.try_map_buffers(id..id + 1, Prot::READ).unwrap();
        assert_eq!(u32::from(map.read(0, 1)[0]), 50 + id);
    }
}

fn bad_id_for_the_client() {
    let driver = Driver::stream("output 3 64");
    let session = driver.open();
    for ids in [3..4, 2..4, 0..4, 1000..1001] {
        let map = session.try_map_buffers(ids.clone(), Prot::READ);
        assert_eq!(map.err(), Some(Errno::INVAL), "{ids:?}");
    }
    // As far as offsets go.
    let far = session.stream().buffers_offset + (1 << 40) - 4096;
    let flags = rustix::mm::MapFlags::SHARED;
    let map = Map::try_new(&session, far, 4096, Prot::READ, flags);
    assert_eq!(map.err(), Some(Errno::INVAL));
}
