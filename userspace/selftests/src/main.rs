// SPDX-License-Identifier: MIT OR Apache-2.0

//! The programs that run in the VM against the real iostream.ko: one process for each clause of the
//! contract, named `ROW/clause`.

mod child;
mod clause;
mod pattern;
mod rows;
mod support;

use std::process::ExitCode;
use std::time::Instant;

use iostream_raw::KernelLog;

use clause::Clause;

const USAGE: &str = "\
usage: selftests [--list] [PATTERN...]

Runs the clauses whose names match one of the patterns (all without any), each in a process of its
own, and prints KTAP. Needs root, and iostream.ko loaded. Patterns are those of a shell (`*`, `?`,
`[...]`) and match the whole name: `Q-12/*`, `*epoll-edge*`.

  --list        prints the names, one a line
  --exec NAME   runs one clause in this very process

  ONLY=PATTERN  in the environment: as if given as an argument; `|` separates several. The selftests'
                scripts read it as well, so that here it may match nothing
  LONG=1        full counts; else a tenth
  SEED=N        repeats the random choices of a run
  PATIENCE=N    makes limits N times as long
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let clauses = rows::all();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--help" | "-h"] => print!("{USAGE}"),
        ["--list"] => clauses
            .iter()
            .for_each(|clause| println!("{}", clause.name)),
        ["--exec", name] => match clauses.iter().find(|clause| clause.name == name) {
            Some(clause) => clause.run_here(),
            None => {
                eprintln!("selftests: there is no clause {name}");
                return ExitCode::from(2);
            }
        },
        _ if args.iter().any(|arg| arg.starts_with('-')) => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
        _ => {
            if let Some(pattern) = args.iter().find(|pattern| !any_matches(pattern, &clauses)) {
                eprintln!("selftests: no clause matches '{pattern}'; try '*{pattern}*'");
                return ExitCode::from(2);
            }
            return run(&selected(clauses, args));
        }
    }
    ExitCode::SUCCESS
}

fn any_matches(pattern: &str, clauses: &[Clause]) -> bool {
    clauses
        .iter()
        .any(|clause| pattern::matches(pattern, clause.name))
}

/// The clauses that the arguments and `ONLY` ask for.
fn selected(clauses: Vec<Clause>, mut patterns: Vec<String>) -> Vec<Clause> {
    if let Ok(only) = std::env::var("ONLY") {
        let given = only.split('|').filter(|pattern| !pattern.is_empty());
        patterns.extend(given.map(str::to_owned));
    }
    let wanted = |clause: &Clause| {
        let matches = |pattern: &String| pattern::matches(pattern, clause.name);
        patterns.is_empty() || patterns.iter().any(matches)
    };
    clauses.into_iter().filter(wanted).collect()
}

fn run(clauses: &[Clause]) -> ExitCode {
    println!("KTAP version 1\n1..{}", clauses.len());
    let log = KernelLog::open()
        .inspect_err(|error| println!("# /dev/kmsg: {error}: the kernel's messages are not read"))
        .ok();
    let mut failed = false;
    for (i, clause) in clauses.iter().enumerate() {
        if let Some(log) = &log {
            log.mark(&format!("selftests: {}", clause.name));
        }
        let start = Instant::now();
        let mut outcome = child::run(clause);
        let complaints = log.as_ref().map_or(Vec::new(), KernelLog::complaints);
        for line in outcome.output.lines() {
            println!("# {line}");
        }
        for line in &complaints {
            println!("# kernel: {line}");
        }
        println!("# {:.1} s", start.elapsed().as_secs_f64());
        outcome.ok &= complaints.is_empty();
        let skip = outcome
            .skip
            .map_or(String::new(), |why| format!(" # SKIP {why}"));
        let verdict = if outcome.ok { "ok" } else { "not ok" };
        println!("{verdict} {} {}{skip}", i + 1, clause.name);
        failed |= !outcome.ok;
        if outcome.hangs {
            // Its effects would look like failures of later clauses.
            println!("Bail out! {} hangs in the kernel", clause.name);
            break;
        }
    }
    ExitCode::from(u8::from(failed))
}
