// SPDX-License-Identifier: MIT OR Apache-2.0

//! D: mmap, and everything that can be done to a mapping afterwards.

use std::ffi::c_void;
use std::sync::atomic::Ordering::*;

use iostream_raw::{echo, page, page_len, Map, Prot, Session, INPUT, OUTPUT};
use iostream_ring::uapi::iostream_queue;
use libc::{
    MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, MREMAP_FIXED, MREMAP_MAYMOVE, PROT_EXEC,
    PROT_READ, PROT_WRITE,
};
use rustix::io::Errno;
use rustix::mm::MapFlags;

use super::Round;
use crate::sys::{self};

const BATCH: u64 = 64;
/// Bytes of each queue.
fn size() -> u64 {
    2 * page()
}

/// Advice that changes a mapping, or drops its pages.
const ADVICE: [i32; 12] = [
    libc::MADV_DONTNEED,
    libc::MADV_DOFORK,
    libc::MADV_DONTFORK,
    libc::MADV_REMOVE,
    libc::MADV_FREE,
    libc::MADV_MERGEABLE,
    libc::MADV_HUGEPAGE,
    libc::MADV_WIPEONFORK,
    libc::MADV_COLD,
    libc::MADV_PAGEOUT,
    libc::MADV_POPULATE_READ,
    libc::MADV_POPULATE_WRITE,
];

/// One area of one queue, and whether the process may write to it.
#[derive(Clone, Copy)]
struct Area {
    offset: u64,
    bytes: u64,
    ours: bool,
}

fn areas(session: &Session) -> Vec<Area> {
    let mut areas = Vec::new();
    for direction in [OUTPUT, INPUT] {
        let q: iostream_queue = session.try_queue(direction).expect("queue");
        let input = direction == INPUT;
        let mut area = |offset, bytes, ours| {
            areas.push(Area {
                offset,
                bytes,
                ours,
            });
        };
        area(q.info_offset, page(), false);
        area(q.producer_offset, page(), input);
        area(q.consumer_offset, page(), !input);
        area(q.data_offset, 2 * q.data_bytes, input);
    }
    areas
}

/// One round of the class.
pub fn round(round: &mut Round<'_>) {
    let mut session = Session::nonblocking(echo(size()));
    fresh_is_zero(&session);
    for _ in 0..BATCH {
        let area = round.random.pick(&areas(&session));
        match round.random.below(4) {
            0 => refused(round, &session, area),
            _ => {
                if changed(round, &session, area) {
                    // An area can be mapped writable once, so a new session is needed.
                    session = Session::nonblocking(echo(size()));
                }
            }
        }
        round.cases += 1;
    }
    round.victim.check();
}

/// No byte of a previous owner of the pages is there.
fn fresh_is_zero(session: &Session) {
    for area in areas(session) {
        let map = sys::map(session, area.offset, area.bytes, false).expect("mmap");
        // The info page begins with the queue's description; the rest is zero.
        let from = if area.offset & 0xffff_ffff == 0 {
            256
        } else {
            0
        };
        let armed = map
            .words()
            .skip(from / 8)
            .filter(|word| word.load(Relaxed) != 0)
            .count();
        // The kernel's end of an input queue is armed from the start: one word.
        assert!(armed <= 1, "{armed} words of a fresh area are not zero");
    }
}

/// mmap calls that must fail.
fn refused(round: &mut Round<'_>, session: &Session, area: Area) {
    let (mut offset, mut bytes) = (area.offset, area.bytes);
    let mut prot = PROT_READ;
    let mut flags = MAP_SHARED;
    match round.random.below(6) {
        0 => flags = MAP_PRIVATE,
        1 => prot |= PROT_EXEC,
        2 if !area.ours => prot |= PROT_WRITE,
        3 => {
            offset = offset.wrapping_add(page() * (1 + round.random.below(1 << 20)));
            // This may be another area of the same length.
            if areas(session)
                .iter()
                .any(|other| (other.offset, other.bytes) == (offset, bytes))
            {
                return;
            }
        }
        4 => offset = (round.random.next_u64() << 12) | (1 << 50),
        _ => bytes = page() * (1 + round.random.below(64)),
    }
    if (offset, bytes, prot, flags) == (area.offset, area.bytes, PROT_READ, MAP_SHARED) {
        return;
    }
    let (rights, kind) = (
        Prot::from_bits_retain(prot as u32),
        MapFlags::from_bits_retain(flags as u32),
    );
    let map = Map::try_new(session, offset, bytes as usize, rights, kind);
    assert!(
        map.is_err(),
        "offset {offset:#x}, {bytes} bytes, rights {prot}, flags {flags:#x}"
    );
}

/// Maps an area and tries things on it. Returns whether a writable claim was used up.
fn changed(round: &mut Round<'_>, session: &Session, area: Area) -> bool {
    let write = area.ours && round.random.chance(2);
    let map = match sys::map(session, area.offset, area.bytes, write) {
        Ok(map) => map,
        Err(Errno::BUSY) if write => return true,
        Err(error) => panic!("mmap: {error}"),
    };
    let bytes = map.len();
    let at = map.address();
    // Whether all pages are still there.
    let mut whole = true;
    for _ in 0..1 + round.random.below(4) {
        let part = page_len() * (1 + round.random.below(bytes as u64 / page()) as usize);
        match round.random.below(12) {
            0 => {
                let result = sys::call(
                    libc::SYS_mprotect,
                    &[at, bytes, (PROT_READ | PROT_WRITE) as usize],
                );
                assert_eq!(result.is_ok(), write, "rights by mprotect: {result:?}");
            }
            1 => {
                let result = sys::call(libc::SYS_mprotect, &[at, part, PROT_EXEC as usize]);
                assert_eq!(result, Err(Errno::ACCESS), "executable by mprotect");
            }
            2 => {
                let size = part + page_len() * round.random.below(4) as usize;
                let result = sys::call(libc::SYS_mremap, &[at, bytes, size, 0]);
                assert!(
                    size <= bytes || result.is_err(),
                    "more than the area, by mremap"
                );
                if size < bytes {
                    return write;
                }
            }
            3 => {
                let result = sys::call(libc::SYS_mremap, &[at, bytes, 0, MREMAP_MAYMOVE as usize]);
                assert!(result.is_err(), "mremap to nothing");
            }
            4 => {
                // An old size of zero asks for a second mapping of shared memory.
                let flags = MREMAP_MAYMOVE as usize;
                if let Ok(second) = sys::call(libc::SYS_mremap, &[at, 0, bytes, flags]) {
                    // SAFETY: mremap has just created the mapping, and nothing else refers to it.
                    drop(unsafe { Map::from_raw(second as usize, bytes) });
                }
            }
            5 => {
                let advice = round.random.pick(&ADVICE);
                let result = sys::call(libc::SYS_madvise, &[at, part, advice as usize]);
                if advice == libc::MADV_DOFORK {
                    assert_eq!(result, Err(Errno::INVAL), "inherited by fork");
                }
                whole &= result.is_err();
            }
            6 => {
                let _ = sys::call(libc::SYS_mlock, &[at, part]);
                let _ = sys::call(libc::SYS_munlock, &[at, part]);
            }
            7 => {
                let punch = (libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE) as usize;
                let hole = [session.raw_fd() as usize, punch, area.offset as usize, part];
                assert!(sys::call(libc::SYS_fallocate, &hole).is_err(), "a hole");
                let cut = [session.raw_fd() as usize, 0];
                assert!(sys::call(libc::SYS_ftruncate, &cut).is_err(), "cut short");
            }
            8 => write_through_kernel(round, at, part, write, whole),
            9 => register_with_io_uring(at, part, write),
            10 => {
                // A new mapping over a page of it.
                let skip = page_len() * round.random.below(bytes as u64 / page()) as usize;
                let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
                // SAFETY: The page belongs to `map`, and nothing refers to its memory.
                unsafe {
                    let over = (at + skip) as *mut c_void;
                    libc::mmap(over, page_len(), PROT_READ | PROT_WRITE, flags, -1, 0);
                }
                return write;
            }
            _ => {
                let spare = sys::memory(bytes, Prot::READ);
                let flags = (MREMAP_MAYMOVE | MREMAP_FIXED) as usize;
                let moved = sys::call(
                    libc::SYS_mremap,
                    &[at, bytes, bytes, flags, spare.address()],
                );
                if moved.is_ok() {
                    // Nothing is mapped at the old address any more; `spare` unmaps the new one.
                    std::mem::forget(map);
                    return write;
                }
            }
        }
    }
    write
}

/// The kernel does not write for the process where the process may not write itself.
fn write_through_kernel(round: &mut Round<'_>, at: usize, part: usize, write: bool, whole: bool) {
    let garbage = [0x5a_u8; 64];
    let offset = round.random.below(part as u64 / 8) as usize * 8;
    let local = libc::iovec {
        iov_base: garbage.as_ptr().cast_mut().cast(),
        iov_len: 8,
    };
    let remote = libc::iovec {
        iov_base: (at + offset) as *mut c_void,
        iov_len: 8,
    };
    // SAFETY: `garbage` is long enough, and the kernel checks the other address.
    let done = unsafe { libc::process_vm_writev(libc::getpid(), &local, 1, &remote, 1, 0) };
    assert!(write || done < 0, "written through the kernel");
    // The same with a read(2) into the mapping.
    let zero = sys::open("/dev/zero", libc::O_RDONLY).expect("/dev/zero");
    let read = sys::call(libc::SYS_read, &[zero as usize, at + offset, 8]);
    sys::close(zero);
    assert!(
        read.is_ok() == write || !whole && read.is_err(),
        "read into it: {read:?}"
    );
}

/// Registers the mapping as a buffer of io_uring, which pins its pages, and closes the ring.
fn register_with_io_uring(at: usize, part: usize, write: bool) {
    const REGISTER_BUFFERS: usize = 0;
    // struct io_uring_params, all defaults.
    let mut params = [0_u8; 120];
    let params = params.as_mut_ptr() as usize;
    let Ok(ring) = sys::call(libc::SYS_io_uring_setup, &[2, params]) else {
        return;
    };
    let buffer = libc::iovec {
        iov_base: at as *mut c_void,
        iov_len: part,
    };
    let arguments = [
        ring as usize,
        REGISTER_BUFFERS,
        std::ptr::from_ref(&buffer) as usize,
        1,
    ];
    let result = sys::call(libc::SYS_io_uring_register, &arguments);
    assert!(write || result.is_err(), "pinned for writing");
    sys::close(ring as i32);
}
