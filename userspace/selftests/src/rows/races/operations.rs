// SPDX-License-Identifier: MIT OR Apache-2.0

//! The operations that run while a thread is held.

use iostream_raw::{INPUT, OUTPUT};
use iostream_ring::uapi::IOSTREAM_MODE_INPUT_OUTPUT;
use rustix::io::Result;

use super::acts::*;
use super::calls::Sort;
use super::ground::{Ground, Kind};
use super::sorts::*;

/// Something that a process, the driver or the system does.
pub struct Operation {
    pub name: &'static str,
    pub sort: &'static Sort,
    pub run: fn(&Ground) -> Result<u64>,
    /// Whether a node of this kind has it.
    applies: fn(Kind) -> bool,
    /// The point at which the operation itself is held while the tour goes on.
    pub own: Option<&'static str>,
}

impl Operation {
    /// All of them that a node of this kind has.
    pub fn all(kind: Kind) -> impl Iterator<Item = &'static Self> {
        OPERATIONS
            .iter()
            .filter(move |operation| (operation.applies)(kind))
    }

    /// Held in the middle at this point.
    const fn at(mut self, point: &'static str) -> Self {
        self.own = Some(point);
        self
    }
}

/// What has to wait while a point holds a thread, because the thread is inside a section that the
/// operation waits for, or holds a lock that it takes.
const MUST_WAIT: &[(&str, &str)] = &[
    ("driver-found", "disable"),
    ("driver-found", "unpublish"),
    ("eventfd-found", "eventfd of the output"),
    ("input-timer-fires", "watermark of the driver"),
    ("lane-found", "reset the output"),
    ("lane-found", "stop"),
    ("mode-agreed", "start"),
    ("set-up-made", "set up"),
    ("start-answered", "suspend"),
    ("stop-answered", "start"),
    ("suspend-fenced", "stop"),
];

/// Whether an operation that begins while this point holds a thread must not succeed before the
/// thread goes on.
pub fn must_wait(point: &str, operation: &Operation) -> bool {
    MUST_WAIT.contains(&(point, operation.name))
}

/// Cells that the short run tries, too.
const ALWAYS: &[(&str, &str)] = &[
    ("endpoint-ran", "write"),
    ("ends-quiesced", "report a loss"),
];

/// Whether the short run tries this operation while the point holds the tour.
pub fn always(point: &str, operation: &Operation) -> bool {
    must_wait(point, operation) || ALWAYS.contains(&(point, operation.name))
}

type Run = fn(&Ground) -> Result<u64>;

const fn on(
    applies: fn(Kind) -> bool,
    name: &'static str,
    sort: &'static Sort,
    run: Run,
) -> Operation {
    Operation {
        name,
        sort,
        run,
        applies,
        own: None,
    }
}

const fn on_all(name: &'static str, sort: &'static Sort, run: Run) -> Operation {
    on(|_| true, name, sort, run)
}

/// Of nodes that the test driver has published.
const fn of_driver(name: &'static str, sort: &'static Sort, run: Run) -> Operation {
    on(Kind::has_driver, name, sort, run)
}

/// Of queues that the test driver has published.
const fn of_entries(name: &'static str, sort: &'static Sort, run: Run) -> Operation {
    on(Kind::has_entries, name, sort, run)
}

/// Of queues, whoever serves them.
const fn on_queues(name: &'static str, sort: &'static Sort, run: Run) -> Operation {
    on(|kind| !kind.is_stream(), name, sort, run)
}

const fn on_streams(name: &'static str, sort: &'static Sort, run: Run) -> Operation {
    on(Kind::is_stream, name, sort, run)
}

const fn on_echo(name: &'static str, sort: &'static Sort, run: Run) -> Operation {
    on(|kind| matches!(kind, Kind::Echo), name, sort, run)
}

const fn on_mapped(name: &'static str, sort: &'static Sort, run: Run) -> Operation {
    on(|kind| matches!(kind, Kind::Mapped), name, sort, run)
}

const fn on_module(name: &'static str, sort: &'static Sort, run: Run) -> Operation {
    on(|kind| matches!(kind, Kind::Module), name, sort, run)
}

const OPERATIONS: &[Operation] = &[
    // A process.
    on_all("open another", &OPEN_OTHER, open_another).at("open-agreed"),
    on_all("close", &CLOSE, Ground::close).at("close-unpublished"),
    on_all("poll", &POLL, poll).at("armed"),
    on_all("read", &READ, read).at("read-claimed"),
    on_all("write", &WRITE, write).at("write-claimed"),
    on_all("eventfd of the output", &EVENTFD, |g| {
        set_eventfd(g, OUTPUT)
    })
    .at("eventfd-replaced"),
    on_all("eventfd of the input", &EVENTFD, |g| set_eventfd(g, INPUT)),
    on_all("notify", &NOTIFY, |g| notify(g, INPUT)).at("driver-found"),
    on_all("notify of room", &NOTIFY, |g| notify(g, OUTPUT)),
    on_queues("watermark", &WATERMARK, |g| watermark(g, 512, 1_000_000)).at("watermark-set"),
    on_queues("reset the output", &RESET, |g| reset(g, OUTPUT)).at("ends-quiesced"),
    on_queues("reset the input", &RESET, |g| reset(g, INPUT)).at("reset-halfway"),
    on_queues("map", &MAP, map_queues).at("map-claimed"),
    on_streams("map", &MAP, map_stream),
    on_mapped("take by the mapping", &READ, Ground::take_mapped),
    on_mapped("put by the mapping", &WRITE, Ground::put_mapped),
    on_echo("set up", &SET_UP, Ground::set_up),
    on_echo("run", &RUN, run_endpoint),
    on_streams("mode", &MODE, |g| mode(g, IOSTREAM_MODE_INPUT_OUTPUT)).at("mode-agreed"),
    on_streams("start", &START, start).at("start-answered"),
    on_streams("suspend", &SUSPEND, suspend).at("suspend-fenced"),
    on_streams("stop", &STOP, stop).at("stop-answered"),
    on_streams("drain", &STOP, |g| drain(g, 1_000_000)).at("drained"),
    on_streams("join", &JOIN, join).at("buffer-joins"),
    on_streams("notice", &NOTICE, |g| g.session()?.notice(7).map(|()| 0)),
    on_streams("synchronous notice", &NOTICE, |g| {
        g.session()?.notice_sync(7).map(|()| 0)
    })
    .at("driver-found"),
    on_all("a child that exits", &CHILD, child_exits),
    on_all("a child is killed", &CHILD, child_is_killed),
    on_all("kill", &KILL, kill).at("close-unpublished"),
    // The driver.
    of_driver("disable", &CALLBACKS, |g| g.tell("disable")),
    of_driver("enable", &CALLBACKS, |g| g.tell("enable")),
    of_driver("unpublish", &UNPUBLISH, Ground::unpublish).at("revoke-unpublished"),
    of_entries("enqueue", &PRODUCE, |g| g.tell("enqueue 24")).at("look-for-sleeper"),
    of_entries("enqueue in an interrupt", &PRODUCE, |g| {
        g.tell("enqueue 24 hardirq")
    }),
    of_entries("fill", &PRODUCE, |g| g.tell("fill 24")),
    of_entries("dequeue", &CONSUME, |g| g.tell("dequeue 24")),
    of_entries("watermark of the driver", &CALLBACKS, |g| {
        g.tell("watermark 512 1000000")
    })
    .at("input-watermark-set"),
    of_driver("report a loss", &LOSE, |g| g.tell("lost 3")),
    on_streams("produce", &PRODUCE, |g| g.tell("produce 1 24")).at("buffer-given"),
    on_streams("consume", &CONSUME, |g| g.tell("consume 1")),
    on_streams("add", &MANAGE, |g| g.tell("add 1")),
    on_streams("create queues", &MANAGE, |g| g.tell("create-queues")),
    on_streams("destroy queues", &MANAGE, |g| g.tell("destroy-queues")),
    // The system.
    on_queues("the latency is over", &WATERMARK, latency_over).at("output-timer-start"),
    of_entries("the driver's latency is over", &WRITE, input_latency_over).at("input-timer-start"),
    on(
        |kind| kind != Kind::Echo,
        "look at sysfs",
        &LOOK,
        look_at_sysfs,
    ),
    on_all("look at fdinfo", &LOOK, look_at_fdinfo),
    on_streams("stop by sysfs", &STOP_BY_SYSFS, |g| set_state(g, "stopped")),
    on_streams("start by sysfs", &SET_STATE, |g| set_state(g, "running")),
    on_module("unload", &UNPUBLISH, Ground::unpublish).at("revoke-unpublished"),
    on_module("load", &PUBLISH, Ground::publish),
];
