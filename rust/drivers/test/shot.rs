// SPDX-License-Identifier: GPL-2.0

//! Enqueues, or does something else, from softirq or hard interrupt context, in a timer that fires
//! once.

use iostream::{Error, Producer, Wake};
use kernel::{
    impl_has_hr_timer,
    prelude::*,
    sync::{new_spinlock_irq, Arc, ArcBorrow, Completion, SpinLockIrq},
    time::{
        hrtimer::{
            HrTimer, HrTimerCallback, HrTimerCallbackContext, HrTimerPointer, HrTimerRestart,
            RelativeMode, RelativeSoftMode,
        },
        Delta, Monotonic,
    },
};

/// The longest entry that a shot enqueues.
pub(crate) const SHOT_BYTES: usize = 256;

struct State {
    producer: Option<Producer>,
    entry: [u8; SHOT_BYTES],
    len: usize,
    wake: Wake,
    done: Result<(), Error>,
    /// Something else.
    job: Option<Job>,
}

/// What a shot does instead of enqueuing.
pub(crate) type Job = KBox<dyn FnMut() + Send>;

impl State {
    fn fire(&mut self) {
        if let Some(job) = &mut self.job {
            job();
        }
        if let Some(producer) = &mut self.producer {
            self.done = producer.enqueue_with(&self.entry[..self.len], self.wake);
        }
    }
}

macro_rules! shot {
    ($name:ident, $mode:ty) => {
        #[pin_data]
        struct $name {
            #[pin]
            timer: HrTimer<Self>,
            #[pin]
            state: SpinLockIrq<State>,
            #[pin]
            fired: Completion,
        }

        impl HrTimerCallback for $name {
            type Pointer<'a> = Arc<Self>;

            fn run(
                this: ArcBorrow<'_, Self>,
                _context: HrTimerCallbackContext<'_, Self>,
            ) -> HrTimerRestart {
                this.state.lock().fire();
                this.fired.complete_all();
                HrTimerRestart::NoRestart
            }
        }

        impl_has_hr_timer! {
            impl HasHrTimer<Self> for $name { mode: $mode, field: self.timer }
        }

        impl $name {
            fn run_with(state: State) -> Result<(Option<Producer>, Result<(), Error>)> {
                let shot = Arc::pin_init(
                    pin_init!(Self {
                        timer <- HrTimer::new(),
                        state <- new_spinlock_irq!(state),
                        fired <- Completion::new(),
                    }),
                    GFP_KERNEL,
                )?;
                let handle = shot.clone().start(Delta::from_micros(10));
                shot.fired.wait_for_completion();
                drop(handle);
                let mut state = shot.state.lock();
                Ok((state.producer.take(), state.done))
            }
        }
    };
}

// Hard interrupt context, except on a PREEMPT_RT kernel, where code that takes a lock must not run
// there.
shot!(HardShot, RelativeMode<Monotonic>);
shot!(SoftShot, RelativeSoftMode<Monotonic>);

/// Enqueues `bytes` from hard interrupt or softirq context. Returns the producer.
pub(crate) fn fire(
    producer: Producer,
    bytes: &[u8],
    wake: Wake,
    hard: bool,
) -> Result<(Option<Producer>, Result<(), Error>)> {
    let mut entry = [0; SHOT_BYTES];
    entry
        .get_mut(..bytes.len())
        .ok_or(EINVAL)?
        .copy_from_slice(bytes);
    let state = State {
        producer: Some(producer),
        entry,
        len: bytes.len(),
        wake,
        done: Ok(()),
        job: None,
    };
    run_with(state, hard)
}

/// Does something in hard interrupt or softirq context.
pub(crate) fn run(job: Job, hard: bool) -> Result {
    let state = State {
        producer: None,
        entry: [0; SHOT_BYTES],
        len: 0,
        wake: Wake::Normal,
        done: Ok(()),
        job: Some(job),
    };
    run_with(state, hard).map(drop)
}

fn run_with(state: State, hard: bool) -> Result<(Option<Producer>, Result<(), Error>)> {
    if hard {
        HardShot::run_with(state)
    } else {
        SoftShot::run_with(state)
    }
}
