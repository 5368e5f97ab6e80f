//! `cargo xtask crash`, `kill9`, `sim`: calls the package that has what they need. It is a debug build, in
//! which every decision is checked as it is made.

use crate::{cargo, in_memory, root};

/// Runs `verb` of the machinery.
pub(crate) fn run(verb: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let root = root()?;
    if verb == "kill9" {
        let mut build = cargo(&["build", "--package", "optim-server", "--bin", "optim"]);
        anyhow::ensure!(build.current_dir(&root).status()?.success(), "optim does not build");
    }
    let mut machinery = cargo(&["run", "--quiet", "--package", "optim-machinery", "--", verb]);
    machinery.args(arguments).current_dir(&root);
    anyhow::ensure!(
        in_memory(&mut machinery).status()?.success(),
        "{verb} failed; the seeds are in tests/seeds.txt"
    );
    Ok(())
}
