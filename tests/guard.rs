//! Programs under guard: what they do and how they end looks as it does without one.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use optim_core::node_io::{ErrorClass, NodeError, NodeRequest};
use optim_runtime::executor::NodeExecutor as _;
use optim_runtime::executor::guard::Guard;
use optim_runtime::executor::process::{Process, ProcessConfig};
use optim_runtime::executor::walls::Walls;
use serde_json::Value;

use crate::support::{Project, optim, request, temporary};

fn guard() -> Guard {
    Guard::new(optim().to_owned(), vec!["guard".into()])
}

async fn answer(command: &[&str], folder: &Path, guard: Option<Guard>) -> Result<Value, NodeError> {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    let config = ProcessConfig { command, env: Vec::new(), walls: Walls::default() };
    let process = Process::new(config, folder).unwrap().guarded_by(guard).unwrap();
    // More than a pipe holds.
    let objective = "a line\n".repeat(100_000);
    process.execute(NodeRequest { objective, ..request(folder) }).await.result
}

#[tokio::test]
async fn a_program_answers_and_ends_under_guard_as_it_does_without() {
    let folder = temporary();
    let mut classes = Vec::new();
    for script in [
        r#"printf '{"content": '; cat; printf '}'"#,
        r#"echo '{"content": 1}'"#,
        r#"sleep 100 & echo '{"content": 2}'"#,
        r#"yes >&2 & p=$!; echo '{"content": 3}'; kill $p"#,
        r#"printf '{"content": "%s"}' "$(env | sort | grep -v -e ^TMPDIR -e ^PWD -e ^SHLVL -e ^_ | tr '\n' ' ') in $PWD""#,
        r#"echo '{"error": {"class": "blocked", "message": "no access"}}'"#,
        "yes",
        "exec >&-; exec sleep 0",
        "echo oops >&2; exit 3",
        "kill -KILL $$",
        "kill -TERM $$",
        "kill -SEGV $$",
        "kill -KILL 0",
    ] {
        let plain = answer(&["sh", "-c", script], folder.path(), None).await;
        let guarded = answer(&["sh", "-c", script], folder.path(), Some(guard())).await;
        assert_eq!(guarded, plain, "{script}");
        classes.push(plain.err().map(|error| error.class));
    }
    use ErrorClass::{Blocked, Failed, InvalidOutput};
    assert_eq!(classes[..5], [None; 5]);
    assert_eq!(classes[5..8], [Blocked, InvalidOutput, InvalidOutput].map(Some));
    assert_eq!(classes[8..], [Some(Failed); 5]);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_the_machines_fault_under_guard_too() {
    use std::os::unix::fs::PermissionsExt;
    let folder = temporary();
    let program = folder.path().join("agent");
    std::fs::write(&program, "#!/nowhere/sh\n").unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let plain = answer(&["./agent"], folder.path(), None).await;
    assert_eq!(answer(&["./agent"], folder.path(), Some(guard())).await, plain);
    assert_eq!(plain.unwrap_err().class, ErrorClass::Provider);
}

#[test]
fn an_optim_that_is_killed_takes_its_agent_and_the_agents_children_with_it() {
    let place = temporary();
    let alive = place.path().join("alive");
    let made = std::process::Command::new("mkfifo").arg(&alive).status();
    assert!(made.expect("mkfifo starts").success());
    // The agent and its child hold the pipe open as long as they live.
    let project =
        Project::scripted_by(&format!("exec 3>{}; sleep 1000 & sleep 1000", alive.display()))
            .with_access_to(place.path());
    project.replace("optim.toml", "[executor]", "[run]\ncapacity = 1\n[executor]");
    let mut process = project.command(["run"]);
    let null = std::process::Stdio::null;
    let mut process = process.stdout(null()).stderr(null()).spawn().expect("optim starts");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut pipe = std::fs::File::open(alive).unwrap();
        tell.send("opened").unwrap();
        std::io::copy(&mut pipe, &mut std::io::sink()).unwrap();
        tell.send("closed").unwrap();
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(60)), Ok("opened"));
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok("closed"), "somebody is left behind");
}
