//! Is this edited workflow one allowed mutation of that one? `cargo run --example validate_candidate`

#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use optim_core::mutation::validate::{check_mutation, diff};
use optim_core::policy::{self, PolicyFile, PolicyFiles};
use optim_core::workflow::load::load;

const BASELINE: &str = "
automation_id: greeter
agents: [{agent_id: a}]
flow:
  nodes:
    - {node_id: greet, agent_id: a, objective: 'Greet the customer in one friendly sentence.', timeout_ms: 60000}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (baseline, _) = load("baseline.yaml", BASELINE.as_bytes())?;
    let edited = BASELINE.replace("one friendly sentence", "one short, friendly sentence");
    let (candidate, _) = load("candidate.yaml", edited.as_bytes())?;
    let policies = policy::read(&policy_files())?.value.1;

    let mutation = diff(&baseline, &candidate)?;
    println!("{}.{} changed", mutation.node, mutation.field);
    match check_mutation(&baseline, &mutation, &policies.mutation, &policies.scope) {
        Ok(summary) => println!("allowed: {summary}"),
        Err(error) => println!("refused [{}]: {error}", error.code()),
    }
    Ok(())
}

fn policy_files() -> PolicyFiles<'static> {
    let file = |name, text: &'static str| PolicyFile { name, bytes: text.as_bytes() };
    PolicyFiles {
        objective: file("objective.md", "Friendlier."),
        eval: file("eval.yaml", include_str!("../../../examples/ticket-triage/policy/eval.yaml")),
        mutation: file(
            "mutation_policy.yaml",
            include_str!("../../../examples/ticket-triage/policy/mutation_policy.yaml"),
        ),
        scope: file(
            "scope.yaml",
            include_str!("../../../examples/ticket-triage/policy/scope.yaml"),
        ),
        budget: file(
            "budget.yaml",
            include_str!("../../../examples/ticket-triage/policy/budget.yaml"),
        ),
    }
}
