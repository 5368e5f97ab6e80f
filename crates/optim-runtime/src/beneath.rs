//! Opening a file beneath a folder, wherever somebody moves what meanwhile.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Nobody is waited for: not the writer of a pipe, not a terminal.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Opens the file at `relative`, which has no `..`, beneath `folder`, both as they are after every link was
/// followed. A link that came into the way since leads nowhere. What is opened need not be a regular file.
///
/// # Errors
/// What the system says; on Linux, that there is a link in the way.
pub(crate) fn open(folder: &Path, relative: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    if let Some(opened) = resolve(folder, relative) {
        return Ok(File::from(opened?));
    }
    // Where the system resolves no path in one step, only the last part of it is not followed.
    Ok(File::from(rustix::fs::open(folder.join(relative), FLAGS, Mode::empty())?))
}

/// The file, in one step of the system; `None` where it has none.
#[cfg(target_os = "linux")]
fn resolve(folder: &Path, relative: &Path) -> Option<rustix::io::Result<rustix::fd::OwnedFd>> {
    use rustix::fs::{ResolveFlags, openat2};
    use rustix::io::Errno;

    let root = match rustix::fs::open(folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Ok(root) => root,
        Err(error) => return Some(Err(error)),
    };
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(&root, relative, FLAGS, Mode::empty(), beneath) {
        Err(Errno::NOSYS | Errno::PERM) => None,
        opened => Some(opened),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn threat_15_a_link_that_came_into_the_way_leads_nowhere() {
        let place = tempfile::tempdir().unwrap();
        let (root, outside) = (place.path().join("root"), place.path().join("outside"));
        for folder in [&root.join("a"), &outside] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join("file"), folder.display().to_string()).unwrap();
        }
        let read = |relative: &str| {
            let mut text = String::new();
            open(&root, Path::new(relative))?.read_to_string(&mut text)?;
            io::Result::Ok(text)
        };
        assert_eq!(read("a/file").unwrap(), root.join("a").display().to_string());
        // Somebody swaps a folder of the path, or the file, after it was looked at.
        std::fs::remove_dir_all(root.join("a")).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("a")).unwrap();
        std::os::unix::fs::symlink(outside.join("file"), root.join("file")).unwrap();
        assert!(!cfg!(target_os = "linux") || read("a/file").is_err());
        assert!(read("file").is_err());
        assert!(!cfg!(target_os = "linux") || read("../outside/file").is_err());
    }
}
