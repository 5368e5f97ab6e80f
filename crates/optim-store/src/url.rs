//! Stores by their address.

use std::sync::Arc;

use crate::memory::Memory;
use crate::store::{Store, StoreError};

/// Opens the store at `url`: `lmdb:PATH` with the default options, or `memory:` for one that is
/// empty and forgets everything. Blocks.
///
/// # Errors
/// [`StoreError::BadUrl`] when no store has such an address; otherwise why it cannot be opened.
pub fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    let bad = |why| StoreError::BadUrl { url: without_password(url), why };
    match url.split_once(':') {
        Some(("memory", "")) => Ok(Arc::new(Memory::new())),
        Some(("memory", _)) => Err(bad("write `memory:` with nothing behind it")),
        Some(("lmdb", "")) => Err(bad("write `lmdb:` and the path of a directory")),
        Some(("lmdb", path)) => open_lmdb(path, &bad),
        Some(("postgres" | "postgresql", _)) => {
            Err(bad("PostgreSQL is not supported yet; use `lmdb:` and the path of a directory"))
        }
        _ => Err(bad("write `lmdb:` and the path of a directory, or `memory:`")),
    }
}

#[cfg(feature = "lmdb")]
fn open_lmdb(
    path: &str,
    _bad: &impl Fn(&'static str) -> StoreError,
) -> Result<Arc<dyn Store>, StoreError> {
    use crate::lmdb::{Lmdb, Options};
    Ok(Arc::new(Lmdb::open(path, &Options::default())?))
}

#[cfg(not(feature = "lmdb"))]
fn open_lmdb(
    _path: &str,
    bad: &impl Fn(&'static str) -> StoreError,
) -> Result<Arc<dyn Store>, StoreError> {
    Err(bad("this build has no LMDB; build it with the feature `lmdb`"))
}

/// The address as it may be shown: without what stands before an `@`.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        match open(url) {
            Ok(_) => panic!("{url} was opened"),
            Err(error) => {
                assert_eq!(error.code(), "bad_store_url");
                error.to_string()
            }
        }
    }

    #[test]
    fn addresses_without_a_store_are_refused_with_the_way_out() {
        for url in ["", "lmdb", "lmdb:", "memory:x", "redis://h", "/var/lib/optim"] {
            assert!(refusal(url).contains("write `"), "{url}");
        }
    }

    #[test]
    fn postgres_is_announced_as_not_yet_supported_without_telling_the_password() {
        let refusal = refusal("postgres://user:hunter2@db/optim");
        assert!(refusal.contains("not supported yet"), "{refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn memory_opens() {
        assert!(open("memory:").is_ok());
    }
}
