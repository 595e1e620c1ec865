// SPDX-License-Identifier: GPL-2.0

//! A client inside the kernel: opens the stream `pattern`, and checks and counts its frames.
//!
//! `/sys/kernel/debug/iostream_monitor/counts` has the counts since the module was loaded.

#[path = "frame.rs"]
mod frame;

use frame::{Checker, Frame, FRAME_BYTES};
use iostream::{Client, ClientBuffer, Error};
use kernel::{
    debugfs, fmt,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        new_mutex, Arc, Mutex,
    },
};

module! {
    type: Module,
    name: "iostream_monitor",
    authors: ["the iostream authors"],
    description: "Checks the frames of iostream_pattern, inside the kernel",
    license: "GPL",
}

/// Frames that are checked in one call, before other work gets its turn.
const BATCH: usize = 32;

/// Fields drop in order: the file first, so that the counts are not read while the rest is dropped.
struct Module {
    _file: Pin<KBox<debugfs::File<Arc<Monitor>>>>,
    _dir: debugfs::Dir,
    _running: Running,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let client = Client::open(c"pattern")?;
        let monitor = Monitor::new(client);
        let monitor = Arc::pin_init(monitor, GFP_KERNEL)?;
        let running = Running(monitor.clone());
        running.start()?;
        let dir = debugfs::Dir::new(c"iostream_monitor");
        let file = dir.read_callback_file(c"counts", monitor, &show);
        Ok(Self {
            _file: KBox::pin_init(file, GFP_KERNEL)?,
            _dir: dir,
            _running: running,
        })
    }
}

#[pin_data]
struct Monitor {
    /// `None` while the module is unloaded.
    #[pin]
    client: Mutex<Option<Client>>,
    frames: Atomic<u64>,
    bytes: Atomic<u64>,
    bad: Atomic<u64>,
    /// Frames whose numbers are missing.
    missed: Atomic<u64>,
    /// Frames that the driver has reported lost.
    lost: Atomic<u64>,
    /// The number that should come next.
    next: Atomic<u64>,
    gone: Atomic<u32>,
}

fn show(monitor: &Arc<Monitor>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "frames={}", monitor.frames.load(Relaxed))?;
    writeln!(out, "bytes={}", monitor.bytes.load(Relaxed))?;
    writeln!(out, "bad={}", monitor.bad.load(Relaxed))?;
    writeln!(out, "missed={}", monitor.missed.load(Relaxed))?;
    writeln!(out, "lost={}", monitor.lost.load(Relaxed))?;
    writeln!(out, "gone={}", monitor.gone.load(Relaxed))
}

impl Monitor {
    fn new(client: Client) -> impl PinInit<Self> {
        pin_init!(Self {
            client <- new_mutex!(Some(client)),
            frames: Atomic::new(0),
            bytes: Atomic::new(0),
            bad: Atomic::new(0),
            missed: Atomic::new(0),
            lost: Atomic::new(0),
            next: Atomic::new(0),
            gone: Atomic::new(0),
        })
    }

    /// The client's callback: checks and counts what waits.
    fn look(&self) {
        let mut client = self.client.lock();
        let Some(client) = (*client).as_mut() else {
            return;
        };
        for _ in 0..BATCH {
            match client.receive() {
                // The buffer is dropped here, and goes back with the next call.
                Ok(buffer) => self.count(&buffer),
                Err(Error::Gone) => return self.gone.store(1, Relaxed),
                Err(_) => return,
            }
        }
        client.call_again();
    }

    fn count(&self, buffer: &ClientBuffer) {
        self.frames.add(1, Relaxed);
        self.bytes.add(buffer.data_range().1 as u64, Relaxed);
        self.lost.add(buffer.lost(), Relaxed);
        match checked(buffer) {
            Some(frame) => {
                let next = self.next.xchg(frame.sequence.wrapping_add(1), Relaxed);
                let missed = frame.sequence.saturating_sub(next);
                self.missed.add(missed, Relaxed);
            }
            None => self.bad.add(1, Relaxed),
        }
    }
}

/// The frame that the control area describes, if the data agree.
fn checked(buffer: &ClientBuffer) -> Option<Frame> {
    let (offset, len) = buffer.data_range();
    let control = buffer.control().get(..FRAME_BYTES)?.try_into().ok()?;
    let frame = Frame::from_bytes(control);
    let mut checker = Checker::new(frame, len);
    checker.look(buffer.data().get(offset..)?.get(..len)?);
    checker.is_good().then_some(frame)
}

/// Keeps the client running until it is dropped.
struct Running(Arc<Monitor>);

impl Running {
    fn start(&self) -> Result {
        let monitor = self.0.clone();
        // Without the lock, because the callback takes it.
        let mut client = self.0.client.lock().take().ok_or(ENODEV)?;
        client.set_callback(move || monitor.look())?;
        let started = client.start();
        // Callbacks until now have found no client, so ask for one more.
        (*self.0.client.lock()).insert(client).call_again();
        started
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The callback holds the monitor, and the monitor holds the client; dropping the client
        // breaks the circle. Without the lock, because the callback takes it.
        let client = self.0.client.lock().take();
        drop(client);
    }
}
