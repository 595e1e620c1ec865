// SPDX-License-Identifier: MIT OR Apache-2.0

//! The benchmarks that run on the host, with the ring's own source.
//!
//! Usage: bench-host FOLDER [IDS [PAIRS]]
//!
//! IDS are the benchmarks to run, separated by `|`. Prints one JSON object a result, progress in
//! lines that begin with `#`, and criterion's own report. Criterion's files go into the folder.

mod copying;
mod engine;
mod instructions;
mod memory;
mod processes;
mod protocol;
mod threads;

use std::cell::RefCell;
use std::time::Duration;

use engine::Engine;
use iostream_bench::bpf::{self, output::Reader};
use iostream_bench::flow::{Flow, Making};
use iostream_bench::{Contender, Harness, Result, Sized};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    if folder == "count" {
        let name = arguments.next().ok_or("which function?")?;
        return instructions::run(&name, arguments.next().ok_or("how often?")?.parse()?);
    }
    let only = arguments.next();
    let pairs = arguments.next().map_or(Ok(5), |pairs| pairs.parse())?;
    let harness = Harness::new(only, pairs);
    let engine = RefCell::new(Engine::new(folder.into()));
    threads(&harness, &engine)?;
    processes(&harness, &engine)?;
    copying(&harness, &engine)?;
    counted(&harness)?;
    protocol(&harness)
}

/// The rate of iterations a second.
fn rate(engine: &RefCell<Engine>, run: impl Fn(u64) -> Duration) -> Result<f64> {
    Ok(1e9 / engine.borrow_mut().ns_per_iteration(run)?)
}

fn threads(harness: &Harness, engine: &RefCell<Engine>) -> Result<()> {
    if !harness.wants("N-1") {
        return Ok(());
    }
    type Run = fn(u64, u32) -> Duration;
    /// Pauses of the processor between two looks of a waiting side: one, or so many that the other
    /// side has its cache lines to itself meanwhile. Which is faster depends on the contender.
    const PAUSES: [u32; 2] = [1, 64];
    let best = |contender: Contender<'static>, ways: &[(&'static str, Run)]| {
        let mut best = contender;
        for &(name, run) in ways {
            for pauses in PAUSES {
                let settings = format!("{name}, {pauses} pauses between two looks");
                best = best.at(settings, move || rate(engine, |count| run(count, pauses)));
            }
        }
        best
    };
    let name = "8-byte items, thread to thread";
    let ours = best(
        Contender::peer("", "iostream"),
        &[("entries of one length", threads::queue)],
    );
    let peer = best(
        Contender::peer("one at a time", "best crate"),
        &[
            ("rtrb", threads::rtrb),
            ("ringbuf", threads::ringbuf),
            ("crossbeam ArrayQueue", threads::crossbeam),
        ],
    );
    harness.compare("N-1", name, "items/s", ours, vec![peer])?;
    let ours = best(
        Contender::peer("", "iostream"),
        &[("slices of 500", threads::queue_batched)],
    );
    let peer = best(
        Contender::peer("in batches", "best crate"),
        &[
            ("rtrb, slices of 500", threads::rtrb_batched),
            ("ringbuf, slices of 500", threads::ringbuf_batched),
        ],
    );
    harness.compare("N-1", name, "items/s", ours, vec![peer])
}

fn processes(harness: &Harness, engine: &RefCell<Engine>) -> Result<()> {
    if !harness.wants("N-2") {
        return Ok(());
    }
    let ours = Contender::ours("a publication every 32", || rate(engine, processes::ring));
    let peers = vec![
        Contender::peer("bbqueue", "bbqueue").at("framed, in shared memory", || {
            rate(engine, processes::bbqueue)
        }),
        Contender::peer("Unix socket", "Unix datagrams").at("send(2) and recv(2) each", || {
            rate(engine, processes::socket)
        }),
    ];
    let name = "records of 16 to 256 bytes, process to process";
    harness.compare("N-2", name, "records/s", ours, peers)
}

fn copying(harness: &Harness, engine: &RefCell<Engine>) -> Result<()> {
    if !harness.wants("N-3") {
        return Ok(());
    }
    let ours = Contender::ours("push and pop", || rate(engine, copying::ring));
    let peer = Contender::peer("64 KiB", "memcpy")
        .at("the same bytes, twice", || rate(engine, copying::memcpy));
    let name = "64 KiB copied in and out";
    harness.compare("N-3", name, "copies/s", ours, vec![peer])
}

fn counted(harness: &Harness) -> Result<()> {
    if !harness.wants("N-4") {
        return Ok(());
    }
    let ours = Contender::ours("push_and_publish, pop_array_and_publish", || {
        instructions::count("bench_count_queue")
    });
    let peer = Contender::peer("enqueue and dequeue", "rtrb")
        .at("push, pop", || instructions::count("bench_count_rtrb"));
    let name = "instructions for an item in and out again";
    harness.compare("N-4", name, "instructions", ours, vec![peer])
}

fn protocol(harness: &Harness) -> Result<()> {
    if !harness.wants("N-5") {
        return Ok(());
    }
    for (batch, wake, flags, variant, name) in [
        (
            500,
            bpf::FORCE_WAKEUP,
            "BPF_RB_FORCE_WAKEUP",
            "500 a publication",
            "8-byte records, the whole protocol, 500 a publication",
        ),
        (
            1,
            bpf::ADAPTIVE,
            "flags 0",
            "each published",
            "8-byte records, the whole protocol, each published",
        ),
    ] {
        let flow = Flow {
            batch,
            making: Making::Batches,
            ..Flow::BASE
        };
        let mut sized = Sized::new(200_000);
        let ours = Contender::ours(format!("a publication every {batch}, eventfd"), move || {
            sized.rate(|count| protocol::ours(flow, count))
        });
        let mut peer = Contender::peer(variant, "BPF ring buffer of this kernel");
        for reader in Reader::ALL {
            let mut sized = Sized::new(200_000);
            let settings = format!("{flags} every {batch}; {}", reader.name());
            peer = peer.at(settings, move || {
                sized.rate(|count| bpf::output::run(flow, wake, reader, count))
            });
        }
        harness.compare("N-5", name, "records/s", ours, vec![peer])?;
    }
    Ok(())
}
