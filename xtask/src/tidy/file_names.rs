//! A file is named after what is in it.

use super::Finding;
use super::repository::Repository;

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "misc", "util", "utils"];

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let sources = repository.files.keys().filter(|path| path.ends_with(".rs"));
    let nameless = sources.filter(|path| {
        let path = path.strip_suffix(".rs").unwrap_or(path);
        path.split('/').any(says_nothing)
    });
    nameless
        .map(|path| Finding {
            path: path.clone(),
            line: 1,
            what: "the name does not say what is in the file".to_owned(),
            fix: "name it after its one noun or verb, and split it if there are several".to_owned(),
        })
        .collect()
}

/// `helpers`, `part`, `part2`, `part_02`; not `partition`.
fn says_nothing(name: &str) -> bool {
    let numbered = name.strip_prefix("part").is_some_and(|rest| {
        rest.trim_start_matches(['_', '-']).chars().all(|c| c.is_ascii_digit())
    });
    numbered || EMPTY_NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_nothing_are_found() {
        for path in [
            "crates/x/src/utils.rs",
            "crates/x/src/common/mod.rs",
            "crates/x/src/part2.rs",
            "crates/x/src/part_02.rs",
            "tests/helpers.rs",
        ] {
            let found = check(&Repository::of(&[(path, "")]));
            assert_eq!(found.len(), 1, "{path}");
            assert_eq!(found[0].path, path);
        }
    }

    #[test]
    fn names_that_say_something_pass() {
        for path in [
            "crates/x/src/partition.rs",
            "crates/x/src/mod.rs",
            "docs/common.md",
            "tests/support.rs",
        ] {
            assert!(check(&Repository::of(&[(path, "")])).is_empty(), "{path}");
        }
    }
}
