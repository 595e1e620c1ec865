// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which of the module's code has run, by the kernel's own tracer (KCOV): addresses, in a file.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::atomic::Ordering::*;
use std::sync::Mutex;

use libc::{MAP_SHARED, PROT_READ, PROT_WRITE};

use crate::sys::{self, Fd, Map};

const TRACER: &str = "/sys/kernel/debug/kcov";
/// Words of a thread's buffer: the first says how many follow.
const WORDS: usize = 1 << 20;
const INIT_TRACE: u32 = 0x8008_6301;
const ENABLE: u32 = 0x6364;
const DISABLE: u32 = 0x6365;

/// All addresses that were seen; `None`: nobody asked.
static SEEN: Mutex<Option<BTreeSet<u64>>> = Mutex::new(None);

/// From now on threads that say so are traced.
pub fn begin() {
    *SEEN.lock().expect("nobody panics with it") = Some(BTreeSet::new());
}

/// One thread's tracer. What it saw is kept when it is dropped.
pub struct Tracer {
    fd: Fd,
    buffer: Map,
}

/// Traces the calling thread, if that was asked for.
pub fn of_this_thread() -> Option<Tracer> {
    SEEN.lock().expect("nobody panics with it").as_ref()?;
    let fd = sys::open(TRACER, libc::O_RDWR | libc::O_CLOEXEC);
    let fd = fd.unwrap_or_else(|error| panic!("{TRACER}: errno {error}"));
    sys::ioctl(fd, INIT_TRACE, WORDS).expect("KCOV_INIT_TRACE");
    let buffer = Map::new(fd, 0, WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED);
    let buffer = buffer.expect("the tracer's buffer");
    sys::ioctl(fd, ENABLE, 0).expect("KCOV_ENABLE");
    Some(Tracer { fd, buffer })
}

impl Tracer {
    /// Keeps what the buffer has, and empties it.
    pub fn collect(&self) {
        let count = (self.buffer.word(0).load(Acquire) as usize).min(WORDS - 1);
        // Most of them many times: sorted out before the lock is taken.
        let mut new: Vec<u64> = (1..=count)
            .map(|i| self.buffer.word(i * 8).load(Relaxed))
            .collect();
        self.buffer.word(0).store(0, Release);
        new.sort_unstable();
        new.dedup();
        if let Some(seen) = &mut *SEEN.lock().expect("nobody panics with it") {
            seen.extend(new);
        }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = sys::ioctl(self.fd, DISABLE, 0);
        self.collect();
        sys::close(self.fd);
    }
}

thread_local! {
    static MAIN: RefCell<Option<Tracer>> = const { RefCell::new(None) };
}

/// Traces the main thread until the program ends.
pub fn trace_main() {
    MAIN.with(|main| *main.borrow_mut() = of_this_thread());
}

/// Between two rounds.
pub fn collect_main() {
    MAIN.with(|main| {
        if let Some(tracer) = &*main.borrow() {
            tracer.collect();
        }
    });
}

/// Prints all addresses, as offsets from where the module's code begins.
pub fn report(out: &mut impl Write) {
    collect_main();
    let base = std::fs::read_to_string("/sys/module/iostream/sections/.text").unwrap_or_default();
    let Ok(base) = u64::from_str_radix(base.trim().trim_start_matches("0x"), 16) else {
        return;
    };
    let guard = SEEN.lock().expect("nobody panics with it");
    for address in guard.iter().flatten() {
        let _ = writeln!(out, "%% ran {:#x}", address.wrapping_sub(base));
    }
}
