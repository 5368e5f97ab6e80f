//! `cargo xtask fuzz-smoke`: every fuzz target for a while, each from its corpus.

use std::path::Path;
use std::process::Output;
use std::thread::ScopedJoinHandle;

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
    let mut build = cargo(&["fuzz", "build", "--sanitizer", "none"]);
    anyhow::ensure!(build.current_dir(&root).status()?.success(), "the targets do not build");
    let targets = targets(&root)?;
    let mut failed = Vec::new();
    // Each target takes one core.
    for together in targets.chunks(std::thread::available_parallelism()?.get()) {
        let ended = std::thread::scope(|scope| {
            let root = root.as_path();
            let begun: Vec<_> = (together.iter())
                .map(|target| scope.spawn(move || fuzz(root, target, seconds)))
                .collect();
            begun.into_iter().map(ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for (target, ended) in together.iter().zip(ended) {
            let ended = ended.map_err(|_| anyhow::anyhow!("the thread of {target} panicked"))??;
            let said = String::from_utf8_lossy(&ended.stderr);
            println!("\n== {target}");
            if ended.status.success() {
                let figures = said.lines().filter(|line| line.starts_with("stat::"));
                figures.for_each(|line| println!("{line}"));
            } else {
                println!("{said}");
                failed.push(target.as_str());
            }
        }
    }
    let passed = targets.len().saturating_sub(failed.len());
    println!("\nfuzz-smoke: {passed} passed, {} failed", failed.len());
    anyhow::ensure!(failed.is_empty(), "these fail: {}; see fuzz/artifacts", failed.join(", "));
    Ok(())
}

/// Tries what libFuzzer makes up in `seconds` on `target`.
fn fuzz(root: &Path, target: &str, seconds: u64) -> anyhow::Result<Output> {
    let fresh = root.join("target/fuzz").join(target);
    std::fs::create_dir_all(&fresh).with_context(|| format!("{}", fresh.display()))?;
    // Stable has no sanitizers; the checks are those of the targets, and of Rust.
    let mut command = cargo(&["fuzz", "run", "--sanitizer", "none", target]);
    command.current_dir(root);
    command.arg(fresh).arg(Path::new("fuzz/corpus").join(target)).arg("--");
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        "-max_len=8192".to_owned(),
        "-print_final_stats=1".to_owned(),
    ]);
    command.output().context("cargo does not start")
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
