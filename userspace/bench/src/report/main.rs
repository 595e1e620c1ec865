// SPDX-License-Identifier: MIT OR Apache-2.0

//! Makes results.json, the tables and the pictures from the output of the measuring programs.
//!
//! Usage: bench-report FOLDER FILE...
//!        bench-report --markdown all|hardest RESULTS
//!
//! Reads the lines of the files that are JSON objects, writes results.json, growth.md and the
//! pictures into the folder, and prints the table. With `--markdown` it prints the table of a
//! results.json in Markdown: every comparison, or the hardest one of each benchmark.

mod pictures;
mod results;
mod table;

use std::path::PathBuf;

use iostream_bench::{Record, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == "--markdown") {
        return print_markdown(&arguments[1..]);
    }
    let mut arguments = arguments.into_iter().map(PathBuf::from);
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

fn print_markdown(arguments: &[String]) -> Result<()> {
    let [which, file] = arguments else {
        return Err("which table, of which results.json?".into());
    };
    let which = match &**which {
        "all" => table::Markdown::All,
        "hardest" => table::Markdown::Hardest,
        other => return Err(format!("there is no table {other}").into()),
    };
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let results = results::Results::from_json(&text).map_err(|error| format!("{file}: {error}"))?;
    print!("{}", table::markdown(&results, which));
    Ok(())
}
