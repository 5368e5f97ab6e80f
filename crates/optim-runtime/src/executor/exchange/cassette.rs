//! Replies on record: kept in a file while a server answers, and played back without it.
//!
//! A reply belongs to the digest of the whole request body, so a request that differs in anything is
//! another request. What belongs to one request alone, such as the id of its attempt, has a mark in its
//! place, in the request and in the reply, and comes back when the reply is played. Only good replies
//! are recorded: faults belong to the day. Keys are no part of a body, so none gets into the file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use optim_core::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{Exchange, ExchangeError, Post, Reply};

/// The settings of a cassette.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CassetteConfig {
    /// The file, relative to the project's folder: one JSON document in each line.
    pub file: String,
    /// What it is for.
    pub mode: CassetteMode,
}

/// What a cassette is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CassetteMode {
    /// Servers are asked; their replies are added to the file.
    Record,
    /// No server is asked. A request without a reply on record fails.
    Replay,
}

/// A cassette that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CassetteError {
    /// The file cannot be opened.
    #[error("executor.cassette: {path} cannot be opened: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A line is no reply.
    #[error("executor.cassette: {path}:{line} is no recorded reply: {reason}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// The digest of the request's body, with marks.
    request: Digest,
    /// The reply's body, with marks.
    reply: String,
}

/// Puts a cassette between `exchange` and whoever posts, as `config` says.
pub(in crate::executor) fn insert(
    config: &CassetteConfig,
    folder: &Path,
    exchange: Arc<dyn Exchange>,
) -> Result<Arc<dyn Exchange>, CassetteError> {
    let path = folder.join(&config.file);
    Ok(match config.mode {
        CassetteMode::Record => Arc::new(Recorder::new(&path, exchange)?),
        CassetteMode::Replay => Arc::new(Player::new(&path)?),
    })
}

impl CassetteConfig {
    /// Whether no server is asked, so that no key is needed.
    pub(in crate::executor) fn is_replay(&self) -> bool {
        self.mode == CassetteMode::Replay
    }
}

/// What stands in the place of the own text with this index.
fn mark(index: usize) -> String {
    format!("[own text {index}]")
}

/// `text` with marks in the place of the texts that belong to one request alone.
fn marked(text: &[u8], own: &[&str]) -> String {
    let text = String::from_utf8_lossy(text).into_owned();
    let own = own.iter().enumerate().filter(|(_, own)| !own.is_empty());
    own.fold(text, |text, (index, own)| text.replace(own, &mark(index)))
}

/// `text` with the texts of this request in the place of the marks.
fn unmarked(text: &str, own: &[&str]) -> String {
    let own = own.iter().enumerate();
    own.fold(text.to_owned(), |text, (index, own)| text.replace(&mark(index), own))
}

fn unusable(path: &Path, error: &std::io::Error) -> CassetteError {
    CassetteError::File { path: path.to_owned(), reason: error.to_string() }
}

/// Passes requests on, and keeps the good replies.
struct Recorder {
    exchange: Arc<dyn Exchange>,
    file: Mutex<File>,
}

impl Recorder {
    fn new(path: &Path, exchange: Arc<dyn Exchange>) -> Result<Self, CassetteError> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.map_err(|error| unusable(path, &error))?;
        Ok(Self { exchange, file: Mutex::new(file) })
    }

    fn keep(&self, request: Digest, reply: &[u8], own: &[&str]) -> std::io::Result<()> {
        // A reply that is no text is no JSON either.
        if std::str::from_utf8(reply).is_err() {
            return Ok(());
        }
        let reply = marked(reply, own);
        let mut line = serde_json::to_vec(&Line { request, reply })?;
        line.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }
}

#[async_trait]
impl Exchange for Recorder {
    async fn post(&self, post: Post<'_>) -> Result<Reply, ExchangeError> {
        let (request, own) = (Digest::of(marked(&post.body, post.own).as_bytes()), post.own);
        let reply = self.exchange.post(post).await?;
        if reply.is_good() {
            let kept = self.keep(request, &reply.body, own);
            kept.map_err(|error| ExchangeError::NotWritten(error.to_string()))?;
        }
        Ok(reply)
    }
}

/// Answers from the record only.
struct Player(BTreeMap<Digest, String>);

impl Player {
    /// Reads the record. Of several replies to one request the last one counts.
    fn new(path: &Path) -> Result<Self, CassetteError> {
        let text = std::fs::read_to_string(path).map_err(|error| unusable(path, &error))?;
        let mut replies = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let read = serde_json::from_str(line).map_err(|error| CassetteError::Line {
                path: path.to_owned(),
                line: index.saturating_add(1),
                reason: error.to_string(),
            });
            let Line { request, reply } = read?;
            replies.insert(request, reply);
        }
        Ok(Self(replies))
    }
}

#[async_trait]
impl Exchange for Player {
    async fn post(&self, post: Post<'_>) -> Result<Reply, ExchangeError> {
        let request = Digest::of(marked(&post.body, post.own).as_bytes());
        let reply = self.0.get(&request).ok_or(ExchangeError::NotRecorded(request))?;
        Ok(Reply::good(unmarked(reply, post.own).into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::secret::Secret;
    use super::*;

    /// Answers with the number of the request, and fails each third.
    #[derive(Default)]
    struct Counting(Mutex<u32>);

    #[async_trait]
    impl Exchange for Counting {
        async fn post(&self, _: Post<'_>) -> Result<Reply, ExchangeError> {
            let mut count = self.0.lock().unwrap();
            *count += 1;
            let good = Reply::good(count.to_string().into_bytes());
            Ok(if count.is_multiple_of(3) { Reply { status: 503, ..good } } else { good })
        }
    }

    async fn ask(exchange: &dyn Exchange, body: &str) -> Result<String, ExchangeError> {
        let key = Secret::new("sk-secret");
        let body = body.as_bytes().to_vec();
        let post = Post { url: "http://x/", key: Some(&key), body, own: &[], limit: 10 };
        Ok(String::from_utf8(exchange.post(post).await?.body).unwrap())
    }

    fn cassette(folder: &Path, mode: CassetteMode) -> Result<Arc<dyn Exchange>, CassetteError> {
        let config = CassetteConfig { file: "tape.jsonl".to_owned(), mode };
        insert(&config, folder, Arc::new(Counting::default()))
    }

    #[tokio::test]
    async fn what_was_recorded_is_played_back_without_a_server() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = cassette(folder.path(), CassetteMode::Record).unwrap();
        for (body, reply) in [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")] {
            assert_eq!(ask(recorder.as_ref(), body).await.unwrap(), reply);
        }
        let player = cassette(folder.path(), CassetteMode::Replay).unwrap();
        assert_eq!(ask(player.as_ref(), "a").await.unwrap(), "4", "the last one counts");
        assert_eq!(ask(player.as_ref(), "b").await.unwrap(), "2");
        for (body, why) in [("c", "a fault is not recorded"), ("a ", "another request")] {
            let miss = ask(player.as_ref(), body).await.unwrap_err();
            assert_eq!(miss, ExchangeError::NotRecorded(Digest::of(body.as_bytes())), "{why}");
        }
        let tape = std::fs::read_to_string(folder.path().join("tape.jsonl")).unwrap();
        assert!(!tape.contains("sk-secret"), "{tape}");
    }

    #[test]
    fn a_cassette_that_cannot_be_read_is_found_out_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = |mode| cassette(folder.path(), mode).err().unwrap().to_string();
        assert!(error(CassetteMode::Replay).contains("cannot be opened"));
        std::fs::write(folder.path().join("tape.jsonl"), "{}\n").unwrap();
        assert!(error(CassetteMode::Replay).contains("tape.jsonl:1 is no recorded reply"));
    }
}
