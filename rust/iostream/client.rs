// SPDX-License-Identifier: GPL-2.0

//! A module of the kernel as the client of a stream.
//!
//! The driver cannot tell: the module has a session like any other, and its end of both queues is
//! used by the kernel instead of by a process. Nothing of the driver's is kept, so that the driver may
//! go at any time. `rust/drivers/iostream_monitor.rs` is an example.

pub(crate) mod buffer;

use kernel::{
    cred::Credential,
    prelude::*,
    sync::{aref::ARef, Arc},
    task::might_sleep,
};

use crate::{
    channel::{client_ends::ClientEnds, lane::Lane},
    error::Error,
    node::{names, session::Session},
    pool::{spec::Mode, state::Stop, Pool, PoolRef},
    port::Port,
    queue::{config::Direction, watch::Watch},
};

use buffer::ClientBuffer;

/// A stream that a module of the kernel has open. Dropping it ends the session.
///
/// # Contexts
///
/// All methods are for process context and may sleep: the driver's callbacks run in them. So does
/// drop.
///
/// # Errors
///
/// [`Error::Gone`], or `ENODEV`, after the driver's registration was dropped; what waits is still
/// received.
pub struct Client {
    session: Arc<Session>,
}

impl Client {
    /// Opens the stream of a node, by the node's name.
    ///
    /// # Errors
    ///
    /// `ENOENT`: there is no node of that name; `ENOTTY`: it has no stream; `EBUSY`: somebody has it
    /// open; `ENODEV`: its driver goes right now; the driver's own; `ENOMEM`; `EDQUOT`.
    pub fn open(name: &CStr) -> Result<Self> {
        let node = names::find(name)?;
        let stream = node.ports().first().and_then(|port| port.records());
        stream.ok_or(ENOTTY)?;
        Ok(Self {
            session: Session::open(&node, &current_credential())?,
        })
    }

    fn queue(&self, direction: Direction) -> Result<&Lane, Error> {
        match self.session.queue(direction) {
            Ok(queue) => Ok(queue),
            // A stream has both.
            Err(_) => Err(Error::Invalid),
        }
    }

    fn pool(&self) -> Result<&Arc<Pool>, Error> {
        self.queue(Direction::Output)?.pool()
    }

    fn watch(&self) -> Result<&Arc<Watch>, Error> {
        let output = self.queue(Direction::Output)?;
        output.notify.watch().ok_or(Error::Invalid)
    }

    fn live_port(&self) -> Result<&Port> {
        self.session.live_pool()?;
        Ok(self.session.port()?)
    }

    /// The stream's mode.
    ///
    /// # Errors
    ///
    /// None in practice.
    pub fn mode(&self) -> Result<Mode, Error> {
        Ok(self.pool()?.mode())
    }

    /// Changes the mode, before anything was started, taken or received.
    ///
    /// # Errors
    ///
    /// `EBUSY`: too late; `EOPNOTSUPP`, or the driver's own; `ENODEV`.
    pub fn set_mode(&mut self, mode: Mode) -> Result {
        self.live_port()?.set_mode(mode)
    }

    /// How many buffers there are. Those that the driver has added meanwhile join here.
    ///
    /// # Errors
    ///
    /// `ENODEV`; `ENOMEM`; `EDQUOT`.
    pub fn buffers(&mut self) -> Result<u32> {
        let port = self.live_port()?;
        let pool = self.pool()?;
        port.join_added(pool)?;
        Ok(pool.count())
    }

    /// Starts the stream, or has it go on.
    ///
    /// # Errors
    ///
    /// `EALREADY`: it runs; the driver's own; `ENODEV`.
    pub fn start(&mut self) -> Result {
        self.live_port()?.start()
    }

    /// Has the stream pause.
    ///
    /// # Errors
    ///
    /// `EBADFD`: stopped; `EALREADY`: suspended; the driver's own; `ENODEV`.
    pub fn suspend(&mut self) -> Result {
        self.live_port()?.suspend()
    }

    /// Stops the stream, and says how many descriptors were discarded: of the driver's and of the
    /// client's. To drain may take `timeout_ns`.
    ///
    /// # Errors
    ///
    /// `EALREADY`: stopped; to drain: `EBADFD`: suspended, `EINTR`, `ETIMEDOUT`; `ENODEV`.
    pub fn stop(&mut self, how: Stop, timeout_ns: Option<u64>) -> Result<(u64, u64)> {
        let discarded = self.live_port()?.stop(how, timeout_ns)?;
        Ok((discarded.output, discarded.input))
    }

    /// Has the driver's input callback run soon, in a worker, with a token.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: too many wait already; `ENODEV`.
    pub fn notice(&mut self, token: u32) -> Result {
        self.session.live_pool()?;
        Port::notice(self.session.port()?.to_arc(), token)
    }

    /// Runs the driver's synchronous input callback, and returns what it returns.
    ///
    /// # Errors
    ///
    /// The driver's own; `EOPNOTSUPP`: it has none; `ENODEV`.
    pub fn notice_sync(&mut self, token: u32) -> Result {
        self.live_port()?.notice_sync(token)
    }

    /// The next buffer that the driver sent: full, or in input mode for the client to fill.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]: none waits, and the callback is called when one does; [`Error::Stopped`]: nor
    /// will one, unless the stream is started again; [`Error::Gone`]; [`Error::Corrupt`].
    pub fn receive(&mut self) -> Result<ClientBuffer, Error> {
        let output = self.queue(Direction::Output)?;
        let pool = self.pool()?;
        let mut armed = false;
        loop {
            // Before the look: what came before it is found.
            let (gone, ended) = (output.is_gone(), pool.is_ended());
            let found = self.with_ends(|ends| {
                if pool.mode() == Mode::Output {
                    // What the client dropped is the driver's to fill.
                    while let Some(id) = pool.spare.take_put() {
                        ends.give_back(id)?;
                    }
                }
                let (descriptor, _) = ends.peek()?;
                ends.release();
                Ok(descriptor)
            });
            match found {
                Ok(descriptor) => {
                    let pool = PoolRef::from(pool.clone());
                    return Ok(ClientBuffer::new(pool, descriptor));
                }
                Err(Error::Empty) if gone => return Err(Error::Gone),
                Err(Error::Empty) if ended => return Err(Error::Stopped),
                Err(Error::Empty) if !armed => {
                    output.notify.arm();
                    armed = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A buffer to fill: one that the client has had from the start, or dropped, or else the next that
    /// the driver sent.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: in output mode the client fills none; as [`Self::receive`].
    pub fn take(&mut self) -> Result<ClientBuffer, Error> {
        let pool = self.pool()?;
        if pool.fix_mode() == Mode::Output {
            return Err(Error::Invalid);
        }
        match pool.spare.take(pool) {
            Some(id) => Ok(ClientBuffer::empty(PoolRef::from(pool.clone()), id)),
            None => self.receive(),
        }
    }

    /// Passes a buffer on to the driver, with the ranges that were set.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`]: it is another session's; [`Error::Gone`]. The buffer counts as dropped.
    pub fn send(&mut self, buffer: ClientBuffer) -> Result<(), Error> {
        if self.queue(Direction::Input)?.is_gone() {
            return Err(Error::Gone);
        }
        if !buffer.is_of(self.pool()?) {
            return Err(Error::Stale);
        }
        self.with_ends(|ends| ends.send(buffer.descriptor()))?;
        buffer.gone();
        Ok(())
    }

    /// Sleeps until there is something to receive, a fatal signal (any, if `interruptible`), or for at
    /// most `timeout_ns` nanoseconds.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`]; [`Error::TimedOut`]; [`Error::Stopped`], [`Error::Gone`]: nothing waits,
    /// and nothing will.
    pub fn wait(&mut self, timeout_ns: Option<u64>, interruptible: bool) -> Result<(), Error> {
        might_sleep();
        let output = self.queue(Direction::Output)?;
        let pool = self.pool()?;
        let ready = || output.is_ready().unwrap_or(true);
        let woken = output.notify.user.wait(interruptible, timeout_ns, || {
            // A wake-up takes the arming, so each look arms first.
            output.notify.arm();
            output.is_gone() || pool.is_ended() || ready()
        });
        match woken {
            Err(error) if error == ETIMEDOUT => Err(Error::TimedOut),
            Err(_) => Err(Error::Interrupted),
            Ok(()) if ready() => Ok(()),
            Ok(()) if output.is_gone() => Err(Error::Gone),
            Ok(()) => Err(Error::Stopped),
        }
    }

    /// Has `callback` called in a worker: soon, and then whenever something has come for a client that
    /// found nothing to receive, the stream was stopped, or the driver is gone. It replaces the one
    /// before it.
    ///
    /// The callback may use the client, but not drop it, which waits for it. Nor may it take a lock that
    /// is held while the client is dropped, or gets another callback by this.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn set_callback(&mut self, callback: impl Fn() + Send + Sync + 'static) -> Result {
        let watch = self.watch()?;
        let callback: KBox<dyn Fn() + Send + Sync> = KBox::new(callback, GFP_KERNEL)?;
        watch.set(Some(callback));
        Watch::call(watch);
        Ok(())
    }

    /// Has the callback called again soon: for one that ends before it has found nothing left.
    pub fn call_again(&self) {
        if let Ok(watch) = self.watch() {
            Watch::call(watch);
        }
    }

    /// Runs `f` with the client's ends, and then tells the driver of what was sent.
    fn with_ends<R>(
        &self,
        f: impl FnOnce(&mut ClientEnds<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        might_sleep();
        let output = self.queue(Direction::Output)?;
        let input = self.queue(Direction::Input)?;
        // SAFETY: The session has no file, so that no process has the ends; the methods that get here
        // have the client exclusively.
        let mut ends = unsafe { ClientEnds::resume(output, input, self.pool()?) }?;
        let done = f(&mut ends);
        if ends.must_notify() {
            if let Ok(port) = self.session.port() {
                port.notify(input);
            }
        }
        done
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Ok(watch) = self.watch() {
            // Waits for one that runs.
            watch.set(None);
        }
    }
}

/// The credentials of whoever runs.
fn current_credential() -> ARef<Credential> {
    // SAFETY: The current task is valid, and the reference to its credentials is taken over.
    unsafe {
        let credential = kernel::bindings::get_task_cred(kernel::current!().as_ptr());
        ARef::from_raw(Credential::from_ptr(credential).into())
    }
}
