// SPDX-License-Identifier: GPL-2.0

//! What the kernel crate lacks: the functions of `bindings/helpers.h`, and conversions for C.

use core::ptr;

use kernel::{bindings as c, device::Device, prelude::*};

/// Made by bindgen from `helpers.h` at build time; `helpers.h` says what each function does.
mod generated {
    #![allow(
        missing_docs,
        non_camel_case_types,
        clippy::all,
        improper_ctypes,
        unreachable_pub,
        reason = "generated"
    )]

    use kernel::{bindings::*, ffi};

    include!(env!("IOSTREAM_BINDINGS"));
}

pub(crate) use generated::*;

/// The C device of a Rust one.
pub(crate) fn raw_device(device: &Device) -> *mut c::device {
    // CAST: `Device` is a transparent wrapper of `struct device`.
    ptr::from_ref(device).cast_mut().cast()
}

/// A string for C, in a constant.
#[allow(
    clippy::disallowed_methods,
    reason = "as_char_ptr is no constant function; the cast makes the kernel's char of it"
)]
pub(crate) const fn chars(text: &'static CStr) -> *const c_char {
    text.as_ptr().cast()
}
