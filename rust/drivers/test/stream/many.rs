// SPDX-License-Identifier: GPL-2.0

//! Many streams at once that all do the same.

use iostream::{NoCallbacks, Registration};
use kernel::{prelude::*, str::CString};

use super::{end::AnyEnd, plan::Plan};

/// Streams that are published together: `NAME-0`, `NAME-1` and so on.
#[derive(Default)]
pub(crate) struct Many(KVec<(Registration<NoCallbacks>, AnyEnd)>);

impl Many {
    /// Publishes `count` streams.
    pub(crate) fn publish(&mut self, plan: &Plan, name: &str, count: u32) -> Result {
        for number in 0..count {
            let name = CString::try_from_fmt(fmt!("{name}-{number}"))?;
            let (ports, end) = plan.make_called(&name)?;
            let registration = Registration::new(ports, NoCallbacks)?;
            self.0.push((registration, end), GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Sends one buffer of `len` bytes through each stream; the bytes begin with the number of the
    /// stream. Returns the number of streams.
    pub(crate) fn send(&mut self, len: usize) -> Result<u64, iostream::Error> {
        let mut sent = 0;
        for (_, end) in &mut self.0 {
            end.produce(len, sent)?;
            sent += 1;
        }
        Ok(sent)
    }
}
