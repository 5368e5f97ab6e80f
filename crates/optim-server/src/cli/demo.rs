//! `optim demo`: a whole campaign on the built-in offline example.

use std::path::{Path, PathBuf};

use optim_core::campaign::SearchMode;
use optim_runtime::service::settled;

use super::call::Call;
use super::{Outcome, run};
use crate::error::{CliError, Exit};
use crate::session::Session;

/// The flags of `optim demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the example project is put; a new temporary folder when absent.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The campaign's seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The example's files, as they stand in `examples/ticket-triage`.
macro_rules! example {
    ($($file:literal),* $(,)?) => {
        &[$(($file, include_str!(concat!("../../../../examples/ticket-triage/", $file)))),*]
    };
}
const FILES: &[(&str, &str)] = example![
    "optim.toml",
    "workflow.yaml",
    "policy/objective.md",
    "policy/eval.yaml",
    "policy/mutation_policy.yaml",
    "policy/scope.yaml",
    "policy/budget.yaml",
    "cases/tickets.jsonl",
];

pub(super) async fn demo(args: Args, json: bool) -> Outcome {
    let folder = match args.dir {
        Some(dir) => dir,
        None => temporary()?,
    };
    unpack(&folder)?;
    let call = Call::local(Session::open(&folder)?, PathBuf::new(), folder, json);
    let say = |text: &str| {
        if !call.json {
            call.out.error_line(text);
        }
    };
    say(&format!("The example project is in {}", call.folder.display()));
    say("It runs offline on `lexical`, a small built-in text agent: no key, no model, no network.");
    let campaign = match run::open_campaign(&call.session).await? {
        Some(open) => open,
        None => {
            let project = call.session.project().await?;
            call.create(call.session.draft(
                &project,
                Some(args.seed),
                None,
                SearchMode::Proposers,
            )?)
            .await?
        }
    };
    let campaign = run::follow(&call, campaign, None, settled).await?;
    run::finish(&call, &campaign).await?;
    Ok(Exit::Success)
}

fn temporary() -> Result<PathBuf, CliError> {
    let io = |source| CliError::Io { path: std::env::temp_dir(), source };
    tempfile::Builder::new()
        .prefix("optim-demo-")
        .tempdir()
        .map(tempfile::TempDir::keep)
        .map_err(io)
}

/// Writes the example's files; those that are there already are left as they are.
fn unpack(folder: &Path) -> Result<(), CliError> {
    for (file, text) in FILES {
        let path = folder.join(file);
        if path.exists() {
            continue;
        }
        let io = |source| CliError::Io { path: path.clone(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(io)?;
        }
        std::fs::write(&path, text).map_err(io)?;
    }
    Ok(())
}
