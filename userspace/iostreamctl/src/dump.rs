// SPDX-License-Identifier: MIT OR Apache-2.0

//! Entries and buffers as people read them.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;

use crate::failure::{Failure, Result};

/// How many bytes a line of a hexadecimal dump has.
const LINE: usize = 16;

/// How bytes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// In hexadecimal and as characters, 16 bytes a line.
    Hex,
    /// As text; all other bytes as escapes such as \x00.
    Text,
}

/// Writes entries or buffers, each after a line with the time at which it was taken.
pub struct Dump {
    format: Format,
    /// The number of the next entry.
    next: u64,
}

impl Dump {
    /// Starts with entry 0.
    pub fn new(format: Format) -> Self {
        Self { format, next: 0 }
    }

    /// Writes an entry of a queue.
    pub fn entry(
        &mut self,
        out: &mut impl Write,
        bytes: &[u8],
        lost: u64,
        gap_bytes: u64,
    ) -> Result<()> {
        let mut head = format!("entry {}, {} bytes", self.next, bytes.len());
        self.next += 1;
        if lost > 0 {
            head.push_str(&format!(", after {lost} lost entries"));
        }
        if gap_bytes > 0 {
            head.push_str(&format!(", after {gap_bytes} overwritten bytes"));
        }
        self.write(out, &head, bytes)
    }

    /// Writes a buffer of a stream.
    pub fn frame(
        &mut self,
        out: &mut impl Write,
        bytes: &[u8],
        control: &[u8],
        frame: u64,
        lost: u64,
    ) -> Result<()> {
        let mut head = format!("frame {frame}, {} bytes", bytes.len());
        if lost > 0 {
            head.push_str(&format!(", after {lost} lost frames"));
        }
        self.write(out, &head, bytes)?;
        if control.is_empty() {
            return Ok(());
        }
        let mut text = format!("  control data, {} bytes\n", control.len());
        show(self.format, control, &mut text);
        out.write_all(text.as_bytes()).map_err(Failure::of_output)
    }

    fn write(&self, out: &mut impl Write, head: &str, bytes: &[u8]) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let text = shown(self.format, now.unwrap_or_default(), head, bytes);
        out.write_all(text.as_bytes()).map_err(Failure::of_output)
    }
}

/// An entry or buffer as lines, with the time of day in UTC.
fn shown(format: Format, now: Duration, head: &str, bytes: &[u8]) -> String {
    let seconds = now.as_secs() % 86400;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let micros = now.subsec_micros();
    let mut text = format!("{hour:02}:{minute:02}:{second:02}.{micros:06}Z {head}\n");
    show(format, bytes, &mut text);
    text
}

/// Appends bytes as lines.
fn show(format: Format, bytes: &[u8], text: &mut String) {
    match format {
        Format::Text => text.push_str(&format!("  {}\n", bytes.escape_ascii())),
        Format::Hex => {
            for (number, line) in bytes.chunks(LINE).enumerate() {
                let mut hex = String::new();
                let mut characters = String::new();
                for (i, byte) in line.iter().enumerate() {
                    if i == LINE / 2 {
                        hex.push(' ');
                    }
                    hex.push_str(&format!(" {byte:02x}"));
                    let shows = byte.is_ascii_graphic() || *byte == b' ';
                    characters.push(if shows { char::from(*byte) } else { '.' });
                }
                let offset = number * LINE;
                text.push_str(&format!("  {offset:04x} {hex:<49}  {characters}\n"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_boundaries() {
        let now = Duration::from_micros(3_723_000_005);
        let hex = shown(Format::Hex, now, "entry 7, 17 bytes", b"0123456789abcde\n~");
        let expected = "01:02:03.000005Z entry 7, 17 bytes\n  \
            0000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 0a  0123456789abcde.\n  \
            0010  7e                                                ~\n";
        assert_eq!(hex, expected);
        let text = shown(Format::Text, now, "entry 8, 4 bytes", b"a\x00\n\"");
        assert_eq!(text, "01:02:03.000005Z entry 8, 4 bytes\n  a\\x00\\n\\\"\n");
        let empty = shown(Format::Hex, now, "entry 9, 0 bytes", b"");
        assert_eq!(empty.lines().count(), 1);
    }

    #[test]
    fn losses_are_shown() {
        let mut out = Vec::new();
        let mut dump = Dump::new(Format::Text);
        dump.entry(&mut out, b"a", 3, 0).unwrap();
        dump.entry(&mut out, b"b", 0, 40).unwrap();
        dump.frame(&mut out, b"c", b"d\0", 9, 2).unwrap();
        let text = String::from_utf8(out).unwrap();
        for part in [
            "entry 0, 1 bytes, after 3 lost entries\n",
            "entry 1, 1 bytes, after 40 overwritten bytes\n",
            "frame 9, 1 bytes, after 2 lost frames\n  c\n  control data, 2 bytes\n  d\\x00\n",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
