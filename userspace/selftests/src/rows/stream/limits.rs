// SPDX-License-Identifier: MIT OR Apache-2.0

//! B-05 and S-03: the memory of streams is charged to the opener's cgroup, and limited.

use iostream_raw::{page, page_len, Prot};
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::Driver;
use crate::support::memory::{pages, wait_for_no_pages, Group};
use crate::support::user::obey_limits;

pub const CLAUSES: &[Clause] = &[
    Clause::new("B-05/stream-charged-to-the-opener", charged_to_the_opener),
    Clause::new("B-05/stream-added-charged-to-the-client", added_charged),
    Clause::new("B-05/stream-cgroup-limit", cgroup_limit),
    Clause::new("B-05/stream-total-limit", total_limit),
    Clause::new("B-05/stream-given-back", given_back),
    Clause::new("S-03/no-memory-for-added", no_memory_for_added),
];

const MIB: u64 = 1 << 20;

fn charged_to_the_opener() {
    let driver = Driver::stream("output 16 1048576");
    let group = Group::enter();
    let before = group.current();
    let session = driver.open();
    let after = group.current();
    // Each processor charges up to 64 pages in advance; those are in the count before.
    assert!(after >= before + 15 * MIB, "{before} before, {after} after");
    assert!(after < before + 18 * MIB, "{before} before, {after} after");
    let map = session.try_map_buffers(0..16, Prot::READ).unwrap();
    for at in (0..map.len()).step_by(page_len()) {
        map.read(at, 1);
    }
    assert!(group.current() < after + 2 * MIB, "only page tables");
}

/// Added buffers take no memory before the client asks for them.
fn added_charged() {
    let driver = Driver::stream("output 1 1048576 queue=16");
    let group = Group::enter();
    let session = driver.open();
    let before = group.current();
    driver.command("add 15");
    assert!(group.current() < before + MIB);
    assert_eq!(session.stream().buffers, 16);
    // Some of it was charged in advance.
    assert!(group.current() >= before + 14 * MIB);
}

/// An opener without memory gets ENOMEM and is not killed; the stream works for others.
fn cgroup_limit() {
    wait_for_no_pages();
    let driver = Driver::stream("input 48 1048576");
    // SAFETY: This process has a single thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let group = Group::enter();
        group.limit(32 * MIB);
        let got = driver.try_open().err();
        // SAFETY: No preconditions.
        unsafe { libc::_exit(i32::from(got != Some(Errno::NOMEM))) };
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for the kernel to write to.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "ENOMEM, and not the group's killer");
    wait_for_no_pages();
    let _ = std::fs::remove_dir(format!("/sys/fs/cgroup/selftests-{child}"));
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    stream.send_buffer(47, 1);
    driver.command("receive");
}

/// 17 buffers of 64 MiB are more than a user's total limit.
fn total_limit() {
    obey_limits();
    wait_for_no_pages();
    let driver = Driver::stream(&format!("output 17 {}", 64 * MIB));
    assert_eq!(driver.try_open().err(), Some(Errno::DQUOT));
    assert_eq!(driver.count("running"), 0);
    wait_for_no_pages();
    driver.unpublish();
    driver.command("publish selftest output 2 64");
    driver.open();
}

fn given_back() {
    wait_for_no_pages();
    let driver = Driver::stream("input-output 4 65536 control=64");
    let buffers = 4 * (65536 / page() + 1);
    for _ in 0..count(1000) {
        let stream = driver.open_stream();
        assert!(pages() >= buffers);
        drop(stream);
    }
    wait_for_no_pages();
    let _session = driver.open();
    assert_eq!(pages(), 2 * 4 + 1 + buffers, "queues, info page, buffers");
}

/// The session keeps working with the buffers that it has, and can ask again.
fn no_memory_for_added() {
    let driver = Driver::stream("output 1 1048576 queue=48");
    // SAFETY: This process has a single thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let group = Group::enter();
        let mut stream = driver.open_stream();
        stream.session.start().unwrap();
        driver.command("add 47");
        group.limit(group.current() + 16 * MIB);
        assert_eq!(stream.session.try_stream().err(), Some(Errno::NOMEM));
        driver.command("produce 1 1");
        assert!(stream.take().is_some());
        group.limit(256 * MIB);
        assert_eq!(stream.session.stream().buffers, 48);
        // SAFETY: No preconditions.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: `status` is a valid place for the kernel to write to.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    let _ = std::fs::remove_dir(format!("/sys/fs/cgroup/selftests-{child}"));
}
