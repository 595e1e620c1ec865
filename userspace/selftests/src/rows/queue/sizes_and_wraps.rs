// SPDX-License-Identifier: MIT OR Apache-2.0

//! entries of different sizes, through many wraps.

use iostream_raw::{echo, page, Input, Output, Random, Session};

use crate::clause::{count, long, Clause};

pub const CLAUSES: &[Clause] = &[
    Clause::slow("Q-08/every-size", 120, every_size),
    Clause::slow("Q-08/every-alignment", 120, every_alignment),
    Clause::slow("Q-08/a-billion-bytes", 600, a_billion_bytes),
];

fn pass(session: &Session, input: &mut Input, output: &mut Output, entry: &[u8]) {
    assert!(input.push(session, entry), "{} bytes", entry.len());
    let got = output.take_and_notify(session).expect("the echo");
    assert_eq!(
        got.bytes,
        entry,
        "{} bytes at {}",
        entry.len(),
        input.pos % input.size
    );
}

/// Each size from 0 to the maximum, one after another through the same queue.
fn every_size() {
    for size in [page(), 3 * page()] {
        let session = Session::new(echo(size));
        let (mut input, mut output) = (Input::new(&session), Output::new(&session));
        let pattern: Vec<u8> = (0..size).map(|i| (i * 7 + (i >> 8)) as u8).collect();
        for len in 0..=size as usize - 8 {
            pass(&session, &mut input, &mut output, &pattern[..len]);
        }
    }
}

/// At each position of a page, entries that just fit before the end, or just do not.
fn every_alignment() {
    let size = page();
    let session = Session::new(echo(size));
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    let pattern: Vec<u8> = (0..size).map(|i| (i * 13 + 5) as u8).collect();
    let mut cases = 0;
    for start in (0..size).step_by(if long() { 8 } else { 40 }) {
        let before_end = size - start;
        let lens = (0..9).map(|i| (before_end + 4).saturating_sub(8 + i));
        for len in lens.chain([0, 1, 7, 8, 9, 15, 16, 17, size - 9, size - 8]) {
            if len > size - 8 {
                continue;
            }
            // An entry that ends where the next one is to begin.
            while input.pos % size != start {
                let step = (start + size - input.pos % size) % size;
                let len = if step == 8 {
                    0
                } else {
                    (step - 8).min(size - 8)
                };
                pass(&session, &mut input, &mut output, &pattern[..len as usize]);
            }
            pass(&session, &mut input, &mut output, &pattern[..len as usize]);
            cases += 1;
        }
    }
    println!("{cases} cases");
}

/// Fills a buffer with random bytes.
fn fill(random: &mut Random, buffer: &mut [u8]) {
    for chunk in buffer.chunks_mut(8) {
        chunk.copy_from_slice(&random.next_u64().to_ne_bytes()[..chunk.len()]);
    }
}

/// A billion bytes in entries of random sizes come back unchanged.
fn a_billion_bytes() {
    let session = Session::new(echo(1 << 18));
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    let (mut sizes, mut content) = (Random::seeded(), Random::seeded());
    let mut under_way = std::collections::VecDeque::new();
    let mut buffer = vec![0; 1 << 16];
    let (mut bytes, mut entries) = (0, 0u64);
    while bytes < count(1_000_000_000) {
        let len = match sizes.below(4) {
            0 => sizes.below(1 << 16),
            1 => sizes.below(64),
            _ => sizes.below(page()),
        } as usize;
        fill(&mut content, &mut buffer[..len]);
        while !input.push(&session, &buffer[..len]) {
            let entry = output
                .take_and_notify(&session)
                .expect("the echo empties the full input queue");
            assert_eq!(Some(entry.bytes), under_way.pop_front());
        }
        under_way.push_back(buffer[..len].to_vec());
        bytes += len as u64;
        entries += 1;
    }
    while let Some(entry) = output.take_and_notify(&session) {
        assert_eq!(Some(entry.bytes), under_way.pop_front());
    }
    assert!(under_way.is_empty());
    println!("{bytes} bytes in {entries} entries");
}
