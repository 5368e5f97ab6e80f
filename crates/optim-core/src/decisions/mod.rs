//! What a campaign has decided, with all that its decisions depended on: as lines that others can read and
//! check, without the store.
//!
//! [`Decisions::of`] makes the lines of what is on record, [`read`] reads them back, and
//! [`Decisions::verify`] decides everything again. The lines hold no times and nothing that depends on when
//! or how often a process was started.

mod collect;
pub mod read;
pub mod verify;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::campaign::{Purpose, Status};
use crate::digest::Digest;
use crate::experiment::{Anyway, Confirmation};
use crate::id::{Actor, CampaignId, CaseId, EvaluationId, ExperimentId};
use crate::judge::error_budget::Stake;
use crate::judge::pair::PairRecord;
use crate::judge::sample;
use crate::policy::{FileRole, Rule, Score};
use crate::verdict::{Judgement, Verdict};
use crate::workflow::Fingerprint;

/// The version of the lines.
pub const FORMAT: u32 = 1;

/// The decisions of one campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decisions {
    /// What holds for all of them.
    pub campaign: CampaignLine,
    /// The evaluations, in the order in which they were queued.
    pub evaluations: Vec<EvaluationLine>,
    /// What became of the experiments and of the error budget, in order.
    pub steps: Vec<StepLine>,
    /// The experiments, by number.
    pub experiments: Vec<ExperimentLine>,
    /// The pairs, by experiment and in the order of their batches.
    pub pairs: Vec<PairLine>,
}

/// One line of an export. A campaign's line comes before all others of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Line<'a> {
    /// A campaign begins.
    Campaign(&'a CampaignLine),
    /// An evaluation of it.
    Evaluation(&'a EvaluationLine),
    /// A step of it.
    Step(&'a StepLine),
    /// An experiment of it.
    Experiment(&'a ExperimentLine),
    /// A pair of an experiment.
    Pair(&'a PairLine),
}

/// What holds for all decisions of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CampaignLine {
    /// The version of the lines: [`FORMAT`].
    pub format: u32,
    /// The campaign.
    pub campaign: CampaignId,
    /// Where it stood when the lines were made.
    pub status: Status,
    /// What its batches are drawn from.
    pub seed: u64,
    /// The rule, as it was frozen.
    pub rule: Rule,
    /// How a case becomes a score.
    pub score: Score,
    /// The experiments that its frozen policies plan for.
    pub max_experiments: u32,
    /// The definition that its first experiments were compared with.
    pub baseline: Fingerprint,
    /// The ids of the search cases, in the order of the pack.
    pub search_cases: Vec<CaseId>,
    /// The ids of the holdout cases, in the order of the pack.
    pub holdout_cases: Vec<CaseId>,
    /// The eval pack.
    pub pack: Digest,
    /// The files that were frozen.
    pub files: BTreeMap<FileRole, Digest>,
    /// Experiments so far.
    pub experiments: u32,
    /// Case runs that are settled in its ledger.
    pub runs: u64,
    /// What of the error budget is not at stake, in 10^-18; absent under the point rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Stake>,
}

/// The case runs of one frozen definition for one purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationLine {
    /// Derived from campaign and purpose.
    pub evaluation: EvaluationId,
    /// What it is for.
    pub purpose: Purpose,
    /// Its case runs on record.
    pub runs: u64,
    /// Whether they are settled in the campaign's ledger.
    pub settled: bool,
}

/// What happened to an experiment, or to what is planned. Stakes leave the pool and come back in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step", deny_unknown_fields)]
pub enum StepLine {
    /// It was proposed, and has its stake.
    Opened {
        /// Its number.
        experiment: u32,
    },
    /// A person added to the experiments that are planned.
    Extended {
        /// How many.
        experiments: u32,
    },
    /// The judge has decided. One that is discarded gives back what is left of its stake.
    Judged {
        /// Its number.
        experiment: u32,
        /// The verdict.
        verdict: Verdict,
    },
    /// A person added pairs to it while it was under review.
    PairsAdded {
        /// Its number.
        experiment: u32,
        /// How many more it may have.
        pairs: NonZeroU32,
    },
    /// It gave no measurable result, and keeps its stake.
    Failed {
        /// Its number.
        experiment: u32,
    },
    /// It ended without a decision, and gives back what is left of its stake.
    Superseded {
        /// Its number.
        experiment: u32,
    },
    /// A person approved it: the baseline moves, and the stake goes back.
    Approved {
        /// Its number.
        experiment: u32,
    },
    /// A person rejected it, and what is left of its stake goes back.
    Rejected {
        /// Its number.
        experiment: u32,
    },
    /// A person approved it, and the check before that found that it must not be.
    ApprovalRefused {
        /// Its number.
        experiment: u32,
        /// What was found.
        reason: String,
    },
}

/// An experiment, with what was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentLine {
    /// Its number in the campaign, from 1.
    pub number: u32,
    /// Its id, derived from campaign, number, baseline and candidate.
    pub experiment: ExperimentId,
    /// The version of the baseline that it is compared with.
    pub baseline_version: u32,
    /// That baseline.
    pub baseline: Fingerprint,
    /// The candidate.
    pub candidate: Fingerprint,
    /// Where it stands.
    pub state: StateName,
    /// The person who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// What the person said, or why it failed or was superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it risked of the error budget; absent under the point rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// What the judge has decided; absent as long as the experiment is open, and for good when it ended
    /// undecided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
    /// What was shown on the holdout cases; it decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
    /// What its approval means that the judge had not recommended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anyway: Option<Anyway>,
}

/// Where an experiment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateName {
    /// It is being measured: open.
    Evaluating,
    /// The judge says promote; a person must decide.
    Recommended,
    /// The judge cannot decide; a person must.
    NeedsReview,
    /// The judge says no.
    Discarded,
    /// It gave no measurable result.
    Failed,
    /// A person approved it.
    Approved,
    /// A person rejected it.
    Rejected,
    /// It ended without a decision.
    Superseded,
}

/// The part that an experiment has in the error budget. Probabilities are in 10^-18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Risk {
    /// What was not at stake before.
    pub pool: Stake,
    /// Among how many experiments that was divided.
    pub shares: u32,
    /// What it risks.
    pub stake: Stake,
    /// Pairs that people added to the most that it may have.
    #[serde(default)]
    pub extended: u32,
    /// What was given back; absent as long as it has its stake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<Stake>,
}

/// A pair of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairLine {
    /// The experiment's number.
    pub experiment: u32,
    /// What the pair is for.
    pub purpose: sample::Purpose,
    /// What is on record of it.
    pub pair: PairRecord,
}

impl StepLine {
    /// The number of the experiment that it is about.
    #[must_use]
    pub fn experiment(&self) -> Option<u32> {
        match self {
            Self::Extended { .. } => None,
            Self::Opened { experiment }
            | Self::Judged { experiment, .. }
            | Self::PairsAdded { experiment, .. }
            | Self::Failed { experiment }
            | Self::Superseded { experiment }
            | Self::Approved { experiment }
            | Self::Rejected { experiment }
            | Self::ApprovalRefused { experiment, .. } => Some(*experiment),
        }
    }
}

impl Decisions {
    /// Its lines, in the order in which they are written.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let evaluations = self.evaluations.iter().map(Line::Evaluation);
        let steps = self.steps.iter().map(Line::Step);
        let experiments = self.experiments.iter().map(Line::Experiment);
        let pairs = self.pairs.iter().map(Line::Pair);
        let campaign = std::iter::once(Line::Campaign(&self.campaign));
        campaign.chain(evaluations).chain(steps).chain(experiments).chain(pairs)
    }
}
