// SPDX-License-Identifier: MIT OR Apache-2.0
// Sends ten entries into the kernel and reads them as they come back.
use iostream::Setup;

fn main() -> std::io::Result<()> {
    let session = Setup::echo().open()?;
    let mut producer = session.producer()?;
    let mut consumer = session.consumer()?;

    for number in 1..=10 {
        producer.enqueue(format!("entry {number}").as_bytes())?;
    }
    for _ in 1..=10 {
        let entry = consumer.dequeue_wait(None)?;
        println!("{}", String::from_utf8_lossy(&entry));
    }

    println!("system calls: {}", session.system_calls());
    Ok(())
}
