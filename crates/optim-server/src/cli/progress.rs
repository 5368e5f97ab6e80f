//! How a campaign goes, while it goes: one line for each event, and a bar on a terminal.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use optim_core::campaign::event::{Event, EventKind};
use optim_core::campaign::{Campaign, Purpose, Side};
use optim_core::experiment::Experiment;
use optim_core::id::{EvaluationId, ExperimentId};
use optim_core::judge::sample::Purpose as Pairs;
use optim_core::pack::Split;
use optim_core::suspicion::shown;
use optim_runtime::engine::Engine;
use optim_store::{EventSeq, RunFilter, Store, StoreError};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::call::Call;
use super::output::Output;
use super::report::time_words;
use super::show::change;
use super::status::{metrics_words, subject};

/// How often the bar is redrawn at most.
const REDRAW: Duration = Duration::from_millis(100);
/// Events that are read at once.
const EVENTS: u32 = 200;

/// A follower of a campaign's events.
pub(super) struct Progress {
    stop: oneshot::Sender<()>,
    follower: JoinSet<()>,
}

impl Progress {
    /// Follows `campaign` from now on. Lines go to stderr, so that stdout holds the result only.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn start(call: &Call, campaign: &Campaign) -> Result<Self, StoreError> {
        let bar = ProgressBar::new(0);
        let terminal = call.out.is_terminal() && !call.json;
        bar.set_draw_target(if terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        if let Ok(style) = ProgressStyle::with_template("  {msg} [{bar:24}] {pos}/{len} case runs")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        let follower = Follower {
            engine: Arc::clone(&call.session.engine),
            out: call.out.clone(),
            campaign: campaign.clone(),
            bar,
            after: last_event(call.session.engine.store().as_ref()).await?,
        };
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(follower.follow(stopped));
        Ok(Self { stop, follower: tasks })
    }

    /// Prints what is left, and stops.
    pub(super) async fn stop(self) {
        let Self { stop, mut follower } = self;
        drop(stop);
        while follower.join_next().await.is_some() {}
    }
}

/// The last event so far; what came before is not told again.
async fn last_event(store: &dyn Store) -> Result<EventSeq, StoreError> {
    let mut last = EventSeq(0);
    while let Some(event) = store.events(last, EVENTS).await?.last() {
        last = event.seq;
    }
    Ok(last)
}

struct Follower {
    engine: Arc<Engine>,
    out: Output,
    campaign: Campaign,
    bar: ProgressBar,
    after: EventSeq,
}

impl Follower {
    async fn follow(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut redraw = tokio::time::interval(REDRAW);
        loop {
            tokio::select! {
                _ = redraw.tick() => {}
                _ = &mut stopped => break,
            }
            if self.print_events().await.is_err() {
                break;
            }
            self.draw().await;
        }
        drop(self.print_events().await);
        self.bar.finish_and_clear();
    }

    async fn print_events(&mut self) -> Result<(), StoreError> {
        loop {
            let events = self.engine.store().events(self.after, EVENTS).await?;
            let Some(last) = events.last() else {
                return Ok(());
            };
            self.after = last.seq;
            let own = Some(&self.campaign.id);
            for recorded in
                events.iter().filter(|recorded| recorded.event.subject.campaign() == own)
            {
                if let Some(line) = self.line(&recorded.event).await {
                    self.bar.suspend(|| self.out.error_lines(&line));
                }
            }
        }
    }

    async fn draw(&self) {
        let Ok(campaign) = self.engine.campaign(&self.campaign.id).await else {
            return;
        };
        let mut in_flight = campaign.value.in_flight();
        let Some(evaluation) = in_flight.next() else {
            return;
        };
        let Ok(open) = self.engine.list_runs(&RunFilter::Open(evaluation.id)).await else {
            return;
        };
        let total = campaign.value.frozen.runs(evaluation);
        let done = u64::from(total).saturating_sub(u64::try_from(open.len()).unwrap_or(u64::MAX));
        self.bar.set_message(purpose(&evaluation.purpose));
        self.bar.set_length(total.into());
        self.bar.set_position(done);
    }

    async fn experiment(&self, id: ExperimentId) -> Option<Experiment> {
        self.engine.store().experiment(id).await.ok().flatten()
    }

    /// What a replay showed; none for other evaluations.
    async fn replay(&self, evaluation: EvaluationId, kind: &Purpose) -> Option<String> {
        let Purpose::Replay { .. } = kind else {
            return None;
        };
        let campaign = self.engine.campaign(&self.campaign.id).await.ok()?.value;
        let replay =
            campaign.baseline.replays.iter().find(|replay| replay.evaluation == evaluation);
        let words = replay.map_or("done".to_owned(), |replay| metrics_words(&replay.metrics));
        Some(format!("  {}: {words}", purpose(kind)))
    }

    /// Why case runs of an evaluation gave no outcome, if some did not.
    async fn faults(&self, evaluation: EvaluationId) -> Option<String> {
        let faults = self.engine.faults(evaluation).await.ok()??;
        Some(format!("  {faults}"))
    }

    /// The line for an event; none for those that say nothing to a person who follows.
    async fn line(&self, event: &Event) -> Option<String> {
        let text = match &event.what {
            EventKind::CampaignStarted { .. } => {
                let frozen = &self.campaign.frozen;
                let model = self.campaign.execution_override.as_ref();
                format!(
                    "campaign {}  {}, executor {}{}{}",
                    self.campaign.id,
                    frozen.case_counts(),
                    frozen.executor,
                    if frozen.simulated { " (SIMULATED)" } else { "" },
                    model.map_or(String::new(), |model| format!(", {model} for every agent")),
                )
            }
            EventKind::EvaluationFinished { evaluation, purpose: kind } => {
                let lines = [self.replay(*evaluation, kind).await, self.faults(*evaluation).await];
                let lines: Vec<String> = lines.into_iter().flatten().collect();
                let lines: Vec<_> = lines.iter().map(|line| shown(line)).collect();
                (!lines.is_empty()).then(|| lines.join("\n"))?
            }
            EventKind::CandidateProposed { experiment } => {
                let experiment = self.experiment(*experiment).await?;
                let mutation = &experiment.mutation;
                let words = change(&mutation.before, &mutation.after).join(" / ");
                let words = shown(&words).chars().take(160).collect::<String>();
                format!("  #{} {}  {words}", experiment.number, subject(mutation))
            }
            EventKind::CandidateCompared { experiment, pairs, better, worse, evidence, bar } => {
                let number = self.experiment(*experiment).await?.number;
                format!(
                    "  #{number} after {pairs} pairs: better in {better}, worse in {worse}; \
                     evidence {evidence} of {bar}"
                )
            }
            EventKind::CandidateJudged { experiment, .. } => {
                let experiment = self.experiment(*experiment).await?;
                let reason =
                    experiment.state.judged().map(|judged| judged.judgement.reason.clone());
                format!(
                    "  #{} {}: {}",
                    experiment.number,
                    experiment.state.name(),
                    reason.unwrap_or_default()
                )
            }
            EventKind::CandidateConfirmed { experiment } => {
                let experiment = self.experiment(*experiment).await?;
                let confirmation = experiment.state.judged()?.confirmation.clone()?;
                let gain = confirmation.gain.map(|gain| format!("{gain}; ")).unwrap_or_default();
                format!(
                    "  #{} on the holdout cases: {gain}{}; baseline {}",
                    experiment.number,
                    metrics_words(&confirmation.candidate),
                    metrics_words(&confirmation.baseline),
                )
            }
            EventKind::CandidateApproved { experiment, anyway: Some(anyway), .. } => {
                format!("  #{} is approved {anyway}", self.experiment(*experiment).await?.number)
            }
            EventKind::PairsAdded { experiment, pairs, reason } => {
                let number = self.experiment(*experiment).await?.number;
                format!("  #{number} may have {pairs} more pairs: {reason}")
            }
            EventKind::CandidateFailed { reason, .. } => {
                format!("  a candidate gave no result: {reason}")
            }
            EventKind::EvaluationDropped { reason, .. } => {
                format!("  an evaluation is given up: {reason}")
            }
            EventKind::BackOffBegun { until, .. } => {
                format!("  the next evaluation waits until {}", time_words(*until))
            }
            EventKind::SuggestionRefused { mutation, reason } => {
                format!("  {mutation} is refused: {reason}")
            }
            EventKind::MeasurementGivenUp { reason } => {
                format!("  the measurement of what is live is given up: {reason}")
            }
            EventKind::CampaignHeld { .. } => "  the campaign is held".to_owned(),
            _ => return None,
        };
        Some(text)
    }
}

fn purpose(purpose: &Purpose) -> String {
    match purpose {
        Purpose::Replay { number } => format!("baseline replay {number}"),
        Purpose::Candidate { .. } => "candidate".to_owned(),
        Purpose::ConfirmBaseline { .. } => "baseline on holdout".to_owned(),
        Purpose::ConfirmCandidate { .. } => "candidate on holdout".to_owned(),
        Purpose::MeasureLive { split: Split::Search, .. } => "live workflow".to_owned(),
        Purpose::MeasureLive { split: Split::Holdout, .. } => "live workflow on holdout".to_owned(),
        Purpose::Paired { side: Side::Control, pairs: Pairs::Confirmation, .. } => {
            "baseline on holdout".to_owned()
        }
        Purpose::Paired { pairs: Pairs::Confirmation, .. } => "candidate on holdout".to_owned(),
        Purpose::Paired { side: Side::Control, .. } => "baseline beside candidates".to_owned(),
        Purpose::Paired { .. } => "candidate".to_owned(),
    }
}
