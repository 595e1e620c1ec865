// SPDX-License-Identifier: MIT OR Apache-2.0

//! What usual programs do on a node, for the table of doc/conventions.md.

/// Notes what a program, or a call, did on a node. `scripts/conventions` looks for such lines.
pub fn did(program: &str, node: &str, what: &str) {
    println!("tool: {program} | {node} | {what}");
}
