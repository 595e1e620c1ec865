// SPDX-License-Identifier: MIT OR Apache-2.0

//! what an ioctl does not read must be zero.
//!
//! The cases are generated: each byte of an argument, and each bit of a number, that the tables of
//! `support/ioctls.rs` do not call an input.

use std::ffi::c_void;

use iostream_raw::{echo, ioctl, Session};
use iostream_ring::uapi::IOSTREAM_IOC_MODE;
use rustix::io::{Errno, Result};

use crate::clause::Clause;
use crate::support::ioctls::{number_calls, struct_calls, Ground};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-18/every-ioctl-is-tried", every_ioctl),
    Clause::new("Q-18/unread-bytes-are-refused", unread_bytes),
    Clause::new("Q-18/unread-bits-are-refused", unread_bits),
    Clause::new("Q-18/numbers-of-our-own", numbers_of_our_own),
];

/// The Rust view of the header, which has each ioctl by name.
const UAPI: &str = include_str!("../../../../../rust/ring/src/uapi.rs");

/// The names and numbers of all ioctls of the header.
fn header_calls() -> Vec<(&'static str, u32)> {
    let calls = UAPI.lines().filter_map(|line| {
        let (name, rest) = line.strip_prefix("pub const ")?.split_once(": ")?;
        let number = rest.split_once(" = ")?.1.strip_suffix(';')?;
        let number = name.starts_with("IOSTREAM_IOC_").then_some(number)?;
        Some((name, number.parse().expect(name)))
    });
    calls.collect()
}

/// The tables have all ioctls of the header, and their structs as the numbers know them, without a
/// byte that belongs to no field.
fn every_ioctl() {
    let (structs, numbers) = (struct_calls(), number_calls());
    for call in &structs {
        let bytes = size_of_val(&*call.valid);
        assert_eq!((call.number >> 16) & 0x3fff, bytes as u32, "{}", call.name);
        let mut end = 0;
        for (start, next, _) in &call.fields {
            assert_eq!(*start, end, "{}: a field is missing", call.name);
            end = *next;
        }
        assert_eq!(end, bytes, "{}: the last field is missing", call.name);
    }
    let tried = structs.iter().map(|call| (call.name, call.number));
    let mut tried: Vec<_> = tried
        .chain(numbers.iter().map(|call| (call.name, call.number)))
        .collect();
    tried.sort();
    tried.dedup();
    let mut all = header_calls();
    all.sort();
    assert!(all.len() >= 16, "the header is not read: {all:?}");
    assert_eq!(tried, all);
}

fn call_with(session: &Session, number: u32, argument: &mut [u64]) -> Result<()> {
    ioctl(session, number, argument.as_mut_ptr().cast::<c_void>())
}

/// A byte that is no input makes the call fail, whatever bit of it is set. The call changes nothing,
/// not even its argument. Without that byte it succeeds.
fn unread_bytes() {
    let mut cases = 0;
    for call in struct_calls() {
        let ground = (call.ground)();
        let before = ground.state();
        let unread = call.fields.iter().filter(|(.., is_input)| !is_input);
        for at in unread.flat_map(|(start, end, _)| *start..*end) {
            for value in [1u8, 0x80] {
                let mut argument = call.valid.clone();
                let mut bytes = argument[at / 8].to_ne_bytes();
                assert_eq!(
                    bytes[at % 8],
                    0,
                    "{}: byte {at} of the valid one",
                    call.name
                );
                bytes[at % 8] = value;
                argument[at / 8] = u64::from_ne_bytes(bytes);
                let given = argument.clone();
                let result = call_with(&ground.session, call.number, &mut argument);
                assert_eq!(result, Err(Errno::INVAL), "{}: byte {at}", call.name);
                assert_eq!(argument, given, "{}: byte {at}", call.name);
                cases += 1;
            }
        }
        assert_eq!(ground.state(), before, "{}", call.name);
        let result = call_with(&ground.session, call.number, &mut call.valid.clone());
        assert_eq!(result, Ok(()), "{}", call.name);
    }
    println!("{cases} cases");
}

fn unread_bits() {
    for call in number_calls() {
        let ground = (call.ground)();
        let before = ground.state();
        for bit in (0..64).filter(|bit| call.inputs & (1 << bit) == 0) {
            let argument = call.valid | (1 << bit);
            let result = ground.session.pass_number(call.number, argument);
            assert_eq!(result, Err(Errno::INVAL), "{}: bit {bit}", call.name);
        }
        assert_eq!(ground.state(), before, "{}", call.name);
        let result = ground.session.pass_number(call.number, call.valid);
        // The test driver's streams keep their mode.
        let expected = match call.number {
            IOSTREAM_IOC_MODE => [Ok(()), Err(Errno::OPNOTSUPP)],
            _ => [Ok(()), Ok(())],
        };
        assert!(expected.contains(&result), "{}: {result:?}", call.name);
    }
}

/// The numbers 0x00 to 0x3f of type 'j' are the joystick's.
fn numbers_of_our_own() {
    let session = Session::new(echo(4096));
    let stream = Ground::stream();
    for (name, number) in header_calls() {
        assert_eq!((number >> 8) & 0xff, u32::from(b'j'), "{name}");
        assert!((0x40..0x60).contains(&(number & 0xff)), "{name}");
        for low in 0..0x40 {
            let theirs = (number & !0xff) | low;
            let mut argument = [0; 32];
            for session in [&session, &stream.session] {
                let result = call_with(session, theirs, &mut argument);
                assert_eq!(result, Err(Errno::NOTTY), "{theirs:#x}");
            }
        }
    }
}
