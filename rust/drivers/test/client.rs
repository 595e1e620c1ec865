// SPDX-License-Identifier: GPL-2.0

//! A client inside the kernel that runs the commands of the tests.
//!
//! ```text
//! open NAME            close                the stream of a node; at most one at a time
//! forget               leaks the client
//! start                suspend              stop                 drain TIMEOUT
//! mode NUMBER          buffers
//! receive              take                 the client then holds the buffer
//! fill SEED LEN        fill-control SEED LEN, in the last held buffer, from the start of the area
//! timestamp NS, of the last held buffer
//! send                 drop                 the first held buffer
//! wait TIMEOUT [killable]
//! watch [MS]                                counts calls of the callback, each of which takes MS
//! notice TOKEN         sync TOKEN
//! ```
//!
//! A time-out is in milliseconds, or `never`.

use core::mem::take;

use iostream::{Client, ClientBuffer, Mode, Stop};
use kernel::{
    fmt,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        new_mutex, Arc, Mutex,
    },
    time::{delay::fsleep, Delta},
};

use crate::{commands::Words, leak::leak};

/// What the last command did.
#[derive(Clone, Copy, Default)]
struct Log {
    count: u64,
    id: u32,
    len: usize,
    sum: u64,
    frame: u64,
    timestamp: u64,
    lost: u64,
    discontinuous: bool,
    discarded: bool,
}

#[derive(Default)]
struct State {
    client: Option<Client>,
    held: KVec<ClientBuffer>,
}

/// The client: its session, the buffers that it holds, and the result of the last command.
#[pin_data]
pub(crate) struct TestClient {
    #[pin]
    state: Mutex<State>,
    #[pin]
    log: Mutex<Log>,
    calls: Arc<Atomic<u64>>,
}

impl TestClient {
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            state <- new_mutex!(State::default()),
            log <- new_mutex!(Log::default()),
            calls: Arc::new(Atomic::new(0), GFP_KERNEL)?,
        })
    }

    /// Ends the session, if there is one, and drops all buffers.
    pub(crate) fn close(&self) {
        let state = take(&mut *self.state.lock());
        drop(state);
    }

    pub(crate) fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = *self.log.lock();
        writeln!(out, "count={}", log.count)?;
        writeln!(out, "id={}", log.id)?;
        writeln!(out, "len={}", log.len)?;
        writeln!(out, "sum={}", log.sum)?;
        writeln!(out, "frame={}", log.frame)?;
        writeln!(out, "timestamp={}", log.timestamp)?;
        writeln!(out, "lost={}", log.lost)?;
        writeln!(out, "discontinuous={}", u8::from(log.discontinuous))?;
        writeln!(out, "discarded={}", u8::from(log.discarded))?;
        writeln!(out, "calls={}", self.calls.load(Relaxed))
    }
}

/// Runs one command.
pub(crate) fn run(test: &TestClient, text: &str) -> Result {
    let mut words = Words::new(text);
    let words = &mut words;
    let command = words.word()?;
    if command == "close" {
        test.close();
        return Ok(());
    }
    let mut state = test.state.lock();
    if command == "forget" {
        return leak(take(&mut state.client).ok_or(ENOTCONN)?);
    }
    if command == "open" {
        if state.client.is_some() {
            return Err(EBUSY);
        }
        state.client = Some(Client::open(&words.name()?)?);
        return Ok(());
    }
    let State { client, held } = &mut *state;
    match command {
        "fill" | "fill-control" => {
            let buffer = held.last_mut().ok_or(ENXIO)?;
            return fill(buffer, command != "fill", words.number()?, words.size()?);
        }
        "timestamp" => {
            held.last_mut().ok_or(ENXIO)?.set_timestamp(words.number()?);
            return Ok(());
        }
        "drop" => {
            held.remove(0).map_err(|_| ENXIO).map(drop)?;
            return Ok(());
        }
        _ => {}
    }
    let client = client.as_mut().ok_or(ENOTCONN)?;
    let mut log = Log::default();
    match command {
        "start" => client.start()?,
        "suspend" => client.suspend()?,
        "stop" => log.count = sum(client.stop(Stop::Discard, None)?),
        "drain" => log.count = sum(client.stop(Stop::Drain, words.timeout()?)?),
        "mode" => client.set_mode(match words.number()? {
            0 => Mode::Output,
            1 => Mode::Input,
            _ => Mode::InputOutput,
        })?,
        "buffers" => log.count = client.buffers()?.into(),
        "receive" | "take" => {
            let buffer = match command {
                "take" => client.take()?,
                _ => client.receive()?,
            };
            log = look(&buffer)?;
            held.push(buffer, GFP_KERNEL)?;
        }
        "send" => client.send(held.remove(0).map_err(|_| ENXIO)?)?,
        "wait" => {
            let timeout = words.timeout()?;
            client.wait(timeout, words.optional() != Some("killable"))?;
        }
        "watch" => {
            let calls = test.calls.clone();
            let ms = match words.optional() {
                Some(ms) => ms.parse().map_err(|_| EINVAL)?,
                None => 0,
            };
            client.set_callback(move || {
                calls.fetch_add(1, Relaxed);
                if ms != 0 {
                    fsleep(Delta::from_millis(ms));
                }
            })?;
        }
        "notice" => client.notice(words.narrow()?)?,
        "sync" => client.notice_sync(words.narrow()?)?,
        _ => return Err(EINVAL),
    }
    *test.log.lock() = log;
    Ok(())
}

fn sum((output, input): (u64, u64)) -> u64 {
    output + input
}

/// Fills a range: byte number i is the low byte of `seed` plus i.
fn fill(buffer: &mut ClientBuffer, control: bool, seed: u64, len: usize) -> Result {
    let area = if control {
        buffer.control_mut()
    } else {
        buffer.data_mut()
    };
    let part = area.ok_or(EACCES)?.get_mut(..len).ok_or(EINVAL)?;
    for (i, byte) in part.iter_mut().enumerate() {
        *byte = seed.wrapping_add(i as u64) as u8;
    }
    if control {
        buffer.set_control_range(0, len)?;
    } else {
        buffer.set_data_range(0, len)?;
    }
    Ok(())
}

fn look(buffer: &ClientBuffer) -> Result<Log> {
    let (offset, len) = buffer.data_range();
    let data = buffer.data().get(offset..offset + len).ok_or(EBADMSG)?;
    Ok(Log {
        count: 1,
        id: buffer.id(),
        len,
        sum: data.iter().map(|byte| u64::from(*byte)).sum(),
        frame: buffer.frame(),
        timestamp: buffer.timestamp(),
        lost: buffer.lost(),
        discontinuous: buffer.is_discontinuous(),
        discarded: buffer.is_discarded(),
    })
}
