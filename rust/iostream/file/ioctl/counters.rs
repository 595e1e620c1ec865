// SPDX-License-Identifier: GPL-2.0

//! `IOSTREAM_IOC_COUNTERS`: copies the counters of a queue, a stream or an endpoint.

use kernel::{
    prelude::*,
    uaccess::{UserPtr, UserSlice},
};

use crate::{
    node::session::Session,
    queue::config::Direction,
    ring::uapi::{self, iostream_counters},
};

/// Copies the counters that `request` names to the buffer that it names, and says in it how many
/// bytes they have.
///
/// # Errors
///
/// Those that `iostream.h` lists for `IOSTREAM_IOC_COUNTERS`.
pub(super) fn copy(session: &Session, request: &mut iostream_counters) -> Result {
    let bytes = request.buffer_bytes;
    if bytes % 8 != 0 || (bytes == 0 && request.buffer != 0) {
        return Err(EINVAL);
    }
    if bytes > uapi::IOSTREAM_COUNTERS_MAX_BYTES {
        return Err(E2BIG);
    }
    request.counter_bytes = match request.which {
        uapi::IOSTREAM_COUNTERS_OUTPUT => copy_queue(session, Direction::Output, request),
        uapi::IOSTREAM_COUNTERS_INPUT => copy_queue(session, Direction::Input, request),
        uapi::IOSTREAM_COUNTERS_STREAM => {
            let counters = session.live_pool()?.counters();
            fill(request, counters.map(|(_, value)| value))
        }
        uapi::IOSTREAM_COUNTERS_ENDPOINT => fill(request, session.endpoint()?.counters()),
        _ => Err(EINVAL),
    }?;
    Ok(())
}

fn copy_queue(session: &Session, direction: Direction, request: &iostream_counters) -> Result<u32> {
    let counters = session.live_queue(direction)?.counters();
    fill(request, counters.map(|(_, value)| value))
}

/// Fills the buffer with `values`, as many as fit, and then with zeros. Returns how many bytes all
/// values have.
fn fill(request: &iostream_counters, values: impl IntoIterator<Item = u64>) -> Result<u32> {
    let address = usize::try_from(request.buffer).map_err(|_| EFAULT)?;
    let room = request.buffer_bytes / 8;
    let mut writer = UserSlice::new(UserPtr::from_addr(address), room as usize * 8).writer();
    let mut count = 0;
    for value in values {
        if count < room {
            writer.write(&value)?;
        }
        count += 1;
    }
    for _ in count..room {
        writer.write(&0u64)?;
    }
    Ok(count * 8)
}
