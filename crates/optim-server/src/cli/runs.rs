//! `optim runs`: workflow runs, and what a person does about them.

use clap::{Subcommand, ValueEnum};
use optim_core::id::{NodeId, WorkflowId, WorkflowRunId};
use optim_core::quantity::{Millis, Timestamp};
use optim_core::workflow_run::command::{GateDecision, WorkflowRunCommand};
use optim_core::workflow_run::node::NodeState;
use optim_core::workflow_run::state::{Stop, WorkflowRunState, WorkflowRunStatus};
use optim_core::workflow_run::{Wait, WorkflowRun};
use optim_runtime::service::Service;
use optim_store::{Cursor, Page, WorkflowRunFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Outcome;
use super::call::Call;
use super::run::host;
use crate::error::{CliError, Exit};

/// What is done with workflow runs.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    /// List workflow runs, newest first.
    List(ListArgs),
    /// Show a run: its nodes, and what happened to it.
    Show {
        /// The run, or the beginning of its id.
        run: String,
    },
    /// Work queued runs off until this one cannot go on by itself.
    Follow {
        /// The run, or the beginning of its id.
        run: String,
    },
    /// Let the nodes at work end, and start no other.
    Pause(CommandArgs),
    /// Go on with a paused run.
    Resume(CommandArgs),
    /// Go on with a run that failed or is blocked, after what was wrong has been repaired.
    Recover(CommandArgs),
    /// End a run; nodes at work are stopped.
    Cancel(CommandArgs),
    /// Decide at the gate that a run awaits.
    Decide(DecideArgs),
    /// Drop the inputs and outputs of runs that ended long ago; records and history stay.
    Retain {
        /// Those that ended at least so many days ago.
        #[arg(long)]
        days: u32,
    },
}

/// The flags of `optim runs list`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListArgs {
    /// Only those of this workflow.
    #[arg(long, conflicts_with = "status")]
    workflow: Option<String>,
    /// Only those with this status.
    #[arg(long)]
    status: Option<String>,
    /// How many at most; 1..=500.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Go on where a page ended: its `next`.
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
}

/// The flags of the verbs that change a run.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandArgs {
    /// The run, or the beginning of its id.
    run: String,
    /// Why; kept in the run's history.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

/// The flags of `optim runs decide`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideArgs {
    /// The run, or the beginning of its id.
    run: String,
    /// What is decided.
    decision: Decision,
    /// The gate; the open one when absent.
    #[arg(long, value_name = "NODE")]
    gate: Option<String>,
    /// Why; required for anything but an approval.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

/// What is decided at a gate.
#[derive(Debug, Clone, Copy, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Decision {
    /// The run goes on.
    Approve,
    /// What the gate names is done again.
    Rework,
    /// The run ends.
    Cancel,
}

pub(super) async fn runs(call: &Call, verb: Verb) -> Outcome {
    match verb {
        Verb::List(args) => list(call, args).await,
        Verb::Show { run } => {
            let run = named(call, &run).await?;
            show(call, &run);
            Ok(Exit::Success)
        }
        Verb::Follow { run } => {
            let run = named(call, &run).await?;
            Box::pin(work_off(call, run.id, true)).await
        }
        Verb::Pause(CommandArgs { run, reason }) => {
            command(call, &run, WorkflowRunCommand::Pause { reason }).await
        }
        Verb::Resume(CommandArgs { run, reason }) => {
            command(call, &run, WorkflowRunCommand::Resume { reason }).await
        }
        Verb::Recover(CommandArgs { run, reason }) => {
            command(call, &run, WorkflowRunCommand::Recover { reason }).await
        }
        Verb::Cancel(CommandArgs { run, reason }) => {
            command(call, &run, WorkflowRunCommand::Cancel { reason }).await
        }
        Verb::Decide(args) => decide(call, args).await,
        Verb::Retain { days } => {
            let age = Millis::from_days(days);
            let runs = call.session.engine.retain_workflow_runs(age).await?;
            if call.json {
                call.out.document(&json!({"schema": "optim/v1/retained", "dropped": runs}));
            } else {
                call.out.line(&format!("the outputs of {runs} runs were dropped"));
            }
            Ok(Exit::Success)
        }
    }
}

async fn list(call: &Call, args: ListArgs) -> Outcome {
    let usage = |message: String| CliError::Usage { code: "bad_filter", message };
    let filter =
        match (&args.workflow, &args.status) {
            (Some(workflow), _) => WorkflowRunFilter::Workflow(
                WorkflowId::new(workflow.as_str()).map_err(|error| usage(error.to_string()))?,
            ),
            (None, Some(status)) => {
                let known = WorkflowRunStatus::ALL.into_iter().find(|known| known.name() == status);
                let names = WorkflowRunStatus::ALL.map(WorkflowRunStatus::name).join(", ");
                WorkflowRunFilter::Status(known.ok_or_else(|| {
                    usage(format!("--status {status:?} is none; there are {names}"))
                })?)
            }
            (None, None) => WorkflowRunFilter::All,
        };
    let page = Page { after: args.after.map(Cursor), limit: args.limit };
    let listed = call.session.engine.store().workflow_runs(&filter, page).await?;
    if call.json {
        let runs: Vec<_> = listed
            .items
            .iter()
            .map(|run| {
                json!({
                    "id": run.id, "workflow": run.workflow, "status": run.status.name(),
                    "dry_run": run.dry_run, "workspace": run.workspace,
                    "nodes_done": run.nodes_done, "nodes": run.nodes,
                    "created_at_ms": run.created_at, "ended_at_ms": run.ended_at,
                    "wait": run.wait.as_ref().map(wait_view),
                })
            })
            .collect();
        let document = json!({
            "schema": "optim/v1/workflow_runs", "count": runs.len(), "runs": runs, "next_page": listed.next,
        });
        call.out.document(&document);
        return Ok(Exit::Success);
    }
    for run in &listed.items {
        let (id, status, created) = (run.id, run.status.name(), time(run.created_at));
        let (done, nodes, workflow) = (run.nodes_done, run.nodes, &run.workflow);
        let wait = run.wait.as_ref().map(waits).unwrap_or_default();
        call.out
            .line(&format!("{id}  {status}{wait}  {done}/{nodes} nodes  {created}  {workflow}"));
    }
    if listed.items.is_empty() {
        call.out.error_line("no workflow run; `optim run-workflow` starts one");
    }
    if let Some(Cursor(next)) = listed.next {
        call.out.error_line(&format!("more: --after {next}"));
    }
    Ok(Exit::Success)
}

async fn command(call: &Call, named_as: &str, command: WorkflowRunCommand) -> Outcome {
    let run = named(call, named_as).await?;
    let engine = &call.session.engine;
    let run = engine.command_workflow_run(run.id, &command, call.actor.clone()).await?;
    print(call, &run);
    Ok(Exit::Success)
}

async fn decide(call: &Call, args: DecideArgs) -> Outcome {
    let run = named(call, &args.run).await?;
    let open = match &run.state {
        WorkflowRunState::AwaitingApproval { gate, .. } => Some(gate.clone()),
        _ => None,
    };
    let gate =
        match args.gate {
            Some(gate) => Some(NodeId::new(gate).map_err(|error| CliError::Usage {
                code: error.code(),
                message: error.to_string(),
            })?),
            None => open,
        };
    let gate = gate.ok_or_else(|| CliError::Usage {
        code: "gate_not_open",
        message: format!(
            "workflow run {} awaits no decision; `optim runs show` says what it does",
            run.id
        ),
    })?;
    let decision = match args.decision {
        Decision::Approve => GateDecision::Approve,
        Decision::Rework => GateDecision::Rework,
        Decision::Cancel => GateDecision::Cancel,
    };
    command(call, &args.run, WorkflowRunCommand::Decide { gate, decision, reason: args.reason })
        .await
}

/// Works queued runs off until this one cannot go on by itself, and prints where it stands then.
pub(super) async fn work_off(call: &Call, id: WorkflowRunId, steps: bool) -> Outcome {
    let watch = async |service: &Service| {
        tokio::select! {
            settled = service.workflow_run_settled(id) => Ok(settled?),
            never = tell_steps(call, id), if steps => never,
            exit = call.stop.wished() => Err(CliError::Stopped(exit)),
        }
    };
    let run = match &call.service {
        Some(service) => watch(service).await?,
        None => host(call, call.session.serve_workflow_runs().await?, watch).await?,
    };
    print(call, &run);
    Ok(exit(&run))
}

/// Prints what happens to a run, as it happens; ends only when it cannot be read.
async fn tell_steps(call: &Call, id: WorkflowRunId) -> Result<WorkflowRun, CliError> {
    let engine = &call.session.engine;
    let mut changes = engine.workflow_run_changes();
    let mut told = 0;
    loop {
        changes.borrow_and_update();
        let history = engine.workflow_run(id).await?.value.history;
        let new = usize::try_from(history.total().saturating_sub(told)).unwrap_or(usize::MAX);
        let kept = history.entries().count();
        for entry in history.entries().skip(kept.saturating_sub(new)) {
            call.out.error_line(&step(&serde_json::to_value(&entry.what).unwrap_or_default()));
        }
        told = history.total();
        if changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// One event on one line: its name, then its fields.
fn step(event: &Value) -> String {
    let fields = event.as_object().into_iter().flatten();
    let others = fields.filter(|(name, value)| name.as_str() != "event" && !value.is_null());
    let others = others.map(|(name, value)| match value {
        Value::String(text) => format!(" {name}={text}"),
        value => format!(" {name}={value}"),
    });
    format!("{}{}", event["event"].as_str().unwrap_or_default(), others.collect::<String>())
}

/// The run that a person means: an id, or the beginning of one of the newest.
async fn named(call: &Call, asked: &str) -> Result<WorkflowRun, CliError> {
    let engine = &call.session.engine;
    if let Ok(id) = asked.parse::<WorkflowRunId>() {
        return Ok(engine.workflow_run(id).await?.value);
    }
    let newest = engine.store().workflow_runs(&WorkflowRunFilter::All, Page::first()).await?.items;
    let mut found = newest.iter().filter(|run| run.id.to_string().starts_with(asked));
    match (found.next(), found.next()) {
        (Some(run), None) => Ok(engine.workflow_run(run.id).await?.value),
        (Some(_), Some(_)) => Err(CliError::Usage {
            code: "ambiguous_id",
            message: format!("{asked:?} is the beginning of several run ids; write more of it"),
        }),
        (None, _) => Err(CliError::NotFound {
            code: "workflow_run_not_found",
            message: format!(
                "there is no workflow run {asked:?}; `optim runs list` shows those that exist"
            ),
        }),
    }
}

/// Prints where a run stands, with what can be done next.
pub(super) fn print(call: &Call, run: &WorkflowRun) {
    let next = next(call, run);
    if call.json {
        call.out.document(&document(run, &next));
        return;
    }
    call.out.line(&headline(run));
    call.out.next(&next);
}

fn show(call: &Call, run: &WorkflowRun) {
    if call.json {
        call.out.document(&document(run, &next(call, run)));
        return;
    }
    call.out.line(&headline(run));
    let (workspace, tokens) = (&run.workspace, run.used.usage.tokens().0);
    call.out.line(&format!(
        "in {workspace}, snapshot {}, {tokens} tokens, {}, {} ms of work",
        run.snapshot.short(),
        run.used.usage.cost,
        run.used.worked.0
    ));
    for node in &run.nodes {
        let (name, attempts, of) = (&node.node, node.attempts, node.attempts_max);
        call.out
            .line(&format!("  {name}: {} (attempt {attempts} of {of})", node_state(&node.state)));
    }
    if run.history.dropped() > 0 {
        call.out.line(&format!("… {} older events", run.history.dropped()));
    }
    for entry in run.history.entries() {
        let what = step(&serde_json::to_value(&entry.what).unwrap_or_default());
        call.out.line(&format!("{}  {}  {what}", time(entry.at), entry.actor));
    }
    call.out.next(&next(call, run));
}

fn node_state(state: &NodeState) -> String {
    match state {
        NodeState::Pending => "pending".to_owned(),
        NodeState::Running => "running".to_owned(),
        NodeState::Done { .. } => "done".to_owned(),
        NodeState::Skipped => "skipped".to_owned(),
        NodeState::Postponed { until, reason } => {
            format!("postponed until {}: {reason}", time(*until))
        }
        NodeState::NeedsRepair { reason } => format!("needs repair: {reason}"),
        NodeState::Failed { reason } => format!("failed: {reason}"),
        NodeState::Blocked { reason } => format!("blocked: {reason}"),
    }
}

/// The status in one line, with its reason.
fn headline(run: &WorkflowRun) -> String {
    let done = run.nodes.iter().filter(|node| node.is_done()).count();
    let why = match &run.state {
        WorkflowRunState::Pausing { pause, .. } | WorkflowRunState::Paused { pause, .. } => {
            format!(": {}", pause.detail)
        }
        WorkflowRunState::AwaitingApproval { gate, .. } => format!(" at {gate}"),
        WorkflowRunState::Failed { failure, .. } => format!(": {}", failure.detail),
        WorkflowRunState::Cancelled { reason, .. } => format!(": {reason}"),
        WorkflowRunState::Queued => run.wait().map(|wait| waits(&wait)).unwrap_or_default(),
        _ if run.dry_run => " (dry run: nothing was executed)".to_owned(),
        _ => String::new(),
    };
    let (id, status, nodes) = (run.id, run.state.status().name(), run.nodes.len());
    format!("workflow run {id} of {}: {status}{why}; {done} of {nodes} nodes done", run.workflow)
}

/// `, not before 2025-06-15T15:06:40Z: node answer: too many requests`
fn waits(wait: &Wait) -> String {
    format!(", not before {}: {}", time(wait.not_before), wait.reason)
}

fn document(run: &WorkflowRun, next: &[String]) -> Value {
    json!({
        "schema": "optim/v1/workflow_run",
        "status": run.state.status().name(),
        "wait": run.wait().as_ref().map(wait_view),
        "run": run,
        "next": next,
    })
}

fn wait_view(wait: &Wait) -> Value {
    json!({"not_before_ms": wait.not_before, "reason": wait.reason})
}

fn next(call: &Call, run: &WorkflowRun) -> Vec<String> {
    let verbs: &[&str] = match run.state.status() {
        WorkflowRunStatus::Queued | WorkflowRunStatus::Running | WorkflowRunStatus::Pausing => {
            &["follow", "cancel"]
        }
        WorkflowRunStatus::Paused => &["resume", "cancel"],
        WorkflowRunStatus::AwaitingApproval => &["decide", "cancel"],
        WorkflowRunStatus::Blocked | WorkflowRunStatus::Failed if !run.expired => {
            &["show", "recover"]
        }
        _ => &["show"],
    };
    let line = |verb: &&str| {
        let rest = if *verb == "decide" { " approve" } else { "" };
        format!("{} runs {verb} {}{rest}", call.prefix(), run.id)
    };
    verbs.iter().map(line).collect()
}

/// The exit code that tells a script where the run stands.
fn exit(run: &WorkflowRun) -> Exit {
    match &run.state {
        WorkflowRunState::Completed { .. } => Exit::Success,
        WorkflowRunState::Paused { pause, .. } if pause.stop == Stop::GuardrailStopped => {
            Exit::Budget
        }
        WorkflowRunState::Failed { .. } | WorkflowRunState::Blocked { .. } => Exit::Failure,
        WorkflowRunState::Cancelled { .. } => Exit::Cancelled,
        WorkflowRunState::Queued
        | WorkflowRunState::Running { .. }
        | WorkflowRunState::Pausing { .. }
        | WorkflowRunState::Paused { .. }
        | WorkflowRunState::AwaitingApproval { .. } => Exit::Waiting,
    }
}

fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string()).unwrap_or_default()
}
