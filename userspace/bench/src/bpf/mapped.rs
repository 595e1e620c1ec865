// SPDX-License-Identifier: MIT OR Apache-2.0

//! The peer's rings as they lie in memory: readers and writers that store a position once for many
//! entries, which libbpf does for each.
//!
//! The layout is that of Documentation/bpf/ringbuf.rst and kernel/bpf/ringbuf.c: a page with the
//! consumer's position, a page with the producer's, and the data, mapped twice so that an entry is
//! never in two parts. An entry has a header of eight bytes, whose first four are its length and two
//! flags, and fills whole words.

use std::os::fd::BorrowedFd;
use std::ptr::null_mut;
use std::sync::atomic::{fence, Ordering};

use iostream_ring::sync::Word;
use libbpf_rs::libbpf_sys;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use crate::Result;

const PAGE_BYTES: usize = 4096;
const HEADER_BYTES: u64 = 8;
const BUSY: u32 = libbpf_sys::BPF_RINGBUF_BUSY_BIT;
const DISCARDED: u32 = libbpf_sys::BPF_RINGBUF_DISCARD_BIT;

/// A part of a map, while it is mapped.
struct Mapping {
    start: *mut u8,
    len: usize,
}

impl Mapping {
    fn new(map: BorrowedFd<'_>, offset: usize, len: usize, write: bool) -> Result<Self> {
        let rights = match write {
            true => ProtFlags::READ | ProtFlags::WRITE,
            false => ProtFlags::READ,
        };
        // SAFETY: The kernel chooses a place where nothing is.
        let start = unsafe {
            mmap(
                null_mut(),
                len,
                rights,
                MapFlags::SHARED,
                map,
                offset as u64,
            )?
        };
        Ok(Self {
            start: start.cast(),
            len,
        })
    }

    /// The position at the start of a page.
    fn position(&self) -> &Word {
        // SAFETY: The word is mapped as long as `self`, aligned, and only accessed as a `Word`.
        unsafe { &*self.start.cast::<Word>() }
    }

    /// The data, which begin behind the page of the producer's position.
    fn data(&self) -> *mut u8 {
        // SAFETY: The mapping is longer than a page.
        unsafe { self.start.add(PAGE_BYTES) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: Nothing refers to it any more. An error has no consequence.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}

/// The bytes of an entry with its header.
fn whole(len: u32) -> u64 {
    (HEADER_BYTES + u64::from(len)).next_multiple_of(8)
}

/// The reader of a ring buffer that the kernel writes.
pub struct MappedRing {
    consumer: Mapping,
    producer: Mapping,
    mask: u64,
}

impl MappedRing {
    /// Maps a ring of `bytes`.
    pub fn new(map: BorrowedFd<'_>, bytes: u64) -> Result<Self> {
        let len = PAGE_BYTES + 2 * usize::try_from(bytes)?;
        Ok(Self {
            consumer: Mapping::new(map, 0, PAGE_BYTES, true)?,
            producer: Mapping::new(map, PAGE_BYTES, len, false)?,
            mask: bytes - 1,
        })
    }

    /// Takes up to `most` entries, publishes the room, and returns the number.
    #[inline(always)]
    pub fn read(&mut self, most: u64, mut take: impl FnMut(&[u8])) -> u64 {
        // Only this reader stores it.
        let begun = self.consumer.position().load_relaxed();
        let made = self.producer.position().load_acquire();
        let (mut at, mut taken) = (begun, 0);
        while at < made && taken < most {
            let place = (at & self.mask) as usize;
            // SAFETY: The position lies in the data, and each header is an aligned word.
            let header = unsafe { &*self.producer.data().add(place).cast::<Word>() };
            // Pairs with the release of bpf_ringbuf_submit. The first half has length and flags.
            let header = header.load_acquire() as u32;
            if header & BUSY != 0 {
                break;
            }
            let len = header & !DISCARDED;
            if header & DISCARDED == 0 {
                // SAFETY: The kernel made the entry, does not write it until the room is published,
                // and the second mapping has what goes beyond the end.
                take(unsafe {
                    std::slice::from_raw_parts(
                        self.producer.data().add(place + HEADER_BYTES as usize),
                        len as usize,
                    )
                });
                taken += 1;
            }
            at += whole(len);
        }
        if at != begun {
            self.consumer.position().store_release(at);
            // The kernel wakes a reader that has read everything before the entry: the room must be
            // seen before the next look at the producer's position, or both rely on the other.
            fence(Ordering::SeqCst);
        }
        taken
    }
}

/// The writer of a user ring buffer, which the kernel reads.
pub struct MappedUserRing {
    consumer: Mapping,
    producer: Mapping,
    bytes: u64,
    /// The position behind the last entry, published or not.
    at: u64,
}

impl MappedUserRing {
    /// Maps a ring of `bytes`.
    pub fn new(map: BorrowedFd<'_>, bytes: u64) -> Result<Self> {
        let len = PAGE_BYTES + 2 * usize::try_from(bytes)?;
        Ok(Self {
            consumer: Mapping::new(map, 0, PAGE_BYTES, false)?,
            producer: Mapping::new(map, PAGE_BYTES, len, true)?,
            bytes,
            at: 0,
        })
    }

    /// Makes up to `most` entries of `len` bytes, as many as there is room for, publishes them, and
    /// returns the number.
    #[inline(always)]
    pub fn write(&mut self, most: u64, len: u32, mut fill: impl FnMut(&mut [u8])) -> u64 {
        let room = self.bytes - (self.at - self.consumer.position().load_acquire());
        let made = most.min(room / whole(len));
        for _ in 0..made {
            let place = (self.at & (self.bytes - 1)) as usize;
            // SAFETY: The entry lies in the data, of which the kernel does not read what the
            // published position does not reach; each header is an aligned word.
            unsafe {
                let header = self.producer.data().add(place);
                header.cast::<u64>().write(len.into());
                fill(std::slice::from_raw_parts_mut(
                    header.add(HEADER_BYTES as usize),
                    len as usize,
                ));
            }
            self.at += whole(len);
        }
        if made != 0 {
            self.producer.position().store_release(self.at);
        }
        made
    }
}
