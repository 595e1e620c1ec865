// SPDX-License-Identifier: GPL-2.0

//! Returns each buffer to the client with every byte of its data inverted.

use iostream::{stream, Config, Driver, Error, Registration, Stream, StreamConfig};
use kernel::{
    prelude::*,
    sync::{new_mutex, Mutex},
};

module! {
    type: Module,
    name: "iostream_loopback",
    authors: ["the iostream authors"],
    description: "Gives buffers back with every byte inverted",
    license: "GPL",
    params: {
        buffers: u32 {
            default: 8,
            description: "Buffers of the stream",
        },
        data_bytes: u32 {
            default: 16384,
            description: "Bytes of data of each buffer",
        },
    },
}

/// Buffers that are handled in one call, before other work gets its turn.
const BATCH: usize = 32;

struct Module {
    _node: Registration<Loopback>,
}

impl kernel::Module for Module {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let (buffers, bytes) = (&module_parameters::buffers, &module_parameters::data_bytes);
        let stream = StreamConfig::input_output(buffers.value(), bytes.value())?
            .description(c"gives buffers back inverted")?;
        let config = Config::new(c"loopback").mode(0o660);
        let (ports, stream) = Stream::new(config, stream)?;
        let loopback = pin_init!(Loopback { stream <- new_mutex!(stream) });
        Ok(Self {
            _node: Registration::new(ports, loopback)?,
        })
    }
}

#[pin_data]
struct Loopback {
    #[pin]
    stream: Mutex<Stream<stream::Shared>>,
}

/// Sends all free buffers to the client to fill: at first all, later those that it returned unused.
fn give_out(stream: &mut Stream<stream::Shared>) -> Result<(), Error> {
    while stream.free_buffers()? > 0 {
        let buffer = stream.take()?;
        stream.send(buffer)?;
    }
    Ok(())
}

impl Driver for Loopback {
    fn start(&self) -> Result {
        Ok(give_out(&mut self.stream.lock())?)
    }

    fn data_available(&self) {
        let mut stream = self.stream.lock();
        for _ in 0..BATCH {
            let Ok(mut buffer) = stream.receive() else {
                // Fails if the client broke the rules; then it gets no more buffers.
                let _ = give_out(&mut stream);
                return;
            };
            buffer.transform(|piece| piece.iter_mut().for_each(|byte| *byte = !*byte));
            if stream.send(buffer).is_err() {
                return;
            }
        }
        stream.call_again();
    }
}
