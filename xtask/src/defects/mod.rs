//! `cargo xtask defects`: each defect of the seed has a test here, and each test would notice it.
//!
//! The table is in `tests/defects`, a file for each part of the product. An entry names a test and a
//! break: one line that brings the defect back. The command applies breaks to a copy of the workspace,
//! one after another, and requires that the test passes without and fails with it.

mod document;
mod replay;
mod table;
mod workspace;

pub(crate) use self::document::{DOCUMENT, render};
pub(crate) use self::table::{Defect, FOLDER, LAST, OPEN, Table, number};

use std::time::Instant;

use anyhow::Context as _;

use self::replay::{Replay, Verdict};
use self::workspace::Workspace;
use crate::root;

/// How many breaks are replayed when nothing else is asked.
const REPLAYED: usize = 10;

/// Which entries are replayed.
pub(crate) enum Choice<'a> {
    /// Ten: the marked ones first.
    Some,
    /// All.
    All,
    /// Those of one id.
    Of(&'a str),
}

/// Replays breaks on a copy of the workspace; fails when one goes unnoticed.
pub(crate) fn replay(choice: &Choice<'_>) -> anyhow::Result<()> {
    let root = root()?;
    let table = Table::read(&root)?;
    let chosen = choose(&table, choice)?;
    let workspace = Workspace::copy(&root)?;
    let begun = Instant::now();
    let replays: Vec<_> =
        chosen.iter().map(|defect| Replay { workspace: &workspace, defect }).collect();
    // All of them before the first break, so that the workspace is built once for it.
    let unbroken: Vec<_> = replays.iter().map(Replay::unbroken).collect::<anyhow::Result<_>>()?;
    let mut missed = Vec::new();
    for ((number, replay), unsound) in (1..).zip(&replays).zip(unbroken) {
        let defect = replay.defect;
        let verdict = match unsound {
            Some(verdict) => verdict,
            None => replay.broken()?,
        };
        println!("{number}/{} {} {}: {verdict}", chosen.len(), defect.id, defect.test);
        if !matches!(verdict, Verdict::Caught) {
            missed.push(format!("{} {}: {verdict}", defect.id, defect.test));
        }
    }
    let caught = chosen.len() - missed.len();
    println!("{caught} of {} breaks were caught ({:.0?})", chosen.len(), begun.elapsed());
    anyhow::ensure!(missed.is_empty(), "not caught:\n  {}", missed.join("\n  "));
    Ok(())
}

/// Writes the document of the table.
pub(crate) fn write() -> anyhow::Result<()> {
    let root = root()?;
    let text = render(&Table::read(&root)?);
    let path = root.join(DOCUMENT);
    std::fs::write(&path, text).with_context(|| path.display().to_string())
}

fn choose<'t>(table: &'t Table, choice: &Choice<'_>) -> anyhow::Result<Vec<&'t Defect>> {
    let all = table.defects.iter().map(|(_, defect)| defect);
    let chosen: Vec<_> = match choice {
        Choice::All => all.collect(),
        Choice::Of(id) => all.filter(|defect| defect.id == *id).collect(),
        Choice::Some => {
            let (marked, others): (Vec<_>, Vec<_>) = all.partition(|defect| defect.replay);
            marked.into_iter().chain(others).take(REPLAYED).collect()
        }
    };
    anyhow::ensure!(!chosen.is_empty(), "{FOLDER} has no such entry");
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_entries_come_first_and_an_id_may_have_several() {
        let entry = |id: &str, replay: bool| {
            format!(
                "[[defect]]\nid = {id:?}\nwrong = \"w\"\ninstead = \"i\"\npackage = \"p\"\ntest = \"t\"\nfile = \"f\"\nfind = \"a\"\nreplace = \"b\"\nreplay = {replay}\n"
            )
        };
        let text: String = (1..=12).map(|id| entry(&format!("D{id}"), id == 12)).collect();
        let text = text + &entry("D3", false);
        let table = Table::parse([("tests/defects/a.toml", text.as_str())]).unwrap();
        let ids = |choice| -> Vec<_> {
            choose(&table, &choice).unwrap().iter().map(|defect| defect.id.clone()).collect()
        };
        assert_eq!(ids(Choice::Some).len(), 10);
        assert_eq!(ids(Choice::Some)[0], "D12");
        assert_eq!(ids(Choice::All).len(), 13);
        assert_eq!(ids(Choice::Of("D3")), ["D3", "D3"]);
        assert!(choose(&table, &Choice::Of("D77")).is_err());
    }
}
