//! What runs and what waits, while a process runs the loops.

use std::collections::BTreeMap;

use optim_core::quantity::Timestamp;
use optim_runtime::scheduler::Waiting;
use optim_runtime::scheduler::entry::Blocked;
use optim_runtime::service::ServiceStatus;
use serde::Serialize;

use super::output::Output;

/// The work of the process that runs the loops.
#[derive(Debug, Clone, Serialize)]
pub(super) struct WorkView {
    /// Its id.
    process: u32,
    /// Runs that have a slot.
    active: usize,
    /// Runs that wait, by reason.
    waiting: Vec<WaitingView>,
    /// How long the last admitted runs waited for their slot.
    wait_mean_ms: u64,
    wait_p95_ms: u64,
    /// Since the start of the process.
    admitted_total: u64,
    released_total: u64,
    completed_total: u64,
    /// The loops, by name.
    loops: BTreeMap<&'static str, LoopView>,
    /// Campaigns that cannot be taken further now.
    failing: BTreeMap<String, FailingView>,
}

#[derive(Debug, Clone, Serialize)]
struct WaitingView {
    /// What they wait for.
    reason: &'static str,
    /// The provider, when it is one.
    provider: Option<String>,
    /// When the reason ends by itself.
    until_ms: Option<Timestamp>,
    runs: usize,
    /// How long the first of them has waited.
    longest_ms: u64,
}

#[derive(Debug, Clone, Serialize)]
struct LoopView {
    running: bool,
    panics: u32,
    last_error: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct FailingView {
    failures: u32,
    error: String,
}

impl WorkView {
    /// The work of this process, whose loops fare as `status` says.
    pub(super) fn new(status: ServiceStatus, now: Timestamp) -> Self {
        let ServiceStatus { loops, trouble, metrics, waiting } = status;
        let loops = loops.into_iter().map(|(name, one)| {
            let (running, panics, last_error) = (one.running, one.panics, one.last_error);
            (name, LoopView { running, panics, last_error })
        });
        let failing = trouble.failing.into_iter().map(|(campaign, one)| {
            (campaign.to_string(), FailingView { failures: one.failures, error: one.error })
        });
        Self {
            process: std::process::id(),
            active: metrics.active,
            waiting: waiting.iter().map(|waiting| WaitingView::new(waiting, now)).collect(),
            wait_mean_ms: metrics.wait_mean.0,
            wait_p95_ms: metrics.wait_p95.0,
            admitted_total: metrics.admitted_total,
            released_total: metrics.released_total,
            completed_total: metrics.completed_total,
            loops: loops.collect(),
            failing: failing.collect(),
        }
    }

    /// Prints it for people; a loop that has never failed is not worth a line.
    pub(super) fn print(&self, out: &Output) {
        let Self { process, active, wait_p95_ms, .. } = self;
        out.line(&format!(
            "  process {process} runs {active} case runs; 95 of 100 waited at most {wait_p95_ms} ms for it"
        ));
        for waiting in &self.waiting {
            out.line(&format!("    {waiting}"));
        }
        for (name, LoopView { running, panics, last_error }) in &self.loops {
            if let Some(error) = last_error {
                let state = if *running { "running" } else { "stopped" };
                out.line(&format!(
                    "    loop {name}: {state}, {panics} panics, the last error: {error}"
                ));
            }
        }
        for (campaign, FailingView { failures, error }) in &self.failing {
            out.line(&format!(
                "    campaign {campaign} could not be taken further {failures} times: {error}"
            ));
        }
    }
}

impl WaitingView {
    fn new(waiting: &Waiting, now: Timestamp) -> Self {
        let Waiting { why, jobs, since } = waiting;
        let provider = match why {
            Blocked::Throttled { provider, .. } | Blocked::RateLimit { provider, .. } => {
                Some(provider.to_string())
            }
            Blocked::Capacity
            | Blocked::Workspace { .. }
            | Blocked::Delayed { .. }
            | Blocked::Worker => None,
        };
        Self {
            reason: why.name(),
            provider,
            until_ms: why.until(),
            runs: *jobs,
            longest_ms: now.since(*since).0,
        }
    }
}

impl std::fmt::Display for WaitingView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { reason, provider, until_ms, runs, longest_ms } = self;
        write!(f, "{runs} wait for {reason}")?;
        if let Some(provider) = provider {
            write!(f, " of {provider}")?;
        }
        let until = until_ms.and_then(|at| jiff::Timestamp::from_millisecond(at.0).ok());
        if let Some(until) = until {
            write!(f, " until {until}")?;
        }
        write!(f, ", the first for {longest_ms} ms")
    }
}
