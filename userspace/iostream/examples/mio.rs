// SPDX-License-Identifier: MIT OR Apache-2.0
// Sends entries into the kernel and reads them as they come back, in an event loop of mio.
use std::os::fd::AsRawFd;

use iostream::{Error, Setup};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

const ENTRIES: u64 = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let session = Setup::echo().open()?;
    let mut producer = session.producer()?;
    let mut consumer = session.consumer()?;

    // Both ends have the session's one descriptor, which a loop takes once.
    let mut poll = Poll::new()?;
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry()
        .register(&mut SourceFd(&session.as_raw_fd()), Token(0), both)?;

    let mut events = Events::with_capacity(8);
    let (mut sent, mut received) = (0, 0);
    while received < ENTRIES {
        // mio reports edges: go on until there is no room, and until nothing waits.
        while sent < ENTRIES {
            match producer.enqueue_value(&sent) {
                Ok(()) => sent += 1,
                Err(Error::Full) => break,
                Err(error) => return Err(error.into()),
            }
        }
        while let Some(entry) = consumer.next()? {
            assert_eq!(entry.as_value::<u64>()?, &received);
            received += 1;
        }
        if received < ENTRIES {
            poll.poll(&mut events, None)?;
        }
    }
    println!(
        "{received} entries, {} system calls",
        session.system_calls()
    );
    Ok(())
}
