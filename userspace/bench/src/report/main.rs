// SPDX-License-Identifier: MIT OR Apache-2.0

//! Makes results.json, the table and the pictures of what the measuring programs printed.
//!
//! Usage: bench-report FOLDER FILE...
//!
//! Reads the lines of the files that are JSON objects, writes results.json, growth.md and the
//! pictures into the folder, and prints the table.

mod pictures;
mod results;
mod table;

use std::path::PathBuf;

use iostream_bench::{Record, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let folder = arguments.next().ok_or("which folder?")?;
    let mut records = Vec::new();
    for file in arguments {
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        for line in text.lines().filter(|line| line.starts_with('{')) {
            records.push(serde_json::from_str::<Record>(line)?);
        }
    }
    let results = results::Results::new(&records);
    std::fs::write(folder.join("results.json"), results.to_json()? + "\n")?;
    pictures::draw_all(&folder, &records)?;
    print!("{}", table::text(&results));
    std::fs::write(folder.join("growth.md"), table::growth(&records))?;
    Ok(())
}
