// SPDX-License-Identifier: GPL-2.0

//! The text of a session in `/proc/PID/fdinfo/FD`.

use kernel::{
    seq_file::{seq_print, SeqFile},
    sync::atomic::Relaxed,
};

use crate::{node::session::Session, pool::StreamCounter, queue::config::Direction};

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
                 clock {} lost {}\n",
                pool.mode().name(),
                pool.state().name(),
                pool.count(),
                pool.spec().data_bytes,
                pool.spec().control_bytes,
                pool.spec().clock.name(),
                pool.counter(StreamCounter::Lost).load(Relaxed),
            );
        }
        for queue in queues.iter() {
            let name = match queue.direction() {
                Direction::Output => "output",
                Direction::Input => "input",
            };
            let n = queue.counters();
            let (watermark_bytes, latency_ns) = queue.watermark();
            seq_print!(
                seq,
                "iostream-{}:\tdata_bytes {} entries {} bytes {} wakeups_sent {} \
                 wakeups_suppressed {} notifications {} full {} lost {} corrupt {} \
                 high_water_bytes {} watermark_bytes {} latency_ns {}\n",
                name,
                queue.geometry().data_bytes(),
                n.entries,
                n.bytes,
                n.wakeups_sent,
                n.wakeups_suppressed,
                n.notifications,
                n.full,
                n.lost,
                n.corrupt,
                n.high_water_bytes,
                watermark_bytes,
                latency_ns,
            );
        }
    }
}
