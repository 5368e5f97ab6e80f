//! One process owns the store and executes the verbs of others.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Project, Ran, optim, temporary};
use serde_json::{Value, json};

/// How long an owner waits for an asker that does not read.
const DEAF_MAX: Duration = Duration::from_secs(10);

/// Agents wait at a gate before they answer.
struct Gate {
    folder: tempfile::TempDir,
}

impl Gate {
    fn shut() -> Self {
        let folder = temporary();
        let made = Command::new("mkfifo").arg(folder.path().join("gate")).status();
        assert!(made.expect("mkfifo starts").success());
        Self { folder }
    }

    /// A project whose agent waits at the gate.
    fn project(&self) -> Project {
        let gate = self.folder.path().display();
        Project::scripted_by(&format!(
            "cat >/dev/null; : > {gate}/started; : < {gate}/gate; echo '{{\"content\": {{}}}}'"
        ))
        .with_access_to(self.folder.path())
    }

    /// Waits until an agent is at the gate.
    fn await_agent(&self, owner: &mut Child) {
        while !self.folder.path().join("started").exists() {
            assert!(owner.try_wait().unwrap().is_none(), "the owner ended early");
            std::thread::yield_now();
        }
    }

    /// Lets agents through as long as what it returns is kept: a pipe with a writer can be opened.
    fn open(&self) -> File {
        let gate = self.folder.path().join("gate");
        OpenOptions::new().read(true).write(true).open(gate).expect("the gate opens")
    }
}

fn start(project: &Project, args: &[&str]) -> Child {
    let mut command = project.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("optim starts")
}

fn ended(child: Child) -> Ran {
    Ran::of(child.wait_with_output().expect("the process ends"))
}

/// Reads what a process tells until a line holds `words`.
fn read_until(stderr: &mut BufReader<ChildStderr>, words: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended before it said {words:?}");
        if line.contains(words) {
            return line;
        }
    }
}

fn socket(project: &Project) -> PathBuf {
    project.path().join(".optim/control.sock")
}

/// Where the campaign stands, whoever says so.
fn status(project: &Project) -> Value {
    without_work(project.optim(["status", "--json"]).document(0))
}

fn without_work(mut status: Value) -> Value {
    status.as_object_mut().unwrap().remove("work");
    status
}

#[test]
fn a_second_process_pauses_resumes_and_cancels_what_the_first_one_runs() {
    let gate = Gate::shut();
    let project = gate.project();
    let mut owner = start(&project, &["run", "--wait", "--json"]);
    gate.await_agent(&mut owner);
    assert_eq!(status(&project)["campaign"]["status"], "running");
    assert_eq!(project.optim(["pause", "--reason", "lunch"]).code, 0);
    let paused = status(&project);
    assert_eq!(paused["campaign"]["status"], "paused_manual");
    assert_eq!(paused["campaign"]["reason"], "paused by local:tester: lunch");
    project.optim(["pause"]).refused(6, "campaign_wrong_status");
    assert_eq!(project.optim(["resume"]).code, 0);
    assert_eq!(status(&project)["campaign"]["status"], "running");
    assert_eq!(project.optim(["cancel", "--reason", "enough"]).code, 0);
    let report = ended(owner).document(11);
    assert_eq!(report["campaign"]["reason"], "cancelled by local:tester: enough");
    assert!(!socket(&project).exists(), "the socket goes with its owner");
    assert_eq!(status(&project)["campaign"], report["campaign"]);
}

#[test]
fn a_store_is_looked_after_while_its_owner_works() {
    let gate = Gate::shut();
    let project = gate.project();
    let mut owner = start(&project, &["run", "--wait", "--json"]);
    gate.await_agent(&mut owner);
    project.optim(["store", "verify"]).ended(0);
    let stat = project.optim(["store", "stat", "--json"]).document(0);
    assert_eq!(stat["store"]["tables"]["campaigns"], 1);
    let head = project.optim(["audit", "head"]).stdout.trim().to_owned();
    assert_eq!(stat["store"]["head"], head.as_str());
    project.optim(["audit", "verify", "--head", &head]).ended(0);
    let file = project.path().join("store.jsonl").display().to_string();
    let exported = project.optim(["store", "export", &file, "--json"]).document(0);
    project.optim(["store", "gc"]).ended(0);
    assert_eq!(project.optim(["cancel"]).code, 0);
    assert_eq!(ended(owner).code, 11);
    let copy = gate.project();
    let imported = copy.optim(["store", "import", &file, "--json"]).document(0);
    assert_eq!(imported["hash"], exported["hash"]);
    assert_eq!(copy.optim(["audit", "head"]).stdout.trim(), head);
    assert_eq!(status(&copy)["campaign"]["status"], "running");
    project.optim(["audit", "verify", "--head", &head]).ended(0);
}

#[test]
fn an_approval_from_a_second_process_continues_the_campaign() {
    let project = Project::example();
    let mut owner = start(&project, &["run", "--wait"]);
    let mut told = BufReader::new(owner.stderr.take().unwrap());
    read_until(&mut told, "#1 on the holdout cases");
    let waiting = status(&project);
    assert_eq!(waiting["campaign"]["status"], "awaiting_promotion_approval");
    project.optim(["approve", "2"]).refused(5, "experiment_not_found");
    assert_eq!(project.optim(["approve", "1", "--reason", "it reads well"]).code, 0);
    read_until(&mut told, "#2");
    let shown = project.optim(["show", "1", "--json"]).document(0);
    assert_eq!(shown["experiment"]["state"]["by"]["actor"], "local:tester");
    assert_eq!(status(&project)["campaign"]["baseline_version"], 1);
    assert_eq!(project.optim(["apply"]).code, 0);
    assert_eq!(project.optim(["cancel"]).code, 0);
    std::io::copy(&mut told, &mut std::io::sink()).unwrap();
    assert_eq!(owner.wait().unwrap().code(), Some(11));
}

#[test]
fn a_verb_says_the_same_whether_it_is_executed_here_or_by_the_owner() {
    let project = Project::example();
    project.optim(["run"]);
    let verbs: &[&[&str]] = &[
        &["list"],
        &["list", "--json"],
        &["status", "nobody", "--json"],
        &["show", "1"],
        &["show", "1", "--json"],
        &["show", "99"],
        &["approve", "99", "--json"],
        &["reject", "1", "--reason", " "],
        &["resume"],
        &["apply"],
        &["rollback", "--json"],
        &["try", "--node", "nobody", "--field", "timeout_ms", "--value", "1"],
        &["try", "--node", "classify", "--field", "objective", "--text-file", "no such file"],
    ];
    let say = || -> Vec<_> {
        let said = verbs.iter().map(|verb| project.optim(*verb));
        said.map(|ran| (ran.code, ran.stdout, ran.stderr)).collect()
    };
    let (here, standing) = (say(), status(&project));
    let mut owner = start(&project, &["run", "--wait"]);
    while !socket(&project).exists() {
        assert!(owner.try_wait().unwrap().is_none(), "the owner ended early");
        std::thread::yield_now();
    }
    let run = project.optim(["run"]);
    run.refused(6, "already_running");
    assert!(run.stderr.contains(&owner.id().to_string()), "the owner is named: {run}");
    assert_eq!(say(), here);
    assert_eq!(status(&project), standing);
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(here.iter().any(|(code, ..)| *code == 0) && here.iter().any(|(code, ..)| *code == 6));
}

#[test]
fn the_status_tells_what_runs_and_what_waits_for_what() {
    let gate = Gate::shut();
    let project = gate.project();
    project.replace("optim.toml", "[executor]", "[run]\ncapacity = 1\n[executor]");
    let mut owner = start(&project, &["run", "--wait", "--json"]);
    gate.await_agent(&mut owner);
    let work = project.optim(["status", "--json"]).document(0)["work"].clone();
    assert_eq!((&work["process"], &work["active"]), (&owner.id().into(), &1.into()));
    let waiting = work["waiting"].as_array().unwrap();
    let for_a_slot = waiting.iter().find(|waiting| waiting["reason"] == "capacity");
    assert_eq!(for_a_slot.expect("one waits for a slot")["runs"], 1, "{work:#}");
    assert_eq!(
        work["loops"]["reconciler"],
        json!({"running": true, "panics": 0, "last_error": null})
    );
    let said = project.optim(["status"]).stdout;
    let expected = format!("process {} runs 1 case runs", owner.id());
    assert!(said.contains(&expected) && said.contains("1 wait for capacity"), "{said}");
    assert_eq!(project.optim(["cancel"]).code, 0);
    ended(owner);
    assert_eq!(project.optim(["status", "--json"]).document(0)["work"], Value::Null);
}

#[test]
fn whoever_follows_sees_the_end_and_a_change_of_ones_own_is_judged_by_the_owner() {
    let gate = Gate::shut();
    let project = gate.project();
    project.replace("policy/budget.yaml", "max_experiments: 1", "max_experiments: 2");
    let mut owner = start(&project, &["run", "--json"]);
    gate.await_agent(&mut owner);
    let follower = start(&project, &["status", "--follow", "--json"]);
    let value = ["--node", "classify", "--field", "timeout_ms", "--value", "65000"];
    let mut tried = start(&project, &[&["try", "--json"], &value[..]].concat());
    let mut told = BufReader::new(tried.stderr.take().unwrap());
    let open = gate.open();
    read_until(&mut told, "classify.timeout_ms");
    std::io::copy(&mut told, &mut std::io::sink()).unwrap();
    let tried = ended(tried);
    // The campaign may have a proposal of its own left.
    assert!(matches!(tried.code, 0 | 7), "{tried}");
    let tried = tried.document(tried.code);
    assert_eq!(tried["experiments"][0]["proposer"], "operator");
    assert_eq!(tried["experiments"][0]["verdict"], "discard");
    let followed = without_work(ended(follower).document(0));
    assert_eq!(followed, ended(owner).document(0));
    drop(open);
}

#[test]
fn a_follower_is_told_when_the_owner_is_asked_to_end() {
    let gate = Gate::shut();
    let project = gate.project();
    let mut owner = start(&project, &["run"]);
    gate.await_agent(&mut owner);
    status(&project);
    let mut follower = UnixStream::connect(socket(&project)).unwrap();
    let follow = json!({"status": {"campaign": null, "follow": true}});
    follower.write_all(&request(1, follow)).unwrap();
    let mut told = BufReader::new(follower);
    let mut accepted = String::new();
    told.read_line(&mut accepted).unwrap();
    assert_eq!(accepted, "\"accepted\"\n");
    let term = Command::new("kill").args(["-TERM", &owner.id().to_string()]).status();
    assert!(term.unwrap().success());
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert!(
        rest.contains("error[stopped]") && rest.ends_with("{\"exit\":\"terminated\"}\n"),
        "{rest}"
    );
    ended(owner).refused(143, "error[stopped]");
}

#[test]
fn a_socket_that_a_killed_owner_left_is_in_nobodys_way() {
    let gate = Gate::shut();
    let project = gate.project();
    let mut owner = start(&project, &["run"]);
    gate.await_agent(&mut owner);
    status(&project);
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(socket(&project).exists());
    assert_eq!(status(&project)["campaign"]["status"], "running");
    let open = gate.open();
    let mut next = start(&project, &["run", "--json"]);
    gate.await_agent(&mut next);
    assert_eq!(ended(next).document(0)["campaign"]["status"], "completed");
    drop(open);
}

#[test]
fn a_store_whose_owner_cannot_be_asked_is_refused() {
    let gate = Gate::shut();
    let project = gate.project();
    let mut owner = start(&project, &["run"]);
    gate.await_agent(&mut owner);
    status(&project);
    std::fs::remove_file(socket(&project)).unwrap();
    let refused = project.optim(["status"]);
    refused.refused(6, "store_owned");
    assert!(refused.stderr.contains(&owner.id().to_string()), "the holder is named: {refused}");
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn verbs_that_come_at_once_wait_for_each_other() {
    let project = Project::example();
    project.optim(["run"]);
    let at_once = || {
        let all: Vec<_> = (0..8).map(|_| start(&project, &["status", "--json"])).collect();
        all.into_iter().map(|one| without_work(ended(one).document(0))).collect::<Vec<_>>()
    };
    let alone = at_once();
    let mut owner = start(&project, &["run", "--wait"]);
    let owned = at_once();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(alone.iter().chain(&owned).all(|one| one == &alone[0]));
}

/// A request as it goes over the socket.
fn request(protocol: u32, verb: Value) -> Vec<u8> {
    let head = json!({"protocol": protocol, "directory": "/", "folder": ".", "json": false});
    let mut request = head.as_object().unwrap().clone();
    request.insert("verb".to_owned(), verb);
    format!("{}\n", Value::Object(request)).into_bytes()
}

/// What the owner answers to these bytes.
fn answer(path: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    // The owner may have heard enough before all is said.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8(answer).unwrap()
}

#[test]
fn nonsense_on_the_socket_is_refused_and_disturbs_nobody() {
    let gate = Gate::shut();
    let project = gate.project();
    let mut owner = start(&project, &["run", "--json"]);
    gate.await_agent(&mut owner);
    let before = status(&project);
    let path = socket(&project);

    let listed = answer(&path, &request(1, json!({"list": {"all": false}})));
    assert!(listed.starts_with("\"accepted\"\n") && listed.ends_with("{\"exit\":\"success\"}\n"));
    for (nonsense, why) in [
        (b"hello\n".to_vec(), "malformed"),
        (vec![0xff, 0, b'\n'], "malformed"),
        (b"{}\n".to_vec(), "protocol"),
        (vec![b' '; 1024 * 1024], "262144 bytes"),
        (
            format!(
                "{{\"protocol\": 1, \"verb\": {}{}}}\n",
                "[".repeat(100_000),
                "]".repeat(100_000)
            )
            .into_bytes(),
            "expected value",
        ),
        (request(1, json!("destroy")), "unknown variant"),
        (
            request(1, json!({"pause": {"campaign": null, "reason": null, "more": 1}})),
            "unknown field",
        ),
        (request(7, json!({"list": {"all": false}})), "\"owner\":1,\"asker\":7"),
    ] {
        let answer = answer(&path, &nonsense);
        assert!(answer.starts_with("{\"refused\":") && answer.contains(why), "{why}: {answer}");
    }
    // One that says nothing, one that goes away at once, and many that never read.
    let _silent = UnixStream::connect(&path).unwrap();
    drop(UnixStream::connect(&path).unwrap());
    let deaf: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.write_all(&request(1, json!({"list": {"all": false}}))).unwrap();
            stream
        })
        .collect();
    assert_eq!(status(&project), before, "nothing is lost and nothing is changed");
    let open = gate.open();
    assert_eq!(ended(owner).document(0)["campaign"]["status"], "completed");
    drop((open, deaf));
}

/// Has the owner execute `verb` for an asker that reads no more than that.
fn accepted(project: &Project, verb: Value) -> UnixStream {
    let mut asker = UnixStream::connect(socket(project)).unwrap();
    asker.write_all(&request(1, verb)).unwrap();
    let mut said = [0; b"\"accepted\"\n".len()];
    asker.read_exact(&mut said).unwrap();
    assert_eq!(said, *b"\"accepted\"\n");
    asker
}

#[test]
fn an_owner_that_answers_all_it_can_refuses_the_next_and_is_free_again_later() {
    let gate = Gate::shut();
    let project = gate.project();
    let mut owner = start(&project, &["run"]);
    gate.await_agent(&mut owner);
    status(&project);
    let follow = json!({"status": {"campaign": null, "follow": true}});
    let mut followers: Vec<_> = (0..64).map(|_| accepted(&project, follow.clone())).collect();
    let refused = project.optim(["pause"]);
    refused.refused(10, "control_busy");
    assert!(refused.stderr.contains("answers 64 requests already"), "{refused}");
    drop(followers.pop());
    // The owner notices a little later that the follower is gone.
    let freed = loop {
        let status = project.optim(["status", "--json"]);
        if status.code != 10 {
            break status.document(0);
        }
    };
    assert_eq!(freed["campaign"]["status"], "running", "the refused verb was not executed");
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn threat_46_a_second_signal_ends_an_owner_that_waits_for_one_that_does_not_read() {
    let gate = Gate::shut();
    let project = gate.project();
    // More than the socket holds.
    let comment = format!("{}\n# {}\n", project.read("workflow.yaml"), "x".repeat(4 << 20));
    project.write("large.yaml", comment);
    project
        .optim(["workflow", "put", &project.path().join("large.yaml").display().to_string()])
        .ended(0);
    let mut owner = start(&project, &["run"]);
    gate.await_agent(&mut owner);
    status(&project);
    let get = json!({"workflow": {"get": {"id": "ticket-triage", "version": null}}});
    let _deaf = accepted(&project, get);
    let term = || {
        let sent = Command::new("kill").args(["-TERM", &owner.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    term();
    // The owner takes no more requests from when it has heard.
    while socket(&project).exists() {
        std::thread::yield_now();
    }
    let begun = Instant::now();
    term();
    ended(owner).refused(143, "error[stopped]");
    assert!(begun.elapsed() < DEAF_MAX / 2, "it waited for {:?}", begun.elapsed());
}

#[test]
fn only_its_own_user_may_ask_the_owner() {
    let as_nobody = |project: &Project| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.arg(optim()).arg("-C").arg(project.path()).arg("status").stdin(Stdio::null());
        Ran::of(command.output().expect("setpriv starts"))
    };
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !root || Command::new("setpriv").arg("--version").output().is_err() {
        eprintln!("SKIPPED: only root can act as another user");
        return;
    }
    let gate = Gate::shut();
    let project = gate.project();
    let mut owner = start(&project, &["run"]);
    gate.await_agent(&mut owner);
    status(&project);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket(&project)), 0o600);
    assert_eq!(mode(&project.path().join(".optim")), 0o700);
    let open = |path: &Path| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    };
    open(project.path());
    as_nobody(&project).refused(4, "control_not_allowed");
    // Also where the files would let everybody in.
    open(&project.path().join(".optim"));
    open(&socket(&project));
    let refused = as_nobody(&project);
    refused.refused(4, "control_not_allowed");
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn a_folder_with_a_long_name_has_a_socket_too() {
    let gate = Gate::shut();
    let short = gate.project();
    let long = short.path().join("n".repeat(120));
    std::fs::create_dir(&long).unwrap();
    for entry in std::fs::read_dir(short.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.path() != long {
            std::fs::rename(entry.path(), long.join(entry.file_name())).unwrap();
        }
    }
    let in_long = |verb: &str| {
        let mut command = Command::new(optim());
        command.arg("-C").arg(&long).arg(verb).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut owner = in_long("run");
    gate.await_agent(&mut owner);
    assert_eq!(ended(in_long("status")).code, 0);
    assert_eq!(ended(in_long("cancel")).code, 0);
    assert_eq!(ended(owner).code, 11);
}
