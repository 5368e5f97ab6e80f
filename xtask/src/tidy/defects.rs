//! The table of defects is whole: each of D1 to D78 has a test or a reason, each break fits, and the
//! document says the same.

use super::Finding;
use super::repository::{Repository, line_where};
use crate::defects::{DOCUMENT, Defect, FOLDER, LAST, OPEN, Table, number, render};

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let folder = format!("{FOLDER}/");
    let files = repository.files.iter().filter(|(path, _)| path.starts_with(&folder));
    let table = match Table::parse(files.map(|(path, text)| (path.as_str(), text.as_str()))) {
        Ok(table) => table,
        Err(error) => {
            let what = format!("{error:#}").replace('\n', " ");
            return vec![finding(OPEN, 1, what, "write it as the others are written")];
        }
    };
    let mut findings: Vec<_> =
        table.defects.iter().flat_map(|(file, defect)| entry(repository, file, defect)).collect();
    findings.extend((1..=LAST).filter_map(|id| answered(&table, id)));
    if repository.text(DOCUMENT) != render(&table) {
        let what = format!("it does not say what {FOLDER} says");
        findings.push(finding(DOCUMENT, 1, what, "cargo xtask defects --write"));
    }
    findings
}

/// What is wrong with an entry.
fn entry(repository: &Repository, file: &str, defect: &Defect) -> Vec<Finding> {
    let named = format!("id = {:?}", defect.id);
    let line = line_where(repository.text(file), |line| line == named);
    let mut findings = Vec::new();
    if number(&defect.id).is_none() {
        let what = format!("there is no defect {:?}", defect.id);
        findings.push(finding(file, line, what, "name one of D1 to D78"));
    }
    if let Err(why) = defect.broken(repository.text(&defect.file)) {
        let what = format!("the break of {} does not fit: {why}", defect.id);
        findings.push(finding(file, line, what, "choose the line that matters now"));
    }
    let name = defect.test.rsplit("::").next().unwrap_or_default();
    let function = format!("fn {name}(");
    if !repository
        .files
        .iter()
        .any(|(path, text)| path.ends_with(".rs") && text.contains(&function))
    {
        let what = format!("there is no test {}", defect.test);
        findings.push(finding(file, line, what, "name the test that guards against it now"));
    }
    findings
}

/// A number that has neither a test nor a reason, or both.
fn answered(table: &Table, id: u32) -> Option<Finding> {
    let tested = table.defects.iter().any(|(_, defect)| number(&defect.id) == Some(id));
    let open = table.open.iter().any(|open| number(&open.id) == Some(id));
    match (tested, open) {
        (true, false) | (false, true) => None,
        (true, true) => Some(finding(OPEN, 1, format!("D{id} has a test"), "take it out here")),
        (false, false) => {
            let what = format!("D{id} has neither a test nor a reason");
            Some(finding(
                OPEN,
                1,
                what,
                "add an entry with its test, or say here what it waits for",
            ))
        }
    }
}

fn finding(path: &str, line: usize, what: String, fix: &str) -> Finding {
    Finding { path: path.to_owned(), line, what, fix: fix.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "[[defect]]\nid = \"D1\"\nwrong = \"w\"\ninstead = \"i\"\npackage = \"p\"\ntest = \"a::it_holds\"\nfile = \"a.rs\"\nfind = \"x > 0\"\nreplace = \"x < 0\"\n";
    const SOURCE: &str = "if x > 0 {}\nfn it_holds() {}\n";

    fn open(ids: impl Iterator<Item = u32>) -> String {
        ids.map(|id| format!("[[open]]\nid = \"D{id}\"\nwhy = \"later\"\n")).collect()
    }

    fn found(entry: &str, source: &str, open: &str) -> Vec<String> {
        let table = Table::parse([("a", entry), ("b", open)]);
        let document = table.map(|table| render(&table)).unwrap_or_default();
        let files = [
            ("tests/defects/a.toml", entry),
            (OPEN, open),
            ("a.rs", source),
            (DOCUMENT, &document),
        ];
        check(&Repository::of(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_table_passes() {
        assert_eq!(found(ENTRY, SOURCE, &open(2..=LAST)), [""; 0]);
    }

    #[test]
    fn a_number_without_an_answer_or_with_two_is_found() {
        assert_eq!(
            found(ENTRY, SOURCE, &open(3..=LAST)),
            [
                "tests/defects/open.toml:1: D2 has neither a test nor a reason; add an entry with its test, \
              or say here what it waits for"
            ]
        );
        assert!(found(ENTRY, SOURCE, &open(1..=LAST))[0].contains("D1 has a test"));
    }

    #[test]
    fn an_entry_that_fits_no_longer_is_found() {
        let found = found(ENTRY, "fn other() {}", &open(2..=LAST));
        assert!(found[0].starts_with("tests/defects/a.toml:2: the break of D1 does not fit"));
        assert!(found[1].contains("there is no test a::it_holds"));
    }

    #[test]
    fn an_unknown_number_and_an_unreadable_file_are_found() {
        let entry = ENTRY.replace("D1", "D99");
        assert!(found(&entry, SOURCE, &open(1..=LAST))[0].contains("there is no defect \"D99\""));
        assert!(found("[[defect]]\n", SOURCE, "")[0].contains("tests/defects/a.toml"));
    }

    #[test]
    fn a_stale_document_is_found() {
        let open = open(2..=LAST);
        let files = [("tests/defects/a.toml", ENTRY), (OPEN, &open), ("a.rs", SOURCE)];
        let found = check(&Repository::of(&files));
        assert!(found[0].to_string().ends_with("cargo xtask defects --write"));
    }
}
