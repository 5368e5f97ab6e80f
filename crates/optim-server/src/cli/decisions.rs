//! `optim decisions`: what campaigns have decided, as lines, and whether it follows from their pairs.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use optim_core::decisions::Decisions;
use optim_core::decisions::read::read;
use optim_core::decisions::verify::Verified;
use optim_core::id::CampaignId;
use optim_core::verdict::ErrorControl;
use optim_runtime::listing;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Outcome;
use super::call::Call;
use super::file::{self, Replacement};
use super::output::Output;
use crate::error::{CliError, Exit};

/// Mismatches of a campaign that are printed for people; one cause can show in many places.
const MISMATCHES_SHOWN: usize = 20;

/// What is done with decisions.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    /// Write pairs and decisions as JSON lines: docs/reference/decisions.md.
    Export(ExportArgs),
    /// Decide everything again from the pairs, and name what differs.
    Verify(VerifyArgs),
}

/// The flags of `optim decisions export`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportArgs {
    /// The campaign; the open or newest one when absent.
    campaign: Option<String>,
    /// All campaigns, archived ones too.
    #[arg(long, conflicts_with = "campaign")]
    all: bool,
    /// The file that is written, or replaced; stdout when absent.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The flags of `optim decisions verify`.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyArgs {
    /// A file of an export, or `-` for stdin; no project is needed then. The store when absent.
    pub(super) file: Option<PathBuf>,
    /// The campaign in the store; the open or newest one when absent.
    #[arg(long, conflicts_with = "file")]
    campaign: Option<String>,
    /// All campaigns in the store, archived ones too.
    #[arg(long, conflicts_with_all = ["file", "campaign"])]
    all: bool,
}

pub(super) async fn decisions(call: &Call, verb: Verb) -> Outcome {
    match verb {
        Verb::Export(args) => export(call, args).await,
        Verb::Verify(VerifyArgs { file: Some(file), .. }) => {
            verify_file(&call.directory.join(file), &call.out, call.json)
        }
        Verb::Verify(VerifyArgs { campaign, all, .. }) => {
            let decisions = on_record(call, campaign.as_deref(), all).await?;
            Ok(tell(&call.out, call.json, &decisions))
        }
    }
}

/// Verifies what is in `file`, or on stdin when it is `-`.
pub(super) fn verify_file(file: &Path, out: &Output, json: bool) -> Outcome {
    let mut bytes = Vec::new();
    let io = |source| CliError::Io { path: file.to_owned(), source };
    file::open(file, "decisions export --out FILE")?.read_to_end(&mut bytes).map_err(io)?;
    let path = file.to_owned();
    let decisions = read(&bytes).map_err(|source| CliError::Decisions { path, source })?;
    Ok(tell(out, json, &decisions))
}

async fn export(call: &Call, args: ExportArgs) -> Outcome {
    let ExportArgs { campaign, all, out } = args;
    let decisions = on_record(call, campaign.as_deref(), all).await?;
    let lines =
        decisions.iter().flat_map(Decisions::lines).map(|line| serde_json::to_string(&line));
    let Some(out) = out else {
        for line in lines {
            call.out.line(&line.map_err(|error| unwritable(Path::new("stdout"), error))?);
        }
        return Ok(Exit::Success);
    };
    let path = call.directory.join(out);
    let text = lines.collect::<Result<Vec<_>, _>>().map_err(|error| unwritable(&path, error))?;
    let mut file = Replacement::new(path)?;
    text.iter().try_for_each(|line| file.line(line))?;
    let path = file.finish()?;
    let verify = format!("{} decisions verify {}", call.prefix(), path.display());
    if call.json {
        call.out.document(&json!({
            "schema": "optim/v1/decisions-export",
            "file": path,
            "campaigns": decisions.len(),
            "lines": text.len(),
            "next": [verify],
        }));
    } else {
        let (lines, campaigns) = (text.len(), decisions.len());
        let path = path.display();
        call.out.line(&format!("{lines} lines of {campaigns} campaign(s) are in {path}"));
        call.out.next(&[verify]);
    }
    Ok(Exit::Success)
}

fn unwritable(path: &Path, error: serde_json::Error) -> CliError {
    CliError::Io { path: path.to_owned(), source: error.into() }
}

/// The decisions in the store of the campaign that is meant, or of all of them, newest first.
async fn on_record(
    call: &Call,
    named: Option<&str>,
    all: bool,
) -> Result<Vec<Decisions>, CliError> {
    let engine = &call.session.engine;
    let ids: Vec<CampaignId> = if all {
        let campaigns = listing::readable(|page| engine.store().campaigns(page)).await?;
        campaigns.into_iter().map(|campaign| campaign.id).collect()
    } else {
        vec![call.session.campaign(named).await?.id]
    };
    Ok(Box::pin(engine.decisions(&ids)).await?)
}

/// Verifies `decisions` and says what was found.
fn tell(out: &Output, json: bool, decisions: &[Decisions]) -> Exit {
    let verified: Vec<_> = decisions.iter().map(Decisions::verify).collect();
    let is_same = verified.iter().all(Verified::is_same);
    if json {
        out.document(&json!({
            "schema": "optim/v1/decisions-verified",
            "same": is_same,
            "campaigns": verified,
        }));
    } else {
        verified.iter().for_each(|verified| print(out, verified));
    }
    if is_same { Exit::Success } else { Exit::Different }
}

fn print(out: &Output, verified: &Verified) {
    let Verified { campaign, experiments, decisions, pairs, runs, mismatches, .. } = verified;
    let found = match mismatches.len() {
        0 => "all the same".to_owned(),
        1 => "1 figure differs".to_owned(),
        several => format!("{several} figures differ"),
    };
    out.line(&format!(
        "campaign {campaign}: {decisions} decisions on {experiments} experiments, {pairs} pairs, {runs} \
         case runs: {found}"
    ));
    out.line(match verified.error_control {
        ErrorControl::None => {
            "  the point rule promises nothing about false promotions; its sums are taken from the record"
        }
        ErrorControl::Fwer { .. } => "  every draw, look, stake and refund was recomputed",
    });
    for mismatch in mismatches.iter().take(MISMATCHES_SHOWN) {
        out.line(&format!("  {mismatch}"));
    }
    if let Some(more) = mismatches.len().checked_sub(MISMATCHES_SHOWN).filter(|more| *more > 0) {
        out.line(&format!("  … and {more} more; --json lists them all"));
    }
}
