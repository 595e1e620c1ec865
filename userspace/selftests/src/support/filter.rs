// SPDX-License-Identifier: MIT OR Apache-2.0

//! The filters of iostream_test.ko: streams whose driver is the client of another stream.

use iostream_raw::Control;

/// A filter, published until this is dropped.
pub struct Filter(String);

impl Filter {
    /// Publishes a filter that opens its source when it is started.
    #[track_caller]
    pub fn publish(number: usize, name: &str, source: &str) -> Self {
        Self::with(number, &format!("publish {name} {source}"))
    }

    /// Publishes a filter that opens its source by [`Self::open`].
    #[track_caller]
    pub fn early(number: usize, name: &str, source: &str) -> Self {
        Self::with(number, &format!("publish {name} {source} early"))
    }

    fn with(number: usize, command: &str) -> Self {
        let filter = Self(format!("filter{number}"));
        // A clause that failed may have left one.
        filter.tell("unpublish");
        filter.tell(command);
        filter
    }

    /// Opens the source of an early filter.
    #[track_caller]
    pub fn open(&self) {
        self.tell("open");
    }

    fn tell(&self, command: &str) {
        assert_eq!(Control::open(&self.0).tell(command), Ok(()), "{command}");
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        let _ = Control::open(&self.0).tell("unpublish");
    }
}
