//! `optim run`: resume the open campaign, or start one, and follow it.

use optim_core::campaign::command::Command;
use optim_core::campaign::{Campaign, Phase, SearchMode, Status};

use super::Outcome;
use super::call::Call;
use super::progress::Progress;
use super::report::Report;
use crate::error::{CliError, Exit};
use crate::session::Session;

/// The flags of `optim run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Start a new campaign even if one is open.
    #[arg(long)]
    new: bool,
    /// The seed of a new campaign; the settings' seed when absent.
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) async fn run(call: &Call, args: Args) -> Outcome {
    let campaign = match call.session.open_campaign().await? {
        Some(open) if !args.new => open,
        open => {
            if let Some(open) = open {
                let (id, status) = (&open.id, open.status().name());
                call.out.error_line(&format!(
                    "note: campaign {id} stays {status}; `optim cancel {id}` would end it"
                ));
            }
            let project = call.session.project()?;
            for warning in &project.warnings.0 {
                call.out.error_line(&warning.to_string());
            }
            call.session.create(&project, args.seed, SearchMode::Proposers).await?
        }
    };
    let campaign = follow(call, campaign, |_| false).await?;
    finish(call, &campaign).await
}

/// Starts a draft, works the campaign off until a person is needed, it is over, or `enough` says so,
/// and shows how it goes.
pub(super) async fn follow(
    call: &Call,
    campaign: Campaign,
    enough: impl Fn(&Campaign) -> bool,
) -> Result<Campaign, CliError> {
    same_executor(&call.session, &campaign)?;
    let id = campaign.id.clone();
    let progress = Progress::start(call, &campaign).await?;
    if campaign.phase == Phase::Draft {
        call.session.engine.submit(&id, &Command::Start, call.actor.clone()).await?;
    }
    let service = call.session.serve().await?;
    let settled = tokio::select! {
        settled = service.settled_when(&id, enough) => settled.map(Ok),
        exit = stop_wished() => Ok(Err(exit)),
    };
    progress.stop().await;
    service.stop().await;
    settled?.map_err(CliError::Stopped)
}

/// A campaign compares what one executor gives; another one in the middle of it would be compared with
/// the first.
fn same_executor(session: &Session, campaign: &Campaign) -> Result<(), CliError> {
    let (frozen, now) = (campaign.frozen.executor.as_str(), session.executor.name());
    if frozen == now {
        return Ok(());
    }
    Err(CliError::Usage {
        code: "executor_changed",
        message: format!(
            "campaign {} began with the executor {frozen}, the settings now say {now}; put it back, \
             or end the campaign with `optim cancel` and start another one",
            campaign.id
        ),
    })
}

/// Waits until somebody wishes the process to end, and says how it should exit then.
async fn stop_wished() -> Exit {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            // Without a handler the signal ends the process as it always did.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => Exit::Interrupted,
        () = terminated => Exit::Terminated,
    }
}

/// Prints the campaign and turns its status into the exit code.
pub(super) async fn finish(call: &Call, campaign: &Campaign) -> Outcome {
    let experiments = call.session.experiments(&campaign.id).await?;
    let report = Report::new(campaign, &experiments, &call.prefix());
    if call.json {
        call.out.document(&report);
    } else {
        super::status::print(&call.out, campaign, &experiments);
        call.out.next(report.next());
    }
    Ok(exit(campaign))
}

/// The exit code that tells a script where the campaign stands.
pub(super) fn exit(campaign: &Campaign) -> Exit {
    match campaign.status() {
        Status::AwaitingPromotionApproval
        | Status::PausedManual
        | Status::Draft
        | Status::Running => Exit::Waiting,
        Status::PausedBudget => Exit::Budget,
        Status::PausedEvaluatorUnstable => Exit::Unstable,
        Status::Completed => Exit::Success,
        Status::Failed => Exit::Unreachable,
        Status::Cancelled => Exit::Cancelled,
    }
}
