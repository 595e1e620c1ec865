// SPDX-License-Identifier: GPL-2.0

//! Many nodes, each with an output queue, which get entries in a random order.

use core::mem::take;

use iostream::{Config, Error, NoCallbacks, Ports, Producer, QueueConfig, Registration};
use kernel::{
    prelude::*,
    str::CString,
    sync::{new_mutex, Mutex},
};

use crate::node::Done;

/// The most nodes.
const MOST: u64 = 1024;

/// A node. Fields drop in order: the registration before the end that it has to outlive.
struct Node {
    _registration: Registration<NoCallbacks>,
    producer: Producer,
}

/// The nodes.
#[pin_data]
pub(crate) struct ManyNodes {
    #[pin]
    nodes: Mutex<KVec<Node>>,
}

impl ManyNodes {
    pub(crate) fn new() -> impl PinInit<Self, kernel::error::Error> {
        try_pin_init!(Self {
            nodes <- new_mutex!(KVec::new()),
        })
    }

    /// Removes the nodes, and publishes `count` new ones with queues of `bytes`, called NAME-0,
    /// NAME-1 and so on.
    pub(crate) fn publish(&self, name: &str, count: u64, bytes: u64) -> Result {
        self.unpublish();
        if count > MOST {
            return Err(EINVAL);
        }
        for i in 0..count {
            let name = CString::try_from_fmt(fmt!("{name}-{i}"))?;
            let config = Config::new(&name).output(QueueConfig::with_capacity(bytes)?);
            let mut ports = Ports::new(config)?;
            let producer = ports.producer.take().ok_or(ENXIO)?;
            let node = Node {
                _registration: Registration::new(ports, NoCallbacks)?,
                producer,
            };
            self.nodes.lock().push(node, GFP_KERNEL)?;
        }
        Ok(())
    }

    pub(crate) fn unpublish(&self) {
        let nodes = take(&mut *self.nodes.lock());
        drop(nodes);
    }

    /// Makes `count` entries, each in one of the first `active` queues. Looks `spins` times for room
    /// before it sleeps.
    pub(crate) fn scatter(&self, count: u64, active: u64, spins: u64) -> Result<Done> {
        let mut nodes = self.nodes.lock();
        let active = usize::try_from(active).map_err(|_| EINVAL)?;
        let nodes = nodes.get_mut(..active).ok_or(EINVAL)?;
        let mut done = Done::default();
        let mut random = 1u64;
        while done.entries < count {
            random = next_random(random);
            let at = ((random >> 33) as usize)
                .checked_rem(active)
                .ok_or(EINVAL)?;
            let node = nodes.get_mut(at).ok_or(EINVAL)?;
            make(&mut node.producer, &done.entries.to_ne_bytes(), spins)?;
            done.sum = done.sum.wrapping_add(done.entries);
            done.entries += 1;
        }
        Ok(done)
    }
}

/// The next number of a linear congruential generator, with the constants of Knuth's MMIX. The peer's
/// program has the same.
fn next_random(random: u64) -> u64 {
    random
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407)
}

/// Makes an entry, and waits while there is no room.
fn make(producer: &mut Producer, entry: &[u8], spins: u64) -> Result {
    loop {
        match producer.enqueue(entry) {
            Err(Error::Full) => {}
            made => return Ok(made?),
        }
        let mut looks = 0;
        while looks < spins && !producer.can_enqueue(entry.len(), 1)? {
            looks += 1;
            core::hint::spin_loop();
        }
        if looks == spins {
            producer.wait_room(entry.len(), None, true)?;
        }
    }
}
