// SPDX-License-Identifier: GPL-2.0

//! An instrument that answers commands: each entry of the input queue is a command, and has one
//! entry of the output queue as its answer, in the same order.
//!
//! `*IDN?` asks who it is, `TIME?` for the nanoseconds since boot, `COUNT?` for the commands before
//! this one. Other commands are answered with an error of SCPI-99, volume 2, chapter 21.

use iostream::{Config, Consumer, Driver, Error, Ports, Producer, QueueConfig, Registration};
use kernel::{
    fmt,
    prelude::*,
    str::CString,
    sync::{new_mutex, Mutex},
    time::{ClockSource, Monotonic},
};

module! {
    type: Module,
    name: "iostream_instrument",
    authors: ["the iostream authors"],
    description: "Answers commands",
    license: "GPL",
}

/// Commands that are answered in one call, before other work gets its turn.
const BATCH: usize = 32;
/// The longest command.
const COMMAND_BYTES: usize = 64;
const QUEUE_BYTES: u64 = 16384;

struct Module {
    _node: Registration<Instrument>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let config = Config::new(c"instrument")
            .mode(0o660)
            .input(QueueConfig::with_capacity(QUEUE_BYTES)?)
            .output(QueueConfig::with_capacity(QUEUE_BYTES)?);
        let mut ports = Ports::new(config)?;
        let ends = Ends {
            commands: ports.consumer.take().ok_or(ENODEV)?,
            answers: ports.producer.take().ok_or(ENODEV)?,
            answered: 0,
        };
        let instrument = pin_init!(Instrument { ends <- new_mutex!(ends) });
        Ok(Self {
            _node: Registration::new(ports, instrument)?,
        })
    }
}

#[pin_data]
struct Instrument {
    // Callbacks may run at the same time in several threads.
    #[pin]
    ends: Mutex<Ends>,
}

struct Ends {
    commands: Consumer,
    answers: Producer,
    /// Commands that this client has had answers to.
    answered: u64,
}

impl Ends {
    /// Answers the next command.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`]: there is none. [`Error::Full`]: there is no room for the answer; the
    /// command stays.
    fn answer_next(&mut self) -> Result<(), Error> {
        let command = self.commands.peek()?;
        let mut text = [0; COMMAND_BYTES];
        let answer = match text.get_mut(..command.len()) {
            // Copied once, because the client can write there at any time.
            Some(text) => {
                command.copy_to(0, text)?;
                answer_to(text.trim_ascii(), self.answered)
            }
            None => text_of(fmt!("-223,\"Too much data\"")),
        };
        let answer = match &answer {
            Ok(answer) => answer.to_bytes(),
            // There is no memory.
            Err(_) => b"-310,\"System error\"",
        };
        self.answers.enqueue(answer)?;
        self.answered += 1;
        command.release()
    }
}

fn answer_to(command: &[u8], answered: u64) -> Result<CString> {
    match command {
        b"*IDN?" => text_of(fmt!("iostream,instrument,0,1")),
        b"TIME?" => text_of(fmt!("{}", Monotonic::ktime_get())),
        b"COUNT?" => text_of(fmt!("{answered}")),
        _ => text_of(fmt!("-113,\"Undefined header\"")),
    }
}

fn text_of(text: fmt::Arguments<'_>) -> Result<CString> {
    CString::try_from_fmt(text)
}

impl Driver for Instrument {
    fn opened(&self) {
        self.ends.lock().answered = 0;
    }

    fn data_available(&self) {
        let mut ends = self.ends.lock();
        for _ in 0..BATCH {
            // No command: this is called at the next one. No room: `room_available` is called.
            if ends.answer_next().is_err() {
                return;
            }
        }
        // This is a client's thread, which may not be kept by all that the client sends meanwhile.
        ends.commands.call_again();
    }

    fn room_available(&self) {
        self.data_available();
    }
}
