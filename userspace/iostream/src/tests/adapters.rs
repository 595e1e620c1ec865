// SPDX-License-Identifier: MIT OR Apache-2.0

use std::io::{BufRead, Read, Write};
use std::ops::ControlFlow;

use super::{drain, small};

#[test]
fn a_write_is_an_entry_and_long_ones_are_split() {
    let (_loopback, mut producer, mut consumer) = small();
    let max = producer.max_entry_bytes();
    assert_eq!(producer.write(b"").unwrap(), 0);
    assert_eq!(producer.write(b"one").unwrap(), 3);
    producer.flush().unwrap();
    assert_eq!(drain(&mut consumer), [b"one"]);
    assert_eq!(producer.write(&vec![0; max + 5]).unwrap(), max);
}

#[test]
fn reads_go_over_the_boundaries_of_entries() {
    let (_loopback, mut producer, mut consumer) = small();
    for entry in [&b"abc"[..], b"", b"de"] {
        producer.enqueue(entry).unwrap();
    }
    let mut buffer = [0; 2];
    assert_eq!(consumer.read(&mut []).unwrap(), 0);
    assert_eq!(consumer.read(&mut buffer).unwrap(), 2);
    assert_eq!(&buffer, b"ab");
    // A half-read entry is still there as a whole.
    assert_eq!(&*consumer.peek().unwrap(), b"abc");
    consumer.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"cd");
    assert_eq!(consumer.fill_buf().unwrap(), b"e");
    consumer.consume(1);
    assert!(!consumer.is_ready().unwrap());
    assert_eq!(producer.room_bytes(), Ok(producer.capacity_bytes()));
}

#[test]
fn a_dequeue_drops_the_rest_of_a_half_read_entry() {
    let (_loopback, mut producer, mut consumer) = small();
    producer.enqueue(b"abc").unwrap();
    producer.enqueue(b"def").unwrap();
    consumer.read_exact(&mut [0; 2]).unwrap();
    assert_eq!(&*consumer.dequeue().unwrap(), b"abc");
    let mut buffer = [0; 3];
    consumer.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"def");
}

#[test]
fn a_gone_driver_is_an_error_after_the_last_byte() {
    let (loopback, mut producer, mut consumer) = small();
    producer.write_all(b"end").unwrap();
    loopback.go();
    let mut bytes = Vec::new();
    let error = consumer.read_to_end(&mut bytes).unwrap_err();
    assert_eq!(bytes, b"end");
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
}

#[test]
fn an_iterator_gives_copies_until_the_driver_is_gone() {
    let (loopback, mut producer, consumer) = small();
    producer.enqueue(b"a").unwrap();
    producer.enqueue(b"bc").unwrap();
    loopback.go();
    let entries: Vec<_> = consumer.into_iter().map(|entry| entry.unwrap()).collect();
    assert_eq!(entries, [b"a".to_vec(), b"bc".to_vec()]);
}

#[test]
fn a_callback_gets_entries_until_it_breaks() {
    let (_loopback, mut producer, mut consumer) = small();
    for entry in [&b"a"[..], b"bc", b"def"] {
        producer.enqueue(entry).unwrap();
    }
    let mut bytes = 0;
    let stopped_at = consumer.for_each(|entry| {
        bytes += entry.len();
        match entry.len() {
            2 => ControlFlow::Break(entry.to_vec()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert_eq!((stopped_at, bytes), (Ok(b"bc".to_vec()), 3));
    assert_eq!(drain(&mut consumer), [b"def"]);
}
