// SPDX-License-Identifier: MIT OR Apache-2.0

use super::loopback::Loopback;
use crate::Error;

#[test]
fn the_oldest_go_and_the_gap_is_told() {
    let page = rustix::param::page_size();
    let loopback = Loopback::new(page as u64, true);
    let (mut producer, mut reader) = loopback.overwriting();
    let mut buffer = vec![0; reader.max_entry_bytes()];
    assert_eq!(reader.read_into(&mut buffer), Err(Error::Empty));
    let fit = page / 64;
    for i in 0..fit + 3 {
        producer.push(&[i as u8; 56]);
    }
    assert!(reader.is_ready().unwrap());
    assert_eq!(
        reader.read_into(&mut buffer[..8]),
        Err(Error::TooSmall { needed: 56 })
    );
    let read = reader.read_into(&mut buffer).unwrap();
    assert_eq!((read.len, read.gap_bytes, buffer[0]), (56, 3 * 64, 3));
    for i in 4..fit + 3 {
        let read = reader.read_into(&mut buffer).unwrap();
        assert_eq!((read.gap_bytes, buffer[0]), (0, i as u8));
    }
    assert_eq!(reader.read_into(&mut buffer), Err(Error::Empty));
    loopback.go();
    assert_eq!(reader.read_into(&mut buffer), Err(Error::Gone));
    assert_eq!(reader.wait(None), Err(Error::Gone));
    loopback.reset();
    assert_eq!(reader.read_into(&mut buffer), Err(Error::Stale));
}
