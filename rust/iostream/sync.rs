// SPDX-License-Identifier: GPL-2.0

//! Primitives that know nothing of queues or streams: atomics, wait queues, timers, work.

pub(crate) mod atomic;
pub(crate) mod classes;
pub(crate) mod deferred;
pub(crate) mod gate;
pub(crate) mod kicks;
pub(crate) mod race;
pub(crate) mod rcu;
pub(crate) mod registered;
pub(crate) mod thread;
pub(crate) mod timer;
pub(crate) mod validator;
pub(crate) mod wait;
pub(crate) mod work;
