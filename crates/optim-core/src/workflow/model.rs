//! Which models a workflow's agents use: read from the free-form `model_policy`, and replaced there.
//!
//! A policy is an object with `default_model` (or `defaultModel`) and `role_models` (or
//! `roleModels`), or a model by itself. A model is an object with `provider_id` and `model_id` (or
//! `providerId`, `modelId`), or text: `provider/model`, cut at the first slash. An absent or null
//! policy names no model.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{Agent, Workflow};
use crate::id::{IdError, ModelId, ProviderId};

const POLICY: &str = "model_policy";
const DEFAULT: [&str; 2] = ["default_model", "defaultModel"];
const ROLES: [&str; 2] = ["role_models", "roleModels"];
const PROVIDER: [&str; 2] = ["provider_id", "providerId"];
const MODEL: [&str; 2] = ["model_id", "modelId"];

/// A model of a provider, written `provider/model`.
///
/// The provider's name is kept in lower case, so that every spelling meets one rate limit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelRef {
    provider: ProviderId,
    model: ModelId,
}

impl ModelRef {
    /// The model `model` of `provider`.
    ///
    /// # Errors
    /// One of the two is no name.
    pub fn new(provider: &str, model: &str) -> Result<Self, IdError> {
        let provider = ProviderId::new(provider.trim().to_ascii_lowercase())?;
        Ok(Self { provider, model: ModelId::new(model.trim())? })
    }

    /// Who serves it.
    #[must_use]
    pub fn provider(&self) -> &ProviderId {
        &self.provider
    }

    /// What the provider calls it.
    #[must_use]
    pub fn model(&self) -> &ModelId {
        &self.model
    }
}

/// A text that names no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelRefError {
    /// There is no slash.
    #[error("{0:?} names no model; write provider/model, for instance openai/gpt-4o-mini")]
    NoProvider(String),
    /// A part is no name.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl FromStr for ModelRef {
    type Err = ModelRefError;
    fn from_str(text: &str) -> Result<Self, ModelRefError> {
        let (provider, model) = text.split_once('/').ok_or_else(|| {
            ModelRefError::NoProvider(text.chars().take(crate::id::NAME_CHARS_MAX).collect())
        })?;
        Ok(Self::new(provider, model)?)
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

impl Serialize for ModelRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ModelRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The models of one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Models {
    /// What the agent's nodes run on.
    pub default: Option<ModelRef>,
    /// What the agent uses in certain roles, by role.
    pub roles: BTreeMap<String, ModelRef>,
}

/// A `model_policy` that names no model where it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelFault {
    /// The place in the agent, as a JSON pointer: `/model_policy/default_model`.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl Agent {
    /// The models that the agent's `model_policy` names.
    ///
    /// # Errors
    /// The first place that cannot be read, or that two spellings of one key contradict.
    pub fn models(&self) -> Result<Models, ModelFault> {
        match self.definition.get(POLICY) {
            None | Some(Value::Null) => Ok(Models::default()),
            Some(Value::Object(policy)) => of_policy(policy),
            Some(model) => {
                let default = Some(of_value(model, &format!("/{POLICY}"))?);
                Ok(Models { default, ..Models::default() })
            }
        }
    }
}

fn of_policy(policy: &Map<String, Value>) -> Result<Models, ModelFault> {
    let at = format!("/{POLICY}");
    let mut models = Models::default();
    if let Some((key, model)) = either(policy, DEFAULT, &at)? {
        models.default = Some(of_value(model, &format!("{at}/{key}"))?);
    }
    if let Some((key, roles)) = either(policy, ROLES, &at)? {
        let at = format!("{at}/{key}");
        let Value::Object(roles) = roles else {
            return Err(ModelFault {
                path: at,
                message: "expected a mapping of roles to models".to_owned(),
            });
        };
        for (role, model) in roles.iter().filter(|(_, model)| !model.is_null()) {
            models.roles.insert(role.clone(), of_value(model, &format!("{at}/{role}"))?);
        }
    }
    Ok(models)
}

fn of_value(value: &Value, at: &str) -> Result<ModelRef, ModelFault> {
    let fault = |message: String| ModelFault { path: at.to_owned(), message };
    match value {
        Value::String(text) => {
            text.parse().map_err(|error: ModelRefError| fault(error.to_string()))
        }
        Value::Object(model) => {
            let text = |keys: [&'static str; 2]| match either(model, keys, at)? {
                Some((_, Value::String(text))) => Ok(text),
                _ => {
                    Err(fault(format!("a model needs the texts {} and {}", PROVIDER[0], MODEL[0])))
                }
            };
            ModelRef::new(text(PROVIDER)?, text(MODEL)?).map_err(|error| fault(error.to_string()))
        }
        _ => Err(fault(format!(
            "expected a model: {{{}, {}}} or \"provider/model\"",
            PROVIDER[0], MODEL[0]
        ))),
    }
}

/// The value under one of two spellings of a key; null counts as absent.
fn either<'a>(
    map: &'a Map<String, Value>,
    keys: [&'static str; 2],
    at: &str,
) -> Result<Option<(&'static str, &'a Value)>, ModelFault> {
    let [snake, camel] =
        keys.map(|key| Some((key, map.get(key).filter(|value| !value.is_null())?)));
    match (snake, camel) {
        (Some((_, one)), Some((_, other))) if one != other => Err(ModelFault {
            path: format!("{at}/{}", keys[1]),
            message: format!("{} and {} contradict each other; keep one", keys[0], keys[1]),
        }),
        (snake, camel) => Ok(snake.or(camel)),
    }
}

impl Workflow {
    /// Every provider that the workflow's agents name, in any role. An agent that no node is given
    /// to, or whose policy cannot be read, names none.
    #[must_use]
    pub fn providers(&self) -> BTreeSet<ProviderId> {
        let used = |agent: &&Agent| self.nodes().iter().any(|node| *node.agent() == agent.id);
        let models = self.agents().iter().filter(used).filter_map(|agent| agent.models().ok());
        models
            .flat_map(|models| models.default.into_iter().chain(models.roles.into_values()))
            .map(|model| model.provider)
            .collect()
    }

    /// The same workflow with `model` for every agent, in every role that it names.
    ///
    /// What else a policy holds stays; of the keys for models one spelling is left.
    #[must_use]
    pub fn with_model(&self, model: &ModelRef) -> Self {
        let mut next = self.clone();
        for agent in &mut next.agents {
            agent
                .definition
                .insert(POLICY.to_owned(), overridden(agent.definition.get(POLICY), model));
        }
        let agents = next.agents.iter().map(|agent| Value::Object(agent.definition.clone()));
        let agents = Value::Array(agents.collect());
        if let Some(written) = next.header.get_mut("agents") {
            *written = agents;
        }
        next
    }
}

/// A policy with `model` in the place of every other one.
fn overridden(policy: Option<&Value>, model: &ModelRef) -> Value {
    let entry = json!({PROVIDER[0]: model.provider, MODEL[0]: model.model});
    let mut policy = policy.and_then(Value::as_object).cloned().unwrap_or_default();
    let mut roles = Map::new();
    for key in ROLES {
        if let Some(Value::Object(named)) = policy.remove(key) {
            roles.extend(named.into_iter().map(|(role, _)| (role, entry.clone())));
        }
    }
    for key in DEFAULT {
        policy.remove(key);
    }
    policy.insert(DEFAULT[0].to_owned(), entry);
    if !roles.is_empty() {
        policy.insert(ROLES[0].to_owned(), Value::Object(roles));
    }
    Value::Object(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(text: &str) -> ModelRef {
        text.parse().unwrap()
    }

    fn workflow(policy: &Value) -> Workflow {
        Workflow::from_json(json!({
            "automation_id": "w",
            "agents": [{"agent_id": "x", "model_policy": policy, "skills": ["s"]},
                       {"agent_id": "unused", "model_policy": "elsewhere/m"}],
            "flow": {"nodes": [{"node_id": "a", "agent_id": "x", "objective": "o"}]},
        }))
        .unwrap()
    }

    fn models(policy: &Value) -> Result<Models, ModelFault> {
        workflow(policy).agents()[0].models()
    }

    #[test]
    fn every_spelling_of_a_model_is_read() {
        let wanted = Some(model("openai/gpt-4o"));
        for policy in [
            json!({"default_model": {"provider_id": "openai", "model_id": "gpt-4o"}}),
            json!({"defaultModel": {"providerId": "OpenAI", "modelId": "gpt-4o"}}),
            json!({"default_model": {"providerId": "openai", "model_id": "gpt-4o"}, "defaultModel": null}),
            json!({"default_model": "openai/gpt-4o"}),
            json!("openai/gpt-4o"),
        ] {
            assert_eq!(models(&policy).unwrap().default, wanted, "{policy}");
        }
        for policy in [Value::Null, json!({}), json!({"default_model": null, "role_models": null})]
        {
            assert_eq!(models(&policy), Ok(Models::default()), "{policy}");
        }
    }

    #[test]
    fn a_model_name_may_hold_slashes_and_a_provider_is_one_in_every_case() {
        let nested = model("OpenRouter/meta-llama/llama-3");
        assert_eq!(
            (nested.provider().as_str(), nested.model().as_str()),
            ("openrouter", "meta-llama/llama-3")
        );
        assert_eq!(nested.to_string().parse(), Ok(nested));
        for bad in ["gpt-4o", "/gpt-4o", "openai/", "open ai/m", ""] {
            assert!(bad.parse::<ModelRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_names_no_model_is_refused_with_its_place() {
        for (policy, path) in [
            (json!(7), "/model_policy"),
            (json!({"default_model": "gpt-4o"}), "/model_policy/default_model"),
            (json!({"default_model": {"provider_id": "openai"}}), "/model_policy/default_model"),
            (
                json!({"defaultModel": {"provider_id": "a b", "model_id": "m"}}),
                "/model_policy/defaultModel",
            ),
            (json!({"role_models": ["openai/m"]}), "/model_policy/role_models"),
            (json!({"roleModels": {"planner": 1}}), "/model_policy/roleModels/planner"),
        ] {
            assert_eq!(models(&policy).unwrap_err().path, path, "{policy}");
        }
    }

    #[test]
    fn two_spellings_that_contradict_each_other_are_refused() {
        let twice = |other: &str| json!({"default_model": "openai/m", "defaultModel": other});
        assert!(models(&twice("openai/m")).is_ok());
        let fault = models(&twice("other/m")).unwrap_err();
        assert_eq!(fault.path, "/model_policy/defaultModel");
        assert!(fault.message.contains("contradict"), "{fault}");
    }

    #[test]
    fn a_workflow_needs_every_provider_that_an_agent_at_work_names() {
        let policy = json!({"default_model": "openai/m", "roleModels": {"planner": "Groq/p", "critic": "openai/c"}});
        let providers: Vec<_> =
            workflow(&policy).providers().iter().map(ToString::to_string).collect();
        assert_eq!(providers, ["groq", "openai"]);
    }

    #[test]
    fn an_override_leaves_no_other_model_anywhere() {
        let wanted = model("local/qwen");
        for policy in [
            Value::Null,
            json!("openai/m"),
            json!({"default_model": "openai/m", "keep": 1}),
            json!({"defaultModel": {"providerId": "openai", "modelId": "m"}, "role_models": {"planner": "a/b"}, "roleModels": {"critic": null}}),
        ] {
            let before = workflow(&policy);
            let after = before.with_model(&wanted);
            for agent in after.agents() {
                let models = agent.models().unwrap();
                assert_eq!(models.default, Some(wanted.clone()));
                assert!(models.roles.values().all(|model| *model == wanted));
            }
            let written = after.to_json();
            assert_eq!(Workflow::from_json(written.clone()).unwrap(), after, "it reads back");
            assert!(!written.to_string().contains("openai"), "{written}");
            assert!(!written.to_string().contains("Model"), "one spelling is left: {written}");
            assert_eq!(written["agents"][0]["skills"], json!(["s"]));
            assert_eq!(after.with_model(&wanted), after);
            assert_eq!(after.nodes(), before.nodes());
            assert_ne!(after.fingerprint(), before.fingerprint());
        }
        let kept = workflow(&json!({"default_model": "openai/m", "keep": 1})).with_model(&wanted);
        assert_eq!(kept.to_json()["agents"][0]["model_policy"]["keep"], 1);
        let roles = json!({"role_models": {"planner": "a/b"}, "roleModels": {"critic": null}});
        let roles = workflow(&roles).with_model(&wanted).agents()[0].models().unwrap().roles;
        assert_eq!(roles.into_keys().collect::<Vec<_>>(), ["critic", "planner"]);
    }
}
