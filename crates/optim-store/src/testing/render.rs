//! A whole store as text, for snapshot tests.

use std::collections::BTreeSet;

use optim_core::campaign::Campaign;
use optim_core::campaign::event::{Event, EventKind, Subject};
use optim_core::digest::Digest;
use optim_core::experiment::Experiment;
use optim_core::id::{EvaluationId, WorkflowId};
use optim_core::run::Run;
use optim_core::stored_workflow::StoredWorkflow;
use optim_core::throttle::Throttle;
use optim_core::workflow_run::WorkflowRun;

use crate::store::{
    EventSeq, Page, Recorded, RunFilter, Store, StoreError, Versioned, WorkflowFilter,
    WorkflowRunFilter,
};

/// Writes down everything that `store` holds: campaigns, oldest first, with their experiments; runs
/// by evaluation; workflow runs with their outputs; the payloads that these refer to; throttles; stored workflows with
/// their texts; events. Equal
/// stores give equal texts.
///
/// A store lists neither its evaluations, its payloads nor purged workflows: those are shown that
/// something names.
///
/// # Errors
/// Those of the store.
pub async fn render(store: &dyn Store) -> Result<String, StoreError> {
    let mut rendering = Rendering::default();
    let mut campaigns = Page::all(|page| store.campaigns(page)).await?;
    campaigns.reverse();
    for summary in campaigns {
        if let Some(campaign) = store.campaign(&summary.id).await? {
            rendering.campaign(campaign);
        }
        for experiment in Page::all(|page| store.experiments(&summary.id, page)).await? {
            rendering.experiment(experiment);
        }
    }
    for filter in [RunFilter::Queued, RunFilter::Running] {
        let open = Page::all(|page| store.runs(&filter, page)).await?;
        rendering.evaluations.extend(open.into_iter().map(|run| run.evaluation));
    }
    for filter in [WorkflowFilter::Kept, WorkflowFilter::Restorable] {
        let found = Page::all(|page| store.workflows(filter, page)).await?;
        rendering.workflows.extend(found.into_iter().map(|workflow| workflow.id));
    }
    let mut after = EventSeq(0);
    let mut events = Rendering::default();
    loop {
        let page = store.events(after, Page::LIMIT_MAX).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        page.into_iter().for_each(|recorded| events.event(recorded));
    }
    rendering.evaluations.append(&mut events.evaluations);
    rendering.workflows.append(&mut events.workflows);
    for evaluation in std::mem::take(&mut rendering.evaluations) {
        let filter = RunFilter::Evaluation(evaluation);
        for summary in Page::all(|page| store.runs(&filter, page)).await? {
            if let Some(run) = store.run(summary.id).await? {
                rendering.run(run);
            }
        }
    }
    let mut workflow_runs =
        Page::all(|page| store.workflow_runs(&WorkflowRunFilter::All, page)).await?;
    workflow_runs.reverse();
    for summary in workflow_runs {
        let Some(run) = store.workflow_run(summary.id).await? else { continue };
        let outputs: BTreeSet<_> = run.value.outputs().collect();
        rendering.workflow_run(run);
        for output in outputs {
            if let Some(bytes) = store.workflow_run_output(summary.id, output).await? {
                rendering.title(&format!("output {output}: {} bytes", bytes.len()));
            }
        }
    }
    for digest in std::mem::take(&mut rendering.payloads) {
        if let Some(bytes) = store.blob(digest).await? {
            rendering.title(&format!("payload {digest}: {} bytes", bytes.len()));
        }
    }
    for throttle in store.throttles().await? {
        rendering.throttle(throttle);
    }
    for id in std::mem::take(&mut rendering.workflows) {
        let Some(workflow) = store.workflow(&id).await? else { continue };
        let versions: Vec<_> =
            workflow.value.versions.iter().map(|version| version.number).collect();
        rendering.workflow(workflow);
        for version in versions {
            if let Some(text) = store.workflow_text(&id, version).await? {
                rendering.title(&format!("text of {id} at {version}: {}", Digest::of(&text)));
            }
        }
    }
    Ok(rendering.text + &events.text)
}

/// The text so far, and what it names.
#[derive(Default)]
struct Rendering {
    text: String,
    evaluations: BTreeSet<EvaluationId>,
    payloads: BTreeSet<Digest>,
    workflows: BTreeSet<WorkflowId>,
}

/// Takes a record apart, without `..` so that a new field does not compile until it is listed
/// here, and writes one line for each field.
macro_rules! fields {
    ($rendering:ident, $record:ident: $type:ident { $($field:ident),+ $(,)? }) => {
        let $type { $($field),+ } = $record;
        $(match serde_json::to_string(&$field) {
            Ok(json) => $rendering.text += &format!("  {}: {json}\n", stringify!($field)),
            Err(error) => $rendering.text += &format!("  {}: {error}\n", stringify!($field)),
        })+
    };
}

impl Rendering {
    fn title(&mut self, title: &str) {
        self.text += title;
        self.text.push('\n');
    }

    fn campaign(&mut self, Versioned { revision, value: campaign }: Versioned<Campaign>) {
        self.title(&format!("campaign {} at revision {}", campaign.id, revision.0));
        self.evaluations.extend(campaign.in_flight().map(|evaluation| evaluation.id));
        self.payloads.extend([
            campaign.source.snapshot,
            campaign.baseline.snapshot,
            campaign.baseline.origin().0,
            campaign.frozen.objective,
            campaign.frozen.pack,
        ]);
        fields!(self, campaign: Campaign {
            id, name, seed, source, execution_override, frozen, baseline, phase, hold, search,
            errors, extension, ledger, live, closing, archived, requests, created_at,
        });
    }

    fn experiment(&mut self, experiment: Experiment) {
        self.title(&format!("experiment #{} of {}", experiment.number, experiment.campaign));
        self.payloads.insert(experiment.snapshot);
        fields!(self, experiment: Experiment {
            id, campaign, number, proposer, mutation, baseline_version, baseline, candidate,
            snapshot, worst_case, state, trial, created_at,
        });
    }

    fn run(&mut self, Versioned { revision, value: run }: Versioned<Run>) {
        self.title(&format!("run of {} at revision {}", run.evaluation, revision.0));
        self.payloads.insert(run.snapshot);
        fields!(self, run: Run {
            id, campaign, evaluation, case, case_index, snapshot, fingerprint, seed, epoch, faults,
            paired, spent_on_faults, unreported, allowance, state, queued_at,
        });
    }

    fn workflow(&mut self, Versioned { revision, value: workflow }: Versioned<StoredWorkflow>) {
        self.title(&format!("workflow {} at revision {}", workflow.id, revision.0));
        fields!(self, workflow: StoredWorkflow { id, versions, writes, retired, deleted });
    }

    fn throttle(&mut self, throttle: Throttle) {
        self.title(&format!("throttle of {}", throttle.provider));
        fields!(self, throttle: Throttle { provider, since, until, run });
    }

    fn workflow_run(&mut self, Versioned { revision, value: run }: Versioned<WorkflowRun>) {
        self.title(&format!("workflow run {} at revision {}", run.id, revision.0));
        self.payloads.insert(run.snapshot);
        fields!(self, run: WorkflowRun {
            id, workflow, name, origin, snapshot, fingerprint, trigger, actor, dry_run, inputs,
            workspace, epoch, state, nodes, last_failure, used, granted_at, auto_resumes, expired,
            history, created_at, started_at,
        });
    }

    fn event(&mut self, Recorded { seq, event }: Recorded) {
        self.title(&format!("event {}", seq.0));
        if let EventKind::EvaluationQueued { evaluation, .. } = &event.what {
            self.evaluations.insert(*evaluation);
        }
        if let Subject::Workflow(id) = &event.subject {
            self.workflows.insert(id.clone());
        }
        fields!(self, event: Event { subject, actor, at, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use crate::store::{Blob, Commit, Revision, Write};
    use crate::testing::conformance::block_on;
    use crate::testing::sample;

    #[test]
    fn everything_in_a_store_is_in_its_rendering() {
        block_on(async {
            let store = Memory::new();
            let evaluation = sample::evaluation("c", "replay");
            let finished = sample::finished(&sample::claimed(&sample::run("c", evaluation, 0)));
            let experiment = sample::experiment("c", 1);
            let purpose = optim_core::campaign::Purpose::Replay { number: 1 };
            let commit = Commit {
                campaigns: vec![Write {
                    expected: Revision(0),
                    value: sample::searched(sample::campaign("c"), 1),
                }],
                experiments: vec![experiment.clone()],
                runs: vec![Write { expected: Revision(0), value: finished }],
                workflows: vec![Write {
                    expected: Revision(0),
                    value: sample::workflow("w", 1, 1),
                }],
                texts: vec![sample::workflow_text("w", 1)],
                workflow_runs: vec![Write {
                    expected: Revision(0),
                    value: sample::workflow_run("r", "w"),
                }],
                outputs: Vec::new(),
                throttles: [sample::throttle("p")].map(|p| (p.provider.clone(), Some(p))).into(),
                blobs: vec![Blob::new(b"objective".to_vec())],
                events: vec![
                    sample::event("c", EventKind::CampaignCreated),
                    sample::proposed(&experiment),
                    sample::workflow_run_event("r"),
                    sample::event("c", EventKind::EvaluationQueued { evaluation, purpose }),
                    sample::workflow_event("w", EventKind::WorkflowRestored { reason: None }),
                ],
            };
            store.commit(commit).await.unwrap();
            let text = render(&store).await.unwrap();
            let payload = format!("payload {}: 9 bytes", Digest::of(b"objective"));
            let run = format!("run of {evaluation} at revision 1");
            let workflow_run = sample::workflow_run("r", "w").id;
            let workflow_run = format!("workflow run {workflow_run} at revision 1");
            let of_text = sample::workflow_text("w", 1).text.digest();
            let of_text = format!("text of w at 1: {of_text}");
            for wanted in [
                "campaign c at revision 1",
                "experiment #1 of c",
                &run,
                &workflow_run,
                &payload,
                "throttle of p",
                "workflow w at revision 1",
                &of_text,
                "event 2",
            ] {
                assert!(text.lines().any(|line| line == wanted), "{wanted} is not in\n{text}");
            }
            assert!(text.contains("a \\\"quoted\\\" warning"), "{text}");
            assert_eq!(render(&store).await.unwrap(), text);
        });
    }
}
