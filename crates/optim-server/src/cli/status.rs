//! `optim status`: where a campaign stands.

use optim_core::campaign::Campaign;
use optim_core::campaign::ledger::Amount;
use optim_core::experiment::{Experiment, ExperimentState};
use optim_core::judge::gain::Gain;
use optim_core::metrics::Metrics;
use optim_core::mutation::Mutation;
use optim_core::quantity::Millis;
use optim_runtime::service::settled;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::comparison::ComparisonView;
use super::faults::FaultsView;
use super::progress::Progress;
use super::report::{Report, reason, refused};
use super::suspicious::SuspiciousView;
use super::work::WorkView;
use super::{Outcome, after_apply, faults, health, refusals, run, suspicious};
use crate::error::Exit;

/// The flags of `optim status`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// Follow it while another process runs it, until a person is needed.
    #[arg(long)]
    follow: bool,
}

pub(super) async fn status(call: &Call, args: Args) -> Outcome {
    let mut campaign = call.session.campaign(args.campaign.as_deref()).await?;
    if let (true, Some(service)) = (args.follow, &call.service) {
        let progress = Progress::start(call, &campaign).await?;
        let reached = run::watch(call, service, &campaign.id, settled).await;
        progress.stop().await;
        campaign = reached?;
    }
    let experiments = call.session.experiments(&campaign.id).await?;
    let faults = faults::of(call, &campaign, &experiments).await?;
    let health = health::of(call, &campaign, &experiments).await?;
    let suspicious = suspicious::of_all(call, &campaign, &experiments).await?;
    let report = Report::new(&campaign, &experiments, faults, &suspicious, &call.prefix())
        .with_health(health);
    let now = call.session.engine.clock().now();
    let work = call.service.as_ref().map(|service| WorkView::new(service.status(), now));
    if call.json {
        call.out.document(&Standing { report: &report, work });
    } else {
        print(call, &campaign, &experiments, report.faults(), &suspicious);
        health::print(call, report.health());
        if let Some(work) = work {
            work.print(&call.out);
        }
        call.out.next(report.next());
    }
    Ok(Exit::Success)
}

/// A campaign, and the work of the process that runs it.
#[derive(Debug, Serialize)]
struct Standing<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// Absent when no process runs it.
    work: Option<WorkView>,
}

/// Prints a campaign for people.
pub(super) fn print(
    call: &Call,
    campaign: &Campaign,
    experiments: &[Experiment],
    faults: &[FaultsView],
    suspicious: &[SuspiciousView],
) {
    let out = &call.out;
    let status = campaign.status().name();
    let simulated = if campaign.frozen.simulated { "  SIMULATED FIGURES" } else { "" };
    out.line(&format!("campaign {}  {status}{simulated}", campaign.id));
    if let Some(reason) = reason(campaign) {
        out.line(&format!("  {reason}"));
    }
    if let Some(metrics) = &campaign.baseline.established {
        let version = campaign.baseline.version;
        out.line(&format!("  baseline v{version}: {}", metrics_words(metrics)));
    }
    for (experiment, suspicious) in experiments.iter().zip(suspicious) {
        out.line(&experiment_line(campaign, experiment));
        if let Some(review) = review_line(campaign, experiment) {
            out.line(&review);
        }
        suspicious.lines().for_each(|line| out.line(&format!("       {line}")));
    }
    for faults in faults {
        out.line(&format!("  {faults}"));
    }
    if campaign.is_closed() {
        for refused in refusals::lines(refused(campaign)) {
            out.line(&format!("  refused: {refused}"));
        }
    }
    after_apply::lines(campaign, &call.prefix()).iter().for_each(|line| out.line(line));
    out.line(&format!("  spent: {}", spending_words(campaign)));
    let over = campaign.ledger.overdrawn;
    if over != Amount::default() {
        out.line(&format!(
            "  overdrawn: {} tokens, {}, {} minutes: an executor did not keep to its limits",
            over.tokens.0,
            over.cost,
            minutes(over.time)
        ));
    }
}

/// `300 case runs, 5120 of 20000000 tokens, $0.000000, 1.5 of 60.0 minutes of run time`, and what is
/// set aside.
fn spending_words(campaign: &Campaign) -> String {
    let (ledger, limit) = (&campaign.ledger, campaign.budget().allowance());
    let used = Amount::of(&ledger.usage);
    let tokens = limit.tokens.map(|limit| format!(" of {}", limit.0)).unwrap_or_default();
    let cost = limit.cost.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let time = limit.time.map(|limit| format!(" of {}", minutes(limit))).unwrap_or_default();
    let spent = format!(
        "{} case runs, {}{tokens} tokens, {}{cost}, {}{time} minutes of run time",
        ledger.runs,
        used.tokens.0,
        used.cost,
        minutes(used.time)
    );
    let reserved = ledger.taken().minus(used);
    if reserved == Amount::default() {
        return spent;
    }
    let (tokens, cost, time) = (reserved.tokens.0, reserved.cost, minutes(reserved.time));
    format!("{spent}; set aside for what is in flight: {tokens} tokens, {cost}, {time} minutes")
}

fn minutes(time: Millis) -> String {
    let tenths = time.0 / 6_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Metrics in words: `81 of 100 cases pass (81.0%), …`.
pub(super) fn metrics_words(metrics: &Metrics) -> String {
    let cases = metrics.cases;
    let replays = match metrics.replicates {
        0 | 1 => String::new(),
        replicates => format!(" over {replicates} replays"),
    };
    let blocked = match metrics.blocked.num {
        0 => String::new(),
        blocked => format!(", {blocked} nodes blocked"),
    };
    let (num, den, percent) = (cases.num, cases.den, cases.percent());
    format!("{num} of {den} cases pass ({percent}){replays}{blocked}")
}

/// What a candidate differs in from its baseline.
pub(super) fn subject(mutation: &Mutation) -> String {
    match mutation.is_nothing() {
        true => "the baseline itself".to_owned(),
        false => format!("{}.{}", mutation.node, mutation.field),
    }
}

/// What a candidate that waits for a person is worth, on the holdout cases if there are any.
fn review_line(campaign: &Campaign, experiment: &Experiment) -> Option<String> {
    let judged = experiment.state.undecided()?;
    let selected = experiment.trial.as_ref().and_then(|trial| Gain::of(&trial.pairs))?;
    let holdout = judged.confirmation.as_ref().and_then(|confirmation| confirmation.gain);
    let holdout = match holdout {
        Some(gain) => format!("on holdout: {gain}"),
        None if campaign.frozen.holdout_cases == 0 => {
            "no holdout cases: that is the figure it was selected by, and likely too high"
                .to_owned()
        }
        None => "not confirmed on the holdout cases yet".to_owned(),
    };
    Some(format!("       selected by: {selected}; {holdout}"))
}

fn experiment_line(campaign: &Campaign, experiment: &Experiment) -> String {
    let head = format!("  #{:<3} {}", experiment.number, subject(&experiment.mutation));
    let (mark, words) = match &experiment.state {
        ExperimentState::Evaluating => match ComparisonView::of(campaign, experiment) {
            Some(comparison) => ("…", comparison.to_string()),
            None => ("…", "is measured".to_owned()),
        },
        ExperimentState::Recommended(judged) => {
            ("?", format!("promote? {}", judged.judgement.reason))
        }
        ExperimentState::NeedsReview(judged) => {
            ("?", format!("review: {}", judged.judgement.reason))
        }
        ExperimentState::Discarded(judged) => ("x", judged.judgement.reason.clone()),
        ExperimentState::Approved { judged, anyway, .. } => {
            let anyway = anyway.map(|anyway| format!(" {anyway}")).unwrap_or_default();
            ("+", format!("approved{anyway}: {}", judged.judgement.reason))
        }
        ExperimentState::Rejected { by, .. } => {
            ("x", format!("rejected: {}", by.reason.as_deref().unwrap_or("no reason")))
        }
        ExperimentState::Failed { reason } | ExperimentState::Superseded { reason } => {
            ("!", reason.clone())
        }
    };
    format!("{head:<48} {mark} {words}  [{}]", experiment.proposer.name)
}
