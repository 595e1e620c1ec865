// SPDX-License-Identifier: GPL-2.0

//! read(2) and write(2) of queues: copy one entry, for programs without the library. For streams
//! see `stream_read_write.rs`.
//!
//! The kernel acts as the process's end here, on the process's own page of words. So the calls work
//! only as long as the process has mapped neither that page nor the data writable.

use kernel::{
    iov::{IovIterDest, IovIterSource},
    prelude::*,
    sync::atomic::Relaxed,
};

use super::{
    read_entry::{copy_flags, Reader},
    stream_read_write,
    wait::wait_until,
};
use crate::{
    error::Error,
    node::session::{OpenMode, Session},
    queue::{config::Direction, Queue},
    ring::{self, occupied_bytes},
    sync::race::race_point,
};

/// Moves the next entry of the output queue, or a part of it, into `iov`, and returns the number of
/// bytes. `iostream.h` says how `IOSTREAM_READ_*` change that.
///
/// # Errors
///
/// `EAGAIN`: there is no entry, and the call must not wait; `ENOBUFS`: the buffer is shorter than
/// the entry, which is to be read whole; `EPIPE`: something was lost before the entry, which is to
/// be reported; `EBUSY`: the process has mapped its end; `ENODEV`; `EINTR`; `EFAULT`; `EBADMSG`;
/// `ENOMEM`.
pub(crate) fn read(
    session: &Session,
    iov: &mut IovIterDest<'_>,
    open_mode: OpenMode,
) -> Result<usize> {
    if let Ok(pool) = session.pool() {
        return stream_read_write::read(session, pool, iov, open_mode);
    }
    let queue = session.queue(Direction::Output)?;
    if iov.is_empty() {
        return Ok(0);
    }
    // With a watermark, a call that may wait first waits until the queue is ready. Other calls take
    // what is there.
    let mut look_first = !open_mode.nonblocking && queue.watermark().0 != 0;
    loop {
        if look_first && !queue.has_begun() {
            wait(queue, open_mode)?;
        }
        look_first = false;
        let (read, wake) = {
            let mut part = session.reading.enter(open_mode.patience())?;
            let _claim = queue.region().claim_for_call()?;
            race_point!("read-claimed");
            // SAFETY: The claim and the gate are held.
            let mut reader =
                unsafe { Reader::new(queue, &mut part, session.read_flags.load(Relaxed)) };
            (reader.read(iov), reader.must_notify())
        };
        if wake {
            session.port()?.notify(queue);
        }
        match read {
            Err(error) if error == ENODATA => {}
            read => {
                arm(queue);
                return read;
            }
        }
        wait(queue, open_mode)?;
    }
}

/// How many bytes a read(2) with a buffer that is large enough would return now; 0 if it would
/// wait.
///
/// # Errors
///
/// `EBUSY`: the process has mapped its end; `EAGAIN`: another call reads; `EBADMSG`; `ENOMEM`.
pub(crate) fn readable_bytes(session: &Session) -> Result<usize> {
    if let Ok(pool) = session.pool() {
        return stream_read_write::readable_bytes(session, pool);
    }
    let queue = session.queue(Direction::Output)?;
    let (left, wake) = {
        let mut part = session.reading.try_enter().ok_or(EAGAIN)?;
        let _claim = queue.region().claim_for_call()?;
        // SAFETY: The claim and the gate are held.
        let mut reader = unsafe { Reader::new(queue, &mut part, session.read_flags.load(Relaxed)) };
        (reader.left(), reader.must_notify())
    };
    if wake {
        session.port()?.notify(queue);
    }
    left
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
            let _one = session.writing.enter(open_mode.patience())?;
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
    if wake {
        session.port()?.notify(queue);
    }
    arm(queue);
    Ok(bytes.len())
}

/// Arms at the end of a call. This is for programs that wait on their eventfd after each call,
/// instead of calling until `EAGAIN`.
fn arm(queue: &Queue) {
    queue.notify.arm();
}

/// Waits until the queue is ready for the process.
fn wait(queue: &Queue, open_mode: OpenMode) -> Result {
    wait_until(queue, open_mode, || queue.is_ready().unwrap_or(true))
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
