// SPDX-License-Identifier: GPL-2.0

//! The text of a session in `/proc/PID/fdinfo/FD`.

use kernel::seq_file::{seq_print, SeqFile};

use crate::{node::session::Session, queue::config::Direction};

impl Session {
    /// Prints the session's node, its stream and its queues.
    pub(crate) fn show_fdinfo(&self, seq: &SeqFile) {
        seq_print!(seq, "iostream-node:\t{}\n", self.node().name_str());
        let Ok(queues) = self.queues() else {
            return;
        };
        if let Some(pool) = queues.pool() {
            seq_print!(
                seq,
                "iostream-stream:\tmode {} state {} buffers {} data_bytes {} control_bytes {} \
                 clock {}",
                pool.mode().name(),
                pool.shown_state().name(),
                pool.count(),
                pool.spec().data_bytes,
                pool.spec().control_bytes,
                pool.spec().clock.name(),
            );
            for (counter, value) in pool.counters() {
                seq_print!(seq, " {} {}", counter.name(), value);
            }
            seq_print!(seq, "\n");
        }
        for queue in queues.iter() {
            let name = match queue.direction() {
                Direction::Output => "output",
                Direction::Input => "input",
            };
            let data_bytes = queue.geometry().data_bytes();
            seq_print!(seq, "iostream-{}:\tdata_bytes {}", name, data_bytes);
            for (counter, value) in queue.counters() {
                seq_print!(seq, " {} {}", counter.name(), value);
            }
            let (watermark_bytes, latency_ns) = queue.watermark();
            seq_print!(
                seq,
                " watermark_bytes {} latency_ns {}\n",
                watermark_bytes,
                latency_ns,
            );
        }
    }
}
