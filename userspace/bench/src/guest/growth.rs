// SPDX-License-Identifier: MIT OR Apache-2.0

//! How cost grows, and the curves of the pictures.

use std::time::Duration;

use iostream_bench::bpf::{self, output::Reader};
use iostream_bench::flow::Flow;
use iostream_bench::{Contender, Harness, Result, Sized};

use crate::messages;
use crate::output;

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

/// A contender of one setting.
fn alone<'a>(
    name: &'static str,
    first: u64,
    mut run: impl FnMut(u64) -> Result<Duration> + 'a,
) -> Contender<'a> {
    let mut sized = Sized::quick(first);
    Contender::peer("", name).at("", move || sized.rate(&mut run))
}

/// The peer with the given flags at the end of a batch, and each of its readers.
fn bpf<'a>(name: &'static str, flow: Flow, wake: u64, first: u64) -> Contender<'a> {
    let mut contender = Contender::peer("", name);
    for reader in Reader::ALL {
        let mut sized = Sized::quick(first);
        contender = contender.at(reader.name(), move || {
            sized.rate(|count| bpf::output::run(flow, wake, reader, count))
        });
    }
    contender
}

fn sizes(harness: &Harness) -> Result<()> {
    for entry_bytes in SIZES {
        let flow = Flow {
            entry_bytes,
            ..Flow::BASE
        };
        let x = entry_bytes as f64;
        let first = 40_000_000 / (entry_bytes + 400);
        let bytes = entry_bytes as usize;
        for contender in [
            alone("iostream", first, |count| output::ours(flow, count)),
            bpf("BPF ring buffer", flow, bpf::FORCE_WAKEUP, first),
            alone("pipe", first, |count| messages::pipes(bytes, count)),
            alone("Unix datagrams", first, |count| {
                messages::datagrams(bytes, count)
            }),
        ] {
            harness.point("size", x, contender)?;
        }
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
        let first = 50_000;
        for contender in [
            alone("iostream", first, |count| output::ours(flow, count)),
            // Ours wakes who sleeps, no one else: as the flags 0 do.
            bpf("BPF, flags 0", flow, bpf::ADAPTIVE, first),
            bpf("BPF, forced wake-ups", flow, bpf::FORCE_WAKEUP, first),
        ] {
            harness.point("batch", x, contender)?;
        }
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
        let first = 50_000;
        for contender in [
            alone("iostream", first, |count| output::ours(flow, count)),
            bpf("BPF ring buffer", flow, bpf::FORCE_WAKEUP, first),
        ] {
            harness.point("bytes of a ring", x, contender)?;
        }
    }
    Ok(())
}

fn queues(harness: &Harness) -> Result<()> {
    for queues in QUEUES {
        let contender = alone("iostream", 100_000, |count| {
            output::ours_round_robin(queues, count)
        });
        harness.point("queues", queues as f64, contender)?;
    }
    Ok(())
}
