//! The entries of `tests/defects`, as they are written.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use toml::Spanned;

/// Where the entries are, one file for each area of the product.
pub(crate) const FOLDER: &str = "tests/defects/";

/// The number of a defect of the seed: `D1` to `D78`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Number(u8);

impl Number {
    const LAST: u8 = 78;

    /// All that there are.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (1..=Self::LAST).map(Self)
    }
}

impl TryFrom<String> for Number {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let number = text.strip_prefix('D').and_then(|digits| digits.parse().ok());
        let number = number.filter(|number| (1..=Self::LAST).contains(number)).map(Self);
        // Rendering it again refuses `D07` and `D+7`.
        number
            .filter(|number| number.to_string() == text)
            .ok_or_else(|| format!("{text:?} is not one of D1 to D{}", Self::LAST))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("D{}", self.0))
    }
}

/// What went wrong in the seed, what happens here, and the proof that a test would tell.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defect {
    pub(crate) id: Number,
    /// One sentence about the seed.
    pub(crate) wrong: String,
    /// One sentence about optim.
    pub(crate) instead: String,
    /// The package of the test.
    pub(crate) package: String,
    /// The full path of the test within its binary.
    pub(crate) test: String,
    /// The file of the break, from the root.
    pub(crate) file: String,
    /// The one line of `file` that the break replaces; the indentation does not matter.
    pub(crate) find: String,
    /// The broken line.
    pub(crate) replace: String,
    /// Whether the break is one of those that each check replays.
    #[serde(default)]
    pub(crate) replay: bool,
}

/// A defect without a test so far.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Open {
    pub(crate) id: Number,
    /// What it waits for.
    pub(crate) why: String,
}

/// Why a break cannot be applied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoBreak {
    /// So many lines of the file are the one to replace.
    Lines(usize),
    /// The broken line is the sound one.
    Same,
}

impl fmt::Display for NoBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines(count) => write!(f, "`find` is {count} lines of the file, not one"),
            Self::Same => write!(f, "`replace` changes nothing"),
        }
    }
}

impl Defect {
    /// The name of the test's function.
    pub(crate) fn function(&self) -> &str {
        self.test.rsplit("::").next().unwrap_or_default()
    }

    /// Whether `source` has a function of the test's name.
    pub(crate) fn is_tested_in(&self, source: &str) -> bool {
        source.contains(&format!("fn {}(", self.function()))
    }

    /// `source` with the broken line.
    pub(crate) fn broken(&self, source: &str) -> Result<String, NoBreak> {
        let (find, replace) = (self.find.trim(), self.replace.trim());
        if find == replace {
            return Err(NoBreak::Same);
        }
        let mut count = 0;
        let lines = source.split_inclusive('\n').map(|line| {
            if line.trim() != find {
                return line.to_owned();
            }
            count += 1;
            line.replacen(find, replace, 1)
        });
        let broken = lines.collect();
        if count == 1 { Ok(broken) } else { Err(NoBreak::Lines(count)) }
    }
}

/// An entry, and where it is written.
#[derive(Debug)]
pub(crate) struct Written<T> {
    pub(crate) entry: T,
    /// From the root.
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
}

/// All entries, in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) defects: Vec<Written<Defect>>,
    pub(crate) open: Vec<Written<Open>>,
}

/// A file that holds no entries.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Table {
    /// Reads the entries of the workspace at `root`.
    pub(crate) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(root.join(FOLDER)).context(FOLDER)? {
            let path = entry.context(FOLDER)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            files.insert(format!("{FOLDER}{name}"), text);
        }
        let table = Self::of(&files);
        table.map_err(|Unreadable { path, line, what }| anyhow::anyhow!("{path}:{line}: {what}"))
    }

    /// The entries in `files`, which are texts by their path from the root.
    pub(crate) fn of(files: &BTreeMap<String, String>) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            defect: Vec<Spanned<Defect>>,
            #[serde(default)]
            open: Vec<Spanned<Open>>,
        }
        let mut table = Self::default();
        for (path, text) in files.iter().filter(|(path, _)| is_part(path)) {
            let file: File = toml::from_str(text).map_err(|error| Unreadable {
                path: path.clone(),
                line: line_at(text, error.span().map_or(0, |span| span.start)),
                what: error.message().to_owned(),
            })?;
            table.defects.extend(file.defect.into_iter().map(|one| written(path, text, one)));
            table.open.extend(file.open.into_iter().map(|one| written(path, text, one)));
        }
        table.defects.sort_by_key(|one| one.entry.id);
        table.open.sort_by_key(|one| one.entry.id);
        Ok(table)
    }

    /// The entries with a test.
    pub(crate) fn defects(&self) -> impl Iterator<Item = &Defect> {
        self.defects.iter().map(|one| &one.entry)
    }

    /// The entries of `number` with a test.
    pub(crate) fn of_number(&self, number: Number) -> impl Iterator<Item = &Defect> {
        self.defects().filter(move |defect| defect.id == number)
    }

    /// The entry of `number` without one.
    pub(crate) fn open(&self, number: Number) -> Option<&Written<Open>> {
        self.open.iter().find(|one| one.entry.id == number)
    }
}

fn is_part(path: &str) -> bool {
    path.starts_with(FOLDER) && path.ends_with(".toml")
}

fn written<T>(path: &str, text: &str, entry: Spanned<T>) -> Written<T> {
    let line = line_at(text, entry.span().start);
    Written { entry: entry.into_inner(), path: path.to_owned(), line }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// An entry for tests, of a repository with a member `x`.
#[cfg(test)]
pub(crate) const SAMPLE: &str = r#"
[[defect]]
id = "D1"
wrong = "It waited for ever."
instead = "It gives up."
package = "x"
test = "tests::it_gives_up"
file = "crates/x/src/lib.rs"
find = "if late {"
replace = "if false {"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Table, Unreadable> {
        let files = [("tests/defects/a.toml".to_owned(), text.to_owned())];
        Table::of(&files.into_iter().collect())
    }

    #[test]
    fn entries_are_read_with_their_place_in_the_order_of_their_numbers() {
        let table = read(&format!("[[open]]\nid = \"D67\"\nwhy = \"later\"\n{}{SAMPLE}", {
            SAMPLE.replace("D1", "D3")
        }))
        .unwrap();
        let numbers: Vec<String> = table.defects().map(|one| one.id.to_string()).collect();
        assert_eq!(numbers, ["D1", "D3"]);
        assert_eq!(table.defects[1].line, 5);
        assert_eq!(table.open[0].entry.why, "later");
        assert!(!table.defects[0].entry.replay);
    }

    #[test]
    fn what_is_no_entry_is_refused_with_its_line() {
        for (text, line, what) in [
            (SAMPLE.replace("D1", "D79"), 3, "\"D79\" is not one of D1 to D78"),
            (SAMPLE.replace("D1", "D09"), 3, "\"D09\" is not one of D1 to D78"),
            (SAMPLE.replace("find =", "found ="), 9, "unknown field `found`"),
            (SAMPLE.replace("test =", "# test ="), 2, "missing field `test`"),
        ] {
            let refused = read(&text).unwrap_err();
            assert!(refused.what.contains(what), "{}", refused.what);
            assert_eq!(refused.line, line, "{what}");
        }
    }

    #[test]
    fn a_break_replaces_exactly_one_line_and_keeps_its_indentation() {
        let table = read(SAMPLE).unwrap();
        let defect = &table.defects[0].entry;
        assert_eq!(defect.broken("a\n    if late {\nb").unwrap(), "a\n    if false {\nb");
        assert_eq!(defect.broken("if late { x }"), Err(NoBreak::Lines(0)));
        assert_eq!(defect.broken("if late {\n  if late {"), Err(NoBreak::Lines(2)));
        let same = read(&SAMPLE.replace("if false {", "  if late {")).unwrap();
        assert_eq!(same.defects[0].entry.broken("if late {"), Err(NoBreak::Same));
    }

    #[test]
    fn a_test_is_known_by_the_name_of_its_function() {
        let table = read(SAMPLE).unwrap();
        let defect = &table.defects[0].entry;
        assert!(defect.is_tested_in("    async fn it_gives_up() {"));
        assert!(!defect.is_tested_in("fn it_gives_up_late() {} fn does_it_gives_up() {}"));
    }
}
