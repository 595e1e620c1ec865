// SPDX-License-Identifier: GPL-2.0

//! How a stream's buffers move between its pool and its queues: sending, and discarding what is
//! queued.

use kernel::prelude::*;

use crate::{
    error::Error,
    pool::{descriptor::Descriptor, spec::Mode, Pool, StreamCounter},
    queue::{config::Wake, Queue},
    ring::{self, uapi, Descriptors, Mapped, DESCRIPTOR_BYTES},
    sync::{atomic::Relaxed, race::race_point},
};

/// The driver's end of a stream's output queue.
pub(crate) type DescriptorProducer = ring::Producer<Mapped, Descriptors>;
/// The driver's end of a stream's input queue.
pub(crate) type DescriptorConsumer = ring::Consumer<Mapped, Descriptors>;

/// How many descriptors a stop discarded in each queue.
#[derive(Clone, Copy, Default)]
pub(crate) struct Discarded {
    pub(crate) output: u64,
    pub(crate) input: u64,
}

/// Marks the descriptors that the client has not taken as discarded. Returns how many there are.
pub(crate) fn discard_output(pool: &Pool, queue: &Queue, producer: &mut DescriptorProducer) -> u64 {
    if pool.mode() == Mode::Input {
        // The queue holds empty buffers for the client to fill: there is nothing to discard.
        return 0;
    }
    let waiting = match producer.room() {
        Ok(room) => queue.geometry().data_bytes() - room,
        // The client published an invalid position, so the number is unknown. It only goes to the
        // client and into the counters.
        Err(_) => 0,
    };
    pool.info().set_discarded_pos(producer.published_pos());
    // The buffer that a read(2) has begun is discarded, too.
    queue.call_began.store(0, Relaxed);
    waiting / DESCRIPTOR_BYTES as u64
}

/// Takes back the buffers that the driver has not taken. Returns how many there are.
pub(crate) fn discard_input(
    pool: &Pool,
    (output, producer): (&Queue, &mut DescriptorProducer),
    (input, consumer): (&Queue, &mut DescriptorConsumer),
) -> u64 {
    let mode = pool.mode();
    let mut discarded = 0;
    // The client may go on sending. What it sends from here on is for the next start.
    let waiting = consumer.available().unwrap_or(0);
    let end = consumer.released_pos().wrapping_add(waiting);
    while consumer.released_pos() != end {
        let Ok(bytes) = consumer.pop_array() else {
            break;
        };
        let descriptor = Descriptor::from_bytes(bytes);
        input.publish_consumed(consumer, 1, 0);
        if pool.accept(&descriptor).is_err() {
            continue;
        }
        // In output mode, and if it is unused, the buffer is empty: nothing is lost.
        let meant = mode != Mode::Output && !descriptor.is_unused();
        discarded += u64::from(meant);
        if mode == Mode::Input {
            // Not yet back with the client: the queue may hold a second descriptor of this buffer,
            // which must be refused.
            pool.mark_returning(descriptor.buffer);
        } else {
            pool.put_back(descriptor.buffer);
        }
    }
    for buffer in 0..pool.count() {
        if !pool.take_returning(buffer) {
            continue;
        }
        let returned = Descriptor {
            buffer,
            flags: uapi::IOSTREAM_DESCRIPTOR_DISCARDED,
            ..Default::default()
        };
        if send(output, pool, producer, &returned, None).is_err() {
            pool.put_back(buffer);
        }
    }
    // The driver may have stopped before it found the queue empty. Without this it would not be
    // told of the next descriptor.
    let _ = consumer.arm();
    discarded
}

/// Sends a buffer that the caller holds, as the next frame. The frame's time is `timestamp_ns`, or
/// else now. If sending fails, the caller still holds the buffer, and there is no new frame.
///
/// # Errors
///
/// [`Error::Corrupt`] if the client's position is invalid.
pub(crate) fn send(
    queue: &Queue,
    pool: &Pool,
    producer: &mut DescriptorProducer,
    descriptor: &Descriptor,
    timestamp_ns: Option<u64>,
) -> Result<(), Error> {
    let clock = pool.spec().clock;
    let descriptor = pool.frames.stamped(descriptor, timestamp_ns, clock);
    // Before the descriptor is published, because the client may return the buffer at once.
    pool.give_to_client(descriptor.buffer);
    race_point!("buffer-given");
    if let Err(error) = producer.push(&descriptor.to_bytes()) {
        pool.take_from_client(descriptor.buffer);
        return Err(queue.report(error, producer.corrupt_events()));
    }
    pool.frames.sent();
    pool.count_one(StreamCounter::Sent);
    queue.publish_produced(producer, 1, descriptor.data_len.into(), Wake::Normal);
    Ok(())
}

impl Pool {
    /// Whether a buffer is spare, for write(2) to fill.
    pub(crate) fn has_spare(&self) -> bool {
        self.spare.has_any(self)
    }

    /// Whether write(2) would find a buffer to fill. The descriptor at position `behind` does not
    /// count, because read(2) is not done with it.
    pub(crate) fn has_buffer(&self, output: &Queue, behind: Option<u64>) -> bool {
        self.has_spare() || (output.is_ready().unwrap_or(true) && behind != Some(output.user_pos()))
    }
}
