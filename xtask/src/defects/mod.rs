//! `cargo xtask defects`: what went wrong in the seed does not go wrong here, and a test would tell.
//!
//! Each entry of `tests/defects` names a test, and one line of the sources with a broken version of
//! it. A test that still passes with the broken line guards nothing.

pub(crate) mod page;
mod scratch;
pub(crate) mod table;

use std::fs;
use std::time::Instant;

use anyhow::Context as _;

use self::scratch::{Outcome, Scratch, TestBinary};
use self::table::{Defect, Table};
use crate::root;

/// Applies the breaks of the entries that `chosen` holds for, one after another, to a copy of the
/// workspace. Fails unless each of their tests passes without the break and fails with it.
pub(crate) fn replay(chosen: impl Fn(&Defect) -> bool) -> anyhow::Result<()> {
    let root = root()?;
    let table = Table::read(&root)?;
    let defects: Vec<&Defect> = table.defects().filter(|defect| chosen(defect)).collect();
    anyhow::ensure!(!defects.is_empty(), "no entry of {} is meant", table::FOLDER);
    let scratch = Scratch::copy_of(&root)?;
    let mut caught = 0;
    for (binary, defects) in scratch.by_binary(&defects)? {
        let sound = without_breaks(&scratch, &binary, &defects)?;
        for (defect, sound) in defects.into_iter().zip(sound) {
            let begun = Instant::now();
            let complaint = match sound {
                None => with_break(&scratch, &binary, defect)?,
                unsound => unsound,
            };
            let seconds = begun.elapsed().as_secs_f64();
            match complaint {
                None => {
                    caught += 1;
                    println!("{:4} caught by {} in {seconds:.1} s", defect.id, defect.test);
                }
                Some(why) => println!("{:4} NOT CAUGHT by {}: {why}", defect.id, defect.test),
            }
        }
    }
    println!("{caught} of {} breaks were caught", defects.len());
    anyhow::ensure!(caught == defects.len(), "{} not caught", defects.len() - caught);
    Ok(())
}

/// For each entry why its test is of no use as the sources are, if it is not.
fn without_breaks(
    scratch: &Scratch,
    binary: &TestBinary,
    defects: &[&Defect],
) -> anyhow::Result<Vec<Option<String>>> {
    let built = scratch.build(binary)?;
    let built = built.map_err(|errors| anyhow::anyhow!("{binary} does not compile:\n{errors}"))?;
    let complaint = |defect: &&Defect| {
        Ok(match scratch.run(binary, &built, &defect.test)? {
            Outcome::Passed => None,
            Outcome::Failed => Some("it fails without the break too".to_owned()),
            Outcome::NotFound => Some(format!("{binary} has no such test")),
            Outcome::Hung => Some("it does not end, without the break".to_owned()),
        })
    };
    defects.iter().map(complaint).collect()
}

/// Why the break of `defect` is not caught, if it is not. The copy is whole again afterwards.
fn with_break(
    scratch: &Scratch,
    binary: &TestBinary,
    defect: &Defect,
) -> anyhow::Result<Option<String>> {
    let path = scratch.path().join(&defect.file);
    let whole = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let broken = match defect.broken(&whole) {
        Ok(broken) => broken,
        Err(found) => return Ok(Some(found.to_string())),
    };
    fs::write(&path, broken)?;
    let complaint = match scratch.build(binary)? {
        Err(errors) => Some(format!("the break does not compile\n{errors}")),
        Ok(built) => match scratch.run(binary, &built, &defect.test)? {
            Outcome::Failed => None,
            Outcome::Passed => Some("it passes with the break".to_owned()),
            Outcome::NotFound => Some("the break removes the test".to_owned()),
            Outcome::Hung => Some("it does not end with the break".to_owned()),
        },
    };
    fs::write(&path, whole)?;
    Ok(complaint)
}

/// Writes the page that the table is read as.
pub(crate) fn write() -> anyhow::Result<()> {
    let root = root()?;
    fs::write(root.join(page::PATH), page::text(&Table::read(&root)?)).context(page::PATH)?;
    println!("{} is written", page::PATH);
    Ok(())
}
