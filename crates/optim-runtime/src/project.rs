//! Reads a project's files, checks them together, and freezes them into a new campaign.

use std::path::{Path, PathBuf};

use optim_core::assertion::Matcher as _;
use optim_core::campaign::ledger::Allowance;
use optim_core::campaign::location::Location;
use optim_core::campaign::{Campaign, Frozen, SearchMode, Source};
use optim_core::canonical;
use optim_core::diagnostic::{Checked, Diagnostic, Diagnostics, Place, Severity};
use optim_core::digest::Digest;
use optim_core::id::{CampaignId, WorkflowId};
use optim_core::pack::{self, CaseCounts, Pack};
use optim_core::policy::{
    self, FileRole, FrozenFile, Objective, PackRef, Policies, PolicyFile, PolicyFiles,
};
use optim_core::quantity::Timestamp;
use optim_core::secret;
use optim_core::shadow;
use optim_core::workflow::check::check;
use optim_core::workflow::{ModelRef, Workflow, load};
use optim_store::Blob;
use serde_json::Value;

use crate::artifact::{Artifact, ArtifactError};
use crate::engine::NewCampaign;
use crate::executor::{Capabilities, unmet_needs};
use crate::live::WORKFLOW_BYTES_MAX;
use crate::matcher::Engines;

/// The most bytes of a policy file.
const POLICY_BYTES_MAX: u64 = 256 * 1024;
/// The most bytes of an eval pack.
const PACK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Keys in cases that are warned of.
const SECRETS_SHOWN: usize = 3;

/// Where a project's files are. References are relative to the workspace: the workflow's
/// `workspace_root` when that is absolute, else it is resolved from the workflow file's folder, and for
/// a stored workflow from the project's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRefs {
    /// The project's folder.
    pub folder: PathBuf,
    /// The workflow file, relative to the folder; not looked at for a stored workflow.
    pub workflow: String,
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

/// A project whose files are read and valid.
#[derive(Debug, Clone)]
pub struct Project {
    /// The workflow.
    pub workflow: Workflow,
    /// Where the live workflow is.
    pub location: Location,
    /// Where relative paths of a stored workflow begin.
    workspace: Option<PathBuf>,
    /// The objective.
    pub objective: Objective,
    /// The policies.
    pub policies: Policies,
    /// The eval pack.
    pub pack: Pack,
    pack_bytes: Vec<u8>,
    files: Vec<FrozenFile>,
    /// Findings that do not stop a campaign.
    pub warnings: Diagnostics,
}

/// How a campaign on a project is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The campaign's id.
    pub id: CampaignId,
    /// The campaign's name; made from the workflow's when absent.
    pub name: Option<String>,
    /// Feeds everything that is drawn at random.
    pub seed: u64,
    /// Who executes nodes.
    pub executor: String,
    /// Whether that simulates.
    pub simulated: bool,
    /// Its settings, as a digest.
    pub executor_settings: Digest,
    /// The most that one case run can use, where the executor knows it.
    pub worst_case: Option<Allowance>,
    /// The model for every agent, instead of its own.
    pub model: Option<ModelRef>,
    /// Where candidates come from.
    pub mode: SearchMode,
}

/// Reads and checks the files of `refs` for an executor with `capabilities`.
///
/// # Errors
/// Every finding that stops a campaign, of all files together.
pub fn read(refs: &ProjectRefs, capabilities: &Capabilities) -> Result<Project, Diagnostics> {
    let file = artifact(&refs.folder, &refs.workflow, WORKFLOW_BYTES_MAX)?;
    let location = Location::File(file.path.display().to_string());
    let folder = file.path.parent().unwrap_or(Path::new("/")).to_owned();
    let frozen = file.frozen(FileRole::Workflow);
    let (name, bytes) = (file.reference, file.bytes);
    read_with(refs, Origin { name, bytes, location, folder, frozen }, capabilities)
}

/// Reads and checks the files of `refs` around the stored workflow `id` with the text `bytes`.
///
/// # Errors
/// Every finding that stops a campaign, of all files together.
pub fn read_stored(
    refs: &ProjectRefs,
    (id, bytes): (&WorkflowId, Vec<u8>),
    capabilities: &Capabilities,
) -> Result<Project, Diagnostics> {
    let location = Location::Stored(id.clone());
    let name = location.to_string();
    let frozen = FrozenFile {
        role: FileRole::Workflow,
        artifact_ref: name.clone(),
        resolved_path: name.clone(),
        sha256: Digest::of(&bytes),
        size_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
    };
    let folder = refs.folder.clone();
    read_with(refs, Origin { name, bytes, location, folder, frozen }, capabilities)
}

/// The definition that a project is about.
struct Origin {
    /// What findings call it.
    name: String,
    bytes: Vec<u8>,
    location: Location,
    /// Where a relative `workspace_root` begins.
    folder: PathBuf,
    frozen: FrozenFile,
}

fn read_with(
    refs: &ProjectRefs,
    origin: Origin,
    capabilities: &Capabilities,
) -> Result<Project, Diagnostics> {
    let (workflow, document) = load::load(&origin.name, &origin.bytes)?;
    let root = workflow.workspace_root().map_or("", str::trim);
    let root = origin.folder.join(root);
    let policy_files = PolicyArtifacts::read(&root, refs)?;
    let Checked { value: (objective, policies), warnings } =
        policy::read(&policy_files.contents())?;
    let pack_file = match &policies.eval.pack_ref {
        PackRef::File(reference) => Some(artifact(&root, reference, PACK_BYTES_MAX)?),
        PackRef::Implicit => None,
    };
    let pack = match &pack_file {
        Some(file) => pack::read(&file.reference, &file.bytes)?,
        None => Pack::implicit(),
    };
    let mut findings = warnings;
    findings.0.extend(secret::findings(&origin.name, &origin.bytes));
    findings.0.extend(pack_file.iter().flat_map(secrets_of_cases));
    let mut of_workflow = check(&workflow, Some(&policies));
    of_workflow.extend(unmet_needs(&workflow, capabilities));
    of_workflow.extend(shadow::findings(&workflow));
    findings.0.extend(load::locate(&origin.name, &document, of_workflow));
    let pack_name = pack_file.as_ref().map_or("the implicit case", |file| file.reference.as_str());
    findings.0.extend(pack.check(pack_name, &workflow));
    findings.0.extend(engines_refuse(&workflow, &origin.name, &pack, pack_name));
    if findings.has_errors() {
        return Err(findings);
    }
    let mut files = policy_files.frozen();
    files.extend(pack_file.as_ref().map(|file| file.frozen(FileRole::Pack)));
    files.push(origin.frozen);
    let workspace = origin.location.stored().map(|_| root);
    Ok(Project {
        workflow,
        location: origin.location,
        workspace,
        objective,
        policies,
        pack,
        pack_bytes: pack_file.map(|file| file.bytes).unwrap_or_default(),
        files,
        warnings: findings,
    })
}

/// Cases are data of others, in which a key may stand for what it is: the first ones are warned of.
fn secrets_of_cases(pack: &Artifact) -> impl Iterator<Item = Diagnostic> {
    let findings = secret::findings(&pack.reference, &pack.bytes).take(SECRETS_SHOWN);
    findings.map(|finding| Diagnostic { severity: Severity::Warning, ..finding })
}

/// Patterns and schemas that no engine can use; found here, they cost nothing.
fn engines_refuse(
    workflow: &Workflow,
    workflow_name: &str,
    pack: &Pack,
    pack_name: &str,
) -> Vec<Diagnostic> {
    let engines = Engines::default();
    let schemas = workflow.nodes().iter().enumerate().filter_map(|(index, node)| {
        let why = engines.schema(node.contract()?.schema.as_ref()?, &Value::Null).err()?;
        let path = format!("/flow/nodes/{index}/output_contract/schema");
        let message = format!("the schema of node `{}` is not valid: {why}", node.id());
        Some(Diagnostic::error("schema_invalid", Place::file(workflow_name).path(path), message))
    });
    let expectations = pack.cases.iter().flat_map(|case| {
        let places = case.expect.iter().enumerate();
        places.map(move |(index, expectation)| (case, index, expectation))
    });
    let refused = expectations.filter_map(|(case, index, expectation)| {
        let why = expectation.check(&engines).err()?;
        let message = format!("case `{}`, expectation {}: {why}", case.id, index + 1);
        Some(Diagnostic::error("expectation_invalid", Place::file(pack_name), message))
    });
    schemas.chain(refused).collect()
}

/// The five policy files, read.
struct PolicyArtifacts {
    objective: Artifact,
    eval: Artifact,
    mutation: Artifact,
    scope: Artifact,
    budget: Artifact,
}

impl PolicyArtifacts {
    /// Reads all five; the findings of all of them come together.
    fn read(root: &Path, refs: &ProjectRefs) -> Result<Self, Diagnostics> {
        let mut findings = Vec::new();
        let mut read = |reference: &str| {
            artifact(root, reference, POLICY_BYTES_MAX)
                .map_err(|found: Diagnostics| findings.extend(found))
                .ok()
        };
        let objective = read(&refs.objective);
        let eval = read(&refs.eval);
        let mutation = read(&refs.mutation_policy);
        let scope = read(&refs.scope);
        let budget = read(&refs.budget);
        match (objective, eval, mutation, scope, budget) {
            (Some(objective), Some(eval), Some(mutation), Some(scope), Some(budget)) => {
                Ok(Self { objective, eval, mutation, scope, budget })
            }
            _ => Err(Diagnostics(findings)),
        }
    }

    fn contents(&self) -> PolicyFiles<'_> {
        fn content(file: &Artifact) -> PolicyFile<'_> {
            PolicyFile { name: &file.reference, bytes: &file.bytes }
        }
        PolicyFiles {
            objective: content(&self.objective),
            eval: content(&self.eval),
            mutation: content(&self.mutation),
            scope: content(&self.scope),
            budget: content(&self.budget),
        }
    }

    fn frozen(&self) -> Vec<FrozenFile> {
        vec![
            self.objective.frozen(FileRole::Objective),
            self.eval.frozen(FileRole::Eval),
            self.mutation.frozen(FileRole::MutationPolicy),
            self.scope.frozen(FileRole::Scope),
            self.budget.frozen(FileRole::Budget),
        ]
    }
}

fn artifact(root: &Path, reference: &str, limit: u64) -> Result<Artifact, Diagnostics> {
    Artifact::read(root, reference, limit).map_err(|error: ArtifactError| {
        Diagnostic::error(error.code(), Place::file(reference), error.to_string()).into()
    })
}

impl Project {
    /// The draft of a campaign on this project, with its payloads.
    #[must_use]
    pub fn draft(&self, setup: Setup, now: Timestamp) -> NewCampaign {
        let definition = Blob::new(canonical::bytes(&self.workflow.to_json()));
        let objective = Blob::new(self.objective.as_str().as_bytes().to_vec());
        let pack = Blob::new(self.pack_bytes.clone());
        let CaseCounts { search, tune, holdout } = self.pack.counts();
        let source = Source {
            workflow: self.workflow.id().clone(),
            name: self.workflow.name().to_owned(),
            location: self.location.clone(),
            workspace: self.workspace.as_ref().map(|folder| folder.display().to_string()),
            snapshot: definition.digest(),
            fingerprint: self.workflow.fingerprint(),
        };
        let frozen = Frozen {
            policies: self.policies.clone(),
            objective: objective.digest(),
            pack: pack.digest(),
            search_cases: search,
            holdout_cases: holdout,
            tune_cases: tune,
            files: self.files.clone(),
            executor: setup.executor,
            simulated: setup.simulated,
            worst_case: setup.worst_case,
            executor_settings: Some(setup.executor_settings),
        };
        let name = setup.name.unwrap_or_else(|| format!("Optimize {}", self.workflow.name()));
        let mut campaign = Campaign::draft(setup.id, name, setup.seed, source, frozen, now);
        campaign.search.mode = setup.mode;
        let mut blobs = vec![definition, objective, pack];
        if let Some(model) = setup.model {
            let workflow = self.workflow.with_model(&model);
            let definition = Blob::new(canonical::bytes(&workflow.to_json()));
            campaign = campaign.overridden(model, (definition.digest(), workflow.fingerprint()));
            blobs.push(definition);
        }
        NewCampaign { campaign, blobs }
    }
}
