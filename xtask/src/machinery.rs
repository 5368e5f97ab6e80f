//! `cargo xtask crash`, `kill9`, `sim`, `soak`: calls the package that has what they need, in the profile in which
//! every decision is checked as it is made, and optimized all the same.

use crate::{cargo, in_memory, root};

/// The profile of `Cargo.toml`.
const PROFILE: &str = "checked";

/// Runs `verb` of the machinery.
pub(crate) fn run(verb: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let root = root()?;
    if verb == "kill9" {
        let mut build =
            cargo(&["build", "--profile", PROFILE, "--package", "optim-server", "--bin", "optim"]);
        anyhow::ensure!(build.current_dir(&root).status()?.success(), "optim does not build");
    }
    let mut machinery =
        cargo(&["run", "--quiet", "--profile", PROFILE, "--package", "optim-machinery"]);
    machinery.args(["--", verb]).args(arguments).current_dir(&root);
    anyhow::ensure!(
        in_memory(&mut machinery).status()?.success(),
        "{verb} failed; the seeds are in tests/seeds.txt"
    );
    Ok(())
}
