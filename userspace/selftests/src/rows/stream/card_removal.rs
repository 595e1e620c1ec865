// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-18: QEMU's edu card is removed, or stops working, under its clients.

use std::time::Instant;

use iostream_raw::{Area, Random, INPUT, OUTPUT};
use rustix::event::PollFlags;
use rustix::io::Errno;

use super::card::{round_trip, PLUG};
use crate::clause::{count, limit, skip, Clause};
use crate::support::card::{device, name, pci, send_random, start_empty, unload, Card, TRANSFER};
use crate::support::monitor::Monitor;
use crate::support::race::{skip_without_points, RacePoint};
use crate::support::waiting::{wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-18/edu-remove-while-streaming", removed_by_sysfs),
    Clause::new("S-18/edu-unbind-while-streaming", unbound),
    Clause::new("S-18/edu-rmmod-while-streaming", unloaded),
    Clause::slow("S-18/edu-device-del", 120, unplugged),
    Clause::slow("S-18/edu-removed-again-and-again", 240, again_and_again),
    Clause::slow("S-18/edu-wedged-engine", 120, wedged_engine),
];

/// Runs `go`, which removes the card, while the card works and a thread sleeps; then checks what is
/// left.
fn gone_while_streaming(card: &Card, go: impl FnOnce()) {
    let mut stream = card.open();
    let info = stream.session.map(OUTPUT, Area::Info);
    let empty = start_empty(&mut stream);
    let bytes = send_random(&mut stream, &mut Random::seeded(), empty[0], 0, 65536);
    wait_until("the card is at work", || card.counter("interrupts") >= 1);
    let said = woken_by(
        libc::SYS_ppoll,
        || stream.session.poll(PollFlags::PRI, -1),
        go,
    );
    // Some machines take their time to remove a card, which meanwhile may finish: what it has sent can
    // still be taken, and until then there is no ERR.
    assert_eq!(said | PollFlags::ERR, PollFlags::HUP | PollFlags::ERR);
    assert_eq!(stream.take_all().is_empty(), said.contains(PollFlags::ERR));
    let said = stream.session.poll(PollFlags::PRI, 0);
    assert_eq!(said, PollFlags::HUP | PollFlags::ERR);
    assert_eq!(card.node(), None);
    assert_eq!(stream.session.start(), Err(Errno::NODEV));
    for direction in [OUTPUT, INPUT] {
        assert_eq!(stream.session.notify(direction), Err(Errno::NODEV));
    }
    let gone = std::mem::offset_of!(iostream_ring::uapi::iostream_info, gone);
    assert_eq!(
        info.word(gone).load(std::sync::atomic::Ordering::Acquire),
        1
    );
    // The sent data is still there, and the memory can be written.
    let at = empty[0] as usize * stream.stride;
    assert!(stream.buffers.read(at, bytes.len()) == bytes);
    for buffer in 0..stream.count {
        stream.write(buffer, 0, &[7; 65536]);
    }
}

fn remove() {
    let device = device().expect("the card");
    std::fs::write(device.join("remove"), "1").expect("remove");
}

fn removed_by_sysfs() {
    let card = Card::new();
    gone_while_streaming(&card, remove);
    assert_eq!(device(), None);
    pci("rescan", "1");
    card.wait_node();
    round_trip(&card);
}

fn unbound() {
    let card = Card::new();
    let name = name().expect("the card");
    gone_while_streaming(&card, || pci("drivers/iostream_edu/unbind", &name));
    pci("drivers/iostream_edu/bind", &name);
    card.wait_node();
    round_trip(&card);
}

fn unloaded() {
    let card = Card::new();
    gone_while_streaming(&card, unload);
    card.load();
    round_trip(&card);
}

/// QEMU pulls the card out of its slot.
fn unplugged() {
    let Some(mut monitor) = Monitor::open() else {
        skip("QEMU's monitor is not there");
    };
    let card = Card::new();
    gone_while_streaming(&card, || {
        monitor.unplug("edu0");
        wait_until("the card's node is gone", || card.node().is_none());
    });
    assert_eq!(device(), None);
    monitor.command(PLUG);
    card.wait_node();
    round_trip(&card);
}

/// The card is removed again and again, each time at another moment of a client's work.
fn again_and_again() {
    let card = Card::new();
    let mut random = Random::seeded();
    for _ in 0..count(100) {
        let mut stream = card.open();
        let empty = start_empty(&mut stream);
        for buffer in &empty[..3] {
            send_random(&mut stream, &mut random, *buffer, 0, 65536);
        }
        let wanted = random.below(3);
        wait_until("the card is at work", || {
            card.counter("interrupts") >= wanted
        });
        remove();
        drop(stream);
        pci("rescan", "1");
        card.wait_node();
    }
    round_trip(&card);
}

/// The card's engine never comes to the end of a transfer. Every way to end the stream still ends,
/// and the card can no longer use memory.
fn wedged_engine() {
    skip_without_points();
    for drain in [true, false] {
        let card = Card::new();
        let mut random = Random::seeded();
        let mut stream = card.open();
        let buffer = start_empty(&mut stream)[0];
        let point = RacePoint::set("edu-wedged");
        send_random(&mut stream, &mut random, buffer, 0, TRANSFER);
        let start = Instant::now();
        if drain {
            assert_eq!(stream.session.drain(0), Ok((0, 0)));
            assert_eq!(stream.session.start(), Err(Errno::IO));
        }
        drop(stream);
        // Two waits of five seconds.
        assert!(start.elapsed() < limit(30), "{:?}", start.elapsed());
        let config = std::fs::read(device().unwrap().join("config")).unwrap();
        assert_eq!(config[4] & 4, 0, "bus mastering");
        drop(point);
        drop(card);
    }
}
