//! The table of defects, as it stands in `tests/defects`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// Where the table is, from the root.
pub(crate) const FOLDER: &str = "tests/defects";
/// The file of what has no test yet.
pub(crate) const OPEN: &str = "tests/defects/open.toml";
/// Defects are D1 to this.
pub(crate) const LAST: u32 = 78;

/// A defect, the test that guards against it, and the break that brings it back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Defect {
    /// `D1` to `D78`.
    pub(crate) id: String,
    /// What went wrong in the seed.
    pub(crate) wrong: String,
    /// What happens here.
    pub(crate) instead: String,
    /// The package of the test.
    pub(crate) package: String,
    /// The test's full path.
    pub(crate) test: String,
    /// The file of the break, from the root.
    pub(crate) file: String,
    /// A text within one line of it that it holds once.
    pub(crate) find: String,
    /// What stands there when the defect is back.
    pub(crate) replace: String,
    /// Whether it is one of those that are replayed each time.
    #[serde(default)]
    pub(crate) replay: bool,
}

/// A defect that has no test yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Open {
    /// `D1` to `D78`.
    pub(crate) id: String,
    /// What it waits for.
    pub(crate) why: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Part {
    defect: Vec<Defect>,
    open: Vec<Open>,
}

/// All parts of the table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// By file, in the order of the files.
    pub(crate) defects: Vec<(String, Defect)>,
    pub(crate) open: Vec<Open>,
}

impl Table {
    /// Reads the table of the workspace at `root`.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        let folder = root.join(FOLDER);
        let named = || folder.display().to_string();
        for entry in std::fs::read_dir(&folder).with_context(named)? {
            let path = entry.with_context(named)?.path();
            let text =
                std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(format!("{FOLDER}/{name}"), text);
        }
        Self::parse(files.iter().map(|(path, text)| (path.as_str(), text.as_str())))
    }

    /// Parses the files of the table, each with its path from the root.
    pub(crate) fn parse<'f>(
        files: impl IntoIterator<Item = (&'f str, &'f str)>,
    ) -> anyhow::Result<Self> {
        let mut table = Self::default();
        for (path, text) in files {
            let Part { defect, open } = toml::from_str(text).with_context(|| path.to_owned())?;
            table.defects.extend(defect.into_iter().map(|defect| (path.to_owned(), defect)));
            table.open.extend(open);
        }
        Ok(table)
    }
}

/// The number of an id; `None` when it is not one of D1 to D78.
pub(crate) fn number(id: &str) -> Option<u32> {
    let number = id.strip_prefix('D')?.parse().ok()?;
    let known = (1..=LAST).contains(&number) && format!("D{number}") == id;
    known.then_some(number)
}

impl Defect {
    /// `text` with the defect in it.
    ///
    /// # Errors
    /// `find` is not a part of exactly one line.
    pub(crate) fn broken(&self, text: &str) -> Result<String, String> {
        let Self { file, find, replace, .. } = self;
        match text.matches(find.as_str()).count() {
            _ if find.trim().is_empty() || find.contains('\n') => {
                Err("what is to be found is not a part of one line".to_owned())
            }
            _ if find == replace => Err("the break changes nothing".to_owned()),
            1 => Ok(text.replacen(find.as_str(), replace, 1)),
            times => Err(format!("{file} holds {find:?} {times} times, not once")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defect(find: &str) -> Defect {
        Defect {
            id: "D1".to_owned(),
            wrong: String::new(),
            instead: String::new(),
            package: String::new(),
            test: String::new(),
            file: "a.rs".to_owned(),
            find: find.to_owned(),
            replace: "no".to_owned(),
            replay: false,
        }
    }

    #[test]
    fn a_break_is_a_part_of_exactly_one_line() {
        assert_eq!(defect("b").broken("a\nb\nc").unwrap(), "a\nno\nc");
        assert!(defect("b").broken("b\nb").unwrap_err().contains("2 times"));
        assert!(defect("b").broken("a").unwrap_err().contains("0 times"));
        for find in ["", " ", "a\nb", "no"] {
            defect(find).broken("a\nb no").unwrap_err();
        }
    }

    #[test]
    fn ids_are_d1_to_d78() {
        assert_eq!((number("D1"), number("D78")), (Some(1), Some(78)));
        for id in ["D0", "D79", "D01", "d1", "1", "D", "D-1"] {
            assert_eq!(number(id), None, "{id}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_file() {
        let error = Table::parse([("tests/defects/a.toml", "[[defects]]\n")]).unwrap_err();
        assert!(error.to_string().contains("tests/defects/a.toml"));
    }
}
