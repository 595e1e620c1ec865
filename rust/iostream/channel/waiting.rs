// SPDX-License-Identifier: GPL-2.0

//! What waits in a stream's output queue, as read(2) and write(2) would find it. A look changes
//! nothing, so that poll may look at any time.

use crate::{
    pool::{descriptor::Descriptor, spec::Mode, Pool},
    queue::Queue,
    ring::{self, DESCRIPTOR_BYTES},
};

/// What waits in an output queue.
#[derive(Clone, Copy, Default)]
pub(crate) struct Waiting {
    /// A buffer with data, or before which something was lost that read(2) tells of.
    pub(crate) to_read: bool,
    /// A buffer that write(2) can fill: an empty one before all others.
    pub(crate) to_fill: bool,
}

impl Pool {
    /// What waits in the output queue of the stream. If `tells`, read(2) tells of what was lost.
    ///
    /// # Errors
    ///
    /// [`ring::Error::Corrupt`]: the process's position is invalid.
    pub(crate) fn waiting(&self, output: &Queue, tells: bool) -> Result<Waiting, ring::Error> {
        // If the process takes so fast that it is never the same twice, there is something to do.
        for _ in 0..4 {
            let Some((user, kernel)) = output.both_positions() else {
                continue;
            };
            let waiting = self.waiting_between(output, user, kernel, tells)?;
            if output.user_pos() == user {
                return Ok(waiting);
            }
        }
        Ok(Waiting {
            to_read: true,
            to_fill: true,
        })
    }

    fn waiting_between(
        &self,
        output: &Queue,
        user: u64,
        kernel: u64,
        tells: bool,
    ) -> Result<Waiting, ring::Error> {
        let size = output.geometry().data_bytes();
        if kernel.wrapping_sub(user) > size || user % DESCRIPTOR_BYTES as u64 != 0 {
            return Err(ring::Error::Corrupt);
        }
        let mut waiting = Waiting::default();
        let mut pos = user;
        let mut first = true;
        while pos != kernel {
            let descriptor = Descriptor::from_bytes(output.copy_slot(pos));
            // One that a stop discarded goes back unread.
            let discarded = ring::is_before(pos, self.info().discarded_pos());
            if !discarded {
                if descriptor.is_to_read(tells) && self.mode() != Mode::Input {
                    waiting.to_read = true;
                    break;
                }
                waiting.to_fill |= first;
                first = false;
            }
            pos = pos.wrapping_add(DESCRIPTOR_BYTES as u64);
        }
        Ok(waiting)
    }
}
