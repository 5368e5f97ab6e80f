//! Runs of small workflows through an executor that does what the test says, in virtual time.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use optim_core::id::{ProviderId, RunId};
use optim_core::node_io::RETRY_AFTER_MAX;
use optim_core::pack::Role;
use optim_core::quantity::{MicroUsd, Timestamp, Tokens};
use optim_core::run::Epoch;
use optim_core::workflow::Agent;
use optim_store::testing::sample;
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::executor::Capabilities;
use crate::matcher::Engines;

/// What the executor does about an attempt.
enum Reply {
    Answer(Value),
    Fail(ErrorClass),
    /// Fails, and wants to be left alone for that many milliseconds.
    Busy(u64),
    /// Answers after that many milliseconds.
    Slow(u64),
    Panic,
}

/// Looks at the objective, which names the node here, and at how often the node was asked.
type Script = fn(&str, u32) -> Reply;

struct Scripted {
    script: Script,
    usage: Usage,
    requests: Mutex<Vec<NodeRequest>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

#[async_trait]
impl NodeExecutor for Scripted {
    fn name(&self) -> &str {
        "test"
    }

    fn capabilities(&self) -> &Capabilities {
        &Capabilities { tools: false, mcp: false, waits: false }
    }

    fn simulated(&self) -> bool {
        true
    }

    fn provider(&self, agent: &Agent) -> Option<ProviderId> {
        agent.models().ok()?.default.map(|model| model.provider().clone())
    }

    fn quote(&self, request: &NodeRequest) -> Option<Usage> {
        let prompt_tokens = Tokens(u64::try_from(request.objective.len()).unwrap());
        let (completion_tokens, cost) = (Tokens(100), MicroUsd(1000));
        Some(Usage { prompt_tokens, completion_tokens, cost, estimated: true, ..Usage::default() })
    }

    async fn execute(&self, request: NodeRequest) -> NodeResponse {
        let answer = json!(format!("output of {}", request.objective));
        let asked = {
            let mut requests = self.requests.lock().unwrap();
            requests.push(request.clone());
            requests.iter().filter(|earlier| earlier.objective == request.objective).count()
        };
        let reply = (self.script)(&request.objective, u32::try_from(asked).unwrap());
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        let result = match reply {
            Reply::Answer(value) => Ok(value),
            Reply::Fail(class) => Err(NodeError::new(class, "as the test says")),
            Reply::Busy(ms) => {
                let busy = NodeError::new(ErrorClass::Provider, "busy");
                Err(NodeError { retry_after: Some(Millis(ms)), ..busy })
            }
            Reply::Slow(ms) => {
                // In virtual time.
                sleep_for(Some(Duration::from_millis(ms))).await;
                Ok(answer)
            }
            Reply::Panic => panic!("as the test says"),
        };
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        NodeResponse { result, usage: self.usage }
    }
}

/// A run: what it reports, and what the executor was asked.
struct Ran {
    report: RunReport,
    requests: Vec<NodeRequest>,
    most_at_once: usize,
}

impl Ran {
    fn measured(&self) -> &Measured {
        match &self.report.outcome {
            CaseOutcome::Measured(measured) => measured,
            CaseOutcome::Void { fault } => panic!("the run is void: {fault}"),
        }
    }

    fn fault(&self) -> &str {
        match &self.report.outcome {
            CaseOutcome::Measured(measured) => panic!("the run is measured: {measured:?}"),
            CaseOutcome::Void { fault } => fault,
        }
    }

    /// The nodes that were asked, in order, one entry for each attempt.
    fn asked(&self) -> Vec<&str> {
        self.requests.iter().map(|request| request.objective.as_str()).collect()
    }

    fn node(&self, id: &str) -> &NodeReport {
        self.report.nodes.iter().find(|report| report.node.as_str() == id).unwrap()
    }
}

fn workflow(execution: Value, nodes: Value) -> Workflow {
    let agents = json!([{"agent_id": "x", "model": "m", "model_policy": "acme/m"}]);
    let json = json!({"automation_id": "w", "agents": agents, "execution": execution, "flow": {"nodes": nodes}});
    Workflow::from_json(json).unwrap()
}

/// A node whose objective is its id, with further fields.
fn node(id: &str, after: &[&str], more: Value) -> Value {
    let mut node = json!({"node_id": id, "agent_id": "x", "objective": id, "depends_on": after});
    node.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    node
}

fn case() -> Case {
    let case = json!({"id": "secret-case", "inputs": {"text": "hello"}, "split": "holdout",
                      "expect": [{"node": "a", "type": "equals", "value": "secret-label"}]});
    serde_json::from_value(case).unwrap()
}

fn claimed() -> Run {
    let run = sample::run("campaign", sample::evaluation("campaign", "replay 1"), 0);
    Run { epoch: Epoch(1), ..run }
}

async fn run_as(run: &Run, workflow: Workflow, usage: Usage, script: Script) -> Ran {
    let (requests, at_once, most_at_once) =
        (Mutex::default(), AtomicUsize::new(0), AtomicUsize::new(0));
    let executor = Arc::new(Scripted { script, usage, requests, at_once, most_at_once });
    let port: Arc<dyn NodeExecutor> = Arc::<Scripted>::clone(&executor);
    let runner =
        Runner::new(port, Arc::new(Engines::default()), Arc::new(ManualClock::at(Timestamp(5))));
    let (workflow, case) = (Arc::new(workflow), case());
    let report =
        runner.run(Job { run, workflow, case: &case, folder: Path::new("/nowhere") }).await;
    let requests = executor.requests.lock().unwrap().clone();
    Ran { report, requests, most_at_once: executor.most_at_once.load(Ordering::SeqCst) }
}

async fn run(workflow: Workflow, script: Script) -> Ran {
    run_as(&claimed(), workflow, Usage::default(), script).await
}

fn answers(_: &str, _: u32) -> Reply {
    Reply::Slow(10)
}

#[tokio::test(start_paused = true)]
async fn nodes_run_in_dependency_order_and_see_what_they_name() {
    let nodes = json!([
        node("c", &["b"], json!({"input_refs": [{"from_step_id": "a", "alias": "first"}]})),
        node("b", &["a"], json!({})),
        node("a", &[], json!({"output_contract": {"kind": "k", "summary_guidance": "be brief"}})),
    ]);
    let workflow = workflow(json!({}), nodes);
    let fingerprint = workflow.fingerprint();
    let ran = run(workflow, answers).await;
    assert_eq!(ran.asked(), ["a", "b", "c"]);
    let [a, b, c] = &ran.requests[..] else { panic!("three nodes") };
    assert_eq!(a.inputs, case().inputs);
    assert_eq!(a.contract, Some(json!({"kind": "k", "summary_guidance": "be brief"})));
    assert_eq!(a.agent["model"], "m");
    assert!(b.inputs.is_empty() && b.upstream.is_empty() && c.inputs.is_empty());
    assert_eq!(Value::Object(c.upstream.clone()), json!({"first": "output of a"}));
    assert_eq!(ran.report.executed, fingerprint);
    assert_eq!((ran.report.started_at, ran.report.finished_at), (Timestamp(5), Timestamp(5)));
}

#[tokio::test(start_paused = true)]
async fn the_request_holds_nothing_of_the_case_but_its_inputs() {
    let ran = run(workflow(json!({}), json!([node("a", &[], json!({}))])), answers).await;
    let request = serde_json::to_string(&ran.requests[0]).unwrap();
    let run = claimed();
    let case = case();
    assert_eq!(case.role, Role::Holdout);
    for secret in [
        "secret",
        "holdout",
        "expect",
        "campaign",
        "baseline",
        run.case.as_str(),
        &run.id.to_string(),
    ] {
        assert!(!request.contains(secret), "{secret} in {request}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_get_better_is_tried_again_as_often_as_the_node_allows() {
    let contract =
        json!({"kind": "k", "validator": "structured_json", "schema": {"type": "object"}});
    let table: [(Value, Script, u32, bool); 8] = [
        (json!({}), |_, _| Reply::Fail(ErrorClass::Failed), 1, false),
        (json!({"retries": 2}), |_, _| Reply::Fail(ErrorClass::Failed), 3, false),
        (
            json!({"retries": 7, "max_attempts": 2}),
            |_, _| Reply::Fail(ErrorClass::Failed),
            2,
            false,
        ),
        (json!({"max_attempts": 3}), |_, _| Reply::Fail(ErrorClass::InvalidOutput), 3, false),
        (json!({"max_attempts": 3}), |_, _| Reply::Slow(100_000), 3, false),
        (json!({"max_attempts": 3}), |_, _| Reply::Answer(json!("no object")), 3, false),
        (
            json!({"max_attempts": 3}),
            |_, number| Reply::Answer(if number == 2 { json!({}) } else { json!(0) }),
            2,
            true,
        ),
        (json!({"max_attempts": 3}), |_, _| Reply::Fail(ErrorClass::Blocked), 1, false),
    ];
    for (policy, script, attempts, passes) in table {
        let more =
            json!({"retry_policy": policy, "output_contract": contract, "timeout_ms": 60_000});
        let usage = Usage { cost: MicroUsd(1), ..Usage::default() };
        let ran =
            run_as(&claimed(), workflow(json!({}), json!([node("a", &[], more)])), usage, script)
                .await;
        assert_eq!(
            (ran.requests.len(), ran.node("a").attempts),
            (usize::try_from(attempts).unwrap(), attempts),
            "{policy}"
        );
        assert_eq!(ran.measured().checks[0].outcome.passes(), passes, "{policy}");
        let timed_out =
            ran.node("a").result.as_ref().is_err_and(|error| error.class == ErrorClass::Timeout);
        assert!(
            timed_out || ran.report.usage.cost == MicroUsd(attempts.into()),
            "all attempts are paid for"
        );
    }
}

fn two_nodes(attempts: u32) -> Value {
    let patient = json!({"retry_policy": {"max_attempts": attempts}});
    json!([node("a", &[], patient), node("b", &["a"], json!({}))])
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_outside_is_waited_out_and_voids_the_run_when_it_lasts() {
    for attempts in [1, 5] {
        let begun = tokio::time::Instant::now();
        let ran =
            run(workflow(json!({}), two_nodes(attempts)), |_, _| Reply::Fail(ErrorClass::Provider))
                .await;
        assert_eq!((ran.fault(), ran.requests.len()), ("as the test says", 3));
        assert_eq!(ran.node("a").attempts, 1);
        let asked: Vec<_> = ran.requests.iter().map(|request| &request.attempt).collect();
        assert!(asked.iter().all(|attempt| attempt == &asked[0]), "the same attempt: {asked:?}");
        let waited = begun.elapsed().as_millis();
        assert!((1500..=3000).contains(&waited), "{waited}");
        let throttled = ran.report.throttled.unwrap();
        assert_eq!(throttled.provider.as_str(), "acme");
        assert!(throttled.retry_after >= Millis(2000), "{throttled:?}");
    }
    let ran = run(workflow(json!({}), two_nodes(5)), |_, _| Reply::Panic).await;
    assert!(ran.fault().contains("panicked"), "{}", ran.fault());
    assert_eq!((ran.requests.len(), ran.report.throttled), (1, None));
}

#[tokio::test(start_paused = true)]
async fn one_fault_ends_a_side_of_a_pair_so_that_no_side_gets_a_second_chance_alone() {
    let paired = Run { paired: true, ..claimed() };
    let ran = run_as(&paired, workflow(json!({}), two_nodes(5)), Usage::default(), |_, asked| {
        if asked == 1 { Reply::Fail(ErrorClass::Provider) } else { Reply::Answer(json!(1)) }
    });
    let ran = ran.await;
    assert_eq!((ran.fault(), ran.requests.len()), ("as the test says", 1));
}

#[tokio::test(start_paused = true)]
async fn faults_of_a_provider_take_no_attempts_from_the_definition() {
    let ran = run(workflow(json!({}), two_nodes(2)), |node, asked| match (node, asked) {
        ("a", 1 | 3) => Reply::Fail(ErrorClass::Provider),
        ("a", 2) => Reply::Fail(ErrorClass::Failed),
        _ => Reply::Answer(json!(1)),
    });
    let ran = ran.await;
    assert_eq!(ran.asked(), ["a", "a", "a", "a", "b"]);
    assert_eq!(ran.node("a").attempts, 2);
    assert!(ran.node("a").result.is_ok() && ran.report.throttled.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_faults_of_a_provider_have_cost_breaks_no_limit_of_the_definition() {
    let once: Script = |_, number| match number {
        1 => Reply::Fail(ErrorClass::Provider),
        _ => Reply::Answer(json!(1)),
    };
    let usage = Usage { prompt_tokens: Tokens(30), ..Usage::default() };
    let one = || json!([node("a", &[], json!({}))]);
    let limited = workflow(json!({"max_total_tokens": 50}), one());
    let ran = run_as(&claimed(), limited, usage, once).await;
    assert_eq!((ran.measured().over_limit.as_deref(), ran.requests.len()), (None, 2));
    assert_eq!(ran.requests[1].limits.max_tokens, Some(50), "the fault took none of them");
    // The budget of the campaign counts all of it; what it does not cover is nobody's failure.
    let tokens = |tokens| Allowance { tokens: Some(Tokens(tokens)), ..Allowance::default() };
    let earlier = Usage { prompt_tokens: Tokens(25), ..Usage::default() };
    for (share, spent_on_faults, took) in [(50, Usage::default(), 30), (60, earlier, 55)] {
        let run = Run { allowance: tokens(share), spent_on_faults, ..claimed() };
        let ran = run_as(&run, workflow(json!({}), one()), usage, once).await;
        let took = format!("campaign budget: tries that a provider failed took {took} tokens");
        assert!(ran.fault().starts_with(&took), "{}", ran.fault());
    }
    let run = Run { allowance: tokens(25), ..claimed() };
    let ran = run_as(&run, workflow(json!({}), one()), usage, once).await;
    assert!(ran.measured().over_limit.is_some(), "it would be over without the fault, too");
}

#[tokio::test(start_paused = true)]
async fn what_faults_of_a_provider_have_cost_is_told_apart() {
    let script: Script = |_, number| match number {
        1 | 2 => Reply::Fail(ErrorClass::Provider),
        3 => Reply::Fail(ErrorClass::Failed),
        _ => Reply::Answer(json!(1)),
    };
    let usage = Usage { prompt_tokens: Tokens(10), ..Usage::default() };
    let nodes = json!([node("a", &[], json!({"retry_policy": {"max_attempts": 2}}))]);
    let ran = run_as(&claimed(), workflow(json!({}), nodes), usage, script).await;
    let RunReport { usage, spent_on_faults, .. } = ran.report;
    assert_eq!((usage.tokens(), spent_on_faults.tokens()), (Tokens(40), Tokens(20)));
}

#[tokio::test(start_paused = true)]
async fn a_provider_gets_the_rest_that_it_asks_for_a_short_one_within_the_run() {
    let begun = tokio::time::Instant::now();
    let once: Script = |_, number| if number == 1 { Reply::Busy(9000) } else { Reply::Slow(0) };
    let ran = run(workflow(json!({}), json!([node("a", &[], json!({}))])), once).await;
    assert!(ran.node("a").result.is_ok());
    assert!((9000..9100).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());

    let begun = tokio::time::Instant::now();
    let ran = run(workflow(json!({}), two_nodes(5)), |_, _| Reply::Busy(60_000)).await;
    assert_eq!((ran.fault(), ran.requests.len()), ("busy", 1));
    assert_eq!(ran.report.throttled.unwrap().retry_after, Millis(60_000));
    assert_eq!(begun.elapsed(), Duration::ZERO, "the queue is the place to wait");
}

#[tokio::test(start_paused = true)]
async fn threat_19_a_provider_that_asks_for_a_year_of_rest_gets_an_hour() {
    let ran = run(workflow(json!({}), two_nodes(1)), |_, _| Reply::Busy(31_536_000_000)).await;
    assert_eq!(ran.report.throttled.as_ref().unwrap().retry_after, RETRY_AFTER_MAX);
    assert_eq!(ran.fault(), "busy; it asks for 31536000 s of rest, it gets 3600");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_provider_is_not_tried_again_in_the_run_or_after_it() {
    let ran = run(workflow(json!({}), two_nodes(5)), |_, _| Reply::Fail(ErrorClass::Configuration));
    let ran = ran.await;
    assert_eq!((ran.fault(), ran.requests.len()), ("as the test says", 1));
    assert!(ran.report.throttled.is_none() && ran.report.is_lasting_fault());
}

#[tokio::test(start_paused = true)]
async fn waits_for_a_provider_keep_to_the_runs_time_and_count_against_nobody() {
    let limit = json!({"max_total_runtime_ms": 5000});
    let begun = tokio::time::Instant::now();
    let ran = run(workflow(limit.clone(), two_nodes(1)), |_, _| Reply::Busy(5000)).await;
    assert_eq!((ran.fault(), begun.elapsed()), ("busy", Duration::ZERO));

    let slow: Script = |_, number| if number == 1 { Reply::Busy(4000) } else { Reply::Slow(1500) };
    let ran = run(workflow(limit.clone(), two_nodes(1)), slow).await;
    assert!(ran.fault().contains("waits for providers took 4000 ms"), "{}", ran.fault());

    let slower: Script =
        |_, number| if number == 1 { Reply::Busy(2000) } else { Reply::Slow(9000) };
    let ran = run(workflow(limit, two_nodes(1)), slower).await;
    let fault = ran.fault();
    assert!(fault.contains("waits for providers"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn a_void_run_is_reported_when_nothing_of_it_is_at_work_any_more() {
    /// Fails at `a`, and never ends at `b`; counts the attempts at work.
    #[derive(Default)]
    struct Outage(Arc<()>);

    #[async_trait]
    impl NodeExecutor for Outage {
        fn name(&self) -> &str {
            "outage"
        }

        fn capabilities(&self) -> &Capabilities {
            &Capabilities { tools: false, mcp: false, waits: false }
        }

        fn simulated(&self) -> bool {
            true
        }

        async fn execute(&self, request: NodeRequest) -> NodeResponse {
            let at_work = Arc::clone(&self.0);
            sleep_for((request.objective == "a").then_some(Duration::from_secs(1))).await;
            drop(at_work);
            NodeResponse {
                result: Err(NodeError::new(ErrorClass::Provider, "down")),
                usage: Usage::default(),
            }
        }
    }
    let outage = Outage::default();
    let at_work = Arc::downgrade(&outage.0);
    let runner = Runner::new(
        Arc::new(outage),
        Arc::new(Engines::default()),
        Arc::new(ManualClock::default()),
    );
    let nodes = json!([node("a", &[], json!({})), node("b", &[], json!({}))]);
    let (run, case) = (claimed(), case());
    let job = Job {
        run: &run,
        workflow: Arc::new(workflow(json!({"max_parallel_agents": 2}), nodes)),
        case: &case,
        folder: Path::new("/nowhere"),
    };
    let report = runner.run(job).await;
    assert!(matches!(report.outcome, CaseOutcome::Void { .. }));
    assert_eq!(at_work.strong_count(), 1, "the executor's own");
}

#[tokio::test(start_paused = true)]
async fn an_executor_may_say_much_but_the_record_of_it_is_short() {
    for class in [ErrorClass::Failed, ErrorClass::Provider] {
        let mut executor = crate::executor::MockNodeExecutor::new();
        executor.expect_provider().return_const(None);
        executor.expect_execute().returning(move |_| NodeResponse {
            result: Err(NodeError::new(class, format!("begin{}end", "ö".repeat(1 << 20)))),
            usage: Usage::default(),
        });
        executor.expect_provider().return_const(None);
        executor.expect_quote().return_const(None);
        let runner = Runner::new(
            Arc::new(executor),
            Arc::new(Engines::default()),
            Arc::new(ManualClock::default()),
        );
        let (run, case) = (claimed(), case());
        let job = Job {
            run: &run,
            workflow: Arc::new(workflow(json!({}), json!([node("a", &[], json!({}))]))),
            case: &case,
            folder: Path::new("/nowhere"),
        };
        let report = runner.run(job).await;
        let message = &report.nodes[0].result.as_ref().unwrap_err().message;
        assert!(message.starts_with("begin") && message.ends_with("end"));
        assert_eq!(message.chars().count(), MESSAGE_CHARS_MAX);
        assert!(serde_json::to_string(&report).unwrap().len() < 16 * 1024);
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_the_nodes_own_or_that_of_its_validator() {
    let contract =
        |validator: &str| json!({"output_contract": {"kind": "k", "validator": validator}});
    for (more, limit) in [
        (json!({"timeout_ms": 1234}), 1234),
        (json!({}), 600_000),
        (contract("standup_update"), 120_000),
        (contract("structured_json"), 180_000),
        (contract("code_patch"), 600_000),
    ] {
        let begun = tokio::time::Instant::now();
        let ran = run(workflow(json!({}), json!([node("a", &[], more)])), |_, _| {
            Reply::Slow(u64::MAX / 2)
        })
        .await;
        let took = begun.elapsed().as_millis();
        assert_eq!(ran.node("a").result.as_ref().unwrap_err().class, ErrorClass::Timeout);
        assert_eq!(ran.requests[0].limits.timeout_ms, limit);
        assert!((limit.into()..=u128::from(limit) + 1).contains(&took), "{took}");
        assert_eq!(ran.report.usage.latency, Millis(limit));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_over_a_limit_is_stopped_and_fails() {
    let usage = Usage { prompt_tokens: Tokens(30), cost: MicroUsd(400_000), ..Usage::default() };
    let nodes = json!([
        node("a", &[], json!({})),
        node("b", &["a"], json!({})),
        node("c", &["b"], json!({}))
    ]);
    for (limits, asked, broken) in [
        (json!({"max_total_tokens": 90}), 3, None),
        (json!({"max_total_tokens": 59}), 2, Some("max_total_tokens: 60 of 59")),
        (json!({"max_total_cost_usd": 0.4}), 2, Some("max_total_cost_usd")),
        (json!({"max_total_runtime_ms": 15}), 2, Some("max_total_runtime_ms: 15 of 15")),
    ] {
        let ran = run_as(&claimed(), workflow(limits.clone(), nodes.clone()), usage, answers).await;
        assert_eq!(ran.requests.len(), asked, "{limits}");
        let over_limit = ran.measured().over_limit.as_deref();
        assert_eq!(over_limit.is_some(), broken.is_some(), "{limits}: {over_limit:?}");
        assert!(
            over_limit.unwrap_or("").starts_with(broken.unwrap_or("")),
            "{limits}: {over_limit:?}"
        );
        assert!(broken.is_none() || !ran.measured().passes());
        assert_eq!(ran.report.nodes.len(), 3, "every node is reported");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_at_what_the_budget_of_the_campaign_leaves_it() {
    let usage = Usage {
        prompt_tokens: Tokens(30),
        cost: MicroUsd(7),
        latency: Millis(500),
        ..Usage::default()
    };
    let nodes = json!([node("a", &[], json!({})), node("b", &["a"], json!({}))]);
    let faults = Usage { prompt_tokens: Tokens(25), ..Usage::default() };
    let none = Allowance::default();
    for (allowance, spent_on_faults, broken) in [
        (none, faults, None),
        (Allowance { tokens: Some(Tokens(60)), ..none }, Usage::default(), None),
        (
            Allowance { tokens: Some(Tokens(29)), ..none },
            Usage::default(),
            Some("campaign budget: max_total_tokens: 30 of 29"),
        ),
        (
            Allowance { cost: Some(MicroUsd(6)), ..none },
            Usage::default(),
            Some("campaign budget: max_total_cost_usd: $0.000007 of $0.000006"),
        ),
        (
            Allowance { time: Some(Millis(15)), ..none },
            Usage::default(),
            Some("campaign budget: max_total_runtime_ms: 500 of 15"),
        ),
        (
            Allowance { time: Some(Millis(5)), ..none },
            Usage::default(),
            Some("campaign budget: max_total_runtime_ms: 5 of 5"),
        ),
    ] {
        let run = Run { allowance, spent_on_faults, ..claimed() };
        let ran = run_as(&run, workflow(json!({}), nodes.clone()), usage, answers).await;
        assert_eq!(ran.measured().over_limit.as_deref(), broken, "{allowance:?}");
    }
    let run = Run { allowance: Allowance { tokens: Some(Tokens(70)), ..none }, ..claimed() };
    let ran = run_as(&run, workflow(json!({}), nodes.clone()), usage, answers).await;
    let told: Vec<_> = ran.requests.iter().map(|request| request.limits.max_tokens).collect();
    assert_eq!(told, [Some(70), Some(40)], "the executor is told what is left");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_a_limit_stops_is_reported_as_stopped_and_its_attempts_are_paid_for() {
    let usage = Usage { prompt_tokens: Tokens(30), ..Usage::default() };
    let nodes = json!([
        node("a", &[], json!({"retry_policy": {"max_attempts": 5}})),
        node("b", &["a"], json!({}))
    ]);
    let script: Script = |_, number| {
        if number == 1 { Reply::Fail(ErrorClass::Failed) } else { Reply::Slow(100) }
    };
    let limits = json!({"max_total_runtime_ms": 50});
    let ran = run_as(&claimed(), workflow(limits, nodes.clone()), usage, script).await;
    assert_eq!(ran.report.usage.tokens(), Tokens(30 + 101), "the second one was cut off");
    assert!(ran.node("a").attempts > 0);
    assert_eq!(ran.measured().blocked.iter().map(NodeId::as_str).collect::<Vec<_>>(), ["b"]);
    // Within a node, an attempt more than the limit allows is not made, and each knows what is left.
    let limits = json!({"max_total_tokens": 50});
    let ran =
        run_as(&claimed(), workflow(limits, nodes), usage, |_, _| Reply::Fail(ErrorClass::Failed))
            .await;
    assert_eq!(
        ran.requests.iter().map(|request| request.limits.max_tokens).collect::<Vec<_>>(),
        [Some(50), Some(20)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cut_off_is_charged_what_it_may_have_cost() {
    let quote = Usage {
        prompt_tokens: Tokens(1),
        completion_tokens: Tokens(100),
        cost: MicroUsd(1000),
        estimated: true,
        ..Usage::default()
    };
    let timed = |ms| Usage { latency: Millis(ms), ..quote };
    // By the timeout of its node: the second attempt answers.
    let slow = json!({"timeout_ms": 1000, "retry_policy": {"max_attempts": 2}});
    let script: Script = |_, number| Reply::Slow(if number == 1 { 60_000 } else { 1 });
    let counted = Usage { prompt_tokens: Tokens(3), ..Usage::default() };
    let nodes = json!([node("a", &[], slow)]);
    let ran = run_as(&claimed(), workflow(json!({}), nodes), counted, script).await;
    assert_eq!(ran.node("a").usage, timed(1000).plus(counted));
    assert_eq!(ran.report.usage, ran.node("a").usage);
    // By the time of the run, and by a fault of another node at work.
    let both = || json!([node("a", &[], json!({})), node("b", &[], json!({}))]);
    let parallel = json!({"max_parallel_agents": 2, "max_total_runtime_ms": 500});
    let ran = run(workflow(parallel.clone(), both()), |_, _| Reply::Slow(60_000)).await;
    assert_eq!(ran.report.usage, timed(500).plus(timed(500)));
    let script: Script = |node, _| match node {
        "a" => Reply::Fail(ErrorClass::Configuration),
        _ => Reply::Slow(60_000),
    };
    let ran = run(workflow(parallel, both()), script).await;
    assert_eq!((ran.fault(), ran.report.usage), ("as the test says", timed(0)));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_did_not_answer_in_time_is_left_alone_before_the_next_attempt() {
    let slow = json!({"timeout_ms": 1000, "retry_policy": {"max_attempts": 3}});
    let took = async |execution: Value, model: Option<&str>| {
        let agents = json!([{"agent_id": "x", "model_policy": model}]);
        let nodes = json!([node("a", &[], slow.clone())]);
        let json = json!({"automation_id": "w", "agents": agents, "execution": execution, "flow": {"nodes": nodes}});
        let begun = tokio::time::Instant::now();
        let ran = run(Workflow::from_json(json).unwrap(), |_, _| Reply::Slow(60_000)).await;
        (ran.requests.len(), ran.node("a").attempts, begun.elapsed().as_millis())
    };
    let (asked, attempts, rested) = took(json!({}), Some("acme/m")).await;
    assert_eq!((asked, attempts), (3, 3), "a timeout is an attempt of the definition");
    assert!((3000 + 1500..=3000 + 3000).contains(&rested), "{rested}");
    assert_eq!(took(json!({}), None).await, (3, 3, 3000), "nobody outside is to be left alone");
    let short = json!({"max_total_runtime_ms": 1400});
    assert_eq!(took(short, Some("acme/m")).await, (2, 1, 1400), "the run has no time to wait");
}

#[tokio::test(start_paused = true)]
async fn as_many_nodes_run_at_once_as_the_workflow_allows() {
    let nodes: Vec<_> =
        ["a", "b", "c", "d", "e"].iter().map(|id| node(id, &[], json!({}))).collect();
    for (execution, most) in [
        (json!({}), 1),
        (json!({"max_parallel_agents": 3}), 3),
        (json!({"max_parallel_agents": 16}), 5),
    ] {
        let ran = run(workflow(execution, json!(nodes)), answers).await;
        assert_eq!((ran.most_at_once, ran.requests.len()), (most, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_a_failed_node_is_blocked_and_the_rest_runs() {
    let nodes = json!([
        node("a", &[], json!({})),
        node("b", &["a"], json!({})),
        node("c", &["b"], json!({})),
        node("d", &[], json!({}))
    ]);
    let script: Script = |id, _| {
        if id == "a" { Reply::Fail(ErrorClass::Failed) } else { Reply::Slow(1) }
    };
    let ran = run(workflow(json!({}), nodes), script).await;
    assert_eq!(ran.asked(), ["a", "d"]);
    assert_eq!(ran.measured().blocked.iter().map(NodeId::as_str).collect::<Vec<_>>(), ["b", "c"]);
    for id in ["b", "c"] {
        let report = ran.node(id);
        assert_eq!(
            (report.attempts, report.result.as_ref().unwrap_err().class),
            (0, ErrorClass::Blocked)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_triage_gate_leaves_without_work_is_skipped_and_counts_as_missing() {
    let contract = json!({"output_contract": {"kind": "text", "validator": "generic_artifact"}});
    let nodes = || {
        json!([
            node("gate", &[], json!({"triage_gate": true})),
            node("answer", &["gate"], contract.clone()),
            node("check", &["answer"], json!({})),
            node("a", &[], json!({})),
            node("sum", &["check", "a"], json!({})),
        ])
    };
    let idle = |objective: &str, _: u32| match objective {
        "gate" => Reply::Answer(json!({"has_work": false})),
        "a" => Reply::Answer(json!("secret-label")),
        _ => Reply::Answer(json!("some text that is long enough to be an artifact")),
    };
    let ran = run(workflow(json!({}), nodes()), idle).await;
    assert_eq!(ran.asked(), ["gate", "a", "sum"]);
    let measured = ran.measured();
    assert_eq!(measured.blocked, [], "nothing kept it from starting");
    let checks: Vec<_> = (measured.checks.iter())
        .map(|check| (check.node.as_str(), check.outcome.passes()))
        .collect();
    assert_eq!(checks, [("answer", false), ("a", true)]);
    assert_eq!(measured.checks[0].unmet, ["the node did not run"]);
    assert!(!measured.passes());

    let busy = |objective: &str, _: u32| match objective {
        "gate" => Reply::Answer(json!({"has_work": true})),
        "a" => Reply::Answer(json!("secret-label")),
        _ => Reply::Answer(json!("some text that is long enough to be an artifact")),
    };
    let ran = run(workflow(json!({}), nodes()), busy).await;
    assert_eq!(ran.asked(), ["gate", "answer", "check", "a", "sum"]);
    assert!(ran.measured().passes());
}

#[tokio::test(start_paused = true)]
async fn attempts_have_ids_of_their_own_that_stay_when_the_claim_is_the_same() {
    let nodes = || {
        json!([
            node("a", &[], json!({"retry_policy": {"max_attempts": 3}})),
            node("b", &[], json!({}))
        ])
    };
    let script: Script = |_, _| Reply::Fail(ErrorClass::Failed);
    let attempts = async |run: Run| {
        let ran = run_as(&run, workflow(json!({}), nodes()), Usage::default(), script).await;
        ran.requests.into_iter().map(|request| request.attempt).collect::<Vec<_>>()
    };
    let first = attempts(claimed()).await;
    assert_eq!(first.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3, 1]);
    assert_eq!(attempts(claimed()).await, first);
    let again = attempts(Run { epoch: Epoch(2), ..claimed() }).await;
    let other = attempts(Run { id: RunId::derive(&[b"other"]), ..claimed() }).await;
    let ids: std::collections::BTreeSet<_> =
        [&first, &again, &other].into_iter().flatten().map(|attempt| &attempt.id).collect();
    assert_eq!(ids.len(), 12);
    let seeds =
        |attempts: &[Attempt]| attempts.iter().map(|attempt| attempt.seed).collect::<Vec<_>>();
    assert_eq!(seeds(&first), seeds(&again), "luck is the run's, not the claim's");
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_too_large_is_no_output_and_a_long_one_is_left_out_of_the_record() {
    let nodes = || json!([node("a", &[], json!({}))]);
    let ran =
        run(workflow(json!({}), nodes()), |_, _| Reply::Answer(json!("x".repeat(5 << 20)))).await;
    assert_eq!(ran.node("a").result.as_ref().unwrap_err().class, ErrorClass::InvalidOutput);
    let ran =
        run(workflow(json!({}), nodes()), |_, _| Reply::Answer(json!("x".repeat(1 << 20)))).await;
    assert_eq!(
        ran.node("a").result,
        Ok(json!({"optim_truncated": {"bytes": (1 << 20) + 2, "kept": 0}}))
    );
}

#[tokio::test]
async fn a_run_works_in_a_copy_of_the_template_or_is_void() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("files")).unwrap();
    std::fs::write(folder.path().join("files/a.txt"), "text").unwrap();
    let definition = |template: &str| {
        let nodes = json!([node(
            "a",
            &[],
            json!({"output_contract":
            {"kind": "k", "validator": "code_patch"}})
        )]);
        let mut json = workflow(json!({}), nodes).to_json();
        json["metadata"] = json!({"optim": {"workspace_template": template}});
        Arc::new(Workflow::from_json(json).unwrap())
    };
    let (requests, at_once, most_at_once) =
        (Mutex::default(), AtomicUsize::new(0), AtomicUsize::new(0));
    let script: Script = |_, _| {
        Reply::Answer(json!(
            "--- a.txt\n+++ a.txt\n@@ -1 +1 @@\n-text\n\\ No newline at end of file\n+more\n\\ No newline at end of file\n"
        ))
    };
    let executor = Scripted { script, usage: Usage::default(), requests, at_once, most_at_once };
    let runner = Runner::new(
        Arc::new(executor),
        Arc::new(Engines::default()),
        Arc::new(ManualClock::default()),
    );
    let (run, case) = (claimed(), Case { expect: Vec::new(), ..case() });
    let job = |template| Job {
        run: &run,
        workflow: definition(template),
        case: &case,
        folder: folder.path(),
    };
    match runner.run(job("files")).await.outcome {
        CaseOutcome::Measured(measured) => assert!(measured.passes(), "{measured:?}"),
        CaseOutcome::Void { fault } => panic!("{fault}"),
    }
    match runner.run(job("nowhere")).await.outcome {
        CaseOutcome::Void { fault } => {
            assert!(fault.contains("workspace template") && fault.contains("nowhere"), "{fault}")
        }
        CaseOutcome::Measured(measured) => panic!("{measured:?}"),
    }
}

#[tokio::test]
async fn an_executor_is_asked_once_for_an_output_that_meets_its_contract() {
    let mut executor = crate::executor::MockNodeExecutor::new();
    executor
        .expect_execute()
        .times(1)
        .returning(|_| NodeResponse { result: Ok(json!("done")), usage: Usage::default() });
    executor.expect_provider().return_const(None);
    executor.expect_quote().return_const(None);
    let clock = Arc::new(ManualClock::at(Timestamp(0)));
    let runner = Runner::new(Arc::new(executor), Arc::new(Engines::default()), clock);
    let workflow = workflow(
        Value::Null,
        json!([node("a", &[], json!({"retry_policy": {"max_attempts": 3}}))]),
    );
    let (run, case) = (claimed(), case());
    let job = Job { run: &run, workflow: Arc::new(workflow), case: &case, folder: Path::new("/") };
    let report = runner.run(job).await;
    assert_eq!(report.nodes.first().map(|node| node.attempts), Some(1));
}

#[tokio::test(start_paused = true)]
async fn an_executor_sees_nothing_that_an_evaluation_does_not_get_and_the_run_says_what_that_is() {
    let document = json!({
        "automation_id": "w",
        "output_targets": ["s3://secret-bucket"],
        "agents": [{
            "agent_id": "x",
            "tool_policy": {"allowlist": ["read", "secret-tool"]},
            "mcp_policy": {"allowed_servers": ["secret-server"]},
        }],
        "flow": {"nodes": [node("a", &[], json!({})), node("b", &["a"], json!({}))]},
    });
    let workflow = Workflow::from_json(document).unwrap();
    let executed = workflow.fingerprint();
    let ran = run(workflow, |_, _| Reply::Answer(json!(1))).await;
    assert_eq!(ran.asked(), ["a", "b"]);
    for request in &ran.requests {
        let policy = &request.agent["tool_policy"];
        assert_eq!(policy["allowlist"], json!(["read"]));
        let mut visible = serde_json::to_value(request).unwrap();
        // That a tool is forbidden is no way to use it.
        visible["agent"]["tool_policy"]["denylist"] = Value::Null;
        assert!(!visible.to_string().contains("secret"), "{visible:#}");
    }
    let denied: Vec<_> = ran.report.denied.iter().map(ToString::to_string).collect();
    assert_eq!(
        denied,
        [
            "output target `s3://secret-bucket`",
            "tool `secret-tool` of agent `x`",
            "MCP server `secret-server` of agent `x`",
        ]
    );
    assert_eq!(ran.report.executed, executed, "it is the definition that was frozen");
}
