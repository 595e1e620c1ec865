// SPDX-License-Identifier: MIT OR Apache-2.0

//! I-03, I-04: the other tests run on the kernel that was asked for, with the pages that it is built
//! for. A run on another one would say nothing of it.

use rustix::system::uname;

use crate::clause::{skip, Clause};

pub const CLAUSES: &[Clause] = &[
    Clause::new("I-03/kernel-that-was-asked-for", kernel),
    Clause::new("I-04/machine-and-pages", machine_and_pages),
];

/// The release of the kernel that was asked for, such as `7.3.4+deb13-arm64-16k`.
fn asked() -> String {
    match std::env::var("RELEASE") {
        Ok(release) if !release.is_empty() => release,
        _ => skip("it is not said which kernel this is: RELEASE is not set"),
    }
}

fn kernel() {
    assert_eq!(uname().release().to_str(), Ok(asked().as_str()));
}

fn machine_and_pages() {
    let asked = asked();
    let arm = asked.contains("arm64");
    let machine = if arm { "aarch64" } else { "x86_64" };
    let page = if asked.ends_with("-16k") { 16384 } else { 4096 };
    assert_eq!(uname().machine().to_str(), Ok(machine));
    assert_eq!(iostream_raw::page_len(), page);
}
