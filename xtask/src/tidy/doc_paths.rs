//! The paths that documents name exist.
//!
//! Two kinds of names count, outside fenced blocks: words within backticks that begin with one of
//! our folders, taken from the root, and targets of links, taken from the document's folder.

use super::Finding;
use super::repository::Repository;

/// What a path from the root begins with.
const FOLDERS: &[&str] =
    &[".ci/", ".github/", "benches/", "crates/", "docs/", "examples/", "tests/", "xtask/"];

/// What stands for something else: patterns, placeholders, elisions.
const PLACEHOLDERS: &[char] = &['*', '<', '{', '…'];

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let documents = repository.files.iter().filter(|(path, _)| path.ends_with(".md"));
    let mut findings = Vec::new();
    for (document, text) in documents {
        for (line, prose) in prose(text) {
            let missing = named_paths(prose)
                .chain(link_targets(prose).filter_map(|link| resolve(document, link)))
                .filter(|path| !path.contains(PLACEHOLDERS) && !repository.exists(path));
            findings.extend(missing.map(|path| Finding {
                path: document.clone(),
                line,
                what: format!("{path} does not exist"),
                fix: "name what is there".to_owned(),
            }));
        }
    }
    findings
}

/// The lines outside fenced blocks, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The paths within backticks, without what points into the file: `:12`, `::name`, `#anchor`.
fn named_paths(line: &str) -> impl Iterator<Item = String> {
    let spans = line.split('`').skip(1).step_by(2);
    let words = spans.flat_map(str::split_whitespace);
    words
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        .filter_map(|word| word.split([':', '#', ',']).next().map(str::to_owned))
}

/// What the links of a line lead to: `[text](target)`.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next())
}

/// The path from the root that a link in `document` leads to; `None` when it leads elsewhere.
fn resolve(document: &str, link: &str) -> Option<String> {
    let file = link.split('#').next().unwrap_or_default();
    if file.is_empty() || file.contains(':') {
        return None;
    }
    let mut steps: Vec<&str> = document.split('/').collect();
    steps.pop();
    for step in file.split('/') {
        match step {
            "." => {}
            ".." => drop(steps.pop()),
            name => steps.push(name),
        }
    }
    Some(steps.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let files = [
            ("docs/a.md", text),
            ("docs/b.md", ""),
            ("crates/x/src/lib.rs", ""),
            ("README.md", ""),
        ];
        check(&Repository::of(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn paths_that_exist_pass() {
        for text in [
            "`crates/x/src/lib.rs`, `crates/x/src/lib.rs:12`, `crates/x` and `crates/x/`",
            "`cargo doc --open` shows `docs/b.md#words`",
            "[b](b.md), [b](./b.md#words), [readme](../README.md), [here](#words)",
            "[elsewhere](https://example.org/docs/c.md)",
        ] {
            assert_eq!(wrong(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_names_no_path_of_ours_is_left_alone() {
        for text in [
            "crates/y without backticks",
            "`crates/*/src`, `crates/<name>/src/lib.rs`, `docs/{a,b}.md`",
            "`policy/eval.yaml` of a project",
            "```console\n$ ls `crates/y` [c](c.md)\n```",
        ] {
            assert_eq!(wrong(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn paths_that_do_not_exist_are_found_with_their_line() {
        assert_eq!(
            wrong("first\n\n```\nfenced\n```\nsee `crates/y/src/lib.rs`"),
            ["docs/a.md:6: crates/y/src/lib.rs does not exist; name what is there"]
        );
        for text in
            ["`cat docs/c.md`", "`crates/x/src/li`", "[c](c.md)", "[c](../c.md)", "[b](docs/b.md)"]
        {
            assert_eq!(wrong(text).len(), 1, "{text}");
        }
    }
}
