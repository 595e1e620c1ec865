// SPDX-License-Identifier: MIT OR Apache-2.0

//! A hostile process: it does to the device what no program should, class by class, and stops at
//! the kernel's first complaint. Every choice comes from a seed, so that a round can be repeated,
//! except for the timing of two threads.

mod classes;
mod driver;
mod scribbler;
mod soak;
mod sys;
mod victim;

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};
use std::time::Instant;

use iostream_raw::{KernelLog, Random};

use classes::{Class, Round};

const USAGE: &str = "\
usage: hostile [--class LETTERS] [--divide N] [--seed N [--rounds N]]
       hostile soak [--variant NAME] [--wakeups N]

Throws wrong inputs at /dev/iostream and at a node of iostream_test, in rounds, and prints a line for
each class: `%% class LETTER NAME cases N rounds N seeds FIRST-LAST seconds N`. Ends with status 1 at
the first thing that is not as it should be, and prints the class and the seed.

  --class LETTERS   only these classes, such as AB
  --divide N        a part of the cases: 10 for a tenth
  --seed N          begin with this seed (1)
  --rounds N        so many rounds of each class, whatever the number of cases
  --list            print the classes

soak: two threads that put each other to sleep and wake each other; a process outside that watches.
";

/// After this long a round counts as hanging.
const ROUND_SECONDS: u32 = 120;

/// The round that runs, for the report of a failure.
static LETTER: AtomicU32 = AtomicU32::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);

struct Options {
    letters: Option<String>,
    divide: u64,
    seed: u64,
    rounds: Option<u64>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut options = Options {
        letters: None,
        divide: 1,
        seed: 1,
        rounds: None,
    };
    let mut args = args.iter().map(String::as_str);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|value| value.parse::<u64>().ok());
        match arg {
            "soak" => return soak::main(&args.collect::<Vec<_>>()),
            "--use" => {
                let works = classes::used_after_exec(number().unwrap_or(u64::MAX) as i32);
                return ExitCode::from(u8::from(!works));
            }
            "--class" => options.letters = args.next().map(str::to_owned),
            "--divide" => options.divide = number().unwrap_or(1).max(1),
            "--seed" => options.seed = number().unwrap_or(1),
            "--rounds" => options.rounds = number(),
            "--list" => {
                for class in classes::ALL {
                    println!("{} {} {}", class.letter, class.name, class.cases);
                }
                return ExitCode::SUCCESS;
            }
            _ => {
                eprint!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    campaign(&options)
}

fn campaign(options: &Options) -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        fail(&info.to_string());
    }));
    // SAFETY: The handler prints and ends the process. It does not return to what it interrupted.
    unsafe {
        libc::signal(
            libc::SIGALRM,
            too_long as extern "C" fn(libc::c_int) as libc::sighandler_t,
        );
    }
    let log = KernelLog::open().expect("/dev/kmsg");
    let victim = victim::Victim::new();
    for class in classes::ALL {
        if options
            .letters
            .as_ref()
            .is_some_and(|wanted| !wanted.contains(class.letter))
        {
            continue;
        }
        run_class(class, options, &log, &victim);
    }
    ExitCode::SUCCESS
}

fn run_class(class: &Class, options: &Options, log: &KernelLog, victim: &victim::Victim) {
    let wanted = class.cases.div_ceil(options.divide);
    let start = Instant::now();
    let (mut cases, mut rounds) = (0, 0);
    log.mark(&format!(
        "hostile: class {} from seed {}",
        class.letter, options.seed
    ));
    LETTER.store(class.letter.into(), Relaxed);
    while options
        .rounds
        .map_or(cases < wanted, |limit| rounds < limit)
    {
        let seed = options.seed + rounds;
        SEED.store(seed, Relaxed);
        // SAFETY: No preconditions.
        unsafe { libc::alarm(ROUND_SECONDS) };
        let mut round = Round {
            seed,
            // Classes with the same seed make different choices.
            random: Random::new(seed ^ (u64::from(u32::from(class.letter)) << 32)),
            victim,
            cases: 0,
        };
        (class.round)(&mut round);
        cases += round.cases;
        rounds += 1;
        if let Some(complaint) = log.complaints().first() {
            fail(&format!("the kernel complains: {complaint}"));
        }
    }
    // SAFETY: No preconditions.
    unsafe { libc::alarm(0) };
    println!(
        "%% class {} {} cases {cases} rounds {rounds} seeds {}-{} seconds {:.1}",
        class.letter,
        class.name,
        options.seed,
        options.seed + rounds - 1,
        start.elapsed().as_secs_f64()
    );
    let _ = std::io::stdout().flush();
}

/// Prints how to repeat the round, and ends all threads. In a child it ends the child, which the
/// parent notices.
fn fail(why: &str) -> ! {
    let letter = char::from_u32(LETTER.load(Relaxed)).unwrap_or('?');
    let seed = SEED.load(Relaxed);
    let text = format!(
        "%% failed class {letter} seed {seed}\n# {}\n# to repeat it: hostile --class {letter} --seed {seed} --rounds 1\n",
        why.replace('\n', "\n# ")
    );
    let _ = sys::write(1, text.as_bytes());
    sys::exit_now(1);
}

extern "C" fn too_long(_: libc::c_int) {
    fail("the round does not end");
}
