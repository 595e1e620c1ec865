// SPDX-License-Identifier: GPL-2.0
//! Streams squares: 0, 1, 4, 9 ..., 512 of them in a buffer, as fast as the client takes them.
use iostream::{stream::Output, Config, Driver, Error, Registration, Stream, StreamConfig};
use kernel::{new_mutex, prelude::*, sync::Mutex};

module! {
    type: Example, name: "iostream_example", authors: ["the iostream authors"],
    description: "Streams squares", license: "GPL",
}

struct Example {
    _node: Registration<Squares>,
}

#[pin_data]
struct Squares {
    #[pin]
    source: Mutex<(Stream<Output>, u64)>,
}

impl Squares {
    fn send_buffer(&self) -> Result<(), Error> {
        let mut source = self.source.lock();
        let (stream, next) = &mut *source;
        let mut buffer = stream.take()?; // Fails while no buffer is free.
        for square in buffer.data_mut().chunks_exact_mut(8) {
            square.copy_from_slice(&next.wrapping_mul(*next).to_ne_bytes());
            *next += 1;
        }
        buffer.set_data_range(0, buffer.data_bytes())?;
        stream.send(buffer)
    }
}

impl Driver for Squares {
    // Called at the start, and when buffers are free again after there was none.
    fn room_available(&self) {
        for _ in 0..64 {
            if self.send_buffer().is_err() {
                return;
            }
        }
        self.source.lock().0.call_again(); // A client that keeps up must not keep its thread here.
    }
}

impl kernel::Module for Example {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let config = StreamConfig::output(4, 4096)?;
        let node = Config::new(c"squares").mode(0o660); // The group may use it, too.
        let (ports, stream) = Stream::new(node, config)?;
        let squares = pin_init!(Squares { source <- new_mutex!((stream, 0)) });
        let node = Registration::new(ports, squares)?;
        Ok(Self { _node: node })
    }
}
