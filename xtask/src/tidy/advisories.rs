//! No package has a known flaw, as far as the snapshot of RustSec's database says, and each was looked up.

use std::collections::{BTreeMap, BTreeSet};

use semver::{Version, VersionReq};
use serde::Deserialize;

use super::Finding;
use super::repository::{Repository, line_where};
use crate::advisories::{LOCKS, SNAPSHOT, locked};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    /// Which state of the database it is.
    #[serde(rename = "database")]
    _database: String,
    packages: BTreeSet<String>,
    #[serde(default)]
    advisories: BTreeMap<String, Advisory>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Advisory {
    package: String,
    /// Versions that it does not concern.
    fine: Vec<VersionReq>,
}

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let snapshot: Snapshot = match toml::from_str(repository.text(SNAPSHOT)) {
        Ok(snapshot) => snapshot,
        Err(error) => return vec![finding(SNAPSHOT, 1, error.to_string())],
    };
    let mut findings = Vec::new();
    for path in LOCKS {
        let lock = repository.text(path);
        let packages = match locked(lock) {
            Ok(packages) => packages,
            Err(error) => {
                findings.push(finding(path, 1, error.to_string()));
                continue;
            }
        };
        for (name, version) in packages {
            let entry = format!("name = \"{name}\"");
            let line = || line_where(lock, |line| line == entry);
            let objections = snapshot.objections(&name, &version).into_iter();
            findings.extend(objections.map(|what| finding(path, line(), what)));
        }
    }
    findings
}

fn finding(path: &str, line: usize, what: String) -> Finding {
    let fix = "update the package, or after it was looked up anew: `cargo xtask advisories CLONE`";
    Finding { path: path.to_owned(), line, what, fix: fix.to_owned() }
}

impl Snapshot {
    /// What speaks against `version` of the package `name`.
    fn objections(&self, name: &str, version: &str) -> Vec<String> {
        if !self.packages.contains(name) {
            return vec![format!("{name} was not looked up in the database of advisories")];
        }
        let parsed = Version::parse(version).ok();
        let is_fine = |advisory: &Advisory| {
            let version = parsed.as_ref();
            version.is_some_and(|version| advisory.fine.iter().any(|fine| fine.matches(version)))
        };
        let own = self.advisories.iter().filter(|(_, advisory)| advisory.package == name);
        let known = own.filter(|(_, advisory)| !is_fine(advisory));
        known.map(|(id, _)| format!("{name} {version}: {id}, see https://rustsec.org")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "database = \"some day\"\npackages = [\"a\", \"b\"]\n\
        [advisories.RUSTSEC-1]\npackage = \"a\"\nfine = [\">= 1.2.1\", \"< 1.0\"]\n\
        [advisories.RUSTSEC-2]\npackage = \"b\"\nfine = []\n";

    fn wrong(snapshot: &str, name: &str, version: &str) -> Vec<String> {
        let lock = format!(
            "[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n\n\
             [[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"registry\"\n"
        );
        let none = "package = []\n";
        let files = [(SNAPSHOT, snapshot), (LOCKS[0], &*lock), (LOCKS[1], none)];
        check(&Repository::of(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn threat_49_a_package_with_an_advisory_fails() {
        for version in ["1.0.0", "1.2.0"] {
            let found = wrong(KNOWN, "a", version);
            let wanted = format!("Cargo.lock:6: a {version}: RUSTSEC-1");
            assert!(found.len() == 1 && found[0].starts_with(&wanted), "{found:?}");
        }
        for version in ["1.2.1", "2.0.0", "0.9.9"] {
            assert!(wrong(KNOWN, "a", version).is_empty(), "{version}");
        }
        assert!(wrong(KNOWN, "b", "9.0.0")[0].contains("RUSTSEC-2"), "nobody maintains it");
    }

    #[test]
    fn threat_49_a_package_that_nobody_looked_up_fails() {
        assert!(wrong(KNOWN, "new", "1.0.0")[0].contains("new was not looked up"));
        assert!(wrong("packages = 1", "a", "2.0.0")[0].starts_with(SNAPSHOT));
    }
}
