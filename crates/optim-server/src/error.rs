//! Errors of the command line: each with a code, an exit code, and the fix.

use std::path::PathBuf;

use optim_core::campaign::command::Rejection;
use optim_core::decisions::read::ReadError;
use optim_core::diagnostic::Diagnostics;
use optim_core::id::CampaignId;
use optim_core::proposal::prospect::Prospect;
use optim_core::stored_workflow::transition::WorkflowRejection;
use optim_core::workflow_run::command::WorkflowRunRejection;
use optim_runtime::engine::EngineError;
use optim_runtime::executor::Unready;
use optim_runtime::frozen::Edited;
use optim_runtime::head_file::HeadFileError;
use optim_runtime::live::LiveError;
use optim_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::cli::refusals;
use crate::control::client::ControlError;

/// How `optim` exits. The table is in docs/reference/exit-codes.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It worked; also when a campaign ended without an improvement.
    Success = 0,
    /// Something unexpected.
    Failure = 1,
    /// The command line is wrong, or a question would have to be asked.
    Usage = 2,
    /// A file of the project is not valid.
    Invalid = 3,
    /// Another user may do it.
    NotAllowed = 4,
    /// There is no such campaign, experiment or file.
    NotFound = 5,
    /// Drift, a decision that is no longer open, a lock that is held.
    Conflict = 6,
    /// A person must decide.
    Waiting = 7,
    /// The budget is used up before a decision.
    Budget = 8,
    /// The baseline is unstable.
    Unstable = 9,
    /// The provider, a worker or the store cannot be reached.
    Unreachable = 10,
    /// Cancelled by a person.
    Cancelled = 11,
    /// What was decided does not follow from what is on record, or what is on record was changed.
    Different = 12,
    /// The evaluator is not healthy.
    Unhealthy = 13,
    /// Interrupted from the keyboard; the state is saved.
    Interrupted = 130,
    /// Asked to end, as a service manager does; the state is saved.
    Terminated = 143,
}

/// Why a verb did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// There is no project here.
    #[error("there is no project here: {path} cannot be read ({source}); run `optim demo --dir DIR` for an example, or choose a folder with -C", path = path.display())]
    NoProject {
        /// The file that was looked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// `optim.toml` is not valid.
    #[error("{path}: {message}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// Files of the project are not valid.
    #[error("the project's files are not valid: {} finding(s)", .0.0.len())]
    Project(Diagnostics),
    /// It is certain that no proposer has a candidate.
    #[error(
        "no proposer has a candidate for this workflow ({}); allow more in mutation_policy.yaml or \
         scope.yaml, or name other proposers in run.proposers",
        refusals::words(&.0.refused)
    )]
    NoCandidates(Box<Prospect>),
    /// Files that an open campaign froze were edited since.
    #[error(
        "campaign {campaign} goes on with what it froze, and these files are others now: {}; put them back, \
         end the campaign with `optim cancel {campaign}` and start another one, or go on with what was \
         frozen: --frozen",
        words(edited)
    )]
    FilesEdited {
        /// The campaign.
        campaign: CampaignId,
        /// The files.
        edited: Vec<Edited>,
    },
    /// The executor misses something.
    #[error(transparent)]
    Executor(#[from] Unready),
    /// The command line asks for something that cannot be.
    #[error("{message}")]
    Usage {
        /// The stable code.
        code: &'static str,
        /// What is wrong, and the fix.
        message: String,
    },
    /// There is no such thing.
    #[error("{message}")]
    NotFound {
        /// The stable code.
        code: &'static str,
        /// What was looked for, and what there is.
        message: String,
    },
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The live workflow could not be read or written.
    #[error(transparent)]
    Live(#[from] LiveError),
    /// The process that owns the store did not do it.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The loops run in another process already.
    #[error(
        "process {owner} runs the campaigns of this project already; `optim status --follow` shows how they go"
    )]
    AlreadyRunning {
        /// Its id.
        owner: u32,
    },
    /// Somebody stopped it.
    #[error("stopped; everything that ended is saved, the same command goes on from there")]
    Stopped(Exit),
    /// A file is no export of decisions.
    #[error("{path}: {source}", path = path.display())]
    Decisions {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        source: ReadError,
    },
    /// A file could not be written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl CliError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoProject { .. } => "no_project",
            Self::Config { .. } => "config_invalid",
            Self::Project(_) => "project_invalid",
            Self::NoCandidates(_) => "no_candidates",
            Self::FilesEdited { .. } => "frozen_files_edited",
            Self::Executor(unready) => unready.code(),
            Self::Usage { code, .. } | Self::NotFound { code, .. } => code,
            Self::Engine(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Live(error) => error.code(),
            Self::Control(error) => error.code(),
            Self::AlreadyRunning { .. } => "already_running",
            Self::Stopped(_) => "stopped",
            Self::Decisions { source, .. } => source.code(),
            Self::Io { .. } => "file_io",
        }
    }

    /// How `optim` exits with this error.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoProject { .. } | Self::NotFound { .. } => Exit::NotFound,
            Self::Config { .. }
            | Self::Project(_)
            | Self::NoCandidates(_)
            | Self::Executor(_)
            | Self::Decisions { .. } => Exit::Invalid,
            Self::Usage { .. } => Exit::Usage,
            Self::Engine(error) => engine_exit(error),
            Self::Store(error) => store_exit(error),
            Self::Live(error) => live_exit(error),
            Self::Control(error) => error.exit(),
            Self::AlreadyRunning { .. } | Self::FilesEdited { .. } => Exit::Conflict,
            Self::Stopped(exit) => *exit,
            Self::Io { .. } => Exit::Failure,
        }
    }
}

fn words(edited: &[Edited]) -> String {
    edited.iter().map(Edited::to_string).collect::<Vec<_>>().join("; ")
}

fn store_exit(error: &StoreError) -> Exit {
    match error {
        StoreError::Owned { .. } | StoreError::Conflict { .. } | StoreError::NotEmpty { .. } => {
            Exit::Conflict
        }
        StoreError::NotAnExport { .. } => Exit::Invalid,
        StoreError::File { .. } => Exit::Failure,
        _ => Exit::Unreachable,
    }
}

fn live_exit(error: &LiveError) -> Exit {
    match error {
        LiveError::Edited { .. }
        | LiveError::Drift(_)
        | LiveError::NotAllowed(_)
        | LiveError::Changed { .. } => Exit::Conflict,
        LiveError::Invalid(_) => Exit::Invalid,
        LiveError::Engine(error) => engine_exit(error),
        _ => Exit::Failure,
    }
}

fn engine_exit(error: &EngineError) -> Exit {
    match error {
        EngineError::NotFound(_)
        | EngineError::WorkflowRunNotFound(_)
        | EngineError::WorkflowNotFound(_)
        | EngineError::VersionNotFound { .. } => Exit::NotFound,
        EngineError::Rejected(
            Rejection::ReasonRequired { .. } | Rejection::NotRecommended { .. },
        )
        | EngineError::Workflow(WorkflowRejection::ReasonRequired { .. })
        | EngineError::WorkflowRunRejected(WorkflowRunRejection::ReasonRequired { .. }) => {
            Exit::Usage
        }
        EngineError::Plan(_) => Exit::Invalid,
        EngineError::Rejected(Rejection::Unaffordable { .. }) => Exit::Budget,
        EngineError::Rejected(_)
        | EngineError::Workflow(_)
        | EngineError::Exists(_)
        | EngineError::Contended(_)
        | EngineError::WorkflowContended(_)
        | EngineError::WorkflowRunRejected(_)
        | EngineError::WorkflowRunExists(_)
        | EngineError::WorkflowRunContended(_) => Exit::Conflict,
        EngineError::Store(error) | EngineError::HeadFile(HeadFileError::Store(error)) => {
            store_exit(error)
        }
        EngineError::HeadFile(HeadFileError::Lost { .. }) => Exit::Different,
        EngineError::HeadFile(HeadFileError::NotAHead { .. }) => Exit::Invalid,
        _ => Exit::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented() {
        let document = include_str!("../../../docs/reference/exit-codes.md");
        let codes = [
            Exit::Success,
            Exit::Failure,
            Exit::Usage,
            Exit::Invalid,
            Exit::NotAllowed,
            Exit::NotFound,
            Exit::Conflict,
            Exit::Waiting,
            Exit::Budget,
            Exit::Unstable,
            Exit::Unreachable,
            Exit::Cancelled,
            Exit::Different,
            Exit::Unhealthy,
            Exit::Interrupted,
            Exit::Terminated,
        ];
        for exit in codes {
            assert!(document.contains(&format!("| {} |", exit.code())), "{exit:?} has a row");
        }
    }
}
