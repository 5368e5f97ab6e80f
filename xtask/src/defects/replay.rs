//! One break: the test passes without it and fails with it.

use std::fmt;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::table::Defect;
use super::workspace::Workspace;

/// How long a broken test may hang before it counts as failed.
const TEST_WAIT: Duration = Duration::from_secs(120);
/// The package whose tests run the binary.
const OF_THE_BINARY: &str = "optim-tests";

/// What came of a break.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The test failed with it.
    Caught,
    /// The test passed with it.
    Unnoticed,
    /// The break, or the workspace, does not compile, which proves nothing.
    DoesNotBuild(String),
    /// The test fails without it.
    FailsAnyway,
    /// There is no such test, or there are several.
    NoSuchTest(usize),
    /// The break fits nowhere.
    Stale(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught => write!(f, "caught"),
            Self::Unnoticed => write!(f, "the test passes with the break"),
            Self::DoesNotBuild(why) => write!(f, "it does not compile: {why}"),
            Self::FailsAnyway => write!(f, "the test fails without the break"),
            Self::NoSuchTest(count) => write!(f, "{count} tests have this name"),
            Self::Stale(why) => write!(f, "the break does not fit: {why}"),
        }
    }
}

/// How the test ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Passed,
    Failed,
    DoesNotBuild(String),
    NoSuchTest(usize),
}

/// A break on a copy of the workspace.
pub(super) struct Replay<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) defect: &'a Defect,
}

impl Replay<'_> {
    /// Runs the test without the break; what is wrong with it, if anything is.
    pub(super) fn unbroken(&self) -> anyhow::Result<Option<Verdict>> {
        Ok(match self.test()? {
            Ended::Passed => None,
            Ended::Failed => Some(Verdict::FailsAnyway),
            Ended::DoesNotBuild(why) => Some(Verdict::DoesNotBuild(why)),
            Ended::NoSuchTest(count) => Some(Verdict::NoSuchTest(count)),
        })
    }

    /// Runs the test with the break, and takes the break back.
    pub(super) fn broken(&self) -> anyhow::Result<Verdict> {
        let file = &self.defect.file;
        let text = self.workspace.read(file)?;
        let broken = match self.defect.broken(&text) {
            Ok(broken) => broken,
            Err(why) => return Ok(Verdict::Stale(why)),
        };
        self.workspace.write(file, &broken)?;
        let ended = self.test();
        self.workspace.write(file, &text)?;
        Ok(match ended? {
            Ended::Passed => Verdict::Unnoticed,
            Ended::Failed => Verdict::Caught,
            Ended::DoesNotBuild(why) => Verdict::DoesNotBuild(why),
            Ended::NoSuchTest(count) => Verdict::NoSuchTest(count),
        })
    }

    /// Builds and runs the test.
    fn test(&self) -> anyhow::Result<Ended> {
        let Defect { package, test, .. } = self.defect;
        let mut builds = vec![vec!["test", "--quiet", "--package", package, "--tests", "--no-run"]];
        if package == OF_THE_BINARY {
            builds.push(vec!["build", "--quiet", "--package", "optim-server", "--bin", "optim"]);
        }
        for arguments in builds {
            let built =
                self.workspace.cargo(&arguments).output().context("cargo does not start")?;
            if !built.status.success() {
                return Ok(Ended::DoesNotBuild(first_error(&built)));
            }
        }
        let arguments = ["test", "--package", package, "--tests", "--", "--exact", test];
        let Some(ran) = limited(self.workspace.cargo(&arguments), TEST_WAIT)? else {
            return Ok(Ended::Failed);
        };
        Ok(ended(&String::from_utf8_lossy(&ran.stdout), ran.status.success()))
    }
}

/// How a test ended, from what the harness printed.
fn ended(printed: &str, success: bool) -> Ended {
    let running = printed.lines().filter_map(|line| line.strip_prefix("running "));
    let counts = running.filter_map(|rest| rest.split(' ').next()?.parse::<usize>().ok());
    match (counts.sum(), success) {
        (1, true) => Ended::Passed,
        (1, false) => Ended::Failed,
        (count, _) => Ended::NoSuchTest(count),
    }
}

fn first_error(built: &Output) -> String {
    let stderr = String::from_utf8_lossy(&built.stderr);
    stderr.lines().find(|line| line.starts_with("error")).unwrap_or("error").to_owned()
}

/// Runs `command` to its end; `None` when it was stopped for taking longer than `limit`.
fn limited(mut command: Command, limit: Duration) -> anyhow::Result<Option<Output>> {
    command.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let child = command.spawn().with_context(|| format!("{command:?} does not start"))?;
    let group = child.id();
    let (tell, told) = mpsc::channel();
    let waiting = thread::spawn(move || tell.send(child.wait_with_output()));
    let output = match told.recv_timeout(limit) {
        Ok(output) => Some(output?),
        Err(_) => {
            // Its children with it.
            Command::new("kill").args(["-KILL", "--", &format!("-{group}")]).status()?;
            None
        }
    };
    drop(waiting.join());
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_not_there_proves_nothing() {
        let none = "\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed\n";
        let one = "\nrunning 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed\n";
        assert_eq!(ended(none, true), Ended::NoSuchTest(0));
        assert_eq!(ended(&format!("{none}{one}"), true), Ended::Passed);
        assert_eq!(ended(&format!("{none}{one}"), false), Ended::Failed);
        assert_eq!(ended(&format!("{one}{one}"), true), Ended::NoSuchTest(2));
        // One that aborts has no result.
        assert_eq!(ended("\nrunning 1 test\n", false), Ended::Failed);
    }

    #[test]
    fn a_test_that_hangs_is_stopped() {
        let mut hang = Command::new("sh");
        hang.args(["-c", "sleep 1000 & wait"]);
        assert!(limited(hang, Duration::from_millis(50)).unwrap().is_none());
        let mut quick = Command::new("sh");
        quick.args(["-c", "echo here"]);
        assert_eq!(limited(quick, Duration::from_secs(60)).unwrap().unwrap().stdout, b"here\n");
    }
}
