// SPDX-License-Identifier: GPL-2.0

//! The driver's end of one client, with the buffers that it holds.

use iostream::{
    stream::{Access, Control, Output, Shared},
    Buffer, Error, Stream,
};
use kernel::{
    prelude::*,
    time::{Delta, Instant, Monotonic},
};

use super::{
    callbacks::{AUTO_CONSUME, AUTO_ECHO, AUTO_PRODUCE, AUTO_TURN_ROUND},
    Done,
};

/// Bytes that are copied at a time.
const CHUNK: usize = 256;
/// The longest time that `pump` waits for a buffer.
const PATIENCE_SECONDS: i64 = 20;

/// The end, and the buffers that commands have taken or received and not given away yet.
pub(crate) struct End<A: Access> {
    pub(crate) stream: Stream<A>,
    pub(crate) held: KVVec<Buffer<A>>,
}

/// An end of either kind.
pub(crate) enum AnyEnd {
    Output(End<Output>),
    Shared(End<Shared>),
}

/// Access to the bytes of a buffer, and operations that only one kind of stream has.
pub(crate) trait TestAccess: Access + Sized {
    fn wrap(end: End<Self>) -> AnyEnd;
    fn put(
        buffer: &mut Buffer<Self>,
        control: bool,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), Error>;
    fn get(
        buffer: &mut Buffer<Self>,
        control: bool,
        offset: usize,
        to: &mut [u8],
    ) -> Result<(), Error>;
    fn receive(stream: &mut Stream<Self>) -> Result<Buffer<Self>, Error>;
    fn invert(buffer: &mut Buffer<Self>);
}

fn part(area: &mut [u8], offset: usize, len: usize) -> Result<&mut [u8], Error> {
    let end = offset.checked_add(len).ok_or(Error::Invalid)?;
    area.get_mut(offset..end).ok_or(Error::Invalid)
}

impl TestAccess for Output {
    fn wrap(end: End<Self>) -> AnyEnd {
        AnyEnd::Output(end)
    }

    fn put(
        buffer: &mut Buffer<Self>,
        control: bool,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let area = if control {
            buffer.control_mut()
        } else {
            buffer.data_mut()
        };
        part(area, offset, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn get(
        buffer: &mut Buffer<Self>,
        control: bool,
        offset: usize,
        to: &mut [u8],
    ) -> Result<(), Error> {
        // The control area can be read only through the method that gives it for writing.
        let area = if control {
            buffer.control_mut()
        } else {
            buffer.data()
        };
        let end = offset.checked_add(to.len()).ok_or(Error::Invalid)?;
        to.copy_from_slice(area.get(offset..end).ok_or(Error::Invalid)?);
        Ok(())
    }

    fn receive(_: &mut Stream<Self>) -> Result<Buffer<Self>, Error> {
        Err(Error::Invalid)
    }

    fn invert(buffer: &mut Buffer<Self>) {
        buffer.data_mut().iter_mut().for_each(|byte| *byte = !*byte);
    }
}

impl TestAccess for Shared {
    fn wrap(end: End<Self>) -> AnyEnd {
        AnyEnd::Shared(end)
    }

    fn put(
        buffer: &mut Buffer<Self>,
        control: bool,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), Error> {
        if control {
            buffer.write_control(offset, bytes)
        } else {
            buffer.write(offset, bytes)
        }
    }

    fn get(
        buffer: &mut Buffer<Self>,
        control: bool,
        offset: usize,
        to: &mut [u8],
    ) -> Result<(), Error> {
        if control {
            buffer.read_control(offset, to)
        } else {
            buffer.read(offset, to)
        }
    }

    fn receive(stream: &mut Stream<Self>) -> Result<Buffer<Self>, Error> {
        stream.receive()
    }

    fn invert(buffer: &mut Buffer<Self>) {
        buffer.transform(|bytes| bytes.iter_mut().for_each(|byte| *byte = !*byte));
    }
}

/// Writes bytes `seed`, `seed + 1` ... into a range of a buffer.
pub(crate) fn fill<A: TestAccess>(
    buffer: &mut Buffer<A>,
    control: bool,
    (offset, len): (usize, usize),
    seed: u64,
) -> Result<(), Error> {
    let mut chunk = [0; CHUNK];
    let mut done = 0;
    while done < len {
        let piece = &mut chunk[..CHUNK.min(len - done)];
        for (i, byte) in piece.iter_mut().enumerate() {
            *byte = seed.wrapping_add((done + i) as u64) as u8;
        }
        A::put(buffer, control, offset + done, piece)?;
        done += piece.len();
    }
    Ok(())
}

/// The sum of the bytes of a range.
fn sum<A: TestAccess>(buffer: &mut Buffer<A>, control: bool) -> Result<u64, Error> {
    let (offset, len) = if control {
        buffer.control_range()
    } else {
        buffer.data_range()
    };
    let mut chunk = [0; CHUNK];
    let (mut done, mut sum) = (0, 0);
    while done < len {
        let piece = &mut chunk[..CHUNK.min(len - done)];
        A::get(buffer, control, offset + done, piece)?;
        sum += piece.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        done += piece.len();
    }
    Ok(sum)
}

/// The description of a buffer that the file shows.
pub(crate) fn describe<A: TestAccess>(buffer: &mut Buffer<A>) -> Result<Done, Error> {
    Ok(Done {
        count: 1,
        id: buffer.id(),
        data: buffer.data_range(),
        control: buffer.control_range(),
        frame: buffer.frame(),
        timestamp: buffer.timestamp(),
        sum: sum(buffer, false)?,
        control_sum: sum(buffer, true)?,
        ..Done::default()
    })
}

impl<A: TestAccess> End<A> {
    pub(crate) fn new(stream: Stream<A>) -> Self {
        Self {
            stream,
            held: KVVec::new(),
        }
    }

    /// Adds a buffer to the held ones.
    pub(crate) fn hold(&mut self, buffer: Buffer<A>) -> Result<(), Error> {
        self.held.push(buffer, GFP_KERNEL).map_err(|_| Error::Full)
    }

    /// The held buffer with this id.
    pub(crate) fn held(&mut self, id: u32) -> Result<&mut Buffer<A>, Error> {
        let mut held = self.held.iter_mut();
        held.find(|buffer| buffer.id() == id).ok_or(Error::Invalid)
    }

    /// Takes the held buffer with this id.
    pub(crate) fn let_go(&mut self, id: u32) -> Result<Buffer<A>, Error> {
        let place = self.held.iter().position(|buffer| buffer.id() == id);
        self.held
            .remove(place.ok_or(Error::Invalid)?)
            .map_err(|_| Error::Invalid)
    }

    /// Takes a buffer, fills `len` bytes of it from `seed` on, and sends it.
    pub(crate) fn produce(&mut self, len: usize, seed: u64) -> Result<(), Error> {
        let mut buffer = self.stream.take()?;
        fill(&mut buffer, false, (0, len), seed)?;
        buffer.set_data_range(0, len)?;
        self.stream.send(buffer)
    }

    /// Sends `count` buffers. It never takes a buffer while none is there, so it never asks the
    /// client to notify; the client returns buffers meanwhile.
    pub(crate) fn pump(&mut self, count: u64, len: usize) -> Result<u64, Error> {
        let mut free = u64::from(self.stream.buffers()?);
        for sent in 0..count {
            let began = Instant::<Monotonic>::now();
            while free == 0 {
                free = self.stream.queued()?.1;
                if began.elapsed() > Delta::from_secs(PATIENCE_SECONDS) {
                    return Ok(sent);
                }
                core::hint::spin_loop();
            }
            self.produce(len, sent)?;
            free -= 1;
        }
        Ok(count)
    }

    /// Moves the buffers that can be moved now, and returns their number.
    pub(crate) fn move_buffers(&mut self, auto: u32, len: usize) -> u64 {
        let mut moved = 0;
        loop {
            let done = match auto {
                AUTO_PRODUCE => self.produce(len, moved),
                AUTO_CONSUME => A::receive(&mut self.stream).map(drop),
                AUTO_ECHO => A::receive(&mut self.stream).and_then(|mut buffer| {
                    A::invert(&mut buffer);
                    self.stream.send(buffer)
                }),
                AUTO_TURN_ROUND => {
                    A::receive(&mut self.stream).and_then(|buffer| self.stream.send(buffer))
                }
                _ => return moved,
            };
            match done {
                Ok(()) => moved += 1,
                Err(_) => return moved,
            }
        }
    }
}

impl AnyEnd {
    pub(crate) fn control(&self) -> Control {
        match self {
            AnyEnd::Output(end) => end.stream.control(),
            AnyEnd::Shared(end) => end.stream.control(),
        }
    }

    pub(crate) fn release_all(&mut self) {
        match self {
            AnyEnd::Output(end) => end.held.clear(),
            AnyEnd::Shared(end) => end.held.clear(),
        }
    }

    pub(crate) fn produce(&mut self, len: usize, seed: u64) -> Result<(), Error> {
        match self {
            AnyEnd::Output(end) => end.produce(len, seed),
            AnyEnd::Shared(end) => end.produce(len, seed),
        }
    }

    pub(crate) fn move_buffers(&mut self, auto: u32, len: usize) -> u64 {
        match self {
            AnyEnd::Output(end) => end.move_buffers(auto, len),
            AnyEnd::Shared(end) => end.move_buffers(auto, len),
        }
    }
}
