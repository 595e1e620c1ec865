// SPDX-License-Identifier: MIT OR Apache-2.0

//! The waits and callbacks of the kernel's side: of a driver, and of a client that is a module.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ground::{Ground, ENTRY};
use super::means::Wait;
use super::outcome::Outcome;
use super::situation::{Node, Want};
use crate::support::driver::Driver;

/// The driver sleeps in `Consumer::wait` or `Producer::enqueue_wait`.
pub fn wait(ground: &Arc<Ground>) -> Wait {
    let (ground, ms) = (ground.clone(), ground.timeout_ms());
    let command = match ground.situation.want {
        Want::DriverRoom => format!("enqueue-wait {ENTRY} {ms}"),
        _ => format!("dequeue-wait {ENTRY} {ms}"),
    };
    Box::new(move || Outcome::of_call(ground.driver().tell(&command)))
}

/// The driver's callback runs. The driver has found the queue empty, or full, in the set-up.
pub fn callback(ground: &Arc<Ground>) -> Wait {
    let key = match ground.situation.want {
        // What joins a stream in both directions is to the driver like what comes.
        Want::DriverRoom if ground.situation.node != Node::StreamDuplex => "room_callbacks",
        _ => "data_callbacks",
    };
    let ground = ground.clone();
    counted(key, ground.driver().log(key), ground.timeout(), move || {
        ground.driver().log(key)
    })
}

/// Succeeds once a count is higher than `before`.
fn counted(
    key: &'static str,
    before: u64,
    timeout: Duration,
    count: impl Fn() -> u64 + 'static,
) -> Wait {
    Box::new(move || {
        let start = Instant::now();
        while count() == before {
            if start.elapsed() > timeout {
                println!("# {key} is still {before}");
                return Outcome::TimedOut;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Outcome::Done
    })
}

/// The client sleeps in `Client::wait`.
pub fn client_wait(ground: &Arc<Ground>) -> Wait {
    let (ground, ms) = (ground.clone(), ground.timeout_ms());
    Box::new(move || Outcome::of_call(ground.client().tell(&format!("wait {ms}"))))
}

/// The client's callback runs. It runs once when it is set.
pub fn client_callback(ground: &Arc<Ground>) -> Wait {
    let calls = |client: &Driver| client.log("calls");
    let client = ground.client();
    let first = calls(client) + 1;
    client.command("watch");
    client.wait_for("calls", |calls| calls == first);
    client.fails("receive", rustix::io::Errno::NODATA);
    let ground = ground.clone();
    counted("calls", first, ground.timeout(), move || {
        calls(ground.client())
    })
}
