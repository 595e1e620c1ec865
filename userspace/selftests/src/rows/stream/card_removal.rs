// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-18: the card goes while a process streams through it.

use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::clause::{count, skip, Clause, Random};
use crate::raw::{Area, INPUT, OUTPUT};
use crate::rows::stream::card::{round_trip, PLUG};
use crate::support::card::{device, pci, unload, Card};
use crate::support::monitor::Monitor;
use crate::support::waiting::{wait_until, woken_by};

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-18/edu-remove-while-streaming", removed_by_sysfs),
    Clause::new("S-18/edu-unbind-while-streaming", unbound),
    Clause::new("S-18/edu-rmmod-while-streaming", unloaded),
    Clause::slow("S-18/edu-device-del", 60, unplugged),
    Clause::slow("S-18/edu-removed-again-and-again", 120, again_and_again),
];

/// Streams, has the card go while it is at work and a thread sleeps, and looks at what is left.
fn gone_while_streaming(card: &Card, go: impl FnOnce()) {
    let mut stream = card.open();
    let info = stream.session.map(OUTPUT, Area::Info);
    let empty = stream.start_empty();
    let bytes = stream.send_random(&mut Random::seeded(), empty[0], 0, 65536);
    wait_until("the card is at work", || card.counter("interrupts") >= 1);
    let said = woken_by(
        libc::SYS_ppoll,
        || stream.session.poll(PollFlags::PRI, -1),
        go,
    );
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
    // What was sent is still there, and can be written.
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
    let device = device().unwrap();
    let name = device.file_name().unwrap().to_str().unwrap();
    gone_while_streaming(&card, || pci("drivers/iostream_edu/unbind", name));
    pci("drivers/iostream_edu/bind", name);
    card.wait_node();
    round_trip(&card);
}

fn unloaded() {
    let card = Card::new();
    gone_while_streaming(&card, unload);
    card.load();
    round_trip(&card);
}

/// Pulled out of its slot, as QEMU does it.
fn unplugged() {
    let card = Card::new();
    let Some(mut monitor) = Monitor::open() else {
        skip("QEMU's monitor is not there");
    };
    gone_while_streaming(&card, || {
        monitor.unplug("edu0");
        wait_until("the card's node is gone", || card.node().is_none());
    });
    assert_eq!(device(), None);
    monitor.does(PLUG);
    card.wait_node();
    round_trip(&card);
}

/// With a client at work each time, at another moment of it.
fn again_and_again() {
    let card = Card::new();
    let mut random = Random::seeded();
    for _ in 0..count(100) {
        let mut stream = card.open();
        let empty = stream.start_empty();
        for buffer in &empty[..3] {
            stream.send_random(&mut random, *buffer, 0, 65536);
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
