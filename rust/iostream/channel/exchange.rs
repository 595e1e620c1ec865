// SPDX-License-Identifier: GPL-2.0

//! What passes between the queues of a stream and its pool: sending, and discarding what is queued.

use kernel::prelude::*;

use crate::{
    error::Error,
    pool::{descriptor::Descriptor, spec::Mode, Pool, StreamCounter},
    queue::{config::Wake, Queue},
    ring::{self, uapi, Descriptors, Mapped, DESCRIPTOR_BYTES},
};

/// The driver's ends of a stream's queues.
pub(crate) type DescriptorProducer = ring::Producer<Mapped, Descriptors>;
pub(crate) type DescriptorConsumer = ring::Consumer<Mapped, Descriptors>;

/// What a stop discarded.
#[derive(Clone, Copy, Default)]
pub(crate) struct Discarded {
    pub(crate) output: u64,
    pub(crate) input: u64,
}

/// Marks what the client has not taken. Returns how many that are.
pub(crate) fn discard_output(pool: &Pool, queue: &Queue, producer: &mut DescriptorProducer) -> u64 {
    if pool.mode() == Mode::Input {
        // What is in there are buffers for the client to fill.
        return 0;
    }
    let waiting = match producer.room() {
        Ok(room) => queue.geometry().data_bytes() - room,
        // The client lies about what it has taken; it gets what it says.
        Err(_) => 0,
    };
    pool.info().set_discarded_pos(producer.published_pos());
    waiting / DESCRIPTOR_BYTES as u64
}

/// Takes back what the driver has not taken. Returns how many that are.
pub(crate) fn discard_input(
    pool: &Pool,
    (output, producer): (&Queue, &mut DescriptorProducer),
    (input, consumer): (&Queue, &mut DescriptorConsumer),
) -> u64 {
    let mode = pool.mode();
    let mut discarded = 0;
    // The client may go on sending; what comes after is for the next start.
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
        let meant = mode != Mode::Output && !descriptor.is_unused();
        discarded += u64::from(meant);
        if mode == Mode::Input {
            // Not yet the client's: another descriptor of it may follow, and must be refused.
            pool.put_aside(descriptor.buffer);
        } else {
            pool.put_back(descriptor.buffer);
        }
    }
    for buffer in 0..pool.count() {
        if !pool.take_aside(buffer) {
            continue;
        }
        let returned = Descriptor {
            buffer,
            flags: uapi::IOSTREAM_DESCRIPTOR_DISCARDED,
            sequence: pool.next_sequence(),
            ..Default::default()
        };
        if send(output, pool, producer, &returned, Wake::Normal).is_err() {
            pool.put_back(buffer);
        }
    }
    // The driver left it without having found it empty, perhaps, and would not be told.
    let _ = consumer.arm();
    discarded
}

/// Sends a buffer that is the caller's.
pub(crate) fn send(
    queue: &Queue,
    pool: &Pool,
    producer: &mut DescriptorProducer,
    descriptor: &Descriptor,
    wake: Wake,
) -> Result<(), Error> {
    // Before it is published: the client may return it at once.
    pool.give_to_client(descriptor.buffer);
    if let Err(error) = producer.push(&descriptor.to_bytes()) {
        pool.take_from_client(descriptor.buffer);
        return Err(queue.report(error, producer.corrupt_events()));
    }
    pool.count_one(StreamCounter::Sent);
    queue.publish_produced(producer, 1, descriptor.data_len.into(), wake);
    Ok(())
}

impl Pool {
    /// Whether poll may say that the process can go on filling a buffer: that one came from the driver,
    /// or, for write(2), that there is one left.
    pub(crate) fn is_writable(&self, output: &Queue, input: &Queue) -> bool {
        self.mode() != Mode::Output
            && (output.is_ready().unwrap_or(true)
                || (!input.region().is_mapped() && self.spare.has_any(self)))
    }

    /// Whether write(2) would find a buffer; `behind`: not if that is still the next to be read.
    pub(crate) fn has_buffer(&self, output: &Queue, behind: Option<u64>) -> bool {
        self.spare.has_any(self)
            || (output.is_ready().unwrap_or(true) && behind != Some(output.user_pos()))
    }
}
