// SPDX-License-Identifier: GPL-2.0

//! Makes entries: in batches, or as drivers do it.

use iostream::{Error, Producer};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::{new_spinlock_irq, SpinLockIrq},
};

use crate::node::{BenchNode, Done};

const WORD_BYTES: usize = 8;
/// The longest entry.
const MAX_ENTRY_BYTES: usize = 65536;
/// Entries that are made between two checks for a signal.
const CHUNK: u64 = 4096;

/// The arguments of `produce` and `enqueue`.
pub(crate) struct Plan {
    count: u64,
    bytes: usize,
    /// Entries for each publication.
    batch: u64,
    spins: u64,
    /// Entries for each check of the room.
    turn: u64,
}

impl Plan {
    pub(crate) fn new(
        node: &BenchNode,
        count: u64,
        bytes: u64,
        batch: u64,
        spins: u64,
    ) -> Result<Self> {
        let bytes = usize::try_from(bytes).map_err(|_| EINVAL)?;
        if bytes == 0 || bytes % WORD_BYTES != 0 || bytes > MAX_ENTRY_BYTES || batch == 0 {
            return Err(EINVAL);
        }
        let holds = *node.output_bytes.lock() / (bytes as u64 + 8);
        Ok(Self {
            count,
            bytes,
            batch,
            spins,
            // Entries made in one turn are still in a cache when they are read.
            turn: (holds / 16).min(CHUNK).max(batch),
        })
    }

    /// Makes entries in the batches of the plan.
    pub(crate) fn produce(&self, producer: &mut Producer) -> Result<Done, Error> {
        // The compiler knows the usual lengths here, as it does in the peer's programs.
        let produce = match (self.bytes, self.batch) {
            (8, 1) => produce::<8, true>,
            (64, 1) => produce::<64, true>,
            (_, 1) => produce::<0, true>,
            (8, _) => produce::<8, false>,
            (64, _) => produce::<64, false>,
            (1024, _) => produce::<1024, false>,
            (4096, _) => produce::<4096, false>,
            _ => produce::<0, false>,
        };
        produce(producer, self)
    }

    /// Makes entries as drivers do it: each in a call of [`Producer::enqueue`], under a spinlock that
    /// is taken for it.
    pub(crate) fn enqueue(&self, node: &BenchNode) -> Result<Done> {
        let enqueue = match self.bytes {
            8 => enqueue::<8>,
            64 => enqueue::<64>,
            _ => return Err(EINVAL),
        };
        let producer = node.producer.lock().take();
        let shared = KBox::pin_init(new_spinlock_irq!(producer), GFP_KERNEL)?;
        let done = enqueue(&shared, self);
        *node.producer.lock() = shared.lock().take();
        done
    }

    /// The number of entries that fit at once, at most `left`, in whole batches if possible. Sleeps
    /// while none fits.
    fn wait_room(&self, producer: &mut Producer, left: u64) -> Result<u64, Error> {
        let most = self.turn.min(left);
        // A quarter is enough to go on. Waiting for all of it would empty the queue.
        let part = most.div_ceil(4);
        loop {
            for _ in 0..=self.spins {
                for want in [most, part] {
                    if producer.can_enqueue(self.bytes, want)? {
                        return Ok(match want.checked_rem(self.batch) {
                            Some(over) if over < want => want - over,
                            _ => want,
                        });
                    }
                }
                core::hint::spin_loop();
            }
            producer.wait_room(self.bytes, None, true)?;
            if !producer.can_enqueue(self.bytes, part)? {
                return Ok(1);
            }
        }
    }
}

/// Makes entries and publishes them as planned; with `EACH`, one by one. `KNOWN` is their length,
/// or 0 if the compiler does not know it.
fn produce<const KNOWN: usize, const EACH: bool>(
    producer: &mut Producer,
    plan: &Plan,
) -> Result<Done, Error> {
    let bytes = if KNOWN == 0 { plan.bytes } else { KNOWN };
    let each_time = if EACH { 1 } else { plan.batch };
    let mut done = Done::default();
    while done.entries < plan.count {
        let mut left = plan.wait_room(producer, plan.count - done.entries)?;
        let (mut number, mut sum) = (done.entries, done.sum);
        producer.batch(|batch| {
            while left > 0 {
                let now = each_time.min(left);
                for _ in 0..now {
                    batch.enqueue_in_place(bytes, |entry| fill(entry, number))?;
                    sum = sum.wrapping_add(number);
                    number = number.wrapping_add(1);
                }
                batch.publish();
                left -= now;
            }
            Ok::<_, Error>(())
        })??;
        (done.entries, done.sum) = (number, sum);
    }
    Ok(done)
}

/// Fills an entry or a buffer in place.
#[inline(always)]
pub(crate) fn fill(entry: &mut [u8], number: u64) {
    let mut value = number;
    for word in entry.chunks_exact_mut(WORD_BYTES) {
        word.copy_from_slice(&value.to_ne_bytes());
        value = value.wrapping_add(1);
    }
}

/// Makes entries, each in a call of its own under the lock.
fn enqueue<const BYTES: usize>(
    shared: &SpinLockIrq<Option<Producer>>,
    plan: &Plan,
) -> Result<Done> {
    let mut done = Done::default();
    let mut entry = [0; BYTES];
    while done.entries < plan.count {
        fill(&mut entry, done.entries);
        let made = Option::as_mut(&mut shared.lock())
            .ok_or(ENXIO)?
            .enqueue(&entry);
        match made {
            Ok(()) => {
                done.sum = done.sum.wrapping_add(done.entries);
                done.entries += 1;
            }
            Err(Error::Full) => {
                // No wait under a spinlock. Nobody else needs the producer meanwhile.
                let mut producer = shared.lock().take().ok_or(ENXIO)?;
                let waited = plan.wait_room(&mut producer, plan.count - done.entries);
                *shared.lock() = Some(producer);
                waited?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// Fills only the first word of each page.
pub(crate) fn fill_pages(buffer: &mut [u8], number: u64) {
    for page in buffer.chunks_exact_mut(PAGE_SIZE) {
        if let Some(word) = page.first_chunk_mut() {
            *word = number.to_ne_bytes();
        }
    }
}
