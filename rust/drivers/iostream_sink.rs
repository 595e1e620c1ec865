// SPDX-License-Identifier: GPL-2.0

//! Receives frames of the test pattern, and checks and counts them.
//!
//! `rust/uapi/iostream_frame.h` defines a frame. When the client sends a notice, the sink takes
//! what waits. A synchronous notice also checks that as many frames as its token says came in this
//! session, all of them good; otherwise it fails with `EBADMSG`.
//!
//! `/sys/kernel/debug/iostream_sink/counts` has the counts since the module was loaded.

#[path = "frame.rs"]
mod frame;

use frame::{Checker, Frame, FRAME_BYTES};
use iostream::{stream, Buffer, Config, Driver, Opener, Registration, Stream, StreamConfig};
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
    name: "iostream_sink",
    authors: ["the iostream authors"],
    description: "Checks frames of a test pattern",
    license: "GPL",
    params: {
        buffers: u32 {
            default: 8,
            description: "Buffers of the stream",
        },
        data_bytes: u32 {
            default: 16384,
            description: "Most bytes of data of a frame",
        },
    },
}

/// Frames that are taken in one call, before other work gets its turn.
const BATCH: usize = 32;
/// Bytes that are copied out of a buffer at a time.
const CHUNK: usize = 512;

/// Fields drop in order: the file first, so that the counts are not read while the rest is dropped.
struct Module {
    _file: Pin<KBox<debugfs::File<Arc<Counts>>>>,
    _dir: debugfs::Dir,
    _node: Registration<Sink>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let (buffers, bytes) = (&module_parameters::buffers, &module_parameters::data_bytes);
        let stream = StreamConfig::input(buffers.value(), bytes.value())?
            .control_bytes(FRAME_BYTES as u32)?
            .format(*b"TEST")
            .description(c"checks frames of a test pattern")?;
        let config = Config::new(c"sink").mode(0o660);
        let (ports, stream) = Stream::new(config, stream)?;
        let counts = Arc::new(Counts::default(), GFP_KERNEL)?;
        let dir = debugfs::Dir::new(c"iostream_sink");
        let file = dir.read_callback_file(c"counts", counts.clone(), &show);
        let file = KBox::pin_init(file, GFP_KERNEL)?;
        let sink = pin_init!(Sink {
            counts,
            input <- new_mutex!(Input { stream, session: Session::default() }),
        });
        Ok(Self {
            _file: file,
            _dir: dir,
            _node: Registration::new(ports, sink)?,
        })
    }
}

/// The counts since the module was loaded.
struct Counts {
    frames: Atomic<u64>,
    bytes: Atomic<u64>,
    bad: Atomic<u64>,
    /// Sequence numbers that are missing.
    missed: Atomic<u64>,
    notices: Atomic<u64>,
    last_token: Atomic<u32>,
    sync_notices: Atomic<u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            frames: Atomic::new(0),
            bytes: Atomic::new(0),
            bad: Atomic::new(0),
            missed: Atomic::new(0),
            notices: Atomic::new(0),
            last_token: Atomic::new(0),
            sync_notices: Atomic::new(0),
        }
    }
}

fn show(counts: &Arc<Counts>, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "frames={}", counts.frames.load(Relaxed))?;
    writeln!(out, "bytes={}", counts.bytes.load(Relaxed))?;
    writeln!(out, "bad={}", counts.bad.load(Relaxed))?;
    writeln!(out, "missed={}", counts.missed.load(Relaxed))?;
    writeln!(out, "notices={}", counts.notices.load(Relaxed))?;
    writeln!(out, "last_token={}", counts.last_token.load(Relaxed))?;
    writeln!(out, "sync_notices={}", counts.sync_notices.load(Relaxed))
}

#[pin_data]
struct Sink {
    counts: Arc<Counts>,
    #[pin]
    input: Mutex<Input>,
}

struct Input {
    stream: Stream<stream::Shared>,
    session: Session,
}

/// The counts of one session.
#[derive(Default)]
struct Session {
    frames: u64,
    bad: u64,
    /// The number that should come next.
    next: u64,
}

impl Sink {
    /// Takes the frames that wait, but at most `BATCH`.
    fn take_in(&self, input: &mut Input) {
        for _ in 0..BATCH {
            let Ok(buffer) = input.stream.receive() else {
                return;
            };
            self.count(&mut input.session, &buffer);
            // The buffer is dropped here, and goes back to the client.
        }
        input.stream.call_again();
    }

    fn count(&self, session: &mut Session, buffer: &Buffer<stream::Shared>) {
        let counts = &self.counts;
        session.frames += 1;
        counts.frames.add(1, Relaxed);
        counts.bytes.add(buffer.data_range().1 as u64, Relaxed);
        match checked(buffer) {
            Ok(frame) => {
                let missed = frame.sequence.saturating_sub(session.next);
                counts.missed.add(missed, Relaxed);
                session.next = frame.sequence.wrapping_add(1);
            }
            Err(_) => {
                session.bad += 1;
                counts.bad.add(1, Relaxed);
            }
        }
    }
}

/// The frame that the control area describes, if the data agree.
fn checked(buffer: &Buffer<stream::Shared>) -> Result<Frame> {
    let (offset, len) = buffer.data_range();
    let (control, control_len) = buffer.control_range();
    let mut bytes = [0; FRAME_BYTES];
    if control_len != FRAME_BYTES {
        return Err(EBADMSG);
    }
    // Copied once, because the client can write there at any time.
    buffer.read_control(control, &mut bytes)?;
    let frame = Frame::from_bytes(&bytes);
    let mut checker = Checker::new(frame, len);
    let mut chunk = [0; CHUNK];
    let mut done = 0;
    while done < len {
        let piece = &mut chunk[..CHUNK.min(len - done)];
        buffer.read(offset + done, piece)?;
        checker.look(piece);
        done += piece.len();
    }
    if checker.is_good() {
        Ok(frame)
    } else {
        Err(EBADMSG)
    }
}

impl Driver for Sink {
    fn open(&self, _opener: &Opener<'_>) -> Result {
        self.input.lock().session = Session::default();
        Ok(())
    }

    fn data_available(&self) {
        self.take_in(&mut self.input.lock());
    }

    fn input_callback(&self, token: u32) {
        self.take_in(&mut self.input.lock());
        self.counts.last_token.store(token, Relaxed);
        self.counts.notices.add(1, Relaxed);
    }

    fn input_sync_callback(&self, token: u32) -> Result {
        let mut input = self.input.lock();
        self.take_in(&mut input);
        self.counts.sync_notices.add(1, Relaxed);
        if input.session.frames != u64::from(token) || input.session.bad != 0 {
            return Err(EBADMSG);
        }
        Ok(())
    }
}
