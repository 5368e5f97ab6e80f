//! Where runs work: a case run in a scratch copy, the only folder that it may read and write; a workflow
//! run in the real workspace.

mod root;

use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use optim_core::validator::Workspace;
use optim_core::workflow::Workflow;

use crate::beneath;

pub use self::root::ScratchRoot;

/// The most bytes that a validator reads from one file of a scratch copy.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The most bytes of a template, all files together.
const TEMPLATE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The folder that every case run gets a copy of, as `metadata.optim.workspace_template` names it:
/// that is how a workflow declares that it works on files. Without it a run begins in an empty folder.
#[must_use]
pub fn template(workflow: &Workflow) -> Option<&str> {
    workflow.extra("metadata")?.get("optim")?.get("workspace_template")?.as_str()
}

/// Why a template cannot be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// It, or a part of it, cannot be read, or the copy cannot be written.
    #[error("the workspace template {path} cannot be copied: {error}; see metadata.optim.workspace_template", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is too large.
    #[error("the workspace template {path} has more than {TEMPLATE_BYTES_MAX} bytes; name a folder with only what the workflow needs", path = path.display())]
    TooLarge {
        /// The template.
        path: PathBuf,
    },
    /// A link would lead out of the copy.
    #[error("{path} in the workspace template is a link that leads out of it; replace it by the file, or by a relative link", path = path.display())]
    LinkOut {
        /// The link.
        path: PathBuf,
    },
    /// Neither a file, a folder nor a link.
    #[error("{path} in the workspace template is no file, folder or link; remove it", path = path.display())]
    Special {
        /// What it is about.
        path: PathBuf,
    },
}

impl TemplateError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "template_unreadable",
            Self::TooLarge { .. } => "template_too_large",
            Self::LinkOut { .. } => "template_link_out",
            Self::Special { .. } => "template_special_file",
        }
    }
}

/// The folder of a run: its nodes work there, validators look there.
pub trait Folder: Workspace + Send + Sync {
    /// The folder, absolute.
    fn path(&self) -> &Path;

    /// Whether it is a workspace in which work has its effect, and no scratch copy.
    fn is_real(&self) -> bool {
        false
    }
}

/// The real workspace of a workflow run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealFolder(PathBuf);

impl RealFolder {
    /// The folder `path`, which is absolute.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl Folder for RealFolder {
    fn path(&self) -> &Path {
        &self.0
    }

    fn is_real(&self) -> bool {
        true
    }
}

impl Workspace for RealFolder {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        read_inside(&self.0, path, Names::Any)
    }
}

/// A folder of its own for one case run; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    /// An empty scratch folder in `root`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn empty(root: &Path) -> std::io::Result<Self> {
        tempfile::Builder::new().prefix("optim-run-").tempdir_in(root).map(|folder| Self { folder })
    }

    /// A scratch folder in `root` with a copy of the folder `template`. Blocks while it copies.
    ///
    /// # Errors
    /// The template is too large, has a link that leads out of it, or cannot be copied.
    pub fn copy_of(template: &Path, root: &Path) -> Result<Self, TemplateError> {
        Self::copy_up_to(template, root, TEMPLATE_BYTES_MAX)
    }

    fn copy_up_to(template: &Path, into: &Path, bytes: u64) -> Result<Self, TemplateError> {
        let io = |error| TemplateError::Io { path: template.to_owned(), error };
        let root = template.canonicalize().map_err(io)?;
        let scratch = Self::empty(into).map_err(io)?;
        let mut copy = Copy { root: &root, left: bytes, links: Vec::new() };
        copy.folder(&root, scratch.path())?;
        let inside = scratch.path().canonicalize().map_err(io)?;
        for (path, copied) in copy.links {
            if !copied.canonicalize().is_ok_and(|end| end.starts_with(&inside)) {
                return Err(TemplateError::LinkOut { path });
            }
        }
        Ok(scratch)
    }

    /// The folder, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Folder for Scratch {
    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Where the file `path` of `folder` is, if it is inside it: the folder, and the way from there, both without
/// links.
fn resolve(folder: &Path, path: &str) -> Result<Option<(PathBuf, PathBuf)>, String> {
    let relative = Path::new(path);
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(format!(
            "{path:?} leads out of the workspace; use a relative path without `..`"
        ));
    }
    let io = |error: std::io::Error| format!("{path:?} cannot be read: {error}");
    let root = folder.canonicalize().map_err(io)?;
    match root.join(relative).canonicalize() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(error)),
        Ok(found) => match found.strip_prefix(&root) {
            Ok(inside) => Ok(Some((root.clone(), inside.to_owned()))),
            Err(_) => Err(format!("{path:?} is a link that leads out of the workspace")),
        },
    }
}

/// How many names a file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Nobody but the agent works in a scratch copy: a second name may be that of a file outside.
    One,
    /// Tools of people make hard links in a real workspace: package managers, caches of builds, backups.
    Any,
}

fn read_inside(folder: &Path, path: &str, names: Names) -> Result<Option<Vec<u8>>, String> {
    let Some((root, inside)) = resolve(folder, path)? else {
        return Ok(None);
    };
    read_regular(&root, &inside, names).map_err(|why| format!("{path:?} {why}"))
}

/// A copy in the making.
struct Copy<'a> {
    root: &'a Path,
    /// Bytes that it may still have.
    left: u64,
    /// Links with their copies. They are judged by where the copies lead, once all is there: a link
    /// may stay in the template and lead out of the copy.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Copy<'_> {
    fn folder(&mut self, from: &Path, to: &Path) -> Result<(), TemplateError> {
        let io = |error| TemplateError::Io { path: from.to_owned(), error };
        for entry in std::fs::read_dir(from).map_err(io)? {
            let entry = entry.map_err(io)?;
            let (kind, from, to) =
                (entry.file_type().map_err(io)?, entry.path(), to.join(entry.file_name()));
            let io = |error| TemplateError::Io { path: from.clone(), error };
            if kind.is_dir() {
                std::fs::create_dir(&to).map_err(io)?;
                self.folder(&from, &to)?;
            } else if kind.is_symlink() {
                let target = std::fs::read_link(&from).map_err(io)?;
                std::os::unix::fs::symlink(target, &to).map_err(io)?;
                self.links.push((from, to));
            } else if kind.is_file() {
                let bytes = entry.metadata().map_err(io)?.len();
                let too_large = || TemplateError::TooLarge { path: self.root.to_owned() };
                self.left = self.left.checked_sub(bytes).ok_or_else(too_large)?;
                std::fs::copy(&from, to).map_err(io)?;
            } else {
                return Err(TemplateError::Special { path: from });
            }
        }
        Ok(())
    }
}

impl Workspace for Scratch {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        read_inside(self.path(), path, Names::One)
    }
}

/// The content of a file. An agent that is still at work may put anything in its place at any time, so
/// it is opened once, without following a link or waiting for a pipe's writer, and what is judged is
/// what was opened.
fn read_regular(folder: &Path, inside: &Path, names: Names) -> Result<Option<Vec<u8>>, String> {
    let io = |error: io::Error| format!("cannot be read: {error}");
    if inside.as_os_str().is_empty() {
        return Err("is not a regular file".to_owned());
    }
    let file = match beneath::open(folder, inside) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let found = file.metadata().map_err(io)?;
    if !found.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if names == Names::One && found.nlink() > 1 {
        return Err("is a hard link, maybe to a file outside; write a file of its own".to_owned());
    }
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large from one that fits.
    file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(io)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(format!(
            "has more than {FILE_BYTES_MAX} bytes, which is the most that is read"
        ));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_inside_the_scratch_copy_are_read() {
        let scratch = Scratch::empty(&std::env::temp_dir()).unwrap();
        std::fs::write(scratch.path().join("a.txt"), "text").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", scratch.path().join("link")).unwrap();
        assert_eq!(scratch.read("./a.txt"), Ok(Some(b"text".to_vec())));
        assert_eq!(scratch.read("b.txt"), Ok(None));
        for out in ["../a.txt", "/etc/hostname", "link", "x/../../y"] {
            assert!(scratch.read(out).is_err(), "{out}");
        }
    }

    #[test]
    fn threat_15_what_took_the_place_of_a_file_is_neither_followed_nor_waited_for() {
        let scratch = Scratch::empty(&std::env::temp_dir()).unwrap();
        let path = |name: &str| scratch.path().join(name);
        std::fs::create_dir(path("folder")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", path("link")).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), rustix::fs::FileType::Fifo, mode, 0)
            .unwrap();
        for name in ["folder", "link", "pipe"] {
            assert!(read_regular(scratch.path(), Path::new(name), Names::Any).is_err(), "{name}");
            assert!(scratch.read(name).is_err(), "{name}");
        }
        assert_eq!(read_regular(scratch.path(), Path::new("gone"), Names::One), Ok(None));
    }

    #[test]
    fn threat_15_a_hard_link_is_no_evidence_of_a_scratch_copy() {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        std::fs::write(&outside, "text").unwrap();
        let scratch = Scratch::empty(place.path()).unwrap();
        std::fs::hard_link(&outside, scratch.path().join("a")).unwrap();
        let refused = scratch.read("a").unwrap_err();
        assert!(refused.contains("hard link"), "{refused}");
        // In a real workspace people have them, and what they lead to is theirs.
        let real = RealFolder::new(scratch.path().to_owned());
        assert_eq!(real.read("a"), Ok(Some(b"text".to_vec())));
        std::fs::remove_file(outside).unwrap();
        assert_eq!(scratch.read("a"), Ok(Some(b"text".to_vec())));
    }

    #[test]
    fn a_file_may_have_as_many_bytes_as_the_limit_says() {
        let scratch = Scratch::empty(&std::env::temp_dir()).unwrap();
        let file = std::fs::File::create(scratch.path().join("a")).unwrap();
        file.set_len(FILE_BYTES_MAX).unwrap();
        assert!(scratch.read("a").is_ok_and(|read| read.is_some()));
        file.set_len(FILE_BYTES_MAX + 1).unwrap();
        let refused = scratch.read("a").unwrap_err();
        assert!(refused.contains("more than 16777216 bytes"), "{refused}");
    }

    /// A folder to copy.
    fn template_with(make: impl Fn(&Path)) -> (tempfile::TempDir, Result<Scratch, TemplateError>) {
        let template = tempfile::tempdir().unwrap();
        make(template.path());
        let copied = Scratch::copy_of(template.path(), &std::env::temp_dir());
        (template, copied)
    }

    #[test]
    fn a_copy_has_every_file_and_inner_link_and_shares_nothing_with_its_template() {
        let (template, copied) = template_with(|root| {
            std::fs::create_dir_all(root.join("src/deep")).unwrap();
            std::fs::write(root.join("src/deep/a.txt"), "text").unwrap();
            std::os::unix::fs::symlink("src/deep/a.txt", root.join("link")).unwrap();
        });
        let copied = copied.unwrap();
        assert_eq!(copied.read("src/deep/a.txt"), Ok(Some(b"text".to_vec())));
        std::fs::write(copied.path().join("link"), "changed").unwrap();
        assert_eq!(copied.read("src/deep/a.txt"), Ok(Some(b"changed".to_vec())));
        assert_eq!(std::fs::read(template.path().join("src/deep/a.txt")).unwrap(), b"text");
    }

    #[test]
    fn a_template_that_is_no_safe_folder_is_refused() {
        let code = |make: &dyn Fn(&Path)| template_with(make).1.unwrap_err().code();
        let link = |to: &'static str| {
            code(&move |root: &Path| std::os::unix::fs::symlink(to, root.join("link")).unwrap())
        };
        assert_eq!(link("/etc/hostname"), "template_link_out");
        assert_eq!(link("../../etc/hostname"), "template_link_out");
        assert_eq!(link("nowhere"), "template_link_out");
        let absolute = |root: &Path| {
            std::fs::write(root.join("a"), "").unwrap();
            std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
        };
        assert_eq!(code(&absolute), "template_link_out", "it would lead into the template");
        let roundabout = |root: &Path| {
            std::fs::write(root.join("a"), "").unwrap();
            let out_and_in = Path::new("..").join(root.file_name().unwrap()).join("a");
            std::os::unix::fs::symlink(out_and_in, root.join("link")).unwrap();
        };
        assert_eq!(code(&roundabout), "template_link_out");
        let socket =
            |root: &Path| drop(std::os::unix::net::UnixListener::bind(root.join("s")).unwrap());
        assert_eq!(code(&socket), "template_special_file");
        assert_eq!(
            Scratch::copy_of(Path::new("/nowhere/at/all"), &std::env::temp_dir())
                .unwrap_err()
                .code(),
            "template_unreadable"
        );
    }

    #[test]
    fn the_files_of_a_template_are_limited_together() {
        let template = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            std::fs::write(template.path().join(name), [0; 10]).unwrap();
        }
        assert!(Scratch::copy_up_to(template.path(), &std::env::temp_dir(), 20).is_ok());
        assert_eq!(
            Scratch::copy_up_to(template.path(), &std::env::temp_dir(), 19).unwrap_err().code(),
            "template_too_large"
        );
        // A sparse file: its size counts, and it is refused before anything of it is written.
        let large = std::fs::File::create(template.path().join("large")).unwrap();
        large.set_len(TEMPLATE_BYTES_MAX).unwrap();
        let refused =
            Scratch::copy_of(template.path(), &std::env::temp_dir()).unwrap_err().to_string();
        assert!(refused.contains("more than 268435456 bytes"), "{refused}");
    }
}
