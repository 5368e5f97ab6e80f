//! The asker's side: hands a verb to the process that owns the store, and prints what it says.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::frame::{self, FrameError};
use super::protocol::{Answer, Refusal, Request};
use super::socket;
use crate::cli::output::Output;
use crate::error::Exit;

/// The most bytes of one answer, which may be a whole document.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// How long the owner may take to accept a request.
const ACCEPT_WAIT: Duration = Duration::from_secs(10);

/// Why the owner of the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The owner refused; nothing was done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The socket belongs to somebody else.
    #[error(
        "the control socket of this project belongs to another user; only that user and root may ask"
    )]
    NotAllowed,
    /// The owner says nothing.
    #[error(
        "the process that owns the store does not answer within {seconds} s; it may be stopped or overloaded",
        seconds = ACCEPT_WAIT.as_secs()
    )]
    Silent,
    /// The owner is gone before the verb was done.
    #[error(
        "the process that owns the store ended before it answered ({why}); `optim status` shows whether it was done"
    )]
    Lost {
        /// How it ended.
        why: String,
    },
}

impl ControlError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::NotAllowed => "control_not_allowed",
            Self::Silent => "control_silent",
            Self::Lost { .. } => "control_lost",
        }
    }

    /// How the asker exits.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused(refusal) => refusal.exit(),
            Self::NotAllowed => Exit::NotAllowed,
            Self::Silent | Self::Lost { .. } => Exit::Unreachable,
        }
    }
}

/// Has the owner of the store execute `request` and prints what it says on `out`; `None` when there is
/// no such process, or it ends and has done nothing.
///
/// # Errors
/// The owner refuses, says nothing, or is lost half way.
pub(crate) async fn ask(
    project: &Path,
    request: &Request,
    out: &Output,
) -> Result<Option<Exit>, ControlError> {
    let stream = match socket::connect(project).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(ControlError::NotAllowed);
        }
        Err(_) => return Ok(None),
    };
    trusted(&stream)?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let accepted = async {
        // A refusal may be there before the request is written, and the socket shut behind it.
        drop(frame::write(&mut write, request).await);
        frame::read(&mut read, ANSWER_BYTES_MAX).await
    };
    match timeout(ACCEPT_WAIT, accepted).await.map_err(|_| ControlError::Silent)? {
        Err(_) => return Ok(None),
        Ok(line) => match parse(&line)? {
            Answer::Accepted => {}
            Answer::Refused(refusal) => return Err(refusal.into()),
            other => return Err(lost(format!("it said {other:?} first"))),
        },
    }
    loop {
        let line = frame::read(&mut read, ANSWER_BYTES_MAX).await;
        match parse(&line.map_err(|error: FrameError| lost(error.to_string()))?)? {
            Answer::Line(text) => out.line(&text),
            Answer::Text(text) => out.text(&text),
            Answer::ErrorLine(text) => out.error_line(&text),
            Answer::Exit(exit) => return Ok(Some(exit)),
            other => return Err(lost(format!("it said {other:?} too late"))),
        }
    }
}

/// A socket that somebody else put there is not asked.
fn trusted(stream: &UnixStream) -> Result<(), ControlError> {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(owner) if owner.uid() == own || owner.uid() == 0 || own == 0 => Ok(()),
        _ => Err(ControlError::NotAllowed),
    }
}

fn parse(line: &[u8]) -> Result<Answer, ControlError> {
    serde_json::from_slice(line).map_err(|error| lost(format!("its answer is unreadable: {error}")))
}

fn lost(why: String) -> ControlError {
    ControlError::Lost { why }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_owner_that_says_nothing_is_not_waited_for_forever() {
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir(project.path().join(".optim")).unwrap();
        let _owner = UnixListener::bind(project.path().join(".optim/control.sock")).unwrap();
        let request = json!({"protocol": 1, "directory": "/", "folder": ".", "json": false,
            "verb": {"list": {"all": false}}});
        let request = serde_json::from_value(request).unwrap();
        let begun = tokio::time::Instant::now();
        let error = ask(project.path(), &request, &Output::Terminal).await.unwrap_err();
        assert_eq!((error.code(), error.exit()), ("control_silent", Exit::Unreachable));
        assert_eq!(begun.elapsed(), ACCEPT_WAIT);
    }
}
