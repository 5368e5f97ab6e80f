//! Executes one case run: walks the DAG of the frozen definition, attempt by attempt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use optim_core::assertion::Matcher;
use optim_core::digest::Hasher;
use optim_core::id::NodeId;
use optim_core::node_io::{Attempt, ErrorClass, Limits, NodeError, NodeRequest, NodeResponse};
use optim_core::outcome::{CaseOutcome, Measured, Usage};
use optim_core::pack::Case;
use optim_core::quantity::Millis;
use optim_core::run::{NodeReport, Run, RunReport};
use optim_core::validator::{check_case, validate};
use optim_core::workflow::graph::Graph;
use optim_core::workflow::{Execution, Node, ValidatorKind, Workflow};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::executor::NodeExecutor;
use crate::workspace::Scratch;

/// The most bytes of an attempt's answer.
pub const OUTPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// An output that is longer as JSON is replaced by a note in the run's record; checks see all of it.
const RECORDED_BYTES_MAX: usize = 64 * 1024;

/// Executes case runs through one executor.
pub struct Runner {
    executor: Arc<dyn NodeExecutor>,
    matcher: Arc<dyn Matcher + Send + Sync>,
    clock: Arc<dyn Clock>,
}

/// A case run to execute.
pub struct Job<'a> {
    /// The claimed run.
    pub run: &'a Run,
    /// Its frozen definition.
    pub workflow: Arc<Workflow>,
    /// Its case.
    pub case: &'a Case,
}

/// What became of a node.
enum Ended {
    /// It has an output that meets its contract.
    Done(NodeReport),
    /// It has none.
    Failed(NodeReport),
    /// The outside failed; the run is void.
    Fault(NodeReport, String),
}

/// A run in the making.
struct Walk {
    workflow: Arc<Workflow>,
    graph: Graph,
    /// Outputs of the nodes that are done, by index.
    outputs: BTreeMap<usize, Value>,
    reports: Vec<NodeReport>,
    started: Vec<bool>,
    usage: Usage,
}

impl Runner {
    /// A runner that executes nodes through `executor` and checks their outputs with `matcher`.
    #[must_use]
    pub fn new(
        executor: Arc<dyn NodeExecutor>,
        matcher: Arc<dyn Matcher + Send + Sync>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            executor,
            matcher,
            clock,
        }
    }

    /// Executes a case run. Dropping the future stops everything that it started.
    pub async fn run(&self, job: Job<'_>) -> RunReport {
        let started_at = self.clock.now();
        let executed = job.workflow.fingerprint();
        let mut walk = match Walk::new(Arc::clone(&job.workflow)) {
            Ok(walk) => walk,
            Err(fault) => return self.void(executed, started_at, fault),
        };
        let outcome = match Scratch::empty() {
            Ok(scratch) => self.walk(&job, &mut walk, &Arc::new(scratch)).await,
            Err(error) => CaseOutcome::Void {
                fault: format!("no scratch folder can be made: {error}"),
            },
        };
        let mut nodes = walk.reports;
        nodes.iter_mut().for_each(shorten);
        let finished_at = self.clock.now();
        RunReport {
            executed,
            outcome,
            nodes,
            usage: walk.usage,
            started_at,
            finished_at,
        }
    }

    fn void(
        &self,
        executed: optim_core::workflow::Fingerprint,
        started_at: optim_core::quantity::Timestamp,
        fault: String,
    ) -> RunReport {
        let (outcome, finished_at) = (CaseOutcome::Void { fault }, self.clock.now());
        RunReport {
            executed,
            outcome,
            nodes: Vec::new(),
            usage: Usage::default(),
            started_at,
            finished_at,
        }
    }

    /// Runs nodes as they become ready, up to `max_parallel_agents` at once, until none is left.
    async fn walk(&self, job: &Job<'_>, walk: &mut Walk, scratch: &Arc<Scratch>) -> CaseOutcome {
        let execution = *job.workflow.execution();
        let parallel = usize::try_from(execution.max_parallel_agents.unwrap_or(1)).unwrap_or(1);
        let begun = tokio::time::Instant::now();
        let mut working = JoinSet::new();
        let mut over_limit = None;
        loop {
            over_limit = over_limit.or_else(|| walk.over_limit(&execution, begun.elapsed()));
            while over_limit.is_none() && working.len() < parallel {
                let Some(index) = walk.next_ready() else {
                    break;
                };
                let Some(node) = job.workflow.nodes().get(index) else {
                    continue;
                };
                let request = self.prepare(job, walk, (index, node), scratch, &execution);
                let attempts = NodeAttempts {
                    executor: Arc::clone(&self.executor),
                    matcher: Arc::clone(&self.matcher),
                    scratch: Arc::clone(scratch),
                    node: Arc::clone(node),
                    run: (job.run.id.to_string(), job.run.epoch.0, job.run.seed),
                };
                working.spawn(async move { (index, attempts.make(request).await) });
            }
            if over_limit.is_some() {
                working.abort_all();
            }
            let left = execution
                .max_total_runtime
                .map(|limit| Duration::from_millis(limit.0).saturating_sub(begun.elapsed()));
            let next = tokio::select! {
                next = working.join_next() => next,
                () = sleep_for(left), if over_limit.is_none() => continue,
            };
            match next {
                None => break,
                Some(Ok((index, ended))) => {
                    if let Some(fault) = walk.take(index, ended) {
                        return CaseOutcome::Void { fault };
                    }
                }
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(panic)) => {
                    return CaseOutcome::Void {
                        fault: format!("the executor panicked: {panic}"),
                    };
                }
            }
        }
        let blocked = walk.block_the_rest();
        let checks = check_case(
            &job.workflow,
            job.case,
            &walk.reports,
            scratch.as_ref(),
            self.matcher.as_ref(),
        );
        CaseOutcome::Measured(Measured {
            checks,
            blocked,
            over_limit,
        })
    }

    /// The request for the first attempt at a node.
    fn prepare(
        &self,
        job: &Job<'_>,
        walk: &Walk,
        (index, node): (usize, &Node),
        scratch: &Scratch,
        execution: &Execution,
    ) -> NodeRequest {
        let is_root = walk.graph.dependencies(index).is_empty();
        let upstream = node.input_refs().iter().filter_map(|input| {
            let (from, _) = job.workflow.node(&input.from_step_id)?;
            Some((input.alias.clone(), walk.outputs.get(&from)?.clone()))
        });
        let agent = job
            .workflow
            .agent(node.agent())
            .map(|agent| agent.definition.clone());
        let max_tokens = execution
            .max_total_tokens
            .map(|limit| limit.minus(walk.usage.tokens()).0);
        NodeRequest {
            objective: node.objective().to_owned(),
            inputs: if is_root {
                job.case.inputs.clone()
            } else {
                Map::new()
            },
            upstream: upstream.collect(),
            contract: node.contract_json(),
            attempt: Attempt {
                id: String::new(),
                number: 0,
                seed: 0,
            },
            limits: Limits {
                timeout_ms: timeout(node).0,
                max_output_bytes: OUTPUT_BYTES_MAX,
                max_tokens,
            },
            working_directory: scratch.path().display().to_string(),
            agent: agent.unwrap_or_default(),
        }
    }
}

/// The longest that an attempt at `node` may take.
#[must_use]
pub fn timeout(node: &Node) -> Millis {
    node.timeout()
        .filter(|timeout| timeout.0 > 0)
        .unwrap_or(match node.validator() {
            Some(ValidatorKind::StandupUpdate) => Millis(120_000),
            Some(ValidatorKind::StructuredJson) => Millis(180_000),
            _ => Millis(600_000),
        })
}

async fn sleep_for(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

impl Walk {
    fn new(workflow: Arc<Workflow>) -> Result<Self, String> {
        let graph = Graph::new(&workflow)
            .map_err(|_| "the frozen definition is no acyclic graph".to_owned())?;
        let started = vec![false; workflow.nodes().len()];
        Ok(Self {
            workflow,
            graph,
            outputs: BTreeMap::new(),
            reports: Vec::new(),
            started,
            usage: Usage::default(),
        })
    }

    /// The next node whose dependencies are done; it counts as started from then on.
    fn next_ready(&mut self) -> Option<usize> {
        let ready = self.graph.ready(|index| self.outputs.contains_key(&index));
        let next = ready
            .into_iter()
            .find(|index| self.started.get(*index) == Some(&false))?;
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
            Ended::Failed(report) => (report, None),
            Ended::Fault(report, fault) => (report, Some(fault)),
        };
        self.usage = self.usage.plus(report.usage);
        self.reports.push(report);
        fault
    }

    /// Reports the nodes that never started.
    fn block_the_rest(&mut self) -> Vec<NodeId> {
        let workflow = Arc::clone(&self.workflow);
        let reported: Vec<_> = self
            .reports
            .iter()
            .map(|report| report.node.clone())
            .collect();
        let rest: Vec<_> = workflow
            .nodes()
            .iter()
            .map(|node| node.id())
            .filter(|id| !reported.contains(id))
            .collect();
        for node in &rest {
            let error = NodeError {
                class: ErrorClass::Blocked,
                message: "a node that it needs has no valid output".to_owned(),
            };
            self.reports.push(NodeReport {
                node: (*node).clone(),
                attempts: 0,
                result: Err(error),
                usage: Usage::default(),
            });
        }
        rest.into_iter().cloned().collect()
    }

    fn over_limit(&self, execution: &Execution, elapsed: Duration) -> Option<String> {
        let Execution {
            max_total_runtime,
            max_total_tokens,
            max_total_cost,
            ..
        } = *execution;
        let elapsed = Millis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        if let Some(limit) = max_total_runtime.filter(|limit| elapsed >= *limit) {
            return Some(format!(
                "max_total_runtime_ms: {} of {}",
                elapsed.0, limit.0
            ));
        }
        if let Some(limit) = max_total_tokens.filter(|limit| self.usage.tokens() > *limit) {
            return Some(format!(
                "max_total_tokens: {} of {}",
                self.usage.tokens().0,
                limit.0
            ));
        }
        if let Some(limit) = max_total_cost.filter(|limit| self.usage.cost > *limit) {
            return Some(format!(
                "max_total_cost_usd: {} of {limit}",
                self.usage.cost
            ));
        }
        None
    }
}

/// The attempts at one node.
struct NodeAttempts {
    executor: Arc<dyn NodeExecutor>,
    matcher: Arc<dyn Matcher + Send + Sync>,
    scratch: Arc<Scratch>,
    node: Arc<Node>,
    /// The run's id, epoch and seed.
    run: (String, u32, u64),
}

impl NodeAttempts {
    /// Tries until an output meets the contract, attempts are used up, or trying again is no use.
    async fn make(self, mut request: NodeRequest) -> Ended {
        let node = &self.node;
        let mut report = NodeReport {
            node: node.id().clone(),
            attempts: 0,
            result: Err(NodeError {
                class: ErrorClass::Failed,
                message: "no attempt was made".to_owned(),
            }),
            usage: Usage::default(),
        };
        for number in 1..=node.attempts() {
            request.attempt = self.attempt(number);
            let NodeResponse { result, usage } = self.attempt_once(&request).await;
            report.attempts = number;
            report.usage = report.usage.plus(usage);
            report.result = result;
            match &report.result {
                Ok(output) if self.meets_contract(output) => return Ended::Done(report),
                Err(error) if error.class == ErrorClass::Provider => {
                    let fault = error.message.clone();
                    return Ended::Fault(report, fault);
                }
                Err(error) if error.class == ErrorClass::Blocked => break,
                Ok(_) | Err(_) => {}
            }
        }
        Ended::Failed(report)
    }

    fn meets_contract(&self, output: &Value) -> bool {
        validate(
            &self.node,
            output,
            self.scratch.as_ref(),
            self.matcher.as_ref(),
        )
        .is_none_or(|check| check.outcome.passes())
    }

    async fn attempt_once(&self, request: &NodeRequest) -> NodeResponse {
        let limit = Duration::from_millis(request.limits.timeout_ms);
        match tokio::time::timeout(limit, self.executor.execute(request.clone())).await {
            Ok(response) => response,
            Err(_) => {
                let message = format!("no answer within {} ms", request.limits.timeout_ms);
                let usage = Usage {
                    latency: Millis(request.limits.timeout_ms),
                    ..Usage::default()
                };
                NodeResponse {
                    result: Err(NodeError {
                        class: ErrorClass::Timeout,
                        message,
                    }),
                    usage,
                }
            }
        }
    }

    /// The identity of an attempt. Its id is a hash, so that it tells the executor nothing.
    fn attempt(&self, number: u32) -> Attempt {
        let (run, epoch, seed) = &self.run;
        let place = [self.node.id().as_str().as_bytes(), &number.to_be_bytes()];
        let mut id = Hasher::new("optim/attempt/1");
        id.part(run.as_bytes())
            .part(&epoch.to_be_bytes())
            .part(place[0])
            .part(place[1]);
        let mut drawn = Hasher::new("optim/attempt-seed/1");
        drawn
            .part(&seed.to_be_bytes())
            .part(place[0])
            .part(place[1]);
        let [a, b, c, d, e, f, g, h, ..] = *drawn.finish().as_bytes();
        Attempt {
            id: id.finish().to_string(),
            number,
            seed: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        }
    }
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
