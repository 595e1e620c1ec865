// SPDX-License-Identifier: MIT OR Apache-2.0

//! A stream inside one process, for tests: the driver's side is this file, without a kernel.

use std::mem::offset_of;
use std::sync::Arc;

use iostream_ring::sync::Word;
use iostream_ring::uapi::{self, iostream_descriptor, iostream_stream_info};
use rustix::fs::{ftruncate, memfd_create, MemfdFlags};

use super::loopback::{page, store, Loopback, Seen};
use super::region::Region;
use super::Device;
use crate::mode::Mode;
use crate::stream::Descriptors;
use crate::{Consumer, Error, Producer, Stream, Wake};

pub(crate) const DATA_BYTES: usize = 4000;
pub(crate) const CONTROL_BYTES: usize = 64;
const CONTROL_START: usize = 4096;

/// What a device without any buffers would tell.
pub(crate) const fn no_stream() -> uapi::iostream_stream {
    uapi::iostream_stream {
        mode: 0,
        state: 0,
        buffers: 0,
        max_buffers: 0,
        data_bytes: 0,
        control_bytes: 0,
        format: 0,
        reserved: 0,
        generation: 0,
        info_offset: 0,
        buffers_offset: 0,
        buffer_stride: 0,
        control_start: 0,
        counters: uapi::iostream_stream_counters {
            sent: 0,
            received: 0,
            discarded: 0,
            rejected_id: 0,
            rejected_owner: 0,
            rejected_range: 0,
            rejected_flags: 0,
        },
        description: [0; uapi::IOSTREAM_DESCRIPTION_BYTES as usize],
    }
}

/// The driver of a stream, and what the kernel would do for it.
pub(crate) struct StreamLoopback {
    device: Arc<Device>,
    info: Region,
    /// All buffers there can be, as the driver sees them.
    buffers: Region,
    stream: uapi::iostream_stream,
    output: Loopback,
    input: Loopback,
    send: Producer<Descriptors>,
    receive: Consumer<Descriptors>,
    sequence: u64,
}

impl StreamLoopback {
    /// A stream of `buffers` buffers, of at most `max_buffers`, and the client's side of it.
    pub(crate) fn new<M: Mode>(buffers: u32, max_buffers: u32) -> (Self, Stream<M>) {
        let stride = 2 * page();
        let fd = memfd_create("iostream-test", MemfdFlags::CLOEXEC).unwrap();
        let bytes = stride * max_buffers as usize;
        ftruncate(&fd, (page() + bytes) as u64).unwrap();
        let mut device = Device::new(fd);
        let stream = uapi::iostream_stream {
            mode: M::MODE.raw(),
            state: uapi::IOSTREAM_STATE_RUNNING,
            buffers,
            max_buffers,
            data_bytes: DATA_BYTES as u32,
            control_bytes: CONTROL_BYTES as u32,
            generation: 1,
            info_offset: 0,
            buffers_offset: page() as u64,
            buffer_stride: stride as u64,
            control_start: CONTROL_START as u64,
            ..no_stream()
        };
        device.loopback = Some(Seen::default());
        let (output, input) = (
            Loopback::of_slots::<Descriptors>(8192),
            Loopback::of_slots::<Descriptors>(8192),
        );
        let (send, consumer) = output.pair();
        let (producer, receive) = input.pair();
        let loopback = Self {
            info: Region::map(&device, 0, page(), true).unwrap(),
            buffers: Region::map(&device, page() as u64, bytes, true).unwrap(),
            device: Arc::new(device),
            stream,
            output,
            input,
            send,
            receive,
            sequence: 0,
        };
        loopback.seen().set_stream(stream);
        loopback.set_info(offset_of!(iostream_stream_info, mode), M::MODE.raw().into());
        loopback.set_state(uapi::IOSTREAM_STATE_RUNNING);
        loopback.set_info(offset_of!(iostream_stream_info, generation), 1);
        let device = loopback.device.clone();
        let client = Stream::assemble(stream, producer, consumer, device).unwrap();
        (loopback, client)
    }

    /// Sends a full buffer.
    pub(crate) fn send(&mut self, id: u32, data: &[u8], control: &[u8]) {
        self.write(id, 0, data);
        self.write(id, CONTROL_START, control);
        let descriptor = self.descriptor(id, data.len() as u32, control.len() as u32);
        self.send_raw(&descriptor);
    }

    /// The descriptor of a buffer with so many bytes in it.
    pub(crate) fn descriptor(
        &mut self,
        buffer: u32,
        data_len: u32,
        control_len: u32,
    ) -> iostream_descriptor {
        let sequence = self.sequence;
        self.sequence += 1;
        iostream_descriptor {
            buffer,
            data_len,
            control_len,
            sequence,
            ..Default::default()
        }
    }

    /// Sends any descriptor.
    pub(crate) fn send_raw(&mut self, descriptor: &iostream_descriptor) {
        self.send.push(&bytes_of(descriptor)).unwrap();
        self.send.show(Wake::Normal).unwrap();
    }

    /// Takes the next descriptor that the client sent.
    pub(crate) fn receive(&mut self) -> Option<iostream_descriptor> {
        let bytes = match self.receive.find_array::<32>() {
            Ok(bytes) => bytes,
            Err(Error::Empty) => return None,
            Err(error) => panic!("{error}"),
        };
        self.receive.release(false).unwrap();
        // SAFETY: All bit patterns are valid, and the sizes are the same.
        Some(unsafe { std::mem::transmute::<[u8; 32], iostream_descriptor>(bytes) })
    }

    /// What is in a buffer.
    pub(crate) fn data(&self, id: u32, len: usize) -> Vec<u8> {
        self.read(id, 0, len)
    }

    /// What is in a buffer's control area.
    pub(crate) fn control(&self, id: u32, len: usize) -> Vec<u8> {
        self.read(id, CONTROL_START, len)
    }

    /// Adds a buffer, as a driver does.
    pub(crate) fn add_buffer(&mut self) {
        self.stream.buffers += 1;
        self.stream.generation += 1;
        self.seen().set_stream(self.stream);
        let generation = self.stream.generation;
        self.set_info(offset_of!(iostream_stream_info, generation), generation);
    }

    /// Has a stop discard all that the client did not take.
    pub(crate) fn discard(&self) {
        let pos = self.output.producer_pos();
        self.set_info(offset_of!(iostream_stream_info, discarded_pos), pos);
    }

    pub(crate) fn set_state(&self, state: u32) {
        self.set_info(offset_of!(iostream_stream_info, state), state.into());
    }

    /// What the driver's going does.
    pub(crate) fn go(&self) {
        self.output.go();
        self.input.go();
    }

    /// The calls of streams since the last look, but for IOSTREAM_IOC_STREAM.
    pub(crate) fn take_calls(&self) -> Vec<(&'static str, u32)> {
        self.seen().take_calls()
    }

    /// How often the client called the kernel for its queues.
    pub(crate) fn queue_calls(&self) -> u64 {
        self.output.calls() + self.input.calls()
    }

    /// Has the driver wait for input: the next send notifies it.
    pub(crate) fn wait_for_input(&mut self) {
        assert_eq!(self.receive.arm(), Ok(false));
    }

    /// Notifications of the input queue so far.
    pub(crate) fn notified(&self) -> u64 {
        self.input.notified().0
    }

    fn seen(&self) -> &Seen {
        self.device.loopback.as_ref().unwrap()
    }

    fn set_info(&self, offset: usize, value: u64) {
        store(&self.info, offset, value);
    }

    fn words(&self, id: u32, start: usize, len: usize) -> impl Iterator<Item = &Word> {
        let start = id as usize * 2 * page() + start;
        // SAFETY: Within the region, which holds words; tests read and write in turns.
        (0..len.div_ceil(8)).map(move |i| unsafe {
            self.buffers
                .start::<u8>()
                .add(start + 8 * i)
                .cast()
                .as_ref()
        })
    }

    fn write(&self, id: u32, start: usize, bytes: &[u8]) {
        let chunks = bytes.chunks(8);
        for (word, chunk) in self.words(id, start, bytes.len()).zip(chunks) {
            let mut value = [0; 8];
            value[..chunk.len()].copy_from_slice(chunk);
            word.store_relaxed(u64::from_ne_bytes(value));
        }
    }

    fn read(&self, id: u32, start: usize, len: usize) -> Vec<u8> {
        let words = self.words(id, start, len);
        let mut bytes: Vec<u8> = words
            .flat_map(|word| word.load_relaxed().to_ne_bytes())
            .collect();
        bytes.truncate(len);
        bytes
    }
}

fn bytes_of(descriptor: &iostream_descriptor) -> [u8; 32] {
    // SAFETY: It has no padding, and all its bytes are initialised.
    unsafe { std::mem::transmute(*descriptor) }
}
