// SPDX-License-Identifier: MIT OR Apache-2.0

//! G-13: the time that one read(2) or write(2) of one entry takes, in nanoseconds.
//!
//! Nobody else runs: the entries are there before they are read, and stay when they are written.

use std::fs::File;
use std::io::{Read, Write};
use std::time::Instant;

use iostream_bench::flow::{number_of, sum_of};
use iostream_bench::{pin_to, Result};
use rustix::pipe::{fcntl_setpipe_size, pipe};

use crate::node;

/// Bytes of an entry.
const ENTRY_BYTES: usize = 64;
/// Entries of a measurement: they fit into each of the queues.
const ENTRIES: u64 = 8000;
const QUEUE_BYTES: u64 = 1 << 20;
const CPU: usize = 1;

/// The time of each of `ENTRIES` reads, whose entries have the numbers from 0.
fn by_reading(file: &mut File) -> Result<f64> {
    let mut buffer = [0; ENTRY_BYTES];
    let mut sum = 0u64;
    let begun = Instant::now();
    for _ in 0..ENTRIES {
        if file.read(&mut buffer)? != ENTRY_BYTES {
            return Err("a short read".into());
        }
        sum = sum.wrapping_add(number_of(&buffer));
    }
    let time = begun.elapsed();
    check(sum)?;
    Ok(time.as_secs_f64() * 1e9 / ENTRIES as f64)
}

/// The time of each of `ENTRIES` writes, whose entries have the numbers from 0.
fn by_writing(file: &mut File) -> Result<f64> {
    let mut entry = [0; ENTRY_BYTES];
    let begun = Instant::now();
    for number in 0..ENTRIES {
        entry[..8].copy_from_slice(&number.to_ne_bytes());
        if file.write(&entry)? != ENTRY_BYTES {
            return Err("a short write".into());
        }
    }
    Ok(begun.elapsed().as_secs_f64() * 1e9 / ENTRIES as f64)
}

fn check(sum: u64) -> Result<()> {
    if sum == sum_of(ENTRIES) {
        return Ok(());
    }
    Err("the entries did not arrive as sent".into())
}

/// Reads and checks what was written.
fn read_back(mut file: impl Read) -> Result<()> {
    let mut all = vec![0; ENTRIES as usize * ENTRY_BYTES];
    file.read_exact(&mut all)?;
    check(all.chunks_exact(ENTRY_BYTES).map(number_of).sum())
}

/// read(2) of our queue.
pub fn read_of_ours() -> Result<f64> {
    pin_to(CPU)?;
    let mut file = File::open(node::publish(QUEUE_BYTES, 0)?)?;
    node::tell(&format!("produce {ENTRIES} {ENTRY_BYTES} 500 0"))?;
    by_reading(&mut file)
}

/// write(2) to our queue.
pub fn write_to_ours() -> Result<f64> {
    pin_to(CPU)?;
    let path = node::publish(0, QUEUE_BYTES)?;
    let mut file = File::options().write(true).open(path)?;
    let time = by_writing(&mut file)?;
    node::tell(&format!("consume {ENTRIES} 500 0"))?;
    check(node::done()?.1.sum)?;
    Ok(time)
}

fn wide_pipe() -> Result<(File, File)> {
    let (reader, writer) = pipe()?;
    fcntl_setpipe_size(&writer, QUEUE_BYTES as usize)?;
    Ok((File::from(reader), File::from(writer)))
}

/// read(2) of a pipe.
pub fn read_of_pipe() -> Result<f64> {
    pin_to(CPU)?;
    let (mut reader, mut writer) = wide_pipe()?;
    by_writing(&mut writer)?;
    by_reading(&mut reader)
}

/// write(2) to a pipe.
pub fn write_to_pipe() -> Result<f64> {
    pin_to(CPU)?;
    let (reader, mut writer) = wide_pipe()?;
    let time = by_writing(&mut writer)?;
    read_back(reader)?;
    Ok(time)
}

/// read(2) of a device with a kfifo.
pub fn read_of_kfifo() -> Result<f64> {
    const DEVICE: &str = "/dev/iostream-bench-kfifo";
    pin_to(CPU)?;
    let mut driver = File::options().write(true).open(DEVICE)?;
    let mut device = File::open(DEVICE)?;
    driver.write_all(format!("{ENTRIES} {ENTRY_BYTES}").as_bytes())?;
    by_reading(&mut device)
}

/// write(2) to a device with a kfifo.
pub fn write_to_kfifo() -> Result<f64> {
    pin_to(CPU)?;
    let mut device = File::options()
        .read(true)
        .write(true)
        .open("/dev/iostream-bench-kfifo-input")?;
    let time = by_writing(&mut device)?;
    read_back(device)?;
    Ok(time)
}
