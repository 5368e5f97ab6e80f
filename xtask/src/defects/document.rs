//! The document of the table.

use std::fmt::Write as _;

use super::table::{Defect, FOLDER, LAST, Open, Table, number};

/// The document, from the root.
pub(crate) const DOCUMENT: &str = "docs/defects.md";

/// The text of the document.
pub(crate) fn render(table: &Table) -> String {
    let mut text = format!(
        "# Defects of the seed\n\n\
         What went wrong in the system that optim replaces, and the test that would notice it here.\n\
         `cargo xtask defects` brings ten of them back, one after another, on a copy of the sources, and\n\
         requires that the test fails; with `--all` it brings back every one, with `--id D9` those of one\n\
         number. The table is in `{FOLDER}`; this page is written from it by `cargo xtask defects --write`.\n\n\
         | id | in the seed | here | test |\n|---|---|---|---|\n"
    );
    for id in 1..=LAST {
        for (_, defect) in table.defects.iter().filter(|(_, defect)| number(&defect.id) == Some(id))
        {
            let Defect { id, wrong, instead, package, test, .. } = defect;
            // A write to a string cannot fail.
            writeln!(text, "| {id} | {} | {} | `{package}` `{test}` |", cell(wrong), cell(instead))
                .unwrap_or_default();
        }
    }
    if !table.open.is_empty() {
        text.push_str("\n## Without a test of their own\n\n| id | why |\n|---|---|\n");
        for Open { id, why } in &table.open {
            writeln!(text, "| {id} | {} |", cell(why)).unwrap_or_default();
        }
    }
    text
}

/// A text that stays in its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defects_stand_in_the_order_of_their_numbers() {
        let entry = |id: &str| {
            format!(
                "[[defect]]\nid = {id:?}\nwrong = \"a | b\"\ninstead = \"i\"\npackage = \"p\"\ntest = \"m::t\"\nfile = \"f\"\nfind = \"a\"\nreplace = \"b\"\n"
            )
        };
        let text =
            format!("{}{}[[open]]\nid = \"D3\"\nwhy = \"later\"\n", entry("D10"), entry("D2"));
        let text = render(&Table::parse([("tests/defects/a.toml", text.as_str())]).unwrap());
        let rows = text.lines().filter(|line| line.starts_with("| D")).collect::<Vec<_>>();
        assert_eq!(
            rows,
            [
                "| D2 | a \\| b | i | `p` `m::t` |",
                "| D10 | a \\| b | i | `p` `m::t` |",
                "| D3 | later |"
            ]
        );
    }
}
