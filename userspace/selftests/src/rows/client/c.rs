// SPDX-License-Identifier: MIT OR Apache-2.0

//! U-11: programs in C that use the header alone.

use std::process::Command;

use crate::clause::Clause;

pub const CLAUSES: &[Clause] = &[
    Clause::slow("U-11/echo-in-c", 120, || program("uapi-echo")),
    Clause::slow("U-11/echo-in-c-32-bits", 120, || program("uapi-echo-32")),
    Clause::slow("U-11/as-the-header-shows", 120, || program("uapi-how-to")),
];

/// Runs a program of `selftests/c`.
pub fn program(name: &str) {
    let status = Command::new(format!("/usr/bin/{name}")).status();
    assert!(status.expect(name).success(), "{name} failed");
}
