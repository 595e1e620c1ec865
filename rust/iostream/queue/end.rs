// SPDX-License-Identifier: GPL-2.0

//! The kernel's end of a queue, by what the queue holds: entries with headers, or a stream's descriptors.

use super::config::{Direction, Entries, QueueConfig};
use crate::{
    memory::region::Region,
    ring::{self, Descriptors, Framed, Layout, Mapped},
};

/// The kernel's end, and what it alone counts.
pub(crate) enum End {
    /// Of an output queue.
    Producer(ring::Producer<Mapped>),
    /// Of an input queue.
    Consumer(ring::Consumer<Mapped>),
    /// Of a stream's output queue.
    DescriptorProducer(ring::Producer<Mapped, Descriptors>),
    /// Of a stream's input queue.
    DescriptorConsumer(ring::Consumer<Mapped, Descriptors>),
}

/// How entries lie in a queue: the kind of its [`End`].
pub(crate) trait Kind: Layout + Sized {
    /// The producer, if it is one of this kind.
    fn producer(end: &mut End) -> Option<&mut ring::Producer<Mapped, Self>>;
    /// The consumer, if it is one of this kind.
    fn consumer(end: &mut End) -> Option<&mut ring::Consumer<Mapped, Self>>;
}

impl Kind for Framed {
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

impl Kind for Descriptors {
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

/// # Safety
///
/// The words of `region` are zero, it outlives the result, and no other end of the kernel's is on it.
pub(super) unsafe fn fresh_end(region: &Region, direction: Direction, config: QueueConfig) -> End {
    /// # Safety
    ///
    /// The words of `memory` are zero, it outlives the result, and no other end of the kernel's is on it.
    unsafe fn consumer<L: Layout>(
        memory: Mapped,
        config: QueueConfig,
    ) -> ring::Consumer<Mapped, L> {
        // SAFETY: The words are zero, and there is no other end, says the caller.
        let mut consumer = unsafe { ring::Consumer::new_of(memory, config.geometry) };
        // The process notifies from its first entry on.
        let _ = consumer.arm();
        consumer
    }
    // SAFETY: The words of the region are zero, and there is no other end, says the caller.
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
