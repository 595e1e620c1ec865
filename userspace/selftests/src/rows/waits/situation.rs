// SPDX-License-Identifier: MIT OR Apache-2.0

//! The situations: where, for what, and until when something waits.

use super::means::{Means, Style};

/// The node on which something waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A driver's node with an output queue.
    Output,
    /// A driver's node with an output queue that overwrites.
    Overwriting,
    /// A driver's node with an input queue.
    Input,
    /// A driver's node with both.
    Duplex,
    /// `/dev/iostream` with a source.
    Source,
    /// `/dev/iostream` with an echo.
    Echo,
    /// `/dev/iostream` with a sink.
    Sink,
    /// A running stream in output mode.
    StreamOutput,
    /// A running stream in input mode.
    StreamInput,
    /// A running stream in input-output mode.
    StreamDuplex,
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
    /// The process waits until the driver has taken all that was published.
    Drained,
    /// The process waits for what a callback of the driver returns.
    Answer,
    /// The process waits, in a run of the endpoint, for an entry that it can move.
    RunEntry,
    /// The process waits, in a run of the endpoint, for room for what it makes.
    RunRoom,
    /// The driver waits for an entry; in a stream, for a buffer to read.
    DriverEntry,
    /// The driver waits for room; in a stream, for a free buffer.
    DriverRoom,
    /// A client inside the kernel waits for a buffer to read.
    ClientEntry,
    /// A client inside the kernel waits for a buffer to fill.
    ClientRoom,
    /// A client inside the kernel waits for buffers that the driver adds.
    ClientAdded,
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
    /// The same, which passes while the sleeper looks: a race point holds it.
    DeadlineAwake,
    /// The control group is frozen and thawed; then what is waited for comes.
    Frozen,
    /// The process is stopped and continued by signals; then what is waited for comes.
    Stopped,
}

const NODES: [Node; 10] = [
    Node::Output,
    Node::Overwriting,
    Node::Input,
    Node::Duplex,
    Node::Source,
    Node::Echo,
    Node::Sink,
    Node::StreamOutput,
    Node::StreamInput,
    Node::StreamDuplex,
];

const WANTS: [Want; 12] = [
    Want::Entry,
    Want::Room,
    Want::Added,
    Want::Drained,
    Want::Answer,
    Want::RunEntry,
    Want::RunRoom,
    Want::DriverEntry,
    Want::DriverRoom,
    Want::ClientEntry,
    Want::ClientRoom,
    Want::ClientAdded,
];

const ENDS: [End; 22] = [
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
    End::DeadlineAwake,
    End::Frozen,
    End::Stopped,
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
    Awake,
    Kernel,
    Reset,
    Join,
    Stop,
    Stream,
    Removal,
    Frozen,
    Stopped,
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
        matches!(
            self,
            Node::StreamOutput | Node::StreamInput | Node::StreamDuplex
        )
    }

    /// Whether it is `/dev/iostream`, where a session begins with a set-up.
    pub fn is_built_in(self) -> bool {
        matches!(self, Node::Source | Node::Echo | Node::Sink)
    }

    fn offers(self, want: Want) -> bool {
        use Node::{Duplex, Echo, Input, Sink, Source, StreamDuplex, StreamInput, StreamOutput};
        match want {
            Want::Entry => !matches!(self, Input | Sink | StreamInput),
            Want::Room => matches!(self, Input | Duplex | Echo | StreamInput | StreamDuplex),
            Want::Added | Want::Answer | Want::ClientAdded => self.is_stream(),
            Want::Drained => matches!(self, Input | Duplex | StreamInput | StreamDuplex),
            Want::RunEntry => matches!(self, Echo | Sink),
            Want::RunRoom => matches!(self, Echo | Source),
            Want::DriverEntry => matches!(self, Input | Duplex | StreamInput | StreamDuplex),
            Want::DriverRoom => {
                matches!(self, Node::Output | Duplex | StreamOutput | StreamDuplex)
            }
            Want::ClientEntry => matches!(self, StreamOutput | StreamDuplex),
            Want::ClientRoom => self == StreamInput,
        }
    }
}

impl Want {
    /// Whether a process waits. Otherwise something in the kernel does.
    pub fn is_of_process(self) -> bool {
        !matches!(self, Want::DriverEntry | Want::DriverRoom) && !self.is_of_client()
    }

    /// Whether a client inside the kernel waits, which has the only session.
    pub fn is_of_client(self) -> bool {
        matches!(
            self,
            Want::ClientEntry | Want::ClientRoom | Want::ClientAdded
        )
    }

    /// Whether the endpoint of `/dev/iostream` waits, in a run of the process.
    pub fn is_of_run(self) -> bool {
        matches!(self, Want::RunEntry | Want::RunRoom)
    }
}

impl End {
    /// Whether such an end can happen there.
    fn can_end(self, node: Node, want: Want) -> bool {
        let stream = node.is_stream();
        let entry = matches!(want, Want::Entry | Want::DriverEntry) && !stream;
        let moves = matches!(want, Want::Entry | Want::Room);
        if want == Want::Answer {
            return self == End::Comes;
        }
        let can = match self {
            End::SetUp => node == Node::Echo && want == Want::Room,
            // What a client returns is to the driver no room, but an entry.
            End::Comes => !(stream && want == Want::DriverRoom),
            End::ComesMapped => {
                let kernel = matches!(want, Want::DriverEntry | Want::DriverRoom);
                !stream && (kernel || want.is_of_run())
            }
            End::Watermark | End::Timer | End::Flush => entry && !node.is_built_in(),
            // A queue that overwrites is never full.
            End::Full if node == Node::Overwriting => false,
            End::Full | End::NoWatermark => want == Want::Entry && !stream && !node.is_built_in(),
            End::Reset => !stream,
            End::OtherReset => node == Node::Echo && want == Want::Room,
            End::Stop => moves || want == Want::Drained,
            End::SysfsStop => {
                moves
                    || matches!(
                        want,
                        Want::Drained | Want::ClientEntry | Want::ClientRoom | Want::ClientAdded
                    )
            }
            End::Drain => want == Want::Entry,
            End::Join => matches!(
                (node, want),
                (Node::StreamInput, Want::Room)
                    | (Node::StreamOutput | Node::StreamDuplex, Want::DriverRoom)
            ),
            End::Close => !stream && !want.is_of_process(),
            End::Removal => !node.is_built_in(),
            End::Signal => true,
            End::Restart => moves,
            End::Deadline | End::DeadlineAwake => true,
            End::Frozen | End::Stopped => !(stream && want == Want::DriverRoom),
        };
        can && (stream || !matches!(self, End::Stop | End::SysfsStop | End::Drain))
    }

    /// Whether the wait is interrupted, and goes on.
    pub fn interrupts(self) -> bool {
        matches!(self, End::Frozen | End::Stopped)
    }

    /// Whether the wait ends by its own time-out.
    pub fn is_deadline(self) -> bool {
        matches!(self, End::Deadline | End::DeadlineAwake)
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
            End::DeadlineAwake => Slice::Awake,
            End::Reset | End::OtherReset => Slice::Reset,
            End::Stop | End::SysfsStop | End::Drain => Slice::Stop,
            End::Removal => Slice::Removal,
            End::Frozen => Slice::Frozen,
            End::Stopped => Slice::Stopped,
            End::Join => Slice::Join,
            _ if matches!(self.want, Want::Added | Want::ClientAdded) => Slice::Join,
            _ if stream => Slice::Stream,
            _ if !self.want.is_of_process() => Slice::Kernel,
            _ if means.early => Slice::Early,
            _ if means.style == Style::Poll && self.node == Node::Duplex => Slice::TwoQueues,
            _ if means.name == "io-uring-multishot" => Slice::Multishot,
            _ => Slice::Process,
        }
    }
}
