//! How a world ends, so that two lives of it can be compared.

use optim_core::campaign::Campaign;
use optim_core::campaign::ledger::{Amount, Ledger};
use optim_core::experiment::Experiment;
use optim_core::invariants::Snapshot;
use optim_core::outcome::Usage;
use optim_core::run::{Run, RunState};
use serde_json::{Value, json};

use crate::Outcome;
use crate::world::{Process, World};

/// What is stored and live in the end.
pub(super) struct End {
    pub(super) snapshot: Snapshot,
    /// What must not depend on how often the process died.
    shown: Value,
    /// What was paid.
    paid: Usage,
}

impl End {
    pub(super) async fn of(world: &World, process: &Process) -> Outcome<Self> {
        let store = process.engine.store().as_ref();
        if let Some(upkeep) = store.upkeep()
            && let Some(damage) = upkeep.verify().await?.into_iter().next()
        {
            return Err(damage.into());
        }
        let snapshot = optim_store::snapshot(store).await?;
        let paid = snapshot.campaigns.iter().map(|campaign| campaign.ledger.usage);
        let paid = paid.fold(Usage::default(), Usage::plus);
        let live = std::fs::read_to_string(world.file())?;
        let shown = json!({
            "campaigns": shown(&snapshot.campaigns, campaign)?,
            "experiments": shown(&snapshot.experiments, Experiment::clone)?,
            "runs": snapshot.runs.iter().map(run).collect::<Vec<_>>(),
            "workflows": shown(&snapshot.workflows, Clone::clone)?,
            "workflow_runs": snapshot.workflow_runs.iter().map(|run| json!({
                "status": run.state.status().name(),
                "nodes": run.nodes.iter().map(|node| node.is_over()).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "live": live,
        });
        Ok(Self { snapshot, shown, paid })
    }

    /// Whether it is the end of `calm`, where nothing stopped. A claim that was lost may have been paid, so
    /// it may have cost more, never less.
    pub(super) fn is_like(&self, calm: &Self) -> Result<(), String> {
        let (paid, least) = (self.paid, calm.paid);
        if paid.tokens() < least.tokens() || paid.latency < least.latency {
            return Err(format!("it has paid {paid:?}, less than {least:?}"));
        }
        match difference("", &self.shown, &calm.shown) {
            None => Ok(()),
            Some(difference) => {
                Err(format!("it ends otherwise than without a crash: {difference}"))
            }
        }
    }
}

fn shown<T, S: serde::Serialize>(records: &[T], of: impl Fn(&T) -> S) -> Outcome<Value> {
    Ok(serde_json::to_value(records.iter().map(of).collect::<Vec<_>>())?)
}

/// A campaign without what its lost claims may have cost.
fn campaign(campaign: &Campaign) -> Campaign {
    let mut campaign = campaign.clone();
    let Ledger { runs, reserved, call, .. } = campaign.ledger;
    let (usage, dearest, overdrawn) = (Usage::default(), Amount::default(), Amount::default());
    campaign.ledger = Ledger { runs, reserved, call, usage, dearest, overdrawn };
    campaign
}

fn run(run: &Run) -> Value {
    let outcome = match &run.state {
        RunState::Finished(report) => serde_json::to_value(&report.outcome).unwrap_or_default(),
        _ => Value::Null,
    };
    json!({"id": run.id, "state": run.state.name(), "outcome": outcome})
}

/// The first place at which two documents differ.
fn difference(path: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => one
            .iter()
            .find_map(|(key, value)| difference(&format!("{path}/{key}"), value, other.get(key)?)),
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(place, (one, other))| {
                difference(&format!("{path}/{place}"), one, other)
            })
        }
        _ if one == other => None,
        _ => Some(format!("{path} is {one}, not {other}")),
    }
}
