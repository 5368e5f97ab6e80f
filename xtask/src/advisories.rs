//! `cargo xtask advisories CLONE`: takes what RustSec knows of our dependencies out of a clone of its database
//! (<https://github.com/rustsec/advisory-db>) into [`SNAPSHOT`], by which `cargo xtask tidy` goes without a
//! network.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;
use toml::Table;

use crate::{output, root};

/// What is kept of the database.
pub(crate) const SNAPSHOT: &str = "xtask/advisories.toml";
/// Whose packages are looked up.
pub(crate) const LOCKS: [&str; 2] = ["Cargo.lock", "fuzz/Cargo.lock"];

/// The part of an advisory that says whom it concerns.
#[derive(Debug, Deserialize)]
struct Document {
    advisory: Head,
    versions: Versions,
}

#[derive(Debug, Deserialize)]
struct Head {
    id: String,
    package: String,
    withdrawn: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Versions {
    patched: Vec<String>,
    #[serde(default)]
    unaffected: Vec<String>,
}

/// Writes the snapshot anew from the database in `clone`.
pub(crate) fn write(clone: &str) -> anyhow::Result<()> {
    let root = root()?;
    let mut packages = BTreeSet::new();
    for lock in LOCKS {
        let text = std::fs::read_to_string(root.join(lock)).context(lock)?;
        packages.extend(locked(&text)?.into_iter().map(|(name, _)| name));
    }
    let mut advisories = Vec::new();
    for package in &packages {
        advisories.extend(of_package(&Path::new(clone).join("crates").join(package))?);
    }
    advisories.sort_by(|one, other| one.advisory.id.cmp(&other.advisory.id));
    let text = render(&stamp(clone)?, &packages, &advisories);
    std::fs::write(root.join(SNAPSHOT), text).context(SNAPSHOT)?;
    println!("{} advisories on {} packages", advisories.len(), packages.len());
    Ok(())
}

/// The names and versions of the packages of a lock file that came from a registry.
pub(crate) fn locked(lock: &str) -> anyhow::Result<Vec<(String, String)>> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Locked>,
    }
    #[derive(Deserialize)]
    struct Locked {
        name: String,
        version: String,
        source: Option<String>,
    }
    let Lock { package } = toml::from_str(lock)?;
    let foreign = package.into_iter().filter(|locked| locked.source.is_some());
    Ok(foreign.map(|locked| (locked.name, locked.version)).collect())
}

/// The advisories in `folder` that were not taken back.
fn of_package(folder: &Path) -> anyhow::Result<Vec<Document>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let head = text.split_once("```toml").and_then(|(_, rest)| rest.split_once("```"));
        let (head, _) = head.with_context(|| format!("{} has no head", path.display()))?;
        let document: Document = toml::from_str(head).context(path.display().to_string())?;
        found.extend(document.advisory.withdrawn.is_none().then_some(document));
    }
    Ok(found)
}

/// Which state of the database it is.
fn stamp(clone: &str) -> anyhow::Result<String> {
    let mut git = Command::new("git");
    git.args(["-C", clone, "log", "-1", "--format=%H of %cs"]);
    Ok(output(git)?.trim().to_owned())
}

fn render(stamp: &str, packages: &BTreeSet<String>, advisories: &[Document]) -> String {
    let mut text = format!(
        "# What RustSec knows of the packages of our lock files. Written by `cargo xtask advisories CLONE`.\n\
         database = \"{stamp}\"\n\n# Packages that were looked up.\npackages = [\n"
    );
    let lines = packages.iter().map(|package| format!("    \"{package}\",\n"));
    text.extend(lines);
    text.push_str("]\n");
    for Document { advisory, versions } in advisories {
        let fine: Vec<_> = versions.patched.iter().chain(&versions.unaffected).collect();
        let mut table = Table::new();
        table.insert("package".to_owned(), advisory.package.clone().into());
        table.insert("fine".to_owned(), fine.into_iter().cloned().collect::<Vec<_>>().into());
        text.extend([format!("\n[advisories.{}]\n{table}", advisory.id)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advisory_is_read_and_written_so_that_the_rule_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let advisory = |id: &str, more: &str| {
            format!(
                "```toml\n[advisory]\nid = \"{id}\"\npackage = \"a\"\n{more}\n[versions]\n\
                 patched = [\">= 2\"]\nunaffected = [\"< 1\"]\n```\n\n# Text\n"
            )
        };
        std::fs::write(folder.path().join("one.md"), advisory("RUSTSEC-1", "")).unwrap();
        let withdrawn = advisory("RUSTSEC-2", "withdrawn = \"2026-01-01\"");
        std::fs::write(folder.path().join("two.md"), withdrawn).unwrap();
        let found = of_package(folder.path()).unwrap();
        let text = render("some day", &["a".to_owned()].into(), &found);
        let table: Table = text.parse().unwrap();
        let wanted = "package = \"a\"\nfine = [\">= 2\", \"< 1\"]\n".parse::<Table>().unwrap();
        assert_eq!(table["advisories"]["RUSTSEC-1"].as_table(), Some(&wanted));
        assert_eq!(table["advisories"].as_table().unwrap().len(), 1);
        assert_eq!(table["packages"].as_array().unwrap().len(), 1);
        assert!(of_package(&folder.path().join("none")).unwrap().is_empty());
    }
}
