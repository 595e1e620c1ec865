// SPDX-License-Identifier: MIT OR Apache-2.0

//! The situations: where, for what, and until when something waits.

use super::means::{Means, Style};

/// The node on which something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A driver's node with an output queue.
    Output,
    /// A driver's node with an input queue.
    Input,
    /// A driver's node with both.
    Duplex,
    /// `/dev/iostream` with a source.
    Source,
    /// `/dev/iostream` with an echo.
    Echo,
    /// A running stream in output mode.
    StreamOutput,
    /// A running stream in input mode.
    StreamInput,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The process waits for an entry; in a stream, for a buffer to read.
    Entry,
    /// The process waits for room; in a stream, for a buffer to fill.
    Room,
    /// The process waits for buffers that the driver adds.
    Added,
    /// The process waits until the driver has taken all that was sent.
    Drained,
    /// The driver waits for an entry; in a stream, for a buffer to read.
    DriverEntry,
    /// The driver waits for room; in a stream, for a free buffer.
    DriverRoom,
    /// A client inside the kernel waits for a buffer to read.
    ClientEntry,
}

/// What ends the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Another thread sets the session up, which makes the queues with their room.
    SetUp,
    /// What is waited for comes, one piece, from a driver or by read(2) and write(2).
    Comes,
    /// The same from a process that has the queue mapped, and notifies if it must.
    ComesMapped,
    /// The watermark is reached.
    Watermark,
    /// The latency is over.
    Timer,
    /// The producer flushes.
    Flush,
    /// The producer finds the queue full, below the watermark.
    Full,
    /// The watermark is removed.
    NoWatermark,
    /// Another thread resets the queue; an entry that is waited for comes after it.
    Reset,
    /// Another thread resets the other queue of the echo, which then has room.
    OtherReset,
    /// Another thread stops the stream.
    Stop,
    /// Root stops the stream through sysfs.
    SysfsStop,
    /// Another thread stops the stream once it is drained.
    Drain,
    /// Added buffers join the session.
    Join,
    /// The session is closed.
    Close,
    /// The driver is removed.
    Removal,
    /// A signal comes, whose handler lets no call restart.
    Signal,
    /// A signal comes, whose handler lets calls restart; then what is waited for comes.
    Restart,
    /// The wait's own time-out, although the other direction is busy.
    Deadline,
}

const NODES: [Node; 7] = [
    Node::Output,
    Node::Input,
    Node::Duplex,
    Node::Source,
    Node::Echo,
    Node::StreamOutput,
    Node::StreamInput,
];

const WANTS: [Want; 7] = [
    Want::Entry,
    Want::Room,
    Want::Added,
    Want::Drained,
    Want::DriverEntry,
    Want::DriverRoom,
    Want::ClientEntry,
];

const ENDS: [End; 19] = [
    End::SetUp,
    End::Comes,
    End::ComesMapped,
    End::Watermark,
    End::Timer,
    End::Flush,
    End::Full,
    End::NoWatermark,
    End::Reset,
    End::OtherReset,
    End::Stop,
    End::SysfsStop,
    End::Drain,
    End::Join,
    End::Close,
    End::Removal,
    End::Signal,
    End::Restart,
    End::Deadline,
];

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    pub node: Node,
    pub want: Want,
    pub end: End,
}

/// The part of the table that a clause runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    Process,
    Early,
    TwoQueues,
    Multishot,
    Deadline,
    Kernel,
    Reset,
    Join,
    Stop,
    Stream,
    Removal,
}

/// All situations that can be.
pub fn all() -> Vec<Situation> {
    let mut all = Vec::new();
    for node in NODES {
        for want in WANTS.into_iter().filter(|want| node.offers(*want)) {
            let ends = ENDS.into_iter().filter(|end| end.can_end(node, want));
            all.extend(ends.map(|end| Situation { node, want, end }));
        }
    }
    all
}

impl Node {
    pub fn is_stream(self) -> bool {
        matches!(self, Node::StreamOutput | Node::StreamInput)
    }

    /// Whether it is `/dev/iostream`, where a session begins with a set-up.
    pub fn is_built_in(self) -> bool {
        matches!(self, Node::Source | Node::Echo)
    }

    fn offers(self, want: Want) -> bool {
        match want {
            Want::Entry => !matches!(self, Node::Input | Node::StreamInput),
            Want::Room => !matches!(self, Node::Output | Node::Source | Node::StreamOutput),
            Want::Added => self.is_stream(),
            Want::Drained => self == Node::StreamInput,
            Want::DriverEntry => matches!(self, Node::Input | Node::Duplex | Node::StreamInput),
            Want::DriverRoom => matches!(self, Node::Output | Node::Duplex | Node::StreamOutput),
            Want::ClientEntry => self == Node::StreamOutput,
        }
    }
}

impl Want {
    /// Whether a process waits. Otherwise something in the kernel does.
    pub fn is_of_process(self) -> bool {
        matches!(self, Want::Entry | Want::Room | Want::Added | Want::Drained)
    }
}

impl End {
    /// Whether such an end can happen there.
    fn can_end(self, node: Node, want: Want) -> bool {
        let stream = node.is_stream();
        let entry = matches!(want, Want::Entry | Want::DriverEntry) && !stream;
        let can = match self {
            End::SetUp => node == Node::Echo && want == Want::Room,
            End::Comes => !(node == Node::StreamOutput && want == Want::DriverRoom),
            End::ComesMapped => !stream && matches!(want, Want::DriverEntry | Want::DriverRoom),
            End::Watermark | End::Timer | End::Flush => entry && !node.is_built_in(),
            End::Full | End::NoWatermark => want == Want::Entry && !stream && !node.is_built_in(),
            End::Reset => !stream,
            End::OtherReset => node == Node::Echo && want == Want::Room,
            End::Stop => matches!(want, Want::Entry | Want::Room),
            End::SysfsStop => matches!(want, Want::Entry | Want::Room | Want::ClientEntry),
            End::Drain => matches!(want, Want::Entry),
            End::Join => matches!(
                (node, want),
                (Node::StreamInput, Want::Room) | (Node::StreamOutput, Want::DriverRoom)
            ),
            End::Close => !stream && !want.is_of_process(),
            End::Removal => !node.is_built_in(),
            End::Signal => true,
            End::Restart => matches!(want, Want::Entry | Want::Room),
            End::Deadline => matches!(node, Node::Duplex | Node::StreamInput),
        };
        can && (stream || !matches!(self, End::Stop | End::SysfsStop | End::Drain))
    }

    /// Whether the end can happen again and again.
    pub fn repeats(self) -> bool {
        matches!(
            self,
            End::Comes | End::Watermark | End::Timer | End::Flush | End::Full
        )
    }
}

impl Situation {
    /// Its name in the table.
    pub fn name(&self) -> String {
        format!("{:?}/{:?}/{:?}", self.node, self.want, self.end)
    }

    /// The slice to which the cell of this situation and a means belongs.
    pub fn slice(&self, means: &Means) -> Slice {
        let stream = self.node.is_stream();
        match self.end {
            End::Deadline => Slice::Deadline,
            End::Reset | End::OtherReset => Slice::Reset,
            End::Stop | End::SysfsStop | End::Drain => Slice::Stop,
            End::Removal => Slice::Removal,
            End::Join => Slice::Join,
            _ if self.want == Want::Added => Slice::Join,
            _ if stream => Slice::Stream,
            _ if !self.want.is_of_process() => Slice::Kernel,
            _ if means.early => Slice::Early,
            _ if means.style == Style::Poll && self.node == Node::Duplex => Slice::TwoQueues,
            _ if means.name == "io-uring-multishot" => Slice::Multishot,
            _ => Slice::Process,
        }
    }
}
