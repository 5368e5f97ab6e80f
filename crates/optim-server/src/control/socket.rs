//! The place of the socket: `.optim/control.sock` in the project's folder, for its user alone.

use std::fs::{File, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

const FOLDER: &str = ".optim";
const NAME: &str = "control.sock";
/// The longest path that every system takes as the address of a socket.
const ADDRESS_MAX: usize = 100;

/// A listening socket. Its file goes with it.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the file, which may belong to another process by the time this one ends.
    identity: (u64, u64),
}

impl Socket {
    /// Listens for the project in `project`. The file of a dead process is replaced.
    ///
    /// # Errors
    /// A living process listens there, or the system refuses.
    pub(super) async fn bind(project: &Path) -> Result<Self> {
        let folder = project.join(FOLDER);
        std::fs::create_dir_all(&folder)?;
        std::fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        if connect(project).await.is_ok() {
            let message = format!("another process listens on {}", folder.join(NAME).display());
            return Err(Error::new(ErrorKind::AddrInUse, message));
        }
        let path = folder.join(NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = {
            let address = Address::of(&folder)?;
            UnixListener::bind(&address.path)?
        };
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let identity = identity(&path)?;
        Ok(Self { listener, path, identity })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            // One that stays is found dead by the next.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// Connects to the process that listens for the project in `project`.
///
/// # Errors
/// There is none, or the system refuses.
pub(super) async fn connect(project: &Path) -> Result<UnixStream> {
    let address = Address::of(&project.join(FOLDER))?;
    UnixStream::connect(&address.path).await
}

fn identity(path: &Path) -> Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// A path to the socket that is short enough to be an address.
struct Address {
    path: PathBuf,
    /// Keeps the short path alive.
    _folder: Option<File>,
}

impl Address {
    fn of(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        if path.as_os_str().as_bytes().len() <= ADDRESS_MAX {
            return Ok(Self { path, _folder: None });
        }
        if !cfg!(target_os = "linux") {
            let (path, length) = (path.display(), path.as_os_str().as_bytes().len());
            let message = format!(
                "{path} has {length} bytes, the address of a socket at most {ADDRESS_MAX}; move the project to a shorter path"
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        // An open folder has a short path of its own.
        let folder = File::open(folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
        Ok(Self { path, _folder: Some(folder) })
    }
}
