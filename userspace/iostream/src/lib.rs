// SPDX-License-Identifier: MIT OR Apache-2.0

//! Moves entries between drivers and programs, through lock-free shared memory.
//!
//! This crate is the user's side of `iostream.ko`. A driver publishes a device that has either
//!
//! - queues of entries: a program opens a [`Session`], takes the [`Producer`] of its input queue,
//!   the [`Consumer`] of its output queue, or both, and moves entries of any size; or
//! - a [`Stream`]: a pool of large buffers, which move back and forth.
//!
//! Both move data without a copy and, while both sides are busy, without a system call.
//!
//! # First programs
//!
//! ```no_run
#![doc = include_str!("../examples/first.rs")]
//! ```
//!
//! ```no_run
#![doc = include_str!("../examples/stream.rs")]
//! ```
//!
//! The folder `examples` has three more: the queue of a driver by name, an event loop of mio, and
//! tokio with Ctrl-C.
//!
//! # Directions
//!
//! iostream.h, sysfs and the command name directions as the driver sees them, and so do the words
//! *input queue* and *output queue* in this crate. Its types are named as the program sees them:
//!
//! | iostream.h | data go | ends of queues | streams |
//! |---|---|---|---|
//! | output | from the driver to the program, which reads | [`Consumer`], [`OverwriteReader`] | [`ReadStream`] |
//! | input | from the program, which writes, to the driver | [`Producer`] | [`WriteStream`] |
//! | input-output | both ways in the same buffers | | [`DuplexStream`] |
//!
//! # How it fits together
//!
//! | type | what it is |
//! |---|---|
//! | [`Node`], [`nodes`] | what drivers have published |
//! | [`Session`] | one open of a device, and its queues |
//! | [`BuiltIn`], [`Setup`] | a session of the built-in `/dev/iostream`, whose other side the program chooses |
//! | [`Producer`] | the producing end of the input queue, with [`Reservation`] and [`Batch`] |
//! | [`Consumer`] | the consuming end of the output queue, with [`Received`] and [`ConsumerBatch`] |
//! | [`OverwriteReader`] | the reading end of an output queue that overwrites its oldest entries |
//! | [`Stream`] | one open of a device with a pool of buffers; its mode is part of its type |
//! | [`Buffer`] | a buffer that is with this process until it is dropped or sent |
//! | [`Receiver`], [`Sender`] | the halves of a stream, for two threads |
//! | [`Control`] | a handle that starts and stops a stream, from any thread |
//! | [`Waker`] | ends waits, from any thread |
//! | [`Error`] | what can go wrong: a variant and an errno for each case |
//! | [`OpenError`] | the same for opening a device, with its path |
//!
//! The producer and the consumer of a session are two values: give each its own thread, or use both
//! in one loop. Their descriptor ([`AsFd`](std::os::fd::AsFd)) works in every event loop. The
//! receiving ends are also iterators, and call a function for each entry or buffer if you prefer.
//! [`std::io`] reads and writes bytes. The feature `tokio` adds `AsyncConsumer`, `AsyncProducer`
//! and `AsyncReceiver`.
//!
//! # Waiting
//!
//! Every `wait` looks at the queue a bounded number of times (see `set_spin`), then arms and sleeps
//! in poll(2). If the driver goes away, the wait fails with [`Error::Gone`], once everything that
//! was queued is consumed.
//!
//! A wait whose time is over looks once more before it fails with [`Error::TimedOut`]. So a timeout
//! of zero does not wait, but says what there is: an entry, a buffer or room, then the reason why
//! none will come, and [`Error::TimedOut`] only if neither is there.
//!
//! A [`Waker`] ends waits from another thread or from a signal handler. A signal alone ends a wait
//! only if that was asked for, with `set_interruptible`. So a wait needs no timeout to look for
//! other work.
//!
//! # Event loops
//!
//! All values of one session have one descriptor, and an event loop takes each descriptor once. So
//! register the [`Session`], for reading, for writing or for both: it is readable when an entry
//! waits, or the watermark is reached, and writable when the input queue has room, or as much as
//! [`Producer::arm_room`] asked for.
//!
//! If the loop reports edges, as mio does, go on until [`Error::Empty`] and [`Error::Full`] before
//! you wait again. poll(2) and epoll(7) arm by themselves. Only a program that sleeps on an eventfd
//! alone calls `arm` or `arm_room` before each sleep.
//!
//! # Fork
//!
//! Open after you fork or daemonize. The memory of ends and streams is not copied to a child. In a
//! child each operation on those from before the fork fails with [`Error::Forked`], without a
//! system call; dropping them there changes nothing. The parent's go on undisturbed. Slices that
//! were held during fork(2) or daemon(3) keep their bytes in the child, as a copy of its own.
//!
//! A child may use the inherited descriptor: read(2), write(2) and poll(2) work, under the rules
//! that hold for every descriptor of the session. A [`Session`] from before the fork works in the
//! child as well, and an end that nobody has taken yet can be taken there.
//!
//! # Safety
//!
//! A program that uses this crate needs no `unsafe`. It cannot cause undefined behavior, whatever
//! it forgets, clones or sends to other threads, and whatever shared memory contains.
//!
//! The crate trusts the kernel to map a queue's writable areas once in a session, to refuse read(2)
//! and write(2) on a queue whose end is mapped, to refuse a reset by another process meanwhile, and
//! not to write an entry that was not released or a buffer that is with this process.

#![deny(missing_docs, unsafe_code)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!(
    "iostream needs Linux and a processor of 64 bits; a 32-bit program uses read(2) and write(2)"
);

#[cfg(feature = "tokio")]
mod asynchronous;
mod built_in;
mod consumer;
mod entry;
mod error;
mod handle;
mod identity;
mod incoming;
mod info;
mod io;
mod iter;
mod lock;
mod nodes;
mod notify;
mod opening;
mod outgoing;
mod overwrite;
mod pace;
mod producer;
mod reservation;
mod session;
mod setup;
mod stream;
mod sys;
mod waker;

#[cfg(feature = "tokio")]
pub use asynchronous::{AsyncConsumer, AsyncProducer, AsyncReceiver};
pub use built_in::{BuiltIn, Run};
pub use consumer::Consumer;
pub use entry::{ConsumerBatch, Entry, Received};
pub use error::{Error, OpenError, Result};
pub use info::{Counters, DeviceInfo, Direction, Endpoint, EndpointStats, QueueInfo};
pub use iostream_ring::{occupied_bytes, uapi};
pub use iter::Entries;
pub use nodes::{find_node, nodes, Node};
pub use notify::Wake;
pub use overwrite::{OverwriteRead, OverwriteReader};
pub use producer::Producer;
pub use reservation::{Batch, Reservation};
pub use session::Session;
pub use setup::Setup;
pub use stream::{
    mode, Buffer, Buffers, Clock, Control, Discarded, DuplexStream, ReadStream, Reader, Receiver,
    Sender, Stop, Stream, StreamCounters, StreamInfo, StreamMode, StreamState, WriteStream, Writer,
};
pub use waker::Waker;
pub use zerocopy;

#[cfg(test)]
mod tests;
