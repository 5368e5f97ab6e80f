//! `optim run`: resume the open campaign, or start one, and follow it.

use std::sync::Arc;

use optim_core::campaign::command::Command;
use optim_core::campaign::observation::Observation;
use optim_core::campaign::{Campaign, Phase, SearchMode, Status};
use optim_core::id::CampaignId;
use optim_core::workflow::ModelRef;
use optim_runtime::frozen;
use optim_runtime::service::{Service, settled};
use optim_runtime::source;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::outlook::Outlook;
use super::progress::Progress;
use super::report::Report;
use super::{Outcome, faults, health, refusals, suspicious};
use crate::control::server::{Host, Server};
use crate::error::{CliError, Exit};
use crate::session::Session;

/// The flags of `optim run`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// Start a new campaign even if one is open.
    #[arg(long)]
    new: bool,
    /// The id of a new campaign; one is made up when absent. The same id and seed draw the same.
    #[arg(long, value_name = "CAMPAIGN")]
    id: Option<CampaignId>,
    /// The seed of a new campaign; the settings' seed when absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Stay while a person must decide; end when the campaign is over.
    #[arg(long)]
    wait: bool,
    /// The model that every agent of a new campaign runs on instead of its own; the settings' `model`
    /// when absent.
    #[arg(long, value_name = "PROVIDER/MODEL")]
    model: Option<ModelRef>,
    /// Why a new campaign is started; kept in the audit log.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
    /// Go on with the files as the open campaign froze them, though some were edited since.
    #[arg(long)]
    #[serde(default)]
    frozen: bool,
    /// Compare the baseline with itself instead: whether the evaluator is healthy, and how flaky the cases
    /// are. Nothing can be promoted.
    #[arg(long)]
    #[serde(default)]
    aa: bool,
    /// The pairs of `--aa`; two for each search case when absent, but 64 at least and 240 at most.
    #[arg(long, value_name = "N", requires = "aa", value_parser = clap::value_parser!(u32).range(8..=10_000))]
    pairs: Option<u32>,
}

impl Args {
    /// Whether `open` is what goes on.
    fn goes_on_with(&self, open: &Campaign) -> bool {
        !self.new && (!self.aa || open.search.mode == SearchMode::Health)
    }
}

pub(super) async fn run(call: &Call, args: Args) -> Outcome {
    if call.service.is_some() {
        return Err(CliError::AlreadyRunning { owner: std::process::id() });
    }
    let campaign = match open_campaign(&call.session).await? {
        Some(open)
            if args.goes_on_with(&open) && open.phase != Phase::Draft && args.reason.is_some() =>
        {
            let message = format!(
                "campaign {} was started before; leave --reason out to go on with it, or start another one with --new",
                open.id
            );
            return Err(CliError::Usage { code: "already_started", message });
        }
        Some(open) if args.goes_on_with(&open) => {
            if !args.frozen {
                unedited(&open)?;
            }
            open
        }
        open => {
            if let Some(open) = open {
                let (id, status) = (&open.id, open.status().name());
                call.out.error_line(&format!(
                    "note: campaign {id} stays {status}; `optim cancel {id}` would end it"
                ));
            }
            Box::pin(begin(call, &args)).await?
        }
    };
    if let Some(reason) = source::gone(&campaign).await {
        let gone = Observation::SourceGone { reason };
        let campaign = call.session.engine.record(&campaign.id, &gone, Vec::new()).await?;
        return finish(call, &campaign).await;
    }
    let until = if args.wait { Campaign::is_closed } else { settled };
    let campaign = follow(call, campaign, args.reason, until).await?;
    finish(call, &campaign).await
}

/// Creates the campaign that `args` ask for.
async fn begin(call: &Call, args: &Args) -> Result<Campaign, CliError> {
    let project = call.session.project().await?;
    for warning in &project.warnings.0 {
        call.out.finding(warning);
    }
    let outlook = Outlook::of(call, &project, None).await?;
    let (seed, model) = (args.seed, args.model.clone());
    let (mut draft, warning) = match args.aa {
        true => {
            let checked = health::project(project, &outlook, args.pairs);
            let mut draft = call.session.draft(&checked, seed, model, SearchMode::Health)?;
            draft.campaign.name = health::name(&draft.campaign);
            (draft, None)
        }
        false => {
            let draft = call.session.draft(&project, seed, model, SearchMode::Proposers)?;
            (draft, outlook.warning_of_a_run(&project))
        }
    };
    if let Some(id) = &args.id {
        draft.campaign.id = id.clone();
    }
    let campaign = call.create(draft).await?;
    if let Some(warning) = warning {
        call.out.error_line(&format!("warning: {warning}"));
    }
    if let Some(prospect) = &campaign.search.prospect {
        call.out.error_line(&format!("note: {}", refusals::prospect_words(prospect)));
    }
    Ok(campaign)
}

/// Whether the files that `campaign` froze are what they were: whoever edits one expects it to count.
pub(super) fn unedited(campaign: &Campaign) -> Result<(), CliError> {
    let edited = frozen::edited(&campaign.frozen.files);
    if edited.is_empty() || campaign.is_closed() {
        return Ok(());
    }
    Err(CliError::FilesEdited { campaign: campaign.id.clone(), edited })
}

/// Starts a draft for `reason`, works the campaign off until it is as `until` says, and shows how it goes.
pub(super) async fn follow(
    call: &Call,
    campaign: Campaign,
    reason: Option<String>,
    until: impl Fn(&Campaign) -> bool,
) -> Result<Campaign, CliError> {
    announce_cost(call, &campaign).await?;
    for gap in call.session.executor.uncontained() {
        call.out
            .error_line(&format!("note: evaluations do not contain {gap}; see docs/isolation.md"));
    }
    let id = campaign.id.clone();
    let progress = Progress::start(call, &campaign).await?;
    if campaign.phase == Phase::Draft {
        let start = Command::Start { reason };
        call.session.engine.submit(&id, &start, call.actor.clone()).await?;
    }
    let reached = match &call.service {
        Some(service) => watch(call, service, &id, until).await,
        None => {
            let service = call.session.serve().await?;
            host(call, service, async |service| watch(call, service, &id, until).await).await
        }
    };
    progress.stop().await;
    reached
}

/// Waits until the campaign is as `until` says, or somebody wishes to stop.
pub(super) async fn watch(
    call: &Call,
    service: &Service,
    id: &CampaignId,
    until: impl Fn(&Campaign) -> bool,
) -> Result<Campaign, CliError> {
    tokio::select! {
        reached = service.reached(id, until) => Ok(reached?),
        exit = call.stop.wished() => Err(CliError::Stopped(exit)),
    }
}

/// Keeps the loops of `service` running while it `watch`es, and executes the verbs of other processes.
pub(super) async fn host<T>(
    call: &Call,
    service: Service,
    watch: impl AsyncFnOnce(&Service) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let service = Arc::new(service);
    let host = Host { session: Arc::clone(&call.session), service: Arc::clone(&service) };
    let mut server = match Server::start(host).await {
        Ok(server) => Some(server),
        Err(error) => {
            call.out.error_line(&format!(
                "note: other processes cannot ask this one while it runs: {error}"
            ));
            None
        }
    };
    let reached = watch(&service).await;
    let stopped = match (&reached, &mut server) {
        (Err(CliError::Stopped(exit)), _) => Some(*exit),
        (_, Some(server)) => tokio::select! {
            () = server.drain() => None,
            exit = call.stop.wished() => Some(exit),
        },
        (_, None) => None,
    };
    let end = async {
        if let (Some(exit), Some(server)) = (stopped, &mut server) {
            server.stop(exit).await;
        }
        // Nobody else has it any more.
        if let Some(service) = Arc::into_inner(service) {
            service.stop().await;
        }
    };
    tokio::select! {
        () = end => reached,
        // Whoever wishes it twice does not want to wait.
        exit = call.stop.wished() => Err(CliError::Stopped(exit)),
    }
}

/// The newest campaign that is not over. The loops take every one further that has something to do, so
/// each of them must have begun with the executor of the settings.
pub(super) async fn open_campaign(session: &Session) -> Result<Option<Campaign>, CliError> {
    let at_work = session.campaigns_at_work().await?;
    at_work.iter().try_for_each(|campaign| same_executor(session, campaign))?;
    Ok(at_work.into_iter().find(|campaign| !campaign.is_closed()))
}

/// Whether the loops may take `campaign` further in this process, and with it every other one at work.
pub(super) async fn may_follow(session: &Session, campaign: &Campaign) -> Result<(), CliError> {
    same_executor(session, campaign)?;
    open_campaign(session).await?;
    ready(session, campaign).await
}

/// Whether the executor of the settings is ready for the workflow of `campaign`.
async fn ready(session: &Session, campaign: &Campaign) -> Result<(), CliError> {
    let workflow = session.engine.workflow(campaign.baseline.snapshot).await?;
    Ok(session.executor.ready(&workflow, campaign.frozen.policies.budget.max_total_cost)?)
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
async fn announce_cost(call: &Call, campaign: &Campaign) -> Result<(), CliError> {
    if campaign.is_closed() && campaign.live.measuring.is_none() {
        return Ok(());
    }
    ready(&call.session, campaign).await?;
    let limit = campaign.frozen.policies.budget.max_total_cost;
    let quote = campaign.baseline.worst_case.and_then(|worst| worst.cost);
    if let (Some(limit), Some(quote)) = (limit, quote.filter(|quote| quote.0 > 0)) {
        call.out.error_line(&format!(
            "note: models cost money here: at most {limit} in this campaign (max_total_cost_usd), \
             at most {quote} for one case run"
        ));
    }
    Ok(())
}

/// Prints the campaign and turns its status into the exit code.
pub(super) async fn finish(call: &Call, campaign: &Campaign) -> Outcome {
    let experiments = call.session.experiments(&campaign.id).await?;
    let faults = faults::of(call, campaign, &experiments).await?;
    let health = health::of(call, campaign, &experiments).await?;
    let suspicious = suspicious::of_all(call, campaign, &experiments).await?;
    let report = Report::new(campaign, &experiments, faults, &suspicious, &call.prefix())
        .with_health(health);
    if call.json {
        call.out.document(&report);
    } else {
        super::status::print(call, campaign, &experiments, report.faults(), &suspicious);
        health::print(call, report.health());
        call.out.next(report.next());
    }
    Ok(match report.health() {
        Some(health) if campaign.is_closed() && !health.is_healthy() => Exit::Unhealthy,
        _ => exit(campaign),
    })
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
