//! `optim plan`: what this project can prove, and what that takes. Nothing is executed or stored.

use optim_core::campaign::estimate::Estimate;
use optim_core::judge::plan::{self, Plan};
use optim_core::pack::CaseCounts;
use optim_core::policy::{Rule, Sequential};
use optim_core::quantity::PerMillion;
use optim_runtime::project::Project;
use serde::{Deserialize, Serialize};

use super::Outcome;
use super::call::Call;
use super::outlook::{Flips, Outlook, Price};
use crate::error::Exit;

/// The document's shape; raised when a field changes its meaning.
const SCHEMA: &str = "optim/v1/plan";

/// The flags of `optim plan`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The share of cases that differ between two runs, from 0 to 1, instead of what is on record.
    #[arg(long, value_name = "SHARE")]
    flips: Option<PerMillion>,
}

pub(super) async fn plan(call: &Call, args: Args) -> Outcome {
    let project = call.session.project().await?;
    for warning in &project.warnings.0 {
        call.out.finding(warning);
    }
    let outlook = Outlook::of(call, &project, args.flips).await?;
    let document = Document::new(&project, outlook, &call.prefix());
    if call.json {
        call.out.document(&document);
    } else {
        document.print(call);
    }
    Ok(Exit::Success)
}

/// The plan, for programs.
#[derive(Debug, Serialize)]
struct Document {
    schema: &'static str,
    /// The rule of the project: `sequential` or `point`.
    rule: &'static str,
    search_cases: u32,
    tune_cases: u32,
    holdout_cases: u32,
    experiments: u32,
    flips: Flips,
    /// What each candidate may risk of alpha.
    stake: f64,
    /// The evidence that it needs.
    bar: f64,
    /// Pairs of one candidate at most.
    pairs: u32,
    /// Pairs of a promotion at least.
    pairs_at_least: Option<u32>,
    gains: Vec<Gain>,
    case_runs: CaseRuns,
    /// What one case run takes.
    price: Option<Price>,
    /// The case runs that the budget pays for at that price.
    budget_pays_for: Option<u64>,
    /// What is out of reach, and the way out.
    warnings: Vec<String>,
    /// What would make it cheaper.
    advice: Vec<String>,
    /// The commands that make sense next.
    next: Vec<String>,
    #[serde(skip)]
    plan: Plan,
}

#[derive(Debug, Serialize)]
struct Gain {
    points: String,
    /// The probability that it is proven.
    power: Option<f64>,
    /// The pairs until it is decided, on average.
    pairs: Option<u32>,
    /// The pairs that prove it with a probability of 80 %.
    pairs_for_80_percent: u32,
}

#[derive(Debug, Serialize)]
struct CaseRuns {
    replays: u64,
    /// Of a candidate that changes nothing, on average.
    idle_candidate: Option<u64>,
    candidate_at_most: u64,
    confirmation: u64,
    /// Of a campaign of candidates that change nothing, on average.
    idle_campaign: Option<u64>,
    campaign_at_most: u64,
}

impl From<Estimate> for CaseRuns {
    fn from(estimate: Estimate) -> Self {
        Self {
            replays: estimate.replays,
            idle_candidate: estimate.idle,
            candidate_at_most: estimate.candidate,
            confirmation: estimate.confirmation,
            idle_campaign: estimate.idle_campaign(),
            campaign_at_most: estimate.campaign(),
        }
    }
}

impl Document {
    fn new(project: &Project, outlook: Outlook, prefix: &str) -> Self {
        let score = project.policies.eval.score;
        let plan = plan::plan(
            outlook.rules,
            score,
            outlook.cases.search,
            outlook.flips.share,
            outlook.experiments,
        );
        let case_runs = outlook.estimate(project, plan.idle).into();
        let gains = plan.rows.iter().map(|row| Gain {
            points: row.gain.points(),
            power: row.forecast.map(|forecast| forecast.power),
            pairs: row.forecast.map(|forecast| forecast.pairs_rounded_up()),
            pairs_for_80_percent: row.needed,
        });
        Self {
            schema: SCHEMA,
            rule: match project.policies.eval.rule {
                Rule::Sequential(_) => "sequential",
                Rule::Point { .. } => "point",
            },
            search_cases: outlook.cases.search,
            tune_cases: outlook.cases.tune,
            holdout_cases: outlook.cases.holdout,
            experiments: outlook.experiments,
            stake: plan.stake.to_f64(),
            bar: plan.stake.to_f64().recip(),
            pairs: plan.pairs,
            pairs_at_least: plan.floor,
            gains: gains.collect(),
            warnings: warnings(project, &outlook, &plan, &case_runs),
            advice: advice(&outlook).into_iter().collect(),
            case_runs,
            flips: outlook.flips,
            price: outlook.price,
            budget_pays_for: outlook.covered.map(|(runs, _)| runs),
            next: ["run --aa", "run"].map(|verb| format!("{prefix} {verb}")).to_vec(),
            plan,
        }
    }

    fn print(&self, call: &Call) {
        let line = |text: String| call.out.line(&text);
        let (search, tune, holdout) = (self.search_cases, self.tune_cases, self.holdout_cases);
        let cases = CaseCounts { search, tune, holdout };
        line(format!("rule {}; {cases}, {} experiments", self.rule, self.experiments));
        line(format!("  {}", self.flips));
        self.plan.to_string().lines().for_each(|words| line(format!("  {words}")));
        let Plan { stake, floor, .. } = &self.plan;
        line(format!("  each candidate risks {stake} and needs evidence of {}", stake.bar()));
        if let Some(floor) = floor {
            line(format!(
                "  a promotion takes {floor} pairs at least, to prove that no more nodes are blocked"
            ));
        }
        self.print_case_runs(call);
        for advice in &self.advice {
            line(format!("  {advice}"));
        }
        for warning in &self.warnings {
            line(format!("warning: {warning}"));
        }
        call.out.next(&self.next);
    }

    fn print_case_runs(&self, call: &Call) {
        let line = |text: String| call.out.line(&text);
        let CaseRuns { replays, idle_candidate, candidate_at_most, confirmation, .. } =
            self.case_runs;
        let idle =
            |runs: Option<u64>| runs.map(|runs| format!("about {runs} ")).unwrap_or_default();
        line(format!("  case runs: {replays} for the replays"));
        line(format!(
            "    for a candidate {}if it changes nothing, {candidate_at_most} at most; {confirmation} to \
             confirm a winner",
            idle(idle_candidate)
        ));
        line(format!(
            "    for a campaign {}if no candidate changes anything, {} at most",
            idle(self.case_runs.idle_campaign),
            self.case_runs.campaign_at_most
        ));
        match &self.price {
            Some(price) => line(format!("  a case run takes {price}")),
            None => line("  what a case run takes is not known before the first one".to_owned()),
        }
        if let Some(runs) = self.budget_pays_for {
            line(format!("  the budget pays for {runs} such case runs"));
        }
    }
}

fn warnings(
    project: &Project,
    outlook: &Outlook,
    plan: &Plan,
    case_runs: &CaseRuns,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Rule::Point { .. } = project.policies.eval.rule {
        warnings.push(
            "`rule: point` promotes on sums, and nothing bounds how often it promotes what is no better; \
             the figures are those of `decision: {rule: sequential}`"
                .to_owned(),
        );
    }
    warnings.extend(outlook.out_of_reach(project));
    if let Some(floor) = plan.floor.filter(|floor| *floor > plan.pairs) {
        let pairs = plan.pairs;
        warnings.push(format!(
            "nothing can be promoted: that takes {floor} pairs, and `n_max` is {pairs}; raise it, or set \
             `blocked_node_rate: {{kind: off}}` where no node can block"
        ));
    }
    if let (Some((runs, key)), Some(needed)) = (outlook.covered, case_runs.idle_campaign)
        && runs < needed
    {
        let experiments = outlook.experiments;
        warnings.push(format!(
            "the budget pays for {runs} of the {needed} case runs that {experiments} experiments take: \
             raise `{key}`, or lower `max_experiments`"
        ));
    }
    warnings
}

/// A batch of all cases has no luck of the draw in it, which decides where nothing else is random.
fn advice(outlook: &Outlook) -> Option<String> {
    let cases = outlook.cases.search;
    let Sequential { batch, .. } = outlook.rules;
    (outlook.flips.share.num == 0 && batch < cases).then(|| {
        format!(
            "no case differs between two runs: with `batch: {cases}` each look is at every case, and the \
             luck of the draw is gone"
        )
    })
}
