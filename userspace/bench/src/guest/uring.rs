// SPDX-License-Identifier: MIT OR Apache-2.0

//! io_uring: `READ_FIXED` into registered buffers, from a registered file, many in flight.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use io_uring::{opcode, squeue, types::Fixed, IoUring};
use iostream_bench::flow::SPIN;
use iostream_bench::{pin_to, Result};

use crate::streams::{
    bytes_of, memory, Arrived, Source, Touch, BUFFERS, BUFFER_BYTES, CONSUMER_CPU,
};

/// The way in which requests reach the kernel.
#[derive(Clone, Copy)]
pub enum Submission {
    /// As many as possible in one `io_uring_enter`, in this thread, with deferred task work.
    Batches,
    /// A kernel thread on the producer's processor takes them, without system calls.
    Polled,
}

impl Submission {
    pub const ALL: [Self; 2] = [Self::Batches, Self::Polled];

    pub fn name(self) -> &'static str {
        match self {
            Self::Batches => "submitted in batches",
            Self::Polled => "SQPOLL on the other processor",
        }
    }

    fn ring(self) -> Result<IoUring> {
        /// Milliseconds that the kernel thread looks for requests before it sleeps.
        const IDLE_MS: u32 = 1000;
        const PRODUCER_CPU: u32 = 0;
        let mut builder = IoUring::builder();
        builder.setup_single_issuer();
        match self {
            Self::Batches => builder.setup_defer_taskrun(),
            Self::Polled => builder.setup_sqpoll(IDLE_MS).setup_sqpoll_cpu(PRODUCER_CPU),
        };
        // Twice as many as are in flight: the thread reports late which requests it took.
        Ok(builder.build(2 * BUFFERS as u32)?)
    }
}

/// A ring with registered buffers and a registered file.
struct Reads {
    // Dropped before the buffers, which the kernel writes.
    ring: IoUring,
    buffers: Vec<Vec<u64>>,
    /// For each buffer: the number of the contents that are read into it, and the bytes read so
    /// far.
    state: Vec<(u64, usize)>,
    source: Source,
    _file: File,
}

impl Reads {
    fn new(source: Source, touch: Touch, submission: Submission) -> Result<Self> {
        let ring = submission.ring()?;
        let file = source.open(touch)?;
        let mut buffers = vec![memory(); BUFFERS];
        let vectors: Vec<libc::iovec> = buffers
            .iter_mut()
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: size_of_val(&buffer[..]),
            })
            .collect();
        // SAFETY: The memory does not move, and the ring is dropped before it.
        unsafe { ring.submitter().register_buffers(&vectors)? };
        ring.submitter().register_files(&[file.as_raw_fd()])?;
        Ok(Self {
            ring,
            buffers,
            state: vec![(0, 0); BUFFERS],
            source,
            _file: file,
        })
    }

    /// The request for the rest of a buffer that no request in flight uses.
    fn request(&mut self, buffer: u16) -> squeue::Entry {
        let (number, done) = self.state[usize::from(buffer)];
        let rest = &mut bytes_of(&mut self.buffers[usize::from(buffer)])[done..];
        opcode::ReadFixed::new(Fixed(0), rest.as_mut_ptr(), rest.len() as u32, buffer)
            .offset(self.source.offset(number) + done as u64)
            .build()
            .user_data(buffer.into())
    }

    /// Requests the contents of this number.
    fn read(&mut self, number: u64, buffer: u16) -> Result<()> {
        self.state[usize::from(buffer)] = (number, 0);
        self.push(buffer)
    }

    /// Records a completion, and returns whether the buffer is complete. Otherwise it requests the
    /// rest: a read of a file in memory may end early.
    fn complete(&mut self, buffer: u16, result: i32) -> Result<bool> {
        let came = usize::try_from(result).map_err(|_| format!("READ_FIXED returned {result}"))?;
        let (_, done) = &mut self.state[usize::from(buffer)];
        *done += came;
        match (*done, came) {
            (BUFFER_BYTES, _) => Ok(true),
            (_, 0) => Err("the file ended".into()),
            _ => self.push(buffer).map(|()| false),
        }
    }

    fn push(&mut self, buffer: u16) -> Result<()> {
        let request = self.request(buffer);
        // SAFETY: The memory is registered, and nothing reads it until the request is complete.
        unsafe { self.ring.submission().push(&request)? };
        Ok(())
    }

    /// Submits the requests, and waits until one is complete.
    fn submit_and_wait(&mut self, submission: Submission) -> Result<()> {
        if matches!(submission, Submission::Polled) {
            self.ring.submit()?;
            for _ in 0..SPIN {
                if !self.ring.completion().is_empty() {
                    return Ok(());
                }
                std::hint::spin_loop();
            }
        }
        self.ring.submit_and_wait(1)?;
        Ok(())
    }
}

/// The time in which `count` buffers were read.
pub fn read(source: Source, touch: Touch, submission: Submission, count: u64) -> Result<Duration> {
    pin_to(CONSUMER_CPU)?;
    let mut reads = Reads::new(source, touch, submission)?;
    let mut arrived = Arrived::new(touch);
    let mut complete = Vec::with_capacity(BUFFERS);
    let mut asked = 0;
    let begun = Instant::now();
    for buffer in 0..BUFFERS.min(count as usize) as u16 {
        reads.read(asked, buffer)?;
        asked += 1;
    }
    while arrived.buffers < count {
        reads.submit_and_wait(submission)?;
        complete.extend(reads.ring.completion());
        for entry in complete.drain(..) {
            // This is the number that `request` was given.
            let buffer = entry.user_data() as u16;
            if !reads.complete(buffer, entry.result())? {
                continue;
            }
            arrived.add(bytes_of(&mut reads.buffers[usize::from(buffer)]));
            if asked < count {
                reads.read(asked, buffer)?;
                asked += 1;
            }
        }
    }
    let time = begun.elapsed();
    source.check(&arrived, count)?;
    Ok(time)
}
