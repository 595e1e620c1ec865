// SPDX-License-Identifier: GPL-2.0

//! The kernel's end of a queue: a producer or a consumer, of entries with headers or of a stream's
//! descriptors.

use super::config::{Direction, Entries, QueueConfig};
use crate::{
    memory::region::Region,
    ring::{self, Descriptors, Framed, Layout, Mapped},
};

/// The kernel's end of a queue.
pub(crate) enum End {
    /// The producer of an output queue.
    Producer(ring::Producer<Mapped>),
    /// The consumer of an input queue.
    Consumer(ring::Consumer<Mapped>),
    /// The producer of a stream's output queue.
    DescriptorProducer(ring::Producer<Mapped, Descriptors>),
    /// The consumer of a stream's input queue.
    DescriptorConsumer(ring::Consumer<Mapped, Descriptors>),
}

/// A layout of entries that an [`End`] can have.
pub(crate) trait EndLayout: Layout + Sized {
    /// Whether it is the layout of a stream's queues.
    const OF_STREAM: bool;
    /// The producer in `end`, if it has this layout.
    fn producer(end: &mut End) -> Option<&mut ring::Producer<Mapped, Self>>;
    /// The consumer in `end`, if it has this layout.
    fn consumer(end: &mut End) -> Option<&mut ring::Consumer<Mapped, Self>>;
}

impl EndLayout for Framed {
    const OF_STREAM: bool = false;

    #[inline(always)]
    fn producer(end: &mut End) -> Option<&mut ring::Producer<Mapped>> {
        match end {
            End::Producer(producer) => Some(producer),
            _ => None,
        }
    }

    #[inline(always)]
    fn consumer(end: &mut End) -> Option<&mut ring::Consumer<Mapped>> {
        match end {
            End::Consumer(consumer) => Some(consumer),
            _ => None,
        }
    }
}

impl EndLayout for Descriptors {
    const OF_STREAM: bool = true;

    #[inline(always)]
    fn producer(end: &mut End) -> Option<&mut ring::Producer<Mapped, Self>> {
        match end {
            End::DescriptorProducer(producer) => Some(producer),
            _ => None,
        }
    }

    #[inline(always)]
    fn consumer(end: &mut End) -> Option<&mut ring::Consumer<Mapped, Self>> {
        match end {
            End::DescriptorConsumer(consumer) => Some(consumer),
            _ => None,
        }
    }
}

/// Creates the kernel's end of an empty queue.
///
/// # Safety
///
/// The words of `region` are zero, `region` outlives the result, and the kernel has no other end on
/// it.
pub(super) unsafe fn fresh_end(region: &Region, direction: Direction, config: QueueConfig) -> End {
    /// Creates a consumer that waits for its first entry.
    ///
    /// # Safety
    ///
    /// The words of `memory` are zero, `memory` outlives the result, and the kernel has no other
    /// end on it.
    unsafe fn consumer<L: Layout>(
        memory: Mapped,
        config: QueueConfig,
    ) -> ring::Consumer<Mapped, L> {
        // SAFETY: The words are zero, and there is no other end, by this function's contract.
        let mut consumer = unsafe { ring::Consumer::new_of(memory, config.geometry) };
        // Arms the fresh queue, so that the process notifies the kernel of its first entry.
        let _ = consumer.arm();
        consumer
    }
    // SAFETY: The words of the region are zero, and there is no other end, by this function's
    // contract.
    unsafe {
        let memory = region.mapped();
        match (direction, config.entries) {
            (Direction::Output, Entries::Framed) => End::Producer(ring::Producer::new(
                memory,
                config.geometry,
                config.overwrite,
            )),
            (Direction::Output, Entries::Descriptors) => {
                End::DescriptorProducer(ring::Producer::new_of(memory, config.geometry, false))
            }
            (Direction::Input, Entries::Framed) => End::Consumer(consumer(memory, config)),
            (Direction::Input, Entries::Descriptors) => {
                End::DescriptorConsumer(consumer(memory, config))
            }
        }
    }
}
