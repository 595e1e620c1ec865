// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-7: large buffers, against copies.

use iostream_bench::flow;
use iostream_bench::{Contender, Harness, Result, Sized};

use crate::streams::{self, Touch};
use crate::uring;

/// G-7: large buffers, against copies.
pub fn buffers(harness: &Harness) -> Result<()> {
    if !harness.wants("G-7") {
        return Ok(());
    }
    for (touch, name, [read, uring]) in [
        (
            Touch::Words,
            "buffers of 64 KiB, filled, and every byte read",
            ["read(2)", "io_uring"],
        ),
        (
            Touch::Pages,
            "buffers of 64 KiB, one word of each page written and read",
            ["a word a page: read(2)", "a word a page: io_uring"],
        ),
    ] {
        let peers = vec![reads(read, touch), urings(uring, touch)];
        harness.compare("G-7", name, "buffers/s", our_buffers(touch), peers)?;
    }
    Ok(())
}

/// Buffers of the warm-up.
const FIRST_BUFFERS: u64 = 2000;

fn our_buffers<'a>(touch: Touch) -> Contender<'a> {
    let settings = format!(
        "{} buffers, each sent on its own; dequeue_wait, {} looks before it sleeps",
        streams::BUFFERS,
        flow::SPIN
    );
    let mut sized = Sized::new(FIRST_BUFFERS);
    Contender::ours(settings, move || {
        sized.rate(|count| streams::ours(touch, count))
    })
}

fn reads<'a>(variant: &'static str, touch: Touch) -> Contender<'a> {
    let mut sized = Sized::new(FIRST_BUFFERS);
    let mut read = Contender::peer(variant, "read(2)").at("of the same stream", move || {
        sized.rate(|count| streams::by_copy(touch, count))
    });
    for source in streams::Source::ALL {
        let mut sized = Sized::new(FIRST_BUFFERS);
        read = read.at(format!("of {}", source.name()), move || {
            sized.rate(|count| streams::read(source, touch, count))
        });
    }
    read
}

fn urings<'a>(variant: &'static str, touch: Touch) -> Contender<'a> {
    let mut uring = Contender::peer(variant, "io_uring");
    for source in streams::Source::ALL {
        for submission in uring::Submission::ALL {
            let settings = format!(
                "READ_FIXED of {}, {} in flight, {}",
                source.name(),
                streams::BUFFERS,
                submission.name()
            );
            let mut sized = Sized::new(FIRST_BUFFERS);
            uring = uring.at(settings, move || {
                sized.rate(|count| uring::read(source, touch, submission, count))
            });
        }
    }
    uring
}
