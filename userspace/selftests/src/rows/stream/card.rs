// SPDX-License-Identifier: MIT OR Apache-2.0

//! S-19: buffers for hardware, with QEMU's edu card.

use std::fs::read_to_string;

use iostream_raw::{Random, Stream};
use rustix::io::Errno;

use crate::clause::{long, skip, Clause};
use crate::support::card::{
    device, name, pci, physical, send_random, start_empty, try_pci, unload, Card, Transfer,
    TRANSFER,
};
use crate::support::kprobes::FunctionCalls;
use crate::support::memory::{note_leak, wait_for_no_pages};
use crate::support::monitor::Monitor;
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("S-19/through-the-card", through_the_card),
    Clause::new("S-19/no-copy-by-cpu", no_copy_by_cpu),
    Clause::new("S-19/interrupts-counted", interrupts_counted),
    Clause::new("S-19/synchronised-each-change", synchronised_each_change),
    Clause::new("S-19/unmapped-at-unbind", unmapped_at_unbind),
    Clause::new("S-19/unmapped-at-session-end", unmapped_at_session_end),
    Clause::new("S-19/unmapped-though-leaked", unmapped_though_leaked),
    Clause::new(
        "S-19/unmapped-after-failed-probe",
        unmapped_after_failed_probe,
    ),
    Clause::slow("S-19/sixteen-buffers", 300, sixteen_buffers),
    Clause::slow("S-19/out-of-reach", 120, out_of_reach),
    Clause::new("S-19/stop-leaves-card-quiet", stop_leaves_card_quiet),
    Clause::new("S-19/drain-brings-all-back", drain_brings_all_back),
    Clause::new("S-19/suspend-and-go-on", suspend_and_go_on),
];

const SYNC_FOR_DEVICE: &str = "iostream_dma_sync_for_device";
const SYNC_FOR_CPU: &str = "iostream_dma_sync_for_cpu";
const MAP: &str = "iostream_dma_map";
const UNMAP: &str = "iostream_dma_unmap";

/// Data comes back unchanged in another buffer, so it was elsewhere meanwhile; the card's record
/// shows that it was in the card.
fn through_the_card() {
    let card = Card::new();
    let mut random = Random::seeded();
    let mut stream = card.open();
    let empty = start_empty(&mut stream);
    let sent: Vec<_> = [TRANSFER, 1, 5000]
        .into_iter()
        .zip(&empty)
        .map(|(len, buffer)| {
            let bytes = send_random(&mut stream, &mut random, *buffer, 3 * len % 64, len);
            (*buffer, 3 * len % 64, bytes)
        })
        .collect();
    for (buffer, offset, bytes) in &sent {
        let back = stream.wait();
        assert_ne!(back.buffer, *buffer);
        assert_eq!(back.data_offset as usize, *offset);
        assert!(stream.data(&back) == *bytes, "other bytes");
    }
    let total: usize = sent.iter().map(|(_, _, bytes)| bytes.len()).sum();
    assert_eq!(card.counter("bytes_to_card"), total as u64);
    assert_eq!(card.counter("bytes_from_card"), total as u64);
    assert_eq!(card.counter("buffers"), sent.len() as u64);
}

/// Whether DMA addresses are other ones than those of the pages: the processor copies, or an IOMMU
/// translates.
fn has_other_addresses() -> bool {
    let words = read_to_string("/proc/cmdline").unwrap();
    let group = device().expect("the card").join("iommu_group/type");
    words.split_whitespace().any(|word| word == "swiotlb=force")
        || read_to_string(group).is_ok_and(|kind| kind.starts_with("DMA"))
}

/// Checks the address that the card was given for a page of the process.
#[track_caller]
fn check_address(page: u64, transfer: &Transfer) {
    let same = page == transfer.address;
    assert_eq!(same, !has_other_addresses(), "{page:#x} {transfer:?}");
}

/// The card was given the addresses of the very pages that the process has mapped.
fn no_copy_by_cpu() {
    let card = Card::new();
    let mut random = Random::seeded();
    let mut stream = card.open();
    let buffer = start_empty(&mut stream)[0];
    let bytes = send_random(&mut stream, &mut random, buffer, 100, 3 * TRANSFER);
    let back = stream.wait();
    assert!(stream.data(&back) == bytes, "other bytes");
    let transfers = card.transfers();
    let mut moved = [0, 0];
    for transfer in &transfers {
        let mapped = stream.address(transfer.buffer, transfer.offset);
        check_address(physical(mapped), transfer);
        let wanted = [back.buffer, buffer][usize::from(transfer.to_card)];
        assert_eq!(transfer.buffer, wanted, "{transfer:?}");
        moved[usize::from(transfer.to_card)] += transfer.len;
    }
    assert_eq!(moved, [bytes.len(); 2]);
}

/// The card's interrupts, as the kernel counts them.
fn interrupts() -> u64 {
    let text = read_to_string("/proc/interrupts").unwrap();
    let line = text.lines().find(|line| line.ends_with("iostream_edu"));
    let words = line.expect("the card's line").split_whitespace().skip(1);
    words.map_while(|word| word.parse::<u64>().ok()).sum()
}

/// Each transfer ends with one interrupt.
fn interrupts_counted() {
    let card = Card::new();
    let mut stream = card.open();
    let buffer = start_empty(&mut stream)[0];
    let before = interrupts();
    assert_eq!(card.counter("interrupts"), before);
    send_random(&mut stream, &mut Random::seeded(), buffer, 0, 2 * TRANSFER);
    stream.wait();
    assert_eq!(interrupts() - before, 4);
    assert_eq!(card.counter("interrupts") - before, 4);
    assert_eq!(card.counter("transfers_to_card"), 2);
    assert_eq!(card.counter("transfers_from_card"), 2);
}

/// A buffer is synchronised for the device when the driver gets it, and for the processor when the
/// client does.
fn synchronised_each_change() {
    let card = Card::new();
    let calls = FunctionCalls::count(&[SYNC_FOR_DEVICE, SYNC_FOR_CPU]);
    let synchronised = || (calls.of(SYNC_FOR_DEVICE), calls.of(SYNC_FOR_CPU));
    let mut stream = card.open();
    let (device, cpu) = synchronised();
    assert_eq!(cpu, 0);
    let empty = start_empty(&mut stream);
    assert_eq!(synchronised(), (device, cpu + 15), "sent to the client");
    send_random(&mut stream, &mut Random::seeded(), empty[0], 0, 8);
    stream.wait();
    assert_eq!(
        synchronised(),
        (device + 1, cpu + 16),
        "synchronised once each way"
    );
    // A buffer that is returned unused is sent out again.
    stream.give_back(empty[1]);
    stream.wait();
    assert_eq!(synchronised(), (device + 2, cpu + 17), "given back");
}

/// Everything that was mapped for the device is unmapped; the process keeps its memory.
fn unmapped_at_unbind() {
    let card = Card::new();
    let calls = FunctionCalls::count(&[MAP, UNMAP]);
    let mut stream = card.open();
    let buffer = start_empty(&mut stream)[0];
    let bytes = send_random(&mut stream, &mut Random::seeded(), buffer, 0, TRANSFER);
    let back = stream.wait();
    assert_eq!((calls.of(MAP), calls.of(UNMAP)), (16, 0));
    let page = physical(stream.address(back.buffer, 0));
    let name = name().expect("the card");
    pci("drivers/iostream_edu/unbind", &name);
    assert_eq!((calls.of(MAP), calls.of(UNMAP)), (16, 16));
    assert!(stream.data(&back) == bytes, "the memory has changed");
    stream.write(back.buffer, 0, b"still there");
    assert_eq!(
        stream
            .buffers
            .read(back.buffer as usize * stream.stride, 11),
        b"still there"
    );
    assert_eq!(physical(stream.address(back.buffer, 0)), page);
    drop(stream);
    pci("drivers/iostream_edu/bind", &name);
    card.wait_node();
    round_trip(&card);
    wait_until("the session's buffers are unmapped", || {
        (calls.of(MAP), calls.of(UNMAP)) == (32, 32)
    });
}

/// The mappings for the device end with their session.
fn unmapped_at_session_end() {
    let card = Card::new();
    let calls = FunctionCalls::count(&[MAP, UNMAP]);
    for sessions in 1..4 {
        drop(card.open());
        wait_until("the session's buffers are unmapped", || {
            (calls.of(MAP), calls.of(UNMAP)) == (16 * sessions, 16 * sessions)
        });
    }
}

/// A driver that leaks its registration is stopped when its device is unbound, and its mappings and
/// its node end then.
fn unmapped_though_leaked() {
    let card = Card::new();
    card.insert_with("leak=1");
    card.wait_node();
    let calls = FunctionCalls::count(&[MAP, UNMAP]);
    let mut stream = card.open();
    let empty = start_empty(&mut stream);
    let bytes = send_random(&mut stream, &mut Random::seeded(), empty[0], 0, 65536);
    wait_until("the card is at work", || card.counter("interrupts") >= 1);
    pci("drivers/iostream_edu/unbind", &name().expect("the card"));
    assert_eq!((calls.of(MAP), calls.of(UNMAP)), (16, 16));
    assert_eq!(card.node(), None);
    assert_eq!(stream.session.start(), Err(Errno::NODEV));
    let at = empty[0] as usize * stream.stride;
    assert!(stream.buffers.read(at, bytes.len()) == bytes);
    // It can be bound, and leaked, again, while the client still has the old session.
    pci("drivers/iostream_edu/bind", &name().expect("the card"));
    card.wait_node();
    round_trip(&card);
    drop(stream);
    unload();
    assert_eq!(card.node(), None);
    assert_eq!(calls.of(MAP), calls.of(UNMAP));
    card.load();
    round_trip(&card);
}

/// A driver that has created its buffers, leaks them, and refuses the device: when that has
/// returned, nothing is mapped.
fn unmapped_after_failed_probe() {
    let card = Card::new();
    unload();
    wait_for_no_pages();
    let calls = FunctionCalls::count(&[MAP, UNMAP]);
    card.insert_with("leak=2");
    let bound = try_pci("drivers/iostream_edu/bind", &name().expect("the card"));
    assert!(bound.is_err());
    assert!(calls.of(MAP) >= 16, "the driver had no buffers");
    assert_eq!(calls.of(MAP), calls.of(UNMAP));
    unload();
    note_leak();
    card.load();
    round_trip(&card);
}

/// Opens a session and passes one page through the card.
pub fn round_trip(card: &Card) {
    let mut stream = card.open();
    let buffer = start_empty(&mut stream)[0];
    let bytes = send_random(&mut stream, &mut Random::seeded(), buffer, 0, TRANSFER);
    let back = stream.wait();
    assert!(stream.data(&back) == bytes, "other bytes");
}

/// Buffers of 64 KiB. One is full, the others are as full as the length of the run allows: the
/// engine takes a tenth of a second for a page.
fn sixteen_buffers() {
    let card = Card::new();
    let mut random = Random::seeded();
    let mut stream = card.open();
    let info = stream.session.stream();
    assert_eq!((info.buffers, info.data_bytes), (16, 65536));
    let empty = start_empty(&mut stream);
    let mut sent = Vec::new();
    for buffer in &empty {
        let (offset, len) = if sent.is_empty() || long() {
            (0, 65536)
        } else {
            (random.below(61440) as usize, TRANSFER)
        };
        sent.push(send_random(&mut stream, &mut random, *buffer, offset, len));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (sequence, bytes) in sent.iter().enumerate() {
        let back = stream.wait();
        assert_eq!(back.frame, (empty.len() + sequence) as u64);
        assert!(
            stream.data(&back) == *bytes,
            "buffer {sequence} has other bytes"
        );
        seen.insert(back.buffer);
    }
    assert_eq!(seen.len(), sent.len(), "a buffer came twice");
    for transfer in card.transfers() {
        let mapped = stream.address(transfer.buffer, transfer.offset);
        check_address(physical(mapped), &transfer);
    }
}

/// A card whose engine does not reach all memory is refused: the processor would have to copy for
/// it.
fn out_of_reach() {
    let Some(mut monitor) = Monitor::open() else {
        skip("QEMU's monitor is not there");
    };
    let card = Card::new();
    unload();
    monitor.unplug("edu0");
    assert_eq!(device(), None);
    // With QEMU's default of 28 bits.
    monitor
        .command(r#""device_add", "arguments": {"driver": "edu", "id": "edu0", "bus": "slot0"}"#);
    wait_until("the card is found", || device().is_some());
    card.insert_module();
    let bound = try_pci("drivers/iostream_edu/bind", &name().expect("the card"));
    let node = card.node();
    // Before the check, so that the next clause has the usual card.
    unload();
    monitor.unplug("edu0");
    monitor.command(PLUG);
    wait_until("the card is found", || device().is_some());
    assert_eq!(bound, Err(Errno::IO));
    assert_eq!(node, None);
    card.load();
    round_trip(&card);
}

/// Plugs the card in as `qemu/run` had it.
pub const PLUG: &str = r#""device_add", "arguments": {"driver": "edu", "id": "edu0",
    "bus": "slot0", "dma_mask": 18446744073709551615}"#;

/// A stop in the middle of a buffer: when the call returns, the engine is at rest.
fn stop_leaves_card_quiet() {
    let card = Card::new();
    let mut stream = card.open();
    let empty = start_empty(&mut stream);
    send_random(&mut stream, &mut Random::seeded(), empty[0], 0, 65536);
    send_random(&mut stream, &mut Random::seeded(), empty[1], 0, 65536);
    wait_until("the card is at work", || card.counter("interrupts") >= 2);
    // The driver works on the first buffer, so only the second was not taken.
    assert_eq!(stream.session.stop(), Ok((0, 1)));
    let told = card.transfers().len();
    let done = card.counter("transfers_to_card") + card.counter("transfers_from_card");
    assert!(told as u64 - done <= 1, "{told} told, {done} done");
    assert!(told < 32);
    // It works again, with the buffers that it had.
    stream.session.start().unwrap();
    let again = stream.take_all();
    assert_eq!(again.len(), 2);
    let bytes = send_random(
        &mut stream,
        &mut Random::seeded(),
        again[0].buffer,
        0,
        TRANSFER,
    );
    let back = stream.wait();
    assert!(stream.data(&back) == bytes, "other bytes");
    assert_eq!(card.transfers().len(), told + 2);
}

/// A drain also waits for what is in the card.
fn drain_brings_all_back() {
    let card = Card::new();
    let mut stream = card.open();
    let buffer = start_empty(&mut stream)[0];
    let bytes = send_random(&mut stream, &mut Random::seeded(), buffer, 0, 2 * TRANSFER);
    assert_eq!(stream.session.drain(0), Ok((0, 0)));
    let back = stream.take().expect("it arrived");
    assert!(stream.data(&back) == bytes, "other bytes");
}

/// Nothing is lost, and no transfer begins while the stream is suspended.
fn suspend_and_go_on() {
    let card = Card::new();
    let mut stream: Stream = card.open();
    let buffer = start_empty(&mut stream)[0];
    let bytes = send_random(&mut stream, &mut Random::seeded(), buffer, 0, 3 * TRANSFER);
    wait_until("the card is at work", || card.counter("interrupts") >= 1);
    stream.session.suspend().unwrap();
    let told = card.transfers().len() as u64;
    wait_until("the card has done its transfers", || {
        card.counter("interrupts") == told
    });
    assert_eq!(card.transfers().len() as u64, told);
    stream.session.start().unwrap();
    let back = stream.wait();
    assert!(stream.data(&back) == bytes, "other bytes");
    assert_eq!(card.counter("interrupts"), 6);
}
