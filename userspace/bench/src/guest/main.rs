// SPDX-License-Identifier: MIT OR Apache-2.0

//! The benchmarks that run in the VM, against the real iostream.ko and real peers.
//!
//! Usage: bench-guest [IDS [PAIRS]]
//!
//! IDS are the benchmarks to run, separated by `|`. Prints one JSON object a result, and reports
//! progress in lines that begin with `#`.

mod bpf;
mod counts;
mod growth;
mod input;
mod latency;
mod messages;
mod node;
mod output;
mod streams;
mod uring;

use iostream_bench::{
    comparison, line_ns, median, quantile, Contender, Harness, Record, Result, Samples, Side, Sized,
};
use latency::Times;
use output::{Flow, Reader};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let pairs = arguments.next().map_or(Ok(5), |pairs| pairs.parse())?;
    let harness = Harness::new(only, pairs);
    output_queues(&harness)?;
    input_queues(&harness)?;
    other_means(&harness)?;
    buffers(&harness)?;
    sleepers(&harness)?;
    counted(&harness)?;
    growth::run(&harness)
}

/// G-1 to G-3, and G-5: kernel to user.
fn output_queues(harness: &Harness) -> Result<()> {
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

/// G-4: user to kernel.
fn input_queues(harness: &Harness) -> Result<()> {
    if !harness.wants("G-4") {
        return Ok(());
    }
    let flow = Flow::BASE;
    let mut sized = Sized::new(200_000);
    let settings = "crate's batches of 500 by copy; the driver drains 500 at a time";
    let ours = Contender::ours(settings, move || {
        sized.rate(|count| input::ours(flow, count))
    });
    let mut peer = Contender::peer("user to kernel", "BPF user ring buffer");
    for (flags, name) in [(bpf::NO_WAKEUP, "BPF_RB_NO_WAKEUP"), (0, "flags 0")] {
        let mut sized = Sized::new(100_000);
        let settings = format!("user_ring_buffer__reserve and submit; drained with {name}");
        peer = peer.at(settings, move || {
            sized.rate(|count| input::peer(flow, flags, count))
        });
    }
    let name = "8-byte records, user to kernel";
    harness.compare("G-4", name, "records/s", ours, vec![peer])
}

/// G-6: against system calls.
fn other_means(harness: &Harness) -> Result<()> {
    if !harness.wants("G-6") {
        return Ok(());
    }
    type Run = fn(usize, u64) -> Result<std::time::Duration>;
    let peers: [(_, _, Run); 4] = [
        (
            "pipe",
            "1 MiB; write(2) each, read(2) of 64 KiB",
            messages::pipes,
        ),
        (
            "Unix datagrams",
            "send(2) and recv(2) each, 1 MiB",
            messages::datagrams,
        ),
        ("kfifo device", "1 MiB; read(2) of 64 KiB", messages::kfifo),
        (
            "read(2) of a device",
            "/dev/zero, read(2) each",
            messages::device,
        ),
    ];
    let peers = peers.map(|(variant, settings, run)| {
        let mut sized = Sized::new(50_000);
        Contender::peer(variant, variant).at(settings, move || sized.rate(|count| run(64, count)))
    });
    let flow = Flow {
        entry_bytes: 64,
        batch: 1,
        ..Flow::BASE
    };
    let name = "64-byte messages, each sent on its own";
    harness.compare("G-6", name, "messages/s", ours(flow), Vec::from(peers))
}

/// G-7: large buffers, against copies.
fn buffers(harness: &Harness) -> Result<()> {
    /// Buffers of the warm-up.
    const FIRST: u64 = 2000;
    if !harness.wants("G-7") {
        return Ok(());
    }
    let settings = format!(
        "{} buffers, each sent on its own; dequeue_wait, {} looks before it sleeps",
        streams::BUFFERS,
        output::SPIN
    );
    let mut sized = Sized::new(FIRST);
    let ours = Contender::ours(settings, move || sized.rate(streams::ours));
    let mut sized = Sized::new(FIRST);
    let mut read = Contender::peer("read(2)", "read(2)")
        .at("of the same stream", move || sized.rate(streams::by_copy));
    for source in streams::Source::ALL {
        let mut sized = Sized::new(FIRST);
        read = read.at(format!("of {}", source.name()), move || {
            sized.rate(|count| streams::read(source, count))
        });
    }
    let mut peers = vec![read];
    for (variant, source) in [
        ("io_uring", streams::Source::Memory),
        ("io_uring, no data", streams::Source::Zero),
    ] {
        let mut uring = Contender::peer(variant, "io_uring");
        for submission in uring::Submission::ALL {
            let settings = format!(
                "READ_FIXED of {}, {} in flight, {}",
                source.name(),
                streams::BUFFERS,
                submission.name()
            );
            let mut sized = Sized::new(FIRST);
            uring = uring.at(settings, move || {
                sized.rate(|count| uring::read(source, submission, count))
            });
        }
        peers.push(uring);
    }
    let name = "buffers of 64 KiB, one word of each page read";
    harness.compare("G-7", name, "buffers/s", ours, peers)
}

/// G-8: the time until a sleeper runs.
fn sleepers(harness: &Harness) -> Result<()> {
    /// Wake-ups of each measurement, and the turns that they are split into: the wake-up time of a
    /// processor of the VM changes from one second to the next. A thousand would be too few: only
    /// ten lie above the 99th percentile.
    const WAKEUPS: usize = 5000;
    const TURNS: usize = 50;
    if !harness.wants("G-8") {
        return Ok(());
    }
    let mut contenders = [
        ("iostream", latency::ours()?),
        ("eventfd", latency::bare_eventfd()?),
        ("BPF", latency::bpf()?),
    ];
    let (mut all, mut lines) = ([const { Vec::new() }; 3], Vec::new());
    let mut quantiles = [const { [const { Vec::new() }; 3] }; 3];
    for (_, run) in &mut contenders {
        harness.say("G-8 warm-up");
        run(WAKEUPS / 10)?;
    }
    for pair in 0..harness.pairs() {
        harness.say(&format!("G-8 pair {} of {}", pair + 1, harness.pairs()));
        lines.push(line_ns()?);
        let mut pooled: [Times; 3] = Default::default();
        for turn in 0..TURNS {
            // Each contender goes first equally often.
            for i in 0..contenders.len() {
                let i = (i + turn) % contenders.len();
                pooled[i].extend((contenders[i].1)(WAKEUPS / TURNS)?);
            }
        }
        for (i, times) in pooled.into_iter().enumerate() {
            quantiles[i][0].push(quantile(&times.latency, 0.5));
            quantiles[i][1].push(quantile(&times.latency, 0.99));
            quantiles[i][2].push(quantile(&times.publishing, 0.5));
            all[i].extend(times.latency);
        }
    }
    let side = |i: usize, at: usize| Side {
        name: contenders[i].0.into(),
        settings: "asleep in epoll, level-triggered; published by the kernel on another processor"
            .into(),
        median: median(&quantiles[i][at]),
        values: quantiles[i][at].clone(),
    };
    let name = "one record to a consumer asleep in epoll";
    for (variant, peer, at) in [
        ("eventfd, p50", 1, 0),
        ("eventfd, p99", 1, 1),
        ("eventfd, p50 of the publisher's part", 1, 2),
        ("BPF, p50", 2, 0),
        ("BPF, p99", 2, 1),
        ("BPF, p50 of the publisher's part", 2, 2),
    ] {
        let sides = (side(0, at), side(peer, at));
        comparison("G-8", variant, name, "ns", sides, &lines).print();
    }
    for ((curve, _), values) in contenders.into_iter().zip(all) {
        Record::Samples(Samples {
            figure: "latency".into(),
            curve: curve.into(),
            values,
        })
        .print();
    }
    Ok(())
}

/// G-9 and G-10: system calls and pages.
fn counted(harness: &Harness) -> Result<()> {
    if harness.wants("G-9") {
        let flow = Flow {
            batch: 1,
            ..Flow::BASE
        };
        let settings = format!("dequeue_wait, {} looks before it sleeps", output::SPIN);
        let ours = Contender::ours(settings, || counts::calls_of_ours(flow, 1_000_000));
        let peer = Contender::peer("both sides busy", "BPF ring buffer")
            .at("flags 0, libbpf, ring_buffer__poll", || {
                counts::calls_of_peer(flow, 1_000_000)
            });
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

/// Entries of the warm-up.
fn first_count(flow: Flow) -> u64 {
    20_000_000 / (flow.entry_bytes + 100)
}

fn ours<'a>(flow: Flow) -> Contender<'a> {
    let settings = format!(
        "a publication every {}; consumer in batches of 500, {} looks before it sleeps",
        flow.batch,
        output::SPIN
    );
    let mut sized = Sized::new(first_count(flow));
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
        let mut sized = Sized::new(first_count(flow));
        contender = contender.at(settings, move || {
            sized.rate(|count| output::peer(flow, wake, reader, count))
        });
    }
    contender
}
