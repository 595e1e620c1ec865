// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reports: text and tables for people, JSON for scripts.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{json, Value};

use crate::cli::Cli;
use crate::failure::{Failure, Result};
use crate::units::{human_bytes, per_second};

/// The output that a report may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Free,
    /// Standard error, because standard output carries the command's data.
    CarriesData,
}

/// Says on standard error why the command failed: as JSON if that was asked for.
pub fn complain(failure: &Failure, json: bool) {
    if json {
        complain_json(&failure.to_string(), failure.exit_code());
    } else {
        // If this fails as well, the message is lost.
        let _ = writeln!(io::stderr(), "iostreamctl: {failure}");
    }
}

/// Says on standard error what went wrong, as JSON.
pub fn complain_json(error: &str, exit_code: u8) {
    let said = json!({ "error": error, "exit_code": exit_code });
    // If this fails as well, the message is lost.
    let _ = writeln!(io::stderr(), "{said}");
}

/// Prints a report: as JSON if that was asked for, as text otherwise.
pub fn print(
    cli: &Cli,
    output: Output,
    json: impl FnOnce() -> Value,
    text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let mut out: Box<dyn Write> = match output {
        Output::Free => Box::new(io::stdout().lock()),
        Output::CarriesData => Box::new(io::stderr()),
    };
    let printed = if cli.json {
        writeln!(out, "{}", json())
    } else {
        text(&mut out)
    };
    printed.map_err(Failure::of_stdout)
}

/// What all commands that move data report.
pub struct Transfer<'a> {
    /// The device.
    pub device: &'a Path,
    /// How many bytes were moved.
    pub bytes: u64,
    /// How long that took.
    pub elapsed: Duration,
}

impl Transfer<'_> {
    /// Bytes a second, for people.
    pub fn rate(&self) -> String {
        format!("{}/s", human_bytes(per_second(self.bytes, self.elapsed)))
    }

    /// The report as a JSON object, to which a command adds its own fields.
    pub fn json(&self, own: Value) -> Value {
        let mut report = json!({
            "device": self.device,
            "bytes": self.bytes,
            "seconds": self.elapsed.as_secs_f64(),
            "bytes_per_second": per_second(self.bytes, self.elapsed),
        });
        if let (Some(report), Value::Object(own)) = (report.as_object_mut(), own) {
            report.extend(own);
        }
        report
    }
}

/// A table whose columns are as wide as necessary. Columns of numbers are aligned to the right.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column heads.
    pub fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self {
            rows: vec![heads.map(str::to_owned).to_vec()],
        }
    }

    /// A table with one row, given as the head and the cell of each column.
    pub fn of_row<const N: usize>(columns: [(&str, String); N]) -> Self {
        let mut table = Self::new(columns.each_ref().map(|(head, _)| *head));
        table.row(columns.map(|(_, cell)| cell));
        table
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Whether the table has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// Writes the table.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let width = |column| cells(column).map(|c| c.chars().count()).max().unwrap_or(0);
        let numeric = |column| {
            cells(column)
                .skip(1)
                .all(|cell| cell == "-" || cell.starts_with(|c: char| c.is_ascii_digit()))
        };
        let layout: Vec<_> = (0..columns).map(|c| (width(c), numeric(c))).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, (width, numeric)) in row.iter().zip(&layout) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                if *numeric {
                    line.push_str(&format!("{cell:>width$}"));
                } else {
                    line.push_str(&format!("{cell:<width$}"));
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["name", "bytes"]);
        assert!(table.is_empty());
        table.row(["a".to_owned(), "5".to_owned()]);
        table.row(["long one".to_owned(), "12345".to_owned()]);
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let expected = "name      bytes\na             5\nlong one  12345\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
