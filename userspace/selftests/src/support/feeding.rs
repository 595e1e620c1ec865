// SPDX-License-Identifier: MIT OR Apache-2.0

//! A producer that sleeps until a sink has made room.

use iostream_raw::{make_record, Input, Session};

use crate::clause::count;

/// Sends records to the built-in sink of `session`, by its mapped end. Whenever there is no room,
/// asks for as many bytes as the next entry needs (`has_room`, which says whether they are free by
/// now), and waits if they are not (`wait`). A lost wake-up leaves the producer asleep.
///
/// The sink begins when the queue is full of the first entries: it may be the faster one ever after,
/// and the producer would never sleep.
pub fn feed_sink(session: &Session, has_room: impl Fn(&Input, u64) -> bool, wait: impl Fn()) {
    let mut input = Input::new(session);
    let total = count(200_000);
    let mut sleeps = 0u64;
    std::thread::scope(|scope| {
        for i in 0..total {
            let record = make_record(i, 16 + (i % 400) as usize);
            let need = (record.len() as u64 + 8).next_multiple_of(8);
            loop {
                let done = match sleeps {
                    0 => input.put(&record),
                    _ => input.push(session, &record),
                };
                if done {
                    break;
                }
                if has_room(&input, need) {
                    continue;
                }
                if sleeps == 0 {
                    input.publish();
                    scope.spawn(|| session.run_until(total));
                }
                sleeps += 1;
                wait();
            }
        }
    });
    let seen = session.endpoint().unwrap();
    assert_eq!((seen.entries, seen.bad, seen.missed), (total, 0, 0));
    println!("{total} entries, {sleeps} sleeps");
    assert!(sleeps > 0);
}
