// SPDX-License-Identifier: GPL-2.0

//! A session: one open of a node, with its queues.

use kernel::{
    cred::Credential,
    prelude::*,
    sync::{new_mutex, Arc, Mutex, SetOnce},
};

use super::{part::Part, Node, SessionCount};
use crate::{
    channel::{lane::Lane, Channel},
    driver::Opener,
    endpoint::Endpoint,
    memory::account::Account,
    pool::Pool,
    port::PortRef,
    queue::config::Direction,
    ring::uapi,
    sync::{
        atomic::{Atomic, Relaxed},
        gate::Gate,
        wait::WaitQueue,
    },
};

/// How a file is open: the flags of open(2) and fcntl(2).
#[derive(Clone, Copy)]
pub(crate) struct OpenMode {
    /// The file is open for reading and writing.
    pub(crate) read_write: bool,
    /// Calls must not wait.
    pub(crate) nonblocking: bool,
}

/// What a session is attached to, once it is set up.
struct Attached {
    queues: Channel,
    /// The endpoint that serves the kernel's side of `/dev/iostream`. Its drop revokes the port.
    endpoint: Option<Endpoint>,
    port: PortRef,
}

impl Drop for Attached {
    /// Ends the session. This runs when the file is released, after the last descriptor and
    /// mapping are gone.
    fn drop(&mut self) {
        // The endpoint first, so that its source stops before the queues are closed.
        drop(self.endpoint.take());
        self.port.close(core::mem::take(&mut self.queues));
    }
}

/// One open of a node, until its last descriptor and mapping are gone.
#[pin_data]
pub(crate) struct Session {
    count: SessionCount,
    attached: SetOnce<Attached>,
    /// What the session counts against: the user who opened it.
    account: Account,
    /// Where everything waits that waits for this session, even before it is set up.
    user: Arc<WaitQueue>,
    /// How read(2) reads: `IOSTREAM_READ_*`.
    pub(crate) read_flags: Atomic<u32>,
    /// Held while the session is set up.
    #[pin]
    set_up: Mutex<()>,
    /// Held by a read(2), and by a write(2) of a stream.
    #[pin]
    pub(crate) reading: Gate<Part>,
    /// Held by a write(2) of a queue of entries.
    #[pin]
    pub(crate) writing: Gate<()>,
}

impl Session {
    /// Opens a node. The session counts in `account`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the driver is gone; `EBUSY` if all ports of the node are open; the driver's own;
    /// `EDQUOT`; `ENOMEM`; `EINTR`.
    pub(crate) fn open(
        node: &Node,
        credential: &Credential,
        account: Account,
    ) -> Result<Arc<Self>> {
        let count = SessionCount::new(node);
        let attached = SetOnce::new();
        let user = if node.is_built_in() {
            WaitQueue::new_shared()?
        } else {
            let driver = Self::attach(node, credential, &account)?;
            let user = driver.queues.user().ok_or(ENXIO)?.clone();
            attached.populate(driver);
            user
        };
        Arc::pin_init(
            pin_init!(Self {
                count,
                attached,
                account,
                user,
                read_flags: Atomic::new(0),
                set_up <- new_mutex!((), "iostream_set_up"),
                reading <- Gate::new(Part::default()),
                writing <- Gate::new(()),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Opens the first port of the node that no session has open.
    fn attach(node: &Node, credential: &Credential, account: &Account) -> Result<Attached> {
        for port in node.ports() {
            match port.open(Some(&Opener { credential }), None, account) {
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

    /// Sets up a session of `/dev/iostream`, once: creates its queues and its endpoint.
    ///
    /// # Errors
    ///
    /// `ENOTTY` on a driver's node; `EALREADY` if the session is set up; those of
    /// [`Endpoint::new`].
    pub(crate) fn set_up(&self, request: &uapi::iostream_setup) -> Result {
        if !self.node().is_built_in() {
            return Err(ENOTTY);
        }
        let _once = self.set_up.lock();
        if self.attached.as_ref().is_some() {
            return Err(EALREADY);
        }
        let (endpoint, port, queues) = Endpoint::new(request, &self.user, &self.account)?;
        self.attached.populate(Attached {
            queues,
            endpoint: Some(endpoint),
            port,
        });
        // Those that waited before there was anything to wait for ask again.
        self.user.wake_all();
        Ok(())
    }

    /// Whether read(2) reads as this bit of `IOSTREAM_READ_*` says.
    pub(crate) fn reads(&self, flag: u32) -> bool {
        self.read_flags.load(Relaxed) & flag != 0
    }

    /// Where everything waits that waits for this session.
    pub(crate) fn user(&self) -> &WaitQueue {
        &self.user
    }

    /// The node.
    pub(crate) fn node(&self) -> &Node {
        self.count.node()
    }

    fn attached(&self) -> Result<&Attached> {
        self.attached.as_ref().ok_or(EBADFD)
    }

    /// The queues of both directions.
    ///
    /// # Errors
    ///
    /// `EBADFD` if the session is not set up.
    pub(crate) fn queues(&self) -> Result<&Channel> {
        Ok(&self.attached()?.queues)
    }

    /// The queue of a direction.
    ///
    /// # Errors
    ///
    /// `EBADFD` if the session is not set up; `ENXIO` if it has no queue in this direction.
    pub(crate) fn queue(&self, direction: Direction) -> Result<&Arc<Lane>> {
        self.attached()?.queues.get(direction).ok_or(ENXIO)
    }

    /// The queue of a direction, while the driver is there.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the driver is gone; those of [`Self::queue`].
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
    /// `EOPNOTSUPP` for a stream's queue; `EBUSY` while a read(2) or write(2) uses the queue, or
    /// another address space than the caller's has it mapped; those of [`Self::live_queue`].
    pub(crate) fn reset(&self, direction: Direction) -> Result {
        let lane = self.live_queue(direction)?;
        if lane.pool().is_ok() {
            return Err(EOPNOTSUPP);
        }
        // A process that has mapped its end may hold slices of entries. After a reset the kernel
        // would write to them. In the caller's own process that is the caller's business.
        let claim = lane.region().claim_for_reset()?;
        // Does not wait for the gate: a call inside may wait for a page of the process for as long as
        // the process likes.
        let port = self.port()?;
        match direction {
            Direction::Output => {
                let mut part = self.reading.try_enter().ok_or(EBUSY)?;
                port.reset(lane).map(|()| *part = Part::default())
            }
            Direction::Input => {
                let _call = self.writing.try_enter().ok_or(EBUSY)?;
                port.reset(lane)
            }
        }?;
        drop(claim);
        port.wake_after_reset(lane);
        Ok(())
    }

    /// The port that the session has open.
    ///
    /// # Errors
    ///
    /// `EBADFD` if the session is not set up.
    pub(crate) fn port(&self) -> Result<&PortRef> {
        Ok(&self.attached()?.port)
    }

    /// The buffers of a stream's session.
    ///
    /// # Errors
    ///
    /// `ENOTTY` if the session is not of a stream.
    pub(crate) fn pool(&self) -> Result<&Pool> {
        self.attached()
            .map_err(|_| ENOTTY)?
            .queues
            .pool()
            .ok_or(ENOTTY)
    }

    /// The buffers of a stream's session, while the driver is there.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the driver is gone; those of [`Self::pool`].
    pub(crate) fn live_pool(&self) -> Result<&Pool> {
        let pool = self.pool()?;
        self.live_queue(Direction::Output)?;
        Ok(pool)
    }

    /// The endpoint of a session of `/dev/iostream`.
    ///
    /// # Errors
    ///
    /// `ENOTTY` on a driver's node; `EBADFD` if the session is not set up.
    pub(crate) fn endpoint(&self) -> Result<&Endpoint> {
        if !self.node().is_built_in() {
            return Err(ENOTTY);
        }
        self.attached()?.endpoint.as_ref().ok_or(ENOTTY)
    }
}
