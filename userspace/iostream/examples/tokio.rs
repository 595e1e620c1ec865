// SPDX-License-Identifier: MIT OR Apache-2.0
// Counts the frames of a stream on tokio, until Ctrl-C, or until the stream is stopped.
use iostream::{Error, ReadStream, Stop};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or("pattern".to_owned());
    let (mut frames, sender) = ReadStream::open(name)?.into_async()?;
    sender.control().start()?;

    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let (mut count, mut bytes) = (0_u64, 0);
    loop {
        tokio::select! {
            // A future that is dropped has taken no frame.
            frame = frames.dequeue() => match frame {
                Ok(frame) => {
                    count += 1;
                    bytes += frame.len();
                }
                Err(Error::NotRunning | Error::Gone) => break,
                Err(error) => return Err(error.into()),
            },
            signal = &mut interrupted => {
                signal?;
                sender.control().stop(Stop::Discard)?;
                break;
            }
        }
    }
    println!("{count} frames, {bytes} bytes");
    Ok(())
}
