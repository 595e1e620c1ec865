// SPDX-License-Identifier: GPL-2.0 OR MIT OR Apache-2.0

//! Compares long random histories of a ring with the model. `SEED` repeats a run, `LONG` makes it
//! long.

#![cfg(not(loom))]

mod common;

use common::model::Model;
use common::{geometry, pair_at, Random};
use iostream_ring::Memory;

#[test]
fn random_histories() {
    let mut random = Random::seeded("random_histories");
    let long = std::env::var_os("LONG").is_some();
    let steps = if long { 200_000 } else { 20_000 };
    let mut cases = 0u64;
    for _ in 0..100 {
        // Half of the rings have room for several windows of lines.
        let most = if random.below(2) == 0 { 128 } else { 1024 };
        let size = 8 * (1 + random.below(most));
        let max = size as u32 - 8;
        // Positions are small, or wrap soon.
        let near = 8 * random.below(1000);
        let pos = if random.below(2) == 0 {
            near
        } else {
            0u64.wrapping_sub(near)
        };
        let (_, mut producer, mut consumer) = pair_at(geometry(size), pos);
        let mut model = Model::new(size, max);
        let mut buffer = vec![0; size as usize];
        let mut reported = 0;
        let mut losses = std::collections::VecDeque::new();
        for _ in 0..steps {
            let len = random.below(u64::from(max) + 2) as u32;
            let len = match random.below(4) {
                0 => len,
                1 => len % 600,
                _ => len % 33,
            };
            match random.below(8) {
                0..=1 => {
                    let bytes = model.bytes(len);
                    let got = producer.push(&bytes);
                    assert_eq!(got, model.push(&bytes));
                    if got.is_ok() {
                        losses.push_back(std::mem::take(&mut reported));
                    }
                }
                2 => {
                    // An entry in place, which may be given up or be shorter than reserved.
                    let Ok(offset) = producer.reserve(len) else {
                        continue;
                    };
                    if random.below(3) == 0 {
                        continue;
                    }
                    let bytes = model.bytes(random.below(u64::from(len) + 1) as u32);
                    // SAFETY: Within the reservation; the test memory checks it.
                    unsafe { producer.memory().write(offset, bytes.as_ptr(), bytes.len()) };
                    if random.below(8) == 0 {
                        producer.report_lost(1);
                        reported += 1;
                    }
                    producer.commit(bytes.len() as u32).unwrap();
                    model.push(&bytes).unwrap();
                    losses.push_back(std::mem::take(&mut reported));
                }
                3 => {
                    producer.publish();
                    model.publish_producer();
                }
                4..=5 => {
                    let limit = if random.below(4) == 0 {
                        len
                    } else {
                        size as u32
                    } as usize;
                    let got = consumer.pop(&mut buffer[..limit.min(size as usize)]);
                    match (got, model.pop(limit.min(size as usize))) {
                        (Ok(entry), Ok(bytes)) => {
                            assert_eq!(buffer[..entry.len()], bytes);
                            assert_eq!(Some(entry.lost_before()), losses.pop_front());
                        }
                        (got, expected) => assert_eq!(got.err(), expected.err()),
                    }
                }
                6 => {
                    consumer.publish();
                    model.publish_consumer();
                }
                _ => {
                    assert_eq!(producer.room(), Ok(model.room()));
                    assert_eq!(consumer.available(), Ok(model.available()));
                    if random.below(8) == 0 {
                        producer.report_lost(1);
                        reported += 1;
                    }
                }
            }
            cases += 1;
        }
        assert_eq!(producer.corrupt_events() + consumer.corrupt_events(), 0);
    }
    println!("random_histories: {cases} steps");
}
