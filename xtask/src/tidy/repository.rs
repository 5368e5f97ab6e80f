//! The repository as the rules see it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{cargo, output};

/// Folders that hold nothing of ours, wherever they are.
const SKIPPED: &[&str] = &[".git", ".optim", "target"];

/// The files and packages of the workspace.
#[derive(Debug, Default)]
pub(super) struct Repository {
    /// Absolute.
    pub(super) root: PathBuf,
    /// Texts by their path from the root; what is not UTF-8 has an empty text.
    pub(super) files: BTreeMap<String, String>,
    /// Every package that `Cargo.lock` names, for any platform.
    pub(super) packages: Vec<Package>,
    /// The names of what `optim-core` is built from, itself included.
    pub(super) core_tree: Vec<String>,
}

/// A package, as `cargo metadata` tells.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) edition: String,
    /// The SPDX expression.
    pub(super) license: Option<String>,
    /// Where it was loaded from; absent for packages of the workspace.
    pub(super) source: Option<String>,
    pub(super) manifest_path: PathBuf,
    pub(super) dependencies: Vec<Dependency>,
}

/// A dependency, as it is declared.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// `dev`, `build`, or absent.
    pub(super) kind: Option<String>,
}

impl Repository {
    /// Reads the workspace at `root`.
    pub(super) fn read(root: PathBuf) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Metadata {
            packages: Vec<Package>,
        }
        let ask = |arguments: &[&str]| {
            let mut command = cargo(arguments);
            command.current_dir(&root);
            output(command)
        };
        let metadata = ask(&["metadata", "--locked", "--format-version", "1"])?;
        let metadata: Metadata = serde_json::from_str(&metadata).context("cargo metadata")?;
        let tree = ask(&[
            "tree",
            "--locked",
            "--package",
            "optim-core",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])?;
        let mut core_tree: Vec<String> =
            tree.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
        core_tree.sort();
        core_tree.dedup();
        let mut files = BTreeMap::new();
        walk(&root, &root, &mut files)?;
        Ok(Self { root, files, packages: metadata.packages, core_tree })
    }

    /// The packages of the workspace, each with the path of its manifest from the root.
    pub(super) fn members(&self) -> impl Iterator<Item = (&Package, String)> {
        let members = self.packages.iter().filter(|one| one.source.is_none());
        members.map(|member| (member, relative(&self.root, &member.manifest_path)))
    }

    /// The text of the file at `path`; empty when there is none.
    pub(super) fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// Whether there is a file or a folder at `path`.
    pub(super) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let inside = format!("{path}/");
        let next = self.files.range(inside.clone()..).next();
        self.files.contains_key(path) || next.is_some_and(|(file, _)| file.starts_with(&inside))
    }
}

/// The number of the first line of `text` for which `found` holds; 1 when there is none.
pub(super) fn line_where(text: &str, found: impl Fn(&str) -> bool) -> usize {
    text.lines().position(found).map_or(1, |index| index + 1)
}

fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let entry = entry.with_context(|| folder.display().to_string())?;
        let path = entry.path();
        if SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            walk(root, &path, files)?;
        } else {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            let text = String::from_utf8(bytes).unwrap_or_default();
            files.insert(relative(root, &path), text);
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
impl Repository {
    /// A repository of these files.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self { files: files.collect(), ..Self::default() }
    }

    /// The same, with one more package of the workspace and a manifest for it.
    pub(super) fn with_member(mut self, name: &str, dependencies: &[(&str, Option<&str>)]) -> Self {
        let path = format!("crates/{name}/Cargo.toml");
        let lines = dependencies.iter().map(|(name, _)| format!("{name}.workspace = true\n"));
        let text = format!("[dependencies]\n{}", lines.collect::<String>());
        self.files.entry(path.clone()).or_insert(text);
        let dependencies = dependencies.iter().map(|(name, kind)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
        });
        self.packages.push(Package {
            name: name.to_owned(),
            edition: "2024".to_owned(),
            license: Some("MIT OR Apache-2.0".to_owned()),
            manifest_path: path.into(),
            dependencies: dependencies.collect(),
            ..Package::default()
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_exist_by_what_is_in_them() {
        let repository = Repository::of(&[("docs/a.md", ""), ("docs-old/b.md", "")]);
        assert!(repository.exists("docs/a.md"));
        assert!(repository.exists("docs"));
        assert!(repository.exists("docs/"));
        assert!(!repository.exists("doc"));
        assert!(!repository.exists("docs/a"));
        assert!(!repository.exists("docs/b.md"));
    }
}
