// SPDX-License-Identifier: GPL-2.0

//! The driver's end of a stream: a pool of buffers that travel between driver and client through
//! two queues.
//!
//! A driver describes its stream ([`StreamConfig`]), creates it ([`Stream::new`]), keeps the
//! [`Stream`] where it sends from, and publishes the node with a
//! [`Registration`](crate::Registration). The callbacks of its [`Driver`](crate::Driver) tell it
//! of start, stop and buffers that come back.
//!
//! # The buffers
//!
//! A [`Buffer`] is held by the driver from [`Stream::take`] or [`Stream::receive`] until it is
//! sent or dropped. Meanwhile no one else uses its memory, except a client that breaks the rules.
//! In a [`Shared`] stream the client can write a buffer at any time, so the driver copies and
//! never has a slice. In an [`Output`](crate::stream::Output) stream the client can only read, so
//! the driver has slices.
//!
//! ```text
//! mode          when the client opens    the client sends         the driver sends
//! output        all are free             empty ones, to `take`    full ones
//! input         all are with the client  full ones, to `receive`  empty ones, or drops them
//! input-output  all are free             full ones, to `receive`  full ones
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
    pool::{descriptor::Descriptor, spec::Mode, state::State, Pool, StreamCounter},
    port::Port,
    queue::{
        config::{Direction, Wake},
        Counter, Queue,
    },
    ring::DESCRIPTOR_BYTES,
    sync::atomic::Relaxed,
};

/// The driver's end of a stream.
///
/// A node has one for each client that it can have, and its methods take `&mut self`, so each
/// queue has a single producer or consumer in the kernel. The driver keeps it for as long as it
/// likes, while sessions come and go.
///
/// # Contexts
///
/// All methods may be called in task, softirq and hard interrupt context, and never sleep. None
/// may be called in an NMI, nor under the lock of a run queue or a wait queue.
///
/// # Errors
///
/// All methods return [`Error::NotOpen`] while no client has the node open, [`Error::Stopped`] for
/// the moment in which a stop discards what is queued, and [`Error::Gone`] after the registration
/// was dropped.
///
/// # Examples
///
/// A driver that fills buffers:
///
/// ```rust,ignore,from:rust/drivers/template/iostream_example.rs
/// let mut buffer = stream.take()?; // Fails while no buffer is free.
/// for square in buffer.data_mut().chunks_exact_mut(8) {
///     square.copy_from_slice(&next.wrapping_mul(*next).to_ne_bytes());
///     *next += 1;
/// }
/// buffer.set_data_range(0, buffer.data_bytes())?;
/// stream.send(buffer)
/// ```
///
/// One that gets buffers, and returns them:
///
/// ```rust,ignore,from:rust/drivers/iostream_loopback.rs
/// let Ok(mut buffer) = stream.receive() else {
///     // Fails if the client broke the rules; then it gets no more buffers.
///     let _ = give_out(&mut stream);
///     return;
/// };
/// buffer.transform(|piece| piece.iter_mut().for_each(|byte| *byte = !*byte));
/// if stream.send(buffer).is_err() {
///     return;
/// }
/// ```
pub struct Stream<A: Access> {
    output: OutputEnd,
    input: InputEnd,
    _access: PhantomData<A>,
}

impl<A: Access> Stream<A> {
    /// Creates a stream for the node that `config` describes, without queues of its own. The
    /// [`Ports`] are for its [`Registration`](crate::Registration).
    ///
    /// # Errors
    ///
    /// `EINVAL` if `config` has queues of its own; `ENOMEM`.
    pub fn new<'a>(config: Config<'a>, stream: StreamConfig<A>) -> Result<(Ports<'a>, Self)> {
        let ports = Ports::with_stream(config, stream.spec)?;
        let stream = Self {
            output: OutputEnd::new(ports.port()),
            input: InputEnd::new(ports.port()),
            _access: PhantomData,
        };
        Ok((ports, stream))
    }

    /// A handle that manages the stream's buffers and queues.
    pub fn control(&self) -> Control {
        Control::new(self.output.port().clone())
    }

    /// Takes a free buffer. It contains what was last in it, and its ranges are empty.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] if no buffer is free. The client is woken, and the driver's
    /// [`room_available`](crate::Driver::room_available) (in output mode) or
    /// [`data_available`](crate::Driver::data_available) is called once a buffer comes back.
    /// [`Error::Corrupt`] if the client's position is invalid.
    pub fn take(&mut self) -> Result<Buffer<A>, Error> {
        // First the buffers that came back. If the client's position is invalid, the second look
        // below finds this again, unless a buffer is free.
        if let Ok(buffer) = self.take_returned(WhenEmpty::Poll) {
            return Ok(buffer);
        }
        let port = self.output.port();
        let taken = port.with_lane(Direction::Output, |lane| {
            let pool = lane.pool()?;
            let taken = pool.take_free();
            Ok(taken.map(|id| Buffer::taken(port, pool, id)))
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

    /// Takes a buffer that came back from the client empty.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if none came back, or if the mode is not output: then those that come back
    /// have something in them.
    fn take_returned(&mut self, when_empty: WhenEmpty) -> Result<Buffer<A>, Error> {
        let home = self.output.port();
        self.input.with(|port, lane, consumer| {
            let pool = lane.pool()?;
            if pool.mode() != Mode::Output {
                return Err(Error::Empty);
            }
            let returned = next(port, lane, pool, consumer, when_empty)?;
            Ok(Buffer::taken(home, pool, returned.buffer))
        })
    }

    /// Sends a buffer to the client as the next frame, with the ranges that were set, and wakes the
    /// client if it waits for a buffer.
    ///
    /// Frames are numbered 0, 1, 2 and so on in a session; lost ones count
    /// ([`Self::report_lost`]). The timestamp is the time of this call, unless
    /// [`Buffer::set_timestamp`] has set another one.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if the stream is stopped; [`Error::Stale`] if the buffer is of a session
    /// that has ended; [`Error::Corrupt`] if the client's position is invalid. After any error the
    /// buffer is free.
    pub fn send(&mut self, buffer: Buffer<A>) -> Result<(), Error> {
        self.output.with(|lane, producer| {
            let pool = lane.pool()?;
            if !buffer.is_of(pool) {
                return Err(Error::Stale);
            }
            if pool.state() == State::Stopped {
                return Err(Error::Stopped);
            }
            send(
                lane,
                pool,
                producer,
                &buffer.outgoing(),
                buffer.timestamp_to_send(),
            )?;
            buffer.into_sent();
            Ok(())
        })
    }

    /// Declares `frames` frames lost, which come before the next one that is sent: the device had
    /// data for them, but there was no buffer or no time.
    ///
    /// They are counted, they have numbers like frames that are sent, and the next descriptor tells
    /// the client how many they are. A stop does not forget them. While no client has the node
    /// open, they are counted as `unopened` in sysfs.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] if the stream is stopped: then nobody misses them, and nothing is
    /// counted.
    pub fn report_lost(&mut self, frames: u64) -> Result<(), Error> {
        let reported = self.output.with(|lane, _: &mut DescriptorProducer| {
            let pool = lane.pool()?;
            if pool.state() == State::Stopped {
                return Err(Error::Stopped);
            }
            pool.frames.lose(frames);
            pool.counter(StreamCounter::Lost).add(frames, Relaxed);
            lane.count(Counter::Lost, frames);
            Ok(())
        });
        if reported == Err(Error::NotOpen) {
            self.output.port().count_unopened(frames);
        }
        reported
    }

    /// Wakes the client, even if nothing new is queued for it.
    ///
    /// # Errors
    ///
    /// Only those of all methods.
    pub fn notify(&mut self) -> Result<(), Error> {
        self.output.with(|lane, producer: &mut DescriptorProducer| {
            lane.publish_produced(producer, 0, 0, Wake::Force);
            Ok(())
        })
    }

    /// Schedules a call of the driver's [`room_available`](crate::Driver::room_available) (in
    /// output mode) or [`data_available`](crate::Driver::data_available) in a worker. If the
    /// stream does not run, the call is made after the next start.
    ///
    /// A callback uses this when it returns before it has found nothing left to do. It should do
    /// so now and then: otherwise a client that keeps up would keep it busy without end.
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
    /// Only those of all methods.
    pub fn mode(&mut self) -> Result<Mode, Error> {
        self.output
            .with(|lane, _: &mut DescriptorProducer| Ok(lane.pool()?.mode()))
    }

    /// How many buffers have joined the open session.
    ///
    /// # Errors
    ///
    /// Only those of all methods.
    pub fn buffers(&mut self) -> Result<u32, Error> {
        self.output
            .with(|lane, _: &mut DescriptorProducer| Ok(lane.pool()?.count()))
    }

    /// How many buffers are free.
    ///
    /// # Errors
    ///
    /// Only those of all methods.
    pub fn free_buffers(&mut self) -> Result<u32, Error> {
        self.output
            .with(|lane, _: &mut DescriptorProducer| Ok(lane.pool()?.free_count()))
    }

    /// How many descriptors are queued: in the output queue, which the client has not taken, and
    /// in the input queue, which the driver has not taken.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if a position of the client is invalid.
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

    /// The next buffer that the client sent; `None` if it returned the buffer unused.
    fn next(&mut self) -> Result<Option<Buffer<A>>, Error> {
        let home = self.output.port();
        self.input.with(|port, lane, consumer| {
            let pool = lane.pool()?;
            let descriptor = next(port, lane, pool, consumer, WhenEmpty::Arm)?;
            let unused = descriptor.is_unused();
            let buffer = Buffer::received(home, pool, descriptor);
            Ok((!unused).then_some(buffer))
        })
    }
}

impl Stream<Shared> {
    /// The next buffer that the client sent.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if no buffer waits: the driver's
    /// [`data_available`](crate::Driver::data_available) is called when one does.
    /// [`Error::Corrupt`] if the client's position is invalid, or if it sent too many invalid
    /// descriptors in a row.
    pub fn receive(&mut self) -> Result<Buffer<Shared>, Error> {
        self.return_free()?;
        // Bounded: a client that returns each buffer unused as soon as it gets it must not keep the
        // driver here.
        for _ in 0..=self.buffers()? {
            match self.next()? {
                Some(buffer) if buffer.mode() != Mode::Output => return Ok(buffer),
                // The buffer came back unused and is free; in input mode it was sent back at once.
                _ => {}
            }
        }
        self.call_again();
        Err(Error::Empty)
    }

    /// In input mode: sends what could not be sent when it was dropped.
    fn return_free(&mut self) -> Result<(), Error> {
        let port = self.output.port();
        let any = port.with_lane(Direction::Output, |lane| Ok(lane.pool()?.free_count() != 0))?;
        if any {
            port.return_free()?;
        }
        Ok(())
    }
}

/// What a caller that finds the queue empty asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenEmpty {
    /// Nothing: the caller looks again by itself.
    Poll,
    /// A call of the driver at the next descriptor.
    Arm,
}

/// Takes descriptors out of the input queue up to the first valid one. The caller then holds its
/// buffer.
///
/// # Errors
///
/// [`Error::Empty`]; [`Error::Corrupt`].
fn next(
    port: &Port,
    queue: &Queue,
    pool: &Pool,
    consumer: &mut DescriptorConsumer,
    when_empty: WhenEmpty,
) -> Result<Descriptor, Error> {
    // Bounded: a client that goes on sending invalid descriptors must not keep the driver here. A
    // valid one is the last one of the loop, and a client that keeps to the rules never has more
    // than `max_buffers` queued. So twice as many in a row are no accident, and the queue counts
    // as corrupt.
    for _ in 0..=2 * pool.max_buffers() {
        if when_empty == WhenEmpty::Arm {
            peek(port, queue, consumer)?;
        }
        let descriptor = Descriptor::from_bytes(consumer.pop_array()?);
        let accepted = pool.accept(&descriptor).is_ok();
        let bytes = if accepted {
            pool.bytes_from_client(&descriptor)
        } else {
            0
        };
        queue.publish_consumed(consumer, 1, bytes);
        if accepted {
            return Ok(descriptor);
        }
    }
    Err(Error::Corrupt)
}
