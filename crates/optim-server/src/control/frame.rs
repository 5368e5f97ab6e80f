//! A message on the wire: one line of JSON.

use serde::Serialize;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};

/// Why there is no whole message.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The other side went away.
    #[error("it ends before its line does")]
    Cut,
    /// The line does not end.
    #[error("it has more than {limit} bytes")]
    TooLong {
        /// The most bytes of a line.
        limit: u64,
    },
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Reads one line of at most `limit` bytes, without its end.
pub(super) async fn read(
    from: &mut (impl AsyncBufRead + Unpin),
    limit: u64,
) -> Result<Vec<u8>, FrameError> {
    let mut line = Vec::new();
    from.take(limit).read_until(b'\n', &mut line).await?;
    match line.pop() {
        Some(b'\n') => Ok(line),
        Some(_) if u64::try_from(line.len()).is_ok_and(|length| length + 1 >= limit) => {
            Err(FrameError::TooLong { limit })
        }
        _ => Err(FrameError::Cut),
    }
}

/// Writes one message.
pub(super) async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_one_line_within_its_limit() {
        let mut wire: &[u8] = b"12\n345\n6";
        assert_eq!(read(&mut wire, 3).await.unwrap(), b"12");
        assert!(matches!(read(&mut wire, 3).await, Err(FrameError::TooLong { limit: 3 })));
        let mut wire: &[u8] = b"6";
        assert!(matches!(read(&mut wire, 3).await, Err(FrameError::Cut)));
        assert!(matches!(read(&mut wire, 3).await, Err(FrameError::Cut)));
    }
}
