// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bytes as lines of hexadecimal digits, for scripts and for people: `0a ff`.

use std::io::{self, BufRead, Read};

/// What is wrong with a line.
#[derive(Debug)]
pub enum Wrong {
    /// It cannot be read.
    File(io::Error),
    /// It has something else than pairs of hexadecimal digits, with or without spaces between them.
    NotHex,
    /// It has more bytes than are allowed.
    TooLong,
}

/// Reads a line into `bytes`. Returns `false` at the end. An empty line means no bytes.
pub fn read_line(
    reader: &mut impl BufRead,
    max: usize,
    bytes: &mut Vec<u8>,
) -> Result<bool, Wrong> {
    bytes.clear();
    // Two digits and a space for each byte, and the end of the line. A line of a DOS file has one
    // more. What is longer is not read to its end, since it may have none.
    let most = (max as u64).saturating_mul(3).saturating_add(3);
    let mut line = Vec::new();
    let mut part = reader.take(most);
    if part.read_until(b'\n', &mut line).map_err(Wrong::File)? == 0 {
        return Ok(false);
    }
    let is_whole = line.ends_with(b"\n") || (line.len() as u64) < most;
    if !is_whole {
        return Err(Wrong::TooLong);
    }
    parse(&line, bytes).ok_or(Wrong::NotHex)?;
    if bytes.len() > max {
        return Err(Wrong::TooLong);
    }
    Ok(true)
}

/// Appends the bytes of a line. `None` if it is not hexadecimal.
pub fn parse(line: &[u8], bytes: &mut Vec<u8>) -> Option<()> {
    for word in line.split(u8::is_ascii_whitespace) {
        if word.len() % 2 != 0 {
            return None;
        }
        for pair in word.chunks_exact(2) {
            let mut byte = 0;
            for digit in pair {
                byte = byte * 16 + char::from(*digit).to_digit(16)?;
            }
            bytes.push(u8::try_from(byte).ok()?);
        }
    }
    Some(())
}

/// Bytes as a line, without its end.
pub fn line(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, max: usize) -> Result<Vec<Vec<u8>>, Wrong> {
        let (mut reader, mut all) = (text.as_bytes(), Vec::new());
        let mut bytes = Vec::new();
        while read_line(&mut reader, max, &mut bytes)? {
            all.push(bytes.clone());
        }
        Ok(all)
    }

    #[test]
    fn a_line_is_read_as_it_is_written() {
        let all: Vec<u8> = (0..=255).collect();
        let lines = format!("{}\n\n{}", line(&all), line(b"end"));
        assert_eq!(read(&lines, 256).unwrap(), [&all[..], b"", b"end"]);
        assert_eq!(line(b"\x0a\xff"), "0a ff");
    }

    #[test]
    fn digits_may_stand_together() {
        let bytes = [0x0a, 0xff, 0x10];
        for text in ["0aff10", "0A FF 10\r\n", " 0aff  10 "] {
            assert_eq!(read(text, 5).unwrap(), [bytes], "{text}");
        }
    }

    #[test]
    fn what_is_not_hexadecimal_is_refused() {
        for text in ["0", "0 1", "0x10", "xy", "01 2", "-1", "+1", "ü"] {
            assert!(matches!(read(text, 9), Err(Wrong::NotHex)), "{text}");
        }
    }

    #[test]
    fn more_bytes_than_allowed_are_refused() {
        assert_eq!(read("010203\n", 3).unwrap().len(), 1);
        assert!(matches!(read("01020304\n", 3), Err(Wrong::TooLong)));
        // A line without an end is not read until there is no memory left.
        let mut endless = io::BufReader::new(io::repeat(b'0'));
        let read = read_line(&mut endless, 3, &mut Vec::new());
        assert!(matches!(read, Err(Wrong::TooLong)));
    }
}
