//! Walls around a program of one's own that an evaluation executes: it writes in its scratch copy alone,
//! reads what it needs to start, and reaches no network.
//!
//! optim does not start such a program itself. It starts its own binary again, as a child that does nothing
//! else: that child takes its rights away from itself, for good and for all that it starts, and then becomes
//! the program ([`inside`]). What the kernel does not offer is not contained; [`gaps`] says what that is.

pub mod inside;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod kernel;
#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod kernel;
mod reach;
mod size;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(super) use reach::{home, reach};
pub(super) use size::outgrown;

/// Bytes of a mebibyte.
const MIB: u64 = 1024 * 1024;

/// `[executor.walls]`: how the programs of evaluations are contained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Walls {
    /// What happens where the kernel offers less.
    pub enforce: Enforce,
    /// Files and folders beside the usual ones that programs may read, and execute. Relative ones are of the
    /// project's folder; `~/` is the home.
    pub read: Vec<String>,
    /// Files and folders beside the scratch copy that programs may write.
    pub write: Vec<String>,
    /// Whom programs may connect to.
    pub connect: Connect,
    /// The most MiB of one file that a program writes.
    pub max_file_mib: NonZeroU32,
    /// The most MiB that the scratch copy may take on the disk.
    pub max_scratch_mib: NonZeroU32,
}

impl Default for Walls {
    fn default() -> Self {
        Self {
            enforce: Enforce::default(),
            read: Vec::new(),
            write: Vec::new(),
            connect: Connect::default(),
            max_file_mib: NonZeroU32::MIN.saturating_add(255),
            max_scratch_mib: NonZeroU32::MIN.saturating_add(1023),
        }
    }
}

impl Walls {
    /// Whether nothing is set.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The most bytes that the scratch copy may take.
    pub(super) fn scratch_bytes(&self) -> u64 {
        u64::from(self.max_scratch_mib.get()).saturating_mul(MIB)
    }
}

/// What happens where the kernel offers less than the walls need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enforce {
    /// What it offers is used, and optim says what is not contained.
    #[default]
    Available,
    /// Nothing starts.
    Required,
    /// There are no walls.
    Off,
}

/// Whom a program may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Connect {
    /// Hosts on these TCP ports; with none there is no network at all.
    Ports(BTreeSet<u16>),
    /// Everybody.
    Anybody(Anybody),
}

/// The word for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anybody {
    /// `any`
    Any,
}

impl Default for Connect {
    fn default() -> Self {
        Self::Ports(BTreeSet::new())
    }
}

impl Connect {
    /// Whether there is to be no network.
    fn is_nobody(&self) -> bool {
        matches!(self, Self::Ports(ports) if ports.is_empty())
    }
}

/// What one program may do: what the settings allow, for one attempt. It goes to the child as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wall {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    connect: Connect,
    file_bytes: u64,
}

impl Wall {
    /// The wall that `walls` ask for around a program that may also read `reach`.
    pub(super) fn new(walls: &Walls, reach: Vec<PathBuf>, folder: &Path) -> Self {
        let located = |paths: &[String]| {
            paths.iter().map(|path| reach::located(path, folder)).collect::<Vec<_>>()
        };
        let mut read = reach;
        read.extend(located(&walls.read));
        Self {
            read,
            write: located(&walls.write),
            connect: walls.connect.clone(),
            file_bytes: u64::from(walls.max_file_mib.get()).saturating_mul(MIB),
        }
    }

    /// The same around a program that works in `folder`.
    pub(super) fn around(&self, folder: &Path) -> Self {
        let mut wall = self.clone();
        wall.write.push(folder.to_owned());
        wall
    }
}

/// What this system cannot contain of what `walls` ask for, for people; nothing when it contains all.
#[must_use]
pub fn gaps(walls: &Walls) -> Vec<&'static str> {
    kernel::gaps(&walls.connect)
}
