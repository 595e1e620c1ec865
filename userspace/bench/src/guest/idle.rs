// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-17: what a consumer costs that waits for entries which do not come: its wake-ups a second.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use iostream_bench::bpf::Bpf;
use iostream_bench::flow::PATIENCE;
use iostream_bench::Result;
use libbpf_rs::RingBufferBuilder;

use crate::node;

/// How long it is watched.
const WATCHED: Duration = Duration::from_secs(5);
const QUEUE_BYTES: u64 = 4096;

/// The threads of a process, as folders in /proc.
fn threads_of(process: u32) -> Result<Vec<PathBuf>> {
    let folder = format!("/proc/{process}/task");
    let mut threads = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        threads.push(entry?.path());
    }
    Ok(threads)
}

/// This thread, as a folder in /proc.
fn this_thread() -> PathBuf {
    let thread = rustix::thread::gettid().as_raw_nonzero();
    PathBuf::from(format!("/proc/self/task/{thread}"))
}

/// How often a thread has gone to sleep.
fn sleeps(thread: &Path) -> Result<u64> {
    let status = std::fs::read_to_string(thread.join("status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    Ok(line.ok_or("no count of switches")?.trim().parse()?)
}

fn is_asleep(thread: &Path) -> Result<bool> {
    let status = std::fs::read_to_string(thread.join("status"))?;
    Ok(status.lines().any(|line| line.starts_with("State:\tS")))
}

/// The wake-ups a second of threads that have nothing to do, once they sleep.
fn wake_ups(threads: &[PathBuf]) -> Result<f64> {
    let begun = Instant::now();
    for thread in threads {
        while !is_asleep(thread)? {
            if begun.elapsed() > PATIENCE {
                return Err("it does not fall asleep".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let count = || -> Result<u64> {
        let mut sum = 0;
        for thread in threads {
            sum += sleeps(thread)?;
        }
        Ok(sum)
    };
    // What it has begun before it waits is over.
    std::thread::sleep(Duration::from_millis(500));
    let before = count()?;
    std::thread::sleep(WATCHED);
    Ok((count()? - before) as f64 / WATCHED.as_secs_f64())
}

/// Watches a thread that runs `wait` until `end` has been called.
fn watch(
    wait: impl FnOnce() -> Result<()> + Send,
    end: impl FnOnce() -> Result<()>,
) -> Result<f64> {
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        let waiter = scope.spawn(move || {
            // The receiver is there until the scope ends.
            let _ = sender.send(this_thread());
            wait()
        });
        let found = wake_ups(&[receiver.recv()?]);
        end()?;
        waiter.join().map_err(|_| "the waiter panicked")??;
        found
    })
}

/// Lets the driver make the entry that ends a wait.
fn end_wait() -> Result<()> {
    node::tell("produce 1 8 1 0")
}

/// A thread in `Consumer::dequeue_wait`.
pub fn by_crate() -> Result<f64> {
    let session = node::open(QUEUE_BYTES, 0)?;
    let mut consumer = session.consumer()?;
    watch(
        move || {
            consumer.dequeue_wait(None)?;
            Ok(())
        },
        end_wait,
    )
}

/// A task of tokio in `AsyncConsumer::dequeue`.
pub fn by_tokio() -> Result<f64> {
    let session = node::open(QUEUE_BYTES, 0)?;
    let consumer = session.consumer()?;
    watch(
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()?;
            runtime.block_on(async move {
                consumer.into_async()?.dequeue().await?;
                Ok(())
            })
        },
        end_wait,
    )
}

/// A process that is killed when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `iostreamctl recv`, with all its threads.
pub fn by_command() -> Result<f64> {
    let path = node::publish(QUEUE_BYTES, 0)?;
    let child = Command::new("iostreamctl")
        .arg("recv")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("iostreamctl: {error}"))?;
    let child = Killed(child);
    // All its threads are there once it has opened the node.
    std::thread::sleep(Duration::from_secs(1));
    wake_ups(&threads_of(child.0.id())?)
}

/// The peer: a thread in `ring_buffer__poll` without a time-out.
pub fn by_bpf() -> Result<f64> {
    let bpf = Bpf::load(QUEUE_BYTES, 8)?;
    let (ring, program) = (bpf.map("ring")?, bpf.produce(8)?);
    watch(
        move || {
            let mut builder = RingBufferBuilder::new();
            builder.add(&ring, |_| 0)?;
            // -1 is no time-out; a duration has no such value.
            match builder.build()?.poll_raw(Duration::MAX) {
                error if error < 0 => Err(std::io::Error::from_raw_os_error(-error).into()),
                _ => Ok(()),
            }
        },
        move || {
            let mut work = iostream_bench::bpf::Work::new(1, 1, iostream_bench::bpf::ADAPTIVE);
            program.run(&mut work)
        },
    )
}
