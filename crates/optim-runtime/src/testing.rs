//! What tests and benches of campaigns need: a small project.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a project that is not valid is how a test fails"
)]

use optim_core::campaign::SearchMode;
use optim_core::digest::Digest;
use optim_core::id::CampaignId;
use optim_core::quantity::Timestamp;

use crate::engine::NewCampaign;
use crate::executor::Capabilities;
use crate::project::{self, ProjectRefs, Setup};

const EVAL: &str = "
pack_ref: cases.jsonl
primary_metric: artifact_validator_pass_rate
secondary_metric: unmet_requirement_count
hard_guardrails: [blocked_node_rate, budget_ceilings]
campaign_start_baseline_runs: 2
baseline_replay_every_candidates: 5
baseline_replay_every_minutes: 30
profile: custom
";
const MUTATION: &str = "
max_nodes_changed_per_candidate: 1
max_field_families_changed_per_candidate: 1
max_text_delta_chars: 300
max_text_delta_ratio: 0.25
timeout_delta_percent: 0.15
timeout_delta_ms: 30000
timeout_min_ms: 30000
timeout_max_ms: 600000
retry_delta: 1
retry_min: 0
retry_max: 3
";
const SCOPE: &str = "
candidate_snapshot_only: true
allow_live_source_mutation: false
allow_external_side_effects_in_eval: false
promotion_requires_operator_approval: true
";
const BUDGET: &str = "
max_runtime_minutes: 600
max_consecutive_failures: 3
max_total_tokens: null
max_total_cost_usd: null
";

/// A workflow of one node with a timeout; an answer passes when it has the field `ok`.
pub const ONE_NODE: &str = "
automation_id: w
name: w
agents: [{agent_id: a}]
flow:
  nodes:
    - node_id: n
      agent_id: a
      objective: Answer with care and keep to the form that was asked for.
      timeout_ms: 60000
      output_contract: {kind: j, validator: structured_json, schema: {type: object, required: [ok]}}
";

/// The point rule, with a baseline that counts as established whatever its replays give.
pub const ANY_BASELINE: &str =
    "{rule: point, point: {stability: {max_range: 1.0, max_flaky: 1.0}}}";

/// A project with one workflow.
#[derive(Debug, Clone, Copy)]
pub struct SmallProject<'a> {
    /// The text of the workflow file.
    pub workflow: &'a str,
    /// The text of the eval pack.
    pub cases: &'a str,
    /// The text fields that may change, as a YAML list.
    pub text_fields: &'a str,
    /// The knobs that may change, as a YAML list.
    pub knob_fields: &'a str,
    /// The decision rule, as YAML.
    pub decision: &'a str,
    /// The most experiments of a campaign.
    pub max_experiments: u32,
}

impl SmallProject<'_> {
    /// A campaign on the project, to be created. The project's files are gone afterwards.
    #[must_use]
    pub fn draft(&self, id: &str, seed: u64, executor: &str) -> NewCampaign {
        let folder = tempfile::tempdir().unwrap();
        let fields = format!(
            "allowed_text_fields: {}\nallowed_knob_fields: {}\n",
            self.text_fields, self.knob_fields
        );
        let eval = format!("{EVAL}decision: {}\n", self.decision);
        let experiments = format!("max_experiments: {}\n", self.max_experiments);
        for (file, text) in [
            ("workflow.yaml", self.workflow),
            ("objective.md", "Answers keep to the form. Name the evidence."),
            ("eval.yaml", &eval),
            ("mutation.yaml", &(fields + MUTATION)),
            ("scope.yaml", SCOPE),
            ("budget.yaml", &(experiments + BUDGET)),
            ("cases.jsonl", self.cases),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let refs = ProjectRefs {
            folder: folder.path().to_owned(),
            workflow: "workflow.yaml".to_owned(),
            objective: "objective.md".to_owned(),
            eval: "eval.yaml".to_owned(),
            mutation_policy: "mutation.yaml".to_owned(),
            scope: "scope.yaml".to_owned(),
            budget: "budget.yaml".to_owned(),
        };
        let setup = Setup {
            id: CampaignId::new(id).unwrap(),
            name: None,
            seed,
            executor: executor.to_owned(),
            simulated: true,
            executor_settings: Digest::of(executor.as_bytes()),
            worst_case: None,
            model: None,
            mode: SearchMode::Proposers,
        };
        let project = project::read(&refs, &Capabilities::default()).unwrap();
        project.draft(setup, Timestamp(0))
    }
}

/// Reads `body` as a provider's answer in every way that one is read.
pub fn provider_answer(body: &[u8]) {
    crate::executor::openai::read_in_every_way(body);
}
