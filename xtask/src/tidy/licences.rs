//! Every package may be used under the licences that `deny.toml` allows.

use spdx::{Expression, Licensee, ParseMode};
use toml::{Table, Value};

use super::Finding;
use super::repository::{Package, Repository, line_where};

/// Where the allowed licences are: the one list, also for cargo-deny.
const LIST: &str = "deny.toml";

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let allowed = match allowed(repository.text(LIST)) {
        Ok(allowed) => allowed,
        Err(what) => {
            return vec![Finding {
                path: LIST.to_owned(),
                line: 1,
                what,
                fix: "list SPDX identifiers under [licenses] allow".to_owned(),
            }];
        }
    };
    let lock = repository.text("Cargo.lock");
    let refused = repository.packages.iter().filter_map(|package| {
        let what = objection(package, &allowed)?;
        let entry = format!("name = \"{}\"", package.name);
        Some(Finding {
            path: "Cargo.lock".to_owned(),
            line: line_where(lock, |line| line == entry),
            what: format!("{} {}: {what}", package.name, package.version),
            fix: format!("use another crate, or allow the licence in {LIST} with the reason"),
        })
    });
    refused.collect()
}

fn allowed(list: &str) -> Result<Vec<Licensee>, String> {
    let table: Table = list.parse().map_err(|error| format!("{error}"))?;
    let allow = table.get("licenses").and_then(|section| section.get("allow"));
    let allow = allow.and_then(Value::as_array).ok_or("there is no list of licences")?;
    let parse = |entry: &Value| {
        let name = entry.as_str().ok_or_else(|| format!("{entry} is not a text"))?;
        Licensee::parse(name).map_err(|error| format!("{name:?} is no licence: {}", error.reason))
    };
    allow.iter().map(parse).collect()
}

/// Why `package` may not be used.
fn objection(package: &Package, allowed: &[Licensee]) -> Option<String> {
    let Some(license) = &package.license else {
        return Some("it names no licence as an SPDX expression".to_owned());
    };
    // Lax, because some crates still write `MIT/Apache-2.0`.
    match Expression::parse_mode(license, ParseMode::LAX) {
        Err(error) => Some(format!("{license:?} is no SPDX expression: {}", error.reason)),
        Ok(expression) => {
            let fine = expression.evaluate(|one| allowed.iter().any(|ours| ours.satisfies(one)));
            (!fine).then(|| format!("its licence is {license}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENY: &str = "[licenses]\nallow = [\"MIT\", \"Zlib\"]\n";
    const LOCK: &str = "[[package]]\nname = \"other\"\n\n[[package]]\nname = \"one\"\n";

    fn wrong(deny: &str, license: Option<&str>) -> Vec<String> {
        let mut repository = Repository::of(&[(LIST, deny), ("Cargo.lock", LOCK)]);
        repository.packages.push(Package {
            name: "one".to_owned(),
            version: "1.2.3".to_owned(),
            license: license.map(str::to_owned),
            ..Package::default()
        });
        check(&repository).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn threat_49_an_expression_passes_when_the_allowed_licences_satisfy_it() {
        for license in ["MIT", "MIT OR GPL-3.0-only", "GPL-3.0-only/MIT", "MIT AND (Zlib OR ISC)"] {
            assert!(wrong(DENY, Some(license)).is_empty(), "{license}");
        }
    }

    #[test]
    fn an_expression_fails_when_they_do_not() {
        for license in
            ["GPL-3.0-only", "MIT AND ISC", "MIT WITH LLVM-exception", "ISC OR BSD-3-Clause"]
        {
            assert_eq!(
                wrong(DENY, Some(license)),
                [format!(
                    "Cargo.lock:5: one 1.2.3: its licence is {license}; use another crate, \
                     or allow the licence in deny.toml with the reason"
                )]
            );
        }
    }

    #[test]
    fn threat_49_a_package_without_a_readable_licence_fails() {
        assert!(wrong(DENY, None)[0].contains("names no licence"));
        assert!(wrong(DENY, Some("see LICENSE"))[0].contains("is no SPDX expression"));
    }

    #[test]
    fn a_list_that_cannot_be_read_fails() {
        for (deny, complaint) in [
            ("", "there is no list of licences"),
            ("[licenses", "deny.toml:1: "),
            ("[licenses]\nallow = [\"MYT\"]", "\"MYT\" is no licence"),
            ("[licenses]\nallow = [7]", "7 is not a text"),
        ] {
            let found = wrong(deny, Some("MIT"));
            assert!(found[0].contains(complaint), "{deny}: {found:?}");
        }
    }
}
