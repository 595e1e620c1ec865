// SPDX-License-Identifier: MIT OR Apache-2.0

//! The soak for lost wake-ups. One thread sleeps without a time-out as soon as it has nothing to
//! do; another gives it something to do just when it is about to sleep. A third process watches:
//! when nothing moves, a wake-up was lost.

mod kernel_sleeps;
mod pace;
mod process_sleeps;

use std::process::ExitCode;
use std::sync::atomic::Ordering::*;
use std::time::{Duration, Instant};

use iostream_raw::Map;
use libc::SIGKILL;

use crate::sys;
use process_sleeps::{Means, Readable};

/// After this long without progress a wake-up counts as lost.
const STUCK: Duration = Duration::from_secs(20);

/// Which side sleeps, for what, and how it is woken.
struct Variant {
    name: &'static str,
    run: fn(&Progress, u64),
}

const VARIANTS: [Variant; 16] = [
    Variant {
        name: "output-poll",
        run: |p, n| process_sleeps::for_entries(p, n, Means::Poll, Readable::AtOnce),
    },
    Variant {
        name: "output-epoll-level",
        run: |p, n| process_sleeps::for_entries(p, n, Means::EpollLevel, Readable::AtOnce),
    },
    Variant {
        name: "output-epoll-edge",
        run: |p, n| process_sleeps::for_entries(p, n, Means::EpollEdge, Readable::AtOnce),
    },
    Variant {
        name: "output-eventfd",
        run: |p, n| process_sleeps::for_entries(p, n, Means::Eventfd, Readable::AtOnce),
    },
    Variant {
        name: "output-watermark-poll",
        run: |p, n| process_sleeps::for_entries(p, n, Means::Poll, Readable::AtWatermark),
    },
    Variant {
        name: "output-watermark-epoll-edge",
        run: |p, n| process_sleeps::for_entries(p, n, Means::EpollEdge, Readable::AtWatermark),
    },
    Variant {
        name: "output-watermark-eventfd",
        run: |p, n| process_sleeps::for_entries(p, n, Means::Eventfd, Readable::AtWatermark),
    },
    Variant {
        name: "output-latency-poll",
        run: |p, n| process_sleeps::for_entries(p, n, Means::Poll, Readable::AfterLatency),
    },
    Variant {
        name: "output-latency-epoll-edge",
        run: |p, n| process_sleeps::for_entries(p, n, Means::EpollEdge, Readable::AfterLatency),
    },
    Variant {
        name: "output-latency-eventfd",
        run: |p, n| process_sleeps::for_entries(p, n, Means::Eventfd, Readable::AfterLatency),
    },
    Variant {
        name: "input-poll",
        run: |p, n| process_sleeps::for_room(p, n, Means::Poll),
    },
    Variant {
        name: "input-epoll-level",
        run: |p, n| process_sleeps::for_room(p, n, Means::EpollLevel),
    },
    Variant {
        name: "input-epoll-edge",
        run: |p, n| process_sleeps::for_room(p, n, Means::EpollEdge),
    },
    Variant {
        name: "input-eventfd",
        run: |p, n| process_sleeps::for_room(p, n, Means::Eventfd),
    },
    Variant {
        name: "kernel-for-entries",
        run: kernel_sleeps::for_entries,
    },
    Variant {
        name: "kernel-for-room",
        run: kernel_sleeps::for_room,
    },
];

/// Counts that the watching process shares with the two threads.
pub struct Progress(Map);

impl Progress {
    fn new() -> Self {
        Self(sys::shared_page())
    }

    /// Entries that arrived.
    pub fn entry(&self) {
        self.0.word(0).fetch_add(1, Relaxed);
    }

    /// How many entries have arrived.
    pub fn entries(&self) -> u64 {
        self.0.word(0).load(Relaxed)
    }

    /// Wake-ups that were sent, as the sender counts them.
    pub fn set_wakeups(&self, wakeups: u64) {
        self.0.word(8).store(wakeups, Relaxed);
    }

    /// How many wake-ups were sent.
    pub fn wakeups(&self) -> u64 {
        self.0.word(8).load(Relaxed)
    }
}

/// Runs `hostile soak` with these arguments.
pub fn main(args: &[&str]) -> ExitCode {
    let mut only = None;
    let mut wakeups = 100_000;
    for pair in args.chunks(2) {
        match pair {
            ["--variant", name] => only = Some(*name),
            ["--wakeups", number] if number.parse::<u64>().is_ok() => {
                wakeups = number.parse().unwrap_or(0);
            }
            _ => {
                eprintln!("usage: hostile soak [--variant NAME] [--wakeups N]");
                return ExitCode::from(2);
            }
        }
    }
    let mut lost = false;
    for variant in VARIANTS
        .iter()
        .filter(|v| only.is_none_or(|name| v.name == name))
    {
        lost |= !watch(variant, wakeups);
    }
    ExitCode::from(u8::from(lost))
}

/// Runs one variant in a process of its own. Returns whether it succeeded.
fn watch(variant: &Variant, wakeups: u64) -> bool {
    let progress = Progress::new();
    let start = Instant::now();
    let pid = sys::fork(|| (variant.run)(&progress, wakeups));
    let (mut seen, mut since) = (0, Instant::now());
    let (verdict, status) = loop {
        let mut status = 0;
        // SAFETY: The status is written.
        if unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == pid {
            break (if status == 0 { "passed" } else { "failed" }, status);
        }
        let entries = progress.entries();
        if entries != seen {
            (seen, since) = (entries, Instant::now());
        } else if since.elapsed() > STUCK {
            sys::kill(pid, SIGKILL);
            break ("lost", sys::wait(pid));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    println!(
        "%% soak {} {verdict} wakeups {} entries {} seconds {:.1} status {status}",
        variant.name,
        progress.wakeups(),
        progress.entries(),
        start.elapsed().as_secs_f64()
    );
    verdict == "passed"
}
