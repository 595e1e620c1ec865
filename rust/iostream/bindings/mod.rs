// SPDX-License-Identifier: GPL-2.0

//! What the kernel crate lacks: `helpers.h`, through bindgen, at build time.

#![allow(
    missing_docs,
    non_camel_case_types,
    clippy::all,
    improper_ctypes,
    unreachable_pub,
    reason = "generated; helpers.h says what each is"
)]

use kernel::{bindings::*, ffi};

include!(env!("IOSTREAM_BINDINGS"));
