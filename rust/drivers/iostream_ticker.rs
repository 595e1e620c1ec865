// SPDX-License-Identifier: GPL-2.0
//! Sends the time since boot in nanoseconds, ten times a second, from interrupt context.
use iostream::{Config, NoCallbacks, Ports, Producer, QueueConfig, Registration};
use kernel::sync::{new_spinlock_irq, Arc, ArcBorrow, SpinLockIrq};
use kernel::time::{hrtimer::*, Delta, Instant, Monotonic};
use kernel::{impl_has_hr_timer, prelude::*};

module! {
    type: Ticker, name: "iostream_ticker", authors: ["the iostream authors"],
    description: "Gives the time ten times a second", license: "GPL",
}

struct Ticker {
    _timer: ArcHrTimerHandle<Tick>, // Dropped first, so that it produces nothing later.
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
    fn run(this: ArcBorrow<'_, Self>, mut t: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let now = Instant::<Monotonic>::now().as_nanos().to_ne_bytes();
        let _ = this.producer.lock().enqueue(&now); // Fails while no client is there.
        t.forward_now(Delta::from_millis(100));
        HrTimerRestart::Restart
    }
}
impl_has_hr_timer! {
    impl HasHrTimer<Self> for Tick { mode: RelativeMode<Monotonic>, field: self.timer }
}

impl kernel::Module for Ticker {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let config = Config::new(c"ticker").mode(0o660);
        let config = config.output(QueueConfig::with_capacity(4096)?);
        let mut ports = Ports::new(config)?;
        let producer = new_spinlock_irq!(ports.producer.take().ok_or(ENODEV)?);
        let node = Registration::new(ports, NoCallbacks)?;
        let tick = pin_init!(Tick { timer <- HrTimer::new(), producer <- producer });
        let tick = Arc::pin_init(tick, GFP_KERNEL)?;
        let timer = tick.start(Delta::from_millis(100));
        Ok(Self {
            _timer: timer,
            _node: node,
        })
    }
}
