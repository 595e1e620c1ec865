// SPDX-License-Identifier: GPL-2.0

//! The stream: the data that the process sends go into the card, and come back from there.
//!
//! The card holds 4096 bytes, so a buffer goes through it in pieces. Each piece moves from the
//! buffer that the process sent into the card, and from the card into another buffer, which goes to
//! the process. The processor moves no data. Each transfer ends with an interrupt, which starts the
//! next.

use iostream::{stream::Shared, Buffer, DmaSegment, Driver, Error, Stop, Stream};
use kernel::{
    fmt,
    prelude::*,
    sync::{atomic::Relaxed, new_spinlock_irq, Arc, SpinLockIrq},
    time::{delay::fsleep, Delta, Instant, Monotonic},
};

use crate::{
    card::{Card, Transfer, Way, CARD_BYTES, PATIENCE},
    journal::{Counters, Journal},
};

/// A buffer on its way through the card.
struct Job {
    from: Buffer<Shared>,
    to: Buffer<Shared>,
    /// Offset and length of the data, in both buffers.
    range: (usize, usize),
    /// Bytes that have gone through the card.
    done: usize,
    /// Bytes after those that are in the card now.
    in_card: usize,
}

impl Job {
    fn new(from: Buffer<Shared>, mut to: Buffer<Shared>) -> Result<Self, Error> {
        let range = from.data_range();
        to.set_data_range(range.0, range.1)?;
        Ok(Self {
            from,
            to,
            range,
            done: 0,
            in_card: 0,
        })
    }

    /// The next transfer; `None` when all data have gone through the card.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`]: the buffers are no longer mapped for the card.
    fn next(&self) -> Result<Option<Transfer>, Error> {
        let left = self.range.1 - self.done;
        if left == 0 {
            return Ok(None);
        }
        let offset = self.offset();
        let (source, source_len) = place(self.from.dma_segments(), offset)?;
        let (target, target_len) = place(self.to.dma_segments(), offset)?;
        let piece = CARD_BYTES.min(left).min(source_len).min(target_len);
        Ok(Some(match self.in_card {
            0 => Transfer {
                way: Way::ToCard,
                address: source,
                len: piece,
            },
            len => Transfer {
                way: Way::FromCard,
                address: target,
                len,
            },
        }))
    }

    /// Notes that the transfer of [`Self::next`] is done.
    fn step(&mut self, transfer: Transfer) {
        match transfer.way {
            Way::ToCard => self.in_card = transfer.len,
            Way::FromCard => {
                self.in_card = 0;
                self.done += transfer.len;
            }
        }
    }

    /// The offset of the next piece in the data areas.
    fn offset(&self) -> usize {
        self.range.0 + self.done
    }

    /// The id of the buffer that a transfer reads or writes.
    fn buffer(&self, way: Way) -> u32 {
        match way {
            Way::ToCard => self.from.id(),
            Way::FromCard => self.to.id(),
        }
    }
}

/// The card's address of an offset in the data, and how many bytes follow there without a break.
fn place(segments: &[DmaSegment], mut offset: usize) -> Result<(u64, usize), Error> {
    for segment in segments {
        if offset < segment.len {
            return Ok((segment.address + offset as u64, segment.len - offset));
        }
        offset -= segment.len;
    }
    Err(Error::Gone)
}

/// State that callbacks and interrupts share.
struct State {
    stream: Stream<Shared>,
    /// The stream is neither stopped nor suspended.
    running: bool,
    job: Option<Job>,
    /// The transfer that the card is doing.
    in_flight: Option<Transfer>,
    journal: Journal,
}

/// Moves the buffers of the stream through the card.
#[pin_data]
pub(crate) struct Engine {
    card: Card,
    counters: Counters,
    #[pin]
    state: SpinLockIrq<State>,
}

impl Engine {
    pub(crate) fn new(card: Card, stream: Stream<Shared>) -> Result<Arc<Self>> {
        let journal = Journal::new()?;
        Arc::pin_init(
            pin_init!(Self {
                card,
                counters: Counters::new(),
                state <- new_spinlock_irq!(State {
                    stream,
                    running: false,
                    job: None,
                    in_flight: None,
                    journal,
                }),
            }),
            GFP_KERNEL,
        )
    }

    /// Handles the card's interrupt. Returns whether the card raised one.
    pub(crate) fn interrupt(&self) -> bool {
        if !self.card.acknowledge() {
            return false;
        }
        self.counters.interrupts.add(1, Relaxed);
        let mut state = self.state.lock();
        // The interrupt came late, for an earlier transfer, and the card is doing the next one.
        if self.card.is_busy() {
            return true;
        }
        if let Some(transfer) = state.in_flight.take() {
            self.counters.count(transfer);
            if let Some(job) = &mut state.job {
                job.step(transfer);
            }
            self.go_on(&mut state);
        }
        true
    }

    /// Starts the next transfer, if there is one and the card is idle.
    fn go_on(&self, state: &mut State) {
        while state.running && state.in_flight.is_none() {
            let job = match state.job.take() {
                Some(job) => job,
                // Nothing was sent, or the session is over. The next callback comes here again.
                None => match begin(&mut state.stream) {
                    Ok(job) => job,
                    Err(_) => return,
                },
            };
            match job.next() {
                Ok(Some(transfer)) => {
                    let (buffer, offset) = (job.buffer(transfer.way), job.offset());
                    state.journal.record(transfer, buffer, offset);
                    state.in_flight = Some(transfer);
                    state.job = Some(job);
                    self.card.start(transfer);
                }
                Ok(None) => {
                    // The buffer that the process sent becomes free.
                    drop(job.from);
                    if state.stream.send(job.to).is_ok() {
                        self.counters.buffers.add(1, Relaxed);
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Starts no new transfer. The card finishes the current one.
    fn pause(&self) {
        self.state.lock().running = false;
    }

    pub(crate) fn show_counters(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counters.show(out)
    }

    pub(crate) fn show_transfers(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.lock().journal.show(out)
    }
}

/// Pairs the next buffer that the process sent with one to return the data in.
fn begin(stream: &mut Stream<Shared>) -> Result<Job, Error> {
    match stream.receive() {
        Ok(from) => match stream.take() {
            Ok(to) => Job::new(from, to),
            Err(error) => {
                // The data cannot come back, so the process learns that a frame is missing.
                let _ = stream.report_lost(1);
                Err(error)
            }
        },
        Err(error) => {
            share_out(stream)?;
            Err(error)
        }
    }
}

/// Sends free buffers to the process to fill, all but one: the data come back in that one.
fn share_out(stream: &mut Stream<Shared>) -> Result<(), Error> {
    while stream.free_buffers()? > 1 {
        let buffer = stream.take()?;
        stream.send(buffer)?;
    }
    Ok(())
}

/// The driver's callbacks.
pub(crate) struct Callbacks(pub(crate) Arc<Engine>);

impl Driver for Callbacks {
    /// Starts, or continues where a suspension interrupted it.
    fn start(&self) -> Result {
        if self.0.card.is_wedged() {
            return Err(EIO);
        }
        let mut state = self.0.state.lock();
        state.running = true;
        self.0.go_on(&mut state);
        Ok(())
    }

    fn data_available(&self) {
        self.0.go_on(&mut self.0.state.lock());
    }

    fn suspend(&self) -> Result {
        self.0.pause();
        Ok(())
    }

    fn stop(&self, how: Stop) {
        if how == Stop::Drain {
            self.0.finish();
        }
        self.0.pause();
        self.0.card.wait_idle();
        let (job, _) = {
            let mut state = self.0.state.lock();
            (state.job.take(), state.in_flight.take())
        };
        drop(job);
    }
}

impl Engine {
    /// Waits until the client's last buffer, which was received, has come back; but not for a
    /// transfer that does not end, nor in a thread that is killed.
    fn finish(&self) {
        let mut transfers = self.counters.interrupts.load(Relaxed);
        let mut start = Instant::<Monotonic>::now();
        while self.is_at_work() && !is_killed() {
            let now = self.counters.interrupts.load(Relaxed);
            if now != transfers {
                (transfers, start) = (now, Instant::now());
            }
            if start.elapsed() > PATIENCE {
                return;
            }
            fsleep(Delta::from_millis(1));
        }
    }

    /// Whether a buffer is on its way through the card, and the card is present.
    fn is_at_work(&self) -> bool {
        let state = self.state.lock();
        state.running && state.job.is_some() && self.card.is_present()
    }
}

/// Whether a fatal signal waits for the calling thread.
fn is_killed() -> bool {
    let task = kernel::current!();
    // SAFETY: The current task is valid. The word may change meanwhile, so it is read once.
    let pending = unsafe { (&raw const (*task.as_ptr()).pending.signal.sig[0]).read_volatile() };
    task.signal_pending() && pending & (1 << (kernel::bindings::SIGKILL - 1)) != 0
}
