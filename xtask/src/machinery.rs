//! `cargo xtask crash`, `kill9`, `sim`, `soak`: calls the package that has what they need, optimized, and with
//! every decision checked as it is made.

use crate::{cargo, in_memory, root};

/// A release build whose own packages have what debug builds check. It is no profile of `Cargo.toml`, so that
/// the packages of others are those of every release build, and are not built once more.
const CHECKED: [&str; 9] = [
    "--release",
    "--config",
    "profile.release.debug-assertions=true",
    "--config",
    "profile.release.overflow-checks=true",
    "--config",
    "profile.release.package.'*'.debug-assertions=false",
    "--config",
    "profile.release.package.'*'.overflow-checks=false",
];

/// Runs `verb` of the machinery.
pub(crate) fn run(verb: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let root = root()?;
    if verb == "kill9" {
        let mut build = cargo(&["build", "--package", "optim-server", "--bin", "optim"]);
        anyhow::ensure!(
            build.args(CHECKED).current_dir(&root).status()?.success(),
            "optim does not build"
        );
    }
    let mut machinery = cargo(&["run", "--quiet", "--package", "optim-machinery"]);
    machinery.args(CHECKED).args(["--", verb]).args(arguments).current_dir(&root);
    anyhow::ensure!(
        in_memory(&mut machinery).status()?.success(),
        "{verb} failed; the seeds are in tests/seeds.txt"
    );
    Ok(())
}
