// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-6, G-11, G-13 and G-14: against what drivers and programs use without us.

use std::time::Duration;

use iostream_bench::bpf;
use iostream_bench::flow::{Flow, Making};
use iostream_bench::{Contender, Harness, Result, Sized};

use super::queues::ours;
use crate::calls;
use crate::many;
use crate::messages;
use crate::ticks;

/// G-6: against system calls.
pub fn other_means(harness: &Harness) -> Result<()> {
    if !harness.wants("G-6") {
        return Ok(());
    }
    for (making, name, variants) in [
        (
            Making::Calls,
            "64-byte messages, each by enqueue under the driver's lock",
            [
                "pipe",
                "Unix datagrams",
                "kfifo device",
                "read(2) of a device",
            ],
        ),
        (
            Making::Batches,
            "64-byte messages, each published on its own in a batch",
            [
                "in a batch: pipe",
                "in a batch: datagrams",
                "in a batch: kfifo",
                "in a batch: read(2)",
            ],
        ),
    ] {
        let flow = Flow {
            entry_bytes: 64,
            batch: 1,
            making,
            ..Flow::BASE
        };
        let [pipe, datagrams, kfifo, device] = variants;
        let peers = vec![
            means(Contender::peer(pipe, "pipe"), MEANS_PIPE),
            means(
                Contender::peer(datagrams, "Unix datagrams"),
                MEANS_DATAGRAMS,
            ),
            means(Contender::peer(kfifo, "kfifo device"), MEANS_KFIFO),
            means(Contender::peer(device, "read(2) of a device"), MEANS_DEVICE),
        ];
        harness.compare("G-6", name, "messages/s", ours(flow), peers)?;
    }
    Ok(())
}

/// A way to move messages of a length: its settings, and the time that a number of them takes.
type Means = (&'static str, fn(usize, u64) -> Result<Duration>);
const MEANS_PIPE: &[Means] = &[("1 MiB; write(2) each, read(2) of 64 KiB", messages::pipes)];
const MEANS_DATAGRAMS: &[Means] = &[
    (
        "send(2) and recv(2) each, 1 MiB, 512 messages",
        messages::datagrams,
    ),
    (
        "send(2) each, recvmmsg(2), 1 MiB, 512 messages",
        messages::many_datagrams,
    ),
];
const MEANS_KFIFO: &[Means] = &[("1 MiB; read(2) of 64 KiB", messages::kfifo)];
const MEANS_DEVICE: &[Means] = &[("/dev/zero, read(2) each", messages::device)];

fn means<'a>(mut contender: Contender<'a>, means: &[Means]) -> Contender<'a> {
    for &(settings, run) in means {
        let mut sized = Sized::new(50_000);
        contender = contender.at(settings, move || sized.rate(|count| run(64, count)));
    }
    contender
}

/// G-11: one entry from an interrupt.
pub fn from_interrupts(harness: &Harness) -> Result<()> {
    if !harness.wants("G-11") {
        return Ok(());
    }
    for (how, name, [ring, perf]) in [
        (
            ticks::Consumer::Looks,
            "the call for one 8-byte entry in a timer's interrupt, consumer awake",
            ["awake: BPF", "awake: perf_buffer"],
        ),
        (
            ticks::Consumer::Sleeps,
            "the call for one 8-byte entry in a timer's interrupt, consumer asleep",
            ["asleep: BPF", "asleep: perf_buffer"],
        ),
    ] {
        let ours = Contender::ours("Producer::enqueue under SpinLockIrq", move || {
            ticks::ours(how)
        });
        let mut by_ring = Contender::peer(ring, "bpf_ringbuf_output");
        by_ring = by_ring.at("flags 0", move || ticks::ring(how, bpf::ADAPTIVE));
        if how == ticks::Consumer::Looks {
            by_ring = by_ring.at("BPF_RB_NO_WAKEUP", move || ticks::ring(how, bpf::NO_WAKEUP));
        }
        let by_perf = Contender::peer(perf, "bpf_perf_event_output")
            .at("128 pages", move || ticks::perf(how));
        harness.compare("G-11", name, "ns", ours, vec![by_ring, by_perf])?;
    }
    Ok(())
}

/// G-13: one entry by a system call.
pub fn single_calls(harness: &Harness) -> Result<()> {
    if !harness.wants("G-13") {
        return Ok(());
    }
    type Run = fn() -> Result<f64>;
    let rows: [(_, Run, [(_, _, Run); 2]); 2] = [
        (
            "one read(2) of a 64-byte entry that is there",
            calls::read_of_ours,
            [
                ("read(2): pipe", "pipe", calls::read_of_pipe),
                (
                    "read(2): kfifo device",
                    "kfifo device",
                    calls::read_of_kfifo,
                ),
            ],
        ),
        (
            "one write(2) of a 64-byte entry that finds room",
            calls::write_to_ours,
            [
                ("write(2): pipe", "pipe", calls::write_to_pipe),
                (
                    "write(2): kfifo device",
                    "kfifo device",
                    calls::write_to_kfifo,
                ),
            ],
        ),
    ];
    for (name, ours, peers) in rows {
        let peers =
            peers.map(|(variant, peer, run)| Contender::peer(variant, peer).at("1 MiB", run));
        let ours = Contender::ours("1 MiB", ours);
        harness.compare("G-13", name, "ns", ours, Vec::from(peers))?;
    }
    Ok(())
}

/// G-14: many queues in one epoll.
pub fn many_queues(harness: &Harness) -> Result<()> {
    if !harness.wants("G-14") {
        return Ok(());
    }
    const ALL: usize = many::QUEUES;
    let rated = |name, variant, run: fn(u64) -> Result<Duration>| {
        let mut sized = Sized::new(50_000);
        Contender::peer(variant, name).at("one epoll, level-triggered", move || sized.rate(run))
    };
    let ours = rated("iostream", "", |count| many::ours(ALL, ALL, count));
    let peers = vec![
        rated("BPF ring buffers", "BPF", |count| many::bpf(ALL, count)),
        rated("pipes", "pipes", |count| many::pipes(ALL, count)),
    ];
    let name = "8-byte records to 64 queues in one epoll, at random";
    harness.compare("G-14", name, "records/s", ours, peers)?;
    let ours = rated("iostream", "", |count| many::ours(ALL, 1, count));
    let alone = rated("iostream, one queue", "idle queues", |count| {
        many::ours(1, 1, count)
    });
    let name = "8-byte records to one queue, 63 idle ones in the same epoll";
    harness.compare("G-14", name, "records/s", ours, vec![alone])
}
