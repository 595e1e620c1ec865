// SPDX-License-Identifier: MIT OR Apache-2.0

//! How cost grows, and the curves of the pictures.

use iostream_bench::{Harness, Result, Sized};

use crate::bpf;
use crate::messages;
use crate::output::{self, Flow, Reader};

/// The sizes of an entry in bytes; each is at least twice the one before.
const SIZES: [u64; 8] = [8, 64, 256, 1024, 4096, 16384, 32768, 65536];
/// Entries of a publication.
const BATCHES: [u64; 7] = [1, 3, 10, 30, 100, 300, 1000];
/// Bytes of a ring.
const RINGS: [u64; 8] = [
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
];
/// Numbers of queues that are open at once.
const QUEUES: [usize; 4] = [1, 4, 16, 64];

/// Measures every curve.
pub fn run(harness: &Harness) -> Result<()> {
    if !harness.wants("growth") {
        return Ok(());
    }
    sizes(harness)?;
    batches(harness)?;
    rings(harness)?;
    queues(harness)
}

fn sizes(harness: &Harness) -> Result<()> {
    for entry_bytes in SIZES {
        let flow = Flow {
            entry_bytes,
            ring_bytes: Flow::BASE.ring_bytes,
            ..Flow::BASE
        };
        let x = entry_bytes as f64;
        let start = || Sized::quick(40_000_000 / (entry_bytes + 400));
        let mut sized = start();
        harness.point("size", "iostream", x, || {
            sized.rate(|count| output::ours(flow, count))
        })?;
        let mut sized = start();
        harness.point("size", "BPF ring buffer", x, || {
            sized.rate(|count| output::peer(flow, bpf::FORCE_WAKEUP, Reader::Consume, count))
        })?;
        let bytes = entry_bytes as usize;
        let mut sized = start();
        harness.point("size", "pipe", x, || {
            sized.rate(|count| messages::pipes(bytes, count))
        })?;
        let mut sized = start();
        harness.point("size", "Unix datagrams", x, || {
            sized.rate(|count| messages::datagrams(bytes, count))
        })?;
    }
    Ok(())
}

fn batches(harness: &Harness) -> Result<()> {
    for batch in BATCHES {
        let flow = Flow {
            batch,
            ..Flow::BASE
        };
        let x = batch as f64;
        let mut sized = Sized::quick(200_000);
        harness.point("batch", "iostream", x, || {
            sized.rate(|count| output::ours(flow, count))
        })?;
        let mut sized = Sized::quick(50_000);
        harness.point("batch", "BPF, forced wake-ups", x, || {
            sized.rate(|count| output::peer(flow, bpf::FORCE_WAKEUP, Reader::Poll, count))
        })?;
    }
    Ok(())
}

fn rings(harness: &Harness) -> Result<()> {
    for ring_bytes in RINGS {
        let flow = Flow {
            ring_bytes,
            batch: 100,
            ..Flow::BASE
        };
        let x = ring_bytes as f64;
        let mut sized = Sized::quick(200_000);
        harness.point("bytes of a ring", "iostream", x, || {
            sized.rate(|count| output::ours(flow, count))
        })?;
        let mut sized = Sized::quick(50_000);
        harness.point("bytes of a ring", "BPF ring buffer", x, || {
            sized.rate(|count| output::peer(flow, bpf::FORCE_WAKEUP, Reader::Consume, count))
        })?;
    }
    Ok(())
}

fn queues(harness: &Harness) -> Result<()> {
    for queues in QUEUES {
        let mut sized = Sized::quick(100_000);
        harness.point("queues", "iostream", queues as f64, || {
            sized.rate(|count| output::ours_round_robin(queues, count))
        })?;
    }
    Ok(())
}
