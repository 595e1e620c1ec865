// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-1 to G-5: entries through queues.

use iostream_bench::bpf::{self, output::Reader};
use iostream_bench::flow::{self, Flow, Making};
use iostream_bench::{Contender, Harness, Result, Sized};

use crate::input::{self, Writer};
use crate::output;

/// G-1 to G-3, and G-5: kernel to user.
pub fn output_queues(harness: &Harness) -> Result<()> {
    if harness.wants("G-1") {
        let name = "8-byte records, kernel to user, two processors, wake every 500";
        let peer = peer("two processors", Flow::BASE, bpf::FORCE_WAKEUP);
        harness.compare("G-1", name, "records/s", ours(Flow::BASE), vec![peer])?;
    }
    if harness.wants("G-2") {
        for (making, name, variants) in [
            (
                Making::Calls,
                "8-byte records, each by enqueue under the driver's lock",
                ["default flags", "forced wake-ups"],
            ),
            (
                Making::Batches,
                "8-byte records, each published on its own in a batch",
                ["in a batch: default flags", "in a batch: forced wake-ups"],
            ),
        ] {
            let flow = Flow {
                batch: 1,
                making,
                ..Flow::BASE
            };
            let peers = vec![
                peer(variants[0], flow, bpf::ADAPTIVE),
                peer(variants[1], flow, bpf::FORCE_WAKEUP),
            ];
            harness.compare("G-2", name, "records/s", ours(flow), peers)?;
        }
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
pub fn input_queues(harness: &Harness) -> Result<()> {
    if !harness.wants("G-4") {
        return Ok(());
    }
    for (variant, name, batch) in [
        (
            "in batches",
            "8-byte records, user to kernel, 500 a publication",
            500,
        ),
        (
            "one by one",
            "8-byte records, user to kernel, each published",
            1,
        ),
    ] {
        let flow = Flow {
            batch,
            ..Flow::BASE
        };
        let call = match batch {
            1 => "Producer::enqueue",
            _ => "Producer::enqueue_in_place, 500 at once",
        };
        let mut sized = Sized::new(200_000);
        let settings = format!("{call}; the driver drains 500 at a time");
        let ours = Contender::ours(settings, move || {
            sized.rate(|count| input::ours(flow, count))
        });
        let mut peer = Contender::peer(variant, "BPF user ring buffer");
        for (writer, by) in [
            (Writer::Libbpf, "libbpf, reserve and submit each".to_owned()),
            (
                Writer::Mapped,
                format!("mapped ring, published every {batch}"),
            ),
        ] {
            for (flags, with) in [(bpf::NO_WAKEUP, "BPF_RB_NO_WAKEUP"), (0, "flags 0")] {
                let mut sized = Sized::new(100_000);
                peer = peer.at(format!("{by}; drained with {with}"), move || {
                    sized.rate(|count| input::peer(flow, writer, flags, count))
                });
            }
        }
        harness.compare("G-4", name, "records/s", ours, vec![peer])?;
    }
    Ok(())
}

/// Entries of the warm-up.
fn first_count(flow: Flow) -> u64 {
    20_000_000 / (flow.entry_bytes + 100)
}

pub fn ours<'a>(flow: Flow) -> Contender<'a> {
    let making = match flow.making {
        Making::Batches => format!("a publication every {}", flow.batch),
        Making::Calls => "enqueue".into(),
    };
    let settings = format!(
        "{making}; consumer in batches of 500, {} looks before it sleeps",
        flow::SPIN
    );
    let mut sized = Sized::new(first_count(flow));
    Contender::ours(settings, move || {
        sized.rate(|count| output::ours(flow, count))
    })
}

fn peer<'a>(variant: &'static str, flow: Flow, wake: u64) -> Contender<'a> {
    let mut contender = Contender::peer(variant, "BPF ring buffer");
    for reader in Reader::ALL {
        let flags = match wake {
            bpf::FORCE_WAKEUP => "BPF_RB_FORCE_WAKEUP",
            _ => "flags 0",
        };
        let settings = format!("{flags} every {}; {}", flow.batch, reader.name());
        let mut sized = Sized::new(first_count(flow));
        contender = contender.at(settings, move || {
            sized.rate(|count| bpf::output::run(flow, wake, reader, count))
        });
    }
    contender
}
