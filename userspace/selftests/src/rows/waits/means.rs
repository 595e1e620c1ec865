// SPDX-License-Identifier: MIT OR Apache-2.0

//! The means: all ways to wait.

use std::sync::Arc;

use super::ground::Ground;
use super::outcome::Outcome;
use super::situation::{End, Node, Situation, Want};
use super::{aio, calls, driver_side, early, epolls, eventfds, library, polls, uring};

/// Waits once. It is made and called in the thread that waits.
pub type Wait = Box<dyn FnMut() -> Outcome>;

/// The kind of a means, which decides where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Reports events of a descriptor.
    Poll,
    /// select(2), which only reports sets.
    Select,
    /// An eventfd that the kernel arms.
    Eventfd,
    /// An eventfd, armed in the process's own page.
    PageEventfd,
    /// read(2) or write(2), or io_uring's request for one.
    Call,
    /// A call that waits until the driver has taken everything.
    Drain,
    /// A call in which a callback of the driver runs.
    Answer,
    /// `IOSTREAM_IOC_RUN`.
    Run,
    /// A wait of the crate.
    Library,
    /// A future of the crate.
    Future,
    /// A driver's wait.
    DriverWait,
    /// A driver's callback.
    DriverCallback,
    /// A wait of a client in the kernel.
    ClientWait,
    /// The callback of a client in the kernel.
    ClientCallback,
}

/// One way to wait.
pub struct Means {
    pub name: &'static str,
    pub style: Style,
    /// Whether it registers before the set-up of `/dev/iostream`.
    pub early: bool,
    /// The system calls in which the thread sleeps; none if no thread sleeps.
    pub calls: &'static [libc::c_long],
    /// Registers, and returns the wait.
    pub begin: fn(&Arc<Ground>) -> Wait,
}

const POLL: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
];
const SELECT: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    libc::SYS_pselect6,
];
const EPOLL: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
];

const URING: &[libc::c_long] = &[libc::SYS_io_uring_enter];
const AIO: &[libc::c_long] = &[libc::SYS_io_getevents];
const IOCTL: &[libc::c_long] = &[libc::SYS_ioctl];

const fn new(
    name: &'static str,
    style: Style,
    calls: &'static [libc::c_long],
    begin: fn(&Arc<Ground>) -> Wait,
) -> Means {
    Means {
        name,
        style,
        early: false,
        calls,
        begin,
    }
}

const fn early(
    name: &'static str,
    style: Style,
    calls: &'static [libc::c_long],
    begin: fn(&Arc<Ground>) -> Wait,
) -> Means {
    Means {
        early: true,
        ..new(name, style, calls, begin)
    }
}

/// All of them.
pub const MEANS: &[Means] = &[
    new("poll", Style::Poll, POLL, polls::poll),
    new("select", Style::Select, SELECT, polls::select),
    new("epoll-level", Style::Poll, EPOLL, epolls::level),
    new("epoll-edge", Style::Poll, EPOLL, epolls::edge),
    new("epoll-one-shot", Style::Poll, EPOLL, epolls::one_shot),
    new("io-uring-single", Style::Poll, URING, uring::single),
    new("io-uring-multishot", Style::Poll, URING, uring::multishot),
    new("aio-poll", Style::Poll, AIO, aio::poll),
    early("poll-early", Style::Poll, POLL, early::poll),
    early("select-early", Style::Select, SELECT, early::select),
    early("epoll-level-early", Style::Poll, EPOLL, epolls::level),
    early("epoll-edge-early", Style::Poll, EPOLL, epolls::edge),
    early("epoll-one-shot-early", Style::Poll, EPOLL, early::one_shot),
    early("io-uring-single-early", Style::Poll, URING, early::single),
    early(
        "io-uring-multishot-early",
        Style::Poll,
        URING,
        uring::multishot_early,
    ),
    early("aio-poll-early", Style::Poll, AIO, early::aio),
    new(
        "eventfd-kernel-arms",
        Style::Eventfd,
        POLL,
        eventfds::kernel,
    ),
    new(
        "eventfd-page-armed",
        Style::PageEventfd,
        POLL,
        eventfds::page,
    ),
    new("read", Style::Call, &[libc::SYS_read], calls::read),
    new("write", Style::Call, &[libc::SYS_write], calls::write),
    new("io-uring-read", Style::Call, URING, uring::read),
    new("io-uring-write", Style::Call, URING, uring::write),
    new("drain", Style::Drain, IOCTL, calls::drain),
    new("fsync", Style::Drain, &[libc::SYS_fsync], calls::fsync),
    new("close", Style::Drain, &[libc::SYS_close], calls::close),
    new("notice", Style::Answer, IOCTL, calls::notice),
    new("stop", Style::Answer, IOCTL, calls::stop),
    new("run", Style::Run, IOCTL, calls::run),
    new("crate", Style::Library, POLL, library::wait),
    new("tokio", Style::Future, EPOLL, library::future),
    new(
        "driver-wait",
        Style::DriverWait,
        &[libc::SYS_write],
        driver_side::wait,
    ),
    new(
        "driver-callback",
        Style::DriverCallback,
        &[],
        driver_side::callback,
    ),
    new(
        "kernel-client-wait",
        Style::ClientWait,
        &[libc::SYS_write],
        driver_side::client_wait,
    ),
    new(
        "kernel-client-callback",
        Style::ClientCallback,
        &[],
        driver_side::client_callback,
    ),
];

impl Means {
    /// Whether the process maps what it waits for. Buffers that join are ready to fill by write(2)
    /// alone, which needs a session without a mapping. Before the set-up there is nothing to map.
    pub fn maps(&self, situation: &Situation) -> bool {
        matches!(self.style, Style::Poll | Style::Select | Style::PageEventfd)
            && (situation.end, situation.want) != (End::Join, Want::Room)
            && situation.end != End::SetUp
    }

    /// Whether the outcome is that of a call, with an errno.
    pub fn is_call(&self) -> bool {
        use Style::{Answer, Call, ClientWait, Drain, DriverWait, Future, Library, Run};
        matches!(
            self.style,
            Call | Drain | Answer | Run | Library | Future | DriverWait | ClientWait
        )
    }

    /// Whether it is read(2), in whatever way.
    pub fn is_read(&self) -> bool {
        matches!(self.name, "read" | "io-uring-read")
    }

    /// Whether a handle of the crate waits.
    pub fn is_handle(&self) -> bool {
        matches!(self.style, Style::Library | Style::Future)
    }

    /// Whether it is a callback, for which no thread sleeps.
    fn is_callback(&self) -> bool {
        matches!(self.style, Style::DriverCallback | Style::ClientCallback)
    }

    /// Whether its system call fails with `EINTR` after SIGSTOP and SIGCONT, as signal(7) says, so
    /// that its caller calls again.
    pub fn is_called_again(&self) -> bool {
        [EPOLL, URING, AIO].contains(&self.calls)
    }

    /// Whether the cell of this means and a situation makes sense.
    pub fn applies(&self, situation: &Situation) -> bool {
        let Situation { node, want, end } = *situation;
        if self.early && !node.is_built_in() {
            return false;
        }
        let moves = matches!(want, Want::Entry | Want::Room);
        let for_want = match self.style {
            Style::Poll | Style::Select | Style::Eventfd => moves || want == Want::Added,
            Style::Call if self.is_read() => want == Want::Entry,
            Style::Call => want == Want::Room,
            Style::Drain => want == Want::Drained && (node.is_stream() || self.name != "drain"),
            Style::Answer => want == Want::Answer,
            Style::Run => want.is_of_run(),
            Style::PageEventfd => moves,
            // Whoever reads by copy has no future.
            Style::Future if node == Node::Overwriting => false,
            // A handle that reads and fills buffers takes both alike.
            Style::Library | Style::Future => {
                moves && (node, want) != (Node::StreamDuplex, Want::Room)
            }
            Style::DriverWait => {
                !node.is_stream() && matches!(want, Want::DriverEntry | Want::DriverRoom)
            }
            Style::DriverCallback => matches!(want, Want::DriverEntry | Want::DriverRoom),
            // It waits for a buffer to receive, and learns of added ones by its callback.
            Style::ClientWait => matches!(want, Want::ClientEntry | Want::ClientRoom),
            Style::ClientCallback => want.is_of_client(),
        };
        for_want && self.can_see(end, want)
    }

    /// Whether the end is one that this means reports.
    fn can_see(&self, end: End, want: Want) -> bool {
        let kernel_wait = matches!(self.style, Style::DriverWait | Style::ClientWait);
        // Only a fatal signal ends a close, and what it waits for is the driver's alone.
        let close = self.name == "close";
        match end {
            // The others report until then, or once, that each call would fail.
            End::SetUp => matches!(self.name, "epoll-edge-early" | "io-uring-multishot-early"),
            // The driver's wait for room can only be killed.
            End::Signal if kernel_wait => want != Want::DriverRoom,
            End::Signal => !(close || self.is_handle() || self.is_callback()),
            End::Restart => matches!(self.name, "read" | "write"),
            // A callback has no time-out, and these calls have none either.
            End::Deadline => {
                let endless = self.style == Style::Call || self.name == "fsync";
                !(endless || self.is_callback() || self.early)
            }
            // Those that sleep on a wait queue of the module's.
            End::DeadlineAwake => {
                kernel_wait || close || self.style == Style::Run || self.name == "drain"
            }
            // What becomes of a driver's own call is up to the driver.
            End::Frozen | End::Stopped => {
                !(close || kernel_wait || self.is_callback() || self.early)
            }
            // The session is closed already.
            End::Reset | End::Stop => !close,
            // The set of exceptions shows no hang-up, for any file.
            End::Removal if self.style == Style::Select => want != Want::Added,
            // The driver's callbacks end with the session, and with the driver.
            End::Close => self.style == Style::DriverWait,
            End::Removal => self.style != Style::DriverCallback,
            // These take an entry that is there already, whatever the watermark is, as each call does
            // that must not wait.
            End::Watermark | End::Flush | End::NoWatermark => {
                self.style != Style::Future && self.name != "io-uring-read"
            }
            // Whoever maps the queues learns of added buffers by joining, and not by an entry.
            End::Join => {
                want != Want::Room
                    || matches!(self.style, Style::Poll | Style::Select | Style::Call)
            }
            _ => true,
        }
    }
}
