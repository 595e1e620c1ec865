// SPDX-License-Identifier: GPL-2.0

//! The stream: what the process sends goes into the card, and comes back from there.
//!
//! The card holds 4096 bytes, so a buffer goes through it in pieces: each is moved from the buffer
//! that the process sent into the card, and from the card into another buffer, which the process
//! gets. The processor moves nothing. Each transfer ends with an interrupt, and that begins the next.

use iostream::{stream::Shared, Buffer, DmaSegment, Driver, Error, Stop, Stream};
use kernel::{
    fmt,
    prelude::*,
    sync::{atomic::Relaxed, new_spinlock_irq, Arc, SpinLockIrq},
    time::{delay::fsleep, Delta},
};

use crate::{
    card::{Card, Transfer, Way, CARD_BYTES},
    journal::{Counters, Journal},
};

/// A buffer on its way through the card.
struct Job {
    from: Buffer<Shared>,
    to: Buffer<Shared>,
    /// Where the data begin in both, and their bytes.
    range: (usize, usize),
    /// How many of them are through.
    done: usize,
    /// The bytes after those that are in the card now.
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

    /// What the card has to do next; `None` when all is through.
    ///
    /// # Errors
    ///
    /// [`Error::Gone`]: the buffers are not mapped for the card any more.
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

    /// What [`Self::next`] said has been done.
    fn step(&mut self, transfer: Transfer) {
        match transfer.way {
            Way::ToCard => self.in_card = transfer.len,
            Way::FromCard => {
                self.in_card = 0;
                self.done += transfer.len;
            }
        }
    }

    /// Where in the data areas the next piece is.
    fn offset(&self) -> usize {
        self.range.0 + self.done
    }

    /// The buffer that a transfer has to do with.
    fn buffer(&self, way: Way) -> u32 {
        match way {
            Way::ToCard => self.from.id(),
            Way::FromCard => self.to.id(),
        }
    }
}

/// Where an offset of the data is for the card, and how many bytes follow there in a row.
fn place(segments: &[DmaSegment], mut offset: usize) -> Result<(u64, usize), Error> {
    for segment in segments {
        if offset < segment.len {
            return Ok((segment.address + offset as u64, segment.len - offset));
        }
        offset -= segment.len;
    }
    Err(Error::Gone)
}

/// What callbacks and interrupts share.
struct State {
    stream: Stream<Shared>,
    /// Neither stopped nor suspended.
    running: bool,
    job: Option<Job>,
    /// What the card is doing.
    in_flight: Option<Transfer>,
    journal: Journal,
}

/// The driver's half of the stream, and of the card.
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

    /// The card's interrupt. Whether it was one.
    pub(crate) fn interrupt(&self) -> bool {
        if !self.card.acknowledge() {
            return false;
        }
        self.counters.interrupts.add(1, Relaxed);
        let mut state = self.state.lock();
        // One that came late, for a transfer that was not waited for, finds the card at the next.
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

    /// Gives the card something to do, if there is something, and it has nothing.
    fn go_on(&self, state: &mut State) {
        while state.running && state.in_flight.is_none() {
            let job = match state.job.take() {
                Some(job) => job,
                // Nothing has been sent, or the session is over: the next callback tells.
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
                    // What the process sent is free for the next.
                    drop(job.from);
                    if state.stream.send(job.to).is_ok() {
                        self.counters.buffers.add(1, Relaxed);
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// Nothing new is begun; what the card is doing, it finishes.
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

/// What the process sent next, and a buffer to bring it back in.
fn begin(stream: &mut Stream<Shared>) -> Result<Job, Error> {
    match stream.receive() {
        Ok(from) => Job::new(from, stream.take()?),
        Err(error) => {
            share_out(stream)?;
            Err(error)
        }
    }
}

/// Gives the process what is free to fill, all but one buffer: in that its data come back.
fn share_out(stream: &mut Stream<Shared>) -> Result<(), Error> {
    while stream.free_buffers()? > 1 {
        let buffer = stream.take()?;
        stream.send(buffer)?;
    }
    Ok(())
}

/// What the framework calls.
pub(crate) struct Callbacks(pub(crate) Arc<Engine>);

impl Driver for Callbacks {
    /// Begins; after a suspension, goes on where it was.
    fn start(&self) -> Result {
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
        // The client's last buffer was taken; it is to come back, too.
        while how == Stop::Drain && self.0.is_at_work() {
            fsleep(Delta::from_millis(1));
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
    /// Whether a buffer is on its way, and the card there to move it.
    fn is_at_work(&self) -> bool {
        let state = self.state.lock();
        state.running && state.job.is_some() && self.card.is_present()
    }
}
