//! Campaigns on the `openai` executor, against a server of the test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Project, root};

/// A server that answers every request alike, and keeps what it was asked.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    /// Answers each request with what `answer` makes of it.
    fn start(status: &'static str, answer: impl Fn(&Value) -> Value + Send + 'static) -> Self {
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

    /// A model that gives every message the same label.
    fn stubborn() -> Self {
        Self::start("200 OK", |_| completion("praise"))
    }

    /// A model that gives the right labels once the definition of one of them says more.
    fn willing() -> Self {
        let pack =
            std::fs::read_to_string(root().join("examples/message-intent/cases/messages.jsonl"));
        let cases: Vec<Value> =
            pack.unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Self::start("200 OK", move |request| {
            let prompt = request["messages"][0]["content"].as_str().unwrap();
            let thin = ["about a parcel\n", "about money\n", "about the website\n", "about us\n"];
            if thin.iter().all(|definition| prompt.contains(definition)) {
                return completion("praise");
            }
            let is_asked =
                |case: &&Value| prompt.contains(case["inputs"]["message"].as_str().unwrap());
            let case = cases.iter().find(is_asked).unwrap();
            completion(case["expect"][0]["value"].as_str().unwrap())
        })
    }

    fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }
}

fn completion(label: &str) -> Value {
    let content = json!({"label": label}).to_string();
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
    let project = Project::example_named("message-intent");
    project.replace("optim.toml", "127.0.0.1:8080", &format!("127.0.0.1:{}", server.port));
    project
}

/// The example with a provider that costs money.
fn priced(server: &Server) -> Project {
    let project = project(server);
    let prices = "prices.\"qwen2.5-coder-0.5b-instruct\" = \
                  { input_usd_per_million = 1.5, output_usd_per_million = 6.0 }";
    project.replace("optim.toml", "prices = \"free\"", prices);
    project
}

#[test]
fn what_is_missing_is_told_before_anything_is_asked_or_stored() {
    let server = Server::stubborn();
    for (change, args, code) in [
        (Some(("prices = \"free\"", "")), &["run"][..], "price_unknown"),
        (
            Some(("prices = \"free\"", "prices = \"free\"\napi_key_env = \"NOT_SET_ANYWHERE\"")),
            &["run"],
            "key_missing",
        ),
        (Some(("model = \"local", "# \"")), &["run"], "model_missing"),
        (None, &["run", "--model", "other/m"], "provider_unknown"),
    ] {
        let project = project(&server);
        if let Some((from, to)) = change {
            project.replace("optim.toml", from, to);
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
    project.replace("policy/budget.yaml", "max_total_cost_usd: null", "max_total_cost_usd: 0.003");
    let ran = project.optim(["run", "--json"]);
    let said = &ran.stderr;
    assert!(said.contains("at most $0.003000 in this campaign"), "{ran}");
    assert!(said.contains("for one case run"), "{ran}");
    // A request costs 0.00021 dollars, so the first replay reaches the limit.
    assert_eq!(ran.document(8)["campaign"]["status"], "paused_budget");
    assert!(server.requests().len() <= 16, "{}", server.requests().len());
}

#[test]
fn a_campaign_does_not_go_on_under_other_settings() {
    let server = Server::stubborn();
    let project = priced(&server);
    project.replace("policy/budget.yaml", "max_total_cost_usd: null", "max_total_cost_usd: 0.003");
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
        |request| json!({"content": {"label": "praise"}, "attempt_id": request["attempt"]["id"]}),
    );
    let project = project(&server);
    let url = format!("http://127.0.0.1:{}/agent", server.port);
    project.write(
        "optim.toml",
        format!("workflow = \"workflow.yaml\"\n[executor]\nkind = \"http\"\nurl = \"{url}\"\n"),
    );
    project.replace("policy/budget.yaml", "max_experiments: 3", "max_experiments: 1");
    let report = project.optim(["run", "--json"]).document(0);
    assert_eq!(report["campaign"]["baseline"]["cases"], json!({"num": 8, "den": 32}));
    assert!(server.requests().iter().all(|request| request["objective"].is_string()));
}

#[test]
fn a_refused_key_ends_the_campaign_after_one_request_for_each_case_run() {
    let server = Server::start("401 Unauthorized", |_| json!({"error": {"message": "no key"}}));
    let project = project(&server);
    let ran = project.optim(["run", "--json"]);
    let report = ran.document(10);
    assert_eq!(report["campaign"]["status"], "failed");
    assert_eq!(server.requests().len(), 2 * 16, "two evaluations of 16 cases");
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
    assert!(after != before && !after.contains("other-model") && !after.contains("model_policy"));
    assert_eq!(project.optim(["rollback"]).code, 0);
    assert_eq!(project.read("workflow.yaml"), before);
}
