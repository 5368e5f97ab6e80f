//! A second process: the same test, run again by this binary with a directory to work in.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const DIRECTORY: &str = "OPTIM_STORE_TEST_CHILD";
const MARK: &str = "child: ";

/// The directory to work in, when this is the second process.
pub(super) fn directory() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// Tells the first process.
pub(super) fn tell(text: &str) {
    println!("{MARK}{text}");
}

/// The second process, which is killed when this is dropped.
pub(super) struct Second {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Second {
    /// Runs `test`, by its path in the crate, in a process that is given `directory`. The shell
    /// command `before` runs in that process first.
    pub(super) fn start(test: &str, directory: &Path, before: &str) -> Self {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("{before}\nexec \"$0\" \"$@\""))
            .arg(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it tells next; `None` when it has ended.
    pub(super) fn hear(&mut self) -> Option<String> {
        for line in self.lines.by_ref() {
            // The harness may have begun the line.
            if let Some((_, told)) = line.unwrap().split_once(MARK) {
                return Some(told.to_owned());
            }
        }
        None
    }

    /// Ends it with SIGKILL and waits until it is gone.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
