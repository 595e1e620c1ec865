// SPDX-License-Identifier: MIT OR Apache-2.0
// Reads the queue of a driver that is given by name, until the driver goes or Enter is pressed.
use iostream::{Error, Session, Waker};

fn main() -> std::io::Result<()> {
    let name = std::env::args().nth(1).unwrap_or("ticker".to_owned());
    let mut consumer = Session::open(name)?.consumer()?;

    // Another thread ends the wait: it needs no time-out.
    let waker = Waker::new()?;
    consumer.set_waker(Some(waker.clone()));
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_line(&mut String::new());
        waker.wake();
    });

    let (mut entries, mut lost) = (0, 0);
    loop {
        match consumer.dequeue_wait(None) {
            Ok(entry) => {
                println!(
                    "{} bytes: {:02x?}",
                    entry.len(),
                    &entry[..entry.len().min(16)]
                );
                lost += u64::from(entry.lost_before());
                entries += 1;
                // Dropped here, the entry leaves the queue.
            }
            Err(Error::Cancelled | Error::Gone) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("{entries} entries, {lost} lost");
    Ok(())
}
