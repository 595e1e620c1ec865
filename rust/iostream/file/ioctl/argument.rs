// SPDX-License-Identifier: GPL-2.0

//! The arguments of the ioctls: copied in, checked for what nobody reads, and copied out.

use core::ops::Range;

use kernel::{
    prelude::*,
    transmute::{AsBytes, FromBytes},
    uaccess::{UserPtr, UserSlice},
};

/// The argument of an ioctl: a struct of `iostream.h`, which consists of integers without padding.
#[repr(transparent)]
struct Argument<T>(T);

// SAFETY: Only used with structs of `iostream.h`, which have no padding (asserted in `ioctl.rs`).
unsafe impl<T> AsBytes for Argument<T> {}
// SAFETY: Only used with structs of `iostream.h`, whose fields are integers: any bytes are valid.
unsafe impl<T> FromBytes for Argument<T> {}

/// The fields of a struct that an ioctl reads, as [`read`] takes them.
macro_rules! inputs {
    ($struct:ident: $($field:ident),*) => {
        &[$(argument::place(
            ::core::mem::offset_of!($crate::ring::uapi::$struct, $field),
            |value: &$crate::ring::uapi::$struct| &value.$field,
        )),*]
    };
}
pub(super) use inputs;

/// The place of a field in its struct. `_field` only tells the field's type.
pub(super) const fn place<T, F>(offset: usize, _field: fn(&T) -> &F) -> Range<usize> {
    offset..offset + size_of::<F>()
}

/// Copies an argument in, whose fields `inputs` the ioctl reads.
///
/// # Errors
///
/// `EFAULT`; `EINVAL` if a byte outside of `inputs` is not zero.
pub(super) fn read<T>(arg: usize, inputs: &[Range<usize>]) -> Result<T> {
    // SAFETY: `Argument` is only used with structs whose fields are integers.
    let mut argument: Argument<T> = unsafe { core::mem::zeroed() };
    read_bytes(arg, argument.as_bytes_mut(), inputs)?;
    Ok(argument.0)
}

/// What [`read`] does, once for the structs of all ioctls.
#[inline(never)]
fn read_bytes(arg: usize, bytes: &mut [u8], inputs: &[Range<usize>]) -> Result {
    let slice = UserSlice::new(UserPtr::from_addr(arg), bytes.len());
    slice.reader().read_slice(bytes)?;
    let is_input = |at| inputs.iter().any(|field| field.contains(&at));
    let mut bytes = bytes.iter().enumerate();
    if bytes.any(|(at, byte)| *byte != 0 && !is_input(at)) {
        return Err(EINVAL);
    }
    Ok(())
}

/// Copies a result out.
///
/// # Errors
///
/// `EFAULT`.
pub(super) fn write<T>(arg: usize, value: T) -> Result {
    write_bytes(arg, Argument(value).as_bytes())
}

/// What [`write`] does, once for the structs of all ioctls.
#[inline(never)]
fn write_bytes(arg: usize, bytes: &[u8]) -> Result {
    let slice = UserSlice::new(UserPtr::from_addr(arg), bytes.len());
    slice.writer().write_slice(bytes)
}

/// An argument that is a 32-bit number itself, not a pointer.
///
/// # Errors
///
/// `EINVAL` if it has more bits.
pub(super) fn word(arg: usize) -> Result<u32> {
    u32::try_from(arg).map_err(|_| EINVAL)
}

/// Checks the argument of an ioctl that has none.
///
/// # Errors
///
/// `EINVAL` if it is not zero.
pub(super) fn none(arg: usize) -> Result {
    if arg == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}
