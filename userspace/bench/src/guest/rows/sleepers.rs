// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-8: the time until a sleeper runs.

use iostream_bench::{compared, line_ns, median, quantile, Harness, Record, Result, Samples, Side};

use crate::latency::{self, Times};

/// G-8: the time until a sleeper runs.
pub fn sleepers(harness: &Harness) -> Result<()> {
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
        let about = ("G-8", variant, name, "ns");
        let compared = compared(about, side(0, at), side(peer, at), &lines);
        Record::Comparison(compared).print();
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
