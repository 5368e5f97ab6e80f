//! Power cuts: a file system on a loop device is shut down under the process, which throws away all that
//! was not synced; then it is mounted again.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use optim_core::judge::split_mix::SplitMix64;

use crate::workload::{self, Acknowledged};
use crate::{Found, tools};

/// A cut comes after so many acknowledgements at most.
const COMMITS_MAX: usize = 60;

#[derive(Debug, Clone, Copy)]
pub(crate) enum FileSystem {
    Ext4,
    Xfs,
}

impl FileSystem {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// The command that makes one, but for the image; and the least size of the image.
    fn maker(self) -> ([&'static str; 2], &'static str) {
        match self {
            Self::Ext4 => (["mkfs.ext4", "-qF"], "200M"),
            Self::Xfs => (["mkfs.xfs", "-qf"], "320M"),
        }
    }
}

/// A file system that is mounted, and unmounted when this is dropped.
struct Mounted<'a> {
    at: &'a str,
}

impl<'a> Mounted<'a> {
    fn new(image: &str, at: &'a str) -> anyhow::Result<Self> {
        tools::run(&["mount", "-o", "loop", image, at])?;
        Ok(Self { at })
    }

    /// What was not synced is gone from now on, and nothing more is written.
    fn cut(&self) -> anyhow::Result<()> {
        tools::run(&["xfs_io", "-x", "-c", "shutdown", self.at])
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // What keeps it mounted shows when it is mounted again.
        drop(tools::run(&["umount", self.at]));
    }
}

/// Cuts the power `cycles` times under a process on a store that lives on. Without `syncs` the process
/// believes that it syncs, and nothing is.
pub(crate) fn cycles(
    file_system: FileSystem,
    cycles: u64,
    seed: u64,
    syncs: bool,
) -> anyhow::Result<Found> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (image, at) = (path("image"), path("mounted"));
    std::fs::create_dir(&at)?;
    let ([maker, flags], size) = file_system.maker();
    let mut found = Found::default();
    let mut made = false;
    for cycle in 0..cycles {
        // What is lost once is lost in all cycles after it: the next one has a store of its own.
        if !made {
            tools::run(&["truncate", "-s", "0", &image])?;
            tools::run(&["truncate", "-s", size, &image])?;
            tools::run(&[maker, flags, &image])?;
        }
        let end = cycle_of(&image, &at, SplitMix64::new(seed ^ (cycle << 20)), syncs);
        made = end.is_ok();
        found.add(&format!("seed {seed}, cycle {cycle}"), end);
    }
    Ok(found)
}

fn cycle_of(image: &str, at: &str, mut random: SplitMix64, syncs: bool) -> anyhow::Result<()> {
    let store = Path::new(at).join("store");
    let mut acknowledged = Acknowledged::new();
    let mounted = Mounted::new(image, at)?;
    let mut process = start(&store, syncs)?;
    let mut lines = BufReader::new(process.stdout.take().context("it says nothing")?).lines();
    let commits = 1 + random.below(COMMITS_MAX);
    for line in lines.by_ref().take(commits) {
        workload::hear(&line?, &mut acknowledged)?;
    }
    mounted.cut()?;
    process.kill()?;
    process.wait()?;
    // What it had been told before the cut.
    for line in lines {
        workload::hear(&line?, &mut acknowledged)?;
    }
    anyhow::ensure!(!acknowledged.is_empty(), "nothing was acknowledged before the cut");
    drop(mounted);
    let _mounted = Mounted::new(image, at)?;
    workload::look(&store, &acknowledged)
}

fn start(store: &Path, syncs: bool) -> anyhow::Result<Child> {
    let this = std::env::current_exe()?;
    let mut command = if syncs {
        Command::new(this)
    } else {
        let mut command = Command::new("eatmydata");
        command.arg(this);
        command
    };
    command.arg(workload::WRITE).arg(store).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().context("the process does not start")
}
