//! Each defect of the seed has a test that would tell, or a reason why it has none.

use super::Finding;
use super::repository::Repository;
use crate::defects::page;
use crate::defects::table::{Defect, FOLDER, Number, Table, Unreadable, Written};

pub(super) fn check(repository: &Repository) -> Vec<Finding> {
    let table = match Table::of(&repository.files) {
        Ok(table) => table,
        Err(Unreadable { path, line, what }) => {
            let fix = "write it as the other entries are".to_owned();
            return vec![Finding { path, line, what, fix }];
        }
    };
    let mut findings = numbers(&table);
    findings.extend(table.defects.iter().flat_map(|defect| entry(repository, defect)));
    if repository.text(page::PATH) != page::text(&table) {
        findings.push(Finding {
            path: page::PATH.to_owned(),
            line: 1,
            what: format!("the page is not what {FOLDER} says"),
            fix: "run cargo xtask defects --write".to_owned(),
        });
    }
    findings
}

/// Each number has entries, or is open once.
fn numbers(table: &Table) -> Vec<Finding> {
    let missing = Number::all().filter(|number| {
        table.of_number(*number).next().is_none() && table.open(*number).is_none()
    });
    let mut findings: Vec<Finding> = missing
        .map(|number| Finding {
            path: FOLDER.to_owned(),
            line: 1,
            what: format!("nothing is said about {number}"),
            fix: "add its test, or say why it is open".to_owned(),
        })
        .collect();
    let open = table.open.iter().filter(|open| table.of_number(open.entry.id).next().is_some());
    findings.extend(open.map(|open| Finding {
        path: open.path.clone(),
        line: open.line,
        what: format!("{} is called open and has a test", open.entry.id),
        fix: "remove the line".to_owned(),
    }));
    findings
}

/// The break of an entry can be applied, and its test is there.
fn entry(repository: &Repository, written: &Written<Defect>) -> Vec<Finding> {
    let Written { entry: defect, path, line } = written;
    let finding = |what: String, fix: &str| Finding {
        path: path.clone(),
        line: *line,
        what: format!("{}: {what}", defect.id),
        fix: fix.to_owned(),
    };
    let mut findings = Vec::new();
    match repository.files.get(&defect.file) {
        None => findings.push(finding(format!("{} does not exist", defect.file), "name the file")),
        Some(source) => {
            findings.extend(defect.broken(source).err().map(|why| {
                finding(format!("{}: {why}", defect.file), "find one line, and break it")
            }))
        }
    }
    if !is_tested(repository, defect) {
        findings.push(finding(
            format!("{} has no function {}", defect.package, defect.function()),
            "name the package and full path of a test",
        ));
    }
    findings
}

fn is_tested(repository: &Repository, defect: &Defect) -> bool {
    let package = repository.members().find(|(package, _)| package.name == defect.package);
    let folder = package.map(|(_, manifest)| manifest.replace("Cargo.toml", ""));
    folder.is_some_and(|folder| {
        let inside = repository.files.iter().filter(|(path, _)| path.starts_with(&folder));
        let mut sources = inside.filter(|(path, _)| path.ends_with(".rs"));
        sources.any(|(_, source)| defect.is_tested_in(source))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defects::table::SAMPLE;

    const SOURCE: &str = "if late {\n}\n#[test]\nfn it_gives_up() {}";

    /// What is wrong with a table of this entry, in which all other numbers are open.
    fn wrong(entry: &str, source: &str) -> Vec<String> {
        let open = Number::all().skip(1);
        let open: String =
            open.map(|number| format!("[[open]]\nid = \"{number}\"\nwhy = \"later\"\n")).collect();
        found(&[("tests/defects/a.toml", entry), ("tests/defects/open.toml", &open)], source)
    }

    fn found(tables: &[(&str, &str)], source: &str) -> Vec<String> {
        let mut files = tables.to_vec();
        files.push(("crates/x/src/lib.rs", source));
        let page = Table::of(&Repository::of(&files).files).map(|table| page::text(&table));
        let page = page.unwrap_or_default();
        files.push((page::PATH, &page));
        let repository = Repository::of(&files).with_member("x", &[]);
        check(&repository).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_table_passes() {
        assert_eq!(wrong(SAMPLE, SOURCE), Vec::<String>::new());
        assert_eq!(wrong(&format!("{SAMPLE}{SAMPLE}"), SOURCE), Vec::<String>::new());
    }

    #[test]
    fn a_break_that_cannot_be_applied_and_a_test_that_is_not_there_are_found() {
        for (entry, source, what) in [
            (
                SAMPLE.replace("src/lib.rs", "src/no.rs"),
                SOURCE,
                "crates/x/src/no.rs does not exist",
            ),
            (SAMPLE.to_owned(), "fn it_gives_up() {}", "`find` is 0 lines of the file, not one"),
            (SAMPLE.replace("if false", "if late"), SOURCE, "`replace` changes nothing"),
            (SAMPLE.replace("it_gives_up", "it_goes_on"), SOURCE, "x has no function it_goes_on"),
            (SAMPLE.replace("\"x\"", "\"y\""), SOURCE, "y has no function it_gives_up"),
            (SAMPLE.replace("id =", "number ="), SOURCE, "unknown field `number`"),
        ] {
            let wrong = wrong(&entry, source);
            assert_eq!(wrong.len(), 1, "{what}: {wrong:?}");
            assert!(wrong[0].starts_with("tests/defects/a.toml:"), "{what}: {wrong:?}");
            assert!(wrong[0].contains(what), "{what}: {wrong:?}");
        }
    }

    #[test]
    fn a_number_is_either_covered_or_open() {
        assert_eq!(
            wrong("", SOURCE),
            ["tests/defects/:1: nothing is said about D1; add its test, or say why it is open"]
        );
        assert_eq!(
            wrong(&format!("{SAMPLE}[[open]]\nid = \"D1\"\nwhy = \"later\"\n"), SOURCE),
            ["tests/defects/a.toml:11: D1 is called open and has a test; remove the line"]
        );
    }

    #[test]
    fn a_page_that_is_not_written_afresh_is_found() {
        let repository = Repository::of(&[("docs/defects.md", "old")]);
        let stale = check(&repository).pop().unwrap();
        assert_eq!(
            stale.to_string(),
            "docs/defects.md:1: the page is not what tests/defects/ says; run cargo xtask defects --write"
        );
    }
}
