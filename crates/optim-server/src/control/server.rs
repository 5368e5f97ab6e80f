//! The owner's side: executes the requests of other processes, each for itself.

use std::sync::Arc;
use std::time::Duration;

use optim_core::id::Actor;
use optim_runtime::service::Service;
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::frame::{self, FrameError};
use super::protocol::{Answer, Head, PROTOCOL, Refusal, Request};
use super::socket::Socket;
use crate::cli;
use crate::cli::call::{Call, Stop};
use crate::cli::output::Output;
use crate::error::Exit;
use crate::session::{Session, actor};

/// The most bytes of a request.
const REQUEST_BYTES_MAX: u64 = 256 * 1024;
/// How long a connection may take to say what it wants.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// How long an asker may take to read a line.
const READER_WAIT: Duration = Duration::from_secs(10);
/// Requests that are answered at once; the next ones are refused.
const REQUESTS_MAX: usize = 64;
/// How long no connection is accepted when the system refuses one.
const BACK_OFF: Duration = Duration::from_millis(100);

/// What the requests are executed with.
#[derive(Clone)]
pub(crate) struct Host {
    /// The open project.
    pub(crate) session: Arc<Session>,
    /// The loops that work its campaigns off.
    pub(crate) service: Arc<Service>,
}

/// How far the end of the owner has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// It is not near.
    No,
    /// Nothing new is taken; what is executed may end.
    Drain,
    /// What is executed is told to stop, and to exit so.
    Now(Exit),
}

/// A listening owner.
pub(crate) struct Server {
    closing: watch::Sender<Closing>,
    acceptor: JoinSet<()>,
}

impl Server {
    /// Listens for the host's project.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(crate) async fn start(host: Host) -> std::io::Result<Self> {
        let socket = Socket::bind(&host.session.folder).await?;
        let closing = watch::Sender::new(Closing::No);
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(socket, host, closing.subscribe()));
        Ok(Self { closing, acceptor })
    }

    /// Takes no further request, and waits until those that are executed have their answers.
    pub(crate) async fn drain(&mut self) {
        self.closing.send_replace(Closing::Drain);
        while self.acceptor.join_next().await.is_some() {}
    }

    /// Tells what is executed to stop, and waits until it has.
    pub(crate) async fn stop(&mut self, exit: Exit) {
        self.closing.send_replace(Closing::Now(exit));
        while self.acceptor.join_next().await.is_some() {}
    }
}

async fn accept(socket: Socket, host: Host, closing: watch::Receiver<Closing>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let free = connections.len() < REQUESTS_MAX;
                    connections.spawn(serve(stream, free, host.clone(), closing.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the control socket is not accepted");
                    tokio::time::sleep(BACK_OFF).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = near(closing.clone()) => break,
        }
    }
    // From here on others find nobody, and open the store as soon as it is free.
    drop(socket);
    while connections.join_next().await.is_some() {}
}

/// One connection: reads the request, executes it, sends the answers.
async fn serve(stream: UnixStream, free: bool, host: Host, closing: watch::Receiver<Closing>) {
    let asker = stream.peer_cred();
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let request = async {
        let actor = asking(asker)?;
        if !free {
            return Err(Refusal::Busy { limit: REQUESTS_MAX });
        }
        Ok((actor, receive(&mut read).await?))
    };
    let request = tokio::select! {
        request = request => request,
        () = near(closing.clone()) => return,
    };
    match request {
        Ok((actor, request)) => {
            if send(&mut write, &Answer::Accepted).await {
                execute(host, (actor, request), (read, write), closing).await;
            }
        }
        Err(refusal) => {
            tracing::info!(%refusal, "a request on the control socket is refused");
            send(&mut write, &Answer::Refused(refusal)).await;
        }
    }
}

/// Who asks: this process's own user, or root.
fn asking(asker: std::io::Result<tokio::net::unix::UCred>) -> Result<Actor, Refusal> {
    let malformed = |why: String| Refusal::Malformed { why };
    let asker = asker.map_err(|error| malformed(format!("nobody knows who asks: {error}")))?.uid();
    let owner = rustix::process::geteuid().as_raw();
    match asker {
        own if own == owner => Ok(actor()),
        0 => Actor::new("local:root").map_err(|error| malformed(error.to_string())),
        _ => Err(Refusal::NotAllowed { owner, asker }),
    }
}

async fn receive(read: &mut BufReader<OwnedReadHalf>) -> Result<Request, Refusal> {
    let malformed = |why: String| Refusal::Malformed { why };
    let line = timeout(REQUEST_WAIT, frame::read(read, REQUEST_BYTES_MAX)).await;
    let line = line
        .map_err(|_| malformed(format!("it is not there after {} s", REQUEST_WAIT.as_secs())))?
        .map_err(|error: FrameError| malformed(error.to_string()))?;
    let unreadable = |error: serde_json::Error| malformed(error.to_string());
    let Head { protocol } = serde_json::from_slice(&line).map_err(unreadable)?;
    if protocol != PROTOCOL {
        return Err(Refusal::OtherVersion { owner: PROTOCOL, asker: protocol });
    }
    serde_json::from_slice(&line).map_err(unreadable)
}

/// Executes a verb. It runs to its end also when nobody listens any more; one that only follows a
/// campaign is told to stop then.
async fn execute(
    host: Host,
    (actor, request): (Actor, Request),
    (read, write): (BufReader<OwnedReadHalf>, OwnedWriteHalf),
    closing: watch::Receiver<Closing>,
) {
    let Request { protocol: _, directory, folder, json, verb } = request;
    let (said, saying) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(None);
    let call = Call {
        session: host.session,
        service: Some(host.service),
        actor,
        out: Output::Asker(said.clone()),
        stop: Stop::Told(stopped),
        json,
        directory,
        folder,
    };
    let verb = async move {
        let exit = cli::perform(&call, verb).await.unwrap_or_else(|error| {
            call.out.error(&error, json);
            error.exit()
        });
        drop(said.send(Answer::Exit(exit)));
    };
    let answers = async {
        if !forward(saying, write).await {
            stop.send_replace(Some(Exit::Interrupted));
        }
    };
    let watching = async {
        let exit = tokio::select! {
            () = hung_up(read) => Exit::Interrupted,
            exit = told(closing) => exit,
        };
        stop.send_replace(Some(exit));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = async { tokio::join!(verb, answers) } => {}
        () = watching => {}
    }
}

/// Sends what is said; whether all of it was.
async fn forward(mut saying: mpsc::UnboundedReceiver<Answer>, mut write: OwnedWriteHalf) -> bool {
    while let Some(answer) = saying.recv().await {
        if !send(&mut write, &answer).await {
            return false;
        }
    }
    true
}

async fn send(write: &mut OwnedWriteHalf, answer: &Answer) -> bool {
    matches!(timeout(READER_WAIT, frame::write(write, answer)).await, Ok(Ok(())))
}

/// Waits until the asker goes away. It has nothing more to say.
async fn hung_up(mut read: BufReader<OwnedReadHalf>) {
    let mut more = [0; 64];
    while read.read(&mut more).await.is_ok_and(|bytes| bytes > 0) {}
}

/// Waits until nothing new is taken.
async fn near(mut closing: watch::Receiver<Closing>) {
    drop(closing.wait_for(|closing| *closing != Closing::No).await);
}

/// Waits until what is executed has to stop.
async fn told(mut closing: watch::Receiver<Closing>) -> Exit {
    let now = closing.wait_for(|closing| matches!(closing, Closing::Now(_))).await;
    match now.as_deref() {
        Ok(Closing::Now(exit)) => *exit,
        _ => Exit::Terminated,
    }
}
