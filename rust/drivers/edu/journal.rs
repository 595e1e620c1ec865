// SPDX-License-Identifier: GPL-2.0

//! The transfers of the card, for debugfs.
//!
//! ```text
//! counters     lines of key=value
//! transfers    the last transfers, oldest first: way, buffer, offset in its data, address, bytes
//! ```

use kernel::{
    fmt,
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

use crate::card::{Transfer, Way};

/// Transfers that the journal keeps: as many as 16 buffers of 64 KiB need both ways.
const REMEMBERED: usize = 512;

/// Sums since the card was probed.
pub(crate) struct Counters {
    pub(crate) interrupts: Atomic<u64>,
    pub(crate) to_card: Sum,
    pub(crate) from_card: Sum,
    pub(crate) buffers: Atomic<u64>,
}

/// Completed transfers in one direction.
pub(crate) struct Sum {
    transfers: Atomic<u64>,
    bytes: Atomic<u64>,
}

impl Sum {
    const fn new() -> Self {
        Self {
            transfers: Atomic::new(0),
            bytes: Atomic::new(0),
        }
    }
}

impl Counters {
    pub(crate) const fn new() -> Self {
        Self {
            interrupts: Atomic::new(0),
            to_card: Sum::new(),
            from_card: Sum::new(),
            buffers: Atomic::new(0),
        }
    }

    /// Counts a completed transfer.
    pub(crate) fn count(&self, transfer: Transfer) {
        let sum = match transfer.way {
            Way::ToCard => &self.to_card,
            Way::FromCard => &self.from_card,
        };
        sum.transfers.add(1, Relaxed);
        sum.bytes.add(transfer.len as u64, Relaxed);
    }

    /// Prints the counters for debugfs.
    pub(crate) fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("interrupts", &self.interrupts),
            ("transfers_to_card", &self.to_card.transfers),
            ("bytes_to_card", &self.to_card.bytes),
            ("transfers_from_card", &self.from_card.transfers),
            ("bytes_from_card", &self.from_card.bytes),
            ("buffers", &self.buffers),
        ];
        for (key, value) in lines {
            writeln!(out, "{key}={}", value.load(Relaxed))?;
        }
        Ok(())
    }
}

/// A transfer that was started, with the buffer that it reads or writes.
#[derive(Clone, Copy)]
struct Told {
    transfer: Transfer,
    buffer: u32,
    offset: usize,
}

/// The last transfers.
pub(crate) struct Journal {
    told: KVVec<Told>,
    /// The number of transfers in all.
    count: usize,
}

impl Journal {
    /// An empty journal.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            told: KVVec::with_capacity(REMEMBERED, GFP_KERNEL)?,
            count: 0,
        })
    }

    /// Records the start of a transfer at `offset` of the data of `buffer`.
    pub(crate) fn record(&mut self, transfer: Transfer, buffer: u32, offset: usize) {
        let told = Told {
            transfer,
            buffer,
            offset,
        };
        let at = self.count % REMEMBERED;
        match self.told.get_mut(at) {
            Some(place) => *place = told,
            // The journal is not full yet, so there is room.
            None => drop(self.told.push_within_capacity(told)),
        }
        self.count = self.count.wrapping_add(1);
    }

    /// Prints the transfers for debugfs.
    pub(crate) fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let oldest = if self.told.len() < REMEMBERED {
            0
        } else {
            self.count % REMEMBERED
        };
        let (newer, older) = self.told.split_at(oldest);
        for told in Iterator::chain(older.iter(), newer) {
            let way = match told.transfer.way {
                Way::ToCard => "to-card",
                Way::FromCard => "from-card",
            };
            writeln!(
                out,
                "{way} {} {} {:#x} {}",
                told.buffer, told.offset, told.transfer.address, told.transfer.len,
            )?;
        }
        Ok(())
    }
}
