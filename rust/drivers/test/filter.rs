// SPDX-License-Identifier: GPL-2.0

//! A stream that copies the buffers of another, whose client it is: a filter.
//!
//! ```text
//! publish NAME SOURCE [early]   a stream that has the data of the stream SOURCE
//! open                          opens the source of an early filter
//! unpublish
//! ```
//!
//! The filter opens its source when it is started, and closes it when it is stopped. An early one
//! opens its source by a command, and closes it when it is removed.

use core::mem::take;

use iostream::{
    stream::Output, Client, Config, Driver, Error, Registration, Stop, Stream, StreamConfig,
};
use kernel::{
    fmt,
    prelude::*,
    str::CString,
    sync::{
        atomic::{Atomic, Relaxed},
        new_mutex, Arc, LockClassKey, Mutex,
    },
};

use crate::commands::Words;

const BUFFERS: u32 = 4;
const BYTES: u32 = 4096;

struct State {
    stream: Stream<Output>,
    source: Option<Client>,
}

/// What the filter's callbacks and those of its client share.
#[pin_data]
struct Filter {
    source: CString,
    early: bool,
    copied: Arc<Atomic<u64>>,
    /// Held while the filter uses its client. If the source is a filter as well, its lock is taken
    /// meanwhile, so each filter has a class of its own.
    #[pin]
    state: Mutex<State>,
}

impl Filter {
    /// Opens the source, and lets its callback copy.
    fn open(this: &Arc<Self>) -> Result<Client> {
        let mut client = Client::open(&this.source)?;
        let filter = this.clone();
        client.set_callback(move || filter.copy())?;
        Ok(client)
    }

    /// Runs `f` with the client, without the lock, which the client's callback takes.
    fn with_source(&self, f: impl FnOnce(&mut Client) -> Result) -> Result {
        let mut client = self.state.lock().source.take().ok_or(ENODEV)?;
        let done = f(&mut client);
        self.state.lock().source = Some(client);
        done
    }

    fn close(&self) {
        // Without the lock, which the client's callback takes.
        let client = self.state.lock().source.take();
        drop(client);
    }

    /// Copies what waits, as long as a buffer is free for it.
    fn copy(&self) {
        let mut state = self.state.lock();
        let State { stream, source } = &mut *state;
        let Some(source) = source.as_mut() else {
            return;
        };
        while self.copy_one(stream, source).is_ok() {
            self.copied.fetch_add(1, Relaxed);
        }
    }

    fn copy_one(&self, stream: &mut Stream<Output>, source: &mut Client) -> Result<(), Error> {
        let mut to = stream.take()?;
        let from = source.receive()?;
        let (offset, len) = from.data_range();
        let part = from.data().get(offset..offset + len);
        let part = part.ok_or(Error::Invalid)?;
        let room = to.data_mut().get_mut(..len).ok_or(Error::Invalid)?;
        room.copy_from_slice(part);
        to.set_data_range(0, len)?;
        stream.send(to)
    }
}

struct Handle(Arc<Filter>);

impl Driver for Handle {
    fn start(&self) -> Result {
        // After a suspension it is open.
        let opens = !self.0.early && self.0.state.lock().source.is_none();
        if opens {
            let client = Filter::open(&self.0)?;
            self.0.state.lock().source = Some(client);
        }
        let started = self.0.with_source(Client::start);
        if started.is_err() && opens {
            self.0.close();
        }
        // The callback has found no client meanwhile.
        if let Some(client) = &self.0.state.lock().source {
            client.call_again();
        }
        started
    }

    fn suspend(&self) -> Result {
        self.0.with_source(Client::suspend)
    }

    fn stop(&self, how: Stop) {
        // The source may be stopped or gone already.
        let _ = self
            .0
            .with_source(|client| client.stop(how, None).map(drop));
        if !self.0.early {
            self.0.close();
        }
    }

    fn room_available(&self) {
        self.0.copy();
    }
}

/// The filter of the tests, if it is published.
#[pin_data]
pub(crate) struct TestFilter {
    #[pin]
    published: Mutex<Option<(Registration<Handle>, Arc<Filter>)>>,
    copied: Arc<Atomic<u64>>,
    class: Pin<&'static LockClassKey>,
}

impl TestFilter {
    /// A filter whose lock has this class.
    pub(crate) fn new(
        class: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self, kernel::error::Error> {
        try_pin_init!(Self {
            class,
            published <- new_mutex!(None),
            copied: Arc::new(Atomic::new(0), GFP_KERNEL)?,
        })
    }

    fn publish(&self, name: &CStr, source: CString, early: bool) -> Result {
        let mut published = self.published.lock();
        if published.is_some() {
            return Err(EBUSY);
        }
        let config = StreamConfig::output(BUFFERS, BYTES)?;
        let (ports, stream) = Stream::new(Config::new(name), config)?;
        let copied = self.copied.clone();
        let filter = Arc::pin_init(
            pin_init!(Filter {
                source,
                early,
                copied,
                state <- Mutex::new(State { stream, source: None }, c"iostream_filter", self.class),
            }),
            GFP_KERNEL,
        )?;
        let registration = Registration::new(ports, Handle(filter.clone()))?;
        *published = Some((registration, filter));
        Ok(())
    }

    /// Opens the source of a filter that was published for that.
    fn open_early(&self) -> Result {
        let published = self.published.lock();
        let (_, filter) = published.as_ref().ok_or(ENODEV)?;
        let client = Filter::open(filter)?;
        filter.state.lock().source = Some(client);
        Ok(())
    }

    /// Removes the filter.
    pub(crate) fn unpublish(&self) {
        if let Some((registration, filter)) = take(&mut *self.published.lock()) {
            drop(registration);
            // The callback of the client keeps the filter, and the filter the client.
            filter.close();
        }
    }

    pub(crate) fn show(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "copied={}", self.copied.load(Relaxed))
    }
}

/// Runs one command.
pub(crate) fn run(test: &TestFilter, text: &str) -> Result {
    let mut words = Words::new(text);
    match words.word()? {
        "publish" => {
            let (name, source) = (words.name()?, words.name()?);
            test.publish(&name, source, words.optional().is_some())
        }
        "open" => test.open_early(),
        "unpublish" => {
            test.unpublish();
            Ok(())
        }
        _ => Err(EINVAL),
    }
}
