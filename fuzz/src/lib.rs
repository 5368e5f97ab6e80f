//! What must hold for any bytes at all, one function for each place where bytes of others come in. libFuzzer
//! calls them with what it makes up, and the tests with everything in `corpus`.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is how a target tells"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use optim_core::document::{Scalar, Step, set_scalar};
use optim_core::node_io::{Attempt, NodeResponse};
use optim_core::policy::{self, PolicyFile, PolicyFiles};
use optim_core::validator::Workspace as _;
use optim_core::workflow::{Workflow, check::check, load};
use optim_core::{diagnostic::Diagnostics, pack};
use optim_runtime::artifact::Artifact;
use optim_runtime::workspace::Scratch;

/// A name and the function that it stands for.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, by the name of their folder in `corpus`.
pub const TARGETS: [Target; 7] = [
    ("policy", policy),
    ("workflow", workflow),
    ("pack", pack),
    ("executor_output", executor_output),
    ("provider_answer", provider_answer),
    ("record", record),
    ("path", path),
];

/// Findings can be told, and there are some: what is refused is refused for a reason.
fn told(findings: &Diagnostics) {
    let told: Vec<String> = findings.0.iter().map(ToString::to_string).collect();
    assert!(!told.is_empty(), "nothing is said");
}

/// One policy file, chosen by the first byte; the others are good ones.
pub fn policy(bytes: &[u8]) {
    const GOOD: [&[u8]; 5] = [
        include_bytes!("../../examples/ticket-triage/policy/objective.md"),
        include_bytes!("../../examples/ticket-triage/policy/eval.yaml"),
        include_bytes!("../../examples/ticket-triage/policy/mutation_policy.yaml"),
        include_bytes!("../../examples/ticket-triage/policy/scope.yaml"),
        include_bytes!("../../examples/ticket-triage/policy/budget.yaml"),
    ];
    let Some((chosen, rest)) = bytes.split_first() else { return };
    let mut files = GOOD;
    files[usize::from(*chosen) % GOOD.len()] = rest;
    let [objective, eval, mutation, scope, budget] =
        files.map(|bytes| PolicyFile { name: "file", bytes });
    let read = policy::read(&PolicyFiles { objective, eval, mutation, scope, budget });
    match read {
        Ok(checked) => {
            let (_, policies) = checked.value;
            let written = serde_json::to_value(&policies).unwrap();
            let again: policy::Policies = serde_json::from_value(written).unwrap();
            assert_eq!(again, policies, "what is stored is what was read");
        }
        Err(findings) => told(&findings),
    }
}

/// A workflow file: what is read is written and read again as the same, and one of its texts is edited.
pub fn workflow(bytes: &[u8]) {
    let (workflow, _) = match load::load("workflow.yaml", bytes) {
        Ok(loaded) => loaded,
        Err(findings) => return told(&findings),
    };
    for finding in check(&workflow, None) {
        assert!(!finding.message.is_empty());
    }
    let again = Workflow::from_json(workflow.to_json()).unwrap();
    assert_eq!(again.fingerprint(), workflow.fingerprint());
    let text = std::str::from_utf8(bytes).unwrap();
    let objective = ["flow", "nodes"].map(Step::Key);
    let path = [&objective[..], &[Step::Index(0), Step::Key("objective")]].concat();
    if let Ok(edited) = set_scalar(text, &path, &Scalar::String("ä: #\u{200b}\n- \"x'".into())) {
        let (edited, _) = load::load("workflow.yaml", edited.as_bytes()).unwrap();
        assert_eq!(edited.nodes()[0].objective(), "ä: #\u{200b}\n- \"x'");
    }
}

/// An eval pack.
pub fn pack(bytes: &[u8]) {
    match pack::read("cases.jsonl", bytes) {
        Ok(pack) => {
            let ids: BTreeSet<_> = pack.cases.iter().map(|case| &case.id).collect();
            assert!(!ids.is_empty() && ids.len() == pack.cases.len(), "ids are unique");
        }
        Err(findings) => told(&findings),
    }
}

/// What a program of one's own answers.
pub fn executor_output(bytes: &[u8]) {
    let attempt = Attempt { id: "known".to_owned(), number: 1, seed: 1 };
    match NodeResponse::read(bytes, &attempt) {
        Ok(response) => {
            let written = serde_json::to_vec(&response).unwrap();
            assert_eq!(NodeResponse::read(&written, &attempt), Ok(response));
        }
        Err(error) => assert!(!error.message.is_empty()),
    }
}

/// What a provider answers.
pub fn provider_answer(bytes: &[u8]) {
    optim_runtime::testing::provider_answer(bytes);
}

/// A stored record: what was sealed is opened, and nothing else is. The first byte says which bit flips.
pub fn record(bytes: &[u8]) {
    let Some((flipped, rest)) = bytes.split_first() else { return };
    let (key, payload) = rest.split_at(rest.len() / 4);
    assert!(optim_store::testing::open_record(key, bytes).is_err() || bytes.len() >= 9);
    let mut sealed = optim_store::testing::seal_record(key, payload);
    assert_eq!(optim_store::testing::open_record(key, &sealed), Ok(payload.to_vec()));
    let bit = usize::from(*flipped) * 31 % (sealed.len() * 8);
    sealed[bit / 8] ^= 1 << (bit % 8);
    assert!(optim_store::testing::open_record(key, &sealed).is_err(), "bit {bit}");
}

/// A folder with files to be read in it, and beside it one that must not be.
struct Place {
    root: PathBuf,
    scratch: Scratch,
    _folder: tempfile::TempDir,
}

/// What no path may lead to.
const SECRET: &[u8] = b"the secret";

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder is made");
    let root = folder.path().canonicalize().unwrap().join("root");
    let scratch = Scratch::empty(folder.path()).unwrap();
    std::fs::write(folder.path().join("secret"), SECRET).unwrap();
    for inside in [&root, &scratch.path().to_owned()] {
        std::fs::create_dir_all(inside.join("a/ä")).unwrap();
        std::fs::write(inside.join("a/file"), "inside").unwrap();
        std::fs::write(inside.join("a/ä/file"), "inside").unwrap();
        std::os::unix::fs::symlink("../secret", inside.join("out")).unwrap();
        std::os::unix::fs::symlink("..", inside.join("up")).unwrap();
        std::os::unix::fs::symlink("a/file", inside.join("in")).unwrap();
    }
    Place { root, scratch, _folder: folder }
});

/// A path that a file names.
pub fn path(bytes: &[u8]) {
    let Ok(path) = std::str::from_utf8(bytes) else { return };
    let place = &*PLACE;
    match Artifact::read(&place.root, path, 64) {
        Ok(read) => {
            assert!(read.path.starts_with(&place.root), "{path:?} leads out");
            assert_ne!(read.bytes, SECRET);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match place.scratch.read(path) {
        Ok(read) => assert_ne!(read.as_deref(), Some(SECRET)),
        Err(why) => assert!(!why.is_empty()),
    }
}
