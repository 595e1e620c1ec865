// SPDX-License-Identifier: GPL-2.0

//! What a driver holds: its ends of queues and streams, their descriptions, and a stream's buffers.

pub(crate) mod access;
pub(crate) mod batch;
pub(crate) mod buffer;
pub(crate) mod config;
pub(crate) mod consumer;
pub(crate) mod control;
pub(crate) mod end;
pub(crate) mod producer;
pub(crate) mod stream;
pub(crate) mod stream_config;
