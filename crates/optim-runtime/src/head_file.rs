//! The head of the audit chain, noted in a file elsewhere.
//!
//! A chain that is cut at its end, or written anew, looks whole. The file has a head that was on it once;
//! it is replaced only by a head of a chain that goes through it, so that it goes on telling.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use optim_core::audit::head::{Head, HeadError};
use optim_core::audit::verify::{Broken, goes_through};
use optim_store::{EventSeq, Store, StoreError};

use crate::engine::Engine;
use crate::replacement::Replacement;
use crate::tasks::Shutdown;

/// The most bytes that the file may have.
const BYTES_MAX: u64 = 1024;

/// A file with a head, or the place for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadFile {
    path: PathBuf,
}

/// Why a head cannot be noted, or the noted one is not on the chain.
#[derive(Debug, thiserror::Error)]
pub enum HeadFileError {
    /// The chain does not go through the head in the file.
    #[error(
        "the audit chain does not go through the head that is noted in {path}: {broken}; the store was cut, \
         replaced or written anew; compare it with a backup, or remove the file if you put an older store \
         there yourself",
        path = path.display()
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// Where the chain breaks.
        broken: Broken,
    },
    /// The file holds something else.
    #[error("{path}: {source}; put it back, or remove the file to begin anew", path = path.display())]
    NotAHead {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: HeadError,
    },
    /// The file cannot be used.
    #[error("the head of the audit chain cannot be {what} in {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl HeadFileError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Lost { broken, .. } => broken.why.code(),
            Self::NotAHead { .. } => "head_file_invalid",
            Self::Io { .. } => "head_file_io",
            Self::Store(error) => error.code(),
        }
    }
}

impl HeadFile {
    /// The file at `path`, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The head in it; `None` while there is no file.
    ///
    /// # Errors
    /// It cannot be read, or holds no head.
    pub async fn read(&self) -> Result<Option<Head>, HeadFileError> {
        let text = self.blocking("read", |path| match std::fs::metadata(path) {
            Ok(file) if file.len() > BYTES_MAX => Ok(Some(String::new())),
            Ok(_) => std::fs::read_to_string(path).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        });
        let head = text.await?.map(|text| text.trim_end().parse()).transpose();
        head.map_err(|source| HeadFileError::NotAHead { path: self.path.clone(), source })
    }

    /// Whether the chain of `store` goes through the head in the file; that head, if there is one.
    ///
    /// # Errors
    /// [`HeadFileError::Lost`] when it does not.
    pub async fn check(&self, store: &dyn Store) -> Result<Option<Head>, HeadFileError> {
        let Some(noted) = self.read().await? else { return Ok(None) };
        let end = store.audit_head().await?;
        let before = EventSeq(noted.seq.saturating_sub(1));
        let entry = store.audit(before, 1).await?.into_iter().next();
        goes_through(noted, end, entry.as_ref())
            .map_err(|broken| HeadFileError::Lost { path: self.path.clone(), broken })?;
        Ok(Some(noted))
    }

    /// Replaces the head in the file by that of `store`, in one step, unless it is the same.
    ///
    /// # Errors
    /// [`HeadFileError::Lost`] when the chain does not go through the head that is there: that one stays.
    pub async fn note(&self, store: &dyn Store) -> Result<(), HeadFileError> {
        let noted = self.check(store).await?;
        let head = store.audit_head().await?;
        if noted == Some(head) {
            return Ok(());
        }
        self.blocking("written", move |path| {
            Replacement::write(path, format!("{head}\n").as_bytes(), None)?.take_place()
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, HeadFileError> {
        let path = self.path.clone();
        let done = tokio::task::spawn_blocking(move || work(&path)).await;
        done.map_err(std::io::Error::other).flatten().map_err(|source| HeadFileError::Io {
            path: self.path.clone(),
            what,
            source,
        })
    }
}

/// Notes the head in `file` whenever it has changed, but at most once in each `every`.
pub(crate) async fn keep(engine: Arc<Engine>, file: HeadFile, every: Duration, shutdown: Shutdown) {
    let mut changes = engine.changes();
    loop {
        changes.borrow_and_update();
        let noted = file.note(engine.store().as_ref()).await;
        if let Err(error) = &noted {
            tracing::error!(%error, code = error.code(), "the head of the audit chain is not noted");
        }
        tokio::select! {
            biased;
            () = shutdown.requested() => return,
            () = tokio::time::sleep(every) => {}
        }
        if noted.is_err() {
            continue;
        }
        tokio::select! {
            biased;
            () = shutdown.requested() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use optim_core::id::Actor;
    use optim_core::quantity::Timestamp;
    use optim_store::memory::Memory;

    use super::*;
    use crate::clock::ManualClock;
    use crate::live::DefinitionText;
    use crate::tasks::TaskSet;

    const EVERY: Duration = Duration::from_secs(300);
    const MOMENT: Duration = Duration::from_millis(1);

    fn engine(store: Memory) -> Arc<Engine> {
        Arc::new(Engine::new(Arc::new(store), Arc::new(ManualClock::at(Timestamp(1)))))
    }

    /// Stores a version of a workflow, which is one entry of the chain.
    async fn put(engine: &Engine, version: u32) {
        let text = format!(
            "{{automation_id: w, agents: [{{agent_id: a}}], flow: {{nodes: [{{node_id: n, agent_id: a, \
             objective: version {version}}}]}}}}"
        );
        let definition = DefinitionText::check("w.yaml", text.into_bytes()).unwrap().value;
        engine.put_workflow(&definition, None, Actor::engine()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_is_noted_when_it_changed_and_at_most_once_in_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let file = HeadFile::new(folder.path().join("head"));
        let engine = engine(Memory::new());
        let head = async || Some(engine.store().audit_head().await.unwrap());
        let mut tasks = TaskSet::new();
        let kept = (Arc::clone(&engine), file.clone());
        tasks.supervise("head", move |shutdown| {
            keep(Arc::clone(&kept.0), kept.1.clone(), EVERY, shutdown)
        });
        tokio::time::sleep(MOMENT).await;
        assert_eq!(file.read().await.unwrap(), Some(Head::default()), "at once");
        put(&engine, 1).await;
        tokio::time::sleep(EVERY - 2 * MOMENT).await;
        assert_eq!(file.read().await.unwrap(), Some(Head::default()), "not so soon");
        tokio::time::sleep(2 * MOMENT).await;
        assert_eq!(file.read().await.unwrap(), head().await, "then");
        // Nothing changes for long; the next change is noted at once.
        tokio::time::sleep(3 * EVERY).await;
        put(&engine, 2).await;
        tokio::time::sleep(MOMENT).await;
        assert_eq!(file.read().await.unwrap(), head().await);
        // What cannot be noted now is noted later, though nothing changes any more.
        std::fs::write(file.path(), "no head\n").unwrap();
        put(&engine, 3).await;
        tokio::time::sleep(2 * EVERY).await;
        assert_eq!(file.read().await.unwrap_err().code(), "head_file_invalid");
        std::fs::remove_file(file.path()).unwrap();
        tokio::time::sleep(EVERY).await;
        assert_eq!(file.read().await.unwrap(), head().await);
        tasks.shutdown().await;
    }

    #[tokio::test]
    async fn a_head_that_is_not_on_the_chain_stays_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = HeadFile::new(folder.path().join("head"));
        let old = Memory::new();
        let [short, other] = [engine(old.copy()), engine(old)];
        put(&short, 1).await;
        assert_eq!(file.check(short.store().as_ref()).await.unwrap(), None);
        for version in 1..=3 {
            put(&other, 10 + version).await;
        }
        file.note(other.store().as_ref()).await.unwrap();
        let noted = file.read().await.unwrap();
        let lost = file.note(short.store().as_ref()).await.unwrap_err();
        assert_eq!(lost.code(), "audit_truncated", "{lost}");
        assert!(lost.to_string().contains("entry 2: "), "{lost}");
        for version in 2..=4 {
            put(&short, version).await;
        }
        let lost = file.note(short.store().as_ref()).await.unwrap_err();
        assert_eq!(lost.code(), "audit_rewritten", "{lost}");
        assert_eq!(file.read().await.unwrap(), noted, "it is there to tell again");
        put(&other, 14).await;
        assert_eq!(file.check(other.store().as_ref()).await.unwrap(), noted);
    }
}
