// SPDX-License-Identifier: GPL-2.0
//! Gives the time since boot in nanoseconds, ten times a second: `cat /dev/iostream1 | od -t d8`
use iostream::{Config, NoCallbacks, Ports, Producer, QueueConfig, Registration};
use kernel::sync::{new_spinlock_irq, Arc, ArcBorrow, SpinLockIrq};
use kernel::time::{hrtimer::*, Delta, Instant, Monotonic};
use kernel::{impl_has_hr_timer, prelude::*};
module! {
    type: Ticker,
    name: "iostream_ticker",
    authors: ["the iostream authors"],
    description: "Gives the time ten times a second",
    license: "GPL",
}
struct Ticker {
    _timer: ArcHrTimerHandle<Tick>, // Goes first: stopped before the node is removed.
    _node: Registration<NoCallbacks>,
}
#[pin_data]
struct Tick {
    #[pin]
    timer: HrTimer<Self>,
    #[pin]
    producer: SpinLockIrq<Producer>,
}
impl HrTimerCallback for Tick {
    type Pointer<'a> = Arc<Self>;
    fn run(
        this: ArcBorrow<'_, Self>,
        mut timer: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        let now = Instant::<Monotonic>::now().as_nanos();
        let _ = this.producer.lock().enqueue(&now.to_ne_bytes()); // Nobody listens, or it is full.
        timer.forward_now(Delta::from_millis(100));
        HrTimerRestart::Restart
    }
}
impl_has_hr_timer! {
    impl HasHrTimer<Self> for Tick { mode: RelativeHardMode<Monotonic>, field: self.timer }
}
impl kernel::Module for Ticker {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let mut ports =
            Ports::new(Config::new(c"ticker").output(QueueConfig::with_capacity(4096)?))?;
        let producer = ports.producer.take().ok_or(ENODEV)?;
        let node = Registration::new(ports, NoCallbacks)?;
        let tick =
            pin_init!(Tick { timer <- HrTimer::new(), producer <- new_spinlock_irq!(producer) });
        let timer = Arc::pin_init(tick, GFP_KERNEL)?.start(Delta::from_millis(100));
        Ok(Self {
            _timer: timer,
            _node: node,
        })
    }
}
