// SPDX-License-Identifier: MIT OR Apache-2.0

//! The sorts of calls.

use rustix::io::Errno;

use super::calls::Act::{self, *};
use super::calls::Sort;
use super::calls::Why::{self, Any, During, On, Since};
use super::ground::Kind::{Input, InputOutput, Module, Output};

/// There is no session: it was not opened yet, or closed.
const CLOSED: Why = Since(&[Begin, Close], &[Open]);
/// The descriptor of the session becomes one of /dev/null meanwhile.
const CLOSES: Why = During(&[Close]);
/// The client resets a queue, which is like a close and an open to the driver.
const RESETS: Why = During(&[Reset]);
/// The stream is being stopped.
const STOPS: Why = During(&[Stop]);
/// The driver goes, or is gone.
const GONE: Why = Since(&[Unpublish], &[Publish]);
/// The node is published.
const THERE: Why = Since(&[Begin, Publish], &[Unpublish]);
/// No session was opened since the driver came back.
const LEFT: Why = Since(&[Unpublish], &[Open]);
/// The stream may not run. Only the first read(2) or write(2) starts it.
const STOPPED: Why = Since(&[Begin, Close, Stop, Suspend, Unpublish], &[Start]);
/// Somebody may have started the stream: read(2), write(2) and poll(2) do it, too.
const STARTED: Why = Since(&[Start, Read, Write, Other], &[]);
/// Somebody may have suspended the stream.
const SUSPENDED: Why = Since(&[Suspend], &[]);
/// Others use the client's end of a queue.
const IN_USE: Why = During(&[Read, Write, Reset, Map]);
/// The client has given its mappings up, to reset a queue.
const UNMAPPED: Why = Since(&[Begin, Close, Reset], &[]);
/// The client has mapped its end in this session.
const MAPPED: Why = Since(&[Map], &[Open]);
/// A session of `/dev/iostream` is not set up.
const BARE: Why = Since(&[Begin, Close, SetUp, SetUpOneWay], &[SetUp, SetUpOneWay]);
/// A session of `/dev/iostream` may have one queue alone.
const ONE_WAY: Why = Since(&[SetUpOneWay], &[]);
/// The stream's mode may have been another.
const CHANGED: Why = Since(&[Mode], &[]);

/// What every call of a session may answer.
macro_rules! session {
    ($act:ident $(, $errno:ident: $($why:expr)+)*) => {
        Sort {
            act: Act::$act,
            may: &[
                (Errno::BADF, &[CLOSED]),
                (Errno::NOTTY, &[CLOSES]),
                (Errno::NODEV, &[GONE, LEFT, CLOSES]),
                (Errno::NXIO, &[ONE_WAY]),
                (Errno::BADFD, &[BARE, STOPPED]),
                $((Errno::$errno, &[$($why),+]),)*
            ],
        }
    };
}

/// What every command of the driver may answer.
macro_rules! driver {
    ($act:ident $(, $errno:ident: $($why:expr)+)*) => {
        Sort {
            act: Act::$act,
            may: &[
                (Errno::NODEV, &[GONE]),
                (Errno::NXIO, &[GONE]),
                $((Errno::$errno, &[$($why),+]),)*
            ],
        }
    };
}

/// What open(2) may answer.
const OPENS: &[(Errno, &[Why])] = &[
    (Errno::NOENT, &[GONE]),
    (Errno::NXIO, &[GONE]),
    (Errno::NODEV, &[GONE]),
    // A session ends when the last call in it has ended.
    (Errno::BUSY, &[Since(&[Open, OpenOther], &[])]),
    // The driver is being asked about another opener.
    (Errno::AGAIN, &[During(&[Open, OpenOther])]),
];
pub static OPEN: Sort = Sort {
    act: Open,
    may: OPENS,
};
pub static OPEN_OTHER: Sort = Sort {
    act: OpenOther,
    may: OPENS,
};
pub static CLOSE: Sort = Sort {
    act: Close,
    may: &[(Errno::BADF, &[CLOSED])],
};
pub static PUBLISH: Sort = Sort {
    act: Publish,
    may: &[
        (Errno::BUSY, &[THERE, During(&[Unpublish])]),
        (Errno::EXIST, &[THERE, During(&[Unpublish])]),
    ],
};
pub static UNPUBLISH: Sort = Sort {
    act: Unpublish,
    may: &[(Errno::NOENT, &[GONE, During(&[Publish])])],
};
pub static SET_UP: Sort = session!(SetUp, ALREADY: Since(&[SetUp, SetUpOneWay], &[Close]));
pub static SET_UP_ONE_WAY: Sort = session!(SetUpOneWay, ALREADY: Since(&[SetUp], &[Close]));
pub static RUN: Sort = session!(Run,
    // A timer runs a source.
    BUSY: During(&[Run]) ONE_WAY,
    TIMEDOUT: Any);
pub static POLL: Sort = session!(Other);
pub static READ: Sort = session!(Read,
    BADF: UNMAPPED,
    AGAIN: Any,
    BUSY: IN_USE MAPPED,
    // The mode has no such direction.
    NXIO: On(&[Input]));
pub static WRITE: Sort = session!(Write,
    BADF: UNMAPPED,
    AGAIN: Any,
    BUSY: IN_USE MAPPED,
    SHUTDOWN: STOPPED,
    NXIO: On(&[Output, Module]) CHANGED);
pub static EVENTFD: Sort = session!(Other, NXIO: On(&[Module]));
pub static NOTIFY: Sort = session!(Other, NXIO: On(&[Module]));
pub static WATERMARK: Sort = session!(Other);
pub static RESET: Sort = session!(Reset,
    BUSY: IN_USE MAPPED,
    NXIO: On(&[Module]));
pub static MAP: Sort = session!(Map,
    BUSY: IN_USE MAPPED,
    NXIO: On(&[Module]));
pub static MODE: Sort = session!(Mode,
    BUSY: STARTED Since(&[Map], &[]),
    NOTCONN: LEFT CLOSES,
    OPNOTSUPP: On(&[Input]));
pub static START: Sort = session!(Start, ALREADY: STARTED, NOTCONN: LEFT CLOSES);
pub static SUSPEND: Sort = session!(Suspend, ALREADY: SUSPENDED, NOTCONN: LEFT CLOSES);
pub static STOP: Sort = session!(Stop,
    ALREADY: STOPPED,
    NOTCONN: LEFT CLOSES,
    // To drain.
    TIMEDOUT: On(&[Input, InputOutput]) Since(&[Mode], &[]));
pub static JOIN: Sort = session!(Join);
pub static NOTICE: Sort = session!(Other, AGAIN: Any);
pub static LOOK: Sort = Sort {
    act: Other,
    may: &[(Errno::BADF, &[CLOSED]), (Errno::NOENT, &[GONE])],
};
/// Of sysfs.
pub static SET_STATE: Sort = Sort {
    act: Start,
    may: &[
        (Errno::NOENT, &[GONE]),
        (Errno::NODEV, &[GONE]),
        (Errno::NOTCONN, &[CLOSED, CLOSES]),
        (Errno::ALREADY, &[STARTED]),
    ],
};
pub static STOP_BY_SYSFS: Sort = Sort {
    act: Stop,
    may: &[
        (Errno::NOENT, &[GONE]),
        (Errno::NODEV, &[GONE]),
        (Errno::NOTCONN, &[CLOSED, CLOSES]),
        (Errno::ALREADY, &[STOPPED]),
    ],
};
pub static CHILD: Sort = Sort {
    act: Other,
    may: &[],
};
/// A process is killed that alone has the session.
pub static KILL: Sort = Sort {
    act: Close,
    may: &[(Errno::BADF, &[CLOSED])],
};
pub static CALLBACKS: Sort = driver!(Other);
pub static PRODUCE: Sort = driver!(Produce,
    NOTCONN: CLOSED CLOSES RESETS,
    STALE: STOPPED,
    NOSPC: Any,
    NODATA: Any,
    SHUTDOWN: STOPPED STOPS);
pub static LOSE: Sort = driver!(Lose,
    NOTCONN: CLOSED CLOSES RESETS,
    SHUTDOWN: STOPPED STOPS);
pub static CONSUME: Sort = driver!(Consume,
    NOTCONN: CLOSED CLOSES RESETS,
    NODATA: Any,
    INVAL: On(&[Output]) CHANGED,
    SHUTDOWN: STOPPED STOPS);
pub static MANAGE: Sort = driver!(Other,
    EXIST: Any,
    BUSY: Any,
    ALREADY: Any);
/// A module is the client.
pub static CLIENT: Sort = session!(Other, NOTCONN: Any, NODATA: Any, SHUTDOWN: STOPPED);
pub static CLIENT_START: Sort = session!(Start, NOTCONN: Any, ALREADY: STARTED);
pub static CLIENT_CLOSE: Sort = Sort {
    act: Other,
    may: &[],
};
/// Reading from a source or writing to a sink.
pub static ANY_END: Sort = session!(Other, AGAIN: Any, BUSY: IN_USE MAPPED);
