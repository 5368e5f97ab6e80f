//! `cargo xtask defects`: what went wrong in the seed does not go wrong here, and a test would tell.
//!
//! Each entry of `tests/defects` names a test, and one line of the sources with a broken version of
//! it. A test that still passes with the broken line guards nothing.

pub(crate) mod page;
mod scratch;
pub(crate) mod table;

use std::fs;
use std::path::Path;
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
    let mut caught = 0;
    let mut begun = Instant::now();
    replay_on(&root, &defects, |Defect { id, test, .. }, complaint| {
        let seconds = begun.elapsed().as_secs_f64();
        begun = Instant::now();
        match complaint {
            None => {
                caught += 1;
                println!("{id:4} caught by {test} after {seconds:.1} s");
            }
            Some(why) => println!("{id:4} NOT CAUGHT by {test}: {why}"),
        }
    })?;
    println!("{caught} of {} breaks were caught", defects.len());
    anyhow::ensure!(caught == defects.len(), "{} not caught", defects.len() - caught);
    Ok(())
}

/// Replays the breaks of `defects` on a copy of the workspace at `root`, and tells of each why it is
/// not caught, if it is not.
fn replay_on(
    root: &Path,
    defects: &[&Defect],
    mut tell: impl FnMut(&Defect, Option<String>),
) -> anyhow::Result<()> {
    let scratch = Scratch::copy_of(root)?;
    for (binary, defects) in scratch.by_binary(defects)? {
        let unsound = without_breaks(&scratch, &binary, &defects)?;
        for (defect, unsound) in defects.into_iter().zip(unsound) {
            let complaint = match unsound {
                None => with_break(&scratch, &binary, defect)?,
                why => why,
            };
            tell(defect, complaint);
        }
    }
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::cargo;

    const MANIFEST: &str = "[package]\nname = \"x\"\nedition = \"2024\"\n[workspace]\n";
    const SOURCE: &str = "
        pub fn is_late(minutes: u32) -> bool {
            minutes > 5
        }
        mod tests {
            #[test]
            fn five_is_not_late() {
                assert!(!super::is_late(5) && super::is_late(6));
            }
            #[test]
            fn nothing_is_late() {
                assert!(!super::is_late(6));
            }
            #[test]
            fn time_passes() {}
        }
    ";

    fn small_workspace() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("src")).unwrap();
        fs::create_dir_all(root.path().join("target")).unwrap();
        for (file, text) in
            [("Cargo.toml", MANIFEST), ("src/lib.rs", SOURCE), (".gitignore", "target\n")]
        {
            fs::write(root.path().join(file), text).unwrap();
        }
        let mut git = Command::new("git");
        git.args(["init", "--quiet"]);
        for mut command in [git, cargo(&["generate-lockfile", "--offline", "--quiet"])] {
            command.current_dir(root.path()).env("CARGO_TARGET_DIR", root.path().join("target"));
            assert!(command.status().unwrap().success(), "{command:?}");
        }
        root
    }

    #[test]
    fn a_break_is_caught_by_a_test_that_passes_without_it_and_fails_with_it() {
        let root = small_workspace();
        let entry = |test: &str, replace: &str| {
            format!(
                "[[defect]]\nid = \"D1\"\nwrong = \"\"\ninstead = \"\"\npackage = \"x\"\n\
                 test = \"tests::{test}\"\nfile = \"src/lib.rs\"\nfind = \"minutes > 5\"\n\
                 replace = \"{replace}\"\n"
            )
        };
        let rows = [
            ("five_is_not_late", "minutes >= 5", None),
            ("five_is_not_late", "minutes >", Some("the break does not compile")),
            ("time_passes", "minutes >= 5", Some("it passes with the break")),
            ("nothing_is_late", "minutes >= 5", Some("it fails without the break too")),
            ("late::time_passes", "minutes >= 5", Some("x --lib has no such test")),
            ("five_is_not_late", "minutes > 5", Some("`replace` changes nothing")),
        ];
        let text: String = rows.iter().map(|(test, replace, _)| entry(test, replace)).collect();
        let files = [("tests/defects/a.toml".to_owned(), text)];
        let table = Table::of(&files.into_iter().collect()).unwrap();
        let defects: Vec<_> = table.defects().collect();
        let mut told = Vec::new();
        replay_on(root.path(), &defects, |_, complaint| told.push(complaint)).unwrap();
        for (told, (test, replace, expected)) in told.iter().zip(rows) {
            let first_line = told.as_deref().and_then(|told| told.lines().next());
            assert_eq!(first_line, expected, "{test}: {replace}");
        }
        assert_eq!(told.len(), rows.len());
        assert_eq!(fs::read_to_string(root.path().join("src/lib.rs")).unwrap(), SOURCE);
        let left = fs::read_dir(root.path().join("target")).unwrap().flatten();
        let left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("defects-"));
        assert_eq!(left.count(), 0, "the copy is removed");
    }
}
