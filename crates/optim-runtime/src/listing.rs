//! Listings over everything that is stored.

use optim_store::{Damaged, Page, Paged, StoreError};

/// All records of a listing that `read` reads page by page. What cannot be read is told of and left as it is:
/// it stops nobody else.
///
/// # Errors
/// The store fails.
pub async fn readable<T, F>(read: impl Fn(Page) -> F) -> Result<Vec<T>, StoreError>
where
    F: Future<Output = Result<Paged<T>, StoreError>>,
{
    Page::readable(read, tell).await
}

/// Tells the log of a record that cannot be read.
pub fn tell(damaged: &Damaged) {
    tracing::error!("{damaged}; the others go on without it");
}
