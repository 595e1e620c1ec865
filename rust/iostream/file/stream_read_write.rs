// SPDX-License-Identifier: GPL-2.0

//! read(2) and write(2) of streams: copy one buffer, for programs without the library.
//!
//! The kernel acts as the process's ends of both queues here. So the calls work only as long as the
//! process has not mapped what it writes of the queues. The first call of a session starts the
//! stream, so that a plain `cat` works.

use kernel::{
    iov::{IovIterDest, IovIterSource},
    prelude::*,
    sync::atomic::Relaxed,
};

use super::wait::wait_until;
use crate::{
    bindings,
    channel::client_ends::ClientEnds,
    error::Error,
    node::{
        part::Part,
        session::{OpenMode, Session},
    },
    pool::{descriptor::Descriptor, spec::Mode, Pool},
    queue::{config::Direction, Queue},
    ring::uapi,
    sync::{gate::Patience, race::race_point},
};

/// The size of the pieces in which data are copied through private memory, in bytes.
const CHUNK: usize = 4096;

/// Copies data of the next buffer into `iov`, and returns the number of bytes. Returns 0 at the
/// end, after the stream was stopped. If the data do not fit into `iov`, the next call continues
/// with the same buffer.
///
/// # Errors
///
/// `EAGAIN`: no buffer waits, and the call must not wait; `ENXIO`: the stream is in input mode;
/// `ENOBUFS`: `iov` is shorter than the data, which are to be read whole; `EPIPE`: frames were lost
/// before the buffer, which is to be reported; `EBUSY`: the process has mapped its end; `ENODEV`;
/// `EINTR`; `EFAULT`; and the errors of [`Port::start`](crate::port::Port::start).
pub(crate) fn read(
    session: &Session,
    pool: &Pool,
    iov: &mut IovIterDest<'_>,
    open_mode: OpenMode,
) -> Result<usize> {
    let output = session.queue(Direction::Output)?;
    if pool.mode() == Mode::Input {
        return Err(ENXIO);
    }
    if iov.is_empty() {
        return Ok(0);
    }
    start_once(session, pool, open_mode.patience())?;
    // With a watermark, a call that may wait first waits until the queue is ready. Other calls take
    // what is there.
    let mut look_first = !open_mode.nonblocking && output.watermark().0 != 0;
    let ready = || pool.is_ended() || output.is_ready().unwrap_or(true);
    loop {
        if look_first && !output.has_begun() {
            wait_until(output, open_mode, ready)?;
        }
        look_first = false;
        // Read before the look at the queue, so that a buffer sent before the stop is still found.
        let ended = pool.is_ended() && !output.is_gone();
        match with_ends(session, pool, open_mode, |ends, part| {
            take(ends, pool, output, part, session, iov)
        }) {
            Err(error) if error == ENODATA && ended => return Ok(0),
            Err(error) if error == ENODATA => {}
            done => {
                // For programs that wait on their eventfd after each call, instead of calling until
                // `EAGAIN`.
                output.notify.arm();
                if pool.mode() == Mode::InputOutput {
                    // There may now be a buffer for a write(2) that waits.
                    output.notify.user.wake_all();
                }
                return done;
            }
        }
        wait_until(output, open_mode, ready)?;
    }
}

/// Copies `iov` into buffers that are with the client, and sends them to the driver. Waits for the
/// first buffer only, so that a program which reads and writes the same stream does not wait for
/// itself. Returns how many bytes were sent.
///
/// # Errors
///
/// `EAGAIN`: no buffer is with the client, and the call must not wait; `ENXIO`: the stream is in
/// output mode; `ESHUTDOWN`: the stream was stopped; `EBUSY`: the process has mapped its end;
/// `ENODEV`; `EINTR`; `EFAULT`; and the errors of [`Port::start`](crate::port::Port::start).
pub(crate) fn write(
    session: &Session,
    pool: &Pool,
    iov: &mut IovIterSource<'_>,
    open_mode: OpenMode,
) -> Result<usize> {
    let output = session.live_queue(Direction::Output)?;
    if pool.mode() == Mode::Output {
        return Err(ENXIO);
    }
    if iov.is_empty() {
        return Ok(0);
    }
    start_once(session, pool, open_mode.patience())?;
    let mut sent = 0;
    while !iov.is_empty() {
        match write_buffer(session, pool, output, iov, open_mode, sent == 0) {
            Ok(len) => {
                pool.set_written();
                sent += len;
            }
            Err(error) if sent == 0 => return Err(error),
            // The next call meets it again.
            Err(_) => break,
        }
    }
    Ok(sent)
}

/// Copies data of `iov` into one buffer, and sends it. If there is no buffer, waits for one if
/// `waits`.
///
/// # Errors
///
/// Those of [`write`].
fn write_buffer(
    session: &Session,
    pool: &Pool,
    output: &Queue,
    iov: &mut IovIterSource<'_>,
    open_mode: OpenMode,
    waits: bool,
) -> Result<usize> {
    let len = iov.len().min(pool.spec().data_bytes as usize) as u32;
    loop {
        let tells = session.reads(uapi::IOSTREAM_READ_LOSS);
        if output.is_gone() {
            return Err(ENODEV);
        }
        if pool.has_stopped() {
            return Err(ESHUTDOWN);
        }
        let mut behind = None;
        let put = with_ends(session, pool, open_mode, |ends, _| {
            match find(ends, pool, tells)? {
                Found::Buffer(id) => put(ends, pool, id, iov, len).map(Some),
                Found::Nothing(pos) => {
                    behind = pos;
                    Ok(None)
                }
            }
        })?;
        match put {
            Some(len) => return Ok(len),
            None if waits => {}
            None => return Err(EAGAIN),
        }
        wait_until(output, open_mode, || {
            // An empty buffer whose loss need not be told any more may be filled.
            let told = session.reads(uapi::IOSTREAM_READ_LOSS) != tells;
            told || pool.has_stopped() || pool.has_buffer(output, behind)
        })?;
    }
}

/// How many bytes of the next buffer a read(2) would return; 0 if it would wait, at the end, or if it
/// would first tell of the loss before an empty one.
///
/// # Errors
///
/// `ENXIO`: the stream is in input mode; `EBUSY`: the process has mapped its end; `EAGAIN`: another
/// call reads or writes; `EBADMSG`.
pub(super) fn readable_bytes(session: &Session, pool: &Pool) -> Result<usize> {
    if pool.mode() == Mode::Input {
        return Err(ENXIO);
    }
    let must_not_wait = OpenMode {
        read_write: true,
        nonblocking: true,
    };
    let tells = session.reads(uapi::IOSTREAM_READ_LOSS);
    let left = with_ends(session, pool, must_not_wait, |ends, part| {
        let (descriptor, pos) = look(ends, pool, tells)?;
        Ok(descriptor.data_len as usize - part.done_at(pos))
    });
    match left {
        Err(error) if error == ENODATA => Ok(0),
        left => left,
    }
}

/// Starts the stream, unless it was already started in this session. Returns whether this call did.
///
/// # Errors
///
/// Those of [`Port::start`](crate::port::Port::start); `EAGAIN` also if the call must not wait, and
/// the stream is just being changed by another one.
pub(super) fn start_once(session: &Session, pool: &Pool, patience: Patience) -> Result<bool> {
    if pool.was_started() {
        return Ok(false);
    }
    match session.port()?.start(patience) {
        Ok(()) => Ok(true),
        Err(error) if error == EALREADY => Ok(false),
        Err(error) => Err(error),
    }
}

/// Runs `f` with the process's ends, one call at a time. Then notifies the driver if it waits for
/// what `f` sent or released.
fn with_ends<R>(
    session: &Session,
    pool: &Pool,
    open_mode: OpenMode,
    f: impl FnOnce(&mut ClientEnds<'_>, &mut Part) -> Result<R>,
) -> Result<R> {
    let output = session.queue(Direction::Output)?;
    let input = session.queue(Direction::Input)?;
    let (done, notify) = {
        let mut part = session.reading.enter(open_mode.patience())?;
        let _claims = (
            output.region().claim_for_call()?,
            input.region().claim_for_call()?,
        );
        // SAFETY: The claims keep the process from mapping its ends, and the lock excludes other
        // calls.
        let mut ends = unsafe { ClientEnds::resume(output, input, pool) }?;
        let done = f(&mut ends, &mut part);
        (done, ends.must_notify())
    };
    if notify {
        session.port()?.notify(input);
    }
    done
}

/// Copies data of the next buffer that has data, and returns the number of bytes.
fn take(
    ends: &mut ClientEnds<'_>,
    pool: &Pool,
    output: &Queue,
    part: &mut Part,
    session: &Session,
    iov: &mut IovIterDest<'_>,
) -> Result<usize> {
    let tells = session.reads(uapi::IOSTREAM_READ_LOSS);
    let (descriptor, pos) = next(ends, pool, part, tells)?;
    let done = part.done_at(pos);
    let rest = (descriptor.data_len as usize).saturating_sub(done);
    let len = rest.min(iov.len());
    if len < rest && session.reads(uapi::IOSTREAM_READ_WHOLE) {
        return Err(ENOBUFS);
    }
    let offset = descriptor.data_offset as usize + done;
    copy_to_process(pool, descriptor.buffer, offset, len, iov)?;
    output.call_began.store((len < rest).into(), Relaxed);
    if len < rest {
        part.stop_at(pos, done + len);
    } else {
        part.finish();
        put_away(ends, pool, descriptor.buffer)?;
    }
    Ok(len)
}

/// Finds the next buffer that has data, and the position of its descriptor. If `tells`, fails once
/// for each buffer before which frames were lost, also for an empty one.
///
/// # Errors
///
/// `ENODATA`; `EPIPE`; `EBADMSG`.
fn next(
    ends: &mut ClientEnds<'_>,
    pool: &Pool,
    part: &mut Part,
    tells: bool,
) -> Result<(Descriptor, u64)> {
    loop {
        let (descriptor, pos) = look(ends, pool, tells)?;
        let told = tells && descriptor.lost != 0 && part.must_tell(pos);
        if descriptor.data_len == 0 {
            put_away(ends, pool, descriptor.buffer)?;
        }
        if told {
            return Err(EPIPE);
        }
        if descriptor.data_len != 0 {
            return Ok((descriptor, pos));
        }
    }
}

/// Finds the next buffer that has data or, if `tells`, before which frames were lost. It stays in
/// the queue.
///
/// # Errors
///
/// `ENODATA`; `EBADMSG`.
fn look(ends: &mut ClientEnds<'_>, pool: &Pool, tells: bool) -> Result<(Descriptor, u64)> {
    // After all buffers once the caller looks again, where a signal can end it: the driver may send
    // empty ones as fast as they come back.
    for _ in 0..pool.count() {
        let (descriptor, pos) = ends.peek()?;
        if descriptor.is_to_read(tells) {
            return Ok((descriptor, pos));
        }
        // An empty buffer is not the end of the file.
        put_away(ends, pool, descriptor.buffer)?;
        race_point!("passed-over");
    }
    Err(ENODATA)
}

/// Takes the next descriptor out of the queue. Its buffer goes back to the driver, or is for
/// write(2) to fill.
fn put_away(ends: &mut ClientEnds<'_>, pool: &Pool, buffer: u32) -> Result {
    ends.release();
    match pool.mode() {
        Mode::Output => ends.give_back(buffer)?,
        _ => pool.spare.put(buffer),
    }
    Ok(())
}

/// The result of looking for a buffer that write(2) can fill.
enum Found {
    /// The buffer of this number.
    Buffer(u32),
    /// No buffer. If one waits that has to be read first, the position of its descriptor.
    Nothing(Option<u64>),
}

/// Looks for a buffer that write(2) can fill. If `tells`, read(2) first tells of what was lost
/// before it.
fn find(ends: &mut ClientEnds<'_>, pool: &Pool, tells: bool) -> Result<Found> {
    if let Some(id) = pool.spare.take(pool) {
        return Ok(Found::Buffer(id));
    }
    match ends.peek() {
        Ok((descriptor, pos)) => {
            if pool.mode() == Mode::InputOutput && descriptor.is_to_read(tells) {
                return Ok(Found::Nothing(Some(pos)));
            }
            ends.release();
            Ok(Found::Buffer(descriptor.buffer))
        }
        Err(Error::Empty) => Ok(Found::Nothing(None)),
        Err(error) => Err(error.into()),
    }
}

/// Fills buffer `id` and sends it to the driver. After an error the buffer is spare.
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

/// Copies `len` bytes of a buffer's data, from `offset` on. The range is inside the data area.
fn copy_to_process(
    pool: &Pool,
    id: u32,
    offset: usize,
    len: usize,
    iov: &mut IovIterDest<'_>,
) -> Result {
    let data = pool.memory(id).ok_or(EBADMSG)?.data();
    if pool.mode() == Mode::Output {
        // SAFETY: The range is inside the data area. In output mode the process cannot write the
        // data, and the driver does not, because the buffer is with the client. Only this call can
        // give it back: its claims keep the process from writing descriptors.
        let bytes = unsafe { core::slice::from_raw_parts(data.as_ptr().add(offset), len) };
        return match iov.copy_to_iter(bytes) {
            copied if copied == len => Ok(()),
            _ => Err(EFAULT),
        };
    }
    // Copied through private memory, because no slice may cover memory that a process can write.
    let mut chunk = KVec::from_elem(0u8, len.min(CHUNK), GFP_KERNEL_ACCOUNT)?;
    let mut done = 0;
    while done < len {
        let piece = chunk.len().min(len - done);
        // SAFETY: Both ranges are in bounds. `iostream_copy` allows the process to write meanwhile.
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

/// Copies `len` bytes to the start of a buffer's data. The data area is at least as long.
fn copy_from_process(pool: &Pool, id: u32, len: usize, iov: &mut IovIterSource<'_>) -> Result {
    let data = pool.memory(id).ok_or(EBADMSG)?.data();
    let mut chunk = KVec::from_elem(0u8, len.min(CHUNK), GFP_KERNEL_ACCOUNT)?;
    let mut done = 0;
    while done < len {
        let piece = chunk.len().min(len - done);
        if iov.copy_from_iter(&mut chunk[..piece]) != piece {
            return Err(EFAULT);
        }
        // SAFETY: Both ranges are in bounds. `iostream_copy` allows the process to access the
        // buffer meanwhile.
        unsafe {
            let to = data.as_ptr().add(done);
            bindings::iostream_copy(to.cast(), chunk.as_ptr().cast(), piece);
        }
        done += piece;
    }
    Ok(())
}
