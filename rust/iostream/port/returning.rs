// SPDX-License-Identifier: GPL-2.0

//! How the buffers that a driver drops return to the client of a stream in input mode.

use kernel::prelude::*;

use super::Port;
use crate::sync::race::race_point;
use crate::{
    channel::exchange::{send, DescriptorProducer},
    error::Error,
    pool::{descriptor::Descriptor, spec::Mode, state::State},
    queue::config::Direction,
    sync::atomic::{smp_mb, Full},
};

impl Port {
    /// In input mode, sends the free buffers, which the driver has dropped, to the client to fill.
    /// Any context.
    ///
    /// Called when a buffer has become free, when the stream has been started, and by whoever finds
    /// that a buffer is free.
    ///
    /// # Errors
    ///
    /// [`Error::NotOpen`]; [`Error::Gone`]; [`Error::Stopped`]; [`Error::Corrupt`] if the client's
    /// position is invalid. Buffers that were not sent stay free.
    pub(crate) fn return_free(&self) -> Result<(), Error> {
        // ORDERING: pairs with the full barrier of a start between its store of the state and its
        // call of this: either the start finds the buffer free, or this finds that the stream runs
        // (litmus: callbacks-enable).
        smp_mb(Full);
        race_point!("return-begins");
        self.with_lane(Direction::Output, |lane| {
            let pool = lane.pool()?;
            if pool.mode() != Mode::Input || pool.state() == State::Stopped {
                return Ok(());
            }
            loop {
                let _one = pool.sending.lock();
                let Some(id) = pool.take_free() else {
                    return Ok(());
                };
                // SAFETY: This is inside the section in which the lane was found published, and
                // whoever uses the end of the output queue of a stream that can be in input mode
                // holds `sending` in such a section.
                let producer: Option<&mut DescriptorProducer> = unsafe { lane.producer() };
                let sent = producer.ok_or(Error::Invalid).and_then(|producer| {
                    let descriptor = Descriptor {
                        buffer: id,
                        ..Default::default()
                    };
                    send(lane, pool, producer, &descriptor, None)
                });
                if sent.is_err() {
                    pool.put_back(id);
                    return sent;
                }
            }
        })
    }
}
