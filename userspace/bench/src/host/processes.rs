// SPDX-License-Identifier: MIT OR Apache-2.0

//! N-2: records of 16 to 256 bytes from one process to another.

use std::hint::spin_loop;
use std::os::unix::net::UnixDatagram;
use std::ptr::{null_mut, NonNull};
use std::time::{Duration, Instant};

use bbqueue::nicknames::Churrasco;
use iostream_bench::pin_to;
use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};
use rustix::process::{waitpid, Pid, WaitOptions};

use super::memory::RingMemory;

/// Bytes of each ring.
const RING_BYTES: usize = 512 * 1024;
/// Records of a publication, for queues that publish separately.
const BATCH: u64 = 32;

/// The lengths of the records: 16 to 256, in a fixed random order.
struct Lengths(u64);

impl Lengths {
    fn new() -> Self {
        // Any odd number will do.
        Self(0x9e37_79b9_7f4a_7c15)
    }

    #[inline(always)]
    fn next(&mut self) -> usize {
        // xorshift64 with the triple 13, 7, 17.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        16 + (self.0 >> 32) as usize % 241
    }
}

/// The sums of what arrived: the number at the start of each record, and the record's length.
#[derive(Default)]
struct Arrived(u64);

impl Arrived {
    #[inline(always)]
    fn add(&mut self, record: &[u8]) {
        let number = record
            .first_chunk::<8>()
            .map_or(0, |first| u64::from_ne_bytes(*first));
        self.0 = self
            .0
            .wrapping_add(number)
            .wrapping_add(record.len() as u64);
    }

    fn check(&self, count: u64) {
        let mut lengths = Lengths::new();
        let sum = (0..count).fold(0u64, |sum, number| {
            sum.wrapping_add(number).wrapping_add(lengths.next() as u64)
        });
        assert_eq!(self.0, sum, "records went wrong");
    }
}

/// Runs `put` in a process of its own on processor 0, and `take` here on processor 1.
fn run(put: impl FnOnce(), take: impl FnOnce()) -> Duration {
    pin_to(1).expect("two processors");
    // SAFETY: The child runs `put`, which takes no lock that another thread may hold, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let status = i32::from(pin_to(0).is_err());
        put();
        // SAFETY: It only ends the process.
        unsafe { libc::_exit(status) };
    }
    let child = Pid::from_raw(child).expect("a second process");
    let begun = Instant::now();
    take();
    let time = begun.elapsed();
    let status = waitpid(Some(child), WaitOptions::empty()).expect("the second process");
    let code = status.and_then(|(_, status)| status.exit_status());
    assert_eq!(code, Some(0), "the second process failed");
    time
}

/// The ring, over a memfd.
pub fn ring(count: u64) -> Duration {
    let memory = RingMemory::new(RING_BYTES).expect("memory");
    // SAFETY: The only call for this memory; the child has one end and its own copy of the mapping.
    let (mut producer, mut consumer) = unsafe { memory.ends::<iostream_ring::Framed>() };
    let put = || {
        let (mut lengths, mut record) = (Lengths::new(), [0; 256]);
        for number in 0..count {
            let len = lengths.next();
            record[..8].copy_from_slice(&number.to_ne_bytes());
            while producer.push(&record[..len]).is_err() {
                producer.publish();
                spin_loop();
            }
            if number % BATCH == 0 {
                producer.publish();
            }
        }
        producer.publish();
    };
    let take = || {
        let mut arrived = Arrived::default();
        let mut taken = 0;
        while taken < count {
            let Ok(entry) = consumer.peek() else {
                consumer.publish();
                spin_loop();
                continue;
            };
            // SAFETY: The ring checked the entry. It is released only after its use below, and the
            // producer does not write it until then.
            let bytes = unsafe {
                let start = consumer.memory().data_at(entry.offset());
                std::slice::from_raw_parts(start.as_ptr(), entry.len())
            };
            arrived.add(bytes);
            consumer.release();
            taken += 1;
            if taken % BATCH == 0 {
                consumer.publish();
            }
        }
        arrived.check(count);
    };
    run(put, take)
}

/// bbqueue's framed queue, in memory that both processes share.
pub fn bbqueue(count: u64) -> Duration {
    type Queue = Churrasco<RING_BYTES>;
    let bytes = size_of::<Queue>();
    let rights = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: The kernel chooses the address: no existing mapping is replaced.
    let start = unsafe {
        mmap_anonymous(
            null_mut(),
            bytes,
            rights,
            MapFlags::SHARED | MapFlags::POPULATE,
        )
    };
    let start = NonNull::new(start.expect("memory"))
        .expect("memory")
        .cast::<Queue>();
    // SAFETY: The mapping has the size of a queue, is page-aligned and zeroed. That is the state of
    // a new queue, except for the words that are written here. A queue is too large for the stack.
    let queue = unsafe {
        new_in_place(start);
        start.as_ref()
    };
    let put = || {
        let (producer, mut lengths) = (queue.framed_producer(), Lengths::new());
        for number in 0..count {
            let len = lengths.next();
            loop {
                if let Ok(mut grant) = producer.grant(len as u16) {
                    grant[..8].copy_from_slice(&number.to_ne_bytes());
                    grant[8..].fill(0);
                    grant.commit(len as u16);
                    break;
                }
                spin_loop();
            }
        }
    };
    let take = || {
        let (consumer, mut arrived, mut taken) = (queue.framed_consumer(), Arrived::default(), 0);
        while taken < count {
            if let Ok(grant) = consumer.read() {
                arrived.add(&grant);
                grant.release();
                taken += 1;
            } else {
                spin_loop();
            }
        }
        arrived.check(count);
    };
    let time = run(put, take);
    // SAFETY: Mapped above, and not used afterwards.
    let _ = unsafe { rustix::mm::munmap(start.as_ptr().cast(), bytes) };
    time
}

/// Makes a queue at `place`.
///
/// # Safety
///
/// `place` is valid for writes of a queue.
unsafe fn new_in_place(place: NonNull<Churrasco<RING_BYTES>>) {
    static NEW: Churrasco<RING_BYTES> = Churrasco::new();
    // SAFETY: `place` is valid for writes, by this function's contract.
    unsafe { std::ptr::copy_nonoverlapping(&raw const NEW, place.as_ptr(), 1) };
}

/// A pair of Unix datagram sockets.
pub fn socket(count: u64) -> Duration {
    let (sender, receiver) = UnixDatagram::pair().expect("sockets");
    let put = || {
        let (mut lengths, mut record) = (Lengths::new(), [0; 256]);
        for number in 0..count {
            record[..8].copy_from_slice(&number.to_ne_bytes());
            sender.send(&record[..lengths.next()]).expect("send");
        }
    };
    let take = || {
        let (mut arrived, mut record) = (Arrived::default(), [0; 256]);
        for _ in 0..count {
            let len = receiver.recv(&mut record).expect("recv");
            arrived.add(&record[..len]);
        }
        arrived.check(count);
    };
    run(put, take)
}
