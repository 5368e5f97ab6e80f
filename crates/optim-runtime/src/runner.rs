//! Walks the DAG of a frozen definition, attempt by attempt. A case run is walked at one go and reported
//! at its end; a workflow run is walked the same way, and tells each step to its `Progress`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use optim_core::assertion::Matcher;
use optim_core::backoff;
use optim_core::campaign::ledger::{Allowance, Amount};
use optim_core::digest::Hasher;
use optim_core::id::{NodeId, ProviderId};
use optim_core::node_io::{Attempt, ErrorClass, Limits, NodeError, NodeRequest, NodeResponse};
use optim_core::outcome::{CaseOutcome, Measured, Usage};
use optim_core::pack::Case;
use optim_core::quantity::Millis;
use optim_core::rate::RatePerMinute;
use optim_core::run::{NodeReport, Run, RunReport, Throttled};
use optim_core::shadow::{self, Shadow};
use optim_core::triage::{self, Word};
use optim_core::validator::{check_case, validate};
use optim_core::workflow::graph::Graph;
use optim_core::workflow::{Execution, Node, Workflow};
use optim_core::workflow_run::Used;
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::executor::{NodeExecutor, abridged};
use crate::scheduler::entry::Needs;
use crate::workspace::{Folder, Scratch, ScratchRoot, template};

/// The most bytes of an attempt's answer.
pub const OUTPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// An output that is longer as JSON is replaced by a note in the run's record; checks see all of it.
const RECORDED_BYTES_MAX: usize = 64 * 1024;
/// The most characters of an executor's error message. A longer one is abridged.
const MESSAGE_CHARS_MAX: usize = 2000;

/// The faults of a node's provider that make a run void. It is no matter of the node's attempts: a
/// candidate with more of them would be better off in an outage.
pub(crate) const FAULTS_MAX: u32 = 3;
/// The longest that a run waits for a provider. Whoever wants a longer rest gets it while the run
/// waits in the queue.
pub(crate) const REST_MAX: Millis = Millis(10_000);

/// Executes case runs through one executor.
pub struct Runner {
    executor: Arc<dyn NodeExecutor>,
    matcher: Arc<dyn Matcher + Send + Sync>,
    clock: Arc<dyn Clock>,
    scratch: Option<ScratchRoot>,
}

/// A case run to execute.
pub struct Job<'a> {
    /// The claimed run.
    pub run: &'a Run,
    /// Its frozen definition.
    pub workflow: Arc<Workflow>,
    /// Its case.
    pub case: &'a Case,
    /// Where relative paths of the definition begin.
    pub folder: &'a Path,
}

/// What became of a node.
pub(crate) enum Ended {
    /// It has an output that meets its contract.
    Done(NodeReport),
    /// It has none.
    Failed(NodeReport),
    /// It has none, and might have made further attempts that may not begin now.
    Stopped(NodeReport),
    /// The outside failed; the walk ends.
    Fault(NodeReport, Fault),
}

/// A failure of the outside.
pub(crate) struct Fault {
    /// What failed.
    pub(crate) message: String,
    /// For how long its provider should be left alone; absent when that would not help.
    pub(crate) rest: Option<Millis>,
}

/// Who follows a walk: is told what nodes do, and says what they may.
#[async_trait]
pub(crate) trait Progress: Send + Sync {
    /// Whether an attempt at a node may begin; from 1.
    async fn begins(&self, node: &NodeId, attempt: u32) -> bool;

    /// Takes in that a triage gate leaves a node without work.
    async fn skipped(&self, node: &NodeId);

    /// Takes in that a node is over; answers what the walk makes of it.
    async fn ended(&self, ended: Ended) -> Ended;

    /// Waits until everything must stop at once, and says why.
    async fn halted(&self) -> String;
}

/// Nobody follows a case run: it counts when it is over.
struct Unfollowed;

#[async_trait]
impl Progress for Unfollowed {
    async fn begins(&self, _: &NodeId, _: u32) -> bool {
        true
    }

    async fn skipped(&self, _: &NodeId) {}

    async fn ended(&self, ended: Ended) -> Ended {
        ended
    }

    async fn halted(&self) -> String {
        std::future::pending().await
    }
}

/// What a walk works on, and for whom.
pub(crate) struct Errand {
    /// The run's id, epoch and seed.
    pub(crate) run: (String, u32, u64),
    /// What root nodes get.
    pub(crate) inputs: Map<String, Value>,
    /// Where nodes work.
    pub(crate) folder: Arc<dyn Folder>,
    /// Who follows.
    pub(crate) progress: Arc<dyn Progress>,
    /// The faults of a node's provider that end the walk.
    pub(crate) faults_max: u32,
}

/// How a walk ended.
pub(crate) enum Walked {
    /// Nothing that may start is left.
    Through,
    /// A limit of the workflow is broken; what was at work was stopped.
    OverLimit(String),
    /// The outside failed, or whoever follows stopped it; what was at work was stopped.
    Fault(String),
}

/// A run in the making.
pub(crate) struct Walk {
    workflow: Arc<Workflow>,
    graph: Graph,
    /// Outputs of the nodes that are done, by index.
    outputs: BTreeMap<usize, Value>,
    /// The nodes that were left without work, by index.
    skipped: BTreeSet<usize>,
    reports: Vec<NodeReport>,
    started: Vec<bool>,
    /// Attempts that were made before this walk, by index.
    begun: Vec<u32>,
    /// The node whose provider should be left alone, and for how long.
    tired: Option<(usize, Millis)>,
    meter: Meter,
}

/// What a run has used and may use; shared by the nodes at work.
#[derive(Clone)]
struct Meter {
    limits: Execution,
    /// What the campaign's budget leaves for this claim.
    allowance: Allowance,
    begun: tokio::time::Instant,
    /// What earlier workers of the run have taken.
    earlier: Duration,
    /// Of the attempts that have ended, those of nodes that were stopped later included.
    used: Arc<Mutex<Usage>>,
    /// What of that went to tries that a provider failed.
    spent_on_faults: Arc<Mutex<Usage>>,
    /// The time that nodes have waited for their providers.
    waited: Arc<Mutex<Duration>>,
}

impl Meter {
    fn new(limits: Execution, allowance: Allowance, used: Used) -> Self {
        let earlier = Duration::from_millis(used.worked.0);
        let (begun, used) = (tokio::time::Instant::now(), Arc::new(Mutex::new(used.usage)));
        let (spent_on_faults, waited) = (Arc::default(), Arc::default());
        Self { limits, allowance, begun, earlier, used, spent_on_faults, waited }
    }

    fn elapsed(&self) -> Duration {
        self.earlier.saturating_add(self.begun.elapsed())
    }

    fn used(&self) -> Usage {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spent_on_faults(&self) -> Usage {
        *self.spent_on_faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the definition has used itself. Its limits are about that: a fault of a provider counts
    /// against nobody.
    fn used_itself(&self) -> Usage {
        self.used().minus(self.spent_on_faults())
    }

    /// A try that may use `most`, which is charged when the try is cut off.
    fn begin(&self, most: Usage) -> Begun<'_> {
        Begun { meter: self, since: tokio::time::Instant::now(), most, ended: None }
    }

    /// Waits for a provider; not at all, when the run's time would be over by then.
    async fn wait(&self, rest: Millis) -> bool {
        let rest = Duration::from_millis(rest.0);
        if self.time_left().is_some_and(|left| left <= rest) {
            return false;
        }
        tokio::time::sleep(rest).await;
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner) += rest;
        true
    }

    /// Why the run is void, when it would be within its time but for the waits for providers.
    fn waited_too_long(&self) -> Option<String> {
        let limit = Duration::from_millis(self.runtime()?.0);
        let waited = *self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = self.elapsed();
        let is_why = elapsed >= limit && elapsed.saturating_sub(waited) < limit;
        is_why.then(|| {
            format!("max_total_runtime_ms: waits for providers took {} ms", waited.as_millis())
        })
    }

    /// Why the run is void, when it would be within its limits and its share of the campaign's budget
    /// but for what providers failed, in this claim and before.
    fn faults_too_dear(&self, run: &Run) -> Option<String> {
        let (share, used) = (run.allowance, self.used_itself());
        let faults = run.spent_on_faults.plus(self.spent_on_faults());
        let over = self.over(self.own_limits(), used).or_else(|| self.over(share, used));
        let is_why = over.or_else(|| over_reported_time(share, used)).is_none();
        is_why.then(|| {
            let (tokens, cost) = (faults.tokens().0, faults.cost);
            format!("campaign budget: tries that a provider failed took {tokens} tokens, {cost}")
        })
    }

    fn tokens_left(&self) -> Option<u64> {
        let own =
            self.limits.max_total_tokens.map(|limit| limit.minus(self.used_itself().tokens()));
        let budget = self.allowance.tokens.map(|limit| limit.minus(self.used().tokens()));
        Some([own, budget].into_iter().flatten().min()?.0)
    }

    fn time_left(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.runtime()?.0).saturating_sub(self.elapsed()))
    }

    /// How long the run may take, by the workflow and by the campaign's budget.
    fn runtime(&self) -> Option<Millis> {
        [self.limits.max_total_runtime, self.allowance.time].into_iter().flatten().min()
    }

    /// The limit that is broken, with the numbers.
    fn over_limit(&self) -> Option<String> {
        let own = self.over(self.own_limits(), self.used_itself());
        let (allowance, used) = (self.allowance, self.used());
        let budget = || self.over(allowance, used).or_else(|| over_reported_time(allowance, used));
        own.or_else(|| Some(format!("campaign budget: {}", budget()?)))
    }

    /// The limits of the workflow.
    fn own_limits(&self) -> Allowance {
        let Execution { max_total_runtime, max_total_tokens, max_total_cost, .. } = self.limits;
        Allowance { time: max_total_runtime, tokens: max_total_tokens, cost: max_total_cost }
    }

    fn over(&self, limits: Allowance, used: Usage) -> Option<String> {
        let elapsed = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(limit) = limits.time.filter(|limit| elapsed >= limit.0) {
            return Some(format!("max_total_runtime_ms: {elapsed} of {}", limit.0));
        }
        if let Some(limit) = limits.tokens.filter(|limit| used.tokens() > *limit) {
            return Some(format!("max_total_tokens: {} of {}", used.tokens().0, limit.0));
        }
        if let Some(limit) = limits.cost.filter(|limit| used.cost > *limit) {
            return Some(format!("max_total_cost_usd: {} of {limit}", used.cost));
        }
        None
    }
}

/// The budget counts the time that the executor reports, which may be more than has passed.
fn over_reported_time(budget: Allowance, used: Usage) -> Option<String> {
    let (used, limit) = (used.latency, budget.time?);
    (used > limit).then(|| format!("max_total_runtime_ms: {} of {}", used.0, limit.0))
}

fn add(sum: &Mutex<Usage>, usage: Usage) {
    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
    *sum = sum.plus(usage);
}

/// A try at work. Whoever is cut off in it may have to be paid all the same.
struct Begun<'a> {
    meter: &'a Meter,
    since: tokio::time::Instant,
    most: Usage,
    /// What it has really used.
    ended: Option<Usage>,
}

impl Begun<'_> {
    /// What it is charged when it is cut off now.
    fn cut_off(&self) -> Usage {
        let took = self.since.elapsed().as_millis();
        Usage { latency: Millis(u64::try_from(took).unwrap_or(u64::MAX)), ..self.most }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        add(&self.meter.used, self.ended.unwrap_or_else(|| self.cut_off()));
    }
}

impl Runner {
    /// A runner that executes nodes through `executor` and checks their outputs with `matcher`.
    #[must_use]
    pub fn new(
        executor: Arc<dyn NodeExecutor>,
        matcher: Arc<dyn Matcher + Send + Sync>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { executor, matcher, clock, scratch: None }
    }

    /// The same with scratch folders in `root` instead of the system's folder for temporary files.
    #[must_use]
    pub fn with_scratch(mut self, root: ScratchRoot) -> Self {
        self.scratch = Some(root);
        self
    }

    /// The providers that a run of `workflow` calls, with the fewest requests that it sends to each:
    /// one for each node that the provider serves.
    #[must_use]
    pub fn needs(&self, workflow: &Workflow) -> Needs {
        let requests = |provider: &ProviderId| {
            let agents = workflow.nodes().iter().filter_map(|node| workflow.agent(node.agent()));
            let served =
                agents.filter(|agent| self.executor.provider(agent).as_ref() == Some(provider));
            u32::try_from(served.count()).unwrap_or(u32::MAX).max(1)
        };
        let providers = self.executor.providers(workflow).into_iter();
        providers.map(|provider| (provider.clone(), requests(&provider))).collect()
    }

    /// The rate limits of the executor's settings.
    #[must_use]
    pub fn rate_limits(&self) -> BTreeMap<ProviderId, RatePerMinute> {
        let limits = self.executor.rate_limits().into_iter();
        limits
            .filter_map(|(provider, requests)| {
                // More than the finest rate is as good as no limit.
                Some((provider, RatePerMinute::new(requests.max(1)).ok()?))
            })
            .collect()
    }

    /// What checks outputs.
    pub(crate) fn matcher(&self) -> Arc<dyn Matcher + Send + Sync> {
        Arc::clone(&self.matcher)
    }

    /// The wish of the provider of `node` to be left alone; none when nobody serves the node.
    pub(crate) fn throttled(
        &self,
        workflow: &Workflow,
        node: &Node,
        retry_after: Millis,
    ) -> Option<Throttled> {
        let provider = self.executor.provider(workflow.agent(node.agent())?)?;
        Some(Throttled { provider, retry_after })
    }

    /// Executes a case run, as a shadow: executors see what an evaluation may. Dropping the future
    /// stops everything that it started.
    pub async fn run(&self, job: Job<'_>) -> RunReport {
        let started_at = self.clock.now();
        let executed = job.workflow.fingerprint();
        let allowance = job.run.allowance.minus(Amount::of(&job.run.spent_on_faults));
        let Shadow { workflow, denied } = shadow::of(&job.workflow);
        let job = Job { workflow, ..job };
        let mut walk = match Walk::new(Arc::clone(&job.workflow), allowance) {
            Ok(walk) => walk,
            Err(fault) => {
                let (outcome, finished_at) = (CaseOutcome::Void { fault }, self.clock.now());
                return RunReport {
                    executed,
                    outcome,
                    nodes: Vec::new(),
                    usage: Usage::default(),
                    spent_on_faults: Usage::default(),
                    started_at,
                    finished_at,
                    denied,
                    throttled: None,
                };
            }
        };
        let outcome = match self.scratch(&job).await {
            Ok(scratch) => self.measure(&job, &mut walk, Arc::new(scratch)).await,
            Err(fault) => CaseOutcome::Void { fault },
        };
        let (usage, mut nodes) = (walk.meter.used(), std::mem::take(&mut walk.reports));
        nodes.iter_mut().for_each(shorten);
        let finished_at = self.clock.now();
        let throttled = walk.tired.and_then(|(node, rest)| {
            self.throttled(&job.workflow, job.workflow.nodes().get(node)?, rest)
        });
        RunReport {
            executed,
            outcome,
            nodes,
            usage,
            spent_on_faults: walk.meter.spent_on_faults(),
            started_at,
            finished_at,
            denied,
            throttled,
        }
    }

    /// The folder of a run: a copy of the template that the workflow names, else an empty one.
    async fn scratch(&self, job: &Job<'_>) -> Result<Scratch, String> {
        let root = self.scratch.as_ref();
        let root = root.map_or_else(std::env::temp_dir, |root| root.path().to_owned());
        let Some(named) = template(&job.workflow) else {
            return Scratch::empty(&root)
                .map_err(|error| format!("no scratch folder can be made: {error}"));
        };
        let folder = job.folder.join(named);
        let copied = tokio::task::spawn_blocking(move || Scratch::copy_of(&folder, &root)).await;
        copied.map_err(|panic| panic.to_string())?.map_err(|error| error.to_string())
    }

    /// Walks a case run and checks what its nodes put out.
    async fn measure(&self, job: &Job<'_>, walk: &mut Walk, folder: Arc<Scratch>) -> CaseOutcome {
        let errand = Errand {
            run: (job.run.id.to_string(), job.run.epoch.0, job.run.seed),
            inputs: job.case.inputs.clone(),
            folder: Arc::<Scratch>::clone(&folder),
            progress: Arc::new(Unfollowed),
            // Of a pair both sides are made again: one that was asked once more alone would have a second
            // chance that the other did not get.
            faults_max: if job.run.paired { 1 } else { FAULTS_MAX },
        };
        let over_limit = match self.walk(&errand, walk).await {
            Walked::Through => None,
            Walked::OverLimit(limit) => {
                let waited = walk.meter.waited_too_long();
                match waited.or_else(|| walk.meter.faults_too_dear(job.run)) {
                    Some(fault) => return CaseOutcome::Void { fault },
                    None => Some(limit),
                }
            }
            Walked::Fault(fault) => return CaseOutcome::Void { fault },
        };
        walk.report_the_stopped();
        let blocked = walk.block_the_rest();
        let checks = check_case(
            &job.workflow,
            job.case,
            &walk.reports,
            folder.as_ref(),
            self.matcher.as_ref(),
        );
        CaseOutcome::Measured(Measured { checks, blocked, over_limit })
    }

    /// Runs nodes as they become ready, up to `max_parallel_agents` at once, until none is left. When it
    /// returns, nothing is at work.
    pub(crate) async fn walk(&self, errand: &Errand, walk: &mut Walk) -> Walked {
        let parallel = walk.workflow.execution().max_parallel_agents.unwrap_or(1);
        let parallel = usize::try_from(parallel).unwrap_or(1).max(1);
        let mut working = JoinSet::new();
        loop {
            if let Some(limit) = walk.meter.over_limit() {
                working.shutdown().await;
                return Walked::OverLimit(limit);
            }
            for node in walk.skip() {
                errand.progress.skipped(&node).await;
            }
            while working.len() < parallel {
                let Some((index, attempts, request)) = self.next(errand, walk) else {
                    break;
                };
                working.spawn(async move { (index, attempts.make(request).await) });
            }
            let ended = tokio::select! {
                biased;
                ended = working.join_next() => ended,
                () = sleep_for(walk.meter.time_left()) => continue,
                fault = errand.progress.halted() => {
                    working.shutdown().await;
                    return Walked::Fault(fault);
                }
            };
            let fault = match ended {
                None => return Walked::Through,
                Some(Ok((index, ended))) => walk.take(index, ended),
                Some(Err(panic)) => {
                    let panic = abridged(&panic.to_string(), MESSAGE_CHARS_MAX);
                    Some(format!("the executor panicked: {panic}"))
                }
            };
            if let Some(fault) = fault {
                // The run's slot is given back when it is reported: by then nothing may be at work.
                working.shutdown().await;
                return Walked::Fault(fault);
            }
        }
    }

    /// The next node that can start, with its first request.
    fn next(&self, errand: &Errand, walk: &mut Walk) -> Option<(usize, NodeAttempts, NodeRequest)> {
        let index = walk.next_ready()?;
        let node = Arc::clone(walk.workflow.nodes().get(index)?);
        let request = Self::prepare(errand, walk, (index, &node));
        let agent = walk.workflow.agent(node.agent());
        let is_served = agent.is_some_and(|agent| self.executor.provider(agent).is_some());
        let attempts = NodeAttempts {
            is_served,
            executor: Arc::clone(&self.executor),
            matcher: Arc::clone(&self.matcher),
            folder: Arc::clone(&errand.folder),
            progress: Arc::clone(&errand.progress),
            node,
            made: walk.begun.get(index).copied().unwrap_or_default(),
            meter: walk.meter.clone(),
            run: errand.run.clone(),
            faults_max: errand.faults_max,
        };
        Some((index, attempts, request))
    }

    /// The request for the first attempt at a node.
    fn prepare(errand: &Errand, walk: &Walk, (index, node): (usize, &Node)) -> NodeRequest {
        let is_root = walk.graph.dependencies(index).is_empty();
        let upstream = node.input_refs().iter().filter_map(|input| {
            let (from, _) = walk.workflow.node(&input.from_step_id)?;
            Some((input.alias.clone(), walk.outputs.get(&from)?.clone()))
        });
        let inputs = if is_root { errand.inputs.clone() } else { Map::new() };
        let working_directory = errand.folder.path().display().to_string();
        let request = request(&walk.workflow, node, inputs, upstream.collect());
        NodeRequest { working_directory, for_effect: errand.folder.is_real(), ..request }
    }
}

/// A request for an attempt at `node` without what belongs to a single run. None that is made of it is
/// longer but for its folder: its seed has the most digits.
pub(crate) fn request(
    workflow: &Workflow,
    node: &Node,
    inputs: Map<String, Value>,
    upstream: Map<String, Value>,
) -> NodeRequest {
    let agent = workflow.agent(node.agent()).map(|agent| agent.definition.clone());
    NodeRequest {
        objective: node.objective().to_owned(),
        inputs,
        upstream,
        contract: node.contract_json(),
        attempt: Attempt { id: String::new(), number: 0, seed: u64::MAX },
        limits: Limits {
            timeout_ms: node.time_limit().0,
            max_output_bytes: OUTPUT_BYTES_MAX,
            max_tokens: None,
        },
        working_directory: String::new(),
        for_effect: false,
        agent: agent.unwrap_or_default(),
    }
}

pub(crate) async fn sleep_for(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

impl Walk {
    fn new(workflow: Arc<Workflow>, allowance: Allowance) -> Result<Self, String> {
        let begun = vec![0; workflow.nodes().len()];
        let meter = Meter::new(*workflow.execution(), allowance, Used::default());
        Self::with(workflow, BTreeMap::new(), BTreeSet::new(), begun, meter)
    }

    /// A walk that goes on where an earlier one stopped: with the outputs of the nodes that are done, those
    /// that were skipped, the attempts that were made at the others, and what was used of the limits.
    pub(crate) fn resumed(
        workflow: Arc<Workflow>,
        outputs: BTreeMap<usize, Value>,
        skipped: BTreeSet<usize>,
        begun: Vec<u32>,
        used: Used,
    ) -> Result<Self, String> {
        let meter = Meter::new(*workflow.execution(), Allowance::default(), used);
        Self::with(workflow, outputs, skipped, begun, meter)
    }

    fn with(
        workflow: Arc<Workflow>,
        outputs: BTreeMap<usize, Value>,
        skipped: BTreeSet<usize>,
        begun: Vec<u32>,
        meter: Meter,
    ) -> Result<Self, String> {
        let graph = Graph::new(&workflow)
            .map_err(|_| "the frozen definition is no acyclic graph".to_owned())?;
        let (reports, started, tired) = (Vec::new(), vec![false; workflow.nodes().len()], None);
        Ok(Self { workflow, graph, outputs, skipped, reports, started, begun, tired, meter })
    }

    /// The nodes that can begin now, or be skipped.
    fn ready(&self) -> impl Iterator<Item = usize> {
        let over = |index| self.outputs.contains_key(&index) || self.skipped.contains(&index);
        self.graph.ready(over).filter(|index| self.started.get(*index) == Some(&false))
    }

    /// Skips the nodes that triage gates leave without work; they are over from then on.
    fn skip(&mut self) -> Vec<NodeId> {
        let mut skipped = Vec::new();
        while let Some(index) = self.without_work() {
            self.skipped.insert(index);
            skipped.extend(self.workflow.nodes().get(index).map(|node| node.id().clone()));
        }
        skipped
    }

    /// The next node that is to be skipped.
    fn without_work(&self) -> Option<usize> {
        let says = |need: &usize| match (self.workflow.nodes().get(*need), self.outputs.get(need)) {
            (Some(node), Some(output)) => Word::of(node, output),
            _ => Word::Skipped,
        };
        let words =
            |index: usize| self.graph.dependencies(index).iter().map(says).collect::<Vec<_>>();
        self.ready().find(|index| triage::is_skipped(&words(*index)))
    }

    /// The next node whose dependencies are over; it counts as started from then on.
    fn next_ready(&mut self) -> Option<usize> {
        let next = self.ready().next()?;
        *self.started.get_mut(next)? = true;
        Some(next)
    }

    /// Takes in what became of a node; the fault, if the outside failed.
    fn take(&mut self, index: usize, ended: Ended) -> Option<String> {
        let (report, fault) = match ended {
            Ended::Done(report) => {
                if let Ok(output) = &report.result {
                    self.outputs.insert(index, output.clone());
                }
                (report, None)
            }
            Ended::Failed(report) | Ended::Stopped(report) => (report, None),
            Ended::Fault(report, fault) => {
                self.tired = fault.rest.map(|rest| (index, rest));
                (report, Some(fault.message))
            }
        };
        self.reports.push(report);
        fault
    }

    /// Reports the nodes that a broken limit stopped.
    fn report_the_stopped(&mut self) {
        let workflow = Arc::clone(&self.workflow);
        for (node, started) in workflow.nodes().iter().zip(&self.started) {
            if *started && !self.reports.iter().any(|report| report.node == *node.id()) {
                let message = "stopped, because the run was over a limit";
                let result = Err(NodeError::new(ErrorClass::Failed, message));
                // What it had used is in the run's usage; how often it had tried is not known any more.
                self.reports.push(NodeReport {
                    node: node.id().clone(),
                    attempts: 1,
                    result,
                    usage: Usage::default(),
                });
            }
        }
    }

    /// Reports the nodes that could not start. One that was skipped has no report: what is expected of it
    /// is missing.
    fn block_the_rest(&mut self) -> Vec<NodeId> {
        let workflow = Arc::clone(&self.workflow);
        let reported: Vec<_> = self.reports.iter().map(|report| report.node.clone()).collect();
        let nodes = workflow.nodes().iter().enumerate();
        let rest: Vec<_> = nodes
            .filter(|(index, _)| !self.skipped.contains(index))
            .map(|(_, node)| node.id())
            .filter(|id| !reported.contains(id))
            .collect();
        for node in &rest {
            let message = "it could not start: a node that it needs has no valid output, or the run was over a limit";
            let error = NodeError::new(ErrorClass::Blocked, message);
            self.reports.push(NodeReport {
                node: (*node).clone(),
                attempts: 0,
                result: Err(error),
                usage: Usage::default(),
            });
        }
        rest.into_iter().cloned().collect()
    }
}

/// The attempts at one node.
struct NodeAttempts {
    executor: Arc<dyn NodeExecutor>,
    matcher: Arc<dyn Matcher + Send + Sync>,
    folder: Arc<dyn Folder>,
    progress: Arc<dyn Progress>,
    node: Arc<Node>,
    /// Whether somebody outside serves its agent.
    is_served: bool,
    /// Attempts that were made before.
    made: u32,
    meter: Meter,
    /// The run's id, epoch and seed.
    run: (String, u32, u64),
    /// The faults of the provider that end it.
    faults_max: u32,
}

impl NodeAttempts {
    /// Makes attempts, and tells what became of them.
    async fn make(self, request: NodeRequest) -> Ended {
        let ended = self.attempts(request).await;
        self.progress.ended(ended).await
    }

    /// Tries until an output meets the contract, attempts are used up, or trying again is no use.
    async fn attempts(&self, mut request: NodeRequest) -> Ended {
        let node = &self.node;
        let mut report = NodeReport {
            node: node.id().clone(),
            attempts: 0,
            result: Err(NodeError::new(ErrorClass::Failed, "no attempt was made")),
            usage: Usage::default(),
        };
        let (mut number, mut told, mut faults) = (self.made.saturating_add(1), self.made, 0);
        loop {
            if told < number {
                told = number;
                if !self.progress.begins(node.id(), number).await {
                    return Ended::Stopped(report);
                }
            }
            request.attempt = self.attempt(number);
            request.limits.max_tokens = self.meter.tokens_left();
            let NodeResponse { result, usage } = self.attempt_once(&request).await;
            report.attempts = number;
            report.usage = report.usage.plus(usage);
            report.result = result;
            match &report.result {
                Ok(output) if self.meets_contract(output) => return Ended::Done(report),
                Err(error) if error.class == ErrorClass::Configuration => {
                    let fault = Fault { message: error.message.clone(), rest: None };
                    return Ended::Fault(report, fault);
                }
                Err(error) if error.class == ErrorClass::Provider => {
                    faults += 1;
                    add(&self.meter.spent_on_faults, usage);
                    let rest = backoff::delay(faults, request.attempt.seed);
                    let rest = rest.max(error.retry_after.unwrap_or_default());
                    let patient = faults < self.faults_max && rest <= REST_MAX;
                    if !(patient && self.meter.wait(rest).await) {
                        let fault = Fault { message: error.message.clone(), rest: Some(rest) };
                        return Ended::Fault(report, fault);
                    }
                    // The same attempt is asked again, so a fault takes none from the definition.
                    continue;
                }
                Err(error) if error.class == ErrorClass::Blocked => break,
                Ok(_) | Err(_) if self.meter.over_limit().is_some() => break,
                Ok(_) | Err(_) => {}
            }
            if number >= node.attempts() {
                break;
            }
            if report.result.as_ref().is_err_and(|error| error.class == ErrorClass::Timeout) {
                self.rest_after_timeout(&request.attempt).await;
            }
            number += 1;
        }
        Ended::Failed(report)
    }

    /// Leaves a provider that did not answer in time alone for a while, as after a fault of its own: it
    /// may be busy. The timeout is the definition's all the same, so there is a next attempt in any case.
    async fn rest_after_timeout(&self, attempt: &Attempt) {
        if self.is_served {
            self.meter.wait(backoff::delay(attempt.number, attempt.seed).min(REST_MAX)).await;
        }
    }

    fn meets_contract(&self, output: &Value) -> bool {
        validate(&self.node, output, self.folder.as_ref(), self.matcher.as_ref())
            .is_none_or(|check| check.outcome.passes())
    }

    async fn attempt_once(&self, request: &NodeRequest) -> NodeResponse {
        let limit = Duration::from_millis(request.limits.timeout_ms);
        let mut begun = self.meter.begin(self.executor.quote(request).unwrap_or_default());
        let executed = tokio::time::timeout(limit, self.executor.execute(request.clone())).await;
        let response = match executed {
            Ok(response) => within(response, request.limits.max_output_bytes),
            Err(_) => {
                let message = format!("no answer within {} ms", request.limits.timeout_ms);
                let result = Err(NodeError::new(ErrorClass::Timeout, message));
                NodeResponse { result, usage: begun.cut_off() }
            }
        };
        begun.ended = Some(response.usage);
        response
    }

    /// The identity of an attempt. Its id is a hash, so that it tells the executor nothing.
    fn attempt(&self, number: u32) -> Attempt {
        let (run, epoch, seed) = &self.run;
        let place = [self.node.id().as_str().as_bytes(), &number.to_be_bytes()];
        let mut id = Hasher::new("optim/attempt/1");
        id.part(run.as_bytes()).part(&epoch.to_be_bytes()).part(place[0]).part(place[1]);
        let mut drawn = Hasher::new("optim/attempt-seed/1");
        drawn.part(&seed.to_be_bytes()).part(place[0]).part(place[1]);
        let [a, b, c, d, e, f, g, h, ..] = *drawn.finish().as_bytes();
        Attempt {
            id: id.finish().to_string(),
            number,
            seed: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        }
    }
}

/// Refuses an output that is too large, abridges a long message, and caps a long rest, whoever made it.
fn within(mut response: NodeResponse, limit: u64) -> NodeResponse {
    match &mut response.result {
        Ok(output) => {
            let bytes = output.to_string().len();
            if u64::try_from(bytes).unwrap_or(u64::MAX) > limit {
                let message = format!("the output has {bytes} bytes, at most {limit} are allowed");
                response.result = Err(NodeError::new(ErrorClass::InvalidOutput, message));
            }
        }
        Err(error) => {
            let message = abridged(&error.message, MESSAGE_CHARS_MAX);
            *error = NodeError { message, ..error.clone() }.capped();
        }
    }
    response
}

/// Replaces an output that is too long for the record by a note about it.
fn shorten(report: &mut NodeReport) {
    if let Ok(output) = &report.result {
        let bytes = output.to_string().len();
        if bytes > RECORDED_BYTES_MAX {
            report.result = Ok(serde_json::json!({"optim_truncated": {"bytes": bytes, "kept": 0}}));
        }
    }
}

#[cfg(test)]
mod tests;
