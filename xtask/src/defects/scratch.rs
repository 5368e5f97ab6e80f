//! A copy of the workspace that may be broken.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use tempfile::TempDir;

use super::table::Defect;
use crate::{cargo, output};

/// The longest that one test may take; some build the binary that they run.
const TEST_MAX: Duration = Duration::from_secs(300);

/// The copy; it is removed when it is dropped.
pub(super) struct Scratch {
    folder: TempDir,
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

/// A binary of tests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TestBinary {
    package: String,
    /// How cargo is told which of the package's targets it is.
    target: Vec<String>,
    /// The folder of the package, in which its tests run.
    folder: PathBuf,
}

impl fmt::Display for TestBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.package, self.target.join(" "))
    }
}

/// How one test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// The binary has no test of that name.
    NotFound,
    /// It was killed after [`TEST_MAX`].
    Hung,
}

impl Scratch {
    /// Copies the files of the workspace at `root` that git knows or would add, and makes what the
    /// workspace has built of its dependencies usable for the copy.
    pub(super) fn copy_of(root: &Path) -> anyhow::Result<Self> {
        let Metadata { packages, target_directory } = metadata(root)?;
        // Beside what was built, so that it can be linked; `cargo clean` removes what a killed
        // replay leaves there.
        let folder = tempfile::Builder::new()
            .prefix("defects-")
            .tempdir_in(&target_directory)
            .with_context(|| format!("no folder in {}", target_directory.display()))?;
        for file in tracked(root)? {
            let to = folder.path().join(&file);
            fs::create_dir_all(to.parent().unwrap_or(folder.path()))?;
            fs::copy(root.join(&file), &to).with_context(|| file.clone())?;
        }
        let ours: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        let built = Built { ours: &ours };
        built.share(&target_directory.join("debug"), &folder.path().join("target/debug"))?;
        let packages = metadata(folder.path())?.packages;
        Ok(Self { folder, packages })
    }

    /// The root of the copy.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The entries by the binary that holds their test.
    pub(super) fn by_binary<'a>(
        &self,
        defects: &[&'a Defect],
    ) -> anyhow::Result<BTreeMap<TestBinary, Vec<&'a Defect>>> {
        let mut binaries: BTreeMap<TestBinary, Vec<&Defect>> = BTreeMap::new();
        for defect in defects {
            let binary = self.binary_of(defect);
            let binary = binary.with_context(|| {
                format!("{}: {} has no test {}", defect.id, defect.package, defect.test)
            })?;
            binaries.entry(binary).or_default().push(defect);
        }
        Ok(binaries)
    }

    fn binary_of(&self, defect: &Defect) -> Option<TestBinary> {
        let package = self.packages.iter().find(|package| package.name == defect.package)?;
        let mut targets: Vec<&Target> =
            package.targets.iter().filter(|one| one.holds_tests()).collect();
        // A library before the binary that lies in the same folder.
        targets.sort_by_key(|target| target.kind.iter().any(|kind| kind == "bin"));
        let target = targets.into_iter().find(|target| {
            let sources = target.sources();
            sources.iter().any(|source| {
                fs::read_to_string(source).is_ok_and(|text| defect.is_tested_in(&text))
            })
        })?;
        let folder = package.manifest_path.parent()?.to_owned();
        Some(TestBinary { package: package.name.clone(), target: target.argument(), folder })
    }

    /// Builds a binary of tests; what the compiler says if it cannot.
    pub(super) fn build(&self, binary: &TestBinary) -> anyhow::Result<Result<PathBuf, String>> {
        let mut build = cargo(&["test", "--locked", "--no-run", "--package", &binary.package]);
        build.args(&binary.target).args(["--message-format", "json-render-diagnostics"]);
        let done = self.prepared(&mut build).output().context("cargo does not start")?;
        if !done.status.success() {
            return Ok(Err(String::from_utf8_lossy(&done.stderr).into_owned()));
        }
        let messages = String::from_utf8(done.stdout).context("cargo printed no UTF-8")?;
        let executable = messages.lines().filter_map(executable).next_back();
        Ok(Ok(executable.with_context(|| format!("cargo built no test binary of {binary}"))?))
    }

    /// Runs one test of a binary that was built to `executable`.
    pub(super) fn run(
        &self,
        binary: &TestBinary,
        executable: &Path,
        test: &str,
    ) -> anyhow::Result<Outcome> {
        let mut run = Command::new(executable);
        run.args(["--exact", test]).current_dir(&binary.folder);
        self.prepared(&mut run)
            .env("CARGO_MANIFEST_DIR", &binary.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = run.spawn().with_context(|| format!("{run:?} does not start"))?;
        let mut stdout = child.stdout.take().context("the pipe was asked for")?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut printed = Vec::new();
            // What could be read is what was printed; the exit status tells the rest.
            drop(stdout.read_to_end(&mut printed));
            drop(sender.send(printed));
        });
        let Ok(printed) = receiver.recv_timeout(TEST_MAX) else {
            child.kill()?;
            child.wait()?;
            return Ok(Outcome::Hung);
        };
        let succeeded = child.wait()?.success();
        let printed = String::from_utf8_lossy(&printed);
        Ok(match (succeeded, printed.contains("\nrunning 1 test\n")) {
            (_, false) => Outcome::NotFound,
            (true, true) => Outcome::Passed,
            (false, true) => Outcome::Failed,
        })
    }

    /// What every process in the copy is told.
    fn prepared<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if command.get_current_dir().is_none() {
            command.current_dir(self.path());
        }
        // A replay builds the same crates again and again.
        command.env("CARGO_TARGET_DIR", self.path().join("target")).env("CARGO_INCREMENTAL", "1")
    }
}

impl Target {
    fn holds_tests(&self) -> bool {
        self.kind.iter().any(|kind| ["lib", "bin", "test"].contains(&kind.as_str()))
    }

    fn argument(&self) -> Vec<String> {
        match self.kind.iter().map(String::as_str).next() {
            Some("lib") => vec!["--lib".to_owned()],
            kind => vec![format!("--{}", kind.unwrap_or("test")), self.name.clone()],
        }
    }

    /// The files that may belong to it: all beside and below its first one, unless that is one of
    /// several in a folder of tests.
    fn sources(&self) -> Vec<PathBuf> {
        let mut sources = vec![self.src_path.clone()];
        let first = self.src_path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if ["lib.rs", "main.rs"].contains(&first) {
            let mut folders: Vec<PathBuf> =
                self.src_path.parent().map(PathBuf::from).into_iter().collect();
            while let Some(folder) = folders.pop() {
                for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                    let path = entry.path();
                    if path.is_dir() {
                        folders.push(path);
                    } else if path.extension().is_some_and(|ending| ending == "rs") {
                        sources.push(path);
                    }
                }
            }
        }
        sources
    }
}

/// What cargo has built, without that of our own packages: their paths are compiled in.
struct Built<'a> {
    ours: &'a [&'a str],
}

impl Built<'_> {
    /// Makes the dependencies built in `from` usable in `to`. Nothing there is not an error: then
    /// cargo builds them.
    fn share(&self, from: &Path, to: &Path) -> anyhow::Result<()> {
        let places: [(&str, Place); 3] = [("deps", link), (".fingerprint", copy), ("build", copy)];
        for (folder, place) in places {
            for entry in fs::read_dir(from.join(folder)).into_iter().flatten() {
                let entry = entry?;
                if !self.is_ours(&entry.file_name().to_string_lossy()) {
                    let to = to.join(folder).join(entry.file_name());
                    place(&entry.path(), &to)
                        .with_context(|| entry.path().display().to_string())?;
                }
            }
        }
        Ok(())
    }

    /// Whether a file or folder of that name was made of a package of ours: `optim-core-0f…`,
    /// `liboptim_core-0f….rlib`.
    fn is_ours(&self, name: &str) -> bool {
        let name = name.strip_prefix("lib").unwrap_or(name).replace('_', "-");
        self.ours
            .iter()
            .any(|ours| name.strip_prefix(ours).is_some_and(|rest| rest.starts_with(['-', '.'])))
    }
}

type Place = fn(&Path, &Path) -> anyhow::Result<()>;

/// Libraries are replaced by the compiler, never changed, so that a link is as good as a copy.
fn link(from: &Path, to: &Path) -> anyhow::Result<()> {
    let library = ["rlib", "rmeta", "so", "dylib", "dll"];
    if from.extension().is_some_and(|ending| library.iter().any(|one| ending == *one)) {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        fs::hard_link(from, to)?;
    }
    Ok(())
}

/// Cargo changes these files in place, and trusts in their times.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        fs::copy(from, to)?;
        let written = fs::metadata(from)?.modified()?;
        fs::File::options().write(true).open(to)?.set_modified(written)?;
    }
    Ok(())
}

fn metadata(root: &Path) -> anyhow::Result<Metadata> {
    let mut command = cargo(&["metadata", "--locked", "--no-deps", "--format-version", "1"]);
    command.current_dir(root);
    serde_json::from_str(&output(command)?).context("cargo metadata")
}

/// The files of the workspace, from its root.
fn tracked(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    command.current_dir(root).stdin(Stdio::null());
    let names = output(command)?;
    let names = names.split_terminator('\0').map(str::to_owned);
    Ok(names.filter(|name| root.join(name).is_file()).collect())
}

/// The path of the test binary that a message of cargo tells of.
fn executable(message: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
        profile: Option<Profile>,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    let message: Message = serde_json::from_str(message).ok()?;
    message.executable.filter(|_| message.profile.is_some_and(|profile| profile.test))
}
