// SPDX-License-Identifier: GPL-2.0

//! A kernel module as the client of a stream.
//!
//! The module has a session like that of a process, except that the kernel uses the client's ends
//! of the queues. The driver sees no difference. The client keeps no reference to the driver,
//! which may go at any time. `rust/drivers/iostream_monitor.rs` is an example.

pub(crate) mod buffer;

use kernel::{
    cred::Credential,
    prelude::*,
    sync::{aref::ARef, Arc},
    task::might_sleep,
};

use crate::sync::race::race_point;
use crate::{
    channel::{client_ends::ClientEnds, lane::Lane},
    error::Error,
    memory::account::Account,
    node::{names, session::Session},
    pool::{clock::Clock, spec::Mode, state::Stop, Pool, PoolRef},
    port::Port,
    queue::{config::Direction, watch::Watch},
    sync::{
        gate::Patience,
        registered::{words_of, Listed, Registered},
        wait::Deadline,
    },
};

use buffer::ClientBuffer;

/// A stream that a kernel module has open. Dropping it ends the session.
///
/// # Contexts
///
/// All methods and the drop are for process context and may sleep, because they call the driver's
/// callbacks.
///
/// # Errors
///
/// After the driver's registration was dropped, methods return [`Error::Gone`] or `ENODEV`. Buffers
/// that were sent before can still be received.
///
/// If a module leaks a client that has a callback, callback and session end with the module.
///
/// # Examples
///
/// ```rust,ignore,from:rust/drivers/iostream_monitor.rs
/// let client = Client::open(c"pattern")?;
/// // ...
/// for _ in 0..BATCH {
///     match client.receive() {
///         // The buffer is dropped here, and goes back with the next call.
///         Ok(buffer) => self.count(&buffer),
///         Err(Error::Gone) => return self.gone.store(1, Relaxed),
///         Err(_) => return,
///     }
/// }
/// client.call_again();
/// // ...
/// client.set_callback(move || monitor.look())?;
/// let started = client.start();
/// ```
pub struct Client {
    session: Arc<Session>,
    /// How many buffers the client has sent.
    sent: u64,
    /// The place of the callback among what ends with its module.
    listed: Option<Listed>,
}

/// A client's callback and session, which end with its module even if the client is leaked.
///
/// # Invariants
///
/// `session` is what the client's own reference points at.
struct Callback {
    watch: Arc<Watch>,
    words: [usize; 2],
    session: *const Session,
}

// SAFETY: Only the raw pointer keeps the type from being `Send`, and a session may be dropped by any
// thread.
unsafe impl Send for Callback {}
// SAFETY: Only the raw pointer keeps the type from being `Sync`, and it is used once, by the thread
// that unloads the module.
unsafe impl Sync for Callback {}

impl Registered for Callback {
    fn words(&self) -> [usize; 2] {
        self.words
    }

    /// A client does not belong to a device.
    fn end_with_device(&self) {}

    fn end_with_module(&self) {
        self.watch.forget();
        // SAFETY: A client that is dropped leaves the list first, so this one was leaked, and its
        // reference is still counted. Nothing is left that could use or drop the client: the
        // callback's module is gone, and so is every module that uses symbols of it.
        drop(unsafe { Arc::from_raw(self.session) });
    }
}

impl Client {
    /// Opens the stream of a node, by the node's name. If the node has as many clients as it can
    /// have, this waits half a second for one of them to leave.
    ///
    /// # Errors
    ///
    /// `ENOENT` if there is no node with this name; `ENOTTY` if it has no stream; `EBUSY` if it
    /// keeps as many clients as it can have; `ENODEV` if its driver is going; the driver's own;
    /// `ENOMEM`; `EINTR`.
    pub fn open(name: &CStr) -> Result<Self> {
        let node = names::find(name)?;
        let stream = node.ports().first().and_then(|port| port.records());
        stream.ok_or(ENOTTY)?;
        Ok(Self {
            session: Session::open(
                &node,
                &current_credential(),
                Account::of_drivers(),
                Patience::UntilKilled,
            )?,
            listed: None,
            sent: 0,
        })
    }

    /// A queue of the session.
    fn queue(&self, direction: Direction) -> Result<&Lane, Error> {
        match self.session.queue(direction) {
            Ok(queue) => Ok(queue),
            // Does not happen: a stream has both queues.
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

    /// The port, while the driver is there.
    fn live_port(&self) -> Result<&Port> {
        self.session.live_pool()?;
        Ok(self.session.port()?)
    }

    /// The stream's mode.
    ///
    /// # Errors
    ///
    /// None that a client can cause; the result has the type of the other methods.
    pub fn mode(&self) -> Result<Mode, Error> {
        Ok(self.pool()?.mode())
    }

    /// The clock of the stream's timestamps.
    ///
    /// # Errors
    ///
    /// None that a client can cause; the result has the type of the other methods.
    pub fn clock(&self) -> Result<Clock, Error> {
        Ok(self.pool()?.spec().clock)
    }

    /// Changes the mode. This is possible until the stream is started or a buffer is taken.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it is too late; `EOPNOTSUPP` if the stream has only one mode; the driver's own;
    /// `ENODEV`; `EINTR`, as for [`Self::start`].
    pub fn set_mode(&mut self, mode: Mode) -> Result {
        self.live_port()?.set_mode(mode, Patience::UntilKilled)
    }

    /// How many buffers the session has. Buffers that the driver has added meanwhile join it first.
    ///
    /// # Errors
    ///
    /// `ENODEV`; `ENOMEM`; `EDQUOT`; `EINTR`.
    pub fn buffers(&mut self) -> Result<u32> {
        let port = self.live_port()?;
        let pool = self.pool()?;
        port.join_added(pool)?;
        Ok(pool.count())
    }

    /// Starts the stream, or resumes it after a suspend.
    ///
    /// # Errors
    ///
    /// `EALREADY` if the stream runs; the driver's own; `ENODEV`; `EINTR` if a fatal signal came, or
    /// the calling kernel thread is told to stop, while another call changes the stream.
    pub fn start(&mut self) -> Result {
        self.live_port()?.start(Patience::UntilKilled)
    }

    /// Suspends the stream. What is queued stays queued.
    ///
    /// # Errors
    ///
    /// `EBADFD` if the stream is stopped; `EALREADY` if it is suspended; the driver's own;
    /// `ENODEV`; `EINTR`, as for [`Self::start`].
    pub fn suspend(&mut self) -> Result {
        self.live_port()?.suspend(Patience::UntilKilled)
    }

    /// Stops the stream. Returns how many descriptors were discarded: those that the driver had
    /// sent, and those that the client had sent. A drain waits for at most `timeout_ns`
    /// nanoseconds.
    ///
    /// # Errors
    ///
    /// `EALREADY` if the stream is stopped; `ENODEV`. To drain also `EBADFD` if the stream is
    /// suspended, `EINTR` (a signal came, or the calling kernel thread is told to stop) and
    /// `ETIMEDOUT`.
    pub fn stop(&mut self, how: Stop, timeout_ns: Option<u64>) -> Result<(u64, u64)> {
        let discarded = self
            .live_port()?
            .stop(how, timeout_ns, Patience::UntilKilled)?;
        Ok((discarded.output, discarded.input))
    }

    /// Sends the driver a notice with a token: schedules a call of its input callback in a worker.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if too many notices wait already; `ENODEV`.
    pub fn notice(&mut self, token: u32) -> Result {
        self.session.live_pool()?;
        Port::notice(self.session.port()?.to_arc(), token)
    }

    /// Calls the driver's synchronous input callback, and returns its result.
    ///
    /// # Errors
    ///
    /// The driver's own; `EOPNOTSUPP` if the driver has no such callback; `ENODEV`.
    pub fn notice_sync(&mut self, token: u32) -> Result {
        self.live_port()?.notice_sync(token)
    }

    /// The next buffer that the driver sent. It is full, or in input mode empty for the client to
    /// fill.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] if no buffer waits: the callback is called when one does.
    /// [`Error::Stopped`] if no buffer waits and the stream is stopped. [`Error::Gone`];
    /// [`Error::Corrupt`].
    pub fn receive(&mut self) -> Result<ClientBuffer, Error> {
        let output = self.queue(Direction::Output)?;
        let pool = self.pool()?;
        let mut armed = false;
        loop {
            // Read before the queue, so that everything that was sent before the end is found.
            let (gone, ended) = (output.is_gone(), pool.is_ended());
            let found = self.with_ends(|ends| {
                if pool.mode() == Mode::Output {
                    // Returns the buffers that the client has dropped, for the driver to fill.
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
                    race_point!("client-armed");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a buffer to fill: one that has been with the client from the start, or that it has
    /// dropped, or else the next one that the driver sent.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] in output mode, in which the client fills no buffers; those of
    /// [`Self::receive`].
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

    /// Sends a buffer to the driver, with the ranges that were set. What is sent is numbered 0, 1,
    /// 2 and so on.
    ///
    /// # Errors
    ///
    /// [`Error::Stale`] if the buffer is of another session; [`Error::Gone`]. After any error the
    /// buffer counts as dropped.
    pub fn send(&mut self, buffer: ClientBuffer) -> Result<(), Error> {
        if self.queue(Direction::Input)?.is_gone() {
            return Err(Error::Gone);
        }
        if !buffer.is_of(self.pool()?) {
            return Err(Error::Stale);
        }
        self.with_ends(|ends| ends.send(&buffer.outgoing(self.sent)))?;
        self.sent += 1;
        buffer.into_sent();
        Ok(())
    }

    /// Sleeps until there is a buffer to receive. Buffers that the driver adds do not end the sleep:
    /// the callback tells of them.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] after `timeout_ns` nanoseconds; [`Error::Interrupted`] by a fatal
    /// signal, or if `interruptible` by any signal, or if the calling kernel thread is told to
    /// stop; [`Error::Stopped`] or [`Error::Gone`] if nothing waits and the stream is stopped or
    /// the driver is gone.
    pub fn wait(&mut self, timeout_ns: Option<u64>, interruptible: bool) -> Result<(), Error> {
        might_sleep();
        let output = self.queue(Direction::Output)?;
        let pool = self.pool()?;
        let ready = || output.is_ready().unwrap_or(true);
        let deadline = Deadline::after(timeout_ns);
        let woken = output.notify.user.wait(interruptible, deadline, || {
            // A wake-up consumes the arming, so each check arms first.
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

    /// Sets the callback of this client, which replaces the previous one. It is called in a worker:
    ///
    /// - once soon after this,
    /// - when a buffer has come after the client found none to receive,
    /// - when the driver has added buffers, which join the session in [`Self::buffers`],
    /// - when the stream was stopped, and when the driver is gone.
    ///
    /// The callback may use the client. It must not drop the client or set another callback,
    /// because both wait until it has returned. For the same reason it must not take a lock that
    /// is held during one of them.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn set_callback(&mut self, callback: impl Fn() + Send + Sync + 'static) -> Result {
        let watch = self.watch()?;
        let callback: KBox<dyn Fn() + Send + Sync> = KBox::new(callback, GFP_KERNEL)?;
        let ends_with_module = Callback {
            watch: watch.clone(),
            words: words_of(&raw const *callback),
            // INVARIANT: This is the client's own reference.
            session: Arc::as_ptr(&self.session),
        };
        let listed = Listed::new(Arc::new(ends_with_module, GFP_KERNEL)?)?;
        watch.set(Some(callback));
        race_point!("client-watches");
        Watch::call(watch);
        self.listed = Some(listed);
        Ok(())
    }

    /// Schedules another call of the callback. A callback uses this when it returns before it has
    /// found nothing left to receive.
    pub fn call_again(&self) {
        if let Ok(watch) = self.watch() {
            Watch::call(watch);
        }
    }

    /// Runs `f` with the client's ends, and then notifies the driver of what was sent, if it waits.
    fn with_ends<R>(
        &self,
        f: impl FnOnce(&mut ClientEnds<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        might_sleep();
        let output = self.queue(Direction::Output)?;
        let input = self.queue(Direction::Input)?;
        // SAFETY: The session has no file, so no process uses the ends. All methods that call this
        // borrow the client exclusively.
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
            // Waits for a callback that runs.
            watch.set(None);
            race_point!("client-drops");
        }
    }
}

/// The credentials of the current task.
fn current_credential() -> ARef<Credential> {
    // SAFETY: The current task is valid. `get_task_cred` returns a reference, which the result
    // owns.
    unsafe {
        let credential = kernel::bindings::get_task_cred(kernel::current!().as_ptr());
        ARef::from_raw(Credential::from_ptr(credential).into())
    }
}
