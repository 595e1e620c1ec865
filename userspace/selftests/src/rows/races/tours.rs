// SPDX-License-Identifier: MIT OR Apache-2.0

//! A tour: everything that a program and its driver can do with a node, one after the other.

use iostream_raw::{sink, source, Control, INPUT, OUTPUT};
use iostream_ring::uapi::*;
use rustix::event::PollFlags;
use rustix::io::{Errno, Result};

use super::acts::*;
use super::calls::Sort;
use super::ground::{Ground, Kind, QUEUE_BYTES};
use super::ledger;
use super::sorts::*;

/// Nanoseconds of a latency that is not over while a cell runs.
const HOUR_NS: u64 = 3_600_000_000_000;

/// Makes the tour. It goes on with a session that is open. It rests before the session closes and
/// after that, where it checks the counters if nothing else is under way.
pub fn tour(ground: &Ground) {
    if ground.session().is_err() {
        ground.call("open", &OPEN, Ground::open);
    }
    match ground.kind {
        Kind::Queues => queues(ground),
        Kind::Mapped => mapped(ground),
        Kind::Echo => echo(ground),
        Kind::Module => module(ground),
        _ => stream(ground),
    }
    if ground.rest() {
        ledger::check_session(ground);
    }
    match ground.kind {
        Kind::Queues | Kind::Mapped => empty(ground),
        Kind::Echo => other_endpoints(ground),
        _ => {}
    }
    ground.call("close", &CLOSE, Ground::close);
    if ground.kind == Kind::Echo {
        return;
    }
    if ground.rest() {
        ledger::check_unopened(ground);
    }
    if ground.kind.is_stream() {
        module_as_client(ground);
    }
    ground.call("open again", &OPEN, Ground::open);
    if ground.kind.is_stream() {
        ground.call("start again", &START, start);
    }
    ground.call("unpublish", &UNPUBLISH, Ground::unpublish);
    ground.call("close again", &CLOSE, Ground::close);
    ground.call("publish", &PUBLISH, Ground::publish);
}

/// A module opens the stream, and uses it.
fn module_as_client(ground: &Ground) {
    let tell = |sort, command| {
        ground.call(command, sort, |_| {
            Control::open("client").tell(command).map(|()| 0)
        });
    };
    tell(&OPEN_OTHER, "open selftest");
    tell(&CLIENT, "watch");
    tell(&CLIENT_START, "start");
    if ground.kind != Kind::Input {
        command(ground, &PRODUCE, "produce 1 24");
    }
    for _ in 0..2 {
        ground.call("receive", &CLIENT, |_| {
            match Control::open("client").tell("receive") {
                Err(Errno::NODATA) => Ok(0),
                other => other.map(|()| 0),
            }
        });
    }
    tell(&CLIENT_CLOSE, "close");
}

/// Brings a node to where most operations find something to do.
pub fn prepare(ground: &Ground) {
    ground.call("open", &OPEN, Ground::open);
    match ground.kind {
        Kind::Queues | Kind::Mapped => {
            let watermark = |g: &Ground| watermark(g, 2048, HOUR_NS);
            ground.call("watermark", &WATERMARK, watermark);
            command(ground, &CALLBACKS, "watermark 1024 3600000000000");
            command(ground, &PRODUCE, "enqueue 24");
            if ground.kind == Kind::Mapped {
                ground.call("map the ends", &MAP, Ground::map_ends);
            } else {
                ground.call("write", &WRITE, write);
            }
            ground.call("eventfds", &EVENTFD, |g| both(g, set_eventfd));
        }
        Kind::Echo => {
            ground.call("set up", &SET_UP, Ground::set_up);
            ground.call("write", &WRITE, write);
        }
        Kind::Module => {}
        kind => {
            ground.call("start", &START, start);
            command(ground, &MANAGE, "add 1");
            if kind == Kind::Input {
                ground.call("write", &WRITE, write);
            } else {
                command(ground, &PRODUCE, "produce 1 24");
            }
        }
    }
}

/// A command of the driver.
fn command(ground: &Ground, sort: &'static Sort, command: &'static str) {
    ground.call(command, sort, |ground| ground.tell(command));
}

fn queues(ground: &Ground) {
    ground.call("watermark", &WATERMARK, |g| watermark(g, 2048, HOUR_NS));
    command(ground, &CALLBACKS, "watermark 1024 3600000000000");
    command(ground, &PRODUCE, "enqueue 24");
    ground.call("poll", &POLL, poll);
    ground.call("eventfd", &EVENTFD, |g| set_eventfd(g, OUTPUT));
    ground.call("the latency is over", &WATERMARK, latency_over);
    ground.call("no watermark", &WATERMARK, |g| watermark(g, 0, 0));
    command(ground, &PRODUCE, "enqueue 24");
    ground.call("read", &READ, |g| or_again(read(g)));
    ground.call("write", &WRITE, |g| or_again(write(g)));
    ground.call("notify", &NOTIFY, |g| notify(g, INPUT));
    ground.call("the driver's latency is over", &WRITE, input_latency_over);
    command(ground, &CALLBACKS, "watermark 0 0");
    command(ground, &LOSE, "lost 3");
    for switch in ["disable", "enable"] {
        command(ground, &CALLBACKS, switch);
    }
    ground.call("notify of room", &NOTIFY, |g| notify(g, OUTPUT));
    ground.call("write", &WRITE, |g| or_again(write(g)));
    ground.call("dequeue", &CONSUME, |g| match g.tell("dequeue 24") {
        Err(Errno::NODATA) => Ok(0),
        other => other,
    });
}

/// Empties the queues by a reset, and maps them.
fn empty(ground: &Ground) {
    command(ground, &PRODUCE, "enqueue 24");
    command(ground, &PRODUCE, "enqueue 24");
    ground.call("reset the output", &RESET, |g| reset(g, OUTPUT));
    ground.call("reset the input", &RESET, |g| reset(g, INPUT));
    // The words of a client can be mapped once in a session.
    if ground.kind == Kind::Queues {
        command(ground, &PRODUCE, "enqueue 0");
        ground.call("pass over", &READ, |g| or_again(read(g)));
        // What waits when the session ends.
        ground.call("write", &WRITE, |g| or_again(write(g)));
        ground.call("map", &MAP, map_queues);
    }
}

fn mapped(ground: &Ground) {
    ground.call("map the ends", &MAP, Ground::map_ends);
    command(ground, &CALLBACKS, "watermark 1024 3600000000000");
    ground.call("put", &WRITE, Ground::put_mapped);
    ground.call("watermark", &WATERMARK, |g| watermark(g, 2048, HOUR_NS));
    command(ground, &PRODUCE, "enqueue 24");
    ground.call("poll", &POLL, poll);
    ground.call("eventfds", &EVENTFD, |g| both(g, set_eventfd));
    ground.call("no watermark", &WATERMARK, |g| watermark(g, 0, 0));
    command(ground, &PRODUCE, "enqueue 24");
    ground.call("take", &READ, Ground::take_mapped);
    command(ground, &CALLBACKS, "watermark 0 0");
    ground.call("put", &WRITE, Ground::put_mapped);
    ground.call("notify", &NOTIFY, |g| notify(g, INPUT));
    ground.call("notify of room", &NOTIFY, |g| notify(g, OUTPUT));
    ground.call("dequeue", &CONSUME, |g| match g.tell("dequeue 24") {
        Err(Errno::NODATA) => Ok(0),
        other => other,
    });
}

fn stream(ground: &Ground) {
    let modes: &[u32] = match ground.kind {
        Kind::Output => &[IOSTREAM_MODE_INPUT_OUTPUT, IOSTREAM_MODE_OUTPUT],
        Kind::Input => &[IOSTREAM_MODE_INPUT],
        _ => &[IOSTREAM_MODE_OUTPUT, IOSTREAM_MODE_INPUT_OUTPUT],
    };
    for &wanted in modes {
        ground.call("mode", &MODE, |g| mode(g, wanted));
    }
    ground.call("eventfd", &EVENTFD, |g| set_eventfd(g, OUTPUT));
    ground.call("start", &START, start);
    command(ground, &MANAGE, "add 1");
    ground.call("join", &JOIN, join);
    if ground.kind != Kind::Input {
        command(ground, &PRODUCE, "produce 1 24");
    }
    ground.call("poll", &POLL, poll);
    if ground.kind != Kind::Input {
        ground.call("read", &READ, |g| or_again(read(g)));
    }
    if ground.kind != Kind::Output {
        ground.call("write", &WRITE, |g| or_again(write(g)));
        command(ground, &CONSUME, "consume 1");
    }
    command(ground, &LOSE, "lost 3");
    ground.call("suspend", &SUSPEND, suspend);
    ground.call("go on", &START, start);
    ground.call("notice", &NOTICE, |g| g.session()?.notice(7).map(|()| 0));
    ground.call("drain", &STOP, |g| drain(g, 1_000_000_000));
    ground.call("map a stopped one", &MAP, map_stream);
}

fn echo(ground: &Ground) {
    ground.call("set up", &SET_UP, Ground::set_up);
    ground.call("watermark", &WATERMARK, |g| watermark(g, 512, HOUR_NS));
    ground.call("poll", &POLL, poll);
    ground.call("write", &WRITE, |g| or_again(write(g)));
    ground.call("eventfds", &EVENTFD, |g| both(g, set_eventfd));
    ground.call("no watermark", &WATERMARK, |g| watermark(g, 0, 0));
    ground.call("notify", &NOTIFY, |g| notify(g, INPUT));
    ground.call("write", &WRITE, |g| or_again(write(g)));
    ground.call("notify of room", &NOTIFY, |g| notify(g, OUTPUT));
    // Nothing is notified from here on: what comes during the run is moved at its end.
    ground.call("run", &RUN, |g| match run_endpoint(g) {
        Err(Errno::TIMEDOUT) => Ok(0),
        other => other,
    });
    ground.call("read", &READ, |g| or_again(read(g)));
}

/// A source by the clock, and a sink.
fn other_endpoints(ground: &Ground) {
    ground.call("reset the output", &RESET, |g| reset(g, OUTPUT));
    ground.call("reset the input", &RESET, |g| reset(g, INPUT));
    ground.call("map", &MAP, map_queues);
    for (name, setup) in [
        ("set up a source", source(QUEUE_BYTES, 16, 16, 1000)),
        ("set up a sink", sink(QUEUE_BYTES)),
    ] {
        ground.call("close", &CLOSE, Ground::close);
        ground.call("open again", &OPEN, Ground::open);
        ground.call(name, &SET_UP_ONE_WAY, |g| {
            g.session()?.setup(setup).map(|()| 0)
        });
        ground.call("use", &ANY_END, use_end);
    }
}

/// Reads what a source sends, or writes to a sink.
fn use_end(ground: &Ground) -> Result<u64> {
    let session = ground.session()?;
    match session.write(&[0; 16]) {
        Err(Errno::NXIO) => {
            session.poll(PollFlags::IN, MOMENT_MS);
            let _ = session.read(&mut [0; 64]);
            Ok(0)
        }
        other => other.map(|_| 0),
    }
}

fn module(ground: &Ground) {
    ground.call("watermark", &WATERMARK, |g| watermark(g, 64, HOUR_NS));
    ground.call("eventfd", &EVENTFD, |g| set_eventfd(g, OUTPUT));
    ground.call("poll", &POLL, |g| {
        g.session()?.poll(PollFlags::IN, MOMENT_MS);
        Ok(0)
    });
    ground.call("no watermark", &WATERMARK, |g| watermark(g, 0, 0));
    ground.call("read", &READ, |g| or_again(read(g)));
    ground.call("notify of room", &NOTIFY, |g| notify(g, OUTPUT));
    ground.call("reset the output", &RESET, |g| reset(g, OUTPUT));
    ground.call("map", &MAP, map_queues);
}
