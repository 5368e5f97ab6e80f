//! `cargo xtask crash`, `kill9`, `sim`: calls the package that has what they need. It is a debug build, in
//! which every decision is checked as it is made.

use std::path::Path;

use crate::{cargo, root};

/// A file system in memory: what is tested is not the disk.
const MEMORY: &str = "/dev/shm";

/// Runs `verb` of the machinery.
pub(crate) fn run(verb: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let root = root()?;
    if verb == "kill9" {
        let mut build = cargo(&["build", "--package", "optim-server", "--bin", "optim"]);
        anyhow::ensure!(build.current_dir(&root).status()?.success(), "optim does not build");
    }
    let mut machinery = cargo(&["run", "--quiet", "--package", "optim-machinery", "--", verb]);
    machinery.args(arguments).current_dir(&root);
    if Path::new(MEMORY).is_dir() {
        machinery.env("TMPDIR", MEMORY);
    }
    anyhow::ensure!(
        machinery.status()?.success(),
        "{verb} failed; the seeds are in tests/seeds.txt"
    );
    Ok(())
}
