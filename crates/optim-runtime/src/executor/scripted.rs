//! `scripted`: a seeded simulation of an agent, for tests and benchmarks. Its numbers are always
//! labelled as simulated.
//!
//! Whether an attempt succeeds is drawn from the attempt's seed. The chance depends on the node's
//! objective, so that a candidate with another wording has another, fixed, true quality, and on the case
//! where its inputs say so.

use std::time::Duration;

use async_trait::async_trait;
use optim_core::digest::{Digest, Hasher};
use optim_core::node_io::{ErrorClass, NodeError, NodeRequest, NodeResponse};
use optim_core::outcome::Usage;
use optim_core::quantity::{MicroUsd, Millis, Tokens};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Capabilities, NodeExecutor};

/// The settings of the `scripted` executor. Shares are in per mille.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScriptedConfig {
    /// How often an attempt gives the right answer.
    pub pass_per_mille: u32,
    /// How far a wording moves that share up or down, at most.
    pub effect_per_mille: u32,
    /// How often the provider fails instead of answering.
    pub fault_per_mille: u32,
    /// What an attempt costs.
    pub cost_micro_usd: u64,
    /// How long an attempt takes, in virtual time.
    pub latency_ms: u64,
    /// How often an attempt takes `slow_ms` instead.
    pub slow_per_mille: u32,
    /// How long a slow attempt takes, in virtual time.
    pub slow_ms: u64,
    /// Whether attempts really last that long, so that a slow one can run into its timeout. Otherwise they
    /// only say that they did.
    pub waits: bool,
    /// The input that holds a case's own `pass_per_mille`, where it has one.
    pub pass_input: String,
    /// The right answer.
    pub right: Value,
    /// The wrong answer.
    pub wrong: Value,
}

impl Default for ScriptedConfig {
    fn default() -> Self {
        Self {
            pass_per_mille: 700,
            effect_per_mille: 0,
            fault_per_mille: 0,
            cost_micro_usd: 0,
            latency_ms: 10,
            slow_per_mille: 0,
            slow_ms: 0,
            waits: false,
            pass_input: "pass_per_mille".to_owned(),
            right: json!({"ok": true}),
            wrong: Value::Null,
        }
    }
}

/// Draws outcomes instead of doing work.
#[derive(Debug, Clone)]
pub struct Scripted {
    config: ScriptedConfig,
}

impl Scripted {
    /// A simulation with these settings.
    #[must_use]
    pub fn new(config: ScriptedConfig) -> Self {
        Self { config }
    }

    /// The true quality of a wording on a case.
    fn pass_per_mille(&self, objective: &str, inputs: &Map<String, Value>) -> u32 {
        let own = inputs.get(&self.config.pass_input).and_then(Value::as_u64);
        let own = own.and_then(|share| u32::try_from(share).ok());
        let mut hasher = Hasher::new("optim/scripted-effect/1");
        hasher.part(objective.as_bytes());
        let [a, b, ..] = *hasher.finish().as_bytes();
        let span = self.config.effect_per_mille.saturating_mul(2).saturating_add(1);
        let shift = u32::from(u16::from_be_bytes([a, b])) % span;
        own.unwrap_or(self.config.pass_per_mille)
            .saturating_add(shift)
            .saturating_sub(self.config.effect_per_mille)
            .min(1000)
    }
}

#[async_trait]
impl NodeExecutor for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn capabilities(&self) -> &Capabilities {
        &Capabilities { tools: true, mcp: true, waits: false }
    }

    fn simulated(&self) -> bool {
        true
    }

    fn settings(&self) -> Digest {
        super::digest_of(&self.config)
    }

    async fn execute(&self, request: NodeRequest) -> NodeResponse {
        let mut draws = ChaCha8Rng::seed_from_u64(request.attempt.seed);
        let mut happens = |per_mille: u32| draws.next_u32() % 1000 < per_mille;
        let (is_faulty, is_right) = (
            happens(self.config.fault_per_mille),
            happens(self.pass_per_mille(&request.objective, &request.inputs)),
        );
        let is_slow = happens(self.config.slow_per_mille);
        let latency = if is_slow { self.config.slow_ms } else { self.config.latency_ms };
        if self.config.waits {
            tokio::time::sleep(Duration::from_millis(latency)).await;
        }
        let words = u64::try_from(request.objective.split_whitespace().count()).unwrap_or(u64::MAX);
        let usage = Usage {
            prompt_tokens: Tokens(words),
            completion_tokens: Tokens(1),
            cost: MicroUsd(self.config.cost_micro_usd),
            latency: Millis(latency),
            estimated: false,
        };
        let result = if is_faulty {
            Err(NodeError::new(ErrorClass::Provider, "a simulated outage"))
        } else if is_right {
            Ok(self.config.right.clone())
        } else {
            Ok(self.config.wrong.clone())
        };
        NodeResponse { result, usage }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use optim_core::node_io::{Attempt, Limits};

    fn request(objective: &str, seed: u64) -> NodeRequest {
        NodeRequest {
            objective: objective.to_owned(),
            inputs: Map::new(),
            upstream: Map::new(),
            contract: None,
            attempt: Attempt { id: String::new(), number: 1, seed },
            limits: Limits { timeout_ms: 1, max_output_bytes: 1, max_tokens: None },
            working_directory: String::new(),
            for_effect: false,
            agent: Map::new(),
        }
    }

    const SEEDS: u32 = 2000;

    /// Of 2 000 seeds: right answers, and faults.
    async fn counts(config: &ScriptedConfig, objective: &str) -> (u32, u32) {
        let (mut right, mut faults) = (0, 0);
        for seed in 0..SEEDS {
            match Scripted::new(config.clone())
                .execute(request(objective, seed.into()))
                .await
                .result
            {
                Ok(answer) => right += u32::from(answer == config.right),
                Err(error) => {
                    assert_eq!(error.class, ErrorClass::Provider);
                    faults += 1;
                }
            }
        }
        (right, faults)
    }

    /// Whether a count is within four standard deviations, at most, of its expectation.
    fn near(count: u32, per_mille: u32) -> bool {
        count.abs_diff(SEEDS * per_mille / 1000) <= 90
    }

    #[tokio::test]
    async fn answers_are_right_as_often_as_the_settings_say() {
        for pass_per_mille in [0, 1, 250, 700, 999, 1000] {
            let config = ScriptedConfig { pass_per_mille, ..ScriptedConfig::default() };
            let (right, faults) = counts(&config, "o").await;
            assert!(near(right, pass_per_mille), "{right} for {pass_per_mille}");
            assert_eq!(faults, 0);
            assert!(
                pass_per_mille % 1000 != 0 || right == SEEDS * pass_per_mille / 1000,
                "none and all are exact"
            );
        }
    }

    #[tokio::test]
    async fn faults_come_as_often_as_the_settings_say_and_leave_the_rest_alone() {
        let config = ScriptedConfig { fault_per_mille: 200, ..ScriptedConfig::default() };
        let (right, faults) = counts(&config, "o").await;
        assert!(near(faults, 200) && near(right, 560), "{faults} faults, {right} right");
    }

    #[tokio::test]
    async fn a_wording_has_one_true_quality_within_the_reach_of_the_settings() {
        let config = ScriptedConfig {
            pass_per_mille: 500,
            effect_per_mille: 200,
            ..ScriptedConfig::default()
        };
        let mut qualities = std::collections::BTreeSet::new();
        for wording in ["a", "b", "c", "d", "e", "f"] {
            let quality = Scripted::new(config.clone()).pass_per_mille(wording, &Map::new());
            assert!((300..=700).contains(&quality), "{quality}");
            assert!(near(counts(&config, wording).await.0, quality), "{wording}");
            qualities.insert(quality);
        }
        assert!(qualities.len() > 1, "wordings differ");
        let extreme =
            ScriptedConfig { pass_per_mille: u32::MAX, effect_per_mille: u32::MAX, ..config };
        assert!(Scripted::new(extreme).pass_per_mille("a", &Map::new()) <= 1000);
    }

    #[tokio::test]
    async fn a_case_may_have_a_share_of_its_own() {
        for (own, wanted) in [(0, Value::Null), (1000, json!({"ok": true}))] {
            let mut request = request("o", 1);
            request.inputs = [("pass_per_mille".to_owned(), json!(own))].into_iter().collect();
            let answer = Scripted::new(ScriptedConfig::default()).execute(request).await;
            assert_eq!(answer.result, Ok(wanted));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_lasts_as_long_as_it_says() {
        let config = ScriptedConfig {
            waits: true,
            slow_per_mille: 500,
            slow_ms: 70_000,
            ..ScriptedConfig::default()
        };
        let mut slow = 0;
        for seed in 0..100 {
            let begun = tokio::time::Instant::now();
            let answer = Scripted::new(config.clone()).execute(request("o", seed)).await;
            assert_eq!(begun.elapsed(), Duration::from_millis(answer.usage.latency.0));
            slow += u32::from(answer.usage.latency == Millis(70_000));
        }
        assert!((30..=70).contains(&slow), "{slow} of 100 are slow");
    }
}
