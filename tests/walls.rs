//! The walls around the programs of evaluations: each way out is tried, and the same is done without walls,
//! where it works; otherwise nothing would be proven.

use std::fmt::Display;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use optim_core::node_io::{ErrorClass, NodeError, NodeRequest};
use optim_runtime::executor::NodeExecutor as _;
use optim_runtime::executor::guard::Guard;
use optim_runtime::executor::process::{Process, ProcessConfig};
use optim_runtime::executor::walls::{Connect, Enforce, Walls, gaps};
use serde_json::{Value, json};

use crate::support::{Project, optim, request, skipped, temporary, traced};

fn process(project: &Path, script: &str, walls: Walls) -> Process {
    let command = ["bash", "-c", script].map(ToOwned::to_owned).to_vec();
    let guard = Guard::new(optim().to_owned(), vec!["guard".into()]);
    let config = ProcessConfig { command, env: Vec::new(), walls };
    Process::new(config, project).unwrap().guarded_by(Some(guard)).unwrap()
}

async fn answer(script: &str, walls: Walls) -> Result<Value, NodeError> {
    let (project, scratch) = (temporary(), temporary());
    process(project.path(), script, walls).execute(request(scratch.path())).await.result
}

fn off() -> Walls {
    Walls { enforce: Enforce::Off, ..Walls::default() }
}

/// Whether this system contains all; it is said when it does not.
fn is_contained() -> bool {
    let gaps = gaps(&Walls::default());
    if !gaps.is_empty() {
        skipped(&format!("this system does not contain {}", gaps.join("; ")));
    }
    gaps.is_empty()
}

/// A script that says whether it could do `act`.
fn attempt(act: impl Display) -> String {
    format!(
        r#"cat >/dev/null; if ( {act} ) >/dev/null 2>&1; then echo '{{"content": "done"}}'; else echo '{{"content": "refused"}}'; fi"#
    )
}

/// `act` must be refused behind `walls`, and work without.
async fn refused_behind(walls: Walls, act: impl Display) {
    if is_contained() {
        let script = attempt(&act);
        assert_eq!(answer(&script, walls).await, Ok(json!("refused")), "{act}");
        assert_eq!(answer(&script, off()).await, Ok(json!("done")), "the control: {act}");
    }
}

async fn refused(act: impl Display) {
    refused_behind(Walls::default(), act).await;
}

async fn allowed_behind(walls: Walls, act: impl Display) {
    assert_eq!(answer(&attempt(&act), walls).await, Ok(json!("done")), "{act}");
}

#[tokio::test]
async fn a_program_writes_nowhere_but_in_its_scratch_copy() {
    let outside = temporary();
    let path = |name: &str| outside.path().join(name).display().to_string();
    for name in ["there", "cut", "removed", "linked"] {
        std::fs::write(path(name), "text").unwrap();
    }
    refused(format!("echo x > {}", path("new"))).await;
    refused(format!("echo x >> {}", path("there"))).await;
    refused(format!("truncate -s 1 {}", path("cut"))).await;
    refused(format!("rm {0} && echo x > {0}", path("removed"))).await;
    refused(format!("mkdir -p {0} && rmdir {0}", path("folder"))).await;
    refused(format!("ln -s /etc {0} && rm {0}", path("link"))).await;
    refused(format!("ln {} here && echo x > here", path("linked"))).await;
    refused(format!("ln -s {} here && echo x > here", path("there"))).await;
    allowed_behind(Walls::default(), "mkdir a && echo x > a/b && mv a/b c && rm c && rmdir a")
        .await;
    allowed_behind(Walls::default(), "f=$(mktemp) && echo x > $f && [ -e ./${f##*/} ]").await;
    let write = vec![outside.path().display().to_string()];
    allowed_behind(Walls { write, ..Walls::default() }, format!("echo x > {}", path("new"))).await;
}

#[tokio::test]
async fn a_program_does_not_read_the_home_or_the_project() {
    let home = std::env::home_dir().expect("this user has a home");
    refused(format!("ls {}", home.display())).await;
    let project = temporary();
    let cases = project.path().join("cases.jsonl");
    std::fs::write(&cases, "what is expected").unwrap();
    let act = format!("grep expected {}", cases.display());
    refused(&act).await;
    let read = vec![project.path().display().to_string()];
    allowed_behind(Walls { read: read.clone(), ..Walls::default() }, act).await;
    refused_behind(Walls { read, ..Walls::default() }, format!("echo x > {}", cases.display()))
        .await;
}

#[tokio::test]
async fn a_program_sees_no_variable_that_is_not_declared_not_even_of_optim() {
    // This process plays optim. Cargo sets the variable for tests.
    let own = std::process::id();
    refused(format!("tr '\\0' '\\n' < /proc/{own}/environ | grep CARGO_PKG_NAME")).await;
    refused(format!("ls /proc/{own}/fd && ls /proc/{own}/cwd/ && ls /proc/{own}/root/")).await;
    let seen = answer(
        r#"cat >/dev/null; printf '{"content": "%s"}' "$(env | cut -d= -f1 | sort | tr '\n' ' ')""#,
        Walls::default(),
    );
    assert_eq!(seen.await, Ok(json!("PATH PWD SHLVL TMPDIR _ ")));
}

#[tokio::test]
async fn a_program_connects_to_nobody_who_is_not_allowed() {
    let folder = temporary();
    let socket = folder.path().join("socket");
    let _unix = UnixListener::bind(&socket).unwrap();
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0"), UdpSocket::bind("127.0.0.1:0"));
    let (tcp, udp) = (tcp.unwrap(), udp.unwrap());
    let port = tcp.local_addr().unwrap().port();
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    refused(&connect).await;
    refused(format!("echo x > /dev/udp/127.0.0.1/{}", udp.local_addr().unwrap().port())).await;
    if std::process::Command::new("perl").arg("-v").output().is_ok() {
        let act = "IO::Socket::UNIX->new(Peer => shift) or exit 1";
        refused(format!("perl -MIO::Socket::UNIX -e '{act}' {}", socket.display())).await;
        let act = "IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\") or exit 1";
        refused(format!("perl -MIO::Socket::INET -e '{act}'")).await;
    }
    let only = |port: u16| Walls { connect: Connect::Ports([port].into()), ..Walls::default() };
    refused_behind(only(port.wrapping_add(1).max(1)), &connect).await;
    allowed_behind(only(port), &connect).await;
    let any: Walls = serde_json::from_value(json!({"connect": "any"})).unwrap();
    allowed_behind(any, &connect).await;
}

#[tokio::test]
async fn a_program_signals_nobody_outside() {
    refused(format!("kill -0 {}", std::process::id())).await;
}

#[tokio::test]
async fn a_program_makes_no_device_and_has_no_powers_of_root() {
    if is_root() {
        refused("mknod disk b 7 0").await;
        refused("! grep -q '^CapPrm:.*0000000000000000' /proc/self/status").await;
    } else {
        skipped("only root makes devices");
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Leaves a daemon behind: twice forked, in a session of its own, with a pipe that is open as long as it lives.
const DAEMON: &str = "mkfifo alive; (setsid bash -c 'exec 3<>alive; : > left; exec sleep 1000' &) & \
    while [ ! -e left ]; do :; done";

/// Returns when nobody holds the pipe open any more; for that it must not be opened before.
async fn is_dead(scratch: &Path) -> bool {
    let pipe = scratch.join("alive");
    let read = tokio::task::spawn_blocking(move || {
        use std::io::Read as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        // With a reader that does not wait: zero bytes mean no writer, a refusal to wait means that there is.
        let mut options = std::fs::OpenOptions::new();
        let mut pipe = options.read(true).custom_flags(0o4000).open(pipe).unwrap();
        matches!(pipe.read(&mut [0]), Ok(0))
    });
    read.await.unwrap()
}

#[tokio::test]
async fn a_program_leaves_no_daemon_behind() {
    let script = format!("cat >/dev/null; {DAEMON}; echo '{{\"content\": 1}}'");
    for (walls, for_effect) in [(Walls::default(), false), (off(), false), (off(), true)] {
        let scratch = temporary();
        let process = process(scratch.path(), &script, walls);
        let request = NodeRequest { for_effect, ..request(scratch.path()) };
        assert_eq!(process.execute(request).await.result, Ok(json!(1)));
        assert!(!cfg!(target_os = "linux") || is_dead(scratch.path()).await);
    }
    // The control: without a guard it lives on, until its session is killed.
    let scratch = temporary();
    let command = ["bash", "-c", &script].map(ToOwned::to_owned).to_vec();
    let config = ProcessConfig { command, env: Vec::new(), walls: Walls::default() };
    let process = Process::new(config, scratch.path()).unwrap();
    assert_eq!(process.execute(request(scratch.path())).await.result, Ok(json!(1)));
    assert!(!is_dead(scratch.path()).await);
    let folder = scratch.path().canonicalize().unwrap();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        if std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder) {
            let id = entry.file_name();
            assert!(
                std::process::Command::new("kill").arg("-9").arg(id).status().unwrap().success()
            );
        }
    }
}

#[tokio::test]
async fn an_attempt_that_is_cut_off_leaves_no_daemon_behind() {
    let script = format!("{DAEMON}; : > ready; sleep 1000");
    let scratch = temporary();
    let process = process(scratch.path(), &script, Walls::default());
    let mut attempt = Box::pin(process.execute(request(scratch.path())));
    while !scratch.path().join("ready").exists() {
        tokio::select! {
            ended = &mut attempt => panic!("the program ended early: {ended:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(attempt);
    assert!(!cfg!(target_os = "linux") || is_dead(scratch.path()).await);
}

#[tokio::test]
async fn a_program_does_not_fill_the_disk() {
    let small: Walls =
        serde_json::from_value(json!({"max_file_mib": 1, "max_scratch_mib": 4})).unwrap();
    refused_behind(small.clone(), "head -c 2000000 /dev/zero > large").await;
    allowed_behind(small.clone(), "head -c 1000000 /dev/zero > large").await;
    // In many files: it is stopped, as it never ends by itself.
    let flood = "i=0; while [ $i -lt 12 ]; do head -c 1000000 /dev/zero > f$i; i=$((i+1)); done; sleep 1000";
    let stopped = tokio::time::timeout(Duration::from_secs(20), answer(flood, small.clone()));
    let error = stopped.await.expect("it is stopped").unwrap_err();
    assert_eq!(error.class, ErrorClass::Failed);
    assert!(error.message.contains("more than 4 MiB"), "{}", error.message);
    // The control: it is the wall that stops it.
    let without = tokio::time::timeout(Duration::from_secs(3), answer(flood, off()));
    assert!(without.await.is_err());
}

#[tokio::test]
async fn work_for_its_effect_has_no_walls() {
    let outside = temporary();
    let file = outside.path().join("effect");
    let script = attempt(format!("echo x > {}", file.display()));
    let scratch = temporary();
    let process = process(scratch.path(), &script, Walls::default());
    let request = NodeRequest { for_effect: true, ..request(scratch.path()) };
    assert_eq!(process.execute(request).await.result, Ok(json!("done")));
}

#[tokio::test]
async fn a_refusal_says_where_to_look() {
    if is_contained() {
        let error = answer("ls ~root/. /root; exit 1", Walls::default()).await.unwrap_err();
        assert!(
            error.message.ends_with("(executor.walls may be why: docs/isolation.md)"),
            "{error}"
        );
    }
}

/// What makes a kernel say that it has never heard of Landlock.
const WITHOUT_LANDLOCK: [&str; 4] =
    ["-e", "trace=landlock_create_ruleset", "-e", "inject=landlock_create_ruleset:error=ENOSYS"];

fn worked_off_by_a_program(walls: &str) -> Project {
    let executor = format!(
        "kind = \"process\"\ncommand = [\"/bin/sh\", \"agent.sh\"]\n[executor.walls]\n{walls}"
    );
    let project = Project::of_one_node(&executor);
    project.write("agent.sh", "cat >/dev/null; echo '{\"content\": {\"ok\": 1}}'\n");
    project.replace("policy/budget.yaml", "max_experiments:", "max_experiments: 1 #");
    project
}

#[test]
fn a_kernel_that_contains_less_is_told_of_and_refused_by_those_who_require_all() {
    let project = worked_off_by_a_program("");
    let Some(ran) = traced(&project, &WITHOUT_LANDLOCK, &["run"]) else { return };
    let files = "files outside the scratch copy (needs Linux 5.13 with Landlock)";
    assert!(ran.stderr.contains(&format!("note: evaluations do not contain {files}")), "{ran}");
    assert!(ran.stdout.contains("4 of 4"), "what is left of the walls keeps nothing out: {ran}");

    let project = worked_off_by_a_program("enforce = \"required\"");
    let refused = traced(&project, &WITHOUT_LANDLOCK, &["run"]).expect("it could be traced before");
    refused.refused(3, "config_invalid");
    refused.refused(3, files);
    if is_contained() {
        assert_eq!(project.optim(["run"]).code, 0, "the control: this kernel has all");
    }
}

#[test]
fn a_python_agent_that_path_leads_to_works_behind_walls() {
    if std::process::Command::new("python3").arg("-V").output().is_err() {
        skipped("there is no python3");
        return;
    }
    let project = Project::of_one_node("kind = \"process\"\ncommand = [\"python3\", \"agent.py\"]");
    project.write(
        "agent.py",
        "import json, sys, tempfile, subprocess\nrequest = json.load(sys.stdin)\n\
         tempfile.TemporaryFile().write(b'x')\nsubprocess.run(['true'], check=True)\n\
         print(json.dumps({'content': {'ok': 1}}))\n",
    );
    project.replace("policy/budget.yaml", "max_experiments:", "max_experiments: 1 #");
    let report = project.optim(["run", "--json"]).document(0);
    assert_eq!(report["campaign"]["baseline"]["cases"]["num"], 4, "{report}");
}
