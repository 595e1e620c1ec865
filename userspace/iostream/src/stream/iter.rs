// SPDX-License-Identifier: MIT OR Apache-2.0

//! Streams as iterators.

use super::buffer::Buffer;
use super::mode::Receives;
use super::{Receiver, Stream};
use crate::{Error, Result};

/// An iterator over the buffers of a stream, which waits for each of them.
///
/// It ends once the stream is stopped or the driver is gone, and all buffers that the driver sent
/// are taken. After an error it may continue.
#[derive(Debug)]
pub struct Buffers<M: Receives> {
    receiver: Receiver<M>,
}

impl<M: Receives> Iterator for Buffers<M> {
    type Item = Result<Buffer<M>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.receiver.dequeue_wait(None) {
            Err(Error::NotRunning | Error::Gone) => None,
            item => Some(item),
        }
    }
}

impl<M: Receives> IntoIterator for Receiver<M> {
    type Item = Result<Buffer<M>>;
    type IntoIter = Buffers<M>;

    fn into_iter(self) -> Buffers<M> {
        Buffers { receiver: self }
    }
}

impl<M: Receives> IntoIterator for Stream<M> {
    type Item = Result<Buffer<M>>;
    type IntoIter = Buffers<M>;

    fn into_iter(self) -> Buffers<M> {
        self.split().0.into_iter()
    }
}
