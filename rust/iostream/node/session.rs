// SPDX-License-Identifier: GPL-2.0

//! One open of a node: its queues, and what is asked of them from outside.

use kernel::{
    bindings as c,
    cred::Credential,
    prelude::*,
    sync::{new_mutex, Arc, Mutex, SetOnce},
};

use super::{Node, SessionCount};
use crate::{
    channel::{lane::Lane, Channel},
    driver::Opener,
    endpoint::Endpoint,
    pool::Pool,
    port::PortRef,
    queue::config::Direction,
    ring::uapi,
    sync::{gate::Gate, wait::WaitQueue},
};

/// How a file was opened.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    /// For reading and writing.
    pub(crate) read_write: bool,
    /// Calls must not wait.
    pub(crate) nonblocking: bool,
}

/// What a session is attached to, once it is set up.
struct Attached {
    queues: Channel,
    /// `/dev/iostream`: who serves the kernel's side. It revokes its port when dropped.
    endpoint: Option<Endpoint>,
    port: PortRef,
}

impl Attached {
    /// Whether room in the input queue is all that it takes to go on: in a stream it is not.
    fn is_writable(&self, input: &Lane) -> bool {
        match (self.queues.pool(), self.queues.get(Direction::Output)) {
            (Some(pool), Some(output)) => pool.is_writable(output, input),
            _ => true,
        }
    }
}

impl Drop for Attached {
    /// The end of the session: the file's release, after the last descriptor and mapping.
    fn drop(&mut self) {
        // The endpoint's timer stops before its queues go.
        drop(self.endpoint.take());
        self.port.close(core::mem::take(&mut self.queues));
    }
}

/// A buffer of which read(2) has copied a part: the position of its descriptor, and how many bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Part {
    pub(crate) pos: u64,
    pub(crate) done: u32,
}

/// One open of a node, until the last descriptor and mapping is gone.
#[pin_data]
pub(crate) struct Session {
    count: SessionCount,
    attached: SetOnce<Attached>,
    /// Where all wait that wait for this session, before it is set up, too.
    user: Arc<WaitQueue>,
    #[pin]
    set_up: Mutex<()>,
    /// One read(2) at a time; of a stream, one read(2) or write(2).
    #[pin]
    pub(crate) reading: Gate<Part>,
    /// One write(2) at a time.
    #[pin]
    pub(crate) writing: Gate<()>,
}

impl Session {
    /// Opens a node.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the driver is gone; `EBUSY`: the node is open; the driver's own; `ENOMEM`.
    pub(crate) fn open(node: &Node, credential: &Credential) -> Result<Arc<Self>> {
        let count = SessionCount::new(node);
        let attached = SetOnce::new();
        let user = if node.is_built_in() {
            WaitQueue::new_shared()?
        } else {
            let driver = Self::attach(node, credential)?;
            let user = driver.queues.user().ok_or(ENXIO)?.clone();
            attached.populate(driver);
            user
        };
        Arc::pin_init(
            pin_init!(Self {
                count,
                attached,
                user,
                set_up <- new_mutex!((), "iostream_set_up"),
                reading <- Gate::new(Part::default()),
                writing <- Gate::new(()),
            }),
            GFP_KERNEL,
        )
    }

    /// Opens the first port of the node that nobody has open.
    fn attach(node: &Node, credential: &Credential) -> Result<Attached> {
        for port in node.ports() {
            match port.open(Some(&Opener { credential }), None) {
                Err(error) if error == EBUSY => continue,
                opened => {
                    return Ok(Attached {
                        queues: opened?,
                        endpoint: None,
                        port: port.clone(),
                    })
                }
            }
        }
        Err(EBUSY)
    }

    /// `/dev/iostream`: makes queues and endpoint, once.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: a driver's node; `EALREADY`; and those of [`Endpoint::new`].
    pub(crate) fn set_up(&self, request: &uapi::iostream_setup) -> Result {
        if !self.node().is_built_in() {
            return Err(ENOTTY);
        }
        let _once = self.set_up.lock();
        if self.attached.as_ref().is_some() {
            return Err(EALREADY);
        }
        let (endpoint, port, queues) = Endpoint::new(request, &self.user)?;
        self.attached.populate(Attached {
            queues,
            endpoint: Some(endpoint),
            port,
        });
        // Those that waited before there was anything to wait for ask again.
        self.user.wake_all();
        Ok(())
    }

    /// The node.
    pub(crate) fn node(&self) -> &Node {
        self.count.node()
    }

    fn attached(&self) -> Result<&Attached> {
        self.attached.as_ref().ok_or(EBADFD)
    }

    /// The queues, of whatever direction.
    ///
    /// # Errors
    ///
    /// `EBADFD`: not set up.
    pub(crate) fn queues(&self) -> Result<&Channel> {
        Ok(&self.attached()?.queues)
    }

    /// The queue of a direction.
    ///
    /// # Errors
    ///
    /// `EBADFD`: not set up; `ENXIO`: no queue in this direction.
    pub(crate) fn queue(&self, direction: Direction) -> Result<&Arc<Lane>> {
        self.attached()?.queues.get(direction).ok_or(ENXIO)
    }

    /// As [`Self::queue`], if the driver is there.
    ///
    /// # Errors
    ///
    /// As [`Self::queue`]; `ENODEV`.
    pub(crate) fn live_queue(&self, direction: Direction) -> Result<&Arc<Lane>> {
        let queue = self.queue(direction)?;
        if queue.is_gone() {
            return Err(ENODEV);
        }
        Ok(queue)
    }

    /// Empties a queue. See `IOSTREAM_IOC_RESET`.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP`: a stream's queue; `EBUSY`: a read(2) or write(2) is at the queue; `EBADFD`;
    /// `ENXIO`; `ENODEV`.
    pub(crate) fn reset(&self, direction: Direction) -> Result {
        let lane = self.live_queue(direction)?;
        if lane.pool().is_ok() {
            return Err(EOPNOTSUPP);
        }
        // Not to be waited for: a call that copies may wait for a page of the process's for as long as
        // the process likes.
        let port = self.port()?;
        match direction {
            Direction::Output => {
                let _call = self.reading.try_enter().ok_or(EBUSY)?;
                port.reset(lane)
            }
            Direction::Input => {
                let _call = self.writing.try_enter().ok_or(EBUSY)?;
                port.reset(lane)
            }
        }?;
        port.wake_after_reset(lane);
        Ok(())
    }

    /// What the session is attached to.
    pub(crate) fn port(&self) -> Result<&PortRef> {
        Ok(&self.attached()?.port)
    }

    /// The buffers of a stream.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: no stream.
    pub(crate) fn pool(&self) -> Result<&Pool> {
        self.attached()
            .map_err(|_| ENOTTY)?
            .queues
            .pool()
            .ok_or(ENOTTY)
    }

    /// As [`Self::pool`], if the driver is there.
    ///
    /// # Errors
    ///
    /// As [`Self::pool`]; `ENODEV`.
    pub(crate) fn live_pool(&self) -> Result<&Pool> {
        let pool = self.pool()?;
        self.live_queue(Direction::Output)?;
        Ok(pool)
    }

    /// `/dev/iostream`: the endpoint.
    ///
    /// # Errors
    ///
    /// `ENOTTY`: a driver's node; `EBADFD`: not set up.
    pub(crate) fn endpoint(&self) -> Result<&Endpoint> {
        if !self.node().is_built_in() {
            return Err(ENOTTY);
        }
        self.attached()?.endpoint.as_ref().ok_or(ENOTTY)
    }

    /// What poll says. `register` is called with the wait queue before anything is looked at.
    pub(crate) fn poll(&self, register: impl FnOnce(&WaitQueue)) -> c::__poll_t {
        register(&self.user);
        let Ok(attached) = self.attached() else {
            return c::POLLERR;
        };
        let mut events = 0;
        for queue in attached.queues.iter() {
            // Also when it is ready: epoll, edge-triggered, does not ask again after delivery.
            queue.notify.arm();
            events |= match (queue.is_ready(), queue.direction()) {
                (Ok(false), _) => 0,
                (Ok(true), Direction::Output) => c::POLLIN | c::POLLRDNORM,
                (Ok(true), Direction::Input) if !attached.is_writable(queue) => 0,
                (Ok(true), Direction::Input) => c::POLLOUT | c::POLLWRNORM,
                (Err(_), _) => c::POLLERR,
            };
            if queue.is_gone() {
                events |= c::POLLHUP | c::POLLERR;
            }
        }
        if let (Some(pool), Some(records)) = (attached.queues.pool(), attached.port.records()) {
            // As at the end of a file.
            if pool.is_ended() {
                events |= c::POLLIN | c::POLLRDNORM;
            }
            // Buffers were added.
            if records.is_ahead_of(pool) {
                events |= c::POLLPRI;
            }
        }
        events
    }
}
