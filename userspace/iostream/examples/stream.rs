// SPDX-License-Identifier: MIT OR Apache-2.0
// Takes a hundred frames of a stream, each where the driver wrote it, and counts them.
use iostream::ReadStream;

fn main() -> std::io::Result<()> {
    let name = std::env::args().nth(1).unwrap_or("pattern".to_owned());
    let mut stream = ReadStream::open(name)?;
    stream.start()?;
    let mut bytes = 0;
    for _ in 0..100 {
        let frame = stream.dequeue_wait(None)?;
        bytes += frame.len();
        // Dropped here, the buffer goes back to the driver.
    }
    println!("{bytes} bytes, {} system calls", stream.system_calls());
    Ok(())
}
