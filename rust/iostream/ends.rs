// SPDX-License-Identifier: GPL-2.0

//! What the author of a driver holds: the ends of queues and streams, and their descriptions.

pub(crate) mod access;
pub(crate) mod batch;
pub(crate) mod buffer;
pub(crate) mod config;
pub(crate) mod consumer;
pub(crate) mod control;
pub(crate) mod producer;
pub(crate) mod stream;
pub(crate) mod stream_config;
