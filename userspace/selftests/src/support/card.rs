// SPDX-License-Identifier: MIT OR Apache-2.0

//! QEMU's edu card and its driver, iostream_edu.ko.

use std::fs::{read_dir, read_to_string, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use iostream_raw::{node_called, page, page_len, Descriptor, Random, Session, Stream};
use rustix::fs::OFlags;
use rustix::io::{Errno, Result};

use crate::clause::skip;
use crate::support::waiting::wait_until;

const MODULE: &str = "iostream_edu";
const PATH: &str = "/lib/modules/iostream/iostream_edu.ko";
const PCI: &str = "/sys/bus/pci";
const DEBUG: &str = "/sys/kernel/debug/iostream_edu";
/// Bytes of a transfer.
pub const TRANSFER: usize = 4096;

/// Where the card is in sysfs, if the machine has one.
pub fn device() -> Option<PathBuf> {
    let devices = read_dir(Path::new(PCI).join("devices")).expect("PCI");
    let is = |device: &Path, file: &str, id: &str| {
        read_to_string(device.join(file)).is_ok_and(|found| found.trim() == id)
    };
    devices
        .map(|entry| entry.unwrap().path())
        .find(|device| is(device, "vendor", "0x1234") && is(device, "device", "0x11e8"))
}

/// The card's name on the PCI bus, if the machine has one.
pub fn name() -> Option<String> {
    Some(device()?.file_name()?.to_str()?.to_owned())
}

/// Writes to a file of the PCI bus in sysfs.
#[track_caller]
pub fn pci(file: &str, text: &str) {
    try_pci(file, text).unwrap_or_else(|error| panic!("{file}: {error}"));
}

/// Writes to a file of the PCI bus in sysfs, which may be gone.
///
/// # Errors
///
/// Those of open(2) and write(2).
pub fn try_pci(file: &str, text: &str) -> Result<()> {
    let open = OpenOptions::new()
        .write(true)
        .open(Path::new(PCI).join(file));
    let done = open.and_then(|mut file| file.write_all(text.as_bytes()));
    done.map_err(|error| Errno::from_io_error(&error).expect("the system's error"))
}

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program)
        .args(arguments)
        .output()
        .expect(program);
    assert!(done.status.success(), "{done:?}");
}

/// Unloads the driver.
pub fn unload() {
    run("rmmod", &[MODULE]);
}

/// The card. Its driver stays loaded until this is dropped.
pub struct Card(());

impl Drop for Card {
    fn drop(&mut self) {
        if device().is_none() {
            pci("rescan", "1");
        }
        if Self::is_loaded() {
            unload();
        }
    }
}

impl Card {
    /// Skips the clause where there is no card.
    pub fn new() -> Self {
        if device().is_none() {
            skip("this machine has no edu card");
        }
        if Self::is_loaded() {
            // A failed clause left it loaded.
            unload();
        }
        let card = Self(());
        card.load();
        card
    }

    /// Loads the driver and waits for the card's node.
    pub fn load(&self) {
        self.insert_module();
        self.wait_node();
    }

    /// Whether the driver is loaded.
    pub fn is_loaded() -> bool {
        Path::new("/sys/module").join(MODULE).exists()
    }

    /// Loads the driver, even if it refuses the card.
    pub fn insert_module(&self) {
        run("insmod", &[PATH]);
    }

    /// Loads the driver anew with a parameter, even if it refuses the card.
    pub fn insert_with(&self, parameter: &str) {
        if Self::is_loaded() {
            unload();
        }
        run("insmod", &[PATH, parameter]);
    }

    /// Waits until the driver has found the card.
    pub fn wait_node(&self) {
        // The node appears in /dev a moment after sysfs.
        let is_there = || self.node().is_some_and(|node| node.exists());
        wait_until("the card's node is there", is_there);
    }

    /// The card's node.
    pub fn node(&self) -> Option<PathBuf> {
        node_called("edu")
    }

    /// Opens the stream and maps all of it.
    pub fn open(&self) -> Stream {
        let node = self.node().expect("the card's node");
        Stream::new(Session::open(node, OFlags::RDWR).expect("open the card's stream"))
    }

    /// One of the driver's counters.
    pub fn counter(&self, key: &str) -> u64 {
        let text = read_to_string(Path::new(DEBUG).join("counters")).expect("counters");
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        let line = lines.find(|(found, _)| *found == key);
        line.expect("a counter").1.parse().unwrap()
    }

    /// The card's transfers, oldest first.
    pub fn transfers(&self) -> Vec<Transfer> {
        let text = read_to_string(Path::new(DEBUG).join("transfers")).expect("transfers");
        text.lines().map(Transfer::parse).collect()
    }
}

/// One transfer of the card's engine, as the driver asked for it.
#[derive(Debug)]
pub struct Transfer {
    pub to_card: bool,
    pub buffer: u32,
    /// Where it begins in the buffer's data.
    pub offset: usize,
    /// The address that the card was given.
    pub address: u64,
    pub len: usize,
}

impl Transfer {
    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [way, buffer, offset, address, len] = words[..] else {
            panic!("{line}");
        };
        Self {
            to_card: match way {
                "to-card" => true,
                "from-card" => false,
                _ => panic!("{line}"),
            },
            buffer: buffer.parse().unwrap(),
            offset: offset.parse().unwrap(),
            address: u64::from_str_radix(address.trim_start_matches("0x"), 16).unwrap(),
            len: len.parse().unwrap(),
        }
    }
}

/// The physical address behind an address of this process.
pub fn physical(address: usize) -> u64 {
    use std::os::unix::fs::FileExt;
    let pagemap = std::fs::File::open("/proc/self/pagemap").expect("pagemap");
    let mut entry = [0; 8];
    let at = (address / page_len() * 8) as u64;
    pagemap.read_exact_at(&mut entry, at).expect("pagemap");
    let entry = u64::from_ne_bytes(entry);
    assert!(entry >> 63 == 1, "no page is there");
    let frame = entry & ((1 << 55) - 1);
    assert_ne!(frame, 0, "the frame is hidden from this process");
    frame * page() + (address % page_len()) as u64
}

/// Starts a stream and returns the empty buffers that the driver sends.
pub fn start_empty(stream: &mut Stream) -> Vec<u32> {
    stream.session.start().expect("start");
    let empty = stream.take_all();
    assert_eq!(empty.len() as u32, stream.count - 1);
    assert!(empty.iter().all(|descriptor| descriptor.data_len == 0));
    empty.iter().map(|descriptor| descriptor.buffer).collect()
}

/// Sends random bytes in a buffer, and returns them.
pub fn send_random(
    stream: &mut Stream,
    random: &mut Random,
    buffer: u32,
    offset: usize,
    len: usize,
) -> Vec<u8> {
    let bytes: Vec<u8> = (0..len).map(|_| random.next_u64() as u8).collect();
    stream.write(buffer, offset, &bytes);
    stream.send(Descriptor {
        buffer,
        data_offset: offset as u32,
        data_len: len as u32,
        ..Default::default()
    });
    bytes
}
