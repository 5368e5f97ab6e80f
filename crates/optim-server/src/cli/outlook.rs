//! What is known before a campaign begins: how flaky the cases are, what a case run takes, and whether the
//! gain that the rules look for is in reach.

use std::fmt;

use optim_core::campaign::estimate::Estimate;
use optim_core::campaign::ledger::Amount;
use optim_core::campaign::{Campaign, SearchMode};
use optim_core::id::CampaignId;
use optim_core::judge::error_budget::Stake;
use optim_core::judge::plan::{Forecast, Goal};
use optim_core::metrics::baseline::disagreement;
use optim_core::pack::CaseCounts;
use optim_core::policy::{DecisionProfile, Rule, Sequential};
use optim_core::quantity::{Fraction, PerMillion};
use optim_runtime::listing;
use optim_runtime::project::Project;
use optim_runtime::quote;
use serde::Serialize;

use super::call::Call;
use super::health;
use crate::error::CliError;

/// The share of cases that differ between two runs where nothing is known: about that of agents on a model.
const FLIPS_ASSUMED: PerMillion = PerMillion(180_000);

/// What is known of a project before a campaign on it begins.
#[derive(Debug, Clone)]
pub(super) struct Outlook {
    /// The rules; those of the standard profile under the point rule.
    pub(super) rules: Sequential,
    /// The cases of the pack.
    pub(super) cases: CaseCounts,
    /// Candidates at most.
    pub(super) experiments: u32,
    /// How often two runs of one case differ.
    pub(super) flips: Flips,
    /// What a case run takes; `None` when nobody knows.
    pub(super) price: Option<Price>,
    /// The case runs that the budget pays for, and the key that says so.
    pub(super) covered: Option<(u64, &'static str)>,
    /// What a candidate risks.
    stake: Stake,
    /// Whether the gain that the rules look for is in reach of a candidate's pairs.
    pub(super) goal: Goal,
}

/// The share of pairs of one definition that differ.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Flips {
    pub(super) share: Fraction,
    #[serde(flatten)]
    pub(super) source: FlipsSource,
}

/// Where a share of pairs is from.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub(super) enum FlipsSource {
    /// The command line.
    Given,
    /// Nothing is known.
    Assumed,
    /// Pairs of runs of one definition in a campaign.
    Record { campaign: CampaignId },
}

/// What one case run takes.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Price {
    #[serde(flatten)]
    pub(super) each: Amount,
    #[serde(flatten)]
    pub(super) source: PriceSource,
}

/// Where a price is from.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub(super) enum PriceSource {
    /// The case runs of a campaign.
    Runs { campaign: CampaignId, runs: u64 },
    /// The executor's bound for one case run.
    WorstCase,
}

impl Outlook {
    /// What is known of `project`. `flips` is what a person says about them.
    ///
    /// # Errors
    /// The store fails.
    pub(super) async fn of(
        call: &Call,
        project: &Project,
        flips: Option<PerMillion>,
    ) -> Result<Self, CliError> {
        let newest = newest_on(call, project).await?;
        let recorded = match &newest {
            Some(campaign) => flips_of(call, campaign).await?,
            None => None,
        };
        let given =
            flips.map(|share| Flips { share: share.fraction(), source: FlipsSource::Given });
        let assumed = || Flips { share: FLIPS_ASSUMED.fraction(), source: FlipsSource::Assumed };
        let flips = given.or(recorded).unwrap_or_else(assumed);
        let price = newest.as_ref().and_then(price_of).or_else(|| quoted(call, project));
        let budget = &project.policies.budget;
        let covered = price.as_ref().and_then(|price| budget.allowance().runs_of(&price.each));
        let rules = rules(project);
        let experiments = budget.max_experiments;
        let stake = Stake::whole(rules.alpha).shared_by(experiments);
        Ok(Self {
            rules,
            cases: project.pack.counts(),
            experiments,
            stake,
            goal: Goal::new(&rules, stake, flips.share, rules.n_max),
            flips,
            price,
            covered,
        })
    }

    /// The case runs of a campaign on `project`. `idle` is what becomes of a candidate that changes
    /// nothing.
    pub(super) fn estimate(&self, project: &Project, idle: Option<Forecast>) -> Estimate {
        Estimate::new(&project.policies, &self.rules, self.cases, idle)
    }

    /// Why the gain that the rules look for is out of reach, and the way out; `None` when it is not.
    pub(super) fn out_of_reach(&self, project: &Project) -> Option<String> {
        let Goal { reach, .. } = self.goal;
        let larger = reach.map(|reach| format!(", look for more with `mde: {reach}`"));
        let larger = larger.unwrap_or_default();
        let steadier = "make the cases steadier (`optim run --aa` names those that are not)";
        if !self.goal.is_in_reach() {
            let needed = self.goal.needed();
            return Some(format!(
                "{}: raise `n_max` to {needed}{larger}, or {steadier}",
                self.goal
            ));
        }
        let (runs, key) = self.covered?;
        let pairs = self.estimate(project, None).pairs_within(runs).min(self.rules.n_max);
        let goal = Goal::new(&self.rules, self.stake, self.flips.share, pairs);
        (!goal.is_in_reach()).then(|| {
            format!("{goal}, as the budget pays for {runs} case runs: raise `{key}`, or {steadier}")
        })
    }

    /// What `optim run` says of a new campaign. Who chose the point rule is not warned of another one.
    pub(super) fn warning_of_a_run(&self, project: &Project) -> Option<String> {
        match project.policies.eval.rule {
            Rule::Sequential(_) => self.out_of_reach(project),
            Rule::Point { .. } => None,
        }
    }
}

/// The rules of `project`; those of the standard profile under the point rule.
pub(super) fn rules(project: &Project) -> Sequential {
    match project.policies.eval.rule {
        Rule::Sequential(rules) => rules,
        Rule::Point { .. } => Sequential::of(DecisionProfile::Standard),
    }
}

/// The newest campaign on the workflow of `project` that has executed something, by the executor of the
/// settings.
async fn newest_on(call: &Call, project: &Project) -> Result<Option<Campaign>, CliError> {
    let engine = &call.session.engine;
    for summary in listing::readable(|page| engine.store().campaigns(page)).await? {
        let campaign = engine.campaign(&summary.id).await?.value;
        if campaign.source.workflow == *project.workflow.id()
            && campaign.frozen.executor == call.session.executor.name()
            && campaign.ledger.runs > 0
        {
            return Ok(Some(campaign));
        }
    }
    Ok(None)
}

/// How often its replays differ, or the pairs of the baseline with itself.
async fn flips_of(call: &Call, campaign: &Campaign) -> Result<Option<Flips>, CliError> {
    let share = match campaign.search.mode {
        SearchMode::Health => {
            let experiments = call.session.experiments(&campaign.id).await?;
            let health = health::of(call, campaign, &experiments).await?;
            health.map(|health| health.differing).unwrap_or_default()
        }
        SearchMode::Proposers | SearchMode::Suggestions => disagreement(&campaign.baseline.replays),
    };
    let source = FlipsSource::Record { campaign: campaign.id.clone() };
    Ok((share.den > 0).then_some(Flips { share, source }))
}

fn price_of(campaign: &Campaign) -> Option<Price> {
    let runs = campaign.ledger.runs;
    let each = Amount::of(&campaign.ledger.usage).per(runs);
    let source = PriceSource::Runs { campaign: campaign.id.clone(), runs };
    (each != Amount::default()).then_some(Price { each, source })
}

/// The most that a case run can take, where the executor knows it.
fn quoted(call: &Call, project: &Project) -> Option<Price> {
    let model = call.session.config.run.model.as_ref();
    let overridden = model.map(|model| project.workflow.with_model(model));
    let workflow = overridden.as_ref().unwrap_or(&project.workflow);
    let worst = quote::worst_case(call.session.executor.as_ref(), workflow, &project.pack)?;
    let each = worst.amount();
    (each != Amount::default()).then_some(Price { each, source: PriceSource::WorstCase })
}

impl fmt::Display for Flips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "two runs of a case differ in {} ", self.share.percent())?;
        let Fraction { num, den } = self.share;
        match &self.source {
            FlipsSource::Given => f.write_str("(given)"),
            FlipsSource::Record { campaign } => {
                write!(f, "({num} of {den} pairs of runs in campaign {campaign})")
            }
            FlipsSource::Assumed => f.write_str(
                "(assumed, nothing was executed yet; `optim run --aa` measures it, --flips sets it)",
            ),
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Amount { tokens, cost, time } = self.each;
        let (seconds, millis) = (time.0 / 1000, time.0 % 1000);
        write!(f, "{} tokens, {cost}, {seconds}.{millis:03} s ", tokens.0)?;
        match &self.source {
            PriceSource::Runs { campaign, runs } => {
                write!(f, "(the average of {runs} in campaign {campaign})")
            }
            PriceSource::WorstCase => f.write_str("(at most, as the executor says)"),
        }
    }
}
