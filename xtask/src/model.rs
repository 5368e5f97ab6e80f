//! `cargo xtask model`: long random walks over the state machines, and over LMDB beside the reference.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

use crate::{cargo, in_memory, root};

/// Sequences of all state machines together.
const SEQUENCES: u32 = 20_000;

/// A test that walks, and what share of the sequences is its.
struct Walk {
    package: &'static str,
    test: &'static str,
    one_in: u32,
}

/// The state machines share the sequences; a walk over a store has files.
const WALKS: [Walk; 5] = [
    walk("optim-core", "campaign::tests::every_walk_", 4),
    walk("optim-core", "run::transition::tests::every_walk_", 4),
    walk("optim-core", "stored_workflow::transition::tests::every_walk_", 4),
    walk("optim-core", "workflow_run::tests::every_walk_", 4),
    walk("optim-store", "lmdb_answers_as_the_reference_does", 20),
];

const fn walk(package: &'static str, test: &'static str, one_in: u32) -> Walk {
    Walk { package, test, one_in }
}

/// Runs the walks with `--cases N` sequences.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let sequences = match arguments {
        [] => SEQUENCES,
        ["--cases", number] => number.parse().context("--cases needs a number")?,
        _ => anyhow::bail!("only --cases N is understood"),
    };
    let root = root()?;
    let (mut passed, mut failed) = (0, 0);
    for walk in &WALKS {
        let (cases, begun) = (sequences / walk.one_in, Instant::now());
        let went_well = walk.run(&root, cases)?;
        *(if went_well { &mut passed } else { &mut failed }) += cases;
        let end = if went_well { "passed" } else { "FAILED" };
        println!("{}: {cases} {end} in {:.0} s", walk.test, begun.elapsed().as_secs_f64());
    }
    println!("{passed} passed, {failed} failed");
    anyhow::ensure!(
        failed == 0,
        "proptest has written the shortest sequence that fails, see above"
    );
    Ok(())
}

impl Walk {
    fn run(&self, root: &Path, cases: u32) -> anyhow::Result<bool> {
        let mut walk = cargo(&["test", "--quiet", "--package", self.package, "--lib", self.test]);
        walk.env("PROPTEST_CASES", cases.to_string()).current_dir(root);
        let ended = in_memory(&mut walk).output().context("cargo does not start")?;
        let said = String::from_utf8_lossy(&ended.stdout);
        if !ended.status.success() {
            println!("{said}{}", String::from_utf8_lossy(&ended.stderr));
        }
        anyhow::ensure!(!said.contains(" 0 passed; 0 failed"), "there is no test {:?}", self.test);
        Ok(ended.status.success())
    }
}
