// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-05: memory is charged to the opener's cgroup, and limited.

use std::fs::{read_to_string, remove_dir};

use iostream_raw::{echo, page, page_len, sink, Session};
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::memory::{pages, wait_for_no_pages, Group};
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-05/charged-to-the-opener", charged_to_the_opener),
    Clause::new("B-05/cgroup-limit", cgroup_limit),
    Clause::new("B-05/given-back", given_back),
    Clause::new("B-05/pages-given-back", pages_given_back),
    Clause::new(
        "B-05/kernel-mappings-given-back",
        kernel_mappings_given_back,
    ),
    Clause::new("B-05/parameters", parameters),
];

const MIB: u64 = 1 << 20;

fn charged_to_the_opener() {
    let group = Group::enter();
    let before = group.current();
    let session = Session::new(sink(16 * MIB));
    let after = group.current();
    // Each processor charges up to 64 pages in advance; those are in the count before.
    assert!(after >= before + 15 * MIB, "{before} before, {after} after");
    assert!(after < before + 18 * MIB, "{before} before, {after} after");
    // The first access takes no more memory: the pages exist already.
    let data = session.map_writable(iostream_raw::INPUT, iostream_raw::Area::Data);
    for offset in (0..data.len()).step_by(page_len()) {
        data.write(offset, &[1]);
    }
    assert!(group.current() < after + 2 * MIB, "only page tables");
}

/// A set-up for which the cgroup has no memory fails without killing a process. It keeps nothing,
/// and the device keeps working.
fn cgroup_limit() {
    for _ in 0..3 {
        // SAFETY: This process has a single thread.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let group = Group::enter();
            group.limit(32 * MIB);
            let got = Session::bare().setup(sink(48 * MIB));
            // SAFETY: No preconditions.
            unsafe { libc::_exit(i32::from(got != Err(Errno::NOMEM))) };
        }
        let mut status = 0;
        // SAFETY: `status` is a valid place for the kernel to write to.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "ENOMEM, and not the group's killer");
        wait_for_no_pages();
        let _ = remove_dir(format!("/sys/fs/cgroup/selftests-{child}"));
        let session = Session::new(sink(48 * MIB));
        session.write_entry(b"works");
    }
}

/// Sessions that are opened, mapped and closed leave nothing behind.
fn given_back() {
    // A worker frees the pages of earlier sessions, after a grace period.
    wait_for_no_pages();
    for _ in 0..count(2000) {
        let session = Session::new(echo(256 * 1024));
        session.map_writable(iostream_raw::INPUT, iostream_raw::Area::Data);
        assert!(pages() >= 2 * 256 * 1024 / page());
    }
    wait_for_no_pages();
    let session = Session::new(echo(256 * 1024));
    assert_eq!(
        pages(),
        2 * (256 * 1024 / page() + 3),
        "three pages beyond the capacity"
    );
    drop(session);
}

/// The cgroup's own count falls again: the pages are really free.
fn pages_given_back() {
    let group = Group::enter();
    let before = group.current();
    for _ in 0..16 {
        drop(Session::new(sink(8 * MIB)));
    }
    wait_until("the cgroup gets its pages back", || {
        group.current() < before + 2 * MIB
    });
}

/// How many queues the kernel has mapped for itself, by its own list.
fn kernel_mappings() -> usize {
    let list = read_to_string("/proc/vmallocinfo").unwrap();
    let ours = |line: &&str| line.contains("[iostream]") && line.contains("vmap");
    list.lines().filter(ours).count()
}

fn kernel_mappings_given_back() {
    let session = Session::new(echo(4096));
    let open = kernel_mappings();
    assert!(open >= 2, "one for each queue");
    for _ in 0..16 {
        Session::new(echo(4096));
    }
    wait_until("the mappings of the closed sessions go", || {
        kernel_mappings() <= open
    });
    drop(session);
    wait_until("and those of the last session", || {
        kernel_mappings() <= open - 2
    });
}

fn parameters() {
    let version = Session::bare().version().unwrap();
    for (name, value) in [
        ("max_queue_bytes", version.max_queue_bytes),
        ("max_total_bytes", version.max_total_bytes),
    ] {
        let path = format!("/sys/module/iostream/parameters/{name}");
        match read_to_string(&path) {
            Ok(text) => assert_eq!(text.trim(), value.to_string(), "{name}"),
            // The kernel's Rust crate does not show parameters in sysfs yet.
            Err(_) => println!("no {path}"),
        }
        assert!(value >= MIB);
    }
    let setup = sink(version.max_queue_bytes + 1);
    assert_eq!(Session::bare().setup(setup), Err(Errno::TOOBIG));
}
