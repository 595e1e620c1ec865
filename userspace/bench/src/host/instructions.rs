// SPDX-License-Identifier: MIT OR Apache-2.0

//! N-4: instructions for one item in and out again, counted with callgrind.
//!
//! The program runs itself under callgrind, which counts only inside the named function. The
//! difference between two runs of different length is due to the items.

use std::hint::black_box;
use std::process::Command;

use iostream_bench::Result;

use iostream_ring::Slots;

use super::memory::RingMemory;

const SHORT: u64 = 10_000;
const LONG: u64 = 20_000;

/// The ring with entries of one length.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_count_queue(count: u64) {
    let memory = RingMemory::new(65536).expect("memory");
    // SAFETY: The only call for this memory, which outlives both ends.
    let (mut producer, mut consumer) = unsafe { memory.ends::<Slots<8>>() };
    for item in 0..count {
        let bytes = black_box(item).to_ne_bytes();
        producer.push_and_publish(&bytes).expect("room");
        let item = consumer.pop_array_and_publish().expect("an item");
        black_box(u64::from_ne_bytes(item));
    }
}

/// rtrb.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_count_rtrb(count: u64) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<u64>::new(4096);
    for item in 0..count {
        producer.push(black_box(item)).expect("room");
        black_box(consumer.pop().expect("an item"));
    }
}

const FUNCTIONS: [(&str, extern "C" fn(u64)); 2] = [
    ("bench_count_queue", bench_count_queue),
    ("bench_count_rtrb", bench_count_rtrb),
];

/// Runs a function by its name; the process runs under callgrind.
pub fn run(name: &str, count: u64) -> Result<()> {
    let (_, function) = FUNCTIONS
        .into_iter()
        .find(|(known, _)| *known == name)
        .ok_or("no such function")?;
    function(count);
    Ok(())
}

/// Instructions for one item.
pub fn count(name: &str) -> Result<f64> {
    let more = collected(name, LONG)? - collected(name, SHORT)?;
    Ok(more as f64 / (LONG - SHORT) as f64)
}

fn collected(name: &str, count: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={name}"))
        .arg(std::env::current_exe()?)
        .args(["count", name, &count.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let number = text
        .lines()
        .find_map(|line| line.split("Collected :").nth(1))
        .ok_or_else(|| format!("callgrind did not count: {text}"))?;
    Ok(number.trim().parse()?)
}
