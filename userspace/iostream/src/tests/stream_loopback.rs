// SPDX-License-Identifier: MIT OR Apache-2.0

//! A stream inside one process: the driver's side is this file, without a kernel.

#![allow(
    unsafe_code,
    reason = "the tests answer system calls in the kernel's place"
)]

use std::ffi::c_void;
use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex};

use iostream_ring::sync::Word;
use iostream_ring::uapi::{self, iostream_descriptor, iostream_stream, iostream_stream_info};
use iostream_ring::DESCRIPTOR_BYTES;
use rustix::io::Errno;
use rustix::ioctl::{IoctlOutput, Opcode};

use super::loopback::Loopback;
use super::memfd::{map, page, Memfd};
use crate::incoming::Incoming;
use crate::mode::Mode;
use crate::outgoing::Outgoing;
use crate::stream::Descriptors;
use crate::sys::calls::Calls;
use crate::sys::Device;
use crate::{Error, Stream, Wake};

pub(crate) const DATA_BYTES: usize = 4000;
pub(crate) const CONTROL_BYTES: usize = 64;

const STREAM: Opcode = uapi::IOSTREAM_IOC_STREAM as Opcode;
const START: Opcode = uapi::IOSTREAM_IOC_START as Opcode;
const SUSPEND: Opcode = uapi::IOSTREAM_IOC_SUSPEND as Opcode;
const STOP: Opcode = uapi::IOSTREAM_IOC_STOP as Opcode;
const INPUT: Opcode = uapi::IOSTREAM_IOC_INPUT as Opcode;
const INPUT_SYNC: Opcode = uapi::IOSTREAM_IOC_INPUT_SYNC as Opcode;

/// What a device without any buffers would describe.
pub(crate) const fn no_stream() -> iostream_stream {
    iostream_stream {
        mode: 0,
        state: 0,
        buffers: 0,
        max_buffers: 0,
        data_bytes: 0,
        control_bytes: 0,
        format: 0,
        clock: uapi::IOSTREAM_CLOCK_MONOTONIC,
        generation: 0,
        info_offset: 0,
        buffers_offset: 0,
        buffer_stride: 0,
        control_start: 0,
        description: [0; uapi::IOSTREAM_DESCRIPTION_BYTES as usize],
    }
}

/// The kernel's side of a stream: its info page, all buffers there can be, and the calls it got.
struct Kernel {
    memfd: Memfd,
    /// What IOSTREAM_IOC_STREAM describes.
    stream: Mutex<iostream_stream>,
    /// The other calls, with their arguments.
    calls: Mutex<Vec<(&'static str, u32)>>,
}

// SAFETY: `ioctl` writes what iostream.h says for STREAM, and an empty result for STOP; `map` maps
// a memfd, at an address that is not in use.
unsafe impl Calls for Arc<Kernel> {
    unsafe fn ioctl(
        &self,
        _fd: BorrowedFd<'_>,
        request: Opcode,
        argument: *mut c_void,
    ) -> Result<IoctlOutput, Errno> {
        let number = argument as usize as u32;
        let call = match request {
            STREAM => {
                // SAFETY: The caller passes the argument of this request.
                unsafe { argument.cast::<iostream_stream>().write(*self.stream()) };
                return Ok(0);
            }
            // SAFETY: The caller passes the argument of this request.
            STOP => ("stop", unsafe {
                (*argument.cast::<uapi::iostream_stop>()).flags
            }),
            START => ("start", 0),
            SUSPEND => ("suspend", 0),
            INPUT => ("input", number),
            INPUT_SYNC => ("input_sync", number),
            _ => return Err(Errno::NOTTY),
        };
        self.calls.lock().unwrap().push(call);
        Ok(0)
    }

    fn map(
        &self,
        fd: BorrowedFd<'_>,
        offset: u64,
        bytes: usize,
        writable: bool,
    ) -> Result<NonNull<c_void>, Errno> {
        map(fd, offset, bytes, writable)
    }
}

impl Kernel {
    fn stream(&self) -> std::sync::MutexGuard<'_, iostream_stream> {
        self.stream.lock().unwrap()
    }
}

/// The driver of a stream, and what the kernel would do for it.
pub(crate) struct StreamLoopback {
    kernel: Arc<Kernel>,
    output: Loopback,
    input: Loopback,
    send: Outgoing<Descriptors>,
    receive: Incoming<Descriptors>,
    frame: u64,
}

impl StreamLoopback {
    /// A stream of `buffers` buffers, of at most `max_buffers`, and the client's side of it.
    pub(crate) fn new<M: Mode>(buffers: u32, max_buffers: u32) -> (Self, Stream<M>) {
        let output = Loopback::of_slots::<Descriptors>(2 * page() as u64);
        Self::with_output(buffers, max_buffers, output)
    }

    /// Such a stream with this output queue.
    pub(crate) fn with_output<M: Mode>(
        buffers: u32,
        max_buffers: u32,
        output: Loopback,
    ) -> (Self, Stream<M>) {
        let stride = 2 * page();
        let stream = iostream_stream {
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
            control_start: page() as u64,
            ..no_stream()
        };
        let kernel = Arc::new(Kernel {
            memfd: Memfd::new(page() + stride * max_buffers as usize),
            stream: Mutex::new(stream),
            calls: Mutex::default(),
        });
        let device = Device::with_calls(kernel.memfd.fd(), Box::new(kernel.clone()));
        let input = Loopback::of_slots::<Descriptors>(2 * page() as u64);
        let (send, consumer) = output.pair_of_slots();
        let (producer, receive) = input.pair_of_slots();
        let loopback = Self {
            kernel,
            output,
            input,
            send,
            receive,
            frame: 0,
        };
        loopback.set_info(offset_of!(iostream_stream_info, mode), M::MODE.raw().into());
        loopback.set_state(uapi::IOSTREAM_STATE_RUNNING);
        loopback.set_info(offset_of!(iostream_stream_info, generation), 1);
        let client = Stream::assemble(stream, producer, consumer, Arc::new(device)).unwrap();
        (loopback, client)
    }

    /// The output queue.
    pub(crate) fn output(&self) -> &Loopback {
        &self.output
    }

    /// Sends a full buffer.
    pub(crate) fn send(&mut self, id: u32, data: &[u8], control: &[u8]) {
        self.write(id, 0, data);
        self.write(id, page(), control);
        let descriptor = self.descriptor(id, data.len() as u32, control.len() as u32);
        self.send_raw(&descriptor);
    }

    /// The descriptor of a buffer with data and control data of these lengths.
    pub(crate) fn descriptor(
        &mut self,
        buffer: u32,
        data_len: u32,
        control_len: u32,
    ) -> iostream_descriptor {
        let frame = self.frame;
        self.frame += 1;
        iostream_descriptor {
            buffer,
            data_len,
            control_len,
            frame,
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
        let bytes = match self.receive.find_array() {
            Ok(bytes) => bytes,
            Err(Error::Empty) => return None,
            Err(error) => panic!("{error}"),
        };
        self.receive.release(false).unwrap();
        // SAFETY: All bit patterns are valid, and the sizes are the same.
        Some(unsafe { std::mem::transmute::<[u8; DESCRIPTOR_BYTES], iostream_descriptor>(bytes) })
    }

    /// The first bytes of a buffer's data area.
    pub(crate) fn data(&self, id: u32, len: usize) -> Vec<u8> {
        self.read(id, 0, len)
    }

    /// The first bytes of a buffer's control area.
    pub(crate) fn control(&self, id: u32, len: usize) -> Vec<u8> {
        self.read(id, page(), len)
    }

    /// Adds a buffer, as a driver does.
    pub(crate) fn add_buffer(&self) {
        let mut stream = self.kernel.stream();
        stream.buffers += 1;
        stream.generation += 1;
        let generation = stream.generation;
        drop(stream);
        self.set_info(offset_of!(iostream_stream_info, generation), generation);
    }

    /// Discards all that the client has not taken, as a stop does.
    pub(crate) fn discard(&self) {
        let pos = self.output.producer_pos();
        self.set_info(offset_of!(iostream_stream_info, discarded_pos), pos);
    }

    pub(crate) fn set_state(&self, state: u32) {
        self.set_info(offset_of!(iostream_stream_info, state), state.into());
    }

    /// Goes away, as a driver that is removed does.
    pub(crate) fn go(&self) {
        self.output.go();
        self.input.go();
    }

    /// The calls of streams since the last look, except IOSTREAM_IOC_STREAM.
    pub(crate) fn take_calls(&self) -> Vec<(&'static str, u32)> {
        std::mem::take(&mut self.kernel.calls.lock().unwrap())
    }

    /// How often the client called the kernel for its queues.
    pub(crate) fn queue_calls(&self) -> u64 {
        self.output.calls() + self.input.calls()
    }

    /// Arms as a driver that waits for input does: the next send notifies it.
    pub(crate) fn wait_for_input(&mut self) {
        assert_eq!(self.receive.arm(), Ok(false));
    }

    /// Notifications of the input queue so far.
    pub(crate) fn notified(&self) -> u64 {
        self.input.notified().0
    }

    fn set_info(&self, offset: usize, value: u64) {
        self.kernel.memfd.store(offset, value);
    }

    fn words(&self, id: u32, start: usize, len: usize) -> impl Iterator<Item = &Word> {
        let start = (1 + 2 * id as usize) * page() + start;
        (0..len.div_ceil(8)).map(move |i| self.kernel.memfd.word(start + 8 * i))
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

fn bytes_of(descriptor: &iostream_descriptor) -> [u8; DESCRIPTOR_BYTES] {
    // SAFETY: It has no padding, and all its bytes are initialised.
    unsafe { std::mem::transmute(*descriptor) }
}
