// SPDX-License-Identifier: MIT OR Apache-2.0

//! Whether the counters add up: what was accepted was taken, is still inside, or is counted as lost
//! or discarded. Looked at where the tour rests, while no call is under way.

use std::path::Path;

use iostream_raw::{Session, INPUT, OUTPUT};
use rustix::io::Errno;

use super::calls::{story, Act, Call};
use super::ground::{Ground, Kind, ENTRY};

/// What the calls of a cell have moved, in entries or buffers.
struct Moved<'a>(&'a [Call]);

impl Moved<'_> {
    fn by(&self, act: Act) -> u64 {
        let calls = self.0.iter().filter(|call| call.sort.act == act);
        calls.filter_map(|call| call.result.ok()).sum()
    }

    fn failed(&self, act: Act, error: Errno) -> u64 {
        let calls = self.0.iter().filter(|call| call.sort.act == act);
        calls.filter(|call| call.result == Err(error)).count() as u64
    }

    fn any(&self, acts: &[Act]) -> bool {
        self.0.iter().any(|call| acts.contains(&call.sort.act))
    }

    /// Whether a call was made whose amount only the counters tell.
    fn unknown(&self) -> bool {
        self.0.iter().any(|call| call.name == "fill")
    }
}

/// Checks the session's counters. Takes everything out of the session.
///
/// # Panics
///
/// If something does not add up.
pub fn check_session(ground: &Ground) {
    let Some(moment) = ground.quiet_moment() else {
        return;
    };
    let calls = ground.calls();
    let moved = Moved(&calls);
    // A session that has ended took its counters with it, and none are told once the driver is gone.
    if moved.any(&[Act::Close, Act::Unpublish]) {
        return;
    }
    let Ok(session) = ground.session() else {
        return;
    };
    let wrong = match ground.kind {
        Kind::Queues | Kind::Mapped => queues(ground, &session, &moved),
        Kind::Echo => echo(&session, &moved),
        Kind::Module => Vec::new(),
        _ => stream(ground, &session, &moved),
    };
    // A call that began meanwhile is in the counters, and not yet among the calls.
    if ground.quiet_moment() != Some(moment) {
        return;
    }
    assert!(wrong.is_empty(), "{wrong:?}, after {}", story(&calls));
}

/// Checks what is counted while nobody has the node open.
///
/// # Panics
///
/// If it does not add up.
pub fn check_unopened(ground: &Ground) {
    let Some(moment) = ground.quiet_moment() else {
        return;
    };
    let calls = ground.calls();
    let moved = Moved(&calls);
    if !ground.kind.has_entries() || moved.any(&[Act::Unpublish]) || moved.unknown() {
        return;
    }
    let refused = moved.failed(Act::Produce, Errno::NOTCONN);
    let lost = LOST * moved.failed(Act::Lose, Errno::NOTCONN);
    let counted = ground.driver().attribute("unopened");
    if ground.quiet_moment() != Some(moment) {
        return;
    }
    assert_eq!(counted, refused + lost, "unopened, after {}", story(&calls));
}

/// Entries or frames of each report of a loss.
pub const LOST: u64 = 3;

/// Collects what does not add up.
#[derive(Default)]
struct Sums(Vec<String>);

impl Sums {
    fn equal(&mut self, what: &str, left: u64, right: u64) {
        if left != right {
            self.0.push(format!("{what}: {left}, {right}"));
        }
    }
}

/// Takes all that read(2) finds.
fn read_all(session: &Session) -> u64 {
    let mut bytes = 0;
    while let Ok(some @ 1..) = session.read(&mut [0; 64]) {
        bytes += some;
    }
    (bytes / ENTRY) as u64
}

/// Counts how often the driver succeeds.
fn tell_all(ground: &Ground, command: &str) -> u64 {
    let mut done = 0;
    while ground.tell(command).is_ok() {
        done += 1;
    }
    done
}

fn queues(ground: &Ground, session: &Session, moved: &Moved<'_>) -> Vec<String> {
    let mut sums = Sums::default();
    let left = match ground.kind {
        Kind::Mapped => std::iter::repeat_with(|| ground.take_mapped())
            .take_while(|taken| *taken == Ok(1))
            .count() as u64,
        _ => read_all(session),
    };
    let untaken = tell_all(ground, "dequeue 64");
    let (Ok(output), Ok(input)) = (session.try_counters(OUTPUT), session.try_counters(INPUT))
    else {
        return vec!["no counters".into()];
    };
    if !moved.unknown() {
        let sent = moved.by(Act::Produce);
        sums.equal("entries the driver sent", output.entries, sent);
    }
    let received = moved.by(Act::Consume) + untaken;
    sums.equal("entries the driver took", input.entries, received);
    let bytes = output.entries * ENTRY as u64;
    sums.equal("bytes of the output", output.bytes, bytes);
    let full = moved.failed(Act::Produce, Errno::NOSPC);
    if output.full < full {
        sums.equal("full", output.full, full);
    }
    sums.equal("lost", output.lost, LOST * moved.by(Act::Lose));
    sums.equal("corrupt", output.corrupt + input.corrupt, 0);
    // A reset empties a queue without counting.
    if !moved.any(&[Act::Reset]) {
        let read = moved.by(Act::Read) + left;
        // What waits in a queue whose words were mapped cannot be read.
        if ground.kind == Kind::Mapped || !moved.any(&[Act::Map]) {
            sums.equal("sent and taken", output.entries, read);
        }
        sums.equal("written and taken", moved.by(Act::Write), received);
    }
    sums.0
}

fn echo(session: &Session, moved: &Moved<'_>) -> Vec<String> {
    let mut sums = Sums::default();
    // Nothing is notified here: what was written has been moved already.
    let left = read_all(session);
    let (Ok(output), Ok(input), Ok(endpoint)) = (
        session.try_counters(OUTPUT),
        session.try_counters(INPUT),
        session.endpoint(),
    ) else {
        return vec!["no counters".into()];
    };
    sums.equal("taken and moved", input.entries, endpoint.entries);
    sums.equal("moved and sent", endpoint.entries, output.entries);
    sums.equal("bytes", endpoint.bytes, output.bytes);
    sums.equal("lost", output.lost + endpoint.dropped, 0);
    sums.equal("corrupt", output.corrupt + input.corrupt, 0);
    if !moved.any(&[Act::Reset]) {
        let read = moved.by(Act::Read) + left;
        sums.equal("written and moved", moved.by(Act::Write), endpoint.entries);
        if !moved.any(&[Act::Map]) {
            sums.equal("moved and read", endpoint.entries, read);
        }
    }
    sums.0
}

fn stream(ground: &Ground, session: &Session, moved: &Moved<'_>) -> Vec<String> {
    let mut sums = Sums::default();
    // Only a stream that runs gives everything away.
    let _ = session.start();
    let left = read_all(session);
    let takes = session
        .try_stream()
        .is_ok_and(|stream| stream.mode != iostream_ring::uapi::IOSTREAM_MODE_OUTPUT);
    let untaken = if takes {
        tell_all(ground, "consume 1")
    } else {
        0
    };
    let Ok(counters) = session.try_stream_counters() else {
        return vec!["no counters".into()];
    };
    let rejected = counters.rejected_id
        + counters.rejected_owner
        + counters.rejected_range
        + counters.rejected_flags;
    sums.equal("rejected", rejected, 0);
    sums.equal("lost", counters.lost, LOST * moved.by(Act::Lose));
    let accepted = moved.by(Act::Produce) + moved.by(Act::Write);
    let taken = moved.by(Act::Read) + left + moved.by(Act::Consume) + untaken;
    let accounted = taken + counters.discarded;
    sums.equal("accepted and taken or discarded", accepted, accounted);
    buffers(ground, session, &mut sums);
    sums.0
}

/// Each buffer has one owner, and at rest the driver has none.
fn buffers(ground: &Ground, session: &Session, sums: &mut Sums) {
    let owners = ground.driver().shown("buffers_where");
    let joined = session.try_stream().map_or(0, |stream| stream.buffers);
    sums.equal("owners", owners.len() as u64, joined.into());
    let held = owners
        .chars()
        .filter(|owner| !"fc".contains(*owner))
        .count();
    sums.equal(&format!("held of {owners}"), held as u64, 0);
    let fdinfo = Path::new("/proc/self/fdinfo").join(session.raw_fd().to_string());
    if let Ok(text) = std::fs::read_to_string(fdinfo) {
        let told = format!(" buffers {joined} ");
        sums.equal("buffers in fdinfo", text.contains(&told).into(), 1);
    }
}
