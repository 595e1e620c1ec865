// SPDX-License-Identifier: MIT OR Apache-2.0

//! The counters of a session, by ioctl.

use iostream_ring::uapi::*;
use rustix::io::Result;

use crate::{Session, OUTPUT};

impl Session {
    /// Calls `IOSTREAM_IOC_COUNTERS`, which fills `buffer`. Returns how many bytes of counters the
    /// kernel has.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_COUNTERS`.
    pub fn copy_counters(&self, which: u32, buffer: &mut [u64]) -> Result<u32> {
        let address = if buffer.is_empty() {
            0
        } else {
            buffer.as_mut_ptr().expose_provenance()
        };
        let mut request = iostream_counters {
            which,
            buffer_bytes: size_of_val(buffer) as u32,
            buffer: address as u64,
            ..Default::default()
        };
        self.pass(IOSTREAM_IOC_COUNTERS, &mut request)?;
        Ok(request.counter_bytes)
    }

    /// Counters of a queue, if there is one.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_COUNTERS`.
    pub fn try_counters(&self, direction: u32) -> Result<iostream_queue_counters> {
        let which = if direction == OUTPUT {
            IOSTREAM_COUNTERS_OUTPUT
        } else {
            IOSTREAM_COUNTERS_INPUT
        };
        let mut all = [0; 9];
        self.copy_counters(which, &mut all)?;
        let [entries, bytes, wakeups_sent, wakeups_suppressed, notifications, full, lost, corrupt, high_water_bytes] =
            all;
        Ok(iostream_queue_counters {
            entries,
            bytes,
            wakeups_sent,
            wakeups_suppressed,
            notifications,
            full,
            lost,
            corrupt,
            high_water_bytes,
        })
    }

    /// Counters of a queue that exists.
    pub fn counters(&self, direction: u32) -> iostream_queue_counters {
        self.try_counters(direction).expect("IOSTREAM_IOC_COUNTERS")
    }

    /// Counters of the stream.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_COUNTERS`.
    pub fn try_stream_counters(&self) -> Result<iostream_stream_counters> {
        let mut all = [0; 8];
        self.copy_counters(IOSTREAM_COUNTERS_STREAM, &mut all)?;
        let [sent, received, discarded, rejected_id, rejected_owner, rejected_range, rejected_flags, lost] =
            all;
        Ok(iostream_stream_counters {
            sent,
            received,
            discarded,
            rejected_id,
            rejected_owner,
            rejected_range,
            rejected_flags,
            lost,
        })
    }

    /// Counters of the stream that exists.
    pub fn stream_counters(&self) -> iostream_stream_counters {
        self.try_stream_counters().expect("IOSTREAM_IOC_COUNTERS")
    }

    /// What the endpoint has counted.
    ///
    /// # Errors
    ///
    /// Those of `IOSTREAM_IOC_COUNTERS`.
    pub fn endpoint(&self) -> Result<iostream_endpoint_counters> {
        let mut all = [0; 5];
        self.copy_counters(IOSTREAM_COUNTERS_ENDPOINT, &mut all)?;
        let [entries, bytes, bad, missed, dropped] = all;
        Ok(iostream_endpoint_counters {
            entries,
            bytes,
            bad,
            missed,
            dropped,
        })
    }
}
