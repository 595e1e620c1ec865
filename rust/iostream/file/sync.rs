// SPDX-License-Identifier: GPL-2.0

//! fsync(2): waits until the driver has taken everything that was published.

use kernel::prelude::*;

use super::wait::restarted_without_handler;
use crate::{node::session::Session, queue::config::Direction};

/// Waits until the driver has taken everything that was published in the input queue, or sent to
/// the stream. Returns at once if the session has no input queue.
///
/// # Errors
///
/// `EINTR`; `ENODEV` if the driver is gone and has not taken everything; `EBADMSG` if the process's
/// position is invalid; `EBADFD` if the session is not set up.
pub(super) fn sync(session: &Session) -> Result {
    match session.queue(Direction::Input) {
        Ok(input) => session
            .port()?
            .wait_taken(input, true, None)
            .map_err(restarted_without_handler),
        Err(error) if error == ENXIO => Ok(()),
        Err(error) => Err(error),
    }
}
