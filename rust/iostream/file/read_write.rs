// SPDX-License-Identifier: GPL-2.0

//! read(2) and write(2) of queues: copy one entry, for programs without the library. For streams
//! see `stream_read_write.rs`.
//!
//! The kernel acts as the process's end here, on the process's own page of words. So the calls work
//! only as long as the process has mapped neither that page nor the data writable.

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
    node::session::{OpenMode, Session},
    queue::{config::Direction, Queue},
    ring::{self, occupied_bytes},
    sync::race::race_point,
};

/// Flags for a copy whose length the process chooses: its cgroup is charged, and a failure is not
/// worth a warning.
fn copy_flags() -> Flags {
    GFP_KERNEL_ACCOUNT | __GFP_NOWARN
}

/// Moves the next entry of the output queue into `iov`, and returns its length.
///
/// # Errors
///
/// `EAGAIN`: there is no entry, and the call must not wait; `ENOBUFS`: the buffer is shorter than
/// the entry, which stays; `EBUSY`: the process has mapped its end; `ENODEV`; `EINTR`; `EFAULT`.
pub(crate) fn read(
    session: &Session,
    iov: &mut IovIterDest<'_>,
    open_mode: OpenMode,
) -> Result<usize> {
    if let Ok(pool) = session.pool() {
        return stream_read_write::read(session, pool, iov, open_mode);
    }
    let queue = session.queue(Direction::Output)?;
    // With a watermark, a call that may wait first waits until the queue is ready. Other calls take
    // what is there.
    let mut look_first = !open_mode.nonblocking && queue.watermark().0 != 0;
    let (len, wake) = loop {
        if look_first {
            wait(queue, open_mode)?;
            look_first = false;
        }
        {
            let _one = session.reading.enter(open_mode.nonblocking)?;
            let _claim = queue.region().claim_for_call()?;
            race_point!("read-claimed");
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
        wait(queue, open_mode)?;
    }?;
    finish(session, queue, wake)?;
    Ok(len)
}

/// Moves all of `iov` into the input queue as one entry.
///
/// # Errors
///
/// `EAGAIN`: there is no room, and the call must not wait; `EMSGSIZE`: the entry does not fit even
/// into an empty queue; `EBUSY`: the process has mapped its end; `ENODEV`; `EINTR`; `EFAULT`;
/// `ENOMEM`.
pub(crate) fn write(
    session: &Session,
    iov: &mut IovIterSource<'_>,
    open_mode: OpenMode,
) -> Result<usize> {
    if let Ok(pool) = session.pool() {
        return stream_read_write::write(session, pool, iov, open_mode);
    }
    let queue = session.live_queue(Direction::Input)?;
    let len = u32::try_from(iov.len()).map_err(|_| EMSGSIZE)?;
    if len > queue.geometry().max_entry_bytes() {
        return Err(EMSGSIZE);
    }
    // Copied through private memory, because no slice may cover memory that a process can write.
    let mut bytes = KVVec::new();
    if iov.copy_from_iter_vec(&mut bytes, copy_flags())? != len as usize {
        return Err(EFAULT);
    }
    let wake = loop {
        if queue.is_gone() {
            return Err(ENODEV);
        }
        {
            let _one = session.writing.enter(open_mode.nonblocking)?;
            let _claim = queue.region().claim_for_call()?;
            race_point!("write-claimed");
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
            // What fills the queue may lie below the watermark, so that the driver was not told
            // yet.
            port.notify_flushed(queue);
        }
        wait(queue, open_mode)?;
    }?;
    finish(session, queue, wake)?;
    Ok(bytes.len())
}

/// Finishes a call that has moved an entry, without locks held: notifies the driver if `wake`, and
/// arms. The arming is for programs that wait on their eventfd after each call, instead of calling
/// until `EAGAIN`.
fn finish(session: &Session, queue: &Queue, wake: bool) -> Result {
    if wake {
        session.port()?.notify(queue);
    }
    queue.notify.arm();
    Ok(())
}

/// Waits until the queue is ready for the process.
fn wait(queue: &Queue, open_mode: OpenMode) -> Result {
    wait_until(queue, open_mode, || queue.is_ready().unwrap_or(true))
}

/// Consumes the next entry. Returns its length, and whether the driver waits for the room.
fn take(queue: &Queue, iov: &mut IovIterDest<'_>) -> Result<(usize, bool)> {
    // SAFETY: The caller holds the claim, which keeps the process from mapping its page, and the
    // lock, which excludes other calls. So this is the only consumer. The region outlives the call.
    let resumed = unsafe { ring::Consumer::resume(queue.region().mapped(), *queue.geometry()) };
    let mut consumer = resumed.map_err(Error::from)?;
    // The previous call has already notified the driver of what it published.
    let _ = consumer.crossed_armed();
    let entry = consumer.peek().map_err(Error::from)?;
    if entry.len() > iov.len() {
        return Err(ENOBUFS);
    }
    // SAFETY: This is an output queue, so the process cannot write the data. The producer does not
    // write them before the release. `peek` checked offset and length.
    let bytes = unsafe { queue.region().data(entry.offset(), entry.len()) };
    if iov.copy_to_iter(bytes) != entry.len() {
        return Err(EFAULT);
    }
    consumer.release();
    consumer.publish();
    Ok((entry.len(), consumer.must_wake()))
}

/// Consumes the next entry of an overwriting queue, and returns what [`take`] returns.
fn take_overwriting(queue: &Queue, iov: &mut IovIterDest<'_>) -> Result<(usize, bool)> {
    let len = iov.len().min(queue.geometry().max_entry_bytes() as usize);
    let mut bytes = KVVec::from_elem(0u8, len, copy_flags())?;
    // SAFETY: The caller holds the claim, which keeps the process from mapping its page, and the
    // lock, which excludes other calls. So this is the only consumer. The region outlives the call.
    let mut reader =
        unsafe { ring::OverwriteReader::new(queue.region().mapped(), *queue.geometry()) };
    let read = reader.read(&mut bytes).map_err(Error::from)?;
    if iov.copy_to_iter(&bytes[..read.len]) != read.len {
        return Err(EFAULT);
    }
    // The producer of an overwriting queue never waits for room.
    Ok((read.len, false))
}

/// Appends an entry, and returns whether the driver waits for it.
fn put(queue: &Queue, bytes: &[u8]) -> Result<bool> {
    // SAFETY: The caller holds the claim, which keeps the process from mapping its page, and the
    // lock, which excludes other calls. So this is the only producer. The region outlives the call.
    let resumed = unsafe { ring::Producer::resume(queue.region().mapped(), *queue.geometry()) };
    let mut producer = resumed.map_err(Error::from)?;
    // If the queue is full, the driver was notified of what is in it, or the caller does so.
    producer.push_and_publish(bytes).map_err(Error::from)?;
    Ok(producer.must_wake())
}
