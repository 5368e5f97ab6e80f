//! Programs of the system: whether they are there and may do what they have to.

use std::process::Command;

use anyhow::Context as _;

/// What power cuts need: programs, with the Debian packages that they are in.
const FOR_CUTS: [(&str, &str); 5] = [
    ("mount", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
    ("eatmydata", "eatmydata"),
];

/// Why there can be no power cuts here; `None` where there can.
pub(crate) fn no_cuts() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("only root may mount a file system".to_owned());
    }
    let is_missing = |program: &str| run(&["sh", "-c", "command -v \"$0\"", program]).is_err();
    let missing = FOR_CUTS.iter().filter(|(program, _)| is_missing(program));
    let missing: Vec<_> =
        missing.map(|(program, package)| format!("{program} (package {package})")).collect();
    if !missing.is_empty() {
        return Some(format!("not installed: {}", missing.join(", ")));
    }
    let loops = run(&["losetup", "--find"]).err();
    loops.map(|error| format!("no loop device: {error:#}"))
}

/// Why what a process writes cannot be recorded here; `None` where it can.
pub(crate) fn no_record() -> Option<String> {
    run(&["strace", "-o", "/dev/null", "true"]).err().map(|error| format!("{error:#}"))
}

/// Runs a program to its end, which must be a good one.
pub(crate) fn run(line: &[&str]) -> anyhow::Result<()> {
    let (program, arguments) = line.split_first().context("no program")?;
    let ended = Command::new(program).args(arguments).output();
    let ended = ended.with_context(|| format!("{program} does not start"))?;
    let said = String::from_utf8_lossy(&ended.stderr);
    anyhow::ensure!(ended.status.success(), "{}: {}", line.join(" "), said.trim());
    Ok(())
}
