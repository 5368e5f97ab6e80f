//! The entries as a page to read.

use super::table::{Number, Table};

/// Where the page is, from the root.
pub(crate) const PATH: &str = "docs/defects.md";

const INTRODUCTION: &str = "\
# What the seed got wrong, and what holds here

optim began as the correction of another system, the seed. Reading it and simulating it showed 78
defects. This table says of each what went wrong there, what happens here, and which test would fail if
it went wrong again.

A test is believed when it has been seen to fail: each entry of `tests/defects` also names one line of
the sources and a broken version of it. `cargo xtask defects` applies ten of the breaks to a copy, one
after another, and demands that the named test fails each time; `--all` takes every one. This page is
written by `cargo xtask defects --write`.

| defect | in the seed | here | test |
|---|---|---|---|
";

/// The whole page.
pub(crate) fn text(table: &Table) -> String {
    let mut page = INTRODUCTION.to_owned();
    for number in Number::all() {
        for defect in table.of_number(number) {
            page += &row(&[
                &number.to_string(),
                &defect.wrong,
                &defect.instead,
                &format!("{}: `{}`", defect.package, defect.test),
            ]);
        }
        if let Some(open) = table.open(number) {
            page += &row(&[&number.to_string(), "", &format!("open: {}", open.entry.why), ""]);
        }
    }
    page
}

fn row(cells: &[&str]) -> String {
    let cells = cells.iter().map(|cell| cell.replace('|', "\\|"));
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_in_the_order_of_their_numbers_and_open_ones_say_why() {
        let entry = |id: &str| {
            format!(
                "[[defect]]\nid = \"{id}\"\nwrong = \"a|b\"\ninstead = \"c\"\npackage = \"p\"\n\
                 test = \"t\"\nfile = \"f\"\nfind = \"x\"\nreplace = \"y\"\n"
            )
        };
        let text = entry("D10") + &entry("D9") + "[[open]]\nid = \"D2\"\nwhy = \"no API\"\n";
        let files = [("tests/defects/a.toml".to_owned(), text)];
        let page = super::text(&Table::of(&files.into_iter().collect()).unwrap());
        let rows = page.strip_prefix(INTRODUCTION).unwrap();
        assert_eq!(
            rows,
            "| D2 |  | open: no API |  |\n| D9 | a\\|b | c | p: `t` |\n| D10 | a\\|b | c | p: `t` |\n"
        );
    }
}
