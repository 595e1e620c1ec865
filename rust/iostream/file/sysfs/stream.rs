// SPDX-License-Identifier: GPL-2.0

//! The files in `/sys/class/iostream/*` that only streams have.
//!
//! ```text
//! description, format  the driver's text, and its tag of four characters
//! data_bytes           size of a buffer's data area
//! control_bytes        size of a buffer's control area
//! clock                of the timestamps: realtime, monotonic, boottime, or tai
//! mode                 output, input, or input-output
//! state                stopped, running, or suspended. Can be written: running, suspended, stopped
//!                      (discards what is queued), drained (stops when the driver has taken all)
//! buffers              the number of buffers
//! buffers_where        a letter for each buffer of the open session: f, free; h, held by the
//!                      driver; c, with the client or queued
//! stream/*             the counters of the open sessions
//! ```

use kernel::{fmt, prelude::*, sync::atomic::Relaxed};

use super::{attributes, counter_files, Attribute, Out, Table};
use crate::{
    node::Node,
    pool::{spec::StreamSpec, state::Stop, Pool, StreamCounter},
    port::Port,
    sync::gate::Patience,
};

/// The longest time for which the writer of "drained" waits.
const DRAIN_TIMEOUT_NS: u64 = 30_000_000_000;

/// The declaration of the stream, if the node is a stream's.
fn spec(node: &Node) -> Option<&StreamSpec> {
    let records = node.ports().first()?.records()?;
    Some(records.spec())
}

fn is_stream(node: &Node) -> bool {
    spec(node).is_some()
}

/// The text in an array, which ends at the first zero.
fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..end]).unwrap_or("?")
}

fn description(node: &Node, out: Out) -> Result<isize> {
    out.line(text(&spec(node).ok_or(ENXIO)?.description))
}

fn format(node: &Node, out: Out) -> Result<isize> {
    out.line(text(&spec(node).ok_or(ENXIO)?.format.to_le_bytes()))
}

fn data_bytes(node: &Node, out: Out) -> Result<isize> {
    out.line(spec(node).ok_or(ENXIO)?.data_bytes)
}

fn control_bytes(node: &Node, out: Out) -> Result<isize> {
    out.line(spec(node).ok_or(ENXIO)?.control_bytes)
}

/// Runs `f` with the pool of the first session that is open.
fn with_pool<R>(node: &Node, f: impl FnOnce(&Pool) -> R) -> Option<R> {
    let mut pools = node.ports().iter().filter_map(|port| port.open_pool().ok());
    pools.next().map(|pool| f(&pool))
}

fn clock(node: &Node, out: Out) -> Result<isize> {
    out.line(spec(node).ok_or(ENXIO)?.clock.name())
}

fn mode(node: &Node, out: Out) -> Result<isize> {
    let declared = spec(node).ok_or(ENXIO)?.mode;
    out.line(with_pool(node, Pool::mode).unwrap_or(declared).name())
}

fn state(node: &Node, out: Out) -> Result<isize> {
    out.line(with_pool(node, |pool| pool.shown_state().name()).unwrap_or("stopped"))
}

/// Changes the state of all open sessions, and returns the first error; `ENOTCONN` if no session is
/// open.
fn set_state(node: &Node, word: &str) -> Result {
    let change: fn(&Port) -> Result = match word {
        "running" => |port| port.start(Patience::UntilSignal),
        "suspended" => |port| port.suspend(Patience::UntilSignal),
        "stopped" => |port| {
            port.stop(Stop::Discard, None, Patience::UntilSignal)
                .map(drop)
        },
        "drained" => |port| {
            let stopped = port.stop(Stop::Drain, Some(DRAIN_TIMEOUT_NS), Patience::UntilSignal);
            stopped.map(drop)
        },
        _ => return Err(EINVAL),
    };
    let (mut done, mut failed) = (Err(ENOTCONN), Ok(()));
    for (number, port) in node.ports().iter().enumerate() {
        match change(port) {
            // No session has this port open.
            Err(error) if error == ENOTCONN => {}
            Err(error) => {
                if node.ports().len() > 1 {
                    let (name, errno) = (node.name_str(), error.to_errno());
                    pr_notice!("{name}: client {number}: cannot be {word}: error {errno}\n");
                }
                failed = failed.and(Err(error));
            }
            Ok(()) => done = Ok(()),
        }
    }
    failed.and(done)
}

fn buffers(node: &Node, out: Out) -> Result<isize> {
    let records = node.ports().first().and_then(|port| port.records());
    out.line(records.ok_or(ENXIO)?.count())
}

/// Prints a letter for each buffer. sysfs cuts the line where its page ends.
struct Owners<'a>(&'a Pool);

impl fmt::Display for Owners<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .owners()
            .try_for_each(|letter| fmt::Write::write_char(f, letter.into()))
    }
}

fn buffers_where(node: &Node, out: Out) -> Result<isize> {
    match with_pool(node, |pool| out.line(Owners(pool))) {
        Some(shown) => shown,
        None => Ok(0),
    }
}

fn counter(node: &Node, out: Out, counter: StreamCounter) -> Result<isize> {
    let values = node.ports().iter().filter_map(|port| {
        let pool = port.open_pool().ok()?;
        Some(pool.counter(counter).load(Relaxed))
    });
    out.line(values.fold(0, u64::wrapping_add))
}

attributes! { STREAM:
    c"description" if is_stream => description;
    c"format" if is_stream => format;
    c"data_bytes" if is_stream => data_bytes;
    c"control_bytes" if is_stream => control_bytes;
    c"clock" if is_stream => clock;
    c"mode" if is_stream => mode;
    c"state" if is_stream => state, store set_state;
    c"buffers" if is_stream => buffers;
    c"buffers_where" if is_stream => buffers_where;
}

counter_files!(COUNTERS: StreamCounter if is_stream => counter);
