// SPDX-License-Identifier: GPL-2.0

//! read(2) and write(2): one entry by copy, for programs without a library. Those of streams are in
//! `stream/calls.rs`.
//!
//! The kernel acts for the process here, on the process's own page of words, as long as the process
//! has not mapped that page writable.

use kernel::{
    alloc::{
        flags::{GFP_KERNEL_ACCOUNT, __GFP_NOWARN},
        Flags,
    },
    iov::{IovIterDest, IovIterSource},
    prelude::*,
    sync::atomic::Relaxed,
};

use super::{stream_read_write, wait::wait_until};
use crate::{
    error::Error,
    node::session::{Access, Session},
    queue::{config::Direction, Queue},
    ring::{self, occupied_bytes},
};

/// For copies as long as a process says: its cgroup pays, and a failure is its own affair.
fn copy_flags() -> Flags {
    GFP_KERNEL_ACCOUNT | __GFP_NOWARN
}

/// Moves the next entry of the output queue into `iov`, and returns its length.
///
/// # Errors
///
/// `EAGAIN`: none waits, and the call must not; `ENOBUFS`: the buffer is shorter than the entry,
/// which stays; `EBUSY`: the process has mapped its end; `ENODEV`; `EINTR`; `EFAULT`.
pub(crate) fn read(session: &Session, iov: &mut IovIterDest<'_>, access: Access) -> Result<usize> {
    if let Ok(pool) = session.pool() {
        return stream_read_write::read(session, pool, iov, access);
    }
    let queue = session.queue(Direction::Output)?;
    // With a watermark a call that waits does so until the queue is ready; others take what is there.
    let mut look_first = !access.nonblocking && queue.watermark().0 != 0;
    let (len, wake) = loop {
        if look_first {
            wait(queue, access)?;
            look_first = false;
        }
        {
            let _one = session.reading.enter(access.nonblocking)?;
            let _claim = queue.region().claim_for_call()?;
            let taken = if queue.config().is_overwriting() {
                take_overwriting(queue, iov)
            } else {
                take(queue, iov)
            };
            match taken {
                Err(error) if error == ENODATA => {}
                done => break done,
            }
        }
        wait(queue, access)?;
    }?;
    finish(session, queue, wake)?;
    Ok(len)
}

/// Moves all of `iov` into the input queue as one entry.
///
/// # Errors
///
/// `EAGAIN`: no room, and the call must not wait; `EMSGSIZE`: the entry can never fit; `EBUSY`: the
/// process has mapped its end; `ENODEV`; `EINTR`; `EFAULT`; `ENOMEM`.
pub(crate) fn write(
    session: &Session,
    iov: &mut IovIterSource<'_>,
    access: Access,
) -> Result<usize> {
    if let Ok(pool) = session.pool() {
        return stream_read_write::write(session, pool, iov, access);
    }
    let queue = session.live_queue(Direction::Input)?;
    let len = u32::try_from(iov.len()).map_err(|_| EMSGSIZE)?;
    if len > queue.geometry().max_entry_bytes() {
        return Err(EMSGSIZE);
    }
    // Through memory of our own: there must be no slice over what a process can write.
    let mut bytes = KVVec::new();
    if iov.copy_from_iter_vec(&mut bytes, copy_flags())? != len as usize {
        return Err(EFAULT);
    }
    let wake = loop {
        if queue.is_gone() {
            return Err(ENODEV);
        }
        {
            let _one = session.writing.enter(access.nonblocking)?;
            let _claim = queue.region().claim_for_call()?;
            match put(queue, &bytes) {
                Err(error) if error == ENOSPC => {}
                done => {
                    queue.call_room.store(0, Relaxed);
                    break done;
                }
            }
            queue.call_room.store(occupied_bytes(len), Relaxed);
        }
        let port = session.port()?;
        if port.input_watermark().0 != 0 {
            // The driver may not have been told yet of what is in it.
            port.notify_flushed(queue);
        }
        wait(queue, access)?;
    }?;
    finish(session, queue, wake)?;
    Ok(bytes.len())
}

/// After an entry was moved, without locks: tells the driver, and arms, for programs that wait on
/// their eventfd alone and do not ask until the call fails.
fn finish(session: &Session, queue: &Queue, wake: bool) -> Result {
    if wake {
        session.port()?.notify(queue);
    }
    queue.notify.arm();
    Ok(())
}

/// Waits until the process's end may go on.
fn wait(queue: &Queue, access: Access) -> Result {
    wait_until(queue, access, || queue.is_ready().unwrap_or(true))
}

/// Returns the entry's length, and whether the driver waits for the room.
fn take(queue: &Queue, iov: &mut IovIterDest<'_>) -> Result<(usize, bool)> {
    // SAFETY: The claim keeps the process from mapping its page, and the lock other calls away, so
    // this is the only consumer; the region outlives the call.
    let resumed = unsafe { ring::Consumer::resume(queue.region().mapped(), *queue.geometry()) };
    let mut consumer = resumed.map_err(Error::from)?;
    // The call before this one has looked at what it published: nobody sleeps on that.
    let _ = consumer.crossed_armed();
    let entry = consumer.peek().map_err(Error::from)?;
    if entry.len() > iov.len() {
        return Err(ENOBUFS);
    }
    // SAFETY: The process cannot write output data, and the producer does not before the release.
    let bytes = unsafe { queue.region().data(entry.offset(), entry.len()) };
    if iov.copy_to_iter(bytes) != entry.len() {
        return Err(EFAULT);
    }
    consumer.release();
    consumer.publish();
    Ok((entry.len(), consumer.must_wake()))
}

fn take_overwriting(queue: &Queue, iov: &mut IovIterDest<'_>) -> Result<(usize, bool)> {
    let len = iov.len().min(queue.geometry().max_entry_bytes() as usize);
    let mut bytes = KVVec::from_elem(0u8, len, copy_flags())?;
    // SAFETY: As in `take`.
    let mut reader =
        unsafe { ring::OverwriteReader::new(queue.region().mapped(), *queue.geometry()) };
    let read = reader.read(&mut bytes).map_err(Error::from)?;
    if iov.copy_to_iter(&bytes[..read.len]) != read.len {
        return Err(EFAULT);
    }
    // The producer waits for nobody.
    Ok((read.len, false))
}

/// Returns whether the driver waits for the entry.
fn put(queue: &Queue, bytes: &[u8]) -> Result<bool> {
    // SAFETY: As in `take`, for the producer.
    let resumed = unsafe { ring::Producer::resume(queue.region().mapped(), *queue.geometry()) };
    let mut producer = resumed.map_err(Error::from)?;
    // If it is full, the driver was told of what is in it, or is told then.
    producer.push_and_publish(bytes).map_err(Error::from)?;
    Ok(producer.must_wake())
}
