// SPDX-License-Identifier: MIT OR Apache-2.0

//! System calls that block: read(2), write(2), and the stop that drains.

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
