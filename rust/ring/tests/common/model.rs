// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! A simple model of a ring: a queue of vectors and some sums.

use std::collections::VecDeque;

use iostream_ring::{occupied_bytes, Error};

/// A bounded queue of entries, with what each side has not published yet.
#[derive(Clone, Debug)]
pub struct Model {
    data_bytes: u64,
    max: u32,
    committed: VecDeque<Vec<u8>>,
    published: VecDeque<Vec<u8>>,
    /// Bytes that the consumer released and did not publish.
    released: u64,
    made: u8,
}

impl Model {
    pub fn new(data_bytes: u64, max: u32) -> Self {
        Self {
            data_bytes,
            max,
            committed: VecDeque::new(),
            published: VecDeque::new(),
            released: 0,
            made: 0,
        }
    }

    /// Contents for an entry of `len` bytes that differ from those of its neighbours.
    pub fn bytes(&self, len: u32) -> Vec<u8> {
        (0..len)
            .map(|i| (i as u8).wrapping_mul(7) ^ self.made.wrapping_mul(31) ^ 0xa5)
            .collect()
    }

    pub fn room(&self) -> u64 {
        let entries = self.committed.iter().chain(self.published.iter());
        let used: u64 = entries.map(|e| occupied_bytes(e.len() as u32)).sum();
        self.data_bytes - used - self.released
    }

    pub fn available(&self) -> u64 {
        let entries = self.published.iter();
        entries.map(|e| occupied_bytes(e.len() as u32)).sum()
    }

    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() > self.max as usize {
            return Err(Error::TooLarge { max: self.max });
        }
        if occupied_bytes(bytes.len() as u32) > self.room() {
            return Err(Error::Full);
        }
        self.made = self.made.wrapping_add(1);
        self.committed.push_back(bytes.to_vec());
        Ok(())
    }

    pub fn publish_producer(&mut self) {
        self.published.append(&mut self.committed);
    }

    pub fn pop(&mut self, buffer_len: usize) -> Result<Vec<u8>, Error> {
        let entry = self.published.front().ok_or(Error::Empty)?;
        if entry.len() > buffer_len {
            return Err(Error::TooSmall {
                needed: entry.len() as u32,
            });
        }
        self.released += occupied_bytes(entry.len() as u32);
        Ok(self.published.pop_front().unwrap())
    }

    pub fn publish_consumer(&mut self) {
        self.released = 0;
    }
}
