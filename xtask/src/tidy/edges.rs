//! Which crate may use which.

use super::Finding;
use super::repository::{Package, Repository, line_where};

/// The crates of the workspace with those that they may use, in any kind of dependency.
const EDGES: &[(&str, &[&str])] = &[
    ("optim-core", &[]),
    ("optim-store", &["optim-core"]),
    // Its own tests want it with the feature `testing`.
    ("optim-runtime", &["optim-core", "optim-store", "optim-runtime"]),
    ("optim-server", &["optim-core", "optim-store", "optim-runtime"]),
    ("optim-tests", &["optim-core", "optim-store", "optim-runtime", "optim-server"]),
    ("optim-benches", &["optim-core", "optim-store", "optim-runtime"]),
    ("optim-power-loss", &["optim-core", "optim-store"]),
    ("optim-machinery", &["optim-core", "optim-store", "optim-runtime"]),
    ("xtask", &[]),
];

/// What the core may use outside its tests. A crate on this list does no I/O, reads no clock and
/// draws no random numbers of its own.
const CORE_USES: &[&str] = &[
    "diffy",
    "granit-parser",
    "libm",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "sha2",
    "strsim",
    "thiserror",
    "uuid",
];

/// What may not come into the core by any detour.
const NEVER_IN_CORE: &[&str] = &[
    "async-trait",
    "clap",
    "getrandom",
    "heed",
    "jsonschema",
    "rand",
    "regex",
    "tokio",
    "tracing",
];

/// The most crates that the core may be built from, itself and macros included.
const CORE_TREE_MAX: usize = 36;

/// Crates that have one place.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("anyhow", &["optim-power-loss", "optim-server", "xtask"]),
    ("clap", &["optim-server"]),
    ("criterion", &["optim-benches"]),
    ("heed", &["optim-store"]),
    ("reqwest", &["optim-runtime"]),
    ("tracing-subscriber", &["optim-server"]),
];

const THIS_FILE: &str = "xtask/src/tidy/edges.rs";

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = core_tree(&repository.core_tree);
    for (member, manifest) in repository.members() {
        let text = repository.text(&manifest);
        let wrong = wrong_dependencies(member).into_iter();
        findings.extend(wrong.map(|(name, what, fix)| Finding {
            path: manifest.clone(),
            line: line_where(text, |line| declares(line, &name)),
            what,
            fix,
        }));
    }
    findings
}

/// The dependencies of `member` that it may not have: name, what is wrong, and the fix.
fn wrong_dependencies(member: &Package) -> Vec<(String, String, String)> {
    let name = member.name.as_str();
    let Some(allowed) = lookup(EDGES, name) else {
        return vec![(
            name.to_owned(),
            format!("{name} is not in the table of crates"),
            format!("say in {THIS_FILE} what it may use"),
        )];
    };
    let mut wrong = Vec::new();
    for dependency in &member.dependencies {
        let used = dependency.name.as_str();
        let fix = if lookup(EDGES, used).is_some() {
            if allowed.contains(&used) {
                continue;
            }
            "move the code to the crate that may, or turn the edge around with a trait".to_owned()
        } else if let Some(places) = lookup(ONLY_IN, used).filter(|places| !places.contains(&name))
        {
            format!("its place is {}", places.join(" and "))
        } else if name == "optim-core" && dependency.kind.is_none() && !CORE_USES.contains(&used) {
            format!("keep it out of the core; a pure crate goes on the list in {THIS_FILE}")
        } else {
            continue;
        };
        wrong.push((used.to_owned(), format!("{name} may not use {used}"), fix));
    }
    wrong
}

fn core_tree(tree: &[String]) -> Vec<Finding> {
    let finding = |what, fix: &str| Finding {
        path: "crates/optim-core/Cargo.toml".to_owned(),
        line: 1,
        what,
        fix: format!("{fix} (cargo tree -p optim-core -e normal)"),
    };
    let detours = tree.iter().filter(|name| NEVER_IN_CORE.contains(&name.as_str()));
    let mut findings: Vec<Finding> = detours
        .map(|name| {
            finding(
                format!("optim-core is built from {name}"),
                "drop what brings it in, or the feature of it that does",
            )
        })
        .collect();
    if tree.len() > CORE_TREE_MAX {
        findings.push(finding(
            format!("optim-core is built from {} crates, more than {CORE_TREE_MAX}", tree.len()),
            "use fewer",
        ));
    }
    findings
}

fn lookup(
    table: &[(&str, &'static [&'static str])],
    name: &str,
) -> Option<&'static [&'static str]> {
    let row = table.iter().find(|(key, _)| *key == name);
    row.map(|(_, value)| *value)
}

/// Whether a line of a manifest declares the dependency `name`, or names the package.
fn declares(line: &str, name: &str) -> bool {
    let rest = line.strip_prefix(name);
    rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
        || line == format!("name = \"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(name: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        let repository = Repository::default().with_member(name, dependencies);
        check(&repository).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn allowed_edges_pass() {
        assert!(wrong("optim-core", &[("serde", None), ("proptest", Some("dev"))]).is_empty());
        assert!(wrong("optim-store", &[("optim-core", None), ("heed", None)]).is_empty());
        assert!(wrong("optim-tests", &[("optim-server", None)]).is_empty());
    }

    #[test]
    fn an_edge_against_the_direction_is_found_where_it_is_declared() {
        assert_eq!(
            wrong("optim-store", &[("optim-core", None), ("optim-runtime", None)]),
            [
                "crates/optim-store/Cargo.toml:3: optim-store may not use optim-runtime; move the code \
              to the crate that may, or turn the edge around with a trait"
            ]
        );
    }

    #[test]
    fn nothing_but_the_tests_uses_the_server_not_even_in_tests() {
        for (name, _) in EDGES {
            let found = wrong(name, &[("optim-server", Some("dev"))]);
            assert_eq!(found.is_empty(), *name == "optim-tests", "{name}: {found:?}");
        }
    }

    #[test]
    fn crates_with_one_place_are_found_elsewhere() {
        assert!(wrong("optim-runtime", &[("heed", None)])[0].contains("its place is optim-store"));
        assert!(wrong("optim-runtime", &[("clap", None)])[0].contains("its place is optim-server"));
    }

    #[test]
    fn the_core_uses_only_what_is_listed() {
        for name in ["tokio", "tracing", "async-trait", "itertools"] {
            let found = wrong("optim-core", &[(name, None)]);
            assert!(found[0].contains("keep it out of the core"), "{name}: {found:?}");
        }
    }

    #[test]
    fn a_crate_that_is_not_in_the_table_is_found() {
        assert!(wrong("optim-new", &[])[0].contains("optim-new is not in the table of crates"));
    }

    #[test]
    fn what_comes_into_the_core_by_a_detour_is_found() {
        let tree = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(core_tree(&tree(&["optim-core", "serde"])).is_empty());
        let found = core_tree(&tree(&["getrandom", "optim-core", "uuid"]));
        assert_eq!(found[0].what, "optim-core is built from getrandom");
        let found = core_tree(&vec!["some-crate".to_owned(); CORE_TREE_MAX + 1]);
        assert_eq!(found[0].what, "optim-core is built from 37 crates, more than 36");
    }
}
