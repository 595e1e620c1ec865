// SPDX-License-Identifier: MIT OR Apache-2.0

//! I: every pair of operations, by two threads at the same time, on one session of a driver's node.

use std::sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::Mutex;

use iostream_ring::uapi::*;

use super::Round;
use crate::driver::{self, Driver};
use crate::sys::{self, Fd};
use iostream_raw::Random;
use iostream_raw::{page, INPUT, OUTPUT};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Enqueue,
    Dequeue,
    Mmap,
    Munmap,
    Ioctl,
    Close,
    Removal,
}

const OPS: [Op; 7] = [
    Op::Enqueue,
    Op::Dequeue,
    Op::Mmap,
    Op::Munmap,
    Op::Ioctl,
    Op::Close,
    Op::Removal,
];

/// Loops of a round. Opening creates queues, and removal waits for callbacks and workers, so pairs
/// with these have fewer.
const LOOPS: u64 = 256;
const LOOPS_WITH_CLOSE: u64 = 64;
const LOOPS_WITH_REMOVAL: u64 = 16;
/// After so many loops the threads wait for each other.
const TOGETHER: u64 = 8;
/// Mappings that exist at a time.
const SLOTS: usize = 4;

/// What both threads work on.
struct Shared {
    path: String,
    /// The descriptor, or -1 while nobody has the node open.
    fd: AtomicI32,
    /// Addresses of mappings; 0: none.
    maps: [AtomicUsize; SLOTS],
    lengths: [AtomicUsize; SLOTS],
    /// Taken to change a slot: the threads race in the kernel, not here.
    slots: Mutex<()>,
}

/// The pairs in turn, including those of an operation with itself.
fn pair(number: u64) -> (Op, Op) {
    let mut left = number % 28;
    for (i, first) in OPS.iter().enumerate() {
        let with = (OPS.len() - i) as u64;
        if left < with {
            return (*first, OPS[i + left as usize]);
        }
        left -= with;
    }
    unreachable!("28 pairs")
}

/// One round of the class.
pub fn round(round: &mut Round<'_>) {
    let (first, second) = pair(round.seed);
    let driver = Driver::new();
    let _ = driver.unpublish();
    driver.publish().expect("publish");
    let path = driver::path().expect("the node");
    let shared = Shared {
        fd: AtomicI32::new(-1),
        path,
        maps: Default::default(),
        lengths: Default::default(),
        slots: Mutex::new(()),
    };
    shared.reopen();
    let loops = match (first, second) {
        (_, Op::Removal) => LOOPS_WITH_REMOVAL,
        (_, Op::Close) => LOOPS_WITH_CLOSE,
        _ => LOOPS,
    };
    let arrived = [AtomicU64::new(0), AtomicU64::new(0)];
    std::thread::scope(|scope| {
        for (side, op) in [first, second].into_iter().enumerate() {
            let (arrived, shared) = (&arrived, &shared);
            let mut random = Random::new(round.seed * 2 + side as u64);
            scope.spawn(move || {
                let driver = Driver::new();
                for number in 1..=loops {
                    if number % TOGETHER == 0 {
                        meet(arrived, side, number);
                    }
                    // The threads do not always start at the same moment.
                    for _ in 0..random.below(64) {
                        std::hint::spin_loop();
                    }
                    shared.run(op, &driver, &mut random);
                }
            });
        }
    });
    round.cases += loops;
    shared.unmap_all();
    sys::close(shared.fd.swap(-1, AcqRel));
    driver.unpublish().expect("unpublish");
    round.victim.check();
}

/// Waits until the other side is at the same loop.
fn meet(arrived: &[AtomicU64; 2], side: usize, number: u64) {
    arrived[side].store(number, Release);
    let mut spins = 0_u32;
    while arrived[1 - side].load(Acquire) < number {
        spins += 1;
        if spins % 4096 == 0 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

impl Shared {
    fn fd(&self) -> Fd {
        self.fd.load(Acquire)
    }

    /// Opens the node, unless it is busy or gone.
    fn reopen(&self) {
        if let Ok(session) = driver::try_open(&self.path) {
            let fd = session.into_raw_fd();
            let other = self.fd.swap(fd, AcqRel);
            if other >= 0 {
                sys::close(other);
            }
        }
    }

    fn unmap_all(&self) {
        for slot in 0..SLOTS {
            self.unmap(slot);
        }
    }

    fn unmap(&self, slot: usize) {
        let (address, bytes) = {
            let _one = self
                .slots
                .lock()
                .expect("no thread panics while it holds the lock");
            let address = self.maps[slot].swap(0, AcqRel);
            (address, self.lengths[slot].load(Relaxed))
        };
        if address != 0 {
            sys::call(libc::SYS_munmap, &[address, bytes]).expect("munmap");
        }
    }

    fn run(&self, op: Op, driver: &Driver, random: &mut Random) {
        let fd = self.fd();
        // Any failure is fine: the other thread may have closed, mapped or removed everything.
        match op {
            Op::Enqueue if random.chance(2) => {
                let _ =
                    driver.tell(random.pick(&["enqueue 24", "batch 8 16", "reserve 64 commit"]));
            }
            Op::Enqueue => {
                let _ = sys::write(fd, &[1; 24]);
            }
            Op::Dequeue if random.chance(2) => {
                let _ = driver.tell(random.pick(&["drain 4", "dequeue 64", "release"]));
            }
            Op::Dequeue => {
                let _ = sys::read(fd, &mut [0; 256]);
            }
            Op::Mmap => self.map(fd, random),
            Op::Munmap => {
                // At least sometimes there is something to unmap.
                if random.chance(4) {
                    self.map(fd, random);
                }
                self.unmap(random.below(SLOTS as u64) as usize);
            }
            Op::Ioctl => ioctl(fd, random),
            Op::Close => {
                let fd = self.fd.swap(-1, AcqRel);
                if fd >= 0 {
                    sys::close(fd);
                }
                if random.chance(2) {
                    self.unmap_all();
                }
                self.reopen();
            }
            Op::Removal => {
                let _ = driver.unpublish();
                if random.chance(2) {
                    self.unmap_all();
                }
                let _ = driver.publish();
                self.reopen();
            }
        }
        if op != Op::Close && self.fd() < 0 {
            self.reopen();
        }
    }

    /// Maps some area, writable if it may be, and makes the kernel fill it with garbage.
    fn map(&self, fd: Fd, random: &mut Random) {
        let direction = random.pick(&[OUTPUT, INPUT]);
        let mut q = iostream_queue {
            direction,
            ..Default::default()
        };
        if sys::ioctl_with(fd, IOSTREAM_IOC_QUEUE, &mut q).is_err() {
            return;
        }
        let (offset, bytes, ours) = match random.below(4) {
            0 => (q.info_offset, page(), false),
            1 => (q.producer_offset, page(), direction == INPUT),
            2 => (q.consumer_offset, page(), direction == OUTPUT),
            _ => (q.data_offset, 2 * q.data_bytes, direction == INPUT),
        };
        let rights = libc::PROT_READ | if ours { libc::PROT_WRITE } else { 0 };
        let arguments = [
            0,
            bytes as usize,
            rights as usize,
            libc::MAP_SHARED as usize,
            fd as usize,
            offset as usize,
        ];
        let Ok(address) = sys::call(libc::SYS_mmap, &arguments) else {
            return;
        };
        let address = address as usize;
        let slot = random.below(SLOTS as u64) as usize;
        let (old, old_bytes) = {
            let _one = self
                .slots
                .lock()
                .expect("no thread panics while it holds the lock");
            let old_bytes = self.lengths[slot].swap(bytes as usize, AcqRel);
            (self.maps[slot].swap(address, AcqRel), old_bytes)
        };
        if old != 0 {
            sys::call(libc::SYS_munmap, &[old, old_bytes]).expect("munmap");
        }
        // The call fails if the mapping goes meanwhile, where a store would be a fatal fault.
        let _ = sys::call(libc::SYS_getrandom, &[address, 80, 0]);
    }
}

fn ioctl(fd: Fd, random: &mut Random) {
    let direction = random.pick(&[OUTPUT, INPUT]);
    match random.below(16) {
        0 => {
            let _ = sys::ioctl(fd, IOSTREAM_IOC_RESET, direction as usize);
        }
        1..3 => {
            let event = sys::eventfd(0);
            let mut set = iostream_eventfd {
                direction,
                fd: event,
            };
            let _ = sys::ioctl_with(fd, IOSTREAM_IOC_EVENTFD, &mut set);
            sys::close(event);
        }
        3 => {
            let mut set = iostream_eventfd { direction, fd: -1 };
            let _ = sys::ioctl_with(fd, IOSTREAM_IOC_EVENTFD, &mut set);
        }
        4..8 => {
            let mut q = iostream_queue {
                direction,
                ..Default::default()
            };
            let _ = sys::ioctl_with(fd, IOSTREAM_IOC_QUEUE, &mut q);
        }
        8..10 => {
            let mut version = iostream_version::default();
            let _ = sys::ioctl_with(fd, IOSTREAM_IOC_VERSION, &mut version);
        }
        10..12 => {
            sys::poll(fd, libc::POLLIN | libc::POLLOUT, 0);
        }
        _ => {
            let _ = sys::ioctl(fd, IOSTREAM_IOC_NOTIFY, direction as usize);
        }
    }
}
