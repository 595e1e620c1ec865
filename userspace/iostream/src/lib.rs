// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entries between drivers and programs, through lock-free shared memory.
//!
//! This is the user's side of `iostream.ko`. A driver publishes a device that has either
//!
//! - queues of entries: a program opens a [`Session`], takes the [`Producer`] of its input queue, the
//!   [`Consumer`] of its output queue, or both, and moves entries of any size; or
//! - a [`Stream`]: a pool of large buffers, which travel to and fro.
//!
//! Both move data without a copy and, while both sides are busy, without a system call.
//!
//! # The first programs
//!
//! ```no_run
#![doc = include_str!("../examples/first.rs")]
//! ```
//!
//! ```no_run
#![doc = include_str!("../examples/stream.rs")]
//! ```
//!
//! # How it fits together
//!
//! | type | what it is |
//! |---|---|
//! | [`Session`] | one open of a device, and its queues |
//! | [`Setup`] | what to ask of the built-in `/dev/iostream` |
//! | [`Producer`] | the writing end of the input queue: copy, [`Reservation`], [`Batch`] |
//! | [`Consumer`] | the reading end of the output queue: [`Entry`], [`Received`], [`ConsumerBatch`] |
//! | [`OverwriteReader`] | the reading end of an output queue that loses its oldest entries |
//! | [`Stream`] | one open of a device with a pool of buffers; its mode is part of its type |
//! | [`Buffer`] | a buffer that this process has; it goes back when dropped or sent |
//! | [`Receiver`], [`Sender`] | the halves of a stream, for two threads; [`Control`] starts and stops |
//! | [`Error`] | what can go wrong, each its own variant and errno |
//!
//! Producer and consumer of a session are two values: give each a thread of its own, or use both
//! in one loop. Their descriptor ([`AsFd`](std::os::fd::AsFd)) works in every event loop. What
//! receives is an iterator, too, and a loop of callbacks; bytes are read and written with
//! [`std::io`]; with the feature `tokio` there are `AsyncConsumer`, `AsyncProducer` and
//! `AsyncReceiver`.
//!
//! # Waiting
//!
//! Every `wait` looks a bounded number of times (`set_spin`), then arms and sleeps in poll(2). The
//! driver's going wakes it with [`Error::Gone`], after what was queued has been consumed. A signal
//! does not end it; use a time-out to look around.
//!
//! # Safety
//!
//! A program that uses this crate needs no `unsafe`, and cannot make it unsound whatever it forgets,
//! clones or sends to other threads, whatever stands in shared memory. The kernel is trusted to
//! map a queue's writable areas once in a session, to refuse read(2) and write(2) on a queue whose
//! end is mapped, and not to write an entry that was not released or a buffer that this process
//! has.

#![deny(missing_docs, unsafe_code)]

#[cfg(feature = "tokio")]
mod asynchronous;
mod consumer;
mod entry;
mod error;
mod handle;
mod info;
mod io;
mod iter;
mod lock;
mod nodes;
mod notify;
mod overwrite;
mod pace;
mod position;
mod producer;
mod reservation;
mod session;
mod setup;
mod stream;
mod sys;

#[cfg(feature = "tokio")]
pub use asynchronous::{AsyncConsumer, AsyncProducer, AsyncReceiver};
pub use consumer::Consumer;
pub use entry::{ConsumerBatch, Entry, Received};
pub use error::{Error, Result};
pub use info::{Counters, DeviceInfo, Direction, Endpoint, EndpointStats, QueueInfo};
pub use iostream_ring::{occupied_bytes, uapi};
pub use iter::Entries;
pub use nodes::find_node;
pub use notify::Wake;
pub use overwrite::{OverwriteRead, OverwriteReader};
pub use producer::Producer;
pub use reservation::{Batch, Reservation};
pub use session::{Run, Session};
pub use setup::Setup;
pub use stream::{
    mode, Buffer, Buffers, Control, Discarded, InputOutputStream, InputStream, OutputStream,
    Reader, Receiver, Sender, Stop, Stream, StreamCounters, StreamInfo, StreamMode, StreamState,
    Writer,
};
pub use zerocopy;

#[cfg(test)]
mod tests;
