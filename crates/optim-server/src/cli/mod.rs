//! The command line: one file for each verb.
//!
//! Data goes to stdout, everything else to stderr. Every human view ends with the next commands;
//! the JSON document has the same list as `next`.

mod after_apply;
mod apply;
mod archive;
mod audit;
pub(crate) mod call;
mod comparison;
mod decide;
mod decisions;
mod demo;
mod extend;
mod faults;
mod file;
mod health;
mod hold;
mod list;
mod measure;
mod noted;
mod outlook;
pub(crate) mod output;
mod plan;
mod progress;
pub(crate) mod refusals;
mod replay;
pub mod report;
mod reset_failures;
mod run;
mod run_workflow;
mod runs;
mod show;
mod status;
mod store;
mod suspicious;
mod try_candidate;
mod work;
mod workflow;

use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use optim_core::suspicion::is_hidden;
use optim_store::StoreError;
use serde::{Deserialize, Serialize};

use self::call::Call;
use self::decisions::VerifyArgs;
use self::output::Output;
use crate::control::client;
use crate::control::protocol::{PROTOCOL, Request};
use crate::error::{CliError, Exit};
use crate::guard;
use crate::session::Session;

/// How long a verb waits for a store that another one uses.
const OWNER_WAIT: Duration = Duration::from_secs(5);
/// How often it looks meanwhile.
const OWNER_POLL: Duration = Duration::from_millis(20);

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
    verb: AnyVerb,
}

#[derive(Debug, Subcommand)]
enum AnyVerb {
    /// Run a whole campaign on the built-in offline example.
    Demo(demo::Args),
    #[command(flatten)]
    OfProject(Verb),
}

/// What is asked of a project that is there.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    /// Resume the open campaign, or start one, and follow it until a person is needed.
    Run(run::Args),
    /// What this project can prove, and what that takes. Nothing is executed, nothing is stored.
    Plan(plan::Args),
    /// Measure a change of your own: the same validation, evaluation and verdict.
    Try(try_candidate::Args),
    /// List campaigns, newest first.
    List(list::Args),
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
    /// Measure what is live after an apply, and compare it with what was promised. Nothing is rolled back.
    Measure(measure::Args),
    /// Stop new work; what runs still lands.
    Pause(hold::PauseArgs),
    /// End a pause, or a hold for an unstable baseline.
    Resume(hold::ResumeArgs),
    /// Measure the baseline once more, due or not.
    Replay(replay::Args),
    /// Add to the budget of a campaign; its frozen policies stay as they are.
    Extend(extend::Args),
    /// Let a campaign go on that was held after too many failures.
    ResetFailures(reset_failures::Args),
    /// End the campaign as completed, as soon as nothing is in flight; what is approved stays so.
    Close(hold::Args),
    /// End the campaign now; case runs in flight are cancelled.
    Cancel(hold::Args),
    /// Take a campaign that is over out of the lists. Nothing of it is deleted.
    Archive(archive::Args),
    /// What campaigns have decided: export it, and verify that it follows from their pairs.
    #[command(subcommand)]
    Decisions(decisions::Verb),
    /// Everything that happened, as a chain: verify it, export it, print its end.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// The store as a whole: verify, measure, export, import, clean up.
    #[command(subcommand)]
    Store(store::Verb),
    /// Execute the project's workflow for its effect, in its real workspace.
    RunWorkflow(run_workflow::Args),
    /// Workflow runs: list, show, pause, resume, recover, cancel, decide.
    #[command(subcommand)]
    Runs(runs::Verb),
    /// Workflows that optim keeps itself, with versions; `workflow = "stored:ID"` in optim.toml.
    #[command(subcommand)]
    Workflow(workflow::Verb),
}

/// What a verb leaves behind: the exit code, after everything was printed.
pub(crate) type Outcome = Result<Exit, CliError>;

/// Parses the command line, runs the verb, prints errors.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = guard::if_asked() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return said_by_parser(&error),
    };
    init_logging();
    let json = cli.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            Output::Terminal.error_line(&format!("error: the runtime cannot start: {error}"));
            return exit(Exit::Failure);
        }
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(code) => exit(code),
        Err(error) => {
            Output::Terminal.error(&error, json);
            exit(error.exit())
        }
    }
}

async fn dispatch(cli: Cli) -> Outcome {
    let Cli { folder, json, verb } = cli;
    match verb {
        AnyVerb::Demo(args) => Box::pin(demo::demo(args, json)).await,
        // What is in a file needs no project.
        AnyVerb::OfProject(Verb::Decisions(decisions::Verb::Verify(VerifyArgs {
            file: Some(file),
            ..
        }))) => decisions::verify_file(&file, &Output::Terminal, json),
        AnyVerb::OfProject(Verb::Audit(audit::Verb::Verify(audit::VerifyArgs {
            from: Some(from),
            head,
        }))) => audit::verify_elsewhere(&from, head, &Output::Terminal, json).await,
        AnyVerb::OfProject(verb) => {
            let directory = std::env::current_dir()
                .map_err(|source| CliError::Io { path: PathBuf::from("."), source })?;
            reach(Request { protocol: PROTOCOL, directory, folder, json, verb }).await
        }
    }
}

/// Has the process that owns the project's store execute a verb; executes it here when there is none.
async fn reach(request: Request) -> Outcome {
    let begun = Instant::now();
    loop {
        if let Some(exit) = client::ask(&request.folder, &request, &Output::Terminal).await? {
            return Ok(exit);
        }
        match Session::open(&request.folder) {
            // The owner is about to listen, or executes a verb of its own and ends soon.
            Err(CliError::Store(StoreError::Owned { .. })) if begun.elapsed() < OWNER_WAIT => {
                tokio::time::sleep(OWNER_POLL).await;
            }
            session => {
                let Request { protocol: _, directory, folder, json, verb } = request;
                let call = Call::local(session?, directory, folder, json);
                return noted::with_head(&call, verb).await;
            }
        }
    }
}

/// Executes a verb. What it says goes where the call says.
///
/// Boxed, as the verb that runs campaigns executes other verbs meanwhile.
pub(crate) fn perform(
    call: &Call,
    verb: Verb,
) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
    Box::pin(execute(call, verb))
}

async fn execute(call: &Call, verb: Verb) -> Outcome {
    match verb {
        Verb::Run(args) => Box::pin(run::run(call, args)).await,
        Verb::Plan(args) => plan::plan(call, args).await,
        Verb::Try(args) => Box::pin(try_candidate::try_candidate(call, args)).await,
        Verb::List(args) => list::list(call, args).await,
        Verb::Status(args) => status::status(call, args).await,
        Verb::Show(args) => show::show(call, args).await,
        Verb::Approve(args) => decide::approve(call, args).await,
        Verb::Reject(args) => decide::reject(call, args).await,
        Verb::Apply(args) => Box::pin(apply::apply(call, args)).await,
        Verb::Rollback(args) => apply::rollback(call, args).await,
        Verb::Measure(args) => Box::pin(measure::measure(call, args)).await,
        Verb::Pause(args) => hold::pause(call, args).await,
        Verb::Resume(args) => hold::resume(call, args).await,
        Verb::Replay(args) => replay::replay(call, args).await,
        Verb::Extend(args) => extend::extend(call, args).await,
        Verb::ResetFailures(args) => reset_failures::reset_failures(call, args).await,
        Verb::Close(args) => hold::close(call, args).await,
        Verb::Archive(args) => archive::archive(call, args).await,
        Verb::Cancel(args) => hold::cancel(call, args).await,
        Verb::Decisions(verb) => decisions::decisions(call, verb).await,
        Verb::Audit(verb) => audit::audit(call, verb).await,
        Verb::Store(verb) => store::store(call, verb).await,
        Verb::RunWorkflow(args) => Box::pin(run_workflow::run_workflow(call, args)).await,
        Verb::Runs(verb) => runs::runs(call, verb).await,
        Verb::Workflow(verb) => workflow::workflow(call, verb).await,
    }
}

/// Prints help, or what is wrong with the command line, which repeats words of it.
fn said_by_parser(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if std::env::args().any(|word| word.contains(is_hidden)) {
        Output::Terminal.error_line(&text);
    } else {
        error.print().unwrap_or_default();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(u8::MAX))
}

fn exit(code: Exit) -> ExitCode {
    ExitCode::from(code.code())
}

fn init_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("OPTIM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let writer = || output::OneLine(std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer).init();
}
