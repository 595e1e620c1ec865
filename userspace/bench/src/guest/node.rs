// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ours: the node of iostream_bench.ko, and the file through which it is told what to do.

use std::fs::OpenOptions;
use std::io::Write;

use iostream::Session;
use iostream_bench::Result;

const CONTROL: &str = "/sys/kernel/debug/iostream_bench/control";

/// What the last command of a direction did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub entries: u64,
    pub sum: u64,
    pub time_ns: u64,
}

/// Does a command, in the kernel, in this thread.
pub fn tell(command: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(CONTROL)?;
    file.write_all(command.as_bytes())
        .map_err(|error| format!("{command}: {error}").into())
}

/// What was done: of the output queue, of the input queue.
pub fn done() -> Result<(Done, Done)> {
    let text = std::fs::read_to_string(CONTROL)?;
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

/// Publishes the node with queues of these sizes and opens it; 0: none.
pub fn open(output_bytes: u64, input_bytes: u64) -> Result<Session> {
    open_named("bench", output_bytes, input_bytes)
}

fn open_named(name: &str, output_bytes: u64, input_bytes: u64) -> Result<Session> {
    tell(&format!("publish {name} {output_bytes} {input_bytes}"))?;
    for entry in std::fs::read_dir("/sys/class/iostream")? {
        let entry = entry?;
        let found = std::fs::read_to_string(entry.path().join("name"))?;
        if found.trim() == name {
            return Ok(Session::open(
                std::path::Path::new("/dev").join(entry.file_name()),
            )?);
        }
    }
    Err(format!("there is no node called {name}").into())
}

/// The sum of the numbers of so many entries.
pub fn sum_of(count: u64) -> u64 {
    (u128::from(count) * u128::from(count.saturating_sub(1)) / 2) as u64
}
