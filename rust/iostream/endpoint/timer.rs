// SPDX-License-Identifier: GPL-2.0

//! A source driven by a high-resolution timer: production in hard interrupt context.
//!
//! Not in `RelativeHardMode`, whose callbacks run there on a PREEMPT_RT kernel, too, with whose locks
//! nobody can be woken there.

use kernel::{
    impl_has_hr_timer,
    prelude::*,
    sync::{atomic::Relaxed, new_spinlock_irq, Arc, ArcBorrow, SpinLockIrq},
    time::{
        hrtimer::{
            ArcHrTimerHandle, HrTimer, HrTimerCallback, HrTimerCallbackContext, HrTimerPointer,
            HrTimerRestart, RelativeMode,
        },
        Delta, Monotonic,
    },
};

use super::{record::Generator, Stats};
use crate::ends::producer::Producer;

/// The most entries a second: a thousand in each of a thousand interrupts.
const MAX_RATE: u64 = 1_000_000;
/// The most bytes a second.
const MAX_BYTES_PER_SECOND: u64 = 64 << 20;
/// The most interrupts a second; faster sources make several entries in each.
const MAX_TICKS: u64 = 1000;
/// The longest entry, so that an interrupt ends soon.
const MAX_ENTRY_BYTES: u32 = 64 << 10;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Refuses rates with which the timer would keep a processor to itself.
///
/// # Errors
///
/// `ERANGE`.
pub(super) fn check_rate(rate: u64, longest: u32) -> Result {
    if rate == 0 {
        // Without a timer.
        return Ok(());
    }
    if rate > MAX_RATE
        || longest > MAX_ENTRY_BYTES
        || rate * u64::from(longest) > MAX_BYTES_PER_SECOND
    {
        return Err(ERANGE);
    }
    Ok(())
}

/// The timer and what it needs. The lock is taken by the tick alone.
#[pin_data]
struct Ticker {
    #[pin]
    timer: HrTimer<Self>,
    #[pin]
    state: SpinLockIrq<State>,
}

/// What a tick works with.
struct State {
    producer: Producer,
    generator: Generator,
    stats: Arc<Stats>,
    interval: Delta,
    /// Entries a second, and those owed from earlier ticks, in parts of `MAX_TICKS`.
    rate: u64,
    owed: u64,
}

impl State {
    fn tick(&mut self) {
        let due = if self.rate <= MAX_TICKS {
            1
        } else {
            self.owed += self.rate;
            let due = self.owed / MAX_TICKS;
            self.owed %= MAX_TICKS;
            due
        };
        let (mut made, mut bytes, mut dropped) = (0, 0, 0);
        let Self {
            producer,
            generator,
            ..
        } = self;
        // The session is open for as long as the timer runs, so the batch runs, too.
        let _ = producer.batch(|batch| {
            for _ in 0..due {
                let len = generator.next_len();
                match batch.enqueue_in_place(len, |entry| generator.fill(entry)) {
                    Ok(()) => {
                        made += 1;
                        bytes += len as u64;
                    }
                    Err(_) => {
                        generator.skip();
                        batch.report_lost(1);
                        dropped += 1;
                    }
                }
            }
        });
        self.stats.entries.add(made, Relaxed);
        self.stats.bytes.add(bytes, Relaxed);
        self.stats.dropped.add(dropped, Relaxed);
    }
}

impl HrTimerCallback for Ticker {
    type Pointer<'a> = Arc<Self>;

    fn run(
        this: ArcBorrow<'_, Self>,
        mut context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        let mut state = this.state.lock();
        state.tick();
        context.forward_now(state.interval);
        HrTimerRestart::Restart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Ticker {
        mode: RelativeMode<Monotonic>, field: self.timer
    }
}

/// A running timer. Dropping it stops it, and waits for a tick that runs.
pub(super) struct Timer {
    _handle: ArcHrTimerHandle<Ticker>,
}

impl Timer {
    /// Starts a source of `rate` entries a second.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn start(
        producer: Producer,
        generator: Generator,
        rate: u64,
        stats: Arc<Stats>,
    ) -> Result<Self> {
        let nanos = (NANOS_PER_SECOND / rate.clamp(1, MAX_TICKS)) as i64;
        let interval = Delta::from_nanos(nanos);
        let ticker = Arc::pin_init(
            pin_init!(Ticker {
                timer <- HrTimer::new(),
                state <- new_spinlock_irq!(State {
                    producer,
                    generator,
                    stats,
                    interval,
                    rate,
                    owed: 0,
                }),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self {
            _handle: ticker.start(interval),
        })
    }
}
