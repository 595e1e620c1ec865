// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-04: with which rights the areas of a queue can be mapped.

use std::ffi::c_void;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use iostream_raw::{echo, page, page_len, Area, Map, Prot, Session, DEVICE, INPUT, OUTPUT};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mm::{madvise, mprotect, mremap, munmap, Advice, MapFlags, MprotectFlags, MremapFlags};
use rustix::net::{
    recvmsg, sendmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use crate::clause::Clause;

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-04/rights-follow-roles", rights_follow_roles),
    Clause::new("B-04/no-rights-by-mprotect", no_rights_by_mprotect),
    Clause::new("B-04/shared-only", shared_only),
    Clause::new("B-04/never-executable", never_executable),
    Clause::new("B-04/whole-areas-only", whole_areas_only),
    Clause::new("B-04/writable-once", writable_once),
    Clause::new("B-04/writable-once-by-clones", writable_once_by_clones),
    Clause::new("B-04/read-only-any-number", read_only_any_number),
    Clause::new("B-04/read-write-descriptor", read_write_descriptor),
    Clause::new("B-04/partial-munmap", partial_munmap),
    Clause::new("B-04/mremap", by_mremap),
    Clause::new("B-04/map-fixed-over-the-middle", map_fixed_over_the_middle),
    Clause::new("B-04/madvise", by_madvise),
    Clause::new("B-04/not-inherited-by-fork", not_inherited_by_fork),
    Clause::new("B-04/writes-through-the-kernel", writes_through_the_kernel),
];

const RW: Prot = Prot::READ.union(Prot::WRITE);

/// Whether a process may write to an area.
fn is_users(direction: u32, area: Area) -> bool {
    match area {
        Area::Info => false,
        Area::Consumer => direction == OUTPUT,
        Area::Producer | Area::Data => direction == INPUT,
    }
}

fn rights_follow_roles() {
    for direction in [OUTPUT, INPUT] {
        for area in Area::ALL {
            for (prot, writes) in [
                (Prot::READ, false),
                (RW, true),
                (Prot::WRITE, true),
                (Prot::empty(), false),
            ] {
                let session = Session::new(echo(2 * page()));
                let got = session.try_map(direction, area, prot).err();
                let refused = writes && !is_users(direction, area);
                let expected = refused.then_some(Errno::ACCESS);
                assert_eq!(got, expected, "{area:?} of {direction}, {prot:?}");
            }
        }
    }
}

fn protect(map: &Map, flags: MprotectFlags) -> Result<(), Errno> {
    // SAFETY: Only the test uses the mapping, and only its rights change.
    unsafe { mprotect(map.as_ptr(), map.len(), flags) }
}

/// A mapping made without a right cannot get it later.
fn no_rights_by_mprotect() {
    let session = Session::new(echo(2 * page()));
    for direction in [OUTPUT, INPUT] {
        for area in Area::ALL {
            let map = session.map(direction, area);
            for flags in [
                MprotectFlags::READ | MprotectFlags::WRITE,
                MprotectFlags::WRITE,
                MprotectFlags::READ | MprotectFlags::EXEC,
                MprotectFlags::READ | MprotectFlags::WRITE | MprotectFlags::EXEC,
            ] {
                assert_eq!(
                    protect(&map, flags),
                    Err(Errno::ACCESS),
                    "{area:?} {flags:?}"
                );
            }
            assert_eq!(protect(&map, MprotectFlags::empty()), Ok(()));
            assert_eq!(protect(&map, MprotectFlags::READ), Ok(()));
        }
    }
    // A writable mapping may lose and regain that right, but never becomes executable.
    let map = session.map_writable(INPUT, Area::Data);
    assert_eq!(protect(&map, MprotectFlags::READ), Ok(()));
    assert_eq!(
        protect(&map, MprotectFlags::READ | MprotectFlags::WRITE),
        Ok(())
    );
    assert_eq!(protect(&map, MprotectFlags::EXEC), Err(Errno::ACCESS));
}

fn try_map(session: &Session, area: Area, prot: Prot, flags: MapFlags) -> Option<Errno> {
    let queue = session.queue(INPUT);
    Map::try_new(
        session,
        area.offset(&queue),
        area.bytes(&queue),
        prot,
        flags,
    )
    .err()
}

fn shared_only() {
    let session = Session::new(echo(4096));
    for area in Area::ALL {
        for prot in [Prot::READ, RW] {
            let got = try_map(&session, area, prot, MapFlags::PRIVATE);
            assert!(
                matches!(got, Some(Errno::INVAL | Errno::ACCESS)),
                "{area:?}: {got:?}"
            );
        }
    }
}

fn never_executable() {
    let session = Session::new(echo(4096));
    for area in Area::ALL {
        let got = try_map(&session, area, Prot::READ | Prot::EXEC, MapFlags::SHARED);
        assert_eq!(got, Some(Errno::ACCESS), "{area:?}");
    }
}

fn whole_areas_only() {
    let session = Session::new(echo(2 * page()));
    let queue = session.queue(INPUT);
    let map = |offset, bytes| {
        let map = Map::try_new(&session, offset, bytes, Prot::READ, MapFlags::SHARED);
        map.err()
    };
    for area in Area::ALL {
        let (offset, bytes) = (area.offset(&queue), area.bytes(&queue));
        assert_eq!(map(offset, bytes), None);
        assert_eq!(
            map(offset, bytes + page_len()),
            Some(Errno::INVAL),
            "{area:?}, longer"
        );
        if bytes > page_len() {
            for shorter in [page_len(), bytes / 2, bytes - page_len()] {
                assert_eq!(
                    map(offset, shorter),
                    Some(Errno::INVAL),
                    "{area:?}, {shorter}"
                );
            }
        }
    }
    let data = queue.data_offset;
    for offset in [
        data + page(),
        data + 2 * page(),
        data + 4 * page(),
        1 << 42,
        1 << 45,
        1 << 50,
    ] {
        let got = map(offset, page_len());
        assert!(
            matches!(got, Some(Errno::INVAL | Errno::OVERFLOW)),
            "{offset:#x}: {got:?}"
        );
    }
    assert_eq!(map(0, 1 << 20), Some(Errno::INVAL));
}

/// A page that the process writes can be mapped once, even after that mapping is gone.
fn writable_once() {
    let session = Session::new(echo(4096));
    for (direction, area) in [
        (OUTPUT, Area::Consumer),
        (INPUT, Area::Producer),
        (INPUT, Area::Data),
    ] {
        let first = session.map_writable(direction, area);
        for prot in [RW, Prot::WRITE] {
            assert_eq!(
                session.try_map(direction, area, prot).err(),
                Some(Errno::BUSY),
                "{area:?}"
            );
        }
        // Reading is allowed.
        session.map(direction, area);
        drop(first);
        assert_eq!(
            session.try_map(direction, area, RW).err(),
            Some(Errno::BUSY),
            "{area:?}"
        );
    }
}

fn writable_once_by_clones() {
    let session = Session::new(echo(4096));
    let _first = session.map_writable(OUTPUT, Area::Consumer);
    // A duplicate, a copy sent through a socket, and a reopening through /proc.
    let duplicate = rustix::io::fcntl_dupfd_cloexec(&session, 0).unwrap();
    let duplicate = Session::from_fd(duplicate);
    let sent = Session::from_fd(through_a_socket(&session));
    for other in [&duplicate, &sent] {
        let got = other.try_map(OUTPUT, Area::Consumer, RW).err();
        assert_eq!(got, Some(Errno::BUSY));
    }
    // Opening the file again begins another session.
    let number = std::os::fd::AsRawFd::as_raw_fd(&session.as_fd());
    let again = Session::open(format!("/proc/self/fd/{number}"), OFlags::RDWR).unwrap();
    assert_eq!(again.setup(echo(4096)), Ok(()));
    again.map_writable(OUTPUT, Area::Consumer);
}

fn through_a_socket(session: &Session) -> OwnedFd {
    let (from, to) = UnixStream::pair().unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = [session.as_fd()];
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(
        &from,
        &[IoSlice::new(b"x")],
        &mut ancillary,
        SendFlags::empty(),
    )
    .unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(
        &to,
        &mut [IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::empty(),
    )
    .unwrap();
    let message = ancillary.drain().next();
    let Some(RecvAncillaryMessage::ScmRights(mut fds)) = message else {
        panic!("no descriptor came");
    };
    fds.next().unwrap()
}

fn read_only_any_number() {
    let session = Session::new(echo(4096));
    for area in Area::ALL {
        let maps: Vec<Map> = (0..20).map(|_| session.map(OUTPUT, area)).collect();
        assert_eq!(maps.len(), 20);
    }
}

fn read_write_descriptor() {
    for flags in [OFlags::RDONLY, OFlags::WRONLY] {
        let session = Session::open(DEVICE, flags).unwrap();
        session.setup(echo(4096)).unwrap();
        for area in Area::ALL {
            let got = session.try_map(OUTPUT, area, Prot::READ).err();
            assert_eq!(got, Some(Errno::ACCESS), "{flags:?} {area:?}");
        }
    }
}

/// The session lasts as long as any of its pages is mapped, and the mapped ones keep their content.
fn partial_munmap() {
    let session = Session::new(echo(4 * page()));
    let data = session.map_writable(INPUT, Area::Data);
    data.write(0, b"first");
    data.write(3 * page_len(), b"fourth");
    // SAFETY: The pages belong to this mapping, and the test does not touch them again. `Map`
    // unmaps them once more when it is dropped, which is harmless.
    unsafe { munmap(data.as_ptr().byte_add(page_len()), page_len()) }.unwrap();
    drop(session);
    assert_eq!(data.read(0, 5), b"first");
    assert_eq!(data.read(3 * page_len(), 6), b"fourth");
    assert_eq!(data.read(7 * page_len(), 6), b"fourth", "the second time");
}

fn by_mremap() {
    let session = Session::new(echo(4 * page()));
    let data = session.map_writable(INPUT, Area::Data);
    data.write(0, b"first");
    // SAFETY: Each call is refused, or moves pages that `Map` no longer owns.
    unsafe {
        let (address, bytes) = (data.as_ptr(), data.len());
        let grown = mremap(address, bytes, bytes + page_len(), MremapFlags::MAYMOVE);
        assert_eq!(grown, Err(Errno::FAULT), "VM_DONTEXPAND");
        let again = mremap(address, 0, bytes, MremapFlags::MAYMOVE);
        assert!(
            matches!(again, Err(Errno::INVAL | Errno::FAULT)),
            "{again:?}: a second mapping"
        );
        // Moved as a whole, it is the same memory.
        let moved = mremap(address, bytes, bytes, MremapFlags::MAYMOVE).unwrap();
        let shrunk = mremap(moved, bytes, page_len(), MremapFlags::empty()).unwrap();
        assert_eq!(std::slice::from_raw_parts(shrunk.cast::<u8>(), 5), b"first");
    }
    assert_eq!(
        session.try_map(INPUT, Area::Data, RW).err(),
        Some(Errno::BUSY)
    );
}

fn map_fixed_over_the_middle() {
    let session = Session::new(echo(4 * page()));
    let data = session.map_writable(INPUT, Area::Data);
    data.write(2 * page_len(), b"third");
    // SAFETY: The page belongs to the mapping, and the test uses it only as anonymous memory
    // afterwards.
    unsafe {
        let address = data.as_ptr().byte_add(page_len());
        rustix::mm::mmap_anonymous(address, page_len(), RW, MapFlags::PRIVATE | MapFlags::FIXED)
            .unwrap();
    }
    data.write(page_len(), &vec![0xff; page_len()]);
    assert_eq!(data.read(2 * page_len(), 5), b"third");
    assert!(
        data.read(5 * page_len(), page_len())
            .iter()
            .all(|byte| *byte == 0),
        "the real page, elsewhere"
    );
    drop(session);
    assert_eq!(data.read(2 * page_len(), 5), b"third");
}

/// Pages that madvise drops fault afterwards (EFAULT, SIGBUS); no other memory appears there.
fn by_madvise() {
    let session = Session::new(echo(4 * page()));
    let data = session.map_writable(INPUT, Area::Data);
    let other = session.map(INPUT, Area::Data);
    data.write(0, b"stays");
    let advise = |advice| {
        // SAFETY: Only the test uses the mapping, and below only the kernel reads it.
        unsafe { madvise(data.as_ptr(), data.len(), advice) }
    };
    assert_eq!(
        advise(Advice::LinuxDoFork),
        Err(Errno::INVAL),
        "VM_DONTCOPY stays"
    );
    for advice in [
        Advice::LinuxRemove,
        Advice::LinuxFree,
        Advice::LinuxMergeable,
        Advice::LinuxHugepage,
        Advice::LinuxDontFork,
        Advice::LinuxDoDump,
        Advice::LinuxDontNeed,
    ] {
        let _ = advise(advice);
        let mut bytes = [0; 5];
        // The kernel reads it, into a pipe: a load by the process itself would be a fatal SIGBUS.
        let (from, to) = rustix::pipe::pipe().unwrap();
        // SAFETY: The kernel reads what is mapped there, or fails with EFAULT.
        let sent = unsafe {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&to);
            libc::write(fd, data.as_ptr(), 5)
        };
        if sent == 5 {
            rustix::io::read(&from, &mut bytes).unwrap();
            assert_eq!(&bytes, b"stays", "{advice:?}");
        } else {
            let error = std::io::Error::last_os_error().raw_os_error();
            assert_eq!((sent, error), (-1, Some(libc::EFAULT)), "{advice:?}");
        }
        assert_eq!(
            other.read(4 * page_len(), 5),
            b"stays",
            "{advice:?}, seen at the second place"
        );
    }
}

/// The child of a fork inherits the descriptor, but not the mapping.
fn not_inherited_by_fork() {
    let session = Session::new(echo(4096));
    let data = session.map_writable(INPUT, Area::Data);
    let (from, to) = rustix::pipe::pipe().unwrap();
    // SAFETY: The child makes only system calls, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: The kernel reads what is mapped there, or fails with EFAULT.
        let wrote = unsafe {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&to);
            libc::write(fd, data.as_ptr().cast::<c_void>(), 8)
        };
        let writable = session.try_map(INPUT, Area::Data, RW).err() == Some(Errno::BUSY);
        // SAFETY: No preconditions.
        unsafe { libc::_exit(if wrote == -1 && writable { 0 } else { 1 }) };
    }
    drop(to);
    let mut status = 0;
    // SAFETY: `status` is a valid place for the kernel to write to.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "EFAULT, and EBUSY for a mapping of its own");
    drop(from);
    data.write(0, b"still here");
}

/// The kernel does not write for a process where the process may not: EFAULT, and nothing changes.
fn writes_through_the_kernel() {
    let session = Session::new(echo(4096));
    let map = session.map(OUTPUT, Area::Producer);
    let before = map.read(0, page_len());
    let file = std::fs::File::open("/dev/zero").unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // SAFETY: The mapping is read-only, so the kernel fails with EFAULT.
    let got = unsafe { libc::read(fd, map.as_ptr(), page_len()) };
    let error = std::io::Error::last_os_error().raw_os_error();
    assert!(got == -1 && error == Some(libc::EFAULT), "{got} {error:?}");
    let from = [0xffu8; 8];
    let local = libc::iovec {
        iov_base: from.as_ptr().cast_mut().cast(),
        iov_len: 8,
    };
    let remote = libc::iovec {
        iov_base: map.as_ptr(),
        iov_len: 8,
    };
    // SAFETY: Both ranges have the stated length; the kernel refuses to write to the read-only one.
    let got = unsafe { libc::process_vm_writev(libc::getpid(), &local, 1, &remote, 1, 0) };
    assert_eq!(got, -1);
    // As a debugger writes.
    let force = std::fs::OpenOptions::new()
        .write(true)
        .open("/proc/self/mem")
        .unwrap();
    let forced = std::os::unix::fs::FileExt::write_at(&force, &from, map.as_ptr().addr() as u64);
    assert!(forced.is_err(), "FOLL_FORCE needs a private mapping");
    assert!(map.read(0, page_len()) == before);
}
