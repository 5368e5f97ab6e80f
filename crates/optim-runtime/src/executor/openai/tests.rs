//! Attempts against a server over a real socket.

use optim_core::node_io::{Attempt, Limits};

use super::super::exchange::server::{Server, Step};
use super::*;

pub(super) fn request() -> NodeRequest {
    let map = |value: Value| value.as_object().unwrap().clone();
    NodeRequest {
        objective: "Choose a queue.".to_owned(),
        inputs: map(json!({"text": "it crashes"})),
        upstream: Map::new(),
        contract: None,
        attempt: Attempt { id: "attempt-1f".to_owned(), number: 1, seed: u64::MAX },
        limits: Limits { timeout_ms: 10_000, max_output_bytes: 1000, max_tokens: None },
        working_directory: "/scratch/7".to_owned(),
        for_effect: false,
        agent: map(json!({"agent_id": "x", "model_policy": {"default_model": "acme/small"}})),
    }
}

const SCHEMA: &str = r#"{"type":"object","properties":{"queue":{"type":"string"}}}"#;

fn structured() -> NodeRequest {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    NodeRequest { contract: Some(json!({"kind": "k", "schema": schema})), ..request() }
}

/// A priced provider `acme` whose key is in a variable that Cargo sets for tests.
fn config(server: &Server, more: Value) -> OpenAiConfig {
    let price = json!({"input_usd_per_million": 2.0, "output_usd_per_million": 8.0});
    let acme = json!({
        "base_url": server.url("/v1/"), "api_key_env": "CARGO_PKG_NAME",
        "prices": {"small": price}, "requests_per_minute": 60,
    });
    let mut config = json!({"providers": {"acme": acme}});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

fn executor(server: &Server, more: Value) -> OpenAi {
    OpenAi::new(config(server, more), Path::new("/")).unwrap()
}

fn completion(content: &str) -> Step {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110});
    let choice = json!({"message": {"content": content}, "finish_reason": "stop"});
    Step::json(&json!({"choices": [choice], "usage": usage}).to_string())
}

async fn ask(step: Step, request: NodeRequest) -> NodeResponse {
    let server = Server::start(vec![step]).await;
    executor(&server, json!({})).execute(request).await
}

async fn class(step: Step) -> (ErrorClass, String) {
    let error = ask(step, structured()).await.result.unwrap_err();
    (error.class, error.message)
}

#[tokio::test]
async fn a_completion_is_an_output_with_its_tokens_and_its_price() {
    let answer = ask(completion("billing"), request()).await;
    assert_eq!(answer.result, Ok(json!("billing")));
    let Usage { prompt_tokens, completion_tokens, cost, .. } = answer.usage;
    assert_eq!((prompt_tokens, completion_tokens), (Tokens(100), Tokens(10)));
    assert_eq!(cost, MicroUsd(280));
    let answer = ask(completion("{\"queue\": \"bug\"}"), structured()).await;
    assert_eq!(answer.result, Ok(json!({"queue": "bug"})));
}

#[tokio::test]
async fn the_request_is_what_the_settings_and_the_node_say() {
    let server = Server::start(vec![completion("{}")]).await;
    let more = json!({"temperature": 0.5, "max_completion_tokens": 50});
    let mut bounded = structured();
    bounded.limits.max_tokens = Some(20);
    let _answer = executor(&server, more).execute(bounded).await;
    let more =
        json!({"structured_output": "json_object", "send_seed": false, "legacy_max_tokens": true});
    let _answer = executor(&server, more).execute(structured()).await;
    let _answer =
        executor(&server, json!({"structured_output": "off"})).execute(structured()).await;
    let requests = server.requests();
    assert!(requests[0].head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
    assert!(requests[0].head.to_ascii_lowercase().contains("authorization: bearer optim-runtime"));
    let body = |index: usize| serde_json::from_str::<Value>(&requests[index].body).unwrap();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut first = body(0);
    let messages = first.as_object_mut().unwrap().remove("messages").unwrap();
    assert_eq!(
        first,
        json!({
            "model": "small", "stream": false, "max_completion_tokens": 20, "temperature": 0.5,
            "seed": 0x7fff_ffff, "response_format":
                {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}},
        })
    );
    assert_eq!(messages, Value::Array(prompt::messages(&structured())));
    let second = body(1);
    assert_eq!(second["max_tokens"], 1024);
    assert_eq!(second["response_format"], json!({"type": "json_object"}));
    assert!(second.get("seed").is_none() && second.get("max_completion_tokens").is_none());
    assert!(body(2).get("response_format").is_none());
}

#[tokio::test]
async fn every_fault_of_a_provider_has_its_class_and_is_no_answer() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"choices\": [";
    let redirect = "location: http://127.0.0.1:1/v1\r\n";
    for (step, wanted, says) in [
        (Step::status("503 Service Unavailable", "", "down"), ErrorClass::Provider, "503: down"),
        (Step::raw(cut), ErrorClass::Provider, "broke off"),
        (Step::raw(""), ErrorClass::Provider, "broke off"),
        (Step::json("{\"choices\": ["), ErrorClass::Provider, "no chat completion"),
        (Step::json("<html>hello</html>"), ErrorClass::Provider, "<html>hello</html>"),
        (Step::json("{}"), ErrorClass::Provider, "missing field `choices`"),
        (Step::Endless, ErrorClass::Provider, "more than 263144 bytes"),
        (
            Step::status("307 Temporary Redirect", redirect, ""),
            ErrorClass::Configuration,
            "redirects",
        ),
        (
            Step::status("404 Not Found", "", ""),
            ErrorClass::Configuration,
            "providers.acme.base_url",
        ),
        (completion("the queue is billing"), ErrorClass::InvalidOutput, "no JSON"),
    ] {
        let (class, message) = class(step.clone()).await;
        assert_eq!(class, wanted, "{step:?}: {message}");
        assert!(message.contains(says), "{message}");
    }
}

#[tokio::test]
async fn a_provider_that_is_busy_says_for_how_long() {
    for (headers, wanted) in [
        ("retry-after: 31536000\r\n", Some(Millis(31_536_000_000))),
        (
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Mon, 06 Nov 1995 08:49:37 GMT\r\n",
            Some(Millis(31_536_000_000)),
        ),
        ("", None),
    ] {
        let error = ask(Step::status("429 Too Many Requests", headers, ""), request()).await;
        let error = error.result.unwrap_err();
        assert_eq!((error.class, error.retry_after), (ErrorClass::Provider, wanted), "{headers}");
    }
}

#[tokio::test]
async fn a_key_that_a_server_repeats_is_not_passed_on() {
    let (class, message) =
        class(Step::status("401 Unauthorized", "", "wrong key: optim-runtime")).await;
    assert_eq!(class, ErrorClass::Configuration);
    assert!(
        message.contains("CARGO_PKG_NAME") && message.contains("wrong key: [key]"),
        "{message}"
    );
}

#[tokio::test]
async fn tokens_that_are_not_counted_are_paid_for_by_the_byte() {
    let absurd = json!({"prompt_tokens": -5, "completion_tokens": 1e30});
    for usage in [Value::Null, absurd] {
        let choice = json!({"message": {"content": "billing"}});
        let body = json!({"choices": [choice], "usage": usage}).to_string();
        let answer = ask(Step::json(&body), request()).await;
        assert_eq!(answer.result, Ok(json!("billing")));
        let Usage { prompt_tokens, completion_tokens, cost, .. } = answer.usage;
        assert_eq!(completion_tokens.0, u64::try_from(body.len()).unwrap());
        assert!(prompt_tokens > Tokens(100) && cost > MicroUsd(200), "{:?}", answer.usage);
        assert!(answer.usage.estimated);
    }
    let choice = json!({"message": {"content": "x".repeat(2000)}});
    let wordy = ask(Step::json(&json!({"choices": [choice]}).to_string()), request()).await;
    assert_eq!(wordy.usage.completion_tokens, Tokens(1024), "no answer has more than it may");
    let lost = ask(Step::json("{\"choices\": ["), request()).await;
    assert!(lost.usage.cost > MicroUsd(200), "an answer that cannot be read is paid for, too");
    let refused = ask(Step::status("503 Service Unavailable", "", "down"), request()).await;
    assert_eq!(refused.usage.cost, MicroUsd(0));
}

fn workflow(policy: Value) -> Workflow {
    Workflow::from_json(json!({
        "automation_id": "w", "agents": [{"agent_id": "x", "model_policy": policy}],
        "flow": {"nodes": [{"node_id": "a", "agent_id": "x", "objective": "o"}]},
    }))
    .unwrap()
}

#[tokio::test]
async fn what_is_missing_is_found_before_anything_is_spent() {
    let server = Server::start(vec![completion("x")]).await;
    let limit = Some(MicroUsd(1));
    let code = |executor: &OpenAi, policy: Value, limit| {
        executor.ready(&workflow(policy), limit).err().map(|unready| unready.code())
    };
    let executor = executor(&server, json!({}));
    assert_eq!(code(&executor, json!("ACME/small"), limit), None);
    assert_eq!(code(&executor, json!("acme/small"), None), Some("cost_limit_missing"));
    assert_eq!(code(&executor, json!("acme/large"), limit), Some("price_unknown"));
    assert_eq!(code(&executor, json!("other/small"), limit), Some("provider_unknown"));
    assert_eq!(code(&executor, Value::Null, limit), Some("model_missing"));

    let free = json!({"base_url": server.url(""), "prices": "free"});
    let with = |key: Value, more: Value| {
        let mut provider = free.clone();
        provider["api_key_env"] = key;
        let mut config = json!({"providers": {"acme": provider}, "model": "acme/any"});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        OpenAi::new(serde_json::from_value(config).unwrap(), Path::new("/"))
    };
    let keyless = with(Value::Null, json!({})).unwrap();
    assert_eq!(code(&keyless, Value::Null, None), None, "the settings' model, for nothing");
    let missing = with(json!("NOT_SET_ANYWHERE"), json!({})).unwrap();
    let unready = missing.ready(&workflow(Value::Null), None).unwrap_err();
    assert_eq!(unready.code(), "key_missing");
    assert!(unready.to_string().contains("NOT_SET_ANYWHERE"), "{unready}");
    let tape = tempfile::NamedTempFile::new().unwrap();
    let tape = json!({"cassette": {"file": tape.path(), "mode": "replay"}});
    let replay = with(json!("NOT_SET_ANYWHERE"), tape).unwrap();
    assert_eq!(code(&replay, Value::Null, None), None, "no key is needed to play back");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_quote_is_no_less_than_a_try_can_cost() {
    let server = Server::start(vec![completion("x")]).await;
    let with = |max: u64| executor(&server, json!({"max_completion_tokens": max}));
    let asking = |model: &str, text: &str| {
        let mut asking = request();
        asking.agent.insert("model_policy".to_owned(), json!({"default_model": model}));
        asking.inputs.insert("text".to_owned(), json!(text));
        asking
    };
    let quote = |max: u64, text: &str| with(max).quote(&asking("acme/small", text)).unwrap();
    let small = quote(100, "");
    assert_eq!(small.completion_tokens, Tokens(100));
    assert_eq!(
        quote(1000, "").cost,
        small.cost.plus(MicroUsd(900 * 8 + 2)),
        "one digit more is sent"
    );
    let long = quote(100, &"x".repeat(1000));
    assert_eq!(
        long.cost,
        small.cost.plus(MicroUsd(2000)),
        "each byte of the inputs may be a token"
    );
    assert_eq!(with(100).quote(&asking("other/small", "")), None);
    let answer = with(100).execute(request()).await;
    let quoted = with(100).quote(&request()).unwrap();
    assert!(quoted.cost >= answer.usage.cost && quoted.tokens() >= answer.usage.tokens());
    assert!(quoted.estimated && !answer.usage.estimated);
}

#[tokio::test]
async fn a_request_whose_reply_is_lost_is_charged_its_quote_and_one_that_was_not_sent_nothing() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"choices\": [";
    for lost in [Step::raw(cut), Step::raw(""), Step::Endless] {
        let server = Server::start(vec![lost.clone()]).await;
        let executor = executor(&server, json!({}));
        let mut answer = executor.execute(request()).await;
        answer.usage.latency = Millis(0);
        assert_eq!(answer.result.unwrap_err().class, ErrorClass::Provider, "{lost:?}");
        assert_eq!(Some(answer.usage), executor.quote(&request()), "{lost:?}");
    }
    let server = Server::start(vec![completion("x")]).await;
    let executor = executor(&server, json!({}));
    drop(server);
    let mut answer = executor.execute(request()).await;
    answer.usage.latency = Millis(0);
    assert!(answer.result.unwrap_err().message.contains("cannot be reached"));
    assert_eq!(answer.usage, Usage::default());
}

#[tokio::test]
async fn providers_and_limits_are_told_to_the_scheduler() {
    let server = Server::start(vec![completion("x")]).await;
    let executor = executor(&server, json!({"model": "acme/small"}));
    let names = |policy| {
        let providers = executor.providers(&workflow(policy));
        providers.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(json!("Other/m")), ["other"]);
    assert_eq!(names(Value::Null), ["acme"]);
    let limits: Vec<_> = executor.rate_limits().into_iter().collect();
    assert_eq!(limits, [("acme".parse().unwrap(), 60)]);
}

#[tokio::test]
async fn settings_are_others_when_results_may_be() {
    let server = Server::start(vec![completion("x")]).await;
    let settings = |more: Value| executor(&server, more).settings();
    let plain = settings(json!({}));
    assert_eq!(plain, settings(json!({"proxy": "http://127.0.0.1:1"})));
    for more in
        [json!({"temperature": 0.1}), json!({"send_seed": false}), json!({"model": "acme/m"})]
    {
        assert_ne!(plain, settings(more.clone()), "{more}");
    }
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let server = Server::start(vec![completion("x")]).await;
    let refused = |more: Value| {
        OpenAi::new(config(&server, more), Path::new("/")).err().map(|error| error.to_string())
    };
    for (more, says) in [
        (json!({"providers": {}}), "executor.providers is empty"),
        (json!({"temperature": 2.1}), "executor.temperature is 2.1, allowed are 0..=2"),
        (json!({"temperature": -0.1}), "allowed are 0..=2"),
        (json!({"max_completion_tokens": 0}), "allowed are 1..=1000000"),
        (json!({"providers": {"Acme": {"base_url": "http://x"}}}), "in lower case"),
        (json!({"proxy": "no address"}), "executor.proxy"),
        (json!({"cassette": {"file": "nowhere/x", "mode": "replay"}}), "executor.cassette"),
    ] {
        let refused = refused(more.clone()).unwrap_or_default();
        assert!(refused.contains(says), "{more}: {refused}");
    }
}

#[tokio::test]
async fn a_request_off_the_record_is_no_reason_to_call() {
    let server = Server::start(vec![completion("billing")]).await;
    let folder = tempfile::tempdir().unwrap();
    let with = |mode: &str| {
        let more = json!({"cassette": {"file": "tape.jsonl", "mode": mode}});
        OpenAi::new(config(&server, more), folder.path()).unwrap()
    };
    let mut recorded = with("record").execute(request()).await;
    let player = with("replay");
    let mut played = player.execute(request()).await;
    (recorded.usage.latency, played.usage.latency) = (Millis(0), Millis(0));
    assert_eq!(recorded, played);
    let changed = NodeRequest { objective: "Choose well.".to_owned(), ..request() };
    let error = player.execute(changed).await.result.unwrap_err();
    assert_eq!(error.class, ErrorClass::Configuration);
    assert!(error.message.contains("record it first"), "{error}");
    assert_eq!(server.requests().len(), 1);
}
