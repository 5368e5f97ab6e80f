//! `optim.toml`: where a project's files are and who executes its nodes.

use std::path::{Path, PathBuf};

use optim_core::campaign::location::Location;
use optim_core::diagnostic::Diagnostics;
use optim_core::secret;
use optim_core::workflow::ModelRef;
use optim_runtime::executor::http::HttpConfig;
use optim_runtime::executor::openai::OpenAiConfig;
use optim_runtime::executor::process::ProcessConfig;
use optim_runtime::executor::scripted::ScriptedConfig;
use optim_runtime::project::ProjectRefs;
use serde::Deserialize;

use crate::error::CliError;

/// The name of the file in a project's folder.
pub const FILE: &str = "optim.toml";
/// The most bytes that it may have.
const BYTES_MAX: u64 = 256 * 1024;

/// A project's settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The workflow file, relative to the project's folder; or `stored:ID`, a workflow in the store.
    pub workflow: Location,
    /// The policy files.
    #[serde(default)]
    pub policy: PolicyRefs,
    /// Who executes nodes.
    #[serde(default)]
    pub executor: ExecutorConfig,
    /// How campaigns run.
    #[serde(default)]
    pub run: RunConfig,
    /// Where the state is.
    #[serde(default)]
    pub store: StoreConfig,
    /// What becomes of the audit chain.
    #[serde(default)]
    pub audit: AuditConfig,
}

/// The five policy files, relative to the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyRefs {
    /// `objective.md`
    pub objective: String,
    /// `eval.yaml`
    pub eval: String,
    /// `mutation_policy.yaml`
    pub mutation_policy: String,
    /// `scope.yaml`
    pub scope: String,
    /// `budget.yaml`
    pub budget: String,
}

impl Default for PolicyRefs {
    fn default() -> Self {
        let policy = |file: &str| format!("policy/{file}");
        Self {
            objective: policy("objective.md"),
            eval: policy("eval.yaml"),
            mutation_policy: policy("mutation_policy.yaml"),
            scope: policy("scope.yaml"),
            budget: policy("budget.yaml"),
        }
    }
}

/// Who executes nodes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ExecutorConfig {
    /// The built-in text agent: deterministic, offline.
    #[default]
    Lexical,
    /// A program of one's own: a request in on stdin, an answer out on stdout.
    Process(ProcessConfig),
    /// An agent of one's own behind an address.
    Http(HttpConfig),
    /// Models behind an OpenAI-compatible server.
    #[serde(rename = "openai")]
    OpenAi(OpenAiConfig),
    /// A seeded simulation. Its numbers are always labelled as such.
    Scripted(ScriptedConfig),
}

/// How campaigns run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Case runs at once; 1..=256.
    pub capacity: u32,
    /// The seed of new campaigns; everything that is drawn at random follows from it.
    pub seed: u64,
    /// The proposers, asked in turn.
    pub proposers: Vec<String>,
    /// The model that every agent of new campaigns runs on instead of its own: `provider/model`.
    pub model: Option<ModelRef>,
    /// Whether runs whose worker shows no sign of life are given up.
    pub reaper: bool,
    /// Whether workflow runs that were given up go on by themselves, if they can.
    pub auto_resume: bool,
    /// Days for which the inputs and outputs of workflow runs that are over are kept.
    pub keep_outputs_days: u32,
}

impl Default for RunConfig {
    fn default() -> Self {
        let proposers = vec!["examples".to_owned(), "rules".to_owned()];
        Self {
            capacity: 4,
            seed: 1,
            proposers,
            model: None,
            reaper: true,
            auto_resume: true,
            keep_outputs_days: 7,
        }
    }
}

/// Where the state is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `lmdb:PATH`, relative to the project's folder.
    pub url: String,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { url: "lmdb:.optim/data".to_owned() }
    }
}

impl StoreConfig {
    /// The address with its path resolved from the project's folder.
    #[must_use]
    pub fn located(&self, folder: &Path) -> String {
        match self.url.strip_prefix("lmdb:") {
            Some(path) if !path.is_empty() => format!("lmdb:{}", folder.join(path).display()),
            _ => self.url.clone(),
        }
    }
}

/// What becomes of the audit chain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Days for which all payloads of entries are kept; then those that nothing needs are dropped. For ever
    /// when absent.
    pub keep_days: Option<u32>,
    /// A file in which the chain's head is noted, relative to the project's folder. It tells only when it is
    /// where those cannot write who can write to the store.
    pub head_file: Option<PathBuf>,
    /// While `optim run` works, the head is noted at most once in this many seconds; 1..=86400.
    pub head_every_seconds: u32,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { keep_days: None, head_file: None, head_every_seconds: 300 }
    }
}

impl Config {
    /// Reads `optim.toml` in `folder`.
    ///
    /// # Errors
    /// There is none, or it is not valid; the message says where.
    pub fn read(folder: &Path) -> Result<Self, CliError> {
        let path = folder.join(FILE);
        let size = std::fs::metadata(&path)
            .map_err(|source| CliError::NoProject { path: path.clone(), source })?
            .len();
        if size > BYTES_MAX {
            let message = format!("has {size} bytes, at most {BYTES_MAX} are allowed");
            return Err(CliError::Config { path, message });
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| CliError::Config { path: path.clone(), message: error.to_string() })?;
        // Before anything is said about the text: what cannot be read is shown with its line.
        let secrets: Vec<_> = secret::findings(FILE, text.as_bytes()).collect();
        if !secrets.is_empty() {
            return Err(CliError::Project(Diagnostics(secrets)));
        }
        let config: Self = toml::from_str(&text)
            .map_err(|error| CliError::Config { path: path.clone(), message: error.to_string() })?;
        if !(1..=256).contains(&config.run.capacity) {
            let message = format!("run.capacity is {}, allowed are 1..=256", config.run.capacity);
            return Err(CliError::Config { path, message });
        }
        let every = config.audit.head_every_seconds;
        if !(1..=86_400).contains(&every) {
            let message =
                format!("audit.head_every_seconds is {every}, allowed are 1..=86400, a day");
            return Err(CliError::Config { path, message });
        }
        Ok(config)
    }

    /// The files that a campaign freezes.
    #[must_use]
    pub fn refs(&self, folder: PathBuf) -> ProjectRefs {
        let PolicyRefs { objective, eval, mutation_policy, scope, budget } = self.policy.clone();
        ProjectRefs {
            folder,
            workflow: self.workflow.to_string(),
            objective,
            eval,
            mutation_policy,
            scope,
            budget,
        }
    }
}
