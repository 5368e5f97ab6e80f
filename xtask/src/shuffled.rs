//! `cargo xtask shuffled`: with its labels shuffled, the example has nothing to find, and a campaign says so.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use crate::{cargo, root};

/// Shuffled packs that are tried.
const SEEDS: u64 = 20;
/// Of how many of them a campaign may recommend a candidate.
const RECOMMENDED_MAX: usize = 1;
/// The exit code of a campaign that recommends a candidate.
const RECOMMENDED: i32 = 7;
/// The exit code of one that finds no improvement.
const NOTHING_FOUND: i32 = 0;

/// What is done to the pack of the example.
#[derive(Clone, Copy, PartialEq)]
enum World {
    /// Nothing: there is something to find.
    TrueLabels,
    /// The expectations of the cases of each split change places.
    Shuffled,
    /// The same, and the proposer sees the cases that decide: it learns them by heart.
    ShuffledAndSeen,
}

/// Runs the campaigns and checks how many of them recommend a candidate.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = root()?;
    // The packages of the demo, so that nothing is built twice.
    let mut build = cargo(&["build", "--release"]);
    anyhow::ensure!(build.current_dir(&root).status()?.success(), "optim does not build");
    let recommended = |world, seeds: u64| -> anyhow::Result<usize> {
        let ends = (1..=seeds).map(|seed| is_recommended(&root, world, seed));
        let ends = ends.collect::<anyhow::Result<Vec<bool>>>()?;
        Ok(ends.into_iter().filter(|recommended| *recommended).count())
    };
    let found = recommended(World::TrueLabels, 1)?;
    println!("true labels: a candidate is recommended in {found} of 1 campaigns");
    let shuffled = recommended(World::Shuffled, SEEDS)?;
    println!("shuffled labels: in {shuffled} of {SEEDS}, {RECOMMENDED_MAX} at most");
    let seen = recommended(World::ShuffledAndSeen, SEEDS)?;
    println!("  broken: the proposer sees the cases that decide: in {seen} of {SEEDS}");
    anyhow::ensure!(found == 1, "the true labels give nothing to find: this shows nothing");
    anyhow::ensure!(shuffled <= RECOMMENDED_MAX, "campaigns found something in noise");
    anyhow::ensure!(seen > RECOMMENDED_MAX, "breaking it changes nothing: this shows nothing");
    Ok(())
}

/// Whether a campaign of the example in `world` ends with a recommendation.
fn is_recommended(root: &Path, world: World, seed: u64) -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    let example = root.join("examples/ticket-triage");
    copy(&example, folder.path())?;
    let cases = folder.path().join("cases/tickets.jsonl");
    let pack = std::fs::read_to_string(&cases)?;
    std::fs::write(&cases, in_world(&pack, world, seed)?)?;
    let mut optim = Command::new(root.join("target/release/optim"));
    let seed = seed.to_string();
    optim.current_dir(folder.path()).args(["run", "--seed", &seed]);
    let ended = optim.output().context("optim does not start")?;
    match ended.status.code() {
        Some(RECOMMENDED) => Ok(true),
        Some(NOTHING_FOUND) => Ok(false),
        code => {
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            anyhow::bail!("the campaign of seed {seed} ended with {code:?}: {said}")
        }
    }
}

/// Copies the files of `from`, but for what campaigns leave there.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_name() == ".optim" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The pack as it is in `world`.
fn in_world(pack: &str, world: World, seed: u64) -> anyhow::Result<String> {
    let mut cases = pack.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    if world != World::TrueLabels {
        shuffle(&mut cases, seed);
    }
    for case in &mut cases {
        let split = case.get_mut("split").context("a case without a split")?;
        if world == World::ShuffledAndSeen && split == "tune" {
            *split = "search".into();
        }
    }
    Ok(cases.iter().map(|case| format!("{case}\n")).collect())
}

/// Has the expectations of the cases of each split change places.
fn shuffle(cases: &mut [Value], seed: u64) {
    let mut expected: BTreeMap<String, Vec<&mut Value>> = BTreeMap::new();
    for case in cases {
        let split = case.get("split").map(Value::to_string).unwrap_or_default();
        expected.entry(split).or_default().extend(case.get_mut("expect"));
    }
    for expected in expected.into_values() {
        let numbered = (0_u64..).zip(&expected).map(|(place, expect)| {
            let mut hasher = DefaultHasher::new();
            (seed, place).hash(&mut hasher);
            (hasher.finish(), (**expect).clone())
        });
        let mut drawn: Vec<(u64, Value)> = numbered.collect();
        drawn.sort_by_key(|(number, _)| *number);
        for (expect, (_, other)) in expected.into_iter().zip(drawn) {
            *expect = other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACK: &str = include_str!("../../examples/ticket-triage/cases/tickets.jsonl");

    #[test]
    fn a_shuffle_keeps_how_often_each_label_is_expected_in_each_split() {
        let counted = |pack: &str| {
            let mut counts = BTreeMap::new();
            for line in pack.lines() {
                let case: Value = serde_json::from_str(line).unwrap();
                *counts
                    .entry((case["split"].to_string(), case["expect"].to_string()))
                    .or_insert(0) += 1;
            }
            counts
        };
        let shuffled = |seed| in_world(PACK, World::Shuffled, seed).unwrap();
        assert_eq!(counted(&shuffled(1)), counted(PACK));
        assert_ne!(shuffled(1), shuffled(2));
        assert_eq!(shuffled(1), shuffled(1));
        let seen = in_world(PACK, World::ShuffledAndSeen, 1).unwrap();
        assert!(PACK.contains("\"tune\"") && !seen.contains("\"tune\""));
    }
}
