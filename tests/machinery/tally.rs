//! What passed and what failed, and the seeds of what failed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::Outcome;

/// Seeds that have failed once: every run replays them first, for ever.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../seeds.txt");

/// Failures that are shown in full.
const SHOWN_MAX: u32 = 10;

/// The count of a verb.
pub(crate) struct Tally {
    verb: &'static str,
    passed: u32,
    failed: u32,
    /// What else is said in the last line.
    pub(crate) more: String,
}

impl Tally {
    pub(crate) fn of(verb: &'static str) -> Self {
        Self { verb, passed: 0, failed: 0, more: String::new() }
    }

    /// Counts what `seed` led to; a failure is shown, and its seed, if it has one, is kept.
    pub(crate) fn count(&mut self, seed: &str, ended: Result<(), String>) -> Outcome<()> {
        let Err(why) = ended else {
            self.passed += 1;
            return Ok(());
        };
        self.failed += 1;
        if self.failed <= SHOWN_MAX {
            println!("FAILED {} {seed}: {why}", self.verb);
            if !seed.is_empty() {
                keep(self.verb, seed)?;
            }
        }
        Ok(())
    }

    /// Prints the summary; fails when something did, or when nothing was done.
    pub(crate) fn report(self) -> Outcome<ExitCode> {
        let Self { verb, passed, failed, more } = self;
        println!("{verb}: {passed} passed, {failed} failed{more}");
        Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The seeds of `verb` that have failed once.
pub(crate) fn kept(verb: &str) -> Vec<String> {
    let all = std::fs::read_to_string(SEEDS).unwrap_or_default();
    let of_verb = |line: &str| Some(line.strip_prefix(verb)?.strip_prefix(' ')?.trim().to_owned());
    all.lines().filter_map(of_verb).collect()
}

fn keep(verb: &str, seed: &str) -> Outcome<()> {
    if kept(verb).iter().any(|known| known == seed) {
        return Ok(());
    }
    let mut file = OpenOptions::new().append(true).create(true).open(Path::new(SEEDS))?;
    writeln!(file, "{verb} {seed}")?;
    Ok(())
}
