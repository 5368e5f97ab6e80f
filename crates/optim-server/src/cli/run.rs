//! `optim run`: resume the open campaign, or start one, and follow it.

use std::path::Path;

use optim_core::campaign::command::Command;
use optim_core::campaign::{Campaign, Phase, SearchMode, Status};
use optim_core::canonical;
use optim_core::pack::Case;
use optim_core::workflow::ModelRef;

use super::progress::Progress;
use super::report::Report;
use super::{Outcome, output};
use crate::error::{CliError, Exit};
use crate::session::{Session, actor};

/// The flags of `optim run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Start a new campaign even if one is open.
    #[arg(long)]
    new: bool,
    /// The seed of a new campaign; the settings' seed when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// The model that every agent of a new campaign runs on instead of its own; the settings' `model`
    /// when absent.
    #[arg(long, value_name = "PROVIDER/MODEL")]
    model: Option<ModelRef>,
}

pub(super) async fn run(folder: &Path, args: Args, json: bool) -> Outcome {
    let session = Session::open(folder)?;
    let campaign = match session.open_campaign().await? {
        Some(open) if !args.new => open,
        open => {
            if let Some(open) = open {
                let (id, status) = (&open.id, open.status().name());
                output::error_line(&format!(
                    "note: campaign {id} stays {status}; `optim cancel {id}` would end it"
                ));
            }
            let project = session.project()?;
            for warning in &project.warnings.0 {
                output::error_line(&warning.to_string());
            }
            session.create(&project, args.seed, args.model, SearchMode::Proposers).await?
        }
    };
    let campaign = follow(&session, campaign, json, |_| false).await?;
    finish(&session, &campaign, folder, json).await
}

/// Starts a draft, works the campaign off until a person is needed, it is over, or `enough` says so,
/// and shows how it goes.
pub(super) async fn follow(
    session: &Session,
    campaign: Campaign,
    json: bool,
    enough: impl Fn(&Campaign) -> bool,
) -> Result<Campaign, CliError> {
    same_executor(session, &campaign)?;
    announce_cost(session, &campaign).await?;
    let id = campaign.id.clone();
    let progress = Progress::start(session, &campaign, json).await?;
    if campaign.phase == Phase::Draft {
        session.engine.submit(&id, &Command::Start, actor()).await?;
    }
    let service = session.serve().await?;
    let settled = tokio::select! {
        settled = service.settled_when(&id, enough) => settled.map(Ok),
        exit = stop_wished() => Ok(Err(exit)),
    };
    progress.stop().await;
    service.stop().await;
    settled?.map_err(CliError::Stopped)
}

/// A campaign compares what one executor gives; another one in the middle of it, or other settings of
/// it, would be compared with the first.
fn same_executor(session: &Session, campaign: &Campaign) -> Result<(), CliError> {
    let (frozen, now) = (&campaign.frozen, session.executor.as_ref());
    let same_settings = frozen.executor_settings.is_none_or(|frozen| frozen == now.settings());
    let (frozen, now) = (frozen.executor.as_str(), now.name());
    let change = match (frozen == now, same_settings) {
        (true, true) => return Ok(()),
        (true, false) => format!("other settings of the executor {frozen} than now"),
        (false, _) => format!("the executor {frozen}, the settings now say {now}"),
    };
    Err(CliError::Usage {
        code: "executor_changed",
        message: format!(
            "campaign {} began with {change}; put it back, or end the campaign with `optim cancel` \
             and start another one",
            campaign.id
        ),
    })
}

/// Says what a campaign may cost, before its first call.
async fn announce_cost(session: &Session, campaign: &Campaign) -> Result<(), CliError> {
    if campaign.is_closed() {
        return Ok(());
    }
    let workflow = session.engine.workflow(campaign.baseline.snapshot).await?;
    let limit = campaign.frozen.policies.budget.max_total_cost;
    session.executor.ready(&workflow, limit)?;
    let pack = session.engine.pack(campaign.frozen.pack).await?;
    let bytes = |case: &Case| canonical::object_bytes(&case.inputs).len();
    let longest = pack.cases.iter().map(bytes).max().unwrap_or(0);
    let longest = u64::try_from(longest).unwrap_or(u64::MAX);
    if let (Some(limit), Some(quote)) = (limit, session.executor.quote(&workflow, longest)) {
        output::error_line(&format!(
            "note: models cost money here: at most {limit} in this campaign (max_total_cost_usd), \
             at most {quote} for one case run"
        ));
    }
    Ok(())
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
pub(super) async fn finish(
    session: &Session,
    campaign: &Campaign,
    folder: &Path,
    json: bool,
) -> Outcome {
    let experiments = session.experiments(&campaign.id).await?;
    let report = Report::new(campaign, &experiments, &prefix(folder));
    if json {
        output::document(&report);
    } else {
        super::status::print(campaign, &experiments);
        output::next(report.next());
    }
    Ok(exit(campaign))
}

/// How the commands of `next` begin.
pub(super) fn prefix(folder: &Path) -> String {
    if folder == Path::new(".") {
        "optim".to_owned()
    } else {
        format!("optim -C {}", folder.display())
    }
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
