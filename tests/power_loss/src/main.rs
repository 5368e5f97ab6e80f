//! What is left of a store when the power goes, in two ways: on a real file system that is shut down under
//! the process, and in states that a disk may be left in, made from a record of what was written.
//! `cargo xtask powerloss` calls it. Linux, as root.
//!
//! Each way has a control that must lose: without it, a harness that cannot lose anything would prove
//! nothing.

#![expect(clippy::print_stdout, reason = "a report for the person who runs it")]

mod cut;
mod states;
mod tools;
mod trace;
mod workload;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use cut::FileSystem;
use workload::Acknowledged;

const USAGE: &str = "power-loss [--ext4 N] [--xfs N] [--states N] [--seed S]";

/// How much is tried.
struct Extent {
    ext4: u64,
    xfs: u64,
    states: u64,
    seed: u64,
}

impl Extent {
    fn read(arguments: &[String]) -> anyhow::Result<Self> {
        let mut extent = Self { ext4: 30, xfs: 10, states: 2_000, seed: 1 };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let of = match word.as_str() {
                "--ext4" => &mut extent.ext4,
                "--xfs" => &mut extent.xfs,
                "--states" => &mut extent.states,
                "--seed" => &mut extent.seed,
                _ => anyhow::bail!("{word:?} is not understood: {USAGE}"),
            };
            let number = words.next().with_context(|| format!("{word} needs a number"))?;
            *of = number.parse().with_context(|| format!("{word} needs a number"))?;
        }
        Ok(extent)
    }
}

/// What was found of one kind.
#[derive(Debug, Default)]
struct Found {
    passed: u64,
    /// Why others did not.
    failed: Vec<String>,
}

impl Found {
    fn add(&mut self, name: &str, end: anyhow::Result<()>) {
        match end {
            Ok(()) => self.passed += 1,
            Err(why) => self.failed.push(format!("{name}: {why:#}")),
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [workload::WRITE, directory] => {
            workload::write(Path::new(directory))?;
            return Ok(ExitCode::SUCCESS);
        }
        [workload::LOOK, directory, told @ ..] => {
            let mut acknowledged = Acknowledged::new();
            told.iter().try_for_each(|line| workload::hear(line, &mut acknowledged))?;
            workload::look(Path::new(directory), &acknowledged)?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let extent = Extent::read(&arguments)?;
    let (mut passed, mut failed) = (0, 0);
    let mut report = |name: &str, found: &Found, must_lose: bool| {
        println!("{name}: {} passed, {} failed", found.passed, found.failed.len());
        for why in found.failed.iter().take(if must_lose { 1 } else { 20 }) {
            println!("    {why}");
        }
        let is_fine = found.failed.is_empty() != must_lose;
        if must_lose {
            println!(
                "    this is the control: {}",
                if is_fine { "it loses" } else { "IT LOSES NOTHING" }
            );
            failed += u64::from(!is_fine);
        } else {
            passed += found.passed;
            failed += u64::try_from(found.failed.len()).unwrap_or(u64::MAX);
        }
    };
    let skipped = |what: &str, why: &str| println!("SKIPPED, and nothing is proven: {what}: {why}");
    for (file_system, cycles) in [(FileSystem::Ext4, extent.ext4), (FileSystem::Xfs, extent.xfs)] {
        if cycles == 0 {
        } else if let Some(why) = tools::no_cuts() {
            skipped(file_system.name(), &why);
        } else {
            let name = file_system.name();
            let found = cut::cycles(file_system, cycles, extent.seed, true)?;
            report(&format!("power cuts on {name}"), &found, false);
            let found = cut::cycles(file_system, cycles.div_ceil(5), extent.seed, false)?;
            report(&format!("power cuts on {name}, nothing is synced"), &found, true);
        }
    }
    if extent.states == 0 {
    } else if let Some(why) = tools::no_record() {
        skipped("states of the disk", &why);
    } else {
        let record = trace::record()?;
        println!("{record}");
        let found = states::enumerate(&record, extent.states, extent.seed, states::Disk::Honest)?;
        report("states of the disk", &found, false);
        let lazy = states::Disk::LateMeta;
        let few = extent.states.div_ceil(5).max(100);
        let found = states::enumerate(&record, few, extent.seed, lazy)?;
        report("states of the disk, the meta page is not synced", &found, true);
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
