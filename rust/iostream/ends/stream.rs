// SPDX-License-Identifier: GPL-2.0

//! Streams: a pool of buffers that travel between driver and client through two queues.
//!
//! A driver describes its stream ([`StreamConfig`]), makes it ([`Stream::new`]), keeps the
//! [`Stream`] wherever it sends from, and publishes the node with a
//! [`Registration`](crate::Registration). Its [`Driver`](crate::Driver) learns of start, stop and
//! buffers that come back.
//!
//! # Who has a buffer
//!
//! A [`Buffer`] is one that the driver has in its hands: from [`Stream::take`] or
//! [`Stream::receive`] until it is sent or dropped. While it exists nobody else uses its memory, a
//! client that breaks the rules excepted: in a [`Shared`] stream the client can write a buffer at
//! any time, so the driver copies and never has a slice; in an [`Output`] stream it can only read,
//! so the driver has slices.
//!
//! ```text
//!                 open            the client's buffers return as      the driver's go as
//! output          driver has all  free ones, for `take`               `send`
//! input           client has all  full ones, for `receive`            `send`, empty; or dropped
//! input-output    driver has all  full ones, for `receive`            `send`
//! ```

use core::marker::PhantomData;

use kernel::prelude::*;

use super::{
    access::{Access, Shared},
    buffer::Buffer,
    config::{Config, Ports},
    control::Control,
    end::{peek, InputEnd, OutputEnd},
    stream_config::StreamConfig,
};
use crate::{
    channel::exchange::{send, DescriptorConsumer, DescriptorProducer},
    error::Error,
    pool::{descriptor::Descriptor, spec::Mode, state::State, Pool},
    port::Port,
    queue::{config::Wake, Queue},
    ring::DESCRIPTOR_BYTES,
};

/// The driver's end of a stream.
///
/// There is one for each client that a node can have, and its methods take `&mut self`: that each
/// queue has one producer and one consumer is the compiler's business. It belongs to the driver for
/// as long as the driver likes; sessions come and go behind it.
///
/// # Contexts
///
/// As for [`Producer`]: nothing here sleeps.
///
/// # Errors
///
/// All return [`Error::NotOpen`] while nobody has the node open, [`Error::Stale`] for the moment in
/// which a stop discards what is queued, and [`Error::Gone`] after the registration was dropped.
pub struct Stream<A: Access> {
    output: OutputEnd,
    input: InputEnd,
    /// Where to look for a free buffer first.
    cursor: u32,
    _access: PhantomData<A>,
}

impl<A: Access> Stream<A> {
    /// Makes a stream for a node that `config` describes but for its queues, and what publishes it.
    ///
    /// # Errors
    ///
    /// `EINVAL`: `config` has queues of its own; `ENOMEM`.
    pub fn new<'a>(config: Config<'a>, stream: StreamConfig<A>) -> Result<(Ports<'a>, Self)> {
        let ports = Ports::with_stream(config, stream.spec)?;
        let stream = Self {
            output: OutputEnd::new(ports.port()),
            input: InputEnd::new(ports.port()),
            cursor: 0,
            _access: PhantomData,
        };
        Ok((ports, stream))
    }

    /// What manages the stream's buffers, from wherever the driver likes.
    pub fn control(&self) -> Control {
        Control::new(self.output.port().clone())
    }

    /// A buffer that nobody has. Its contents are what was last in it; its ranges are empty.
    ///
    /// # Errors
    ///
    /// [`Error::Full`]: the client has all of them; it is woken, and the driver's
    /// [`room_available`](crate::Driver::room_available) (output), or
    /// [`data_available`](crate::Driver::data_available), is called once one is back.
    pub fn take(&mut self) -> Result<Buffer<A>, Error> {
        // What came back is found without looking at all buffers. If the client's position cannot be
        // right, that is found again below, unless a buffer is free.
        if let Ok(buffer) = self.take_returned(WhenEmpty::Poll) {
            return Ok(buffer);
        }
        let (output, cursor) = (&mut self.output, &mut self.cursor);
        let taken = output.with(|lane, _: &mut DescriptorProducer| {
            let pool = lane.pool()?;
            let taken = pool.take_free(cursor);
            Ok(taken.map(|id| Buffer::taken(pool.clone().into(), id)))
        })?;
        if let Some(buffer) = taken {
            return Ok(buffer);
        }
        match self.take_returned(WhenEmpty::Arm) {
            Err(Error::Empty) => {
                self.output
                    .with(|lane, producer: &mut DescriptorProducer| {
                        lane.found_full(producer);
                        Ok(())
                    })?;
                Err(Error::Full)
            }
            taken => taken,
        }
    }

    /// A buffer that came back and has nothing in it; [`Error::Empty`] if none did. Only in output
    /// mode are buffers that come back free: else something is in them.
    fn take_returned(&mut self, when_empty: WhenEmpty) -> Result<Buffer<A>, Error> {
        self.input.with(|port, lane, consumer| {
            let pool = lane.pool()?;
            if pool.mode() != Mode::Output {
                return Err(Error::Empty);
            }
            let returned = next(port, lane, pool, consumer, when_empty)?;
            Ok(Buffer::taken(pool.clone().into(), returned.buffer))
        })
    }

    /// Passes a buffer on to the client, with the ranges that were set, and wakes the client if it
    /// waits for it.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`]: the stream is stopped; [`Error::Stale`]: the buffer is of a session that
    /// has ended; [`Error::Corrupt`]: the client's position cannot be right. The buffer is free
    /// again.
    pub fn send(&mut self, buffer: Buffer<A>) -> Result<(), Error> {
        self.output.with(|lane, producer| {
            let pool = lane.pool()?;
            if !buffer.is_of(pool) {
                return Err(Error::Stale);
            }
            if pool.state() == State::Stopped {
                return Err(Error::Stopped);
            }
            let descriptor = Descriptor {
                sequence: pool.next_sequence(),
                ..*buffer.descriptor()
            };
            send(lane, pool, producer, &descriptor, Wake::Normal)?;
            buffer.gone();
            Ok(())
        })
    }

    /// Wakes the client, whatever it waits for.
    ///
    /// # Errors
    ///
    /// Those of all methods.
    pub fn notify(&mut self) -> Result<(), Error> {
        self.output.with(|lane, producer: &mut DescriptorProducer| {
            lane.publish_produced(producer, 0, 0, Wake::Force);
            Ok(())
        })
    }

    /// Has the driver's [`room_available`](crate::Driver::room_available) (output), or
    /// [`data_available`](crate::Driver::data_available), called soon, in a worker, if the stream
    /// runs. For a driver that ends before it has found nothing left to do, because a client that
    /// keeps up would keep it for ever.
    pub fn call_again(&self) {
        Port::call_again(self.output.port().to_arc());
    }

    /// Whether the stream runs: neither stopped nor suspended.
    pub fn is_running(&mut self) -> bool {
        let running = self
            .output
            .with(|lane, _: &mut DescriptorProducer| Ok(lane.pool()?.state() == State::Running));
        running.unwrap_or(false)
    }

    /// The mode of the open session.
    ///
    /// # Errors
    ///
    /// Those of all methods.
    pub fn mode(&mut self) -> Result<Mode, Error> {
        self.output
            .with(|lane, _: &mut DescriptorProducer| Ok(lane.pool()?.mode()))
    }

    /// Buffers of the open session.
    ///
    /// # Errors
    ///
    /// Those of all methods.
    pub fn buffers(&mut self) -> Result<u32, Error> {
        self.output
            .with(|lane, _: &mut DescriptorProducer| Ok(lane.pool()?.count()))
    }

    /// Buffers that the driver has, but not in its hands: those that [`Self::take`] can give.
    ///
    /// # Errors
    ///
    /// Those of all methods.
    pub fn free_buffers(&mut self) -> Result<u32, Error> {
        self.output
            .with(|lane, _: &mut DescriptorProducer| Ok(lane.pool()?.free_count()))
    }

    /// Descriptors that the client has not taken yet: `(output, input)` queue.
    ///
    /// # Errors
    ///
    /// Those of all methods; [`Error::Corrupt`].
    pub fn queued(&mut self) -> Result<(u64, u64), Error> {
        let entry = DESCRIPTOR_BYTES as u64;
        let output = self
            .output
            .with(|lane, producer: &mut DescriptorProducer| {
                let room = producer
                    .room()
                    .map_err(|error| lane.report(error, producer.corrupt_events()))?;
                Ok(lane.geometry().data_bytes() - room)
            })?;
        let input = self
            .input
            .with(|_, lane, consumer: &mut DescriptorConsumer| {
                let waiting = consumer.available();
                waiting.map_err(|error| lane.report(error, consumer.corrupt_events()))
            })?;
        Ok((output / entry, input / entry))
    }

    /// The next buffer that came from the client. `None` if it came back unused.
    fn next(&mut self) -> Result<Option<Buffer<A>>, Error> {
        self.input.with(|port, lane, consumer| {
            let pool = lane.pool()?;
            let descriptor = next(port, lane, pool, consumer, WhenEmpty::Arm)?;
            let unused = descriptor.is_unused();
            let buffer = Buffer::received(pool.clone().into(), descriptor);
            Ok((!unused).then_some(buffer))
        })
    }
}

impl Stream<Shared> {
    /// The next buffer that the client sent.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]: none waits, and the driver's
    /// [`data_available`](crate::Driver::data_available) is called when one does;
    /// [`Error::Corrupt`]: the client sent nothing but nonsense.
    pub fn receive(&mut self) -> Result<Buffer<Shared>, Error> {
        self.return_dropped()?;
        // A client that sends each buffer back unused as soon as it has it must not keep the driver
        // here.
        for _ in 0..=self.buffers()? {
            match self.next()? {
                Some(buffer) if buffer.mode() != Mode::Output => return Ok(buffer),
                // In input mode one that came unused goes back at once.
                _ => self.return_dropped()?,
            }
        }
        self.call_again();
        Err(Error::Empty)
    }

    /// Input: what the driver dropped is the client's to fill.
    fn return_dropped(&mut self) -> Result<(), Error> {
        let (output, cursor) = (&mut self.output, &mut self.cursor);
        output.with(|lane, producer| {
            let pool = lane.pool()?;
            if pool.mode() != Mode::Input || pool.state() == State::Stopped {
                return Ok(());
            }
            while let Some(id) = pool.take_free(cursor) {
                let descriptor = Descriptor {
                    buffer: id,
                    sequence: pool.next_sequence(),
                    ..Default::default()
                };
                let sent = send(lane, pool, producer, &descriptor, Wake::Normal);
                if sent.is_err() {
                    pool.put_back(id);
                    return sent;
                }
            }
            Ok(())
        })
    }
}

/// What a caller that finds the queue empty asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenEmpty {
    /// Nothing: it looks again by itself.
    Poll,
    /// A call at the next descriptor.
    Arm,
}

/// The next descriptor of the client's that is one; its buffer is the caller's.
fn next(
    port: &Port,
    queue: &Queue,
    pool: &Pool,
    consumer: &mut DescriptorConsumer,
    when_empty: WhenEmpty,
) -> Result<Descriptor, Error> {
    // A client that sends nothing but nonsense must not keep the driver here.
    for _ in 0..=2 * pool.max_buffers() {
        if when_empty == WhenEmpty::Arm {
            peek(port, queue, consumer)?;
        }
        let descriptor = Descriptor::from_bytes(consumer.pop_array()?);
        let accepted = pool.accept(&descriptor).is_ok();
        let bytes = if accepted { descriptor.data_len } else { 0 };
        queue.publish_consumed(consumer, 1, bytes.into());
        if accepted {
            return Ok(descriptor);
        }
    }
    Err(Error::Corrupt)
}
