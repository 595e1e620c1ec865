// SPDX-License-Identifier: MIT OR Apache-2.0

//! H: allocations and copies that fail at any point of any call; a cgroup without memory; the OOM
//! killer.

use std::ffi::CString;
use std::fs;

use iostream_raw::{echo, page, sink, source, Prot, Session, INPUT, OUTPUT};
use rustix::io::Errno;

use super::Round;
use crate::driver::Driver;
use crate::sys::{self, Fd, Result};

const BATCH: u64 = 128;

/// The kernel's switch that makes the n-th operation that can fail, fail.
struct Nth(Fd);

impl Drop for Nth {
    fn drop(&mut self) {
        sys::close(self.0);
    }
}

impl Nth {
    /// `None` if the kernel has no fault injection.
    fn new() -> Option<Self> {
        for kind in ["failslab", "fail_page_alloc", "fail_usercopy"] {
            let knobs = format!("/sys/kernel/debug/{kind}");
            // No message for each failure; allocations that may wait fail as well.
            for (knob, value) in [
                ("verbose", "0"),
                ("ignore-gfp-wait", "N"),
                ("ignore-gfp-highmem", "N"),
                ("min-order", "0"),
            ] {
                // Each kind has only some of them.
                let _ = fs::write(format!("{knobs}/{knob}"), value);
            }
        }
        sys::open("/proc/thread-self/fail-nth", libc::O_RDWR)
            .ok()
            .map(Self)
    }

    fn set(&self, n: u64) {
        let text = n.to_string();
        // A failure that was armed before may hit this write, which uses it up.
        while let Err(error) = sys::call(
            libc::SYS_pwrite64,
            &[self.0 as usize, text.as_ptr() as usize, text.len(), 0],
        ) {
            assert_eq!(error, Errno::FAULT, "fail-nth");
        }
    }
}

/// One round of the class.
pub fn round(round: &mut Round<'_>) {
    let Some(nth) = Nth::new() else {
        println!("# H: this kernel has no fault injection");
        round.cases += BATCH;
        return;
    };
    let driver = Driver::new();
    let session = Session::nonblocking(echo(page()));
    let mapped = Session::nonblocking(source(page(), 64, 64, 0));
    for _ in 0..BATCH {
        let n = 1 + round.random.below(40);
        let result = step(round, &nth, n, &driver, &session, &mapped);
        nth.set(0);
        round.expect(
            result,
            &[
                Errno::NOMEM,
                Errno::FAULT,
                Errno::BUSY,
                Errno::AGAIN,
                Errno::NODEV,
                Errno::NXIO,
                Errno::TIMEDOUT,
                Errno::INTR,
            ],
        );
        round.cases += 1;
    }
    let _ = driver.unpublish();
    round.victim.check();
    if round.random.chance(8) {
        small_cgroup(round);
        round.cases += 1;
    }
}

fn step(
    round: &mut Round<'_>,
    nth: &Nth,
    n: u64,
    driver: &Driver,
    session: &Session,
    mapped: &Session,
) -> Result<()> {
    let direction = round.random.pick(&[OUTPUT, INPUT]);
    let setups = [
        echo(page()),
        source(4 * page(), 64, 64, 1000),
        source(page(), 64, 64, 0),
        sink(2 * page()),
    ];
    match round.random.below(10) {
        0 | 1 => {
            let setup = round.random.pick(&setups);
            nth.set(n);
            Session::try_nonblocking(setup).map(drop)
        }
        2 => {
            let fresh = Session::nonblocking(round.random.pick(&setups));
            let direction = if fresh.try_queue(OUTPUT).is_ok() {
                OUTPUT
            } else {
                INPUT
            };
            let q = fresh.try_queue(direction)?;
            let (offset, bytes, writable) = round.random.pick(&[
                (q.info_offset, page(), false),
                (q.producer_offset, page(), direction == INPUT),
                (q.consumer_offset, page(), direction == OUTPUT),
                (q.data_offset, 2 * q.data_bytes, direction == INPUT),
            ]);
            nth.set(n);
            let result = sys::map(&fresh, offset, bytes, writable);
            nth.set(0);
            // A mapping that failed has claimed nothing.
            if result.is_err() {
                sys::map(&fresh, offset, bytes, writable)?;
            }
            result.map(drop)
        }
        3 => {
            let entry = vec![7; 1 + round.random.below(3000) as usize];
            nth.set(n);
            let wrote = sys::write(session.raw_fd(), &entry);
            let read = sys::read(session.raw_fd(), &mut vec![0; 4000]);
            nth.set(0);
            while sys::read(session.raw_fd(), &mut vec![0; 4000]).is_ok() {}
            wrote.and(read).map(drop)
        }
        4 => {
            let event = sys::eventfd(0);
            nth.set(n);
            let result = session.eventfd(direction, event);
            nth.set(0);
            sys::close(event);
            result
        }
        5 => {
            let epoll = sys::epoll();
            nth.set(n);
            let result = sys::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, session.raw_fd(), 1);
            nth.set(0);
            sys::close(epoll);
            result
        }
        6 => {
            nth.set(n);
            session.try_queue(direction).and(session.reset(direction))
        }
        7 => {
            nth.set(n);
            mapped.run_for(4, 1).1
        }
        8 => {
            let path = format!("/proc/self/fdinfo/{}", session.raw_fd());
            nth.set(n);
            let text = fs::read(path).map(drop);
            text.map_err(|error| Errno::from_io_error(&error).expect("an errno"))
        }
        _ => {
            let _ = driver.unpublish();
            nth.set(n);
            driver.publish()
        }
    }
}

/// A process in a cgroup with 4 MiB gets an error, or is killed alone. What it had is freed each
/// time.
fn small_cgroup(round: &mut Round<'_>) {
    let group = "/sys/fs/cgroup/hostile";
    let _ = fs::remove_dir(group);
    if fs::create_dir(group).is_err() || fs::write(format!("{group}/memory.max"), "4M").is_err() {
        println!("# H: no memory cgroup");
        return;
    }
    let to_be_killed = round.random.chance(2);
    let join = CString::new(format!("{group}/cgroup.procs")).expect("a path");
    let pid = sys::fork(|| {
        // SAFETY: The path ends in zero, and one byte of the string is written ("0" is this
        // process).
        unsafe {
            let fd = libc::open(join.as_ptr(), libc::O_WRONLY);
            if libc::write(fd, c"0".as_ptr().cast(), 1) != 1 {
                sys::exit_now(2);
            }
        }
        for _ in 0..3 {
            let mut all: [Option<Session>; 64] = [const { None }; 64];
            let full =
                all.iter_mut()
                    .find_map(|slot| match Session::try_nonblocking(echo(64 * page())) {
                        Ok(session) => {
                            *slot = Some(session);
                            None
                        }
                        Err(error) => Some(error),
                    });
            if full != Some(Errno::NOMEM) {
                sys::exit_now(3);
            }
        }
        let kept = Session::try_nonblocking(echo(page()));
        if to_be_killed {
            let memory = sys::memory(64 << 20, Prot::READ | Prot::WRITE);
            for word in memory.words().step_by(64) {
                word.store(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
        drop(kept);
    });
    let status = sys::wait(pid);
    let expected = if to_be_killed { libc::SIGKILL } else { 0 };
    assert_eq!(status, expected, "the child's status");
    // A cgroup exists until its last page is freed: the next round removes it.
    let _ = fs::remove_dir(group);
    round.victim.check();
}
