// SPDX-License-Identifier: GPL-2.0

//! A stream that sends buffers as fast as possible.

use core::mem::take;

use iostream::{stream, Buffer, Config, Driver, Error, Registration, Stop, Stream, StreamConfig};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::{new_condvar, new_mutex, Arc, CondVar, Mutex},
};

use crate::node::Done;

/// Lets the command sleep until the client returns a buffer or closes.
#[pin_data]
struct Bell {
    #[pin]
    rung: Mutex<u64>,
    #[pin]
    changed: CondVar,
}

impl Bell {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            rung <- new_mutex!(0),
            changed <- new_condvar!(),
        })
    }

    fn ring(&self) {
        let mut rung = self.rung.lock();
        *rung = rung.wrapping_add(1);
        self.changed.notify_all();
    }

    /// How often it has rung. Load it before the look that finds nothing, and pass it to
    /// [`Self::wait`].
    fn count(&self) -> u64 {
        *self.rung.lock()
    }

    /// Sleeps until it has rung since `count`.
    fn wait(&self, count: u64) -> Result {
        let mut rung = self.rung.lock();
        while *rung == count {
            if self.changed.wait_interruptible(&mut rung) {
                return Err(EINTR);
            }
        }
        Ok(())
    }
}

/// Wakes the command.
struct Returns(Arc<Bell>);

impl Driver for Returns {
    fn room_available(&self) {
        self.0.ring();
    }

    fn stop(&self, _how: Stop) {
        self.0.ring();
    }

    fn closed(&self) {
        self.0.ring();
    }
}

/// A node with a stream, while it is published.
#[pin_data]
pub(crate) struct StreamNode {
    #[pin]
    stream: Mutex<Option<Stream<stream::Output>>>,
    #[pin]
    registration: Mutex<Option<Registration<Returns>>>,
    bell: Arc<Bell>,
}

impl StreamNode {
    pub(crate) fn new() -> impl PinInit<Self, kernel::error::Error> {
        try_pin_init!(Self {
            stream <- new_mutex!(None),
            registration <- new_mutex!(None),
            bell: Arc::pin_init(Bell::new(), GFP_KERNEL)?,
        })
    }

    /// Removes the node, and publishes it again, with `bytes` of data in a buffer, which are whole
    /// pages.
    pub(crate) fn publish(&self, name: &CStr, buffers: u32, bytes: u32) -> Result {
        self.unpublish();
        if bytes as usize % PAGE_SIZE != 0 {
            return Err(EINVAL);
        }
        let config = StreamConfig::output(buffers, bytes)?;
        let (ports, stream) = Stream::new(Config::new(name), config)?;
        let registration = Registration::new(ports, Returns(self.bell.clone()))?;
        *self.registration.lock() = Some(registration);
        *self.stream.lock() = Some(stream);
        Ok(())
    }

    /// Removes the node.
    pub(crate) fn unpublish(&self) {
        let registration = take(&mut *self.registration.lock());
        drop(registration);
        *self.stream.lock() = None;
    }

    /// Sends `count` buffers, each filled by `fill` from its number. Looks `spins` times for a free
    /// buffer before it sleeps.
    pub(crate) fn send(&self, count: u64, spins: u64, fill: fn(&mut [u8], u64)) -> Result<Done> {
        let mut stream = self.stream.lock();
        let stream = Option::as_mut(&mut stream).ok_or(ENXIO)?;
        let mut done = Done::default();
        // Buffers that are known to be free or returned.
        let mut free = 0;
        while done.entries < count {
            if free == 0 {
                free = look(stream, spins)?;
            }
            let mut buffer = self.take(stream)?;
            free = free.saturating_sub(1);
            fill(buffer.data_mut(), done.entries);
            done.sum = done.sum.wrapping_add(done.entries);
            buffer.set_data_range(0, buffer.data_bytes())?;
            stream.send(buffer)?;
            done.entries += 1;
        }
        Ok(done)
    }

    /// Takes a buffer; sleeps until one is free or returned.
    fn take(&self, stream: &mut Stream<stream::Output>) -> Result<Buffer<stream::Output>> {
        loop {
            let rung = self.bell.count();
            match stream.take() {
                Err(Error::Full) => self.bell.wait(rung)?,
                taken => return Ok(taken?),
            }
        }
    }
}

/// The number of buffers that are free or returned; looks up to `spins` times while there is none.
/// A `take` that finds none arms, and then the client has to notify; so look first.
fn look(stream: &mut Stream<stream::Output>, spins: u64) -> Result<u64> {
    for _ in 0..spins {
        let (_, returned) = stream.queued()?;
        let free = returned + u64::from(stream.free_buffers()?);
        if free != 0 {
            return Ok(free);
        }
        core::hint::spin_loop();
    }
    Ok(0)
}
