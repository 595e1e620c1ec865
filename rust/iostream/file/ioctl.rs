// SPDX-License-Identifier: GPL-2.0

//! The ioctls. `iostream.h` says what each ioctl does.

mod argument;
mod counters;

use kernel::{bindings as c, page::PAGE_SIZE, prelude::*, sync::atomic::Relaxed};

use super::{mmap, read_write, wait::restarted_without_handler};
use crate::{
    memory::{limits, region::Area},
    node::session::Session,
    pool::{spec::Mode, state::Stop, Pool},
    port::{Port, PortRef},
    queue::config::Direction,
    ring::uapi,
    sync::gate::Patience,
};

use argument::{inputs, none, read, word, write};

/// The usual call for the number of bytes that can be read without waiting (ioctl_tty(2)). The
/// argument is the address of an `int`.
const FIONREAD: u32 = 0x541b;

const _: () = {
    assert!(size_of::<uapi::iostream_version>() == 4 + 4 + 3 * 8 + 32);
    assert!(size_of::<uapi::iostream_setup>() == 2 * 4 + 2 * 8 + 2 * 4 + 3 * 8);
    assert!(size_of::<uapi::iostream_counters>() == 2 * 4 + 8 + 2 * 4);
    assert!(size_of::<uapi::iostream_queue>() == 2 * 4 + 8 + 2 * 4 + 6 * 8);
    assert!(size_of::<uapi::iostream_eventfd>() == 2 * 4);
    assert!(size_of::<uapi::iostream_watermark>() == 2 * 4 + 2 * 8);
    assert!(size_of::<uapi::iostream_run>() == 3 * 8 + 2 * 4);
    assert!(size_of::<uapi::iostream_info>() == 128 + 9 * 8);
    assert!(size_of::<uapi::iostream_descriptor>() == 6 * 4 + 3 * 8 + 4 * 4);
    assert!(size_of::<uapi::iostream_stream>() == 8 * 4 + 5 * 8 + 64);
    assert!(size_of::<uapi::iostream_stop>() == 2 * 4 + 3 * 8);
};

/// Runs an ioctl of a session.
///
/// # Errors
///
/// `ENOTTY`: there is no such ioctl; `EFAULT`; and those that `iostream.h` lists for each ioctl.
pub(crate) fn ioctl(session: &Session, command: u32, arg: usize) -> Result {
    match command {
        uapi::IOSTREAM_IOC_VERSION => {
            let _: uapi::iostream_version = read(arg, &[])?;
            write(arg, version(session))
        }
        uapi::IOSTREAM_IOC_SETUP => {
            let request = read(
                arg,
                inputs!(iostream_setup: flags, endpoint, output_bytes, input_bytes,
                        source_min_bytes, source_max_bytes, source_rate),
            )?;
            session.set_up(&request)
        }
        uapi::IOSTREAM_IOC_QUEUE => {
            let request: uapi::iostream_queue = read(arg, inputs!(iostream_queue: direction))?;
            let direction = Direction::from_arg(request.direction)?;
            write(arg, describe(session, direction)?)
        }
        uapi::IOSTREAM_IOC_EVENTFD => {
            let request = read(arg, inputs!(iostream_eventfd: direction, fd))?;
            set_eventfd(session, &request)
        }
        uapi::IOSTREAM_IOC_NOTIFY => {
            let arg = word(arg)?;
            let direction = Direction::from_arg(arg & !uapi::IOSTREAM_NOTIFY_FLUSH)?;
            let queue = session.live_queue(direction)?;
            queue.count_notification();
            if arg & uapi::IOSTREAM_NOTIFY_FLUSH != 0 {
                session.port()?.notify_flushed(queue);
            } else {
                session.port()?.notify(queue);
            }
            Ok(())
        }
        uapi::IOSTREAM_IOC_RESET => {
            let direction = Direction::from_arg(word(arg)?)?;
            session.reset(direction)
        }
        uapi::IOSTREAM_IOC_RUN => {
            let mut request = read(arg, inputs!(iostream_run: entries, timeout_ns, batch))?;
            let ran = session.endpoint()?.run(&mut request);
            // What has moved would not be counted if the call were made once more.
            let ran = match request.done {
                0 => ran.map_err(restarted_without_handler),
                _ => ran,
            };
            // Copied out after an error, too, because it says how far the run got.
            write(arg, request)?;
            ran
        }
        uapi::IOSTREAM_IOC_COUNTERS => {
            let mut request = read(arg, inputs!(iostream_counters: which, buffer_bytes, buffer))?;
            counters::copy(session, &mut request)?;
            write(arg, request)
        }
        uapi::IOSTREAM_IOC_READ_MODE => set_read_mode(session, word(arg)?),
        FIONREAD => {
            let bytes = read_write::readable_bytes(session)?;
            write(arg, i32::try_from(bytes).unwrap_or(i32::MAX))
        }
        uapi::IOSTREAM_IOC_WATERMARK => {
            let request = read(
                arg,
                inputs!(iostream_watermark: direction, bytes, latency_ns),
            )?;
            set_watermark(session, &request)
        }
        _ => stream_ioctl(session, command, arg),
    }
}

/// Runs an ioctl of a stream's session.
fn stream_ioctl(session: &Session, command: u32, arg: usize) -> Result {
    match command {
        uapi::IOSTREAM_IOC_STREAM => {
            let pool = session.live_pool()?;
            let _: uapi::iostream_stream = read(arg, &[])?;
            session.port()?.join_added(pool)?;
            write(arg, describe_stream(pool))
        }
        uapi::IOSTREAM_IOC_START => {
            let port = stream_port(session)?;
            none(arg)?;
            start(session, port)
        }
        uapi::IOSTREAM_IOC_SUSPEND => {
            let port = stream_port(session)?;
            none(arg)?;
            port.suspend(Patience::UntilSignal)
        }
        uapi::IOSTREAM_IOC_STOP => {
            let port = stream_port(session)?;
            let mut request = read(arg, inputs!(iostream_stop: flags, timeout_ns))?;
            stop(port, &mut request).map_err(restarted_without_handler)?;
            write(arg, request)
        }
        uapi::IOSTREAM_IOC_MODE => {
            stream_port(session)?.set_mode(Mode::from_arg(word(arg)?)?, Patience::UntilSignal)
        }
        uapi::IOSTREAM_IOC_INPUT => Port::notice(stream_port(session)?.to_arc(), word(arg)?),
        uapi::IOSTREAM_IOC_INPUT_SYNC => stream_port(session)?.notice_sync(word(arg)?),
        _ => Err(ENOTTY),
    }
}

/// The port of a stream's session whose driver is there.
fn stream_port(session: &Session) -> Result<&PortRef> {
    session.live_pool()?;
    session.port()
}

fn version(session: &Session) -> uapi::iostream_version {
    uapi::iostream_version {
        version: uapi::IOSTREAM_VERSION,
        reserved: 0,
        features: 0,
        max_queue_bytes: limits::max_queue_bytes(),
        max_total_bytes: limits::max_total_bytes(),
        name: *session.node().name(),
    }
}

fn describe(session: &Session, direction: Direction) -> Result<uapi::iostream_queue> {
    let queue = session.live_queue(direction)?;
    Ok(uapi::iostream_queue {
        direction: direction as u32,
        flags: queue.flags(),
        data_bytes: queue.geometry().data_bytes(),
        max_entry_bytes: queue.max_entry_bytes(),
        page_bytes: PAGE_SIZE as u32,
        generation: queue.generation(),
        features: 0,
        info_offset: mmap::offset(direction, Area::Info),
        producer_offset: mmap::offset(direction, Area::Producer),
        consumer_offset: mmap::offset(direction, Area::Consumer),
        data_offset: mmap::offset(direction, Area::Data),
    })
}

fn set_read_mode(session: &Session, flags: u32) -> Result {
    if flags & !uapi::IOSTREAM_READ_FLAGS != 0 {
        return Err(EINVAL);
    }
    session.read_flags.store(flags, Relaxed);
    // What a wait waits for may have changed.
    session.user().wake_all();
    Ok(())
}

fn set_watermark(session: &Session, request: &uapi::iostream_watermark) -> Result {
    let direction = Direction::from_arg(request.direction)?;
    if direction != Direction::Output {
        return Err(EINVAL);
    }
    let queue = session.live_queue(direction)?;
    queue.set_watermark(request.bytes, request.latency_ns)
}

fn describe_stream(pool: &Pool) -> uapi::iostream_stream {
    let spec = pool.spec();
    uapi::iostream_stream {
        mode: pool.mode() as u32,
        state: pool.shown_state() as u32,
        buffers: pool.count(),
        max_buffers: pool.max_buffers(),
        data_bytes: spec.data_bytes,
        control_bytes: spec.control_bytes,
        format: spec.format,
        clock: spec.clock as u32,
        generation: pool.info().generation(),
        info_offset: mmap::stream_info_offset(),
        buffers_offset: mmap::buffers_offset(),
        buffer_stride: (spec.buffer_pages() * PAGE_SIZE) as u64,
        control_start: (spec.data_pages() * PAGE_SIZE) as u64,
        description: spec.description,
    }
}

/// Starts the stream. A program that polls before it starts the stream does not learn that poll has
/// done so.
fn start(session: &Session, port: &Port) -> Result {
    let by_poll = session.live_pool()?.take_started_by_poll();
    match port.start(Patience::UntilSignal) {
        Err(error) if by_poll && error == EALREADY => Ok(()),
        done => done,
    }
}

fn stop(port: &Port, request: &mut uapi::iostream_stop) -> Result {
    let drains = request.flags & uapi::IOSTREAM_STOP_DRAIN != 0;
    // Only a drain waits.
    if request.flags & !uapi::IOSTREAM_STOP_FLAGS != 0 || (!drains && request.timeout_ns != 0) {
        return Err(EINVAL);
    }
    let how = if drains { Stop::Drain } else { Stop::Discard };
    let timeout = (request.timeout_ns != 0).then_some(request.timeout_ns);
    let discarded = port.stop(how, timeout, Patience::UntilSignal)?;
    request.discarded_output = discarded.output;
    request.discarded_input = discarded.input;
    Ok(())
}

fn set_eventfd(session: &Session, request: &uapi::iostream_eventfd) -> Result {
    let direction = Direction::from_arg(request.direction)?;
    let queue = session.live_queue(direction)?;
    let context = if request.fd == -1 {
        core::ptr::null_mut()
    } else {
        // SAFETY: The function has no preconditions; it returns an error for an invalid descriptor.
        kernel::error::from_err_ptr(unsafe { c::eventfd_ctx_fdget(request.fd) })?
    };
    // SAFETY: `context` is null or a reference that was taken right above.
    unsafe { queue.notify.set_eventfd(context) };
    // The eventfd is signalled at once if the queue is ready, otherwise at the next publication.
    queue.notify.arm();
    if !context.is_null() && (queue.is_gone() || queue.is_ready().unwrap_or(true)) {
        queue.wake_user();
    }
    Ok(())
}
