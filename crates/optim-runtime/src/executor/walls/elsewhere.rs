//! Other systems than Linux offer nothing that is used here.

use super::{Connect, Wall};

/// Restricts nothing.
pub(super) fn confine(_wall: &Wall) -> Result<(), String> {
    Ok(())
}

pub(super) fn gaps(_connect: &Connect) -> Vec<&'static str> {
    vec!["files outside the scratch copy, the network and other processes (this needs Linux)"]
}
