// SPDX-License-Identifier: MIT OR Apache-2.0

//! F-07: a program of Rust's standard library, which knows nothing of iostream, on queues and
//! streams.

use std::fs::{read, write, File, OpenOptions};
use std::io::{copy, BufRead, BufReader, BufWriter, Read, Write};
use std::thread;

use rustix::io::Errno;

use crate::clause::Clause;
use crate::support::conventions::did;
use crate::support::driver::{entry, Driver};
use crate::support::waiting::wait_until;

pub const CLAUSES: &[Clause] = &[
    Clause::new("F-07/rust-std-reads-a-queue", reads_a_queue),
    Clause::new("F-07/rust-std-writes-a-queue", writes_a_queue),
    Clause::new("F-07/rust-std-reads-a-stream", reads_a_stream),
    Clause::new("F-07/rust-std-writes-a-stream", writes_a_stream),
];

/// What the driver sends as the text of a line, which begins with an A.
fn line(len: usize) -> String {
    let letters = String::from_utf8(entry(u64::from(b'A'), len)).unwrap();
    letters + "\n"
}

/// Sends a line in two entries, with an empty one between them.
fn send_line(driver: &Driver, len: usize) {
    driver.command(&format!("sequence {}", b'A'));
    driver.command(&format!("enqueue {len}"));
    driver.command("enqueue 0");
    driver.command(&format!("sequence {}", b'\n'));
    driver.command("enqueue 1");
}

fn reads_a_queue() {
    let driver = Driver::new(4096, 0);
    let mut file = BufReader::new(File::open(driver.path()).unwrap());
    for len in [3, 6, 9] {
        send_line(&driver, len);
    }
    for len in [3, 6, 9] {
        let mut text = String::new();
        assert_eq!(file.read_line(&mut text).unwrap(), len + 1);
        assert_eq!(text, line(len));
    }
    driver.command("sequence 0");
    driver.command("enqueue 100");
    driver.command("enqueue 200");
    let all = [entry(0, 100), entry(1, 200)].concat();
    let mut bytes = Vec::new();
    assert_eq!(file.by_ref().take(50).read_to_end(&mut bytes).unwrap(), 50);
    // The rest goes to a regular file, as the standard library copies between two files.
    let path = std::env::temp_dir().join(format!("rust-std-{}", std::process::id()));
    let mut target = File::create(&path).unwrap();
    assert_eq!(
        copy(&mut file.by_ref().take(250), &mut target).unwrap(),
        250
    );
    bytes.extend(read(&path).unwrap());
    assert_eq!(bytes, all);
    // Without a buffer of its own as well.
    let source = file.into_inner();
    driver.command("enqueue 300");
    let mut target = File::create(&path).unwrap();
    assert_eq!(copy(&mut (&source).take(300), &mut target).unwrap(), 300);
    assert_eq!(read(&path).unwrap(), entry(2, 300));
    std::fs::remove_file(&path).unwrap();
    // A queue has no end but that of its driver, which is an error after the last entry.
    driver.command("enqueue 7");
    driver.unpublish();
    let mut bytes = Vec::new();
    let error = (&source).read_to_end(&mut bytes).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::NODEV.raw_os_error()));
    assert_eq!(bytes, entry(3, 7));
    did("Rust: BufReader, io::copy", "output queue", "all entries");
}

fn writes_a_queue() {
    let driver = Driver::new(0, 65536);
    let mut file = OpenOptions::new().write(true).open(driver.path()).unwrap();
    // Each call of write is an entry.
    for byte in 1..4 {
        file.write_all(&[byte; 100]).unwrap();
    }
    assert_eq!((driver.count("drain 10"), driver.log("len")), (3, 300));
    assert_eq!(copy(&mut &[7; 300][..], &mut file).unwrap(), 300);
    assert_eq!((driver.count("drain 10"), driver.log("len")), (1, 300));
    // A writer that buffers makes one of several.
    let mut buffered = BufWriter::new(&file);
    for number in 0..10 {
        writeln!(buffered, "line {number}").unwrap();
    }
    assert_eq!(driver.count("drain 10"), 0);
    buffered.flush().unwrap();
    assert_eq!((driver.count("drain 10"), driver.log("len")), (1, 70));
    drop(buffered);
    file.sync_all().unwrap();
    did(
        "Rust: Write, io::copy, BufWriter",
        "input queue",
        "an entry a write",
    );
}

/// Sends a buffer of so many bytes, from this one on.
fn send(driver: &Driver, first: u8, len: usize) {
    driver.command("take");
    let id = driver.log("id");
    driver.command(&format!("fill {id} {first} 0 {len}"));
    driver.command(&format!("range {id} 0 {len}"));
    driver.command(&format!("send {id}"));
}

fn reads_a_stream() {
    let driver = Driver::stream("output 8 512");
    let mut file = BufReader::new(File::open(driver.path()).unwrap());
    thread::scope(|scope| {
        // The first read starts the stream.
        let reader = scope.spawn(|| {
            let lines = [3, 6, 9].map(|_| {
                let mut text = String::new();
                file.read_line(&mut text).unwrap();
                text
            });
            let mut bytes = Vec::new();
            file.by_ref().take(300).read_to_end(&mut bytes).unwrap();
            copy(&mut file.by_ref().take(300), &mut bytes).unwrap();
            // A stream that is stopped is at its end.
            let mut rest = Vec::new();
            file.read_to_end(&mut rest).unwrap();
            (lines, bytes, rest)
        });
        wait_until("running", || driver.shown("state") == "running");
        for len in [3, 6, 9] {
            send(&driver, b'A', len);
            send(&driver, b'\n', 1);
        }
        for first in [1, 2] {
            send(&driver, first, 400);
        }
        wait_until("taken", || {
            driver.command("queued");
            driver.log("queued_output") == 0
        });
        write(driver.sysfs().join("state"), "stopped").unwrap();
        let (lines, bytes, rest) = reader.join().unwrap();
        assert_eq!(lines, [3, 6, 9].map(line));
        let all = [entry(1, 400), entry(2, 400)].concat();
        assert_eq!(bytes, all[..600]);
        assert_eq!(rest, all[600..]);
    });
    did(
        "Rust: BufReader, io::copy, read_to_end",
        "output stream that is stopped",
        "all",
    );
}

fn writes_a_stream() {
    // More than all buffers hold together.
    let data: Vec<u8> = (0..50_000_u32).map(|i| i as u8).collect();
    let driver = Driver::stream("input 4 4096");
    let path = driver.path();
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut file = OpenOptions::new().write(true).open(path).unwrap();
            file.write_all(&data).unwrap();
            assert_eq!(copy(&mut &data[..], &mut file).unwrap(), 50_000);
            file.sync_all().unwrap();
        });
        let (mut bytes, mut sum) = (0, 0);
        while bytes < 100_000 {
            assert!(!writer.is_finished(), "{bytes} bytes");
            if driver.tell("receive").is_ok() {
                bytes += driver.log("len");
                sum += driver.log("sum");
                driver.command("release-all");
            }
        }
        writer.join().unwrap();
        assert_eq!(bytes, 100_000);
        assert_eq!(
            sum,
            2 * data.iter().map(|byte| u64::from(*byte)).sum::<u64>()
        );
    });
    did(
        "Rust: write_all, io::copy, sync_all",
        "input stream",
        "100000 bytes",
    );
}
