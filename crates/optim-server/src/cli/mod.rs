//! The command line: one file for each verb.
//!
//! Data goes to stdout, everything else to stderr. Every human view ends with the next commands;
//! the JSON document has the same list as `next`.

mod apply;
mod decide;
mod demo;
mod hold;
mod list;
pub mod output;
mod progress;
pub mod report;
mod run;
mod show;
mod status;
mod try_candidate;
mod workflow;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{CliError, Exit};

/// A safe optimizer for agent workflows: proposes small changes, measures each in shadow against
/// the baseline, and changes nothing that is live without you.
#[derive(Debug, Parser)]
#[command(name = "optim", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// The project's folder, which holds optim.toml.
    #[arg(short = 'C', long = "folder", value_name = "DIR", default_value = ".", global = true)]
    folder: PathBuf,
    /// Print one JSON document on stdout instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a whole campaign on the built-in offline example.
    Demo(demo::Args),
    /// Resume the open campaign, or start one, and follow it until a person is needed.
    Run(run::Args),
    /// Measure a change of your own: the same validation, evaluation and verdict.
    Try(try_candidate::Args),
    /// List campaigns, newest first.
    List,
    /// Where a campaign stands, and what it waits for.
    Status(status::Args),
    /// Show an experiment: the change, the metrics, the verdict rule by rule, the cases that flipped.
    Show(show::Args),
    /// Accept the pending experiment: the baseline moves. The live workflow is not touched.
    Approve(decide::ApproveArgs),
    /// Turn the pending experiment down.
    Reject(decide::RejectArgs),
    /// Write the approved baseline to the live workflow, after a drift check.
    Apply(apply::Args),
    /// Take the last apply back, after the same drift check.
    Rollback(apply::Args),
    /// Stop new work; what runs still lands.
    Pause(hold::Args),
    /// End a pause, or a hold for an unstable baseline.
    Resume(hold::Args),
    /// End the campaign.
    Cancel(hold::Args),
    /// Workflows that optim keeps itself, with versions; `workflow = "stored:ID"` in optim.toml.
    #[command(subcommand)]
    Workflow(workflow::Verb),
}

/// What a verb leaves behind: the exit code, after everything was printed.
type Outcome = Result<Exit, CliError>;

/// Parses the command line, runs the verb, prints errors.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    init_logging();
    let json = cli.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error_line(&format!("error: the runtime cannot start: {error}"));
            return exit(Exit::Failure);
        }
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(code) => exit(code),
        Err(error) => {
            output::error(&error, json);
            exit(error.exit())
        }
    }
}

async fn dispatch(cli: Cli) -> Outcome {
    let Cli { folder, json, verb } = cli;
    match verb {
        Verb::Demo(args) => demo::demo(args, json).await,
        Verb::Run(args) => run::run(&folder, args, json).await,
        Verb::Try(args) => try_candidate::try_candidate(&folder, args, json).await,
        Verb::List => list::list(&folder, json).await,
        Verb::Status(args) => status::status(&folder, args, json).await,
        Verb::Show(args) => show::show(&folder, args, json).await,
        Verb::Approve(args) => decide::approve(&folder, args, json).await,
        Verb::Reject(args) => decide::reject(&folder, args, json).await,
        Verb::Apply(args) => apply::apply(&folder, args, json).await,
        Verb::Rollback(args) => apply::rollback(&folder, args, json).await,
        Verb::Pause(args) => hold::pause(&folder, args, json).await,
        Verb::Resume(args) => hold::resume(&folder, args, json).await,
        Verb::Cancel(args) => hold::cancel(&folder, args, json).await,
        Verb::Workflow(verb) => workflow::workflow(&folder, verb, json).await,
    }
}

fn exit(code: Exit) -> ExitCode {
    ExitCode::from(code.code())
}

fn init_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("OPTIM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
