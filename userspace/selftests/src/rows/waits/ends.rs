// SPDX-License-Identifier: MIT OR Apache-2.0

//! How the end of a wait is prepared and caused.

use std::fs::write;
use std::time::{Duration, Instant};

use iostream_raw::{echo, page, page_len, INPUT, OUTPUT};
use iostream_ring::uapi::{IOSTREAM_IOC_READ_MODE, IOSTREAM_NOTIFY_FLUSH};
use rustix::event::PollFlags;
use rustix::io::Errno;

use super::ground::{bound, Ground, Mapped, ENTRY};
use super::means::{Means, Style};
use super::outcome::{Expected, Outcome};
use super::situation::{End, Node, Situation, Want};
use super::waiter::Waiter;
use crate::support::interrupter::interrupter;
use crate::support::race::RacePoint;
use crate::support::waiting::wait_until;

/// A wait has outlived its deadline once there were so many kicks, and so much time has passed: a
/// machine that stands still for seconds lets time pass but does not kick.
const KICKS: usize = 5000;
const LONG: Duration = Duration::from_secs(5);

/// Entries that make up a quarter of the queue: a driver's wait for room ends when it is free.
fn quarter() -> usize {
    page_len() / 4 / 32
}

/// Sets the watermark, and queues what must not wake anyone yet.
pub fn prepare(ground: &Ground) {
    let Some((bytes, latency_ns)) = ground.watermark() else {
        return;
    };
    let driver = ground.situation.want == Want::DriverEntry;
    if driver {
        ground
            .driver()
            .command(&format!("watermark {bytes} {latency_ns}"));
        ground
            .driver()
            .fails(&format!("dequeue {ENTRY}"), Errno::NODATA);
    } else {
        ground
            .session()
            .watermark(bytes, latency_ns)
            .expect("watermark");
    }
    if matches!(
        ground.situation.end,
        End::Watermark | End::Flush | End::NoWatermark
    ) {
        comes(ground);
    }
}

/// Brings one piece of what is waited for.
fn comes(ground: &Ground) {
    let stream = ground.situation.node.is_stream();
    match ground.situation.want {
        Want::Entry | Want::ClientEntry => ground.produce(),
        Want::Room | Want::ClientRoom => ground.make_room(),
        Want::Added | Want::ClientAdded => ground.driver().command("add 1"),
        Want::Drained if stream => ground.driver().command("consume 2"),
        Want::Drained => ground.driver().command("drain 2"),
        Want::Answer => ground.driver().command("release-callbacks"),
        Want::DriverEntry | Want::RunEntry => ground.session().write_entry(&[5; ENTRY]),
        Want::DriverRoom | Want::RunRoom => {
            (0..quarter()).for_each(|_| drop(ground.session().read_entry()));
        }
    }
}

fn comes_mapped(ground: &Ground) {
    ground.map();
    ground.with_mapped(|mapped, session| match mapped {
        Mapped::Output(output) => {
            for _ in 0..quarter() {
                output.take_and_notify(session).expect("an entry");
            }
        }
        Mapped::Input(input) => assert!(input.push(session, &[6; ENTRY]), "there is room"),
        Mapped::Stream(_) => panic!("a queue's end"),
    });
}

/// Causes the end of a wait that sleeps.
pub fn cause(ground: &Ground, waiter: &Waiter) {
    let Situation { want, end, .. } = ground.situation;
    match end {
        End::SetUp => ground.session().setup(echo(page())).expect("set-up"),
        End::Comes | End::Watermark | End::Timer => comes(ground),
        End::ComesMapped => comes_mapped(ground),
        End::Flush if want == Want::Entry => ground.driver().command("flush"),
        End::Flush => ground
            .session()
            .notify(INPUT | IOSTREAM_NOTIFY_FLUSH)
            .expect("notify"),
        // Entries of 100 bytes occupy 112, so that the queue is full before the watermark.
        End::Full => ground.driver().command("fill 100"),
        End::NoWatermark => ground.session().watermark(0, 0).expect("watermark"),
        End::Reset => reset(ground),
        End::OtherReset => ground.session().reset(OUTPUT).expect("reset"),
        End::Stop => drop(ground.session().stop().expect("stop")),
        End::SysfsStop => write(ground.driver().sysfs().join("state"), "stopped").expect("sysfs"),
        End::Drain => {
            if ground.situation.node == Node::StreamDuplex {
                // Takes the buffer that the page-armed eventfd has used up.
                let _ = ground.driver().tell("receive");
            }
            let _ = ground.session().drain(0).expect("drain");
        }
        End::Join => {
            ground.driver().command("add 2");
            // Added buffers wake all, and most sleep again: only the joining may end the wait.
            waiter.wait_asleep();
            ground.session().stream();
        }
        End::Close => ground.close(),
        End::Removal => ground.driver().unpublish(),
        End::Signal => waiter.signal(libc::SIGUSR1),
        End::Restart => {
            waiter.signal(libc::SIGUSR2);
            waiter.wait_asleep();
            comes(ground);
        }
        End::Deadline => keep_busy(ground, waiter),
        End::DeadlineAwake => hold_awake(ground, waiter),
        End::Frozen | End::Stopped => {
            match end {
                End::Frozen => interrupter().freeze(),
                _ => interrupter().stop(),
            }
            // A call that Linux ends then is made once more when its outcome is looked at.
            if !waiter.means().is_called_again() {
                waiter.wait_asleep();
            }
            comes(ground);
        }
    }
}

fn reset(ground: &Ground) {
    let direction = match ground.situation.want {
        Want::Entry | Want::DriverRoom | Want::RunRoom => OUTPUT,
        _ => INPUT,
    };
    // A call that has just looked at the queue makes it busy.
    let start = Instant::now();
    while let Err(error) = ground.session().reset(direction) {
        assert_eq!(error, Errno::BUSY);
        assert!(start.elapsed() < bound(), "the queue stays busy");
    }
    match ground.situation.want {
        Want::Entry => ground.produce(),
        Want::DriverEntry | Want::RunEntry => ground.session().write_entry(&[7; ENTRY]),
        // The reset itself makes room.
        _ => {}
    }
}

/// Keeps the other direction busy, and kicks the driver, until the wait has ended.
///
/// # Panics
///
/// If the wait goes on as long as the kicks do.
fn keep_busy(ground: &Ground, waiter: &Waiter) {
    let start = Instant::now();
    let mut kicks = 0;
    while kicks < KICKS || start.elapsed() < LONG {
        if waiter.has_ended() {
            return;
        }
        kicks += 1;
        kick(ground, waiter.means());
        // No pause: a wait that always begins another jiffy must not get one without a kick.
        std::thread::yield_now();
    }
    panic!("the deadline is over, and the wait goes on as long as others are busy");
}

/// Wakes the wait for nothing, and holds it while it looks, until its time-out is over.
fn hold_awake(ground: &Ground, waiter: &Waiter) {
    let start = Instant::now();
    let point = RacePoint::set("looked");
    if ground.situation.want == Want::Drained {
        // One of two: whoever drains finds the other. A session that closes hears nothing else.
        let stream = ground.situation.node.is_stream();
        let take = if stream { "consume 1" } else { "drain 1" };
        ground.driver().command(take);
    }
    wait_until("it looks", || {
        kick(ground, waiter.means());
        point.is_held()
    });
    wait_until("its time-out is over", || {
        start.elapsed() > ground.timeout()
    });
}

/// Lets whatever waits look once more, and find nothing.
fn kick(ground: &Ground, means: &Means) {
    let Situation { node, want, .. } = ground.situation;
    let eventfd = matches!(means.style, Style::Eventfd | Style::PageEventfd);
    if node.is_stream() && !eventfd {
        // Wakes the client, for nothing.
        let _ = ground.driver().tell("notify");
    }
    let Some(session) = ground.open_session() else {
        return;
    };
    // Wakes all that sleep in calls of the session.
    session
        .pass_number(IOSTREAM_IOC_READ_MODE, 0)
        .expect("IOSTREAM_IOC_READ_MODE");
    for direction in [INPUT, OUTPUT] {
        match session.notify(direction) {
            Ok(()) | Err(Errno::NXIO) => {}
            Err(error) => panic!("IOSTREAM_IOC_NOTIFY: {error}"),
        }
    }
    if node == Node::Duplex {
        if matches!(want, Want::Entry | Want::DriverRoom) {
            let _ = session.write(&[8; ENTRY]);
            let _ = ground.driver().tell(&format!("dequeue {ENTRY}"));
        } else if want == Want::Room {
            let _ = ground.driver().tell(&format!("enqueue {ENTRY}"));
            let _ = session.read(&mut [0; ENTRY]);
        }
    }
}

/// What the means of a cell must report.
pub fn expected(means: &Means, situation: Situation) -> Expected {
    let Situation { want, end, .. } = situation;
    let events = match want {
        Want::Room => PollFlags::OUT,
        Want::Added => PollFlags::PRI,
        _ => PollFlags::IN,
    };
    let handle = means.is_handle();
    let done = (events, Outcome::Done);
    let failed = |errno| (events, Outcome::Failed(errno));
    let stops = matches!(end, End::Stop | End::SysfsStop | End::Drain);
    let (events, other) = match end {
        // A close has no result.
        _ if means.name == "close" => done,
        // A handle of the crate belongs to one generation of the queue.
        End::Reset if handle => failed(Errno::STALE),
        // The end of a stream is read as an end of file.
        _ if stops && means.is_read() => done,
        // The stop returns the buffers that were sent: a handle takes them from the queue, and
        // nothing is left that the driver has not taken.
        _ if stops && handle && want == Want::Room => done,
        _ if stops && want == Want::ClientRoom => done,
        _ if stops && means.name == "fsync" => done,
        _ if stops && means.name == "drain" => failed(Errno::ALREADY),
        _ if stops && means.is_call() => failed(Errno::SHUTDOWN),
        End::Close => failed(Errno::NOTCONN),
        End::Removal if means.style == Style::Select => done,
        End::Removal if means.is_call() => (PollFlags::HUP, Outcome::Failed(Errno::NODEV)),
        End::Removal => (PollFlags::HUP, Outcome::Done),
        End::Signal => failed(Errno::INTR),
        End::Deadline | End::DeadlineAwake => (PollFlags::empty(), Outcome::TimedOut),
        _ => done,
    };
    Expected { events, other }
}
