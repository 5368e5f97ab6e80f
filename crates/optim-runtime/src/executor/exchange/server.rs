//! A server for tests: one scripted step for each request, over a real socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the server does about a request.
#[derive(Debug, Clone)]
pub(in crate::executor) enum Step {
    /// Sends these bytes and hangs up.
    Raw(Vec<u8>),
    /// Sends a body that never ends.
    Endless,
    /// Sends the head of a reply, and nothing more.
    Hang,
}

impl Step {
    pub(in crate::executor) fn raw(text: &str) -> Self {
        Self::Raw(text.as_bytes().to_vec())
    }

    pub(in crate::executor) fn json(body: &str) -> Self {
        Self::status("200 OK", "", body)
    }

    /// A reply with a status line's end, more headers, each ending with CR LF, and a body.
    pub(in crate::executor) fn status(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::raw(&format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}"
        ))
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(in crate::executor) struct Received {
    pub(in crate::executor) head: String,
    pub(in crate::executor) body: String,
}

/// Follows its script, and repeats the last step. It ends when it is dropped.
pub(in crate::executor) struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Received>>>,
    _serving: JoinSet<()>,
}

impl Server {
    pub(in crate::executor) async fn start(script: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests: Arc<Mutex<Vec<Received>>> = Arc::default();
        let mut serving = JoinSet::new();
        let seen = Arc::clone(&requests);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, script.clone(), Arc::clone(&seen)));
            }
        });
        Self { address, requests, _serving: serving }
    }

    pub(in crate::executor) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(in crate::executor) fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, script: Vec<Step>, seen: Arc<Mutex<Vec<Received>>>) {
    let Some(request) = receive(&mut stream).await else { return };
    let step = {
        let mut seen = seen.lock().unwrap();
        seen.push(request);
        script[(seen.len() - 1).min(script.len() - 1)].clone()
    };
    match step {
        Step::Raw(bytes) => drop(stream.write_all(&bytes).await),
        Step::Endless => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let mut sent = stream.write_all(head).await;
            while sent.is_ok() {
                sent = stream.write_all(b"8\r\n{\"a\": \"x\r\n").await;
            }
        }
        Step::Hang => {
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await);
            std::future::pending::<()>().await;
        }
    }
}

/// One whole request; `None` when the client went away before.
async fn receive(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = head.lines().map(str::to_ascii_lowercase);
            let length = lines
                .filter_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
                .next()
                .unwrap_or(0);
            if body.len() >= length {
                return Some(Received { head: format!("{head}\r\n"), body: body.to_owned() });
            }
        }
    }
}
