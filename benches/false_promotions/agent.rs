//! Who executes the case runs: the `scripted` executor in a [`World`], with a log of what it began.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use optim_core::digest::Hasher;
use optim_core::node_io::{ErrorClass, NodeError, NodeRequest, NodeResponse};
use optim_runtime::executor::scripted::{Scripted, ScriptedConfig};
use optim_runtime::executor::{Capabilities, NodeExecutor};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{CASES, Condition, World};

/// The baseline's instruction; whatever else is a candidate's.
pub(crate) const OBJECTIVE: &str = "Answer with care and keep to the form that was asked for.";
/// How long a window is: about a batch of pairs.
const WINDOW: Duration = Duration::from_secs(8);

/// The `scripted` executor in a world.
pub(crate) struct Agent {
    world: World,
    seed: u64,
    scripted: Scripted,
    begun: Instant,
    seen: Mutex<Seen>,
}

/// What the agent has seen of a campaign.
#[derive(Default)]
struct Seen {
    /// Instructions that are or were the baseline's.
    baselines: Vec<String>,
    /// Candidates that were proposed.
    candidates: u64,
    /// Case runs of the last one.
    runs: usize,
    starts: Vec<Start>,
}

/// A case run that was begun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Start {
    pub(crate) case: usize,
    pub(crate) is_candidate: bool,
    /// Since the campaign began.
    pub(crate) at: Duration,
}

impl Agent {
    /// The agent of one campaign.
    pub(crate) fn new(world: World, seed: u64) -> Self {
        let config = ScriptedConfig {
            fault_per_mille: world.faults,
            latency_ms: 1_000,
            slow_per_mille: world.slow,
            slow_ms: 90_000,
            waits: true,
            ..ScriptedConfig::default()
        };
        let seen = Seen { baselines: vec![OBJECTIVE.to_owned()], ..Seen::default() };
        let (scripted, begun) = (Scripted::new(config), Instant::now());
        Self { world, seed, scripted, begun, seen: Mutex::new(seen) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A candidate is being proposed.
    pub(crate) fn next_candidate(&self) {
        let mut seen = self.seen();
        (seen.candidates, seen.runs) = (seen.candidates + 1, 0);
        // What the replays have begun belongs to no pair.
        if !seen.starts.iter().any(|start| start.is_candidate) {
            seen.starts.clear();
        }
    }

    /// A candidate with this instruction has become the baseline.
    pub(crate) fn moved_to(&self, objective: String) {
        self.seen().baselines.push(objective);
    }

    /// The case runs of pairs that were begun, in order.
    pub(crate) fn starts(&self) -> Vec<Start> {
        self.seen().starts.clone()
    }

    /// A number below 1000 that only depends on the campaign and `parts`.
    fn draw(&self, what: &str, parts: &[u64]) -> u32 {
        let mut hasher = Hasher::new("optim/bench/agent/1");
        hasher.part(&self.seed.to_be_bytes()).part(what.as_bytes());
        for part in parts {
            hasher.part(&part.to_be_bytes());
        }
        let [a, b, c, d, ..] = *hasher.finish().as_bytes();
        u32::from_be_bytes([a, b, c, d]) % 1000
    }

    /// Writes down that a run begins; how often such a one passes, per mille.
    fn begin(&self, case: usize, objective: &str) -> (bool, u32) {
        let mut seen = self.seen();
        let is_candidate = !seen.baselines.iter().any(|baseline| baseline == objective);
        let at = self.begun.elapsed();
        seen.starts.push(Start { case, is_candidate, at });
        let baseline = self.world.cases.pass_per_mille(case);
        if !is_candidate {
            return (false, baseline);
        }
        let position = seen.runs % CASES;
        seen.runs += 1;
        let place = match self.world.broken {
            Some(Condition::RandomOrder) => position,
            Some(Condition::OwnOrder) if seen.candidates > 1 => position,
            _ => case,
        };
        (true, self.world.effect.pass_per_mille(baseline, place))
    }

    fn is_outage(&self, is_candidate: bool) -> bool {
        let window = self.begun.elapsed().as_secs() / WINDOW.as_secs();
        let side = match self.world.broken {
            Some(Condition::SameWindow) => u64::from(is_candidate),
            _ => 0,
        };
        self.world.outages && self.draw("outage", &[window, side]) < 100
    }

    /// What the broken condition makes of a run with this seed that has put out `answer`. Such a run passes
    /// `pass` per mille of the times.
    fn broken(
        &self,
        answer: Value,
        is_candidate: bool,
        seed: u64,
        pass: u32,
    ) -> Result<Value, NodeError> {
        let happens = |what, per_mille| self.draw(what, &[seed]) < per_mille;
        let is_dropped = match self.world.broken {
            Some(Condition::CrashesCount(per_mille)) if is_candidate => happens("crash", per_mille),
            Some(Condition::CrashesCount(per_mille)) => {
                if !happens("fault", per_mille) && happens("crash", per_mille) {
                    return Ok(Value::Null);
                }
                happens("fault", per_mille)
            }
            Some(Condition::FaultsAreBlind { per_mille, .. }) if is_candidate => {
                answer.is_null() && happens("fault", per_mille)
            }
            Some(Condition::FaultsAreBlind { per_mille, hidden: true }) => {
                happens("fault", per_mille * (1000 - pass) / 1000)
            }
            _ => false,
        };
        if is_dropped {
            Err(NodeError::new(ErrorClass::Provider, "it is made a fault"))
        } else {
            Ok(answer)
        }
    }
}

#[async_trait]
impl NodeExecutor for Agent {
    fn name(&self) -> &str {
        "scripted"
    }

    fn capabilities(&self) -> &Capabilities {
        self.scripted.capabilities()
    }

    fn simulated(&self) -> bool {
        true
    }

    async fn execute(&self, mut request: NodeRequest) -> NodeResponse {
        let number = |name: &str| request.inputs.get(name).and_then(Value::as_u64).unwrap_or(0);
        let case = number("case");
        let place = usize::try_from(case).unwrap_or(usize::MAX);
        let (is_candidate, pass) = self.begin(place, &request.objective);
        let shown = if self.is_outage(is_candidate) { 0 } else { pass };
        request.inputs.insert("pass_per_mille".to_owned(), json!(shown));
        if self.world.broken == Some(Condition::FreshBaseline) && !is_candidate {
            request.attempt.seed = self.seed ^ case;
        }
        let seed = request.attempt.seed;
        let NodeResponse { result, usage } = self.scripted.execute(request).await;
        let result = result.and_then(|answer| self.broken(answer, is_candidate, seed, pass));
        NodeResponse { result, usage }
    }
}
