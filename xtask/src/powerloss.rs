//! `cargo xtask powerloss`: what is left of a store when the power goes.

use anyhow::Context as _;

use crate::{cargo, root};

/// Runs the harness with `arguments`.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let mut harness = cargo(&["run", "--quiet", "--package", "optim-power-loss", "--"]);
    let ended = harness.args(arguments).current_dir(root()?).status().context("cargo")?;
    anyhow::ensure!(ended.success(), "the store lost something, or the harness cannot tell");
    Ok(())
}
