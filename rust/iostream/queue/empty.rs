// SPDX-License-Identifier: GPL-2.0

//! Empty entries, which read(2) passes over.

use crate::{
    memory::region::Region,
    queue::Queue,
    ring::{self, Header},
};

use super::config::Direction;

/// How many empty entries poll looks past.
const MOST: usize = 256;

impl Queue {
    /// Whether all entries that wait in this output queue are empty. A look changes nothing. If it
    /// cannot tell, because the process takes entries meanwhile or there are very many, it says no.
    ///
    /// If `tells`, an entry before which something was lost is not passed over.
    pub(crate) fn has_only_empty(&self, tells: bool) -> bool {
        if self.direction() != Direction::Output {
            return false;
        }
        let Some((user, kernel)) = self.both_positions() else {
            return false;
        };
        let size = self.geometry().data_bytes();
        let step = ring::occupied_bytes(0);
        let used = kernel.wrapping_sub(user);
        if used == 0 || used > size || used % step != 0 || used / step > MOST as u64 {
            return false;
        }
        let mut pos = user;
        while pos != kernel {
            let header = header_at(self.region(), pos, size);
            if header.len != 0 || (tells && header.lost != 0) {
                return false;
            }
            pos = pos.wrapping_add(step);
        }
        // Otherwise the headers may be those of other entries.
        self.user_pos() == user
    }
}

/// Copies the header at `pos`, which is a multiple of 8, in data of `size` bytes.
fn header_at(region: &Region, pos: u64, size: u64) -> Header {
    let mut word = [0; size_of::<u64>()];
    let offset = pos.checked_rem(size).unwrap_or(0) as usize;
    // SAFETY: The data are mapped twice in a row, so the range is in bounds. The copy allows the
    // producer to write meanwhile.
    unsafe { region.copy_data(offset, word.as_mut_ptr(), word.len()) };
    Header::from_word(u64::from_ne_bytes(word))
}
