//! What LMDB must do beyond the conformance suite.

use tempfile::TempDir;

use crate::testing::conformance::Fixture;

use super::{Lmdb, Options};

crate::conformance_tests!(|| {
    let directory = directory();
    Fixture::durable(move || open(&directory))
});

/// A directory for a store: in memory where there is such a file system.
fn directory() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    }
    .unwrap()
}

fn options() -> Options {
    Options {
        allow_unsafe_file_system: true,
        ..Options::default()
    }
}

fn open(directory: &TempDir) -> Lmdb {
    Lmdb::open(directory.path(), &options()).unwrap()
}
