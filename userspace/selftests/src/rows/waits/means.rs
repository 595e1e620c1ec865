// SPDX-License-Identifier: MIT OR Apache-2.0

//! The means: all ways to wait.

use std::sync::Arc;

use super::ground::Ground;
use super::outcome::Outcome;
use super::situation::{End, Node, Situation, Want};
use super::{aio, calls, driver_side, epolls, eventfds, library, polls, uring};

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
    /// A system call that moves something, or the drain.
    Call,
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

/// All of them.
pub const MEANS: &[Means] = &[
    new("poll", Style::Poll, POLL, polls::poll),
    new("select", Style::Select, SELECT, polls::select),
    new("epoll-level", Style::Poll, EPOLL, epolls::level),
    new("epoll-edge", Style::Poll, EPOLL, epolls::edge),
    new("epoll-one-shot", Style::Poll, EPOLL, epolls::one_shot),
    Means {
        early: true,
        ..new("epoll-level-early", Style::Poll, EPOLL, epolls::level)
    },
    Means {
        early: true,
        ..new("epoll-edge-early", Style::Poll, EPOLL, epolls::edge)
    },
    new(
        "io-uring-single",
        Style::Poll,
        &[libc::SYS_io_uring_enter],
        uring::single,
    ),
    new(
        "io-uring-multishot",
        Style::Poll,
        &[libc::SYS_io_uring_enter],
        uring::multishot,
    ),
    Means {
        early: true,
        ..new(
            "io-uring-multishot-early",
            Style::Poll,
            &[libc::SYS_io_uring_enter],
            uring::multishot_early,
        )
    },
    new(
        "aio-poll",
        Style::Poll,
        &[libc::SYS_io_getevents],
        aio::poll,
    ),
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
    new("drain", Style::Call, &[libc::SYS_ioctl], calls::drain),
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
        matches!(
            self.style,
            Style::Call | Style::Library | Style::Future | Style::DriverWait | Style::ClientWait
        )
    }

    /// Whether the cell of this means and a situation makes sense.
    pub fn applies(&self, situation: &Situation) -> bool {
        let Situation { node, want, end } = *situation;
        if self.early && !node.is_built_in() {
            return false;
        }
        let for_want = match self.style {
            Style::Poll | Style::Select => {
                matches!(want, Want::Entry | Want::Room | Want::Added)
            }
            Style::Call if self.name == "read" => want == Want::Entry,
            Style::Call if self.name == "write" => want == Want::Room,
            Style::Call => want == Want::Drained,
            Style::Eventfd | Style::PageEventfd | Style::Library | Style::Future => {
                matches!(want, Want::Entry | Want::Room)
            }
            Style::DriverWait => {
                !node.is_stream() && matches!(want, Want::DriverEntry | Want::DriverRoom)
            }
            Style::DriverCallback => matches!(want, Want::DriverEntry | Want::DriverRoom),
            Style::ClientWait | Style::ClientCallback => want == Want::ClientEntry,
        };
        for_want && self.can_see(end, node, want)
    }

    /// Whether the end is one that this means reports.
    fn can_see(&self, end: End, node: Node, want: Want) -> bool {
        let blocks = matches!(
            self.style,
            Style::Poll | Style::Select | Style::Eventfd | Style::PageEventfd | Style::Call
        );
        let kernel_wait = matches!(self.style, Style::DriverWait | Style::ClientWait);
        match end {
            // Level-triggered epoll reports until then that each call would fail.
            End::SetUp => self.early && self.name != "epoll-level-early",
            // The driver's wait for room can only be killed.
            End::Signal => blocks || (kernel_wait && want != Want::DriverRoom),
            End::Restart => self.style == Style::Call,
            // A callback has no time-out, and read(2) and write(2) have none either.
            End::Deadline => {
                let callback = matches!(self.style, Style::DriverCallback | Style::ClientCallback);
                let endless = callback || matches!(self.name, "read" | "write");
                !endless && (!node.is_stream() || want == Want::Drained)
            }
            // The set of exceptions shows no hang-up, for any file.
            End::Removal if self.style == Style::Select => want != Want::Added,
            // The driver's callbacks end with the session, and with the driver.
            End::Close => self.style == Style::DriverWait,
            End::Removal => self.style != Style::DriverCallback,
            // A future takes an entry that is there already, whatever the watermark is.
            End::Watermark | End::Flush | End::NoWatermark => self.style != Style::Future,
            // Whoever maps the queues learns of added buffers by joining, and not by an entry.
            End::Join => {
                want != Want::Room
                    || matches!(self.style, Style::Poll | Style::Select | Style::Call)
            }
            _ => true,
        }
    }
}
