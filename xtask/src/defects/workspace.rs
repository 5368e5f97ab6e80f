//! A copy of the workspace to break, with a target folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::cargo;

/// Folders that are not copied, wherever they are.
const SKIPPED: &[&str] = &[".git", ".optim", "target"];

/// A copy that stays where it is, so that the next replay builds little.
pub(super) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Copies the workspace at `root` below its target folder. Files that are the same already keep
    /// their times, and what is built of them stays.
    pub(super) fn copy(root: &Path) -> anyhow::Result<Self> {
        let place = root.join("target/defects");
        let copy = Self { root: place.join("workspace"), target: place.join("target") };
        mirror(root, &copy.root)?;
        if !copy.target.exists() {
            copy.borrow_dependencies(&root.join("target/debug"))?;
        }
        Ok(copy)
    }

    /// What was built for the workspace itself saves the copy to build its dependencies. Built files are
    /// replaced, never changed, so both may have the same.
    fn borrow_dependencies(&self, built: &Path) -> anyhow::Result<()> {
        for folder in ["deps", "build", ".fingerprint"] {
            let from = built.join(folder);
            if from.exists() {
                link(&from, &self.target.join("debug").join(folder), folder == "deps")?;
            }
        }
        Ok(())
    }

    /// The text of a file.
    pub(super) fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = self.root.join(file);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Replaces the text of a file.
    pub(super) fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let path = self.root.join(file);
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// A call of cargo in the copy.
    pub(super) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo(arguments);
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        command.env("RUST_BACKTRACE", "0");
        command
    }
}

/// Makes `to` hold what `from` holds.
fn mirror(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(to).with_context(|| to.display().to_string())? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        if !from.join(name).exists() {
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| path.display().to_string())?;
        }
    }
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let target = to.join(&name);
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if path.is_dir() {
            mirror(&path, &target)?;
        } else if fs::read(&target).ok() != Some(fs::read(&path)?) {
            fs::copy(&path, &target).with_context(|| target.display().to_string())?;
        }
    }
    Ok(())
}

/// Gives `to` what `from` holds: the same files, or copies with the same times.
fn link(from: &Path, to: &Path, same: bool) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| to.display().to_string())?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let target = to.join(name);
        if path.is_dir() {
            link(&path, &target, same)?;
        } else if !same || fs::hard_link(&path, &target).is_err() {
            fs::copy(&path, &target).with_context(|| target.display().to_string())?;
            let modified = fs::metadata(&path)?.modified()?;
            fs::File::options().append(true).open(&target)?.set_modified(modified)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_holds_what_is_there_and_nothing_else() {
        let place = std::env::temp_dir().join(format!("xtask-mirror-{}", std::process::id()));
        let (from, to) = (place.join("from"), place.join("to"));
        fs::create_dir_all(from.join("target")).unwrap();
        fs::create_dir_all(from.join("src")).unwrap();
        fs::write(from.join("src/a.rs"), "a").unwrap();
        fs::write(from.join("target/x"), "x").unwrap();
        mirror(&from, &to).unwrap();
        let before = fs::metadata(to.join("src/a.rs")).unwrap().modified().unwrap();
        fs::write(to.join("src/b.rs"), "b").unwrap();
        mirror(&from, &to).unwrap();
        assert!(!to.join("target").exists() && !to.join("src/b.rs").exists());
        assert_eq!(fs::metadata(to.join("src/a.rs")).unwrap().modified().unwrap(), before);
        fs::write(to.join("src/a.rs"), "broken").unwrap();
        mirror(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("src/a.rs")).unwrap(), "a");
        fs::remove_dir_all(place).unwrap();
    }
}
