// SPDX-License-Identifier: MIT OR Apache-2.0

//! The calls of a cell, with the errors that each may answer, and in which state.

use rustix::io::{Errno, Result};

use super::ground::Kind;

/// What a call does to the state, as far as the answers of others depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The cell begins: there is no session, and the node is published.
    Begin,
    Open,
    /// Another client opens the node, and perhaps keeps it.
    OpenOther,
    Close,
    Publish,
    Unpublish,
    SetUp,
    /// Sets a session of `/dev/iostream` up that has one queue alone.
    SetUpOneWay,
    Run,
    Read,
    Write,
    Map,
    Reset,
    Mode,
    Start,
    Suspend,
    Stop,
    Join,
    /// The driver sends.
    Produce,
    /// The driver takes what the client has sent.
    Consume,
    /// The driver tells of what was lost.
    Lose,
    /// Changes nothing that others depend on.
    Other,
}

/// A state in which a call may answer an error.
#[derive(Clone, Copy, Debug)]
pub enum Why {
    /// Every state.
    Any,
    /// The node is of one of these kinds.
    On(&'static [Kind]),
    /// One of the first acts began before the call's end, and none of the second acts, successful,
    /// lies between the two.
    Since(&'static [Act], &'static [Act]),
    /// Another call of one of these acts overlaps with this one.
    During(&'static [Act]),
}

/// The calls of one sort.
#[derive(Debug)]
pub struct Sort {
    pub act: Act,
    /// The errors, each with the states in which it may come.
    pub may: &'static [(Errno, &'static [Why])],
}

/// A call that was made.
#[derive(Debug)]
pub struct Call {
    pub name: &'static str,
    pub sort: &'static Sort,
    /// The moments at which it began and ended.
    pub begin: u64,
    pub end: u64,
    /// The bytes, entries or buffers that it moved.
    pub result: Result<u64>,
}

impl Call {
    fn overlaps(&self, other: &Self) -> bool {
        self.begin < other.end && other.begin < self.end
    }
}

impl Why {
    fn holds(self, call: &Call, all: &[Call], kind: Kind) -> bool {
        let others = || all.iter().filter(|other| other.begin != call.begin);
        match self {
            Self::Any => true,
            Self::On(kinds) => kinds.contains(&kind),
            Self::During(acts) => {
                others().any(|other| acts.contains(&other.sort.act) && other.overlaps(call))
            }
            Self::Since(causes, cures) => {
                let cured = |cause: &Call| {
                    others().any(|cure| {
                        cures.contains(&cure.sort.act)
                            && cure.result.is_ok()
                            && cause.end < cure.begin
                            && cure.end < call.begin
                    })
                };
                others().any(|cause| {
                    causes.contains(&cause.sort.act) && cause.begin < call.end && !cured(cause)
                })
            }
        }
    }
}

/// Fails if a call has answered an error that it may not answer in this state.
///
/// # Panics
///
/// If it has.
pub fn check_errors(all: &[Call], kind: Kind) {
    for call in all {
        let Err(error) = call.result else { continue };
        let mut states = call.sort.may.iter().filter(|(errno, _)| *errno == error);
        let expected = states.any(|(_, whys)| whys.iter().any(|why| why.holds(call, all, kind)));
        assert!(
            expected,
            "{}: {error} on {kind:?}, after {}",
            call.name,
            story(all)
        );
    }
}

/// All calls in the order of their ends.
pub fn story(all: &[Call]) -> String {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by_key(|call| call.end);
    let tell = |call: &&Call| {
        format!(
            "\n#   {}-{} {}: {:?}",
            call.begin, call.end, call.name, call.result
        )
    };
    sorted.iter().map(tell).collect()
}
