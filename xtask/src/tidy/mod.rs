//! `cargo xtask tidy`: the rules that no compiler checks, one file each.
//!
//! A rule is a function from the repository to what it finds wrong. To add one, add a file and a
//! line to [`RULES`]; give it a test with a small repository that breaks it.

mod advisories;
mod defects;
mod doc_paths;
mod edges;
mod file_names;
mod licences;
mod manifests;
mod repository;
mod source_text;

use std::fmt;

use self::repository::Repository;

type Rule = fn(&Repository) -> Vec<Finding>;

const RULES: &[Rule] = &[
    advisories::check,
    defects::check,
    doc_paths::check,
    edges::check,
    file_names::check,
    licences::check,
    manifests::check,
    source_text::check,
];

/// Something that is wrong, where it is, and what to do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Relative to the root.
    path: String,
    /// From 1.
    line: usize,
    what: String,
    fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, fix } = self;
        write!(f, "{path}:{line}: {what}; {fix}")
    }
}

/// Checks all rules and prints everything that is wrong.
pub(crate) fn run() -> anyhow::Result<()> {
    let repository = Repository::read(crate::root()?)?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&repository)).collect();
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    anyhow::ensure!(findings.is_empty(), "{} finding(s)", findings.len());
    println!("tidy: {} files are in order", repository.files.len());
    Ok(())
}
