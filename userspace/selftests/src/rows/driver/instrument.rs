// SPDX-License-Identifier: MIT OR Apache-2.0

//! Q-20 with the example driver that has a queue in each direction.

use std::time::Duration;

use iostream_raw::{Input, Output, Session};
use rustix::time::{clock_gettime, ClockId};

use crate::clause::Clause;
use crate::support::module::{open_node, Module};
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-20/instrument-answers", answers),
    Clause::new("Q-20/called-again", called_again),
    Clause::new("Q-20/instrument-without-room", without_room),
];

/// Far more than the clock of an emulated machine is off, which was seen to stand still between two
/// looks, and far less than another unit would make.
const TOLERANCE: Duration = Duration::from_secs(5);

/// The node, open, with both ends.
struct Instrument {
    session: Session,
    commands: Input,
    answers: Output,
    // Dropped last: a module is removed once nobody has its node open.
    _module: Module,
}

impl Instrument {
    fn new() -> Self {
        let module = Module::load("iostream_instrument", &[]);
        let session = open_node("instrument").expect("the instrument");
        Self {
            commands: Input::new(&session),
            answers: Output::new(&session),
            session,
            _module: module,
        }
    }

    /// The next answer, waited for.
    #[track_caller]
    fn answer(&mut self) -> String {
        let mut answer = None;
        wait_until("an answer", || {
            answer = self.answers.take_and_notify(&self.session);
            answer.is_some()
        });
        let bytes = answer.expect("waited for").bytes;
        String::from_utf8(bytes).expect("an answer in ASCII")
    }

    #[track_caller]
    fn ask(&mut self, command: &[u8]) -> String {
        assert!(self.commands.push(&self.session, command), "no room");
        self.answer()
    }
}

fn answers() {
    let mut instrument = Instrument::new();
    for (command, answer) in [
        (&b"*IDN?"[..], "iostream,instrument,0,1"),
        (b"COUNT?\n", "1"),
        (b" COUNT? ", "2"),
        (b"", "-113,\"Undefined header\""),
        (b"*idn?", "-113,\"Undefined header\""),
        (&[0; 64], "-113,\"Undefined header\""),
        (&[b'x'; 65], "-223,\"Too much data\""),
        (&[b'x'; 4000], "-223,\"Too much data\""),
        (b"COUNT?", "8"),
    ] {
        assert_eq!(instrument.ask(command), answer, "{command:?}");
    }
    let mut time = || {
        let answer = instrument.ask(b"TIME?");
        Duration::from_nanos(answer.parse().expect("nanoseconds"))
    };
    let since_boot = || Duration::try_from(clock_gettime(ClockId::Monotonic)).expect("a time");
    let before = since_boot();
    let first = time();
    let times = before.saturating_sub(TOLERANCE)..since_boot() + TOLERANCE;
    assert!(times.contains(&first), "{first:?} in {times:?}");
    wait_until("a later time", || time() > first);
}

/// More commands than the driver answers in one call, of which it is told once.
fn called_again() {
    const COMMANDS: u64 = 300;
    let mut instrument = Instrument::new();
    // Its first call has found nothing.
    assert_eq!(instrument.ask(b"COUNT?"), "0");
    for _ in 0..COMMANDS {
        assert!(instrument.commands.put(b"COUNT?"));
    }
    instrument.commands.publish();
    instrument.session.notify(iostream_raw::INPUT).unwrap();
    for number in 1..=COMMANDS {
        assert_eq!(instrument.answer(), number.to_string());
    }
}

/// While nobody takes the answers, commands stay; afterwards each is answered, in order.
fn without_room() {
    let mut instrument = Instrument::new();
    let mut asked = 0u64;
    let mut full_since = None;
    // Full for good: what the driver still takes would make room.
    wait_until("the queue of commands stays full", || {
        if instrument.commands.push(&instrument.session, b"COUNT?") {
            asked += 1;
            full_since = None;
            return false;
        }
        let waiting = instrument.answers.available();
        let before = full_since.replace(waiting);
        // No answer came between two looks a millisecond apart, with no room for another one.
        before == Some(waiting) && instrument.answers.size - waiting < 24
    });
    for number in 0..asked {
        assert_eq!(instrument.answer(), number.to_string());
    }
    assert_eq!(instrument.ask(b"COUNT?"), asked.to_string());
}
