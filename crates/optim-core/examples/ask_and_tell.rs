//! Candidates from the built-in `rules`, measured by code of one's own. `cargo run --example ask_and_tell`
#![expect(
    clippy::print_stdout,
    reason = "an example talks to the person who runs it"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use optim_core::mutation::MutableField;
use optim_core::policy::{MutationPolicy, Objective, Profile, ScopePolicy};
use optim_core::proposal::rules::Rules;
use optim_core::proposal::{Cursor, Offer, Prepared};
use optim_core::quantity::{Millis, PerMillion};
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
    MutationPolicy {
        profile: Profile::Strict,
        allowed: BTreeSet::from([MutableField::Objective]),
        max_text_delta_chars: 300,
        max_text_delta_ratio: PerMillion(250_000),
        text_delta_floor_chars: 40,
        timeout_delta_percent: PerMillion(150_000),
        timeout_delta: Millis(30_000),
        timeout_min: Millis(30_000),
        timeout_max: Millis(600_000),
        retry_delta: 1,
        retry_min: 0,
        retry_max: 3,
    }
}
