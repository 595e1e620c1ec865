// SPDX-License-Identifier: GPL-2.0

//! A session: one open of a node, with its queues.

use kernel::{
    cred::Credential,
    prelude::*,
    sync::{Arc, SetOnce},
};

use super::{part::Part, Node, SessionCount};
use crate::sync::race::race_point;
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
        gate::{new_gate, Gate, Patience},
        wait::{Deadline, WaitQueue},
    },
};

/// How long an opener waits for a port of a node whose ports are all open, in nanoseconds.
///
/// A client may be gone before its file is: what io_uring had under way for a process that was killed
/// keeps the file for milliseconds after wait(2) has told of the process's end, and a slow driver may
/// need a moment to stop. A service that is restarted then is not to fail.
const PORT_WAIT_NS: u64 = 500_000_000;

/// How a file is open: the flags of open(2) and fcntl(2).
#[derive(Clone, Copy)]
pub(crate) struct OpenMode {
    /// The file is open for reading and writing.
    pub(crate) read_write: bool,
    /// Calls must not wait.
    pub(crate) nonblocking: bool,
}

impl OpenMode {
    /// How a call waits for another one.
    pub(crate) fn patience(self) -> Patience {
        if self.nonblocking {
            Patience::Never
        } else {
            Patience::UntilSignal
        }
    }
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
        race_point!("endpoint-ended");
        self.port.close(core::mem::take(&mut self.queues));
    }
}

/// One open of a node, until its last descriptor and mapping are gone.
#[pin_data]
pub(crate) struct Session {
    attached: SetOnce<Attached>,
    /// What the session counts against: the user who opened it.
    account: Account,
    /// Where everything waits that waits for this session, even before it is set up.
    user: Arc<WaitQueue>,
    /// How read(2) reads: `IOSTREAM_READ_*`.
    pub(crate) read_flags: Atomic<u32>,
    /// Held while the session is set up.
    #[pin]
    set_up: Gate<()>,
    /// Held by a read(2), and by a write(2) of a stream.
    #[pin]
    pub(crate) reading: Gate<Part>,
    /// Held by a write(2) of a queue of entries.
    #[pin]
    pub(crate) writing: Gate<()>,
    /// Dropped last: its drop tells those that wait for a port that this one's is free.
    count: SessionCount,
}

impl Session {
    /// Opens a node. The session counts in `account`. If all ports are open, this waits for one for
    /// a moment, if `patience` says so.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the driver is gone; `EBUSY` if all ports of the node are open, and stay so; the
    /// driver's own; `EDQUOT`; `ENOMEM`; `EINTR`; `EAGAIN` while the driver is asked about another
    /// opener.
    pub(crate) fn open(
        node: &Node,
        credential: &Credential,
        account: Account,
        patience: Patience,
    ) -> Result<Arc<Self>> {
        let attached = SetOnce::new();
        let user = if node.is_built_in() {
            WaitQueue::new_shared()?
        } else {
            let driver = Self::attach(node, credential, &account, patience)?;
            let user = driver.queues.user().ok_or(ENXIO)?.clone();
            attached.populate(driver);
            user
        };
        let count = SessionCount::new(node);
        Arc::pin_init(
            pin_init!(Self {
                attached,
                account,
                user,
                read_flags: Atomic::new(0),
                set_up <- new_gate!((), c"iostream_set_up"),
                reading <- new_gate!(Part::default(), c"iostream_reading"),
                writing <- new_gate!((), c"iostream_writing"),
                count,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Opens the first port of the node that no session has open, or that becomes free in time.
    fn attach(
        node: &Node,
        credential: &Credential,
        account: &Account,
        patience: Patience,
    ) -> Result<Attached> {
        let deadline = Deadline::after(Some(PORT_WAIT_NS));
        loop {
            let opened = Self::try_attach(node, credential, account, patience)
                // The port is free again, and others may have found it open meanwhile.
                .inspect_err(|_| node.wake_openers())?;
            match opened {
                Some(attached) => return Ok(attached),
                None if patience == Patience::Never => return Err(EBUSY),
                None => node.wait_for_port(deadline)?,
            }
        }
    }

    /// Opens the first port of the node that no session has open, if there is one.
    fn try_attach(
        node: &Node,
        credential: &Credential,
        account: &Account,
        patience: Patience,
    ) -> Result<Option<Attached>> {
        let opener = Opener { credential };
        for port in node.ports() {
            if let Some(queues) = port.open(Some(&opener), None, account, patience)? {
                return Ok(Some(Attached {
                    queues,
                    endpoint: None,
                    port: port.clone(),
                }));
            }
        }
        Ok(None)
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
        let _once = self.set_up.enter(Patience::UntilSignal)?;
        if self.attached.as_ref().is_some() {
            return Err(EALREADY);
        }
        let (endpoint, port, queues) = Endpoint::new(request, &self.user, &self.account)?;
        race_point!("set-up-made");
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
    #[inline(never)]
    pub(crate) fn queue(&self, direction: Direction) -> Result<&Arc<Lane>> {
        self.attached()?.queues.get(direction).ok_or(ENXIO)
    }

    /// The queue of a direction, while the driver is there.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the driver is gone; those of [`Self::queue`].
    #[inline(never)]
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
        race_point!("reset-claimed");
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
    #[inline(never)]
    pub(crate) fn port(&self) -> Result<&PortRef> {
        Ok(&self.attached()?.port)
    }

    /// The buffers of a stream's session.
    ///
    /// # Errors
    ///
    /// `ENOTTY` if the session is not of a stream.
    #[inline(never)]
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
