// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-9, G-10, and G-15 to G-17: system calls, pages, memory, the time of a set-up, idle wake-ups.

use iostream_bench::bpf::{output::Reader, Bpf};
use iostream_bench::flow::{self, Flow};
use iostream_bench::{Contender, Harness, Result};

use crate::counts;
use crate::idle;
use crate::setups;

/// G-9 and G-10: system calls and pages.
pub fn counted(harness: &Harness) -> Result<()> {
    if harness.wants("G-9") {
        let flow = Flow {
            batch: 1,
            ..Flow::BASE
        };
        let settings = format!("dequeue_wait, {} looks before it sleeps", flow::SPIN);
        let ours = Contender::ours(settings, || counts::calls_of_ours(flow, 1_000_000));
        let mut peer = Contender::peer("both sides busy", "BPF ring buffer");
        for reader in [Reader::Poll, Reader::Consume, Reader::Hybrid] {
            peer = peer.at(format!("flags 0, {}", reader.name()), move || {
                counts::calls_of_peer(flow, reader, 1_000_000)
            });
        }
        let name = "system calls for 1,000,000 records";
        harness.compare("G-9", name, "calls", ours, vec![peer])?;
        let ours = Contender::ours("dequeue", || counts::calls_of_draining(flow));
        let peer = Contender::peer("a pre-filled queue", "BPF ring buffer")
            .at("libbpf, ring_buffer__consume", || {
                counts::peers_calls_of_draining(flow)
            });
        let name = "system calls to drain a queue of 512 KiB";
        harness.compare("G-9", name, "calls", ours, vec![peer])?;
    }
    if harness.wants("G-10") {
        for (variant, bytes) in [("512 KiB", 512 << 10), ("516 KiB", 516 << 10)] {
            let ours = Contender::ours("", move || counts::pages_of_ours(bytes));
            let peer = Contender::peer(variant, "BPF ring buffer")
                .at("the next power of two", move || {
                    counts::pages_of_peer(bytes)
                });
            let name = "shared pages beyond the capacity";
            harness.compare("G-10", name, "pages", ours, vec![peer])?;
        }
    }
    Ok(())
}

/// G-15 and G-16: what a queue costs until its first entry has arrived.
pub fn set_up(harness: &Harness) -> Result<()> {
    if harness.wants("G-15") {
        let settings = "500 at once, all memory of the kernel";
        let ours = Contender::ours(settings, setups::memory_of_ours);
        let peers = vec![
            Contender::peer("BPF", "BPF ring buffer").at(settings, setups::memory_of_bpf),
            Contender::peer("pipe", "pipe").at(settings, setups::memory_of_pipe),
        ];
        let name = "memory of a queue of one page";
        harness.compare("G-15", name, "bytes", ours, peers)?;
    }
    if harness.wants("G-16") {
        let bpf = Bpf::load(4096, 8)?;
        for (bytes, name, variants) in [
            (
                512 << 10,
                "the first entry of a new queue of 512 KiB",
                ["512 KiB: memfd", "512 KiB: BPF", "512 KiB: perf"],
            ),
            (
                1 << 30,
                "the first entry of a new queue of 1 GiB",
                ["1 GiB: memfd", "1 GiB: BPF", "1 GiB: perf"],
            ),
        ] {
            let ours = Contender::ours("", move || setups::first_of_ours(bytes));
            let [memfd, of_bpf, perf] = variants;
            let bpf = &bpf;
            let peers = vec![
                Contender::peer(memfd, "memfd, mapped and populated")
                    .at("", move || setups::first_of_memfd(bytes)),
                Contender::peer(of_bpf, "BPF ring buffer")
                    .at("", move || setups::first_of_bpf(bpf, bytes)),
                Contender::peer(perf, "perf event").at("", move || setups::first_of_perf(bytes)),
            ];
            harness.compare("G-16", name, "ns", ours, peers)?;
        }
    }
    Ok(())
}

/// G-17: consumers that wait for nothing.
pub fn idle(harness: &Harness) -> Result<()> {
    if !harness.wants("G-17") {
        return Ok(());
    }
    type Run = fn() -> Result<f64>;
    let rows: [(_, _, Run); 3] = [
        (
            "crate",
            "a thread in Consumer::dequeue_wait",
            idle::by_crate,
        ),
        ("tokio", "a task in AsyncConsumer::dequeue", idle::by_tokio),
        ("iostreamctl", "iostreamctl recv", idle::by_command),
    ];
    for (variant, settings, run) in rows {
        let ours = Contender::ours(settings, run);
        let peer = Contender::peer(variant, "BPF ring buffer")
            .at("a thread in ring_buffer__poll", idle::by_bpf);
        let name = "wake-ups a second of a consumer that waits";
        harness.compare("G-17", name, "wake-ups", ours, vec![peer])?;
    }
    Ok(())
}
