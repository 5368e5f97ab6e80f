//! Named, supervised loops: a panic is counted and the loop starts again; a shutdown is waited for.
//!
//! The only place that spawns tasks which outlive their caller.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How long a loop that panicked is left alone.
const BACK_OFF: Duration = Duration::from_millis(500);

/// The wish that loops end.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Waits until it is wished.
    pub async fn requested(&self) {
        let mut wish = self.0.clone();
        // An error means that the task set is gone, which is a wish too.
        drop(wish.wait_for(|wished| *wished).await);
    }

    /// Runs `body` beside the loops until it ends or the shutdown is wished.
    #[expect(
        clippy::disallowed_methods,
        reason = "the body ends with the shutdown, as the rule asks"
    )]
    pub fn detach(&self, body: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.clone();
        drop(tokio::spawn(async move {
            tokio::select! {
                biased;
                () = body => {}
                () = shutdown.requested() => {}
            }
        }));
    }
}

/// How a supervised loop fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoopStatus {
    /// How often it panicked and was started again.
    pub panics: u32,
    /// Whether it is at work.
    pub running: bool,
    /// The last thing that went wrong in it, a panic or what it says itself.
    pub last_error: Option<String>,
}

/// Running loops.
#[derive(Debug)]
pub struct TaskSet {
    wish: watch::Sender<bool>,
    loops: Vec<JoinHandle<()>>,
    status: Arc<Mutex<BTreeMap<&'static str, LoopStatus>>>,
}

impl Default for TaskSet {
    fn default() -> Self {
        Self::new()
    }
}

impl TaskSet {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self { wish: watch::Sender::new(false), loops: Vec::new(), status: Arc::default() }
    }

    /// Starts the loop `name`; starts it again when it panics, until the shutdown.
    #[expect(clippy::disallowed_methods, reason = "this is the supervisor that the rule asks for")]
    pub fn supervise<F, R>(&mut self, name: &'static str, make: F)
    where
        F: Fn(Shutdown) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let shutdown = Shutdown(self.wish.subscribe());
        let status = Arc::clone(&self.status);
        self.loops.push(tokio::spawn(async move {
            let update = |change: &dyn Fn(&mut LoopStatus)| {
                change(
                    status.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default(),
                );
            };
            loop {
                update(&|status| status.running = true);
                let mut body = JoinSet::new();
                body.spawn(make(shutdown.clone()));
                let ended = body.join_next().await;
                update(&|status| status.running = false);
                match ended {
                    Some(Err(panic)) if panic.is_panic() => {
                        update(&|status| {
                            status.panics = status.panics.saturating_add(1);
                            status.last_error = Some(format!("panicked: {panic}"));
                        });
                        tracing::error!(name, %panic, "a loop panicked and is started again");
                    }
                    _ => return,
                }
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(BACK_OFF) => {}
                    () = shutdown.requested() => return,
                }
            }
        }));
    }

    /// How the loops fare, by name.
    #[must_use]
    pub fn status(&self) -> BTreeMap<&'static str, LoopStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wishes the loops to end, and waits until they have.
    pub async fn shutdown(mut self) {
        self.wish.send_replace(true);
        for ended in std::mem::take(&mut self.loops) {
            drop(ended.await);
        }
    }
}

impl Drop for TaskSet {
    /// Stops loops that nobody will wait for.
    fn drop(&mut self) {
        self.loops.iter().for_each(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn threat_45_a_loop_that_panics_is_started_again_and_the_panic_is_counted() {
        let rounds = Arc::new(AtomicU32::new(0));
        let (reached, mut done) = watch::channel(0);
        let mut tasks = TaskSet::new();
        tasks.supervise("shaky", {
            let rounds = Arc::clone(&rounds);
            move |shutdown| {
                let (round, reached) = (rounds.fetch_add(1, Ordering::SeqCst), reached.clone());
                async move {
                    assert!(round >= 2, "the first two rounds panic");
                    reached.send_replace(round);
                    shutdown.requested().await;
                }
            }
        });
        done.wait_for(|round| *round == 2).await.unwrap();
        let status = &tasks.status()["shaky"];
        assert_eq!((status.panics, status.running), (2, true));
        assert!(status.last_error.as_ref().unwrap().contains("panicked"), "{status:?}");
        tasks.shutdown().await;
    }
}
