// SPDX-License-Identifier: MIT OR Apache-2.0

//! Cutting a stream of bytes into entries, and joining entries into a stream of bytes.

use std::io::{BufRead, BufReader, Read, Write};

use clap::ValueEnum;

use crate::failure::{Failure, Result};
use crate::hex::{self, Wrong};
use crate::record::{self, HEAD_BYTES};
use crate::units::Sizes;

/// How entries are marked in a stream of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Framing {
    /// No marks: the bytes of the entries follow each other.
    None,
    /// A line is an entry, without its newline.
    Lines,
    /// Each entry follows its length: 32 bits, little-endian.
    Length,
    /// A line of hexadecimal digits is an entry, such as 0a ff.
    Hex,
    /// Like none; each entry starts with a number and a checksum, which are checked and removed.
    Record,
}

impl Framing {
    /// Whether entries have sizes that the user chooses.
    pub fn is_sized(self) -> bool {
        matches!(self, Self::None | Self::Record)
    }

    /// Whether it makes text of entries, if lines of text are what they have.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Lines | Self::Hex)
    }

    /// Fails if the user chooses sizes that have no meaning.
    pub fn check_sizes(self, sizes: Option<Sizes>) -> Result<()> {
        if sizes.is_some() && !self.is_sized() {
            return Err(Failure::Usage(
                "--entry-size does not apply to the framings lines, length and hex: they decide"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// The longest entry that a queue takes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Its bytes.
    pub max_entry_bytes: usize,
    /// Whether the user chooses the size of the queue: it is one of `/dev/iostream`.
    pub built_in: bool,
}

impl Room {
    /// What makes an entry fit that is too long, after the sentence that says so. `sized`: the user
    /// chooses the size of the entries, too.
    pub fn advice(self, sized: bool) -> &'static str {
        match (sized, self.built_in) {
            (true, true) => ": lower --entry-size or raise --queue-bytes",
            (true, false) => ": lower --entry-size",
            (false, true) => ": raise --queue-bytes",
            (false, false) => ", as its driver has decided",
        }
    }
}

/// Cuts a reader into entries.
pub struct Cutter<R> {
    reader: BufReader<R>,
    name: String,
    framing: Framing,
    sizes: Sizes,
    room: Room,
    entry: Vec<u8>,
    sequence: u64,
    dice: Dice,
}

impl<R: Read> Cutter<R> {
    /// Cuts `reader` into entries for which there is `room`: as the framing says or, if it says
    /// nothing, of `sizes` bytes.
    pub fn new(reader: R, name: &str, framing: Framing, sizes: Sizes, room: Room) -> Result<Self> {
        let head = if framing == Framing::Record {
            HEAD_BYTES
        } else {
            0
        };
        if framing.is_sized() {
            if sizes.max as usize > room.max_entry_bytes {
                return Err(Failure::Usage(format!(
                    "entries of {} bytes do not fit: the queue takes up to {}{}",
                    sizes.max,
                    room.max_entry_bytes,
                    room.advice(true)
                )));
            }
            if (sizes.min as usize) <= head {
                return Err(Failure::Usage(format!(
                    "a record of {} bytes carries nothing: --entry-size must be above {head}",
                    sizes.min
                )));
            }
        }
        Ok(Self {
            reader: BufReader::with_capacity(256 * 1024, reader),
            name: name.to_owned(),
            framing,
            sizes,
            room,
            entry: Vec::new(),
            sequence: 0,
            dice: Dice::new(),
        })
    }

    /// Whether a part of the next entry is here without a wait for the reader.
    pub fn has_buffered(&self) -> bool {
        !self.reader.buffer().is_empty()
    }

    /// Finds the next entry, which [`Self::entry`] then returns. Returns `false` at the end.
    pub fn advance(&mut self) -> Result<bool> {
        match self.framing {
            Framing::None => self.read_chunk(0),
            Framing::Record => {
                let found = self.read_chunk(HEAD_BYTES)?;
                if let Some((place, rest)) = self.entry.split_first_chunk_mut::<HEAD_BYTES>() {
                    // Always `Some`: `new` and `read_chunk` bound the length.
                    if let Some(head) = record::head(self.sequence, rest) {
                        *place = head;
                        self.sequence += 1;
                    }
                }
                Ok(found)
            }
            Framing::Lines => self.read_line(),
            Framing::Length => self.read_counted(),
            Framing::Hex => self.read_hex(),
        }
    }

    /// The entry that [`Self::advance`] found.
    pub fn entry(&self) -> &[u8] {
        &self.entry
    }

    /// Reads an entry that starts with `head` bytes of zeros.
    fn read_chunk(&mut self, head: usize) -> Result<bool> {
        let size = self.dice.choose(self.sizes) as usize;
        self.entry.clear();
        self.entry.resize(head, 0);
        let mut part = (&mut self.reader).take((size - head) as u64);
        let got = part
            .read_to_end(&mut self.entry)
            .map_err(|error| Failure::of_file(&self.name, error))?;
        if got == 0 {
            self.entry.clear();
        }
        Ok(got > 0)
    }

    fn read_line(&mut self) -> Result<bool> {
        self.entry.clear();
        // The extra byte is the newline, or shows that the line is too long.
        let mut part = (&mut self.reader).take(self.room.max_entry_bytes as u64 + 1);
        let got = part
            .read_until(b'\n', &mut self.entry)
            .map_err(|error| Failure::of_file(&self.name, error))?;
        if self.entry.last() == Some(&b'\n') {
            self.entry.pop();
        }
        if self.entry.len() > self.room.max_entry_bytes {
            return Err(self.too_long("a line"));
        }
        Ok(got > 0)
    }

    fn read_counted(&mut self) -> Result<bool> {
        self.entry.clear();
        if self
            .reader
            .fill_buf()
            .map_err(|error| Failure::of_file(&self.name, error))?
            .is_empty()
        {
            return Ok(false);
        }
        let mut len = [0; 4];
        self.read_exact_or_end(|reader, _| reader.read_exact(&mut len))?;
        let len = u32::from_le_bytes(len) as usize;
        if len > self.room.max_entry_bytes {
            return Err(self.too_long("an entry"));
        }
        self.entry.resize(len, 0);
        self.read_exact_or_end(|reader, entry| reader.read_exact(entry))?;
        Ok(true)
    }

    fn read_hex(&mut self) -> Result<bool> {
        match hex::read_line(&mut self.reader, self.room.max_entry_bytes, &mut self.entry) {
            Ok(found) => Ok(found),
            Err(Wrong::File(error)) => Err(Failure::of_file(&self.name, error)),
            Err(Wrong::NotHex) => Err(not_hex(&format!("a line of {}", self.name))),
            Err(Wrong::TooLong) => Err(self.too_long("a line")),
        }
    }

    fn read_exact_or_end(
        &mut self,
        read: impl FnOnce(&mut BufReader<R>, &mut [u8]) -> std::io::Result<()>,
    ) -> Result<()> {
        read(&mut self.reader, &mut self.entry).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                return Failure::Mismatch(format!(
                    "{} ends in the middle of an entry: is it framed by lengths?",
                    self.name
                ));
            }
            Failure::of_file(&self.name, error)
        })
    }

    fn too_long(&self, what: &str) -> Failure {
        Failure::Usage(format!(
            "{what} of {} is longer than the {} bytes that the queue takes{}",
            self.name,
            self.room.max_entry_bytes,
            self.room.advice(false)
        ))
    }
}

/// The failure for something that should be hexadecimal.
pub fn not_hex(what: &str) -> Failure {
    Failure::Usage(format!(
        "{what} is not hexadecimal: each byte has two digits, such as 0a ff"
    ))
}

/// Joins entries into a stream of bytes.
pub struct Joiner<W> {
    writer: W,
    name: String,
    framing: Framing,
    next_sequence: Option<u64>,
    /// How many records are missing, by their numbers.
    pub missed: u64,
}

impl<W: Write> Joiner<W> {
    /// Joins the entries into `writer`.
    pub fn new(writer: W, name: &str, framing: Framing) -> Self {
        Self {
            writer,
            name: name.to_owned(),
            framing,
            next_sequence: None,
            missed: 0,
        }
    }

    /// Writes one entry.
    pub fn put(&mut self, entry: &[u8]) -> Result<()> {
        let written = match self.framing {
            Framing::None => self.writer.write_all(entry),
            Framing::Lines => self
                .writer
                .write_all(entry)
                .and_then(|()| self.writer.write_all(b"\n")),
            Framing::Hex => writeln!(self.writer, "{}", hex::line(entry)),
            Framing::Length => {
                // The length of an entry has 32 bits.
                let len = u32::try_from(entry.len()).unwrap_or(u32::MAX);
                self.writer
                    .write_all(&len.to_le_bytes())
                    .and_then(|()| self.writer.write_all(entry))
            }
            Framing::Record => {
                let (sequence, rest) = record::check(entry).map_err(|wrong| {
                    Failure::Mismatch(format!(
                        "an entry is not a record ({}): was it sent with --framing record?",
                        match wrong {
                            record::Wrong::Length => "its length is wrong",
                            record::Wrong::Check => "its checksum is wrong",
                        }
                    ))
                })?;
                let expected = self.next_sequence.unwrap_or(0);
                self.missed += sequence.saturating_sub(expected);
                self.next_sequence = Some(sequence.wrapping_add(1));
                self.writer.write_all(rest)
            }
        };
        written.map_err(|error| Failure::of_file(&self.name, error))
    }

    /// The writer.
    pub fn writer(&mut self) -> &mut W {
        &mut self.writer
    }

    /// Writes what is still buffered.
    pub fn flush(&mut self) -> Result<()> {
        self.writer
            .flush()
            .map_err(|error| Failure::of_file(&self.name, error))
    }
}

/// Sizes that look random but are the same each time (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn choose(&mut self, sizes: Sizes) -> u32 {
        if sizes.min == sizes.max {
            return sizes.min;
        }
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let span = u64::from(sizes.max - sizes.min) + 1;
        // The remainder is below 2^32, since the span is.
        sizes.min + (self.0 % span) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: Sizes = Sizes { min: 4, max: 4 };

    fn cut(bytes: &[u8], framing: Framing, sizes: Sizes) -> Result<Vec<Vec<u8>>> {
        let room = Room {
            max_entry_bytes: 32,
            built_in: true,
        };
        let mut cutter = Cutter::new(bytes, "test", framing, sizes, room)?;
        let mut entries = Vec::new();
        while cutter.advance()? {
            entries.push(cutter.entry().to_vec());
        }
        Ok(entries)
    }

    fn join(entries: &[Vec<u8>], framing: Framing) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut joiner = Joiner::new(&mut bytes, "test", framing);
        for entry in entries {
            joiner.put(entry)?;
        }
        joiner.flush()?;
        assert_eq!(joiner.missed, 0);
        Ok(bytes)
    }

    #[test]
    fn without_framing_sizes_tell() {
        let entries = cut(b"abcdefghi", Framing::None, FOUR).unwrap();
        assert_eq!(entries, [&b"abcd"[..], b"efgh", b"i"]);
        assert!(cut(b"", Framing::None, FOUR).unwrap().is_empty());
    }

    #[test]
    fn lines_lose_their_newline_and_may_be_empty() {
        let entries = cut(b"one\n\ntwo", Framing::Lines, FOUR).unwrap();
        assert_eq!(entries, [&b"one"[..], b"", b"two"]);
        let longest = [&[b'x'; 32][..], b"\n"].concat();
        assert_eq!(cut(&longest, Framing::Lines, FOUR).unwrap().len(), 1);
        assert!(cut(&[b'x'; 33], Framing::Lines, FOUR).is_err());
    }

    #[test]
    fn hexadecimal_lines_are_checked() {
        for wrong in ["xy\n".to_owned(), "00".repeat(33)] {
            let result = cut(wrong.as_bytes(), Framing::Hex, FOUR);
            assert!(matches!(result, Err(Failure::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn lengths_are_checked_before_they_are_believed() {
        let entries = cut(b"\x02\0\0\0ab\0\0\0\0", Framing::Length, FOUR).unwrap();
        assert_eq!(entries, [&b"ab"[..], b""]);
        for wrong in [&b"\x02\0\0"[..], b"\x02\0\0\0a"] {
            let result = cut(wrong, Framing::Length, FOUR);
            assert!(matches!(result, Err(Failure::Mismatch(_))));
        }
        let huge = cut(&[0xff; 8], Framing::Length, FOUR);
        assert!(matches!(huge, Err(Failure::Usage(_))));
    }

    #[test]
    fn what_is_cut_can_be_joined() {
        let sizes = Sizes { min: 17, max: 32 };
        let bytes: Vec<u8> = (0..=255).collect();
        for framing in [Framing::None, Framing::Record] {
            let entries = cut(&bytes, framing, sizes).unwrap();
            assert!(entries.iter().all(|entry| entry.len() <= 32));
            assert_eq!(join(&entries, framing).unwrap(), bytes);
        }
        let lines = cut(b"one\ntwo\n", Framing::Lines, FOUR).unwrap();
        assert_eq!(join(&lines, Framing::Lines).unwrap(), b"one\ntwo\n");
        let counted = join(&lines, Framing::Length).unwrap();
        assert_eq!(cut(&counted, Framing::Length, FOUR).unwrap(), lines);
        let digits = join(&lines, Framing::Hex).unwrap();
        assert_eq!(digits, b"6f 6e 65\n74 77 6f\n");
        assert_eq!(cut(&digits, Framing::Hex, FOUR).unwrap(), lines);
    }

    #[test]
    fn wrong_and_missing_records_are_found() {
        let sizes = Sizes { min: 20, max: 20 };
        let mut entries = cut(&[1; 12], Framing::Record, sizes).unwrap();
        let mut joiner = Joiner::new(Vec::new(), "test", Framing::Record);
        joiner.put(&entries[2]).unwrap();
        assert_eq!(joiner.missed, 2);
        entries[0][19] ^= 1;
        assert!(matches!(joiner.put(&entries[0]), Err(Failure::Mismatch(_))));
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let at = |size| {
            cut(
                b"x",
                Framing::Record,
                Sizes {
                    min: size,
                    max: size,
                },
            )
        };
        assert!(matches!(at(16), Err(Failure::Usage(_))));
        assert!(matches!(at(33), Err(Failure::Usage(_))));
        assert!(at(17).is_ok());
    }

    #[test]
    fn dice_stay_in_their_range() {
        let mut dice = Dice::new();
        let sizes = Sizes { min: 3, max: 9 };
        let mut seen = [false; 10];
        for _ in 0..1000 {
            seen[dice.choose(sizes) as usize] = true;
        }
        assert_eq!(
            seen,
            [false, false, false, true, true, true, true, true, true, true]
        );
    }
}
