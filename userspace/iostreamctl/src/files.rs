// SPDX-License-Identifier: MIT OR Apache-2.0

//! The files and pipes that commands read. `-` means standard input or output.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::PollFlags;

use crate::failure::{Failure, Result};
use crate::report::Output;
use crate::stop::Stop;

/// Whether a path means standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Where a report goes if the data go to `path`.
pub fn report_output(path: &Path) -> Output {
    if is_standard(path) {
        Output::CarriesData
    } else {
        Output::Free
    }
}

/// A reader that Ctrl-C interrupts, even while it waits.
pub struct Input {
    file: File,
    stop: Stop,
    /// An output that has to have a reader.
    output: Option<OwnedFd>,
}

impl Input {
    /// Lets a wait fail once nobody reads `output` any more.
    pub fn end_with(&mut self, output: BorrowedFd<'_>) -> Result<()> {
        let output = output.try_clone_to_owned();
        self.output = Some(output.map_err(Failure::of_output)?);
        Ok(())
    }
}

/// Opens a file to read. Returns the file, its name for messages and, if known, its size.
pub fn input(path: &Path, stop: &Stop) -> Result<(Input, String, Option<u64>)> {
    let (file, name) = if is_standard(path) {
        let name = "standard input".to_owned();
        let fd = io::stdin().as_fd().try_clone_to_owned();
        (fd.map(File::from), name)
    } else {
        (File::open(path), path.display().to_string())
    };
    let file = file.map_err(|error| Failure::of_file(&name, error))?;
    let metadata = file.metadata();
    let metadata = metadata.map_err(|error| Failure::of_file(&name, error))?;
    if metadata.is_dir() {
        return Err(Failure::Usage(format!(
            "{name} is a directory: name a file"
        )));
    }
    let size = metadata.is_file().then_some(metadata.len());
    let stop = stop.clone();
    let input = Input {
        file,
        stop,
        output: None,
    };
    Ok((input, name, size))
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = (self.file.as_fd(), PollFlags::IN);
        // poll(2) reports the end of the other side without being asked. A descriptor that is there
        // twice is harmless.
        let output = self.output.as_ref().map_or(file.0, AsFd::as_fd);
        let what = [file, (output, PollFlags::empty())];
        let [_, seen] = self.stop.wait(what, None).map_err(io::Error::other)?;
        if self.output.is_some() && seen.contains(PollFlags::ERR) {
            return Err(io::Error::other(Failure::BrokenPipe));
        }
        self.file.read(buffer)
    }
}

/// Generates bytes, the same ones each time.
pub struct Made {
    left: u64,
    next: u64,
}

impl Made {
    /// Generates `bytes` bytes.
    pub fn new(bytes: u64) -> Self {
        Self {
            left: bytes,
            next: 0,
        }
    }
}

impl Read for Made {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        for chunk in buffer[..len].chunks_mut(8) {
            // A multiplicative sequence: no two words near each other are alike (Knuth, 6.4).
            self.next = self.next.wrapping_add(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&self.next.to_le_bytes()[..chunk.len()]);
        }
        self.left -= len as u64;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_bytes_end_and_vary() {
        let mut bytes = Vec::new();
        Made::new(1001).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 1001);
        assert_ne!(bytes[..8], bytes[8..16]);
    }

    #[test]
    fn a_stopped_reader_fails() {
        let stop = Stop::new().unwrap();
        let (mut file, _, size) = input(Path::new("/proc/self/exe"), &stop).unwrap();
        assert!(size.is_some_and(|size| size > 0));
        assert!(file.read(&mut [0; 4]).is_ok());
        stop.fail();
        let error = file.read(&mut [0; 4]).unwrap_err();
        assert!(matches!(
            Failure::of_file("x", error),
            Failure::Interrupted(0)
        ));
    }

    #[test]
    fn directories_are_refused() {
        let result = input(Path::new("/"), &Stop::new().unwrap());
        assert!(matches!(result, Err(Failure::Usage(_))));
    }
}
