// SPDX-License-Identifier: MIT OR Apache-2.0

//! All clauses, in files by topic. The row of the contract that a clause belongs to is in its name.

mod races;
mod waits;

use crate::clause::Clause;

/// Declares the files and collects their clauses: a file that is not listed is not compiled.
macro_rules! rows {
    ($($folder:ident { $($file:ident,)+ })+) => {
        $(mod $folder {
            $(pub mod $file;)+
        })+

        fn collect() -> Vec<Clause> {
            [$($($folder::$file::CLAUSES,)+)+ waits::CLAUSES, races::CLAUSES].concat()
        }
    };
}

rows! {
    machine {
        kernel,
    }
    queue {
        capacity,
        enqueue,
        reserve,
        dequeue,
        peek,
        duplex,
        sizes_and_wraps,
        mapping,
        mapping_rights,
        geometry,
        eventfd,
        poll,
        room,
        batch,
        available,
        teardown,
        errors,
        arguments,
        corrupt_peer,
        reset,
        overwrite,
        read_write,
        nonblocking,
        counters,
        counters_call,
        memory_limits,
    }
    files {
        command,
        asking,
        poll_agrees,
        poll_starts,
        reading,
        rust_std,
        loss,
        told_once,
        mode_changes,
        arrives,
        reopen,
        uring,
        splicing,
        storms,
    }
    watermark {
        output,
        settings,
        latency,
        waiting,
        input,
        stream,
    }
    driver {
        node,
        module,
        callbacks,
        removal,
        waiting,
        kernel_threads,
        refusals,
        instrument,
    }
    stream {
        declare,
        buffers,
        add_remove,
        mode,
        states,
        state_attribute,
        drained,
        stop,
        stopping,
        behind_a_change,
        clients,
        session_end,
        prepared_queues,
        to_client,
        from_client,
        dropped,
        notifications,
        notices,
        ownership,
        mapping,
        read_write,
        limits,
        removal,
        card,
        card_removal,
        card_races,
        kernel_client,
        filters,
        drivers,
    }
    hardware {
        frames,
        times,
    }
    fairness {
        quotas,
        sources,
        kernel_costs,
    }
    client {
        open,
        info,
        buffers,
        event_loops,
        examples,
        receive,
        asynchronous,
        turns,
        no_time,
        notices,
        control,
        soundness,
        waking,
        forking,
        opening,
        c,
    }
}

/// All clauses, in the order above.
///
/// # Panics
///
/// If two clauses have the same name.
pub fn all() -> Vec<Clause> {
    let all = collect();
    for (i, clause) in all.iter().enumerate() {
        let twice = all[..i].iter().any(|other| other.name == clause.name);
        assert!(!twice, "two clauses are called {}", clause.name);
    }
    all
}
