//! `cargo xtask ci`: the one list of what must hold. `.ci/run` prepares a machine and calls it.

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

use crate::{cargo, root};

/// A call of cargo that must succeed.
struct Step {
    name: &'static str,
    arguments: &'static str,
    env: &'static [(&'static str, &'static str)],
}

/// Cheap steps first, so that most mistakes show within a minute.
const STEPS: &[Step] = &[
    step("format", "fmt --all --check"),
    step("rules", "xtask tidy"),
    step("tests of the rules", "test --package xtask"),
    step("lints", "clippy --workspace --all-targets -- -D warnings"),
    step("tests", "test"),
    step("defects", "xtask defects"),
    Step {
        env: &[("RUSTDOCFLAGS", "-D warnings")],
        ..step("documentation", "doc --workspace --no-deps")
    },
    step("benches, once each", "test --package optim-benches --benches"),
    step("demo", "xtask smoke"),
    step("shuffled labels", "xtask shuffled"),
    step("walks", "xtask model"),
    step("power cuts", "xtask powerloss --ext4 5 --xfs 2 --states 300"),
    step("crash points", "xtask crash"),
    step("simulation", "xtask sim --seeds 200 --hours 100"),
    step("soak", "xtask soak --days 30"),
    step("kill -9", "xtask kill9 --cycles 200"),
    step("fuzz targets", "xtask fuzz-smoke --seconds 20"),
    step("sequential rule", "run --release --package optim-benches --bin decision-quality"),
    step(
        "campaigns of noise",
        "run --release --package optim-benches --bin false-promotions -- short",
    ),
];

const fn step(name: &'static str, arguments: &'static str) -> Step {
    Step { name, arguments, env: &[] }
}

/// Runs all steps and stops at the first that fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = root()?;
    let begun = Instant::now();
    for step in STEPS {
        step.run(&root)?;
    }
    println!("\n== all steps passed in {}", elapsed(begun));
    Ok(())
}

impl Step {
    fn run(&self, root: &Path) -> anyhow::Result<()> {
        println!("\n== {}: {}", self.name, self.shown());
        let begun = Instant::now();
        let arguments: Vec<&str> = self.arguments.split_whitespace().collect();
        let status = cargo(&arguments)
            .envs(self.env.iter().copied())
            .current_dir(root)
            .status()
            .context("cargo does not start; is it in PATH?")?;
        anyhow::ensure!(
            status.success(),
            "step {:?} failed after {}; to repeat it alone: {}",
            self.name,
            elapsed(begun),
            self.shown()
        );
        println!("== {}: passed in {}", self.name, elapsed(begun));
        Ok(())
    }

    /// The step as one would type it.
    fn shown(&self) -> String {
        let env = self.env.iter().map(|(key, value)| format!("{key}={value:?} "));
        format!("{}cargo {}", env.collect::<String>(), self.arguments)
    }
}

fn elapsed(begun: Instant) -> String {
    format!("{:.1} s", begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../../README.md");

    #[test]
    fn the_test_command_of_the_readme_is_a_step() {
        let in_readme = |line: &str| line.split('#').next().map(str::trim) == Some("$ cargo test");
        assert!(README.lines().any(in_readme));
        assert!(STEPS.iter().any(|step| step.shown() == "cargo test"));
    }

    #[test]
    fn a_step_is_shown_as_one_would_type_it() {
        let documentation = STEPS.iter().find(|step| !step.env.is_empty()).unwrap();
        assert_eq!(
            documentation.shown(),
            "RUSTDOCFLAGS=\"-D warnings\" cargo doc --workspace --no-deps"
        );
    }

    #[test]
    fn a_failing_step_fails_with_the_way_to_repeat_it() {
        let failing = step("nothing", "no-such-subcommand");
        let error = failing.run(Path::new(".")).unwrap_err().to_string();
        assert!(error.contains("step \"nothing\" failed after"), "{error}");
        assert!(error.ends_with("cargo no-such-subcommand"), "{error}");
    }
}
