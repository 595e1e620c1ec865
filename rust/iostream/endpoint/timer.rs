// SPDX-License-Identifier: GPL-2.0

//! A source that a high-resolution timer drives, in hard interrupt context.
//!
//! The timer does not use `RelativeHardMode`. With that mode its callback would run in hard
//! interrupt context on a PREEMPT_RT kernel, too, where waking takes locks that must not be taken
//! in this context.

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
/// The most interrupts a second. Faster sources produce several entries in each.
const MAX_TICKS: u64 = 1000;
/// The longest entry, which limits the time in an interrupt.
const MAX_ENTRY_BYTES: u32 = 64 << 10;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Refuses rates at which the timer would keep a processor busy.
///
/// # Errors
///
/// `ERANGE` if one of the limits above is exceeded.
pub(super) fn check_rate(rate: u64, longest: u32) -> Result {
    if rate == 0 {
        // The source has no timer.
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

/// The kernel's timer, with what its callback uses. Only the callback takes the lock.
#[pin_data]
struct Ticker {
    #[pin]
    timer: HrTimer<Self>,
    #[pin]
    ticking: SpinLockIrq<Ticking>,
}

/// What a tick uses.
struct Ticking {
    producer: Producer,
    generator: Generator,
    stats: Arc<Stats>,
    interval: Delta,
    /// Entries a second.
    rate: u64,
    /// The part of an entry that earlier ticks left over, as a numerator over `MAX_TICKS`.
    owed: u64,
}

impl Ticking {
    /// Produces the entries of one interval.
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
        // The session is open as long as the timer runs, so the batch runs. During a reset it does
        // not.
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
        let mut ticking = this.ticking.lock();
        ticking.tick();
        context.forward_now(ticking.interval);
        HrTimerRestart::Restart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Ticker {
        mode: RelativeMode<Monotonic>, field: self.timer
    }
}

/// A source whose timer runs. Dropping it stops the timer, and waits for a tick that runs.
pub(super) struct SourceTimer {
    _handle: ArcHrTimerHandle<Ticker>,
}

impl SourceTimer {
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
                ticking <- new_spinlock_irq!(Ticking {
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
