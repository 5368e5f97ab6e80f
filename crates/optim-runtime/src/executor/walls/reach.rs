//! What a program must be able to read to start at all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where systems keep programs, libraries, settings and what they tell about themselves.
const SYSTEM: [&str; 15] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/opt",
    "/proc",
    "/sys",
    "/nix/store",
    "/gnu/store",
    "/run/current-system",
    "/run/systemd/resolve",
    "/run/resolvconf",
];

/// What `program`, which is given these `files`, must be able to read: the folders of the system, what `path`
/// leads to, and themselves. Beside the folders of the system nothing is
/// among it that holds one of `private`.
pub(in crate::executor) fn reach(
    program: &Path,
    files: &[PathBuf],
    path: Option<&std::ffi::OsStr>,
    private: &[PathBuf],
) -> Vec<PathBuf> {
    let holds_private = |folder: &Path| private.iter().any(|inner| inner.starts_with(folder));
    let mut found = BTreeSet::new();
    for folder in path.map(std::env::split_paths).into_iter().flatten() {
        if folder.is_absolute() && !holds_private(&folder) {
            found.extend(installation(&folder));
            found.insert(folder);
        }
    }
    let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    for named in [program, &real] {
        found.extend(named.parent().and_then(installation));
        found.insert(named.to_owned());
    }
    found.extend(files.iter().cloned());
    found.retain(|folder: &PathBuf| !holds_private(folder));
    SYSTEM.iter().map(PathBuf::from).chain(found).collect()
}

/// The installation that the folder of programs `folder` is a part of: what is beside it, like the libraries
/// of an interpreter. `~/.local` is none, as it holds more than programs.
fn installation(folder: &Path) -> Option<PathBuf> {
    let is_named = |folder: &Path, names: &[&str]| {
        folder.file_name().is_some_and(|name| names.iter().any(|known| name == *known))
    };
    let around = folder.parent()?;
    let has_libraries = ["lib", "libexec"].iter().any(|name| around.join(name).is_dir());
    let is_one = is_named(folder, &["bin", "shims"]) && has_libraries;
    (is_one && !is_named(around, &[".local"])).then(|| around.to_owned())
}

/// Where a file or folder of the settings is.
pub(super) fn located(path: &str, folder: &Path) -> PathBuf {
    match (path.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}

/// The home of this user.
pub(in crate::executor) fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute() && home.parent().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_path_leads_to_is_readable_and_the_home_is_not() {
        let home = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = home.path().join(path);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let shims = make("env/shims");
        make("env/libexec");
        let (own, local) = (make("bin"), make(".local/bin"));
        make("lib");
        make(".local/lib");
        let program = own.join("agent");
        let path = std::env::join_paths([&shims, &own, &local, home.path()].map(Path::new));
        let path = path.unwrap();
        let private = [home.path().to_owned()];
        let found = reach(&program, &[], Some(&path), &private);
        for readable in [&shims, &make("env"), &own, &local, &program] {
            assert!(found.contains(readable), "{}", readable.display());
        }
        for kept in [home.path().to_owned(), make(".local"), PathBuf::from("/")] {
            assert!(!found.contains(&kept), "{}", kept.display());
        }
    }
}
