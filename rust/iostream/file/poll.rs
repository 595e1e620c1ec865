// SPDX-License-Identifier: GPL-2.0

//! What poll reports: a file is readable exactly if read(2) would return without waiting, and
//! writable if write(2) would, be it with data, with room, at the end or with an error.
//!
//! There are two exceptions. A process that has mapped its end of a queue uses that instead of
//! read(2) or write(2), which fail then; for it, poll speaks of the queue. And a direction that the
//! node or the mode does not have is never ready, although the call fails at once (ENXIO): an event
//! loop that waits for both would never sleep.

use kernel::{bindings as c, error::code::EAGAIN};

use super::stream_read_write::start_once;
use crate::sync::race::race_point;
use crate::{
    node::session::Session,
    pool::{spec::Mode, Pool},
    queue::{config::Direction, Queue},
    ring::uapi,
    sync::{gate::Patience, wait::WaitQueue},
};

const READABLE: c::__poll_t = c::POLLIN | c::POLLRDNORM;
const WRITABLE: c::__poll_t = c::POLLOUT | c::POLLWRNORM;

/// What a caller of poll asks for.
#[derive(Clone, Copy)]
pub(super) struct Request {
    /// The events that it waits for.
    pub(super) events: c::__poll_t,
    /// The file is open for reading.
    pub(super) read: bool,
    /// The file is open for writing.
    pub(super) write: bool,
}

/// What a call would do now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Waits,
    /// It would return with data.
    Moves,
    /// It would return: with what there is room for, at the end, or with an error that its caller
    /// has to expect.
    Returns,
    /// It would fail because the queue is broken, or because nothing more can come.
    Fails,
}

use Call::{Fails, Moves, Returns, Waits};

impl Call {
    /// What read(2) does if nothing waits in `queue`.
    fn of_none(queue: &Queue) -> Self {
        if queue.is_gone() {
            Fails
        } else {
            Waits
        }
    }

    fn returns_if(condition: bool) -> Self {
        if condition {
            Returns
        } else {
            Waits
        }
    }
}

/// The events that poll reports. Calls `register` with the wait queue before looking at anything.
pub(super) fn poll(
    session: &Session,
    request: Request,
    register: impl FnOnce(&WaitQueue),
) -> c::__poll_t {
    register(session.user());
    race_point!("poll-registered");
    let Ok(queues) = session.queues() else {
        // Before the set-up both calls fail.
        return request.allowed(READABLE | WRITABLE) | c::POLLERR;
    };
    for queue in queues.iter() {
        // Arms even if the queue is ready: an edge-triggered epoll does not poll again after it has
        // delivered an event.
        queue.notify.arm();
    }
    let (reads, writes) = match queues.pool() {
        Some(pool) => of_stream(session, pool, request),
        None => of_queues(session),
    };
    let mut events = 0;
    if reads != Waits {
        events |= READABLE;
    }
    if writes != Waits {
        events |= WRITABLE;
    }
    if queues.iter().any(|queue| queue.is_gone()) {
        events |= c::POLLHUP;
    }
    // Not while something can still be read: many event loops give a file up that has an error.
    if (reads == Fails || writes == Fails) && reads != Moves {
        events |= c::POLLERR;
    }
    if let (Some(pool), Ok(port)) = (queues.pool(), session.port()) {
        // The driver has added buffers that have not joined the session.
        if port
            .records()
            .is_some_and(|records| records.is_ahead_of(pool))
        {
            events |= c::POLLPRI;
        }
    }
    request.allowed(events)
}

impl Request {
    /// Those of these events that this file can have.
    fn allowed(self, mut events: c::__poll_t) -> c::__poll_t {
        if !self.read {
            events &= !READABLE;
        }
        if !self.write {
            events &= !WRITABLE;
        }
        events
    }

    fn wants(self, events: c::__poll_t) -> bool {
        self.allowed(self.events) & events != 0
    }
}

/// What read(2) and write(2) of a queue of entries would do.
fn of_queues(session: &Session) -> (Call, Call) {
    let call = |direction| match session.queue(direction) {
        Ok(queue) if queue.region().is_mapped() => of_queue(queue),
        Ok(queue) if queue.has_begun() => Moves,
        Ok(queue) if passes_all(session, queue) => Call::of_none(queue),
        Ok(queue) => of_queue(queue),
        Err(_) => Waits,
    };
    (call(Direction::Output), call(Direction::Input))
}

/// Whether read(2) passes over all that waits.
fn passes_all(session: &Session, queue: &Queue) -> bool {
    let tells = session.reads(uapi::IOSTREAM_READ_LOSS);
    !session.reads(uapi::IOSTREAM_READ_WHOLE) && queue.has_only_empty(tells)
}

fn of_queue(queue: &Queue) -> Call {
    match (queue.is_ready(), queue.direction()) {
        (Err(_), _) => Fails,
        (_, Direction::Input) if queue.is_gone() => Fails,
        (Ok(true), Direction::Output) => Moves,
        (Ok(true), Direction::Input) => Returns,
        (Ok(false), _) => Call::of_none(queue),
    }
}

/// What read(2) and write(2) of a stream would do.
fn of_stream(session: &Session, pool: &Pool, request: Request) -> (Call, Call) {
    let (Ok(output), Ok(input)) = (
        session.queue(Direction::Output),
        session.queue(Direction::Input),
    ) else {
        return (Fails, Fails);
    };
    if output.region().is_mapped() || input.region().is_mapped() {
        return of_mapped_stream(pool, output);
    }
    let mode = pool.mode();
    // The first read(2) starts the stream, and so does the first write(2). Whoever polls before he
    // calls anything waits for that.
    let starts = match mode {
        Mode::Output => request.wants(READABLE),
        Mode::InputOutput => request.wants(READABLE | WRITABLE),
        // There are buffers to fill.
        Mode::Input => false,
    };
    if starts && !output.is_gone() {
        match start_once(session, pool, Patience::Never) {
            Ok(true) => pool.set_started_by_poll(),
            Ok(false) => {}
            // Another call changes the stream. Its end wakes whoever polls.
            Err(error) if error == EAGAIN => {}
            // What the call would return.
            Err(_) => return (Fails, Fails),
        }
    }
    let Ok(waiting) = pool.waiting(output, session.reads(uapi::IOSTREAM_READ_LOSS)) else {
        return (Fails, Fails);
    };
    let reads = match mode {
        Mode::Input => Waits,
        _ if waiting.to_read && (output.has_begun() || output.is_ready().unwrap_or(true)) => Moves,
        _ if output.is_gone() => Fails,
        _ => Call::returns_if(pool.is_ended()),
    };
    let writes = match mode {
        Mode::Output => Waits,
        _ if output.is_gone() => Fails,
        _ => Call::returns_if(pool.has_stopped() || pool.has_spare() || waiting.to_fill),
    };
    (reads, writes)
}

/// What a process can do that has mapped its ends: take a buffer, and if it may send data, fill one
/// that came. It is told of the end by both.
fn of_mapped_stream(pool: &Pool, output: &Queue) -> (Call, Call) {
    let reads = match of_queue(output) {
        Waits => Call::returns_if(pool.is_ended()),
        other => other,
    };
    let writes = if output.is_gone() {
        Fails
    } else if pool.mode() == Mode::Output {
        Waits
    } else {
        // The end ends this wait, too.
        reads
    };
    (reads, writes)
}
