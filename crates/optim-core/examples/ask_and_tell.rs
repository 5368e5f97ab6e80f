//! Candidates from the built-in `rules`, measured by code of one's own. `cargo run --example ask_and_tell`
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::sync::Arc;

use optim_core::mutation::MutableField;
use optim_core::policy::{MutationPolicy, Objective, ScopePolicy};
use optim_core::proposal::rules::Rules;
use optim_core::proposal::{Cursor, Offer, Prepared};
use optim_core::workflow::load::load;

const BASELINE: &str = "
automation_id: greeter
agents: [{agent_id: a}]
flow:
  nodes:
    - {node_id: greet, agent_id: a, objective: 'Greet the customer in one friendly sentence and offer your help.'}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (baseline, _) = load("baseline.yaml", BASELINE.as_bytes())?;
    let objective =
        Objective::new("Greetings are short. Always name the shop.").ok_or("a blank objective")?;
    let prepared = Prepared::new(Arc::new(baseline), policy(), ScopePolicy::default())?;

    // Ask for candidates one by one; measure them with whatever you have.
    let rules = Rules::new(&objective, 42);
    for offer in rules.stream(&prepared, Cursor::default()).take(8) {
        match offer {
            Offer::Proposal(found) => {
                println!("{}: {}", found.candidate.0.short(), found.mutation.after)
            }
            Offer::Refusal(refused) => println!("refused [{}]: {}", refused.code(), refused.error),
        }
    }
    Ok(())
}

fn policy() -> MutationPolicy {
    MutationPolicy::strict([MutableField::Objective])
}
