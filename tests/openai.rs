//! Campaigns on the `openai` executor, against a server of the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Project, root};

/// A server that answers every request alike, and keeps what it was asked.
pub(crate) struct Server {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    /// Answers each request with what `answer` makes of it.
    pub(crate) fn start(
        status: &'static str,
        answer: impl Fn(&Value) -> Value + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests: Arc<Mutex<Vec<Value>>> = Arc::default();
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&stream.unwrap(), status, &answer, &seen);
            }
        });
        Self { port, requests }
    }

    /// A model that finds the same day in every order.
    pub(crate) fn stubborn() -> Self {
        Self::start("200 OK", |_| completion("tomorrow"))
    }

    /// A model that finds the right days once the instruction says how to write them.
    fn willing() -> Self {
        let pack = std::fs::read_to_string(root().join("examples/delivery-day/cases/orders.jsonl"));
        let cases: Vec<Value> =
            pack.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self::start("200 OK", move |request| {
            let prompt = request["messages"][1]["content"].as_str().unwrap();
            if !prompt.contains("YYYY-MM-DD") {
                return completion("tomorrow");
            }
            let is_asked =
                |case: &&Value| prompt.contains(case["inputs"]["order"].as_str().unwrap());
            let case = cases.iter().find(is_asked).unwrap();
            completion(case["expect"][0]["value"].as_str().unwrap())
        })
    }

    pub(crate) fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }
}

pub(crate) fn completion(day: &str) -> Value {
    let content = json!({"day": day}).to_string();
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110});
    json!({"choices": [{"message": {"content": content}, "finish_reason": "stop"}], "usage": usage})
}

fn serve(
    mut stream: &TcpStream,
    status: &str,
    answer: impl Fn(&Value) -> Value,
    seen: &Mutex<Vec<Value>>,
) {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_ok() && length > 0 {
        let request = serde_json::from_slice(&body).unwrap();
        let answer = answer(&request).to_string();
        seen.lock().unwrap().push(request);
        let length = answer.len();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        drop(stream.write_all((head + &answer).as_bytes()));
    }
}

/// The example, asking `server`.
fn project(server: &Server) -> Project {
    let project = Project::example_named("delivery-day");
    project.replace("optim.toml", "127.0.0.1:8080", &format!("127.0.0.1:{}", server.port));
    project
}

/// The example with a provider that costs money.
pub(crate) fn priced(server: &Server) -> Project {
    let project = project(server);
    let prices = "prices.\"qwen2.5-coder-0.5b-instruct\" = \
                  { input_usd_per_million = 1.5, output_usd_per_million = 6.0 }";
    project.replace("optim.toml", "prices = \"free\"", prices);
    project
}

#[test]
fn what_is_missing_is_told_before_anything_is_asked_or_stored() {
    let server = Server::stubborn();
    let free = "prices = \"free\"";
    let keyed = &format!("{free}\napi_key_env = \"NOT_SET_ANYWHERE\"");
    let model = "model_policy: { default_model: { provider_id: local, model_id: qwen2.5-coder-0.5b-instruct } }";
    for (change, args, code) in [
        (Some(("optim.toml", free, "")), &["run"][..], "price_unknown"),
        (Some(("optim.toml", free, keyed)), &["run"], "key_missing"),
        (Some(("workflow.yaml", model, "")), &["run"], "model_missing"),
        (None, &["run", "--model", "other/m"], "provider_unknown"),
    ] {
        let project = project(&server);
        if let Some((file, from, to)) = change {
            project.replace(file, from, to);
        }
        let args: Vec<_> = args.iter().copied().chain(["--json"]).collect();
        project.optim(args).refused(3, code);
        project.optim(["status"]).refused(5, "campaign_not_found");
    }
    priced(&server).optim(["run", "--json"]).refused(3, "cost_limit_missing");
    assert!(server.requests().is_empty());
}

#[test]
fn a_model_that_costs_money_is_announced_and_paid_for_from_the_budget() {
    let server = Server::stubborn();
    let project = priced(&server);
    project.replace("policy/budget.yaml", "max_total_cost_usd: null", "max_total_cost_usd: 0.005");
    let ran = project.optim(["run", "--json"]);
    let said = &ran.stderr;
    assert!(said.contains("at most $0.005000 in this campaign"), "{ran}");
    assert!(said.contains("for one case run"), "{ran}");
    // A request costs 0.00021 dollars, so the limit is reached within 24 of them.
    assert_eq!(ran.document(8)["campaign"]["status"], "paused_budget");
    assert!(server.requests().len() <= 24, "{}", server.requests().len());
}

#[test]
fn a_campaign_does_not_go_on_under_other_settings() {
    let server = Server::stubborn();
    let project = priced(&server);
    project.replace("policy/budget.yaml", "max_total_cost_usd: null", "max_total_cost_usd: 0.005");
    assert_eq!(project.optim(["run"]).code, 8);
    let asked = server.requests().len();
    project.replace("optim.toml", "temperature = 0.0", "temperature = 0.5");
    project.optim(["run", "--json"]).refused(2, "executor_changed");
    assert_eq!(server.requests().len(), asked);
}

#[test]
fn a_server_without_tls_needs_no_certificates() {
    let server = Server::stubborn();
    let project = project(&server);
    let nowhere = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|variable| (variable, "/nonexistent"));
    let listed = project.command(["list"]).envs(nowhere).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
}

#[test]
fn an_agent_behind_an_address_carries_out_a_campaign() {
    let server = Server::start(
        "200 OK",
        |request| json!({"content": {"day": "2026-04-06"}, "attempt_id": request["attempt"]["id"]}),
    );
    let project = project(&server);
    let url = format!("http://127.0.0.1:{}/agent", server.port);
    project.write(
        "optim.toml",
        format!("workflow = \"workflow.yaml\"\n[executor]\nkind = \"http\"\nurl = \"{url}\"\n"),
    );
    project.replace("policy/budget.yaml", "max_experiments: 3", "max_experiments: 1");
    let report = project.optim(["run", "--json"]).document(0);
    assert_eq!(report["campaign"]["baseline"]["cases"], json!({"num": 2, "den": 48}));
    assert!(server.requests().iter().all(|request| request["objective"].is_string()));
}

#[test]
fn a_refused_key_ends_the_campaign_after_one_request_for_each_case_run() {
    let server = Server::start("401 Unauthorized", |_| json!({"error": {"message": "no key"}}));
    let project = project(&server);
    let ran = project.optim(["run", "--json"]);
    let report = ran.document(10);
    assert_eq!(report["campaign"]["status"], "failed");
    assert_eq!(server.requests().len(), 2 * 24, "two evaluations of 24 cases");
    let said = "24 of 24 case runs gave no outcome: provider local answers 401";
    assert!(ran.stderr.contains(said), "{ran}");
}

#[test]
fn a_better_wording_for_a_model_is_found_and_an_override_stays_out_of_the_live_workflow() {
    let server = Server::willing();
    let project = project(&server);
    let before = project.read("workflow.yaml");
    let report = project.optim(["run", "--json", "--model", "local/other-model"]).document(7);
    let experiments = report["experiments"].as_array().unwrap();
    let waits = |experiment: &&Value| experiment["state"] == "recommended";
    let number = experiments.iter().find(waits).unwrap()["number"].to_string();
    assert!(server.requests().iter().all(|request| request["model"] == "other-model"));
    assert_eq!(project.optim(["approve", &number]).code, 0);
    assert_eq!(project.optim(["apply"]).code, 0);
    let after = project.read("workflow.yaml");
    assert!(after != before && !after.contains("other-model"));
    assert!(after.contains("model_id: qwen2.5-coder-0.5b-instruct"), "{after}");
    assert_eq!(project.optim(["rollback"]).code, 0);
    assert_eq!(project.read("workflow.yaml"), before);
}

#[test]
fn a_server_that_is_not_there_is_named_and_nothing_is_changed() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = Project::example_named("delivery-day");
    project.replace("optim.toml", "127.0.0.1:8080", &format!("127.0.0.1:{closed}"));
    project.replace(
        "policy/budget.yaml",
        "max_consecutive_failures: 2",
        "max_consecutive_failures: 1",
    );
    let search = |line: &&str| line.contains(r#""split":"search""#);
    let pack = project.read("cases/orders.jsonl");
    project.write("cases/orders.jsonl", pack.lines().find(search).unwrap());
    let before = project.read("workflow.yaml");
    let ran = project.optim(["run", "--json"]);
    assert_eq!(ran.document(10)["campaign"]["status"], "failed");
    assert!(ran.stderr.contains("1 of 1 case runs gave no outcome: "), "{ran}");
    assert!(ran.stderr.contains("provider local"), "{ran}");
    assert_eq!(project.read("workflow.yaml"), before);
}
