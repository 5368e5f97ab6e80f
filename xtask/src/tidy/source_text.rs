//! What may not stand in the sources.

use super::Finding;
use super::repository::Repository;

/// Words that may not stand in some files.
struct Ban {
    words: &'static [&'static str],
    within: fn(&str) -> bool,
    what: &'static str,
    fix: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        words: &["include!("],
        within: is_rust,
        what: "source text is pasted in",
        fix: "make it a module",
    },
    Ban {
        words: &["#[ignore", "#[should_panic"],
        within: is_rust,
        what: "a test that does not run, or passes on any panic",
        fix: "assert the very error, or remove the test",
    },
    Ban {
        words: &["FIXME", "TODO", "XXX"],
        within: is_written_by_us,
        what: "a note to oneself",
        fix: "do it now, or open an issue",
    },
    Ban {
        words: &["sleep("],
        within: is_test,
        what: "a test that waits for time to pass",
        fix: "wait for an event, or advance a clock",
    },
];

/// This file names what it looks for.
const THIS_FILE: &str = "xtask/src/tidy/source_text.rs";

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repository.files.iter().filter(|(path, _)| *path != THIS_FILE) {
        for ban in BANS.iter().filter(|ban| (ban.within)(path)) {
            let lines = (1..).zip(text.lines());
            let broken =
                lines.filter(|(_, line)| ban.words.iter().any(|word| has_word(line, word)));
            findings.extend(broken.map(|(line, _)| Finding {
                path: path.clone(),
                line,
                what: ban.what.to_owned(),
                fix: ban.fix.to_owned(),
            }));
        }
    }
    findings
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

fn is_written_by_us(path: &str) -> bool {
    let endings = [".rs", ".toml", ".md", ".yaml", ".yml", ".sh", ".ci/run"];
    endings.iter().any(|ending| path.ends_with(ending))
}

fn is_test(path: &str) -> bool {
    is_rust(path)
        && (path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs"))
}

/// Whether `word` stands in `line`, not as a part of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let inner = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let joined = |left: Option<char>, right: Option<char>| inner(left) && inner(right);
    line.match_indices(word).any(|(start, _)| {
        let (before, rest) = line.split_at(start);
        let (_, after) = rest.split_at(word.len());
        !joined(before.chars().next_back(), word.chars().next())
            && !joined(word.chars().next_back(), after.chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Repository::of(&[(path, text)])).into_iter().map(|one| one.line).collect()
    }

    #[test]
    fn each_ban_finds_what_it_names() {
        for (path, text) in [
            ("crates/x/src/lib.rs", "\ninclude!(\"more.rs\");"),
            ("crates/x/src/lib.rs", "#[test]\n#[ignore]"),
            ("crates/x/src/lib.rs", "#[test]\n#[ignore = \"slow\"]"),
            ("crates/x/src/lib.rs", "#[test]\n#[should_panic(expected = \"no\")]"),
            ("crates/x/src/lib.rs", "\n// TODO: later"),
            ("docs/a.md", "\nFIXME"),
            (".ci/run", "\n# XXX"),
            ("tests/crash.rs", "\nstd::thread::sleep(TICK);"),
            ("crates/x/src/lmdb/tests/mod.rs", "\nsleep(TICK).await;"),
            ("crates/x/src/policy/tests.rs", "\ntokio::time::sleep(TICK).await;"),
        ] {
            assert_eq!(lines(path, text), [2], "{path}: {text}");
        }
    }

    #[test]
    fn what_only_looks_like_it_passes() {
        for (path, text) in [
            ("crates/x/src/lib.rs", "include_str!(\"a.md\"); my_include!(1); // XXXL, TODOS"),
            ("crates/x/src/lib.rs", "tokio::time::sleep(BACK_OFF).await;"),
            ("tests/crash.rs", "spawn(\"sleep 60\"); oversleep(1);"),
            ("examples/x/cases.jsonl", "TODO"),
        ] {
            assert_eq!(lines(path, text), Vec::<usize>::new(), "{path}: {text}");
        }
    }
}
