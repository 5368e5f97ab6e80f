//! A tenant is a store: two projects on one machine know nothing of each other, whatever ids they share.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};

use optim_core::campaign::{Campaign, SearchMode};
use optim_core::id::{Actor, CampaignId, RunId};
use optim_core::outcome::CaseOutcome;
use optim_runtime::service::settled;
use optim_server::session::Session;
use optim_store::RunFilter;

use crate::support::{Project, temporary};

fn id() -> CampaignId {
    CampaignId::new("same").unwrap()
}

/// Opens a project and creates a campaign in it, under the same id and seed in each.
async fn tenant(project: &Project) -> Session {
    let session = Session::open(project.path()).unwrap();
    let read = session.project().await.unwrap();
    let mut new = session.draft(&read, Some(7), None, SearchMode::Proposers).unwrap();
    new.campaign.id = id();
    let created = session.engine.create(new, Actor::new("local:tester").unwrap()).await.unwrap();
    assert_eq!(created.id, id());
    session
}

/// Measures its baseline and goes on until a person is needed or it is over.
async fn work_off(session: &Session) -> Campaign {
    let actor = Actor::new("local:tester").unwrap();
    let start = optim_core::campaign::command::Command::Start { reason: None };
    session.engine.submit(&id(), &start, actor).await.unwrap();
    let service = session.serve().await.unwrap();
    let campaign = service.reached(&id(), settled).await.unwrap();
    service.stop().await;
    campaign
}

/// The runs of the replays, and whether each of them passed.
async fn replayed(session: &Session, campaign: &Campaign) -> BTreeMap<RunId, bool> {
    let mut passed = BTreeMap::new();
    for replay in &campaign.baseline.replays {
        for run in
            session.engine.list_runs(&RunFilter::Evaluation(replay.evaluation)).await.unwrap()
        {
            let run = session.engine.store().run(run.id).await.unwrap().unwrap().value;
            let CaseOutcome::Measured(measured) = &run.report().unwrap().outcome else {
                panic!("void")
            };
            passed.insert(run.id, measured.passes());
        }
    }
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tenants_with_the_same_ids_in_one_process_keep_their_own_figures() {
    let simulation =
        |pass: u32| Project::of_one_node(&format!("kind = \"scripted\"\npass_per_mille = {pass}"));
    let (good, bad) = (simulation(1000), simulation(0));
    let (good, bad) = (tenant(&good).await, tenant(&bad).await);
    let (of_good, of_bad) = tokio::join!(work_off(&good), work_off(&bad));
    let passed = (replayed(&good, &of_good).await, replayed(&bad, &of_bad).await);
    assert!(passed.0.keys().eq(passed.1.keys()) && !passed.0.is_empty(), "the ids are the same");
    assert!(passed.0.values().all(|passed| *passed), "{passed:?}");
    assert!(passed.1.values().all(|passed| !passed), "{passed:?}");
}

/// A process that runs the campaign of its project, whose agents wait.
fn running(project: &Project, scratch: &std::path::Path) -> Child {
    let mut command = project.command(["run", "--json"]);
    command.env("TMPDIR", scratch).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("optim starts")
}

#[test]
fn two_tenants_with_the_same_ids_in_two_processes_hear_nothing_of_each_other() {
    let (signals, scratch) = (temporary(), temporary());
    let project = |name: &str| {
        let dir = signals.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let project =
            Project::of_one_node("kind = \"process\"\ncommand = [\"/bin/sh\", \"agent.sh\"]")
                .with_access_to(&dir);
        let dir = dir.display();
        project.write(
            "agent.sh",
            format!(
                "#!/bin/sh\ncat >/dev/null; : > {dir}/started; while [ -d {dir} ] && [ ! -e {dir}/go ]; do sleep 0.02; done\n\
                 echo '{{\"content\": {{\"ok\": true}}}}'\n"
            ),
        );
        let runtime = tokio::runtime::Runtime::new().unwrap();
        drop(runtime.block_on(tenant(&project)));
        project
    };
    let (one, other) = (project("one"), project("other"));
    let mut at_one = running(&one, scratch.path());
    let mut at_other = running(&other, scratch.path());
    for (child, name) in [(&mut at_one, "one"), (&mut at_other, "other")] {
        while !signals.path().join(name).join("started").exists() {
            assert!(child.try_wait().unwrap().is_none(), "{name} ended early");
            std::thread::yield_now();
        }
    }
    one.optim(["cancel", "same", "--reason", "ours"]).ended(0);
    assert_eq!(at_one.wait().unwrap().code(), Some(11), "it is cancelled");
    let status = other.optim(["status", "same", "--json"]).document(0);
    assert_eq!(status["campaign"]["status"], "running");
    assert_eq!(status["work"]["process"], at_other.id());
    std::fs::write(signals.path().join("other").join("go"), "").unwrap();
    let ended = at_other.wait().unwrap().code();
    assert!(matches!(ended, Some(0 | 7)), "{ended:?}");
    let cancelled = one.optim(["status", "same", "--json"]).document(0);
    assert_eq!(cancelled["campaign"]["status"], "cancelled");
    assert_eq!(cancelled["campaign"]["baseline"], serde_json::Value::Null);
    assert_ne!(
        other.optim(["status", "same", "--json"]).document(0)["campaign"]["baseline"],
        serde_json::Value::Null
    );
}

#[test]
fn a_store_is_opened_through_its_own_project_only() {
    let (one, other) =
        (Project::of_one_node("kind = \"lexical\""), Project::of_one_node("kind = \"lexical\""));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    drop(runtime.block_on(tenant(&one)));
    assert_eq!(one.optim(["list", "--json"]).document(0)["count"], 1);
    assert_eq!(other.optim(["list", "--json"]).document(0)["count"], 0);
    other.optim(["status", "same"]).refused(5, "campaign_not_found");
    other.optim(["cancel", "same"]).refused(5, "campaign_not_found");
    assert_eq!(one.optim(["status", "same", "--json"]).document(0)["campaign"]["status"], "draft");
}
