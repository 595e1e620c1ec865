// SPDX-License-Identifier: MIT OR Apache-2.0

//! both directions, and both at once.

use iostream_raw::{
    check_record, echo, make_record, sink, source, Input, Output, Random, Session, INPUT,
};

use crate::clause::{count, Clause};

pub const CLAUSES: &[Clause] = &[
    Clause::new("Q-07/kernel-to-user", kernel_to_user),
    Clause::new("Q-07/user-to-kernel", user_to_kernel),
    Clause::new("Q-07/gaps-may-wrap", gaps_may_wrap),
    Clause::new("Q-07/both-at-once", both_at_once),
];

fn kernel_to_user() {
    let session = Session::new(source(1 << 16, 16, 1000, 0));
    let mut output = Output::new(&session);
    let total = count(100_000);
    std::thread::scope(|scope| {
        let runner = scope.spawn(|| session.run(total));
        for i in 0..total {
            let entry = loop {
                match output.take_and_notify(&session) {
                    Some(entry) => break entry,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(check_record(&entry.bytes), i);
            assert_eq!(entry.flags, 0);
        }
        assert_eq!(runner.join().unwrap(), (total, Ok(())));
    });
    assert_eq!(output.take(), None);
    assert_eq!(session.endpoint().unwrap().entries, total);
}

fn user_to_kernel() {
    let session = Session::new(sink(1 << 16));
    let mut input = Input::new(&session);
    let mut random = Random::seeded();
    let total = count(100_000);
    let mut bytes = 0;
    for i in 0..total {
        let record = make_record(i, 16 + random.below(1000) as usize);
        bytes += record.len() as u64;
        while !input.push(&session, &record) {
            session.notify(iostream_raw::INPUT).unwrap();
        }
    }
    while input.room() < input.size {
        session.notify(iostream_raw::INPUT).unwrap();
    }
    let seen = session.endpoint().unwrap();
    assert_eq!((seen.entries, seen.bytes), (total, bytes));
    assert_eq!((seen.bad, seen.missed), (0, 0));
    // The sink's check works: it finds a wrong byte and a missing number.
    let mut wrong = make_record(total, 100);
    wrong[50] ^= 1;
    assert!(input.push(&session, &wrong));
    assert!(input.push(&session, &make_record(total + 3, 100)));
    while input.room() < input.size {
        session.notify(iostream_raw::INPUT).unwrap();
    }
    let seen = session.endpoint().unwrap();
    assert_eq!((seen.bad, seen.missed), (1, 3));
}

/// A process chooses the numbers of its records, so the sink's sum of the missing ones may wrap
/// around.
fn gaps_may_wrap() {
    let session = Session::new(sink(4096));
    let mut input = Input::new(&session);
    for sequence in [1 << 63, 0, 5] {
        assert!(input.put(&make_record(sequence, 16)));
    }
    input.publish();
    session.notify(INPUT).unwrap();
    let seen = session.endpoint().unwrap();
    assert_eq!((seen.entries, seen.bad, seen.missed), (3, 0, 3));
}

/// Entries go into and come out of one session, several at a time.
fn both_at_once() {
    let session = Session::new(echo(1 << 14));
    let (mut input, mut output) = (Input::new(&session), Output::new(&session));
    let mut random = Random::seeded();
    let total = count(100_000);
    let (mut sent, mut received) = (0, 0);
    let mut record = make_record(0, 16);
    while received < total {
        for _ in 0..random.below(20) {
            if sent == total || !input.push(&session, &record) {
                break;
            }
            sent += 1;
            record = make_record(sent, 16 + random.below(2000) as usize);
        }
        for _ in 0..random.below(20) {
            let Some(entry) = output.take_and_notify(&session) else {
                break;
            };
            assert_eq!(check_record(&entry.bytes), received);
            received += 1;
        }
    }
    assert_eq!((output.take(), input.room()), (None, input.size));
}
