// SPDX-License-Identifier: GPL-2.0

//! Streams frames of a test pattern, at a set rate from interrupt context, or as fast as the client
//! takes them.
//!
//! `rust/uapi/iostream_frame.h` defines a frame. At a set rate a frame is lost if no buffer is
//! free, and the driver reports it. Otherwise the client sets the pace, and no frame is lost.

#[path = "frame.rs"]
mod frame;

use frame::{Frame, FRAME_BYTES};
use iostream::{stream, Config, Driver, Error, Opener, Registration, Stop, Stream, StreamConfig};
use kernel::{
    impl_has_hr_timer,
    prelude::*,
    sync::{new_mutex, new_spinlock_irq, Arc, ArcBorrow, Mutex, SpinLockIrq},
    time::{
        hrtimer::{
            ArcHrTimerHandle, HrTimer, HrTimerCallback, HrTimerCallbackContext, HrTimerPointer,
            HrTimerRestart, RelativeMode,
        },
        Delta, Monotonic,
    },
};

module! {
    type: Module,
    name: "iostream_pattern",
    authors: ["the iostream authors"],
    description: "Streams frames of a test pattern",
    license: "GPL",
    params: {
        rate: u32 {
            default: 100,
            description: "Frames a second, at most 10000; 0: as fast as the client takes them",
        },
        buffers: u32 {
            default: 8,
            description: "Buffers of each client's stream",
        },
        data_bytes: u32 {
            default: 16384,
            description: "Bytes of data of each frame, a multiple of 8",
        },
        clients: u32 {
            default: 1,
            description: "Clients that can have the node open at a time",
        },
    },
}

/// Limits of frames by timer: frames a second, bytes of a frame, bytes a second. They keep the
/// interrupt short.
const MAX_RATE: u32 = 10_000;
const MAX_TIMED_BYTES: u32 = 64 << 10;
const MAX_BYTES_PER_SECOND: u64 = 64 << 20;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// Frames that are made in one call without a timer, before other work gets its turn.
const BATCH: usize = 32;

struct Module {
    _node: Registration<Pattern>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let rate = module_parameters::rate.value();
        let data_bytes = module_parameters::data_bytes.value();
        check(rate, data_bytes)?;
        let mut clients = KVec::new();
        for _ in 0..module_parameters::clients.value() {
            let stream = StreamConfig::output(module_parameters::buffers.value(), data_bytes)?
                .control_bytes(FRAME_BYTES as u32)?
                .format(*b"TEST")
                .description(c"frames of a test pattern")?;
            let config = Config::new(c"pattern").mode(0o660);
            let (ports, stream) = Stream::new(config, stream)?;
            clients.push((ports, Pattern::new(stream, rate)?), GFP_KERNEL)?;
        }
        Ok(Self {
            _node: Registration::for_clients(clients)?,
        })
    }
}

fn check(rate: u32, data_bytes: u32) -> Result {
    if data_bytes % 8 != 0 {
        return Err(EINVAL);
    }
    let bytes_per_second = u64::from(rate) * u64::from(data_bytes);
    let timed = rate != 0;
    if timed
        && (rate > MAX_RATE
            || data_bytes > MAX_TIMED_BYTES
            || bytes_per_second > MAX_BYTES_PER_SECOND)
    {
        return Err(ERANGE);
    }
    Ok(())
}

/// Makes the frames of one client.
#[pin_data]
struct Source {
    #[pin]
    state: SpinLockIrq<State>,
    #[pin]
    timer: HrTimer<Self>,
    /// Time from frame to frame; zero: as fast as the client takes them.
    interval: Delta,
    /// Held while frames are made without a timer, so that they are in order.
    #[pin]
    flat_out: Mutex<()>,
}

struct State {
    stream: Stream<stream::Output>,
    /// Number of the next frame.
    sequence: u64,
}

impl Source {
    /// Makes the next frame, or loses it.
    fn tick(&self) {
        let mut state = self.state.lock();
        let sequence = state.sequence;
        let sent = match state.stream.take() {
            Ok(mut buffer) => {
                fill(&mut buffer, sequence);
                state.stream.send(buffer)
            }
            Err(error) => Err(error),
        };
        let counted = match sent {
            Err(Error::Full | Error::Corrupt) => state.stream.report_lost(1),
            sent => sent,
        };
        // The number in the frame is that of the stream.
        if counted.is_ok() {
            state.sequence += 1;
        }
    }

    /// Makes frames until no buffer is free, but at most `BATCH`. Does not hold the lock while it
    /// fills one.
    fn make_batch(&self) {
        let _one = self.flat_out.lock();
        for _ in 0..BATCH {
            let (taken, sequence) = {
                let mut state = self.state.lock();
                (state.stream.take(), state.sequence)
            };
            let Ok(mut buffer) = taken else { return };
            fill(&mut buffer, sequence);
            let mut state = self.state.lock();
            if state.stream.send(buffer).is_err() {
                return;
            }
            state.sequence += 1;
        }
        self.state.lock().stream.call_again();
    }
}

fn fill(buffer: &mut iostream::Buffer<stream::Output>, sequence: u64) {
    let now = buffer.clock().now_ns();
    buffer.set_timestamp(now);
    let frame = Frame::fill(sequence, now, buffer.data_mut());
    buffer.control_mut()[..FRAME_BYTES].copy_from_slice(&frame.to_bytes());
    // Both ranges are in bounds, because both areas have the size of a frame.
    let _ = buffer.set_data_range(0, buffer.data_bytes());
    let _ = buffer.set_control_range(0, FRAME_BYTES);
}

impl HrTimerCallback for Source {
    type Pointer<'a> = Arc<Self>;

    fn run(
        this: ArcBorrow<'_, Self>,
        mut context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        this.tick();
        context.forward_now(this.interval);
        HrTimerRestart::Restart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Source { mode: RelativeMode<Monotonic>, field: self.timer }
}

/// The driver of one client.
#[pin_data]
struct Pattern {
    source: Arc<Source>,
    /// Runs while the stream runs, if a rate is set.
    #[pin]
    timer: Mutex<Option<ArcHrTimerHandle<Source>>>,
}

impl Pattern {
    fn new(stream: Stream<stream::Output>, rate: u32) -> Result<impl PinInit<Self>> {
        let interval = match rate {
            0 => Delta::ZERO,
            rate => Delta::from_nanos(NANOS_PER_SECOND / i64::from(rate)),
        };
        let source = Arc::pin_init(
            pin_init!(Source {
                state <- new_spinlock_irq!(State { stream, sequence: 0 }),
                timer <- HrTimer::new(),
                interval,
                flat_out <- new_mutex!(()),
            }),
            GFP_KERNEL,
        )?;
        Ok(pin_init!(Self {
            source,
            timer <- new_mutex!(None),
        }))
    }

    /// Stops the timer, and waits for a tick that is running.
    fn stop_timer(&self) {
        let timer = self.timer.lock().take();
        drop(timer);
    }
}

impl Driver for Pattern {
    fn open(&self, _opener: &Opener<'_>) -> Result {
        self.source.state.lock().sequence = 0;
        Ok(())
    }

    fn start(&self) -> Result {
        if !self.source.interval.is_zero() {
            let timer = self.source.clone().start(self.source.interval);
            *self.timer.lock() = Some(timer);
        }
        Ok(())
    }

    fn suspend(&self) -> Result {
        self.stop_timer();
        Ok(())
    }

    fn stop(&self, _how: Stop) {
        self.stop_timer();
    }

    fn room_available(&self) {
        if self.source.interval.is_zero() {
            self.source.make_batch();
        }
    }
}
