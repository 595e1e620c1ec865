// SPDX-License-Identifier: GPL-2.0

//! The commands of a test stream.
//!
//! ```text
//! publish NAME MODE BUFFERS DATA-BYTES [KEY=VALUE...]
//!     MODE: output, input, input-output, or shared-output (by copy; the mode can be changed)
//!     KEY: control, queue, clock, format, description, mode, gid, own-queue, drain, clients
//! many COUNT NAME MODE BUFFERS DATA-BYTES [...]          many-send LEN
//! unpublish            client NUMBER (later commands use the end of this client)
//! forget (leaks the registration)
//! take                 receive              release ID           release-all
//! release-all-clients  release-in task|softirq|hardirq ID       try COUNT
//! fill ID SEED OFFSET LEN                   fill-control ID SEED OFFSET LEN
//! range ID OFFSET LEN  control-range ID OFFSET LEN               look ID
//! timestamp ID NS      lost COUNT
//! send ID              produce COUNT LEN    consume COUNT        echo COUNT
//! pump COUNT LEN       notify               running              mode
//! buffers              queued
//! count                add COUNT            remove ID            remove-all
//! keep-record ID       remove-kept          set-value ID VALUE   value ID
//! references ID        create-queues        destroy-queues       has-queues
//! fail open|start|suspend|mode|sync ERRNO   refuse ERRNO         slow MS
//! auto off|produce LEN|consume|echo|turn-round LEN
//! behave               hold-callbacks       release-callbacks
//! disable              enable               cancel
//! ```
//!
//! `take` and `receive` keep the buffer until a command gives it away; `try` receives so often,
//! whether or not there is something, and drops it. The file shows the result of the last command,
//! such as its frame number and sums. Between `hold-callbacks` and `release-callbacks` each
//! callback that begins does not end.

use iostream::Error;
use kernel::{prelude::*, sync::atomic::Relaxed};

use super::{
    callbacks::{AUTO_CONSUME, AUTO_ECHO, AUTO_OFF, AUTO_PRODUCE, AUTO_TURN_ROUND},
    end::{describe, fill, AnyEnd, End, TestAccess},
    plan::Plan,
    Done, TestStream,
};
use crate::{commands::Words, shot};

/// Runs one command on a stream.
pub(crate) fn run(node: &TestStream, text: &str) -> Result {
    let mut words = Words::new(text);
    let words = &mut words;
    match words.word()? {
        "publish" => node.publish(&Plan::parse(words)?),
        "many" => {
            let count = words.narrow()?;
            let name = words.clone().word()?;
            node.many.lock().publish(&Plan::parse(words)?, name, count)
        }
        "many-send" => {
            let len = words.size()?;
            let done = node.many.lock().send(len);
            node.note(done.map(counted))
        }
        "unpublish" => {
            node.unpublish();
            Ok(())
        }
        "forget" => node.forget(),
        "client" => {
            node.client.store(words.narrow()?, Relaxed);
            Ok(())
        }
        "disable" => node.with_registration(|registration| registration.disable_callbacks()),
        "enable" => node.with_registration(|registration| registration.enable_callbacks()),
        "cancel" => node.with_registration(|registration| registration.cancel_callbacks()),
        "release-all-clients" => {
            for end in node.ends.ends.lock().iter_mut() {
                end.release_all();
            }
            Ok(())
        }
        command @ ("fail" | "refuse" | "slow" | "hold-callbacks" | "release-callbacks" | "auto"
        | "behave") => behave(node, command, words),
        command @ ("count" | "add" | "remove" | "remove-all" | "keep-record" | "remove-kept"
        | "set-value" | "value" | "references" | "create-queues" | "destroy-queues"
        | "has-queues") => {
            let count = manage(node, command, words)?;
            node.note(Ok(counted(count)))
        }
        command => {
            let done = {
                let mut ends = node.ends.ends.lock();
                match ends.get_mut(node.client.load(Relaxed) as usize) {
                    Some(AnyEnd::Output(end)) => use_end(end, command, words)?,
                    Some(AnyEnd::Shared(end)) => use_end(end, command, words)?,
                    None => return Err(ENXIO),
                }
            };
            node.note(done)
        }
    }
}

fn counted(count: u64) -> Done {
    Done {
        count,
        ..Done::default()
    }
}

/// Sets how callbacks behave.
fn behave(node: &TestStream, command: &str, words: &mut Words<'_>) -> Result {
    let seen = &node.seen;
    let errno = |words: &mut Words<'_>| i32::try_from(words.number()?).map_err(|_| EINVAL);
    match command {
        "fail" => {
            let what = words.word()?;
            seen.fail(what, errno(words)?)
        }
        "refuse" => seen.fail("open", errno(words)?),
        "slow" => {
            seen.slow_ms.store(words.narrow()?, Relaxed);
            Ok(())
        }
        "hold-callbacks" => {
            seen.gate.close();
            Ok(())
        }
        "release-callbacks" => {
            seen.gate.open();
            Ok(())
        }
        "auto" => {
            let auto = match words.word()? {
                "off" => AUTO_OFF,
                "produce" => {
                    seen.auto_bytes.store(words.narrow()?, Relaxed);
                    AUTO_PRODUCE
                }
                "turn-round" => {
                    seen.auto_bytes.store(words.narrow()?, Relaxed);
                    AUTO_TURN_ROUND
                }
                "consume" => AUTO_CONSUME,
                "echo" => AUTO_ECHO,
                _ => return Err(EINVAL),
            };
            seen.auto.store(auto, Relaxed);
            Ok(())
        }
        _ => {
            seen.behave();
            Ok(())
        }
    }
}

/// Runs a command that manages buffers or queues.
fn manage(node: &TestStream, command: &str, words: &mut Words<'_>) -> Result<u64> {
    let control = node.control()?;
    match command {
        "count" => return Ok(control.buffer_count().into()),
        "add" => control.add_buffers(words.narrow()?)?,
        "remove" => control.remove_buffer(words.narrow()?)?,
        "remove-all" => control.remove_all_buffers()?,
        "keep-record" => *node.record.lock() = Some(control.buffer(words.narrow()?)?),
        "remove-kept" => {
            let record = node.record.lock().clone().ok_or(ENXIO)?;
            control.remove_record(&record)?;
        }
        "set-value" => {
            let record = control.buffer(words.narrow()?)?;
            record.set_value(words.number()?);
        }
        "value" => return Ok(control.buffer(words.narrow()?)?.value()),
        "references" => return Ok(control.buffer(words.narrow()?)?.references().into()),
        "create-queues" => control.create_queues()?,
        "destroy-queues" => control.destroy_queues()?,
        "has-queues" => return Ok(control.has_queues().into()),
        _ => return Err(EINVAL),
    }
    Ok(0)
}

/// Runs a command on the driver's end of a client.
fn use_end<A: TestAccess>(
    end: &mut End<A>,
    command: &str,
    words: &mut Words<'_>,
) -> Result<Result<Done, Error>> {
    Ok(match command {
        "take" => end.stream.take().and_then(|mut buffer| {
            let done = describe(&mut buffer)?;
            end.hold(buffer).map(|()| done)
        }),
        "receive" => A::receive(&mut end.stream).and_then(|mut buffer| {
            let done = describe(&mut buffer)?;
            end.hold(buffer).map(|()| done)
        }),
        "release" => {
            let id = words.narrow()?;
            end.let_go(id).map(drop).map(|()| counted(1))
        }
        "release-in" => {
            let context = words.word()?;
            let buffer = end.let_go(words.narrow()?);
            match buffer {
                Ok(buffer) if context == "task" => drop(buffer),
                Ok(buffer) => {
                    let mut buffer = Some(buffer);
                    let job = KBox::new(move || drop(buffer.take()), GFP_KERNEL)?;
                    shot::run(job, context == "hardirq")?;
                }
                Err(error) => return Ok(Err(error)),
            }
            Ok(counted(1))
        }
        "try" => {
            let count = words.number()?;
            Ok(counted(
                (0..count)
                    .filter(|_| A::receive(&mut end.stream).is_ok())
                    .count() as u64,
            ))
        }
        "release-all" => {
            let count = end.held.len() as u64;
            end.held.clear();
            Ok(counted(count))
        }
        "fill" | "fill-control" => {
            let (id, seed) = (words.narrow()?, words.number()?);
            let range = (words.size()?, words.size()?);
            end.held(id)
                .and_then(|buffer| fill(buffer, command == "fill-control", range, seed))
                .map(|()| counted(1))
        }
        "range" | "control-range" => {
            let id = words.narrow()?;
            let (offset, len) = (words.size()?, words.size()?);
            end.held(id)
                .and_then(|buffer| match command {
                    "range" => buffer.set_data_range(offset, len),
                    _ => buffer.set_control_range(offset, len),
                })
                .map(|()| counted(1))
        }
        "look" => {
            let id = words.narrow()?;
            end.held(id).and_then(describe)
        }
        "timestamp" => {
            let (id, ns) = (words.narrow()?, words.number()?);
            end.held(id).map(|buffer| {
                buffer.set_timestamp(ns);
                counted(0)
            })
        }
        "lost" => end.stream.report_lost(words.number()?).map(|()| counted(0)),
        "send" => {
            let id = words.narrow()?;
            end.let_go(id)
                .and_then(|buffer| end.stream.send(buffer))
                .map(|()| counted(1))
        }
        "produce" => {
            let (count, len) = (words.number()?, words.size()?);
            (0..count)
                .try_for_each(|number| end.produce(len, number))
                .map(|()| counted(count))
        }
        "consume" | "echo" => {
            let count = words.number()?;
            (0..count)
                .try_for_each(|_| {
                    let mut buffer = A::receive(&mut end.stream)?;
                    if command == "echo" {
                        A::invert(&mut buffer);
                        return end.stream.send(buffer);
                    }
                    Ok(())
                })
                .map(|()| counted(count))
        }
        "pump" => {
            let (count, len) = (words.number()?, words.size()?);
            end.pump(count, len).map(counted)
        }
        "notify" => end.stream.notify().map(|()| counted(0)),
        "running" => Ok(counted(end.stream.is_running().into())),
        "mode" => end.stream.mode().map(|mode| counted(mode as u64)),
        "buffers" => end.stream.buffers().map(|count| counted(count.into())),
        "queued" => end.stream.queued().map(|queued| Done {
            queued,
            ..Done::default()
        }),
        _ => return Err(EINVAL),
    })
}
