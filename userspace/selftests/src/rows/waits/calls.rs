// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls that block: read(2) and write(2), those that drain, those in which the driver is
//! called, and the run of an endpoint.

use std::sync::Arc;

use super::ground::{Ground, ENTRY};
use super::means::Wait;
use super::outcome::Outcome;

pub fn read(ground: &Arc<Ground>) -> Wait {
    ground.let_block();
    let session = ground.session();
    Box::new(move || Outcome::of_call(session.read(&mut [0; 128])))
}

pub fn write(ground: &Arc<Ground>) -> Wait {
    ground.let_block();
    let session = ground.session();
    Box::new(move || Outcome::of_call(session.write(&[9; ENTRY])))
}

pub fn drain(ground: &Arc<Ground>) -> Wait {
    let (session, timeout) = (ground.session(), ground.timeout());
    Box::new(move || Outcome::of_call(session.drain(timeout.as_nanos() as u64)))
}

pub fn fsync(ground: &Arc<Ground>) -> Wait {
    let session = ground.session();
    Box::new(move || Outcome::of_call(rustix::fs::fsync(&*session)))
}

/// The last close of a session, which waits for at most the time that the driver has set.
pub fn close(ground: &Arc<Ground>) -> Wait {
    let ground = ground.clone();
    Box::new(move || {
        ground.close();
        Outcome::Done
    })
}

/// A notice that the driver answers in the call.
pub fn notice(ground: &Arc<Ground>) -> Wait {
    let session = ground.session();
    Box::new(move || Outcome::of_call(session.notice_sync(1)))
}

pub fn stop(ground: &Arc<Ground>) -> Wait {
    let session = ground.session();
    Box::new(move || Outcome::of_call(session.stop()))
}

/// A run of the endpoint, for one entry.
pub fn run(ground: &Arc<Ground>) -> Wait {
    let (session, timeout) = (ground.session(), ground.timeout());
    Box::new(move || Outcome::of_call(session.run_for(1, timeout.as_nanos() as u64).1))
}
