// SPDX-License-Identifier: MIT OR Apache-2.0

//! The benchmarks that run in the VM, against the real iostream.ko and real peers.
//!
//! Usage: bench-guest [ID [PAIRS]]
//!
//! Prints one JSON object a result, and lines that begin with `#` to say how far it is.

mod bpf;
mod node;
mod output;

use iostream_bench::{Contender, Harness, Result, Sized};
use output::{Flow, Reader};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let pairs = arguments.next().map_or(Ok(5), |pairs| pairs.parse())?;
    let harness = Harness::new(only, pairs);
    queues(&harness)
}

/// G-1 to G-3, and G-5: kernel to user.
fn queues(harness: &Harness) -> Result<()> {
    if harness.wants("G-1") {
        let name = "8-byte records, kernel to user, two processors, wake every 500";
        let peer = peer("two processors", Flow::BASE, bpf::FORCE_WAKEUP);
        harness.compare("G-1", name, "records/s", ours(Flow::BASE), vec![peer])?;
    }
    if harness.wants("G-2") {
        let name = "8-byte records, each published on its own";
        let flow = Flow {
            batch: 1,
            ..Flow::BASE
        };
        let peers = vec![
            peer("default flags", flow, bpf::ADAPTIVE),
            peer("forced wake-ups", flow, bpf::FORCE_WAKEUP),
        ];
        harness.compare("G-2", name, "records/s", ours(flow), peers)?;
    }
    if harness.wants("G-3") {
        let name = "8-byte records, kernel to user, one processor, wake every 500";
        let flow = Flow {
            producer_cpu: 1,
            ..Flow::BASE
        };
        let peer = peer("one processor", flow, bpf::FORCE_WAKEUP);
        harness.compare("G-3", name, "records/s", ours(flow), vec![peer])?;
    }
    if harness.wants("G-5") {
        for (variant, entry_bytes) in [("64 bytes", 64), ("1024 bytes", 1024), ("4096 bytes", 4096)]
        {
            let name = "records, kernel to user, every byte read in place";
            let flow = Flow {
                entry_bytes,
                ..Flow::BASE
            };
            let peer = peer(variant, flow, bpf::FORCE_WAKEUP);
            harness.compare("G-5", name, "records/s", ours(flow), vec![peer])?;
        }
    }
    Ok(())
}

fn ours<'a>(flow: Flow) -> Contender<'a> {
    let settings = format!(
        "a publication every {}; consumer in batches of 500, {} looks before it sleeps",
        flow.batch,
        output::SPIN
    );
    let mut sized = Sized::new(500_000);
    Contender::ours(settings, move || {
        sized.rate(|count| output::ours(flow, count))
    })
}

fn peer<'a>(variant: &'static str, flow: Flow, wake: u64) -> Contender<'a> {
    let mut contender = Contender::peer(variant, "BPF ring buffer");
    for (reader, call) in [
        (Reader::Poll, "ring_buffer__poll"),
        (Reader::Consume, "ring_buffer__consume in a loop"),
    ] {
        let flags = match wake {
            bpf::FORCE_WAKEUP => "BPF_RB_FORCE_WAKEUP",
            _ => "flags 0",
        };
        let settings = format!("{flags} every {}, libbpf, {call}", flow.batch);
        let mut sized = Sized::new(100_000);
        contender = contender.at(settings, move || {
            sized.rate(|count| output::peer(flow, wake, reader, count))
        });
    }
    contender
}
