// SPDX-License-Identifier: MIT OR Apache-2.0

//! A queue's shared memory, as words.

use std::sync::atomic::Ordering::Relaxed;

use iostream_ring::uapi::{iostream_info, iostream_queue, IOSTREAM_QUEUE_SLOTS};
use rustix::io::Result;

use crate::record::record_words;
use crate::{Area, Map, Prot, Session, Word, INPUT};

/// Where a word is in the producer's page.
pub mod producer {
    use iostream_ring::uapi::iostream_producer as Page;
    use std::mem::offset_of;

    /// Up to where entries are published.
    pub const POS: usize = offset_of!(Page, producer_pos);
    /// From where on entries are not overwritten.
    pub const OLDEST: usize = offset_of!(Page, oldest_pos);
    /// The consumer's position at which the producer wants to be woken.
    pub const WAKE: usize = offset_of!(Page, wake_pos);
    /// The room for which the producer waits.
    pub const ROOM: usize = offset_of!(Page, room_bytes);
    /// All that the header names.
    pub const ALL: [usize; 4] = [POS, OLDEST, WAKE, ROOM];
}

/// Where a word is in the consumer's page.
pub mod consumer {
    use iostream_ring::uapi::iostream_consumer as Page;
    use std::mem::offset_of;

    /// Up to where entries are consumed.
    pub const POS: usize = offset_of!(Page, consumer_pos);
    /// The producer's position at which the consumer wants to be woken.
    pub const WAKE: usize = offset_of!(Page, wake_pos);
    /// All that the header names.
    pub const ALL: [usize; 2] = [POS, WAKE];
}

/// Bytes that an entry of `len` bytes occupies, its header included.
pub fn occupied(len: u64) -> u64 {
    (len + 8).next_multiple_of(8)
}

/// Whether a step from `old` to `new` crosses `wake`.
pub fn crossed(wake: u64, old: u64, new: u64) -> bool {
    new.wrapping_sub(wake) < new.wrapping_sub(old)
}

/// One queue, mapped with the rights that the process may have.
pub struct Ring {
    /// The kernel's page.
    pub info: Map,
    /// The producer's words.
    pub producer: Map,
    /// The consumer's words.
    pub consumer: Map,
    /// The data, twice in a row.
    pub data: Map,
    /// Bytes of data.
    pub size: u64,
    /// Bytes of the longest entry.
    pub max: u64,
    /// The length of every entry, in a queue whose entries have no headers.
    pub slot: Option<u32>,
    input: bool,
}

impl Ring {
    /// Maps all areas of a queue.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_QUEUE` and of mmap(2).
    pub fn new(session: &Session, direction: u32) -> Result<Self> {
        let queue: iostream_queue = session.try_queue(direction)?;
        let input = direction == INPUT;
        let map = |area, ours| {
            let prot = if ours { Prot::WRITE } else { Prot::empty() };
            session.try_map(direction, area, Prot::READ | prot)
        };
        Ok(Self {
            info: map(Area::Info, false)?,
            producer: map(Area::Producer, input)?,
            consumer: map(Area::Consumer, !input)?,
            data: map(Area::Data, input)?,
            size: queue.data_bytes,
            max: queue.max_entry_bytes.into(),
            slot: (queue.flags & IOSTREAM_QUEUE_SLOTS != 0).then_some(queue.max_entry_bytes),
            input,
        })
    }

    /// Up to where entries are published.
    pub fn producer_pos(&self) -> &Word {
        self.producer.word(producer::POS)
    }

    /// Up to where entries are consumed.
    pub fn consumer_pos(&self) -> &Word {
        self.consumer.word(consumer::POS)
    }

    /// The producer's position at which the consumer wants to be woken.
    pub fn consumer_wake(&self) -> &Word {
        self.consumer.word(consumer::WAKE)
    }

    /// The consumer's position at which the producer wants to be woken.
    pub fn producer_wake(&self) -> &Word {
        self.producer.word(producer::WAKE)
    }

    /// The word of the data at a position.
    pub fn data_word(&self, pos: u64) -> &Word {
        self.data.word((pos % self.size) as usize)
    }

    /// The page of words that the process writes, and those in it that the header names.
    pub fn own_words(&self) -> (&Map, &'static [usize]) {
        if self.input {
            (&self.producer, &producer::ALL)
        } else {
            (&self.consumer, &consumer::ALL)
        }
    }

    /// All that the process may write.
    pub fn writable(&self) -> Vec<&Map> {
        if self.input {
            vec![&self.producer, &self.data]
        } else {
            vec![&self.consumer]
        }
    }

    /// Writes a record at a position, with its entry's header. `len` is a multiple of 8.
    pub fn put_record(&self, pos: u64, sequence: u64, len: u64) {
        self.data_word(pos).store(len, Relaxed);
        for (at, word) in (pos + 8..).step_by(8).zip(record_words(sequence, len)) {
            self.data_word(at).store(word, Relaxed);
        }
    }

    /// Checks the record at a position, its entry's header included. `len` is a multiple of 8.
    #[track_caller]
    pub fn expect_record(&self, pos: u64, sequence: u64, len: u64) {
        assert_eq!(self.data_word(pos).load(Relaxed), len, "the header");
        for (at, word) in (pos + 8..).step_by(8).zip(record_words(sequence, len)) {
            assert_eq!(self.data_word(at).load(Relaxed), word, "entry {sequence}");
        }
    }
}

impl Map {
    /// A copy of the info page, of a mapping of one.
    pub fn queue_info(&self) -> iostream_info {
        let bytes = self.read(0, size_of::<iostream_info>());
        // SAFETY: `bytes` is as long as the struct, which is plain integers.
        unsafe { bytes.as_ptr().cast::<iostream_info>().read_unaligned() }
    }
}
