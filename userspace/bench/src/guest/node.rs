// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ours: the node of iostream_bench.ko, and the file that takes its commands.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use iostream::Session;
use iostream_bench::Result;

const CONTROL: &str = "/sys/kernel/debug/iostream_bench/control";

/// The outcome of the last command of a direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub entries: u64,
    pub sum: u64,
    pub time_ns: u64,
}

/// The control file, which stays open: each open and close would leave work that runs later, on any
/// processor, in the middle of a measurement.
fn control() -> Result<&'static File> {
    static OPEN: OnceLock<File> = OnceLock::new();
    if let Some(file) = OPEN.get() {
        return Ok(file);
    }
    let file = OpenOptions::new().read(true).write(true).open(CONTROL)?;
    Ok(OPEN.get_or_init(|| file))
}

/// Runs a command in the kernel, in this thread.
pub fn tell(command: &str) -> Result<()> {
    // The position in the file does not matter.
    control()?
        .write_all(command.as_bytes())
        .map_err(|error| format!("{command}: {error}").into())
}

/// The outcomes for the output queue and for the input queue.
pub fn done() -> Result<(Done, Done)> {
    let mut text = [0; 256];
    let len = control()?.read_at(&mut text, 0)?;
    let text = std::str::from_utf8(&text[..len])?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let mut next = || -> Result<u64> {
        let number = numbers.next().ok_or("the control file is too short")?;
        Ok(number?)
    };
    let mut read = || -> Result<Done> {
        Ok(Done {
            entries: next()?,
            sum: next()?,
            time_ns: next()?,
        })
    };
    Ok((read()?, read()?))
}

/// Publishes the node with queues of these sizes, 0 for none, and opens it.
pub fn open(output_bytes: u64, input_bytes: u64) -> Result<Session> {
    Ok(Session::open(publish(output_bytes, input_bytes)?)?)
}

/// Publishes the node with queues of these sizes, 0 for none; returns its path.
pub fn publish(output_bytes: u64, input_bytes: u64) -> Result<PathBuf> {
    tell(&format!("publish bench {output_bytes} {input_bytes}"))?;
    device_of(&find("bench")?)
}

/// Publishes nodes with an output queue of this size each; returns their paths.
pub fn publish_many(nodes: usize, output_bytes: u64) -> Result<Vec<PathBuf>> {
    tell(&format!("publish-many many {nodes} {output_bytes}"))?;
    (0..nodes)
        .map(|i| device_of(&find(&format!("many-{i}"))?))
        .collect()
}

const STREAM: &str = "bench-stream";

/// Publishes the stream with this number of buffers of this size; returns the path of its node.
pub fn publish_stream(buffers: usize, bytes: usize) -> Result<PathBuf> {
    tell(&format!("publish-stream {STREAM} {buffers} {bytes}"))?;
    device_of(&find(STREAM)?)
}

/// Starts the open stream.
pub fn start_stream() -> Result<()> {
    Ok(std::fs::write(find(STREAM)?.join("state"), "running")?)
}

/// The folder of a node in sysfs.
fn find(name: &str) -> Result<PathBuf> {
    for entry in std::fs::read_dir("/sys/class/iostream")? {
        let path = entry?.path();
        if std::fs::read_to_string(path.join("name"))?.trim() == name {
            return Ok(path);
        }
    }
    Err(format!("there is no node called {name}").into())
}

fn device_of(folder: &Path) -> Result<PathBuf> {
    let file = folder.file_name().ok_or("a node without a name")?;
    Ok(Path::new("/dev").join(file))
}
