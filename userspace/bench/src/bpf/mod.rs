// SPDX-License-Identifier: MIT OR Apache-2.0

//! The peer: BPF ring buffers, loaded and read with libbpf.

pub mod mapped;
pub mod output;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::Result;
use libbpf_rs::{libbpf_sys, Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder};

/// The programs in the VM; elsewhere the variable `IOSTREAM_BENCH_BPF` says where they are.
const OBJECT: &str = "/usr/lib/iostream/ring.bpf.o";

/// `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP` of linux/bpf.h, and neither.
pub const ADAPTIVE: u64 = 0;
pub const NO_WAKEUP: u64 = libbpf_sys::BPF_RB_NO_WAKEUP as u64;
pub const FORCE_WAKEUP: u64 = libbpf_sys::BPF_RB_FORCE_WAKEUP as u64;

/// The context of the programs, `struct work` in ring.bpf.c.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    pub target: u64,
    pub batch: u64,
    pub flags_within: u64,
    pub flags_last: u64,
    pub number: u64,
    pub left: u64,
    pub sum: u64,
    pub stuck: u64,
    pub active: u64,
    pub random: u64,
}

impl Work {
    /// Work on `target` entries, with a wake-up after each `batch`. With the flags 0 each entry wakes a
    /// reader that has caught up: the last one of a batch would not, because the reader has not read
    /// the ones before it.
    pub fn new(target: u64, batch: u64, wake: u64) -> Self {
        Self {
            target,
            batch,
            flags_within: if wake == ADAPTIVE {
                ADAPTIVE
            } else {
                NO_WAKEUP
            },
            flags_last: wake,
            left: batch,
            random: 1,
            ..Self::default()
        }
    }
}

/// The programs and their ring buffers.
pub struct Bpf {
    object: Object,
}

/// A program that is called explicitly. It may be sent to another thread.
pub struct Program(OwnedFd);

impl Bpf {
    /// Loads the programs, with ring buffers of a size that is a power of two, and entries of one
    /// size.
    pub fn load(ring_bytes: u64, entry_bytes: u64) -> Result<Self> {
        let entry_bytes = u32::try_from(entry_bytes)?;
        let object = std::env::var("IOSTREAM_BENCH_BPF").unwrap_or_else(|_| OBJECT.into());
        let mut open = ObjectBuilder::default().open_file(object)?;
        for mut map in open.maps_mut() {
            if map.name() == "ring" || map.name() == "user_ring" {
                map.set_max_entries(u32::try_from(ring_bytes)?)?;
            }
            if map.name().to_string_lossy().ends_with(".rodata") {
                let constants = map.initial_value_mut().ok_or("no constants")?;
                let first = constants.get_mut(..4).ok_or("short constants")?;
                first.copy_from_slice(&entry_bytes.to_ne_bytes());
            }
        }
        Ok(Self {
            object: open.load()?,
        })
    }

    /// A map, with a handle of its own.
    pub fn map(&self, name: &str) -> Result<MapHandle> {
        let map = self.object.maps().find(|map| map.name() == name);
        let map = map.ok_or_else(|| format!("there is no map called {name}"))?;
        Ok(MapHandle::try_from(&map)?)
    }

    /// A program.
    pub fn program(&self, name: &str) -> Result<Program> {
        let program = self.object.progs().find(|program| program.name() == name);
        let program = program.ok_or_else(|| format!("there is no program called {name}"))?;
        Ok(Program(program.as_fd().try_clone_to_owned()?))
    }

    /// The program that makes entries of this length, which the load was told, too. The usual
    /// lengths are known to the compiler.
    pub fn produce(&self, entry_bytes: u64) -> Result<Program> {
        match entry_bytes {
            8 | 64 | 1024 | 4096 => self.program(&format!("produce_{entry_bytes}")),
            _ => self.program("produce_any"),
        }
    }

    /// Lets a perf event run a program while the result lives.
    pub fn attach_to(&mut self, name: &str, event: i32) -> Result<Link> {
        let program = self
            .object
            .progs_mut()
            .find(|program| program.name() == name);
        let program = program.ok_or_else(|| format!("there is no program called {name}"))?;
        Ok(program.attach_perf_event(event)?)
    }

    /// Counts the system calls of this process while the result lives.
    pub fn count_calls(&mut self) -> Result<(Link, MapHandle)> {
        let counts = self.map("counts")?;
        let start = [u64::from(std::process::id()), 0];
        counts.update(&0u32.to_ne_bytes(), bytes_of(&start), MapFlags::ANY)?;
        let program = self.object.progs_mut().find(|p| p.name() == "count_call");
        let link = program.ok_or("no count_call")?.attach()?;
        Ok((link, counts))
    }
}

/// The system calls counted so far, including the one that asks.
pub fn calls(counts: &MapHandle) -> Result<u64> {
    let value = counts.lookup(&0u32.to_ne_bytes(), MapFlags::ANY)?;
    let value = value.ok_or("an array without its only element")?;
    let calls = value.get(8..16).ok_or("a short value")?;
    Ok(u64::from_ne_bytes(calls.try_into()?))
}

fn bytes_of(words: &[u64; 2]) -> &[u8] {
    // SAFETY: Two words are sixteen bytes without padding.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), 16) }
}

impl Program {
    /// Runs the program once, in the kernel, in this thread.
    pub fn run(&self, work: &mut Work) -> Result<()> {
        // SAFETY: All bit patterns of the struct are valid; zero means "not used".
        let mut options: libbpf_sys::bpf_test_run_opts = unsafe { std::mem::zeroed() };
        options.sz = size_of_val(&options) as _;
        options.ctx_in = std::ptr::from_mut(work).cast();
        options.ctx_size_in = size_of::<Work>() as _;
        // SAFETY: A program of type "syscall" reads and writes the context, which has the size in
        // the options and outlives the call.
        let status =
            unsafe { libbpf_sys::bpf_prog_test_run_opts(self.0.as_raw_fd(), &mut options) };
        if status < 0 {
            return Err(std::io::Error::from_raw_os_error(-status).into());
        }
        Ok(())
    }
}
