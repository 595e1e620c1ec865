// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-04 and S-22: with which rights the areas of a stream can be mapped.

use std::os::fd::AsFd;

use iostream_raw::{page, page_len, Map, Prot, Session};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mm::{mprotect, mremap, munmap, MapFlags, MprotectFlags, MremapFlags};

use crate::clause::Clause;
use crate::support::driver::{entry, Driver};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-22/read-only-in-output", read_only_in_output),
    Clause::new("B-04/stream-rights-follow-roles", rights_follow_roles),
    Clause::new("B-04/stream-no-rights-by-mprotect", no_rights_by_mprotect),
    Clause::new("B-04/stream-writable-once", writable_once),
    Clause::new(
        "B-04/stream-writable-once-by-clones",
        writable_once_by_clones,
    ),
    Clause::new(
        "B-04/stream-failed-mapping-claims-nothing",
        failed_claims_nothing,
    ),
    Clause::new("B-04/stream-writable-in-parts", writable_in_parts),
    Clause::new("B-04/stream-read-only-any-number", read_only_any_number),
    Clause::new("B-04/stream-whole-buffers-only", whole_buffers_only),
    Clause::new("B-04/stream-beyond-the-end", beyond_the_end),
    Clause::new("B-04/stream-shared-only", shared_only),
    Clause::new("B-04/stream-never-executable", never_executable),
    Clause::new("B-04/stream-read-write-descriptor", read_write_descriptor),
    Clause::new("B-04/stream-partial-munmap", partial_munmap),
    Clause::new("B-04/stream-mremap", by_mremap),
    Clause::new("B-04/stream-not-inherited-by-fork", not_inherited_by_fork),
];

const RW: Prot = Prot::READ.union(Prot::WRITE);

fn protect(map: &Map, flags: MprotectFlags) -> Result<(), Errno> {
    // SAFETY: Only the test uses the mapping, and only its rights change.
    unsafe { mprotect(map.as_ptr(), map.len(), flags) }
}

/// In output mode the process cannot write to the buffers by any means, now or later: the driver
/// has slices of them.
fn read_only_in_output() {
    let driver = Driver::stream("output 2 4096 control=64");
    let session = driver.open();
    for prot in [RW, Prot::WRITE] {
        let map = session.try_map_buffers(0..2, prot);
        assert_eq!(map.err(), Some(Errno::ACCESS));
    }
    let map = session.try_map_buffers(0..2, Prot::READ).unwrap();
    assert_eq!(
        protect(&map, MprotectFlags::READ | MprotectFlags::WRITE),
        Err(Errno::ACCESS)
    );
    assert_eq!(protect(&map, MprotectFlags::WRITE), Err(Errno::ACCESS));
    // Nor does the kernel write for the process.
    let file = std::fs::File::open("/dev/zero").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: The mapping is read-only, so the kernel fails with EFAULT.
    assert_eq!(unsafe { libc::read(fd, map.as_ptr(), page_len()) }, -1);
    let force = std::fs::OpenOptions::new()
        .write(true)
        .open("/proc/self/mem")
        .unwrap();
    let at = map.as_ptr().addr() as u64;
    assert!(std::os::unix::fs::FileExt::write_at(&force, &[1; 8], at).is_err());
    assert_eq!(map.read(0, 8), [0; 8]);
}

fn rights_follow_roles() {
    for (mode, writes) in [
        ("output", false),
        ("shared-output", false),
        ("input", true),
        ("input-output", true),
    ] {
        let driver = Driver::stream(&format!("{mode} 2 64"));
        for (prot, ok) in [(Prot::READ, true), (RW, writes), (Prot::WRITE, writes)] {
            let session = driver.open();
            let got = session.try_map_buffers(0..2, prot).err();
            assert_eq!(got, (!ok).then_some(Errno::ACCESS), "{mode} {prot:?}");
            // Only the kernel writes to the info page.
            let info = session.try_map_stream_info(prot).err();
            let readable = prot == Prot::READ;
            assert_eq!(info, (!readable).then_some(Errno::ACCESS));
        }
    }
}

fn no_rights_by_mprotect() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    let read = session.try_map_buffers(0..1, Prot::READ).unwrap();
    let info = session.map_stream_info();
    for map in [&read, &info] {
        for flags in [
            MprotectFlags::WRITE,
            MprotectFlags::READ | MprotectFlags::WRITE,
        ] {
            assert_eq!(protect(map, flags), Err(Errno::ACCESS));
        }
        assert_eq!(protect(map, MprotectFlags::EXEC), Err(Errno::ACCESS));
        assert_eq!(protect(map, MprotectFlags::empty()), Ok(()));
        assert_eq!(protect(map, MprotectFlags::READ), Ok(()));
    }
    let write = session.try_map_buffers(1..2, RW).unwrap();
    assert_eq!(protect(&write, MprotectFlags::READ), Ok(()));
    assert_eq!(
        protect(&write, MprotectFlags::READ | MprotectFlags::WRITE),
        Ok(())
    );
    assert_eq!(protect(&write, MprotectFlags::EXEC), Err(Errno::ACCESS));
}

/// A buffer can be mapped writable once, even after it was unmapped.
fn writable_once() {
    for mode in ["input", "input-output"] {
        let driver = Driver::stream(&format!("{mode} 2 64"));
        let session = driver.open();
        let map = session.try_map_buffers(0..2, RW).unwrap();
        for ids in [0..2, 0..1, 1..2] {
            assert_eq!(session.try_map_buffers(ids, RW).err(), Some(Errno::BUSY));
        }
        drop(map);
        assert_eq!(session.try_map_buffers(0..2, RW).err(), Some(Errno::BUSY));
        drop(session);
        driver.open().try_map_buffers(0..2, RW).unwrap();
    }
}

fn writable_once_by_clones() {
    let driver = Driver::stream("input 2 64");
    let session = driver.open();
    let _map = session.try_map_buffers(0..2, RW).unwrap();
    let clone = Session::from_fd(session.as_fd().try_clone_to_owned().unwrap());
    assert_eq!(clone.try_map_buffers(0..2, RW).err(), Some(Errno::BUSY));
}

/// A mapping that fails because one of its buffers is taken claims none of the others.
fn failed_claims_nothing() {
    let driver = Driver::stream("input 4 64");
    let session = driver.open();
    let _third = session.try_map_buffers(2..3, RW).unwrap();
    assert_eq!(session.try_map_buffers(0..4, RW).err(), Some(Errno::BUSY));
    let first = session.try_map_buffers(0..2, RW).unwrap();
    let _last = session.try_map_buffers(3..4, RW).unwrap();
    first.write(0, b"works");
}

fn writable_in_parts() {
    let driver = Driver::stream("input-output 4 5000");
    let session = driver.open();
    for id in [2, 0, 3, 1] {
        driver.command("take");
        let map = session.try_map_buffers(id..id + 1, RW).unwrap();
        map.write(17, &[id as u8; 4]);
        assert_eq!(map.read(17, 4), [id as u8; 4]);
    }
    for id in 0..4 {
        driver.command(&format!("range {id} 17 4"));
        driver.command(&format!("look {id}"));
        assert_eq!(driver.log("sum"), 4 * id);
    }
}

fn read_only_any_number() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    let maps: Vec<Map> = (0..50)
        .map(|_| session.try_map_buffers(0..2, Prot::READ).unwrap())
        .collect();
    driver.command("take");
    driver.command("fill 0 5 0 64");
    for map in &maps {
        assert_eq!(map.read(0, 64), entry(5, 64));
    }
}

fn map(session: &Session, offset: u64, bytes: usize) -> Option<Errno> {
    Map::try_new(session, offset, bytes, Prot::READ, MapFlags::SHARED).err()
}

fn whole_buffers_only() {
    let driver = Driver::stream(&format!("output 4 {} control=64", 2 * page()));
    let session = driver.open();
    let stream = session.stream();
    let (start, stride) = (stream.buffers_offset, stream.buffer_stride);
    assert_eq!(stride, 3 * page());
    for (offset, bytes) in [(0, 1), (0, 2), (0, 4), (1, 3), (3, 1)] {
        let (offset, bytes) = (offset * page(), bytes * page_len());
        let got = map(&session, start + offset, bytes);
        assert_eq!(got, Some(Errno::INVAL), "{offset} {bytes}");
    }
    for bytes in [2 * page_len(), 4 * page_len()] {
        let got = map(&session, stream.info_offset, bytes);
        assert_eq!(got, Some(Errno::INVAL), "info page, {bytes}");
    }
    let got = map(&session, stream.info_offset + page(), page_len());
    assert_eq!(got, Some(Errno::INVAL));
    for (offset, count) in [(0, 1), (0, 4), (1, 3), (3, 1)] {
        let got = map(&session, start + offset * stride, count * stride as usize);
        assert_eq!(got, None);
    }
}

fn beyond_the_end() {
    let driver = Driver::stream("output 4 4096 queue=8");
    let session = driver.open();
    let stream = session.stream();
    for (first, count) in [(4, 1), (3, 2), (0, 5), (7, 1), (8, 1), (1 << 20, 1)] {
        let offset = stream.buffers_offset + first * page();
        assert_eq!(
            map(&session, offset, count * page_len()),
            Some(Errno::INVAL),
            "{first} {count}"
        );
    }
    // Beyond the buffers.
    for shift in 0..4_u64 {
        let far = (4 << 40) + (shift << 40);
        assert!(map(&session, far, page_len()).is_some());
    }
}

fn shared_only() {
    let driver = Driver::stream("input 2 4096");
    let session = driver.open();
    let stream = session.stream();
    for offset in [stream.buffers_offset, stream.info_offset] {
        for prot in [Prot::READ, RW] {
            let got = Map::try_new(&session, offset, page_len(), prot, MapFlags::PRIVATE).err();
            assert!(matches!(got, Some(Errno::INVAL | Errno::ACCESS)), "{got:?}");
        }
    }
}

fn never_executable() {
    let driver = Driver::stream("input 2 4096");
    let session = driver.open();
    let stream = session.stream();
    for offset in [stream.buffers_offset, stream.info_offset] {
        let prot = Prot::READ | Prot::EXEC;
        let got = Map::try_new(&session, offset, page_len(), prot, MapFlags::SHARED).err();
        assert_eq!(got, Some(Errno::ACCESS));
    }
}

fn read_write_descriptor() {
    let driver = Driver::stream("output 2 4096");
    let session = Session::open(driver.path(), OFlags::RDONLY).unwrap();
    let got = session.try_map_buffers(0..2, Prot::READ).err();
    assert_eq!(got, Some(Errno::ACCESS));
    assert_eq!(
        session.try_map_stream_info(Prot::READ).err(),
        Some(Errno::ACCESS)
    );
}

/// The rest of the mapping stays, and the session with it.
fn partial_munmap() {
    let driver = Driver::stream(&format!("input-output 3 {}", page()));
    let session = driver.open();
    let map = session.try_map_buffers(0..3, RW).unwrap();
    map.write(0, &vec![1; 3 * page_len()]);
    // SAFETY: The test does not touch the middle again.
    unsafe { munmap(map.as_ptr().byte_add(page_len()), page_len()) }.unwrap();
    drop(session);
    assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
    for at in [0, 2 * page_len()] {
        assert_eq!(map.read(at, page_len()), vec![1; page_len()]);
    }
    driver.command("take");
    driver.command(&format!("fill 0 9 0 {}", page()));
    assert_eq!(map.read(0, page_len()), entry(9, page_len()));
    driver.command("release-all");
    drop(map);
    driver.open();
}

/// A mapping cannot grow beyond the session's memory.
fn by_mremap() {
    let driver = Driver::stream("input 2 4096");
    let session = driver.open();
    let map = session.try_map_buffers(0..1, RW).unwrap();
    // SAFETY: Only the test uses the mapping, and the call must fail.
    let grown = unsafe {
        mremap(
            map.as_ptr(),
            page_len(),
            2 * page_len(),
            MremapFlags::MAYMOVE,
        )
    };
    assert_eq!(grown.err(), Some(Errno::FAULT));
    // An old size of zero asks for a second mapping of the same memory, which is refused as well.
    // SAFETY: Only the test uses the mapping, and the call must fail.
    let twice = unsafe { mremap(map.as_ptr(), 0, page_len(), MremapFlags::MAYMOVE) };
    assert!(twice.is_err());
}

fn not_inherited_by_fork() {
    let driver = Driver::stream("input 1 4096");
    let session = driver.open();
    let map = session.try_map_buffers(0..1, RW).unwrap();
    let (_from, to) = rustix::pipe::pipe().unwrap();
    // SAFETY: The child makes only system calls, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: The kernel reads what is mapped there, or fails with EFAULT.
        let wrote = unsafe {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&to);
            libc::write(fd, map.as_ptr().cast(), 8)
        };
        // SAFETY: No preconditions.
        unsafe { libc::_exit(i32::from(wrote != -1)) };
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for the kernel to write to.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "EFAULT");
    map.write(0, b"still here");
}
