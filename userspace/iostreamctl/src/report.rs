// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tables for people and JSON for scripts.

use std::io::{self, Write};

use serde_json::Value;

/// A table whose columns are as wide as need be. Numbers stand on the right.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these heads of columns.
    pub fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self {
            rows: vec![heads.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Whether there is nothing but heads.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// Writes it.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
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

/// Writes a value as indented JSON.
pub fn write_json(out: &mut impl Write, value: &Value) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
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
