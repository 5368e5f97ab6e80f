//! Takes campaigns as far as they go: looks at [`work`], does it, records what came of it.
//!
//! Level-triggered: what is to be done follows from the state in the store, so a crash, a lost
//! wake-up or a doubled one changes nothing. An error or a panic of one campaign is its own.

mod preparations;
pub mod rounds;

use std::sync::Arc;

use optim_core::campaign::ledger::{Allowance, Amount};
use optim_core::campaign::observation::{Candidate, Observation};
use optim_core::campaign::pairing::Pairing;
use optim_core::campaign::work::{Work, next_wakeup, work};
use optim_core::campaign::{Baseline, Campaign, Evaluation};
use optim_core::canonical;
use optim_core::experiment::Proposer as Description;
use optim_core::mutation::Mutation;
use optim_core::mutation::validate::{self, MutationError};
use optim_core::outcome::Usage;
use optim_core::proposal::refusals::Refusals;
use optim_core::quantity::Timestamp;
use optim_core::run::Run;
use optim_core::workflow::Workflow;
use optim_store::Blob;

use crate::engine::{Engine, EngineError};
use crate::evidence;
use crate::executor::NodeExecutor;
use crate::live::measurement;
use crate::proposer::{ProposalRequest, Proposer};
use crate::quote;
use crate::source;

use self::preparations::Preparations;
use self::rounds::Rounds;

/// The reconcile loop.
pub struct Reconciler {
    engine: Arc<Engine>,
    proposers: Vec<Arc<dyn Proposer>>,
    /// Knows what case runs can use at most.
    executor: Option<Arc<dyn NodeExecutor>>,
    preparations: Preparations,
    rounds: Rounds,
}

impl Reconciler {
    /// A loop that asks `proposers` in turn.
    #[must_use]
    pub fn new(engine: Arc<Engine>, proposers: Vec<Arc<dyn Proposer>>) -> Self {
        let (preparations, rounds) = (Preparations::default(), Rounds::default());
        Self { engine, proposers, executor: None, preparations, rounds }
    }

    /// The same loop, whose candidates are quoted by `executor` before anything is set aside for them.
    #[must_use]
    pub fn quoting(self, executor: Arc<dyn NodeExecutor>) -> Self {
        Self { executor: Some(executor), ..self }
    }

    /// One step; whether there may be another.
    async fn step(&self, campaign: Campaign) -> Result<bool, EngineError> {
        match work(&campaign) {
            Work::AwaitRuns(_) => self.collect(&campaign).await,
            Work::Settle(_) => self.engine.settle(&campaign).await.map(|_| true),
            Work::ReadLive => measurement::begin(&self.engine, &campaign).await.map(|_| true),
            Work::Suggested(_) | Work::Propose | Work::CompareWithItself
                if self.source_is_gone(&campaign).await? =>
            {
                Ok(false)
            }
            Work::Suggested(mutation) => self.suggested(&campaign, mutation).await.map(|()| true),
            Work::Propose => self.propose(&campaign).await.map(|()| true),
            Work::CompareWithItself => self.compare_with_itself(&campaign).await.map(|()| true),
            Work::BackOff(until) if self.now() < until => Ok(false),
            Work::BackOff(_) => self.wake(&campaign).await.map(|woken| woken != campaign),
            Work::AwaitOperator | Work::Nothing => Ok(false),
        }
    }

    /// Records the evaluations whose runs are all over, and gives up those whose time is.
    async fn collect(&self, campaign: &Campaign) -> Result<bool, EngineError> {
        let before = campaign;
        let mut campaign = match before.open_batch() {
            Some(batch) => self.collect_batch(before, batch).await?,
            None => self.collect_evaluations(before).await?,
        };
        if campaign == *before && next_wakeup(before).is_some_and(|due| due <= self.now()) {
            campaign = self.engine.record(&before.id, &Observation::Woke, Vec::new()).await?;
        }
        Ok(campaign != *before)
    }

    async fn collect_batch(
        &self,
        campaign: &Campaign,
        batch: &Pairing,
    ) -> Result<Campaign, EngineError> {
        match self.engine.landed(campaign, batch).await? {
            Some(landed) => self.engine.record(&campaign.id, &landed, Vec::new()).await,
            None => Ok(campaign.clone()),
        }
    }

    async fn collect_evaluations(&self, before: &Campaign) -> Result<Campaign, EngineError> {
        let mut campaign = before.clone();
        for evaluation in before.in_flight() {
            if let Some(runs) = self.engine.finished_runs(evaluation.id).await? {
                let fact = self.outcome(&campaign, evaluation, &runs).await?;
                campaign = self.engine.record(&campaign.id, &fact, Vec::new()).await?;
            }
        }
        Ok(campaign)
    }

    /// Lets the campaign do what it was waiting for the time to do.
    async fn wake(&self, campaign: &Campaign) -> Result<Campaign, EngineError> {
        self.engine.record(&campaign.id, &Observation::Woke, Vec::new()).await
    }

    fn now(&self) -> Timestamp {
        self.engine.clock().now()
    }

    /// What is to be told about an evaluation of whose `runs` none is open.
    async fn outcome(
        &self,
        campaign: &Campaign,
        evaluation: &Evaluation,
        runs: &[Run],
    ) -> Result<Observation, EngineError> {
        let Evaluation { id, split, .. } = *evaluation;
        if u32::try_from(runs.len()).ok() != Some(campaign.frozen.runs(evaluation)) {
            return Ok(Observation::RunsMissing { evaluation: id });
        }
        let result = self.engine.result(campaign, split, runs).await?;
        Ok(Observation::EvaluationFinished { evaluation: id, result })
    }

    /// Whether the workflow is gone, which ends the campaign. Looked at before each candidate.
    async fn source_is_gone(&self, campaign: &Campaign) -> Result<bool, EngineError> {
        let Some(reason) = source::gone(campaign).await else {
            return Ok(false);
        };
        let gone = Observation::SourceGone { reason };
        self.engine.record(&campaign.id, &gone, Vec::new()).await.map(|_| true)
    }

    async fn suggested(&self, campaign: &Campaign, mutation: Mutation) -> Result<(), EngineError> {
        let operator = Description { name: "operator".to_owned(), version: 1 };
        match self.candidate(campaign, &mutation).await? {
            Ok((candidate, blob)) => {
                let proposed = Observation::Proposed {
                    baseline: campaign.baseline.fingerprint,
                    proposer: operator,
                    candidate,
                    refused: Refusals::default(),
                    usage: Usage::default(),
                };
                self.engine.record(&campaign.id, &proposed, vec![blob]).await.map(drop)
            }
            Err(error) => {
                let reason = error.to_string();
                let refused = Observation::SuggestionRefused { mutation, reason };
                self.engine.record(&campaign.id, &refused, Vec::new()).await.map(drop)
            }
        }
    }

    /// Makes a candidate of the baseline itself.
    async fn compare_with_itself(&self, campaign: &Campaign) -> Result<(), EngineError> {
        let Baseline { snapshot, fingerprint, worst_case, .. } = campaign.baseline;
        let baseline = self.engine.workflow(snapshot).await?;
        let Some(node) = baseline.nodes().first() else { return Ok(()) };
        let mutation = Mutation::nothing(node.id().clone(), node.objective());
        let same = Observation::Proposed {
            baseline: fingerprint,
            proposer: Description { name: "health".to_owned(), version: 1 },
            candidate: Candidate { mutation, fingerprint, snapshot, worst_case },
            refused: Refusals::default(),
            usage: Usage::default(),
        };
        self.engine.record(&campaign.id, &same, Vec::new()).await.map(drop)
    }

    /// Asks the proposers in turn, beginning with another one for each experiment.
    async fn propose(&self, campaign: &Campaign) -> Result<(), EngineError> {
        if !self.may_ask(campaign).await? {
            return Ok(());
        }
        let baseline = campaign.baseline.fingerprint;
        let (mut usage, mut refused) = (Usage::default(), Refusals::default());
        let request = self.request(campaign).await?;
        let turn =
            usize::try_from(campaign.search.experiments).unwrap_or(0) % self.proposers.len().max(1);
        let in_turn = self.proposers.iter().cycle().skip(turn).take(self.proposers.len());
        for proposer in in_turn {
            let proposals = proposer.propose(&request).await;
            usage = usage.plus(proposals.usage);
            refused.merge(proposals.refused);
            let Some(mutation) = proposals.next else {
                continue;
            };
            if campaign.search.tried.contains_key(&mutation.key()) {
                // It was told what had its turn; asking again would give the same answer for ever.
                let reason = || format!("{} proposes it again", proposer.description().name);
                refused.add(&mutation.node, mutation.field, "already_tried", reason);
                continue;
            }
            match self.candidate(campaign, &mutation).await? {
                Ok((candidate, blob)) => {
                    let proposed = Observation::Proposed {
                        baseline,
                        proposer: proposer.description(),
                        candidate,
                        refused,
                        usage,
                    };
                    return self.engine.record(&campaign.id, &proposed, vec![blob]).await.map(drop);
                }
                Err(error) => refused.note(&mutation.node, mutation.field, &error),
            }
        }
        let nothing = Observation::NothingToPropose { baseline, refused, usage };
        self.engine.record(&campaign.id, &nothing, Vec::new()).await.map(drop)
    }

    /// The candidate of a mutation, validated whatever its source, with its definition.
    async fn candidate(
        &self,
        campaign: &Campaign,
        mutation: &Mutation,
    ) -> Result<Result<(Candidate, Blob), MutationError>, EngineError> {
        let baseline = self.engine.workflow(campaign.baseline.snapshot).await?;
        let policies = &campaign.frozen.policies;
        if let Err(error) =
            validate::check_mutation(&baseline, mutation, &policies.mutation, &policies.scope)
        {
            return Ok(Err(error));
        }
        let workflow = match validate::apply(&baseline, mutation) {
            Ok(workflow) => workflow,
            Err(error) => return Ok(Err(error)),
        };
        let blob = Blob::new(canonical::bytes(&workflow.to_json()));
        let worst_case = self.quote(campaign, &workflow).await?;
        let (mutation, fingerprint, snapshot) =
            (mutation.clone(), workflow.fingerprint(), blob.digest());
        Ok(Ok((Candidate { mutation, fingerprint, snapshot, worst_case }, blob)))
    }

    /// The most that one case run of `workflow` can use, where that is known.
    async fn quote(
        &self,
        campaign: &Campaign,
        workflow: &Workflow,
    ) -> Result<Option<Allowance>, EngineError> {
        let Some(executor) = &self.executor else { return Ok(None) };
        let pack = self.engine.pack(campaign.frozen.pack).await?;
        Ok(quote::worst_case(executor.as_ref(), workflow, &pack))
    }

    /// Sets aside what the proposers may use at most; whether the call may be made.
    async fn may_ask(&self, campaign: &Campaign) -> Result<bool, EngineError> {
        let worst = self.proposers.iter().map(|proposer| proposer.worst_case());
        let at_most = worst.fold(Amount::default(), Amount::plus);
        if at_most == Amount::default() {
            return Ok(true);
        }
        let asked = Observation::ProposersAsked { at_most };
        let campaign = self.engine.record(&campaign.id, &asked, Vec::new()).await?;
        Ok(work(&campaign) == Work::Propose)
    }

    /// What the proposers may know: the baseline and its last replay on the cases that they may see.
    async fn request(&self, campaign: &Campaign) -> Result<ProposalRequest, EngineError> {
        let snapshot = campaign.baseline.snapshot;
        let baseline = self.engine.workflow(snapshot).await?;
        let prepared = self.preparations.of(campaign, baseline).map_err(|error| {
            EngineError::Payload { what: "workflow", digest: snapshot, why: error.to_string() }
        })?;
        let pack = self.engine.pack(campaign.frozen.pack).await?;
        let runs: Vec<Run> = match campaign.baseline.replays.last() {
            Some(replay) => self.engine.runs_of(replay.evaluation).await?,
            None => Vec::new(),
        };
        let observed = evidence::observed(pack.seen_by_proposers(), &runs);
        Ok(ProposalRequest {
            prepared,
            objective: self.engine.objective(campaign.frozen.objective).await?,
            seed: campaign.seed,
            tried: campaign.search.tried.clone(),
            observed,
        })
    }
}
