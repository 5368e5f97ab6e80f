//! An open project: its settings, its store, its engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use optim_core::campaign::location::Location;
use optim_core::campaign::{Campaign, SearchMode};
use optim_core::experiment::Experiment;
use optim_core::id::{Actor, CampaignId};
use optim_core::policy::Policies;
use optim_core::proposal::Prepared;
use optim_core::proposal::prospect::Prospect;
use optim_core::quantity::Millis;
use optim_core::workflow::{ModelRef, Workflow};
use optim_runtime::clock::SystemClock;
use optim_runtime::dispatch::DispatchConfig;
use optim_runtime::engine::{Engine, NewCampaign};
use optim_runtime::executor::NodeExecutor;
use optim_runtime::executor::http::Http;
use optim_runtime::executor::lexical::Lexical;
use optim_runtime::executor::openai::OpenAi;
use optim_runtime::executor::process::Process;
use optim_runtime::executor::scripted::Scripted;
use optim_runtime::head_file::HeadFile;
use optim_runtime::listing;
use optim_runtime::project::{self, Project, Setup};
use optim_runtime::proposer::{ProposalRequest, Proposer, built_in};
use optim_runtime::quote;
use optim_runtime::reaper::ReaperConfig;
use optim_runtime::service::{Service, ServiceConfig};
use optim_store::Page;

use crate::config::{Config, ExecutorConfig, RunConfig};
use crate::error::CliError;
use crate::guard;

/// An open project. It owns the store; a second process is refused.
pub struct Session {
    /// The project's folder, canonical.
    pub folder: PathBuf,
    /// The settings.
    pub config: Config,
    /// The engine over the project's store.
    pub engine: Arc<Engine>,
    /// Who executes nodes.
    pub executor: Arc<dyn NodeExecutor>,
}

impl Session {
    /// Opens the project in `folder`.
    ///
    /// # Errors
    /// There is no valid project, or its store cannot be opened.
    pub fn open(folder: &Path) -> Result<Self, CliError> {
        let config = Config::read(folder)?;
        let io = |source| CliError::Io { path: folder.to_owned(), source };
        let folder = folder.canonicalize().map_err(io)?;
        let executor = executor(&config.executor, &folder)?;
        let store = optim_store::url::open(&config.store.located(&folder))?;
        let engine = Arc::new(Engine::new(store, Arc::new(SystemClock)));
        Ok(Self { folder, config, engine, executor })
    }

    /// Reads the project's files, and its workflow from the store if it is there.
    ///
    /// # Errors
    /// Every finding that stops a campaign; there is no such stored workflow.
    pub async fn project(&self) -> Result<Project, CliError> {
        let (refs, capabilities) =
            (self.config.refs(self.folder.clone()), self.executor.capabilities());
        let read = match &self.config.workflow {
            Location::File(_) => project::read(&refs, capabilities),
            Location::Stored(id) => {
                let text = self.engine.definition(id, None).await?.definition.text;
                project::read_stored(&refs, (id, text.into_bytes()), capabilities)
            }
        };
        read.map_err(CliError::Project)
    }

    /// Starts the loops that work campaigns off.
    ///
    /// # Errors
    /// A proposer of the settings does not exist.
    pub async fn serve(&self) -> Result<Service, CliError> {
        self.start(true).await
    }

    /// Starts the loops that work workflow runs off. Campaigns stay where they are.
    ///
    /// # Errors
    /// The store fails.
    pub async fn serve_workflow_runs(&self) -> Result<Service, CliError> {
        self.start(false).await
    }

    async fn start(&self, evaluation: bool) -> Result<Service, CliError> {
        let RunConfig { capacity, reaper, auto_resume, keep_outputs_days, .. } = self.config.run;
        let dispatch = DispatchConfig { capacity, evaluation, ..DispatchConfig::default() };
        let every = Duration::from_secs(self.config.audit.head_every_seconds.into());
        let config = ServiceConfig {
            dispatch,
            proposers: self.proposers()?,
            reaper: ReaperConfig { enabled: reaper, auto_resume },
            retention: Millis::from_days(keep_outputs_days),
            audit_retention: self.config.audit.keep_days.map(Millis::from_days),
            head_file: self.head_file().map(|file| (file, every)),
        };
        Ok(Service::start(Arc::clone(&self.engine), Arc::clone(&self.executor), config).await?)
    }

    /// The file in which the head of the audit chain is noted. A store that forgets has none, as its chain
    /// begins anew in each process.
    #[must_use]
    pub fn head_file(&self) -> Option<HeadFile> {
        let path = self.config.audit.head_file.as_ref()?;
        self.engine.store().upkeep().map(|_| HeadFile::new(self.folder.join(path)))
    }

    fn proposers(&self) -> Result<Vec<Arc<dyn Proposer>>, CliError> {
        let named = self.config.run.proposers.iter().map(|name| {
            built_in(name).ok_or_else(|| CliError::Config {
                path: self.folder.join(crate::config::FILE),
                message: format!("run.proposers: there is no proposer {name:?}; there are \"examples\" and \"rules\""),
            })
        });
        named.collect()
    }

    /// A draft on `project`, to be created.
    ///
    /// # Errors
    /// The executor is not ready for it, or no proposer can have a candidate for it.
    pub fn draft(
        &self,
        project: &Project,
        seed: Option<u64>,
        model: Option<ModelRef>,
        mode: SearchMode,
    ) -> Result<NewCampaign, CliError> {
        let model = model.or_else(|| self.config.run.model.clone());
        let overridden = model.as_ref().map(|model| project.workflow.with_model(model));
        let cost_limit = project.policies.budget.max_total_cost;
        let workflow = overridden.as_ref().unwrap_or(&project.workflow);
        self.executor.ready(workflow, cost_limit)?;
        let now = self.engine.clock().now();
        let setup = Setup {
            id: self.engine.new_campaign_id(),
            name: None,
            seed: seed.unwrap_or(self.config.run.seed),
            executor: self.executor.name().to_owned(),
            simulated: self.executor.simulated(),
            executor_settings: self.executor.settings(),
            worst_case: quote::worst_case(self.executor.as_ref(), workflow, &project.pack),
            model,
            mode,
        };
        let prospect = match mode {
            SearchMode::Proposers => {
                Some(Box::new(self.prospect(project, overridden, setup.seed)?))
            }
            SearchMode::Suggestions | SearchMode::Health => None,
        };
        let mut new = project.draft(setup, now);
        new.campaign.search.prospect = prospect;
        Ok(new)
    }

    /// What the proposers could offer for the workflow of `project`, or for the `overridden` one.
    ///
    /// # Errors
    /// [`CliError::NoCandidates`] when it is certain that they have nothing.
    fn prospect(
        &self,
        project: &Project,
        overridden: Option<Workflow>,
        seed: u64,
    ) -> Result<Prospect, CliError> {
        let baseline = Arc::new(overridden.unwrap_or_else(|| project.workflow.clone()));
        let Policies { mutation, scope, .. } = project.policies.clone();
        let prepared = Prepared::new(baseline, mutation, scope)
            .map_err(|error| CliError::Usage { code: error.code(), message: error.to_string() })?;
        let request = ProposalRequest {
            prepared: Arc::new(prepared),
            objective: project.objective.clone(),
            seed,
            tried: BTreeMap::new(),
            observed: Vec::new(),
        };
        let proposers = self.proposers()?;
        let prospects = proposers.iter().map(|proposer| proposer.prospect(&request));
        let prospect = prospects.fold(Prospect::default(), Prospect::plus);
        if prospect.is_hopeless() {
            return Err(CliError::NoCandidates(Box::new(prospect)));
        }
        Ok(prospect)
    }

    /// The campaign that a verb means: the named one, else the newest open one, else the newest.
    ///
    /// # Errors
    /// There is none.
    pub async fn campaign(&self, named: Option<&str>) -> Result<Campaign, CliError> {
        let none = |message: String| CliError::NotFound { code: "campaign_not_found", message };
        let id = match named {
            Some(name) => CampaignId::new(name).map_err(|error| none(error.to_string()))?,
            None => {
                let page = self.engine.store().campaigns(Page::first()).await?;
                page.damaged.iter().for_each(listing::tell);
                let open = page.items.iter().find(|campaign| campaign.status.is_open());
                let chosen = open.or(page.items.first()).map(|campaign| campaign.id.clone());
                chosen.ok_or_else(|| {
                    none("there is no campaign yet; `optim run` starts one".to_owned())
                })?
            }
        };
        Ok(self.engine.campaign(&id).await?.value)
    }

    /// The campaigns that the loops may take further, newest first: those that are not over, and those
    /// whose apply is to be measured.
    ///
    /// # Errors
    /// The store fails.
    pub async fn campaigns_at_work(&self) -> Result<Vec<Campaign>, CliError> {
        let mut open = Vec::new();
        for id in self.engine.campaigns_at_work().await? {
            open.push(self.engine.campaign(&id).await?.value);
        }
        Ok(open)
    }

    /// The experiments of a campaign, by number.
    ///
    /// # Errors
    /// The store fails.
    pub async fn experiments(&self, campaign: &CampaignId) -> Result<Vec<Experiment>, CliError> {
        // Before what is on record, which would be newer then: a decision is in both at once.
        let open = self.engine.campaign(campaign).await?.value;
        let listed = Page::all(|page| self.engine.store().experiments(campaign, page)).await?;
        // The pairs of a comparison are with the campaign until they are decided on.
        let with_pairs = |recorded: Experiment| match recorded.is_compared() {
            true => {
                let mut open = open.current_experiments().iter();
                open.find(|open| open.id == recorded.id).cloned().unwrap_or(recorded)
            }
            false => recorded,
        };
        Ok(listed.into_iter().map(with_pairs).collect())
    }

    /// The experiment that a person means: `#3`, `3`, an id, or the beginning of one id.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub async fn experiment(
        &self,
        campaign: &CampaignId,
        asked: &str,
    ) -> Result<Experiment, CliError> {
        let experiments = self.experiments(campaign).await?;
        let number = asked.strip_prefix('#').unwrap_or(asked).parse::<u32>().ok();
        let matches = |experiment: &&Experiment| match number {
            Some(number) => experiment.number == number,
            None => !asked.is_empty() && experiment.id.to_string().starts_with(asked),
        };
        let mut found = experiments.iter().filter(matches);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.clone()),
            (Some(_), Some(_)) => Err(CliError::Usage {
                code: "ambiguous_id",
                message: format!(
                    "{asked:?} is the beginning of several experiment ids; write more of it, or #NUMBER"
                ),
            }),
            (None, _) => Err(CliError::NotFound {
                code: "experiment_not_found",
                message: format!(
                    "campaign {campaign} has no experiment {asked:?}; it has {}",
                    experiments.len()
                ),
            }),
        }
    }
}

/// The person at the command line.
#[must_use]
pub fn actor() -> Actor {
    let user = std::env::var("USER")
        .ok()
        .filter(|user| !user.trim().is_empty())
        .unwrap_or_else(|| "unknown".to_owned());
    Actor::new(format!("local:{user}")).unwrap_or_else(|_| Actor::engine())
}

fn executor(config: &ExecutorConfig, folder: &Path) -> Result<Arc<dyn NodeExecutor>, CliError> {
    let refuse =
        |message: String| CliError::Config { path: folder.join(crate::config::FILE), message };
    Ok(match config {
        ExecutorConfig::Lexical => Arc::new(Lexical),
        ExecutorConfig::Process(process) => Arc::new(
            Process::new(process.clone(), folder)
                .and_then(|process| process.guarded_by(guard::of_this_binary()))
                .map_err(|error| refuse(error.to_string()))?,
        ),
        ExecutorConfig::Http(http) => {
            Arc::new(Http::new(http.clone(), folder).map_err(|error| refuse(error.to_string()))?)
        }
        ExecutorConfig::OpenAi(openai) => Arc::new(
            OpenAi::new(openai.clone(), folder).map_err(|error| refuse(error.to_string()))?,
        ),
        ExecutorConfig::Scripted(scripted) => Arc::new(Scripted::new(scripted.clone())),
    })
}
