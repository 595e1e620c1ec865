// SPDX-License-Identifier: GPL-2.0

//! Entries from a timer's interrupt, each under the lock that the producer shares with the rest of
//! its driver.

use iostream::Producer;
use kernel::{
    impl_has_hr_timer,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        new_spinlock_irq, Arc, ArcBorrow, SpinLockIrq,
    },
    time::{delay::fsleep, hrtimer::*, Delta, Instant, Monotonic},
};

use crate::node::{BenchNode, Done};

#[pin_data]
struct Ticks {
    #[pin]
    timer: HrTimer<Self>,
    #[pin]
    producer: SpinLockIrq<Option<Producer>>,
    period: Delta,
    count: u64,
    made: Atomic<u64>,
    /// Nanoseconds of all calls, without those of reading the clock.
    spent_ns: Atomic<u64>,
    failed: Atomic<u64>,
}

impl HrTimerCallback for Ticks {
    type Pointer<'a> = Arc<Self>;

    fn run(this: ArcBorrow<'_, Self>, mut t: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let number = this.made.load(Relaxed);
        // Two looks at the clock: the time between them is the clock's own.
        let before = now();
        let begun = now();
        let made = match Option::as_mut(&mut this.producer.lock()) {
            Some(producer) => producer.enqueue(&number.to_ne_bytes()).is_ok(),
            None => false,
        };
        let spent = (now() - begun).saturating_sub(begun - before);
        if !made {
            this.failed.store(1, Relaxed);
            return HrTimerRestart::NoRestart;
        }
        // Nobody else stores these.
        let all = this.spent_ns.load(Relaxed);
        this.spent_ns.store(all.wrapping_add(spent as u64), Relaxed);
        this.made.store(number + 1, Relaxed);
        if number + 1 == this.count {
            return HrTimerRestart::NoRestart;
        }
        t.forward_now(this.period);
        HrTimerRestart::Restart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Ticks { mode: RelativeMode<Monotonic>, field: self.timer }
}

/// Nanoseconds since boot.
fn now() -> i64 {
    Instant::<Monotonic>::now().as_nanos()
}

/// Makes `count` entries, one in each interrupt of a timer on this processor, `period_ns` apart.
/// [`Done::sum`] is the time of the calls in nanoseconds.
pub(crate) fn run(node: &BenchNode, count: u64, period_ns: u64) -> Result<Done> {
    let period = Delta::from_nanos(i64::try_from(period_ns).map_err(|_| EINVAL)?);
    let producer = node.producer.lock().take();
    let ticks = Arc::pin_init(
        pin_init!(Ticks {
            timer <- HrTimer::new(),
            producer <- new_spinlock_irq!(producer),
            period,
            count,
            made: Atomic::new(0),
            spent_ns: Atomic::new(0),
            failed: Atomic::new(0),
        }),
        GFP_KERNEL,
    )?;
    let timer = ticks.clone().start(period);
    while ticks.made.load(Relaxed) < count && ticks.failed.load(Relaxed) == 0 {
        fsleep(Delta::from_millis(1));
    }
    drop(timer);
    *node.producer.lock() = ticks.producer.lock().take();
    if ticks.failed.load(Relaxed) != 0 {
        return Err(ENOBUFS);
    }
    Ok(Done {
        entries: count,
        sum: ticks.spent_ns.load(Relaxed),
        ..Done::default()
    })
}
