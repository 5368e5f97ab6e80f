//! `cargo xtask fuzz-smoke`: every fuzz target for a while, each from its corpus.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::{cargo, output, root};

/// Seconds for each target when nobody says otherwise.
pub(crate) const SECONDS: u64 = 20;
/// The longest that one input may take, in seconds: slower is as bad as a crash.
const INPUT_SECONDS_MAX: u64 = 5;

/// Runs all targets for `seconds` each. New inputs go to `target`; those of the repository stay as they are.
pub(crate) fn run(seconds: u64) -> anyhow::Result<()> {
    let root = root()?;
    let asked = output({
        let mut command = cargo(&["fuzz", "--version"]);
        command.current_dir(&root);
        command
    });
    asked.context("install it with `cargo install --locked cargo-fuzz`")?;
    let targets = targets(&root)?;
    let mut failed = Vec::new();
    for target in &targets {
        println!("\n== {target}");
        if !fuzz(&root, target, seconds)? {
            failed.push(target.as_str());
        }
    }
    let passed = targets.len().saturating_sub(failed.len());
    println!("\nfuzz-smoke: {passed} passed, {} failed", failed.len());
    anyhow::ensure!(failed.is_empty(), "these fail: {}; see fuzz/artifacts", failed.join(", "));
    Ok(())
}

/// Whether `target` holds for all that libFuzzer makes up in `seconds`.
fn fuzz(root: &Path, target: &str, seconds: u64) -> anyhow::Result<bool> {
    let fresh = root.join("target/fuzz").join(target);
    std::fs::create_dir_all(&fresh).with_context(|| format!("{}", fresh.display()))?;
    // Stable has no sanitizers; the checks are those of the targets, and of Rust.
    let mut command = Command::new("cargo");
    command.current_dir(root).args(["fuzz", "run", "--sanitizer", "none", target]);
    command.arg(fresh).arg(Path::new("fuzz/corpus").join(target)).arg("--");
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        "-max_len=8192".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]);
    Ok(command.status().context("cargo does not start")?.success())
}

/// The names of all targets.
fn targets(root: &Path) -> anyhow::Result<Vec<String>> {
    let folder = root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
