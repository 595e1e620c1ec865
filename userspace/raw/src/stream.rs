// SPDX-License-Identifier: MIT OR Apache-2.0

//! The process's end of a stream, as `iostream.h` describes it.

use std::mem::offset_of;
use std::ops::Range;
use std::sync::atomic::Ordering::*;

use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::io::Result;
use rustix::mm::MapFlags;

use crate::{page_len, Input, Map, Output, Prot, Session, INPUT, OUTPUT};

/// An entry of a stream's queues.
pub type Descriptor = iostream_descriptor;

/// The size of a descriptor in a queue.
pub const DESCRIPTOR_BYTES: u64 = size_of::<Descriptor>() as u64;

/// Where a word is in the stream's info page.
pub mod info {
    use super::{iostream_stream_info as Page, offset_of};

    /// The stream's mode.
    pub const MODE: usize = offset_of!(Page, mode);
    /// Stopped, running or suspended.
    pub const STATE: usize = offset_of!(Page, state);
    /// Changes whenever buffers are added.
    pub const GENERATION: usize = offset_of!(Page, generation);
    /// Up to where a stop has discarded what was queued.
    pub const DISCARDED: usize = offset_of!(Page, discarded_pos);
    /// The clock of the timestamps.
    pub const CLOCK: usize = offset_of!(Page, clock);
    /// The stream's counters.
    pub const COUNTERS: usize = offset_of!(Page, counters);
}

/// All counters, in the header's order.
pub fn numbers(counters: &iostream_stream_counters) -> [u64; 8] {
    [
        counters.sent,
        counters.received,
        counters.discarded,
        counters.rejected_id,
        counters.rejected_owner,
        counters.rejected_range,
        counters.rejected_flags,
        counters.lost,
    ]
}

/// The bytes of a descriptor, as a queue has them.
pub fn to_bytes(descriptor: &Descriptor) -> Vec<u8> {
    let words = [
        descriptor.buffer,
        descriptor.flags,
        descriptor.data_offset,
        descriptor.data_len,
        descriptor.control_offset,
        descriptor.control_len,
    ];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let words = [descriptor.frame, descriptor.timestamp_ns, descriptor.lost];
    bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
    bytes.extend(descriptor.status.to_ne_bytes());
    bytes.extend(
        descriptor
            .reserved
            .iter()
            .flat_map(|word| word.to_ne_bytes()),
    );
    bytes
}

fn from_bytes(bytes: &[u8]) -> Descriptor {
    assert_eq!(bytes.len() as u64, DESCRIPTOR_BYTES, "not a descriptor");
    let word = |i: usize| u32::from_ne_bytes(bytes[i..i + 4].try_into().unwrap());
    let long = |i: usize| u64::from_ne_bytes(bytes[i..i + 8].try_into().unwrap());
    Descriptor {
        buffer: word(0),
        flags: word(4),
        data_offset: word(8),
        data_len: word(12),
        control_offset: word(16),
        control_len: word(20),
        frame: long(24),
        timestamp_ns: long(32),
        lost: long(40),
        status: word(48) as i32,
        reserved: [word(52), word(56), word(60)],
    }
}

/// The calls of streams.
impl Session {
    /// What the stream is, if the node has one.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_STREAM`.
    pub fn try_stream(&self) -> Result<iostream_stream> {
        // SAFETY: The struct has integers and bytes only, for which zero is a value.
        let mut stream: iostream_stream = unsafe { std::mem::zeroed() };
        self.pass(IOSTREAM_IOC_STREAM, &mut stream)?;
        Ok(stream)
    }

    /// What the stream is.
    pub fn stream(&self) -> iostream_stream {
        self.try_stream().expect("IOSTREAM_IOC_STREAM")
    }

    /// Starts the stream.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_START`.
    pub fn start(&self) -> Result<()> {
        self.pass_number(IOSTREAM_IOC_START, 0)
    }

    /// Suspends the stream.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_SUSPEND`.
    pub fn suspend(&self) -> Result<()> {
        self.pass_number(IOSTREAM_IOC_SUSPEND, 0)
    }

    /// Stops with any argument.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_STOP`.
    pub fn stop_with(&self, mut stop: iostream_stop) -> Result<iostream_stop> {
        self.pass(IOSTREAM_IOC_STOP, &mut stop)?;
        Ok(stop)
    }

    /// Stops. Returns how many buffers of the output and of the input queue were discarded.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_STOP`.
    pub fn stop(&self) -> Result<(u64, u64)> {
        let stop = self.stop_with(iostream_stop::default())?;
        Ok((stop.discarded_output, stop.discarded_input))
    }

    /// Stops once the driver has taken all that is queued. A time-out of 0 is none.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_STOP`.
    pub fn drain(&self, timeout_ns: u64) -> Result<(u64, u64)> {
        let stop = self.stop_with(iostream_stop {
            flags: IOSTREAM_STOP_DRAIN,
            timeout_ns,
            ..Default::default()
        })?;
        Ok((stop.discarded_output, stop.discarded_input))
    }

    /// Sends a notice with a token: the driver's callback runs in a worker.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_INPUT`.
    pub fn notice(&self, token: u32) -> Result<()> {
        self.pass_number(IOSTREAM_IOC_INPUT, token as usize)
    }

    /// Sends a notice with a token: the driver's callback runs in this thread.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_INPUT_SYNC`.
    pub fn notice_sync(&self, token: u32) -> Result<()> {
        self.pass_number(IOSTREAM_IOC_INPUT_SYNC, token as usize)
    }

    /// Changes the mode.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_MODE`.
    pub fn set_mode(&self, mode: u32) -> Result<()> {
        self.pass_number(IOSTREAM_IOC_MODE, mode as usize)
    }

    /// Maps the stream's info page with these rights.
    ///
    /// # Errors
    ///
    /// Those of mmap(2).
    pub fn try_map_stream_info(&self, prot: Prot) -> Result<Map> {
        let stream = self.stream();
        Map::try_new(self, stream.info_offset, page_len(), prot, MapFlags::SHARED)
    }

    /// Maps the stream's info page for reading.
    pub fn map_stream_info(&self) -> Map {
        self.try_map_stream_info(Prot::READ).expect("mmap")
    }

    /// Maps consecutive buffers with these rights.
    ///
    /// # Errors
    ///
    /// Those of mmap(2).
    pub fn try_map_buffers(&self, ids: Range<u32>, prot: Prot) -> Result<Map> {
        let stream = self.stream();
        let offset = stream.buffers_offset + u64::from(ids.start) * stream.buffer_stride;
        let bytes = ids.len() * stream.buffer_stride as usize;
        Map::try_new(self, offset, bytes, prot, MapFlags::SHARED)
    }
}

/// A stream's session with everything mapped.
pub struct Stream {
    /// The open node.
    pub session: Session,
    /// Descriptors from the driver.
    pub output: Output,
    /// Descriptors to the driver.
    pub input: Input,
    /// The stream's info page.
    pub info: Map,
    /// All buffers, writable unless the process only reads.
    pub buffers: Map,
    /// Bytes from one buffer to the next.
    pub stride: usize,
    /// Where the control area of a buffer begins.
    pub control_start: usize,
    /// How many buffers there are.
    pub count: u32,
}

impl Stream {
    /// Maps all of a stream.
    pub fn new(session: Session) -> Self {
        Self::try_new(session).expect("all of a stream mapped")
    }

    /// Maps all of the stream of a driver that may be removed meanwhile.
    ///
    /// # Errors
    ///
    /// Those of the calls that it makes.
    pub fn try_new(session: Session) -> Result<Self> {
        let stream = session.try_stream()?;
        let writable = match stream.mode {
            IOSTREAM_MODE_OUTPUT => Prot::empty(),
            _ => Prot::WRITE,
        };
        Ok(Self {
            output: Output::try_new(&session)?,
            input: Input::try_new(&session)?,
            info: Map::try_new(
                &session,
                stream.info_offset,
                page_len(),
                Prot::READ,
                MapFlags::SHARED,
            )?,
            buffers: Map::try_new(
                &session,
                stream.buffers_offset,
                stream.buffers as usize * stream.buffer_stride as usize,
                Prot::READ | writable,
                MapFlags::SHARED,
            )?,
            stride: stream.buffer_stride as usize,
            control_start: stream.control_start as usize,
            count: stream.buffers,
            session,
        })
    }

    /// The next descriptor from the driver, if one waits.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_NOTIFY`, if the driver waits for room and is gone.
    pub fn try_take(&mut self) -> Result<Option<Descriptor>> {
        let Some(entry) = self.output.take() else {
            return Ok(None);
        };
        if self.output.must_notify() {
            self.session.notify(OUTPUT)?;
        }
        Ok(Some(from_bytes(&entry.bytes)))
    }

    /// The next descriptor from the driver, if one waits.
    pub fn take(&mut self) -> Option<Descriptor> {
        self.try_take().expect("IOSTREAM_IOC_NOTIFY")
    }

    /// The next descriptor from the driver, slept for.
    #[track_caller]
    pub fn wait(&mut self) -> Descriptor {
        loop {
            if let Some(descriptor) = self.take() {
                return descriptor;
            }
            let ready = self.session.poll(PollFlags::IN, 20_000);
            assert_eq!(ready, PollFlags::IN, "nothing comes from the driver");
        }
    }

    /// All descriptors that wait.
    pub fn take_all(&mut self) -> Vec<Descriptor> {
        std::iter::from_fn(|| self.take()).collect()
    }

    /// Sends a descriptor, right or wrong, and notifies the driver if it waits.
    pub fn send(&mut self, descriptor: Descriptor) {
        let sent = self.input.push(&self.session, &to_bytes(&descriptor));
        assert!(sent, "no room");
    }

    /// Sends a descriptor, and notifies the driver if it waits.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_NOTIFY`, if the driver waits and is gone.
    pub fn try_send(&mut self, descriptor: Descriptor) -> Result<()> {
        assert!(self.input.put(&to_bytes(&descriptor)), "no room");
        self.input.publish();
        if self.input.must_notify() {
            self.session.notify(INPUT)?;
        }
        Ok(())
    }

    /// Sends a buffer with `len` bytes of data from its start.
    pub fn send_buffer(&mut self, buffer: u32, len: u32) {
        self.send(Descriptor {
            buffer,
            data_len: len,
            ..Default::default()
        });
    }

    /// Returns a buffer with nothing in it.
    pub fn give_back(&mut self, buffer: u32) {
        self.send(Descriptor {
            buffer,
            flags: IOSTREAM_DESCRIPTOR_UNUSED,
            ..Default::default()
        });
    }

    /// Where the data of a buffer are in this process.
    pub fn address(&self, buffer: u32, offset: usize) -> usize {
        self.buffers.as_ptr().addr() + buffer as usize * self.stride + offset
    }

    /// The bytes that a descriptor names.
    pub fn data(&self, descriptor: &Descriptor) -> Vec<u8> {
        let at = descriptor.buffer as usize * self.stride + descriptor.data_offset as usize;
        self.buffers.read(at, descriptor.data_len as usize)
    }

    /// The control bytes that a descriptor names.
    pub fn control(&self, descriptor: &Descriptor) -> Vec<u8> {
        let at = descriptor.buffer as usize * self.stride + self.control_start;
        let at = at + descriptor.control_offset as usize;
        self.buffers.read(at, descriptor.control_len as usize)
    }

    /// Writes into the data area of a buffer.
    pub fn write(&self, buffer: u32, offset: usize, bytes: &[u8]) {
        self.buffers
            .write(buffer as usize * self.stride + offset, bytes);
    }

    /// Writes into the control area of a buffer.
    pub fn write_control(&self, buffer: u32, offset: usize, bytes: &[u8]) {
        self.write(buffer, self.control_start + offset, bytes);
    }

    /// A word of the info page.
    pub fn word(&self, offset: usize) -> u64 {
        self.info.word(offset).load(Acquire)
    }

    /// The counters of this session.
    pub fn counters(&self) -> iostream_stream_counters {
        self.session.stream_counters()
    }
}
