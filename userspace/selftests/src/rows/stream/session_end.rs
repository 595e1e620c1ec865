// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-09: the end of a session, by close, exit or a signal.

use iostream_raw::stream::{info, numbers};
use iostream_raw::{page, Prot};
use iostream_ring::uapi::*;
use rustix::io::Errno;

use crate::clause::{count, Clause};
use crate::support::driver::{entry, Driver};
use crate::support::memory::wait_for_no_pages;
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-09/close-stops", close_stops),
    Clause::new("S-09/close-of-a-stopped-one", close_of_a_stopped_one),
    Clause::new("S-09/exit-stops", exit_stops),
    Clause::new("S-09/kill-stops", kill_stops),
    Clause::new("S-09/kill-in-a-call", kill_in_a_call),
    Clause::new("S-09/mapping-holds-the-session", mapping_holds_the_session),
    Clause::new("S-09/takes-back-every-buffer", takes_back_every_buffer),
    Clause::new("S-09/never-returned", never_returned),
    Clause::new("S-09/destroys-the-queues", destroys_the_queues),
    Clause::new("S-09/next-one-starts-clean", next_one_starts_clean),
    Clause::new(
        "S-09/buffer-of-an-ended-session",
        buffer_of_an_ended_session,
    ),
    Clause::new(
        "S-09/nothing-read-of-the-one-before",
        nothing_of_the_one_before,
    ),
    Clause::new(
        "S-09/nothing-through-pinned-pages",
        nothing_through_pinned_pages,
    ),
    Clause::slow("S-09/open-start-kill-cycles", 1200, cycles),
];

fn close_stops() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    driver.command("behave");
    drop(session);
    assert_eq!(driver.text("order"), "xc", "stopped, then closed");
}

fn close_of_a_stopped_one() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    session.stop().unwrap();
    driver.command("behave");
    drop(session);
    assert_eq!(driver.text("order"), "c", "the driver is not called twice");
}

/// Runs `body` in a child process and returns its wait status.
fn in_child(body: impl FnOnce()) -> libc::c_int {
    // SAFETY: This process has a single thread.
    match unsafe { libc::fork() } {
        0 => {
            body();
            // SAFETY: No preconditions.
            unsafe { libc::_exit(0) }
        }
        child => {
            let mut status = 0;
            // SAFETY: `status` is a valid place for the kernel to write to.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            status
        }
    }
}

/// Uses everything that a session has, in a process that then ends.
fn use_all(driver: &Driver) {
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 3 10");
    let id = stream.take().unwrap().buffer;
    stream.send_buffer(id, 1);
    std::mem::forget(stream);
}

fn reopens_clean(driver: &Driver) {
    // The last reference is dropped while the process ends; its parent may notice the end earlier.
    wait_until("the session ends", || driver.attribute("sessions") == 0);
    assert_eq!(driver.text("order").matches('x').count(), 1);
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("produce 4 10");
    assert_eq!(stream.take_all().len(), 4);
}

fn exit_stops() {
    let driver = Driver::stream("input-output 4 64");
    assert_eq!(in_child(|| use_all(&driver)), 0);
    reopens_clean(&driver);
}

fn kill_stops() {
    let driver = Driver::stream("input-output 4 64");
    let status = in_child(|| {
        use_all(&driver);
        // SAFETY: No preconditions.
        unsafe { libc::raise(libc::SIGKILL) };
    });
    assert_eq!(status, libc::SIGKILL);
    reopens_clean(&driver);
}

/// The process is killed while it waits for a drain that does not end.
fn kill_in_a_call() {
    let driver = Driver::stream("input-output 4 64");
    // SAFETY: This process has a single thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let mut stream = driver.open_stream();
        stream.session.start().unwrap();
        driver.command("produce 1 1");
        let id = stream.take().unwrap().buffer;
        stream.send_buffer(id, 1);
        let _ = stream.session.drain(0);
        // SAFETY: No preconditions.
        unsafe { libc::_exit(1) };
    }
    let task = std::path::PathBuf::from(format!("/proc/{child}"));
    crate::support::waiting::wait_asleep(&task, libc::SYS_ioctl);
    let mut status = 0;
    // SAFETY: `status` is a valid place for the kernel to write to.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &mut status, 0);
    }
    assert_eq!(status, libc::SIGKILL);
    reopens_clean(&driver);
}

fn mapping_holds_the_session() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    let map = session.try_map_buffers(0..2, Prot::READ).unwrap();
    driver.command("behave");
    drop(session);
    assert_eq!(driver.try_open().err(), Some(Errno::BUSY));
    driver.command("produce 1 5");
    assert_eq!(map.read(0, 5), entry(0, 5));
    assert_eq!(driver.text("order").replace('R', ""), "");
    drop(map);
    assert_eq!(driver.text("order").replace('R', ""), "xc");
    driver.open();
}

fn takes_back_every_buffer() {
    for mode in ["output", "input", "input-output"] {
        let driver = Driver::stream(&format!("{mode} 3 64"));
        for _ in 0..2 {
            let mut stream = driver.open_stream();
            stream.session.start().unwrap();
            if mode == "input" {
                stream.send_buffer(1, 1);
            } else {
                driver.command("produce 3 1");
                let id = stream.take().unwrap().buffer;
                stream.give_back(id);
            }
            drop(stream);
            for id in 0..3 {
                assert_eq!(driver.count(&format!("references {id}")), 0, "{mode} {id}");
            }
        }
    }
}

/// A process that returns no buffer harms only itself.
fn never_returned() {
    let driver = Driver::stream("output 3 64 clients=2");
    let (mut greedy, mut other) = (driver.open_stream(), driver.open_stream());
    greedy.session.start().unwrap();
    other.session.start().unwrap();
    driver.command("produce 3 1");
    driver.fails("produce 1 1", Errno::NOSPC);
    assert_eq!(greedy.take_all().len(), 3);
    for _ in 0..10 {
        driver.fails("take", Errno::NOSPC);
    }
    driver.command("client 1");
    driver.command("produce 3 1");
    assert_eq!(other.take_all().len(), 3);
    drop(greedy);
    let _next = driver.open();
    driver.command("client 0");
    for _ in 0..3 {
        driver.command("take");
    }
}

fn destroys_the_queues() {
    wait_for_no_pages();
    let driver = Driver::stream("input 8 65536 control=100");
    for _ in 0..count(500) {
        let stream = driver.open_stream();
        assert!(crate::support::memory::pages() >= 8 * (65536 / page() + 1));
        drop(stream);
    }
    wait_for_no_pages();
    assert_eq!(driver.count("has-queues"), 0);
}

fn next_one_starts_clean() {
    let driver = Driver::stream("input-output 3 64 queue=8");
    for _ in 0..2 {
        let mut stream = driver.open_stream();
        assert_eq!(numbers(&stream.counters()), [0; 8]);
        assert_eq!(stream.word(info::DISCARDED), 0);
        assert_eq!(stream.word(info::STATE), u64::from(IOSTREAM_STATE_STOPPED));
        assert_eq!(stream.session.counters(iostream_raw::OUTPUT).entries, 0);
        assert!(stream.take().is_none());
        driver.fails("receive", Errno::NODATA);
        stream.session.start().unwrap();
        driver.command("produce 3 1");
        let first = stream.take().unwrap();
        assert_eq!(first.frame, 0);
        stream.send_buffer(first.buffer, 2);
        stream.send_buffer(7, 2);
        stream.session.stop().unwrap();
        stream.session.start().unwrap();
        driver.command("produce 1 1");
        stream.send_buffer(9, 2);
    }
}

/// A buffer that the driver holds keeps its memory after the session, but cannot be sent.
fn buffer_of_an_ended_session() {
    let driver = Driver::stream("output 2 64");
    let session = driver.open();
    session.start().unwrap();
    driver.command("take");
    driver.command("fill 0 1 0 64");
    drop(session);
    driver.command("fill 0 2 0 64");
    driver.command("range 0 0 2");
    driver.command("look 0");
    assert_eq!(driver.log("sum"), 2 + 3);
    driver.fails("send 0", Errno::NOTCONN);
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.command("take");
    let old = driver.log("id");
    drop(stream);
    stream = driver.open_stream();
    stream.session.start().unwrap();
    driver.fails(&format!("send {old}"), Errno::STALE);
    assert!(stream.take().is_none());
    // It does not belong to the new session, which has all its own buffers.
    driver.command("produce 2 1");
    assert_eq!(stream.take_all().len(), 2);
    wait_until("the old pages are given back", || {
        crate::support::memory::pages() == 2 * 4 + 1 + 2
    });
}

fn nothing_of_the_one_before() {
    for mode in ["output", "input", "input-output"] {
        let driver = Driver::stream(&format!("{mode} 4 8192 control=4096"));
        for _ in 0..count(200) {
            let stream = driver.open_stream();
            let bytes = stream.buffers.read(0, stream.buffers.len());
            assert!(bytes.iter().all(|byte| *byte == 0), "{mode}");
            let queue = stream.output.data.read(0, stream.output.data.len());
            assert!(queue.iter().all(|byte| *byte == 0), "{mode}");
            if mode == "output" {
                for id in 0..4 {
                    driver.command("take");
                    driver.command(&format!("fill {id} 1 0 8192"));
                    driver.command(&format!("fill-control {id} 1 0 4096"));
                }
                driver.command("release-all");
            } else {
                stream.buffers.write(0, &vec![0x55; bytes.len()]);
            }
        }
    }
}

/// A pipe holds pages of a session that has ended: the next session's bytes do not appear in the
/// pipe, nor the pipe's in the next session.
fn nothing_through_pinned_pages() {
    let driver = Driver::stream("input 2 4096");
    let stream = driver.open_stream();
    let bytes = stream.buffers.len();
    stream.buffers.write(0, &vec![0x11; bytes]);
    let (read, write) = rustix::pipe::pipe().unwrap();
    // SAFETY: The pages are mapped as long as stated; the pipe takes references to them.
    let spliced = unsafe {
        let part = libc::iovec {
            iov_base: stream.buffers.as_ptr(),
            iov_len: bytes,
        };
        libc::vmsplice(std::os::fd::AsRawFd::as_raw_fd(&write), &part, 1, 0)
    };
    drop(stream);
    if spliced < 0 {
        // If the mapping cannot be pinned at all, nothing can be seen through a pin.
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
        return;
    }
    assert_eq!(spliced as usize, bytes);
    let next = driver.open_stream();
    let seen = next.buffers.read(0, bytes);
    assert!(
        seen.iter().all(|byte| *byte == 0),
        "the next sees the old one's"
    );
    next.buffers.write(0, &vec![0x22; bytes]);
    let mut pinned = vec![0; bytes];
    let mut done = 0;
    while done < pinned.len() {
        done += rustix::io::read(&read, &mut pinned[done..]).unwrap();
    }
    assert!(
        pinned.iter().all(|byte| *byte == 0x11),
        "the old one sees the next's"
    );
}

/// A client's life: it opens, maps, starts, moves buffers, reports that, and goes on until it is
/// killed.
fn live(driver: &Driver, say: &impl std::os::fd::AsFd) -> ! {
    let mut stream = driver.open_stream();
    stream.session.start().unwrap();
    let mut said = false;
    loop {
        while let Some(descriptor) = stream.take() {
            stream.send_buffer(descriptor.buffer, 8);
            if !std::mem::replace(&mut said, true) {
                rustix::io::write(say, b"x").unwrap();
            }
        }
        std::thread::yield_now();
    }
}

/// Clients open, map, start, move buffers and die by SIGKILL at some moment, one after another.
/// Nothing is left of any.
fn cycles() {
    wait_for_no_pages();
    let driver = Driver::stream("input-output 4 4096");
    driver.command("auto turn-round 100");
    let total = count(10_000);
    let (starts, stops) = (driver.log("starts"), driver.log("stops_discard"));
    let (read, write) = rustix::pipe::pipe().unwrap();
    for _ in 0..total {
        // SAFETY: This process has a single thread.
        let child = unsafe { libc::fork() };
        if child == 0 {
            live(&driver, &write);
        }
        // It has moved some buffers.
        assert_eq!(rustix::io::read(&read, &mut [0]), Ok(1));
        let mut status = 0;
        // SAFETY: `status` is a valid place for the kernel to write to.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            assert_eq!(libc::waitpid(child, &mut status, 0), child);
        }
        assert_eq!(status, libc::SIGKILL);
        wait_until("the session ends", || driver.attribute("sessions") == 0);
    }
    assert_eq!(driver.log("starts") - starts, total);
    assert_eq!(driver.log("stops_discard") - stops, total);
    wait_for_no_pages();
    println!("{total} cycles");
}
