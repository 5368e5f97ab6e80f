//! What has to be there: root, and programs of the system.

use std::process::{Command, Stdio};

use anyhow::Context as _;

/// The programs, with the Debian packages that they are in.
const PROGRAMS: [(&str, &str); 6] = [
    ("mount", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mkfs.xfs", "xfsprogs"),
    ("xfs_io", "xfsprogs"),
    ("eatmydata", "eatmydata"),
    ("strace", "strace"),
];

/// What is missing, in words.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root, to mount file systems".to_owned());
    }
    let is_there = |program: &str| {
        let mut asked = Command::new("sh");
        asked.args(["-c", "command -v \"$0\"", program]).stdout(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    };
    let missing: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(program, package)| format!("{program} (package {package})"))
        .collect();
    (!missing.is_empty()).then(|| format!("not installed: {}", missing.join(", ")))
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
