// SPDX-License-Identifier: GPL-2.0

//! read(2) and write(2) of streams: one buffer by copy, for programs without a library.
//!
//! The kernel plays the process's part here, as long as the process has not mapped its own pages of
//! the queues. The first such call of a session starts the stream, so that `cat` needs no more.

use kernel::{
    iov::{IovIterDest, IovIterSource},
    prelude::*,
};

use super::wait::wait_until;
use crate::{
    bindings,
    channel::client_ends::ClientEnds,
    error::Error,
    node::session::{Access, Part, Session},
    pool::{descriptor::Descriptor, spec::Mode, Pool},
    queue::config::Direction,
};

/// Bytes that go through memory of our own at a time.
const CHUNK: usize = 4096;

/// Moves data of the next buffer into `iov`, and returns how many bytes; 0 at the end: the stream
/// was stopped. A buffer with more than fits is gone on with in the next call.
///
/// # Errors
///
/// `EAGAIN`: none waits, and the call must not; `ENXIO`: input mode; `EBUSY`: the process has mapped
/// its end; `ENODEV`; `EINTR`; `EFAULT`; those of start.
pub(crate) fn read(
    session: &Session,
    pool: &Pool,
    iov: &mut IovIterDest<'_>,
    access: Access,
) -> Result<usize> {
    let output = session.queue(Direction::Output)?;
    if pool.mode() == Mode::Input {
        return Err(ENXIO);
    }
    if iov.is_empty() {
        return Ok(0);
    }
    start_once(session, pool)?;
    // With a watermark a call that waits does so until the queue is ready; others take what is there.
    let mut look_first = !access.nonblocking && output.watermark().0 != 0;
    let ready = || pool.is_ended() || output.is_ready().unwrap_or(true);
    loop {
        if look_first && session.reading.enter(false)?.done == 0 {
            wait_until(output, access, ready)?;
        }
        look_first = false;
        // Before the look: what was sent before the stop is found.
        let ended = pool.is_ended() && !output.is_gone();
        match with_ends(session, pool, access, |ends, part| {
            take(ends, pool, part, iov)
        }) {
            Err(error) if error == ENODATA && ended => return Ok(0),
            Err(error) if error == ENODATA => {}
            done => {
                // For programs that wait on their eventfd alone and do not ask until it fails.
                output.notify.arm();
                if pool.mode() == Mode::InputOutput {
                    // There may be a buffer for write(2) now.
                    output.notify.user.wake_all();
                }
                return done;
            }
        }
        wait_until(output, access, ready)?;
    }
}

/// Moves all of `iov` into a buffer of the process's and sends it.
///
/// # Errors
///
/// `EAGAIN`: the driver has all buffers, and the call must not wait; `ENXIO`: output mode;
/// `EMSGSIZE`: more than a buffer holds; `ESHUTDOWN`: the stream was stopped; `EBUSY`: the process has
/// mapped its end; `ENODEV`; `EINTR`; `EFAULT`; those of start.
pub(crate) fn write(
    session: &Session,
    pool: &Pool,
    iov: &mut IovIterSource<'_>,
    access: Access,
) -> Result<usize> {
    let output = session.live_queue(Direction::Output)?;
    if pool.mode() == Mode::Output {
        return Err(ENXIO);
    }
    let len = u32::try_from(iov.len()).map_err(|_| EMSGSIZE)?;
    if len > pool.spec().data_bytes {
        return Err(EMSGSIZE);
    }
    if len == 0 {
        return Ok(0);
    }
    start_once(session, pool)?;
    loop {
        if output.is_gone() {
            return Err(ENODEV);
        }
        if pool.is_ended() {
            return Err(ESHUTDOWN);
        }
        let mut behind = None;
        let put = with_ends(session, pool, access, |ends, _| match find(ends, pool)? {
            Found::Buffer(id) => put(ends, pool, id, iov, len),
            Found::Nothing(pos) => {
                behind = pos;
                Err(EAGAIN)
            }
        });
        match put {
            Err(error) if error == EAGAIN => {}
            done => return done,
        }
        wait_until(output, access, || {
            pool.is_ended() || pool.has_buffer(output, behind)
        })?;
    }
}

/// Starts the stream unless it ran in this session.
fn start_once(session: &Session, pool: &Pool) -> Result {
    if pool.was_started() {
        return Ok(());
    }
    match session.port()?.start() {
        Err(error) if error == EALREADY => Ok(()),
        done => done,
    }
}

/// Runs `f` with the process's ends, one call at a time, and then tells the driver of what was sent.
fn with_ends<R>(
    session: &Session,
    pool: &Pool,
    access: Access,
    f: impl FnOnce(&mut ClientEnds<'_>, &mut Part) -> Result<R>,
) -> Result<R> {
    let output = session.queue(Direction::Output)?;
    let input = session.queue(Direction::Input)?;
    let (done, notify) = {
        let mut part = session.reading.enter(access.nonblocking)?;
        let _claims = (
            output.region().claim_for_call()?,
            input.region().claim_for_call()?,
        );
        // SAFETY: Both are claimed, and the lock keeps other calls away.
        let mut ends = unsafe { ClientEnds::resume(output, input, pool) }?;
        let done = f(&mut ends, &mut part);
        (done, ends.must_notify())
    };
    if notify {
        session.port()?.notify(input);
    }
    done
}

fn take(
    ends: &mut ClientEnds<'_>,
    pool: &Pool,
    part: &mut Part,
    iov: &mut IovIterDest<'_>,
) -> Result<usize> {
    let mode = pool.mode();
    loop {
        let (descriptor, pos) = ends.peek()?;
        if descriptor.data_len == 0 {
            // Nothing to read, and not the end of the file: back to the driver, or for write(2) to
            // fill.
            ends.release();
            match mode {
                Mode::Output => ends.give_back(descriptor.buffer)?,
                _ => pool.spare.put(descriptor.buffer),
            }
            continue;
        }
        let done = if part.pos == pos { part.done } else { 0 };
        let rest = descriptor.data_len.saturating_sub(done) as usize;
        let len = rest.min(iov.len());
        let offset = (descriptor.data_offset + done) as usize;
        copy_to_process(pool, descriptor.buffer, offset, len, iov)?;
        if len < rest {
            *part = Part {
                pos,
                done: done + len as u32,
            };
            return Ok(len);
        }
        *part = Part::default();
        ends.release();
        match mode {
            Mode::Output => ends.give_back(descriptor.buffer)?,
            // What was emptied is for write(2) to fill.
            _ => pool.spare.put(descriptor.buffer),
        }
        return Ok(len);
    }
}

/// What there is for write(2) to fill.
enum Found {
    Buffer(u32),
    /// Nothing; with the position of a buffer that has to be read first, if there is one.
    Nothing(Option<u64>),
}

fn find(ends: &mut ClientEnds<'_>, pool: &Pool) -> Result<Found> {
    if let Some(id) = pool.spare.take(pool) {
        return Ok(Found::Buffer(id));
    }
    match ends.peek() {
        Ok((descriptor, pos)) => {
            if pool.mode() == Mode::InputOutput && descriptor.data_len != 0 {
                return Ok(Found::Nothing(Some(pos)));
            }
            ends.release();
            Ok(Found::Buffer(descriptor.buffer))
        }
        Err(Error::Empty) => Ok(Found::Nothing(None)),
        Err(error) => Err(error.into()),
    }
}

fn put(
    ends: &mut ClientEnds<'_>,
    pool: &Pool,
    id: u32,
    iov: &mut IovIterSource<'_>,
    len: u32,
) -> Result<usize> {
    let sent = copy_from_process(pool, id, len as usize, iov).and_then(|()| {
        Ok(ends.send(&Descriptor {
            buffer: id,
            data_len: len,
            ..Default::default()
        })?)
    });
    if let Err(error) = sent {
        pool.spare.put(id);
        return Err(error);
    }
    Ok(len as usize)
}

/// Copies from a buffer's data, in bounds.
fn copy_to_process(
    pool: &Pool,
    id: u32,
    offset: usize,
    len: usize,
    iov: &mut IovIterDest<'_>,
) -> Result {
    let data = pool.memory(id).ok_or(EBADMSG)?.data();
    if pool.mode() == Mode::Output {
        // SAFETY: The caller checked the bounds. The process cannot write there, and the driver does
        // not: the buffer is the process's until it is given back.
        let bytes = unsafe { core::slice::from_raw_parts(data.as_ptr().add(offset), len) };
        return match iov.copy_to_iter(bytes) {
            copied if copied == len => Ok(()),
            _ => Err(EFAULT),
        };
    }
    // Through memory of our own: there must be no slice over what a process can write.
    let mut chunk = KVec::from_elem(0u8, len.min(CHUNK), GFP_KERNEL)?;
    let mut done = 0;
    while done < len {
        let piece = chunk.len().min(len - done);
        // SAFETY: The caller checked the bounds; the process may write there meanwhile.
        unsafe {
            let from = data.as_ptr().add(offset + done);
            bindings::iostream_copy(chunk.as_mut_ptr().cast(), from.cast(), piece);
        }
        if iov.copy_to_iter(&chunk[..piece]) != piece {
            return Err(EFAULT);
        }
        done += piece;
    }
    Ok(())
}

/// Copies to the start of a buffer's data, in bounds.
fn copy_from_process(pool: &Pool, id: u32, len: usize, iov: &mut IovIterSource<'_>) -> Result {
    let data = pool.memory(id).ok_or(EBADMSG)?.data();
    let mut chunk = KVec::from_elem(0u8, len.min(CHUNK), GFP_KERNEL)?;
    let mut done = 0;
    while done < len {
        let piece = chunk.len().min(len - done);
        if iov.copy_from_iter(&mut chunk[..piece]) != piece {
            return Err(EFAULT);
        }
        // SAFETY: As in `copy_to_process`.
        unsafe {
            let to = data.as_ptr().add(done);
            bindings::iostream_copy(to.cast(), chunk.as_ptr().cast(), piece);
        }
        done += piece;
    }
    Ok(())
}
