// SPDX-License-Identifier: GPL-2.0

//! The mode of a session: which side fills its buffers, and until when that can be changed.

use kernel::prelude::*;

use super::{spec::Mode, Pool, HELD};
use crate::sync::{
    atomic::{Full, Relaxed},
    gate::Patience,
};

/// Set in the mode word once something was mapped or taken: the mode is fixed.
const MODE_FIXED: u32 = 1 << 31;
/// Set in the mode word once the stream is being started: the mode is fixed, unless the driver
/// refuses the start.
const MODE_STARTED: u32 = 1 << 30;
/// The mode is fixed if one of these is set.
const MODE_FLAGS: u32 = MODE_FIXED | MODE_STARTED;

impl Pool {
    /// The stream's mode in this session.
    pub(crate) fn mode(&self) -> Mode {
        self.mode_of(self.mode.load(Relaxed))
    }

    fn mode_of(&self, word: u32) -> Mode {
        Mode::from_arg(word & !MODE_FLAGS).unwrap_or(self.spec.mode)
    }

    /// Fixes the mode for ever and returns it. Called before something is mapped or taken.
    pub(crate) fn fix_mode(&self) -> Mode {
        self.change_mode_flags(|word| word | MODE_FIXED)
    }

    /// Fixes the mode before the stream is started.
    pub(crate) fn fix_mode_for_start(&self) {
        self.change_mode_flags(|word| word | MODE_STARTED);
    }

    /// The first start has failed and no buffer was sent: it does not fix the mode. Under
    /// `Port::changing`, while nobody sends.
    pub(crate) fn forget_start(&self) {
        if !self.was_started() && self.frames.is_first() {
            self.change_mode_flags(|word| word & !MODE_STARTED);
        }
    }

    fn change_mode_flags(&self, change: impl Fn(u32) -> u32) -> Mode {
        let mut word = self.mode.load(Relaxed);
        loop {
            // No ordering: one word holds the mode and what fixes it, so that they agree.
            match self.mode.cmpxchg(word, change(word), Full) {
                Ok(_) => return self.mode_of(word),
                Err(now) => word = now,
            }
        }
    }

    /// Whether the mode can no longer be changed.
    pub(crate) fn is_mode_fixed(&self) -> bool {
        self.mode.load(Relaxed) & MODE_FLAGS != 0
    }

    /// Changes the mode, and hands each buffer to its initial owner for the new mode.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the mode is fixed, or if the driver holds a buffer; `ERESTARTSYS`: a signal came
    /// while buffers are added.
    pub(crate) fn set_mode(&self, mode: Mode, patience: Patience) -> Result {
        let _one = self.joining.enter(patience)?;
        let slots = || self.slots.iter().take(self.count() as usize);
        if slots().any(|slot| slot.owner.load(Relaxed) == HELD) {
            return Err(EBUSY);
        }
        let before = self.mode() as u32;
        // No ordering: it fails once anything has fixed the mode in the same word.
        if self.mode.cmpxchg(before, mode as u32, Full).is_err() {
            return Err(EBUSY);
        }
        for (id, slot) in slots().enumerate() {
            if self.set_first_owner(slot, mode) {
                self.free.push(id as u32, || {});
            }
        }
        if mode == Mode::Input {
            // Those that are in the list are the client's now. Another that the driver drops
            // meanwhile becomes free and joins the list at once: it is found here, or stays free.
            while let Some((slot, ..)) = self.free.pop().and_then(|id| self.joined_slot(id)) {
                self.set_first_owner(slot, mode);
            }
        }
        self.info.set_mode(mode);
        Ok(())
    }
}
