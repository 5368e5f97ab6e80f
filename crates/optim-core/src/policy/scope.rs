//! `scope.yaml`: what a campaign may never touch.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::keys::{Keys, Source, Value};
use super::kind::Kind;
use super::{Profile, kind};
use crate::document::quote;
use crate::id::{IdError, NodeId};
use crate::mutation::MutableField;
use crate::suggest::did_you_mean;

/// The validated `scope.yaml`. Its four switches have one legal value each and are checked when
/// the file is read; what remains is the list of forbidden fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopePolicy {
    /// Strict or custom bounds.
    pub profile: Profile,
    /// Fields that no mutation and no patch may change.
    pub forbidden_fields: Vec<FieldPattern>,
}

/// One entry of `forbidden_fields`.
///
/// Grammar: `FIELD`, that field of every node; `nodes.NODE.FIELD`, that field of one node. `FIELD` is
/// the path of a mutable field, such as `output_contract.summary_guidance`, or in the second form
/// `*` for every field. `NODE` is a node id, dots and all, or `*` for every node. `nodes.NODE` is
/// short for `nodes.NODE.*`; a node whose id itself ends like a field needs the long form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldPattern {
    /// The node; any when absent.
    pub node: Option<NodeId>,
    /// The field; any when absent.
    pub field: Option<MutableField>,
}

impl ScopePolicy {
    /// The first entry that forbids changing `field` of `node`.
    #[must_use]
    pub fn forbids(&self, node: &NodeId, field: MutableField) -> Option<&FieldPattern> {
        self.forbidden_fields.iter().find(|pattern| pattern.matches(node, field))
    }
}

impl FieldPattern {
    /// Whether the pattern covers `field` of `node`.
    #[must_use]
    pub fn matches(&self, node: &NodeId, field: MutableField) -> bool {
        self.node.as_ref().is_none_or(|wanted| wanted == node)
            && self.field.is_none_or(|wanted| wanted == field)
    }
}

/// Why a text is no entry of `forbidden_fields`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It is no path of a mutable field.
    #[error("is not a field that may change")]
    UnknownField,
    /// The part after `nodes.` is no node id.
    #[error(transparent)]
    Node(#[from] IdError),
}

impl PatternError {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "unknown_path"
    }
}

impl FromStr for FieldPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let field_at =
            |path: &str| MutableField::ALL.into_iter().find(|field| field.path() == path);
        let Some(rest) = text.strip_prefix("nodes.") else {
            let field = field_at(text).ok_or(PatternError::UnknownField)?;
            return Ok(Self { node: None, field: Some(field) });
        };
        let (node, field) = MutableField::ALL
            .into_iter()
            .find_map(|field| {
                let node = rest.strip_suffix(field.path().as_str())?.strip_suffix('.')?;
                Some((node, Some(field)))
            })
            .unwrap_or_else(|| (rest.strip_suffix(".*").unwrap_or(rest), None));
        let node = if node == "*" { None } else { Some(NodeId::new(node)?) };
        Ok(Self { node, field })
    }
}

impl fmt::Display for FieldPattern {
    /// Writes the entry so that it reads back as the same pattern.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.node.as_ref().map_or("*", |node| node.as_str());
        match (&self.node, self.field) {
            (None, Some(field)) => write!(f, "{field}"),
            (_, Some(field)) => write!(f, "nodes.{node}.{field}"),
            (_, None) => write!(f, "nodes.{node}.*"),
        }
    }
}

impl FieldPattern {
    /// What to write instead of `text`.
    fn help(text: &str) -> String {
        let paths = MutableField::ALL.map(MutableField::path);
        did_you_mean(text, paths.iter().map(String::as_str)).unwrap_or_else(|| {
            format!(
                "write FIELD, nodes.NODE or nodes.NODE.FIELD, where FIELD is one of {}; nothing else \
                 of a workflow ever changes",
                paths.join(", ")
            )
        })
    }
}

/// The kind of an entry of `forbidden_fields`.
struct Pattern;

impl Kind for Pattern {
    type Value = FieldPattern;

    fn read(&self, value: &Value<'_>, source: &mut Source<'_>) -> Option<FieldPattern> {
        let Some(text) = value.node.as_str() else {
            source.wrong_type(value, "the path of a field", &FieldPattern::help(""));
            return None;
        };
        text.parse()
            .map_err(|error: PatternError| {
                let message = format!("`{}`: {} {error}", value.name, quote(text));
                source.refuse(value, error.code(), message, FieldPattern::help(text));
            })
            .ok()
    }

    fn allowed(&self, _: Profile) -> String {
        "FIELD, `nodes.NODE`, `nodes.NODE.FIELD`".to_owned()
    }
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<ScopePolicy> {
    let profile = keys.profile();
    keys.read(
        "candidate_snapshot_only",
        "candidates are changes of a frozen snapshot",
        kind::switch(true, "candidates are always made from the frozen snapshot"),
    );
    keys.read(
        "allow_live_source_mutation",
        "whether a campaign may edit the live workflow by itself",
        kind::switch(false, "only a person applies a change to the live workflow"),
    );
    keys.read(
        "allow_external_side_effects_in_eval",
        "whether evaluations may act on the outside",
        kind::switch(false, "evaluations run in a scratch copy, without effects outside it"),
    );
    keys.read(
        "promotion_requires_operator_approval",
        "whether a person decides about every promotion",
        kind::switch(true, "no change is promoted without a person"),
    );
    let forbidden_fields = keys.read(
        "forbidden_fields",
        "fields that no candidate and no patch may change",
        kind::list(Pattern).or_empty(),
    );
    Some(ScopePolicy { profile: profile?, forbidden_fields: forbidden_fields? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(node: Option<&str>, field: Option<MutableField>) -> FieldPattern {
        let node = node.map(|id| NodeId::new(id).unwrap());
        FieldPattern { node, field }
    }

    #[test]
    fn entries_name_a_field_a_node_or_both() {
        use MutableField::{OutputContractSummaryGuidance as Guidance, TimeoutMs as Timeout};
        for (text, node, field) in [
            ("timeout_ms", None, Some(Timeout)),
            ("output_contract.summary_guidance", None, Some(Guidance)),
            ("nodes.a", Some("a"), None),
            ("nodes.a.*", Some("a"), None),
            ("nodes.a.timeout_ms", Some("a"), Some(Timeout)),
            ("nodes.*.timeout_ms", None, Some(Timeout)),
            ("nodes.*", None, None),
            ("nodes.*.*", None, None),
            ("nodes.v1.2.draft", Some("v1.2.draft"), None),
            ("nodes.v1.2.output_contract.summary_guidance", Some("v1.2"), Some(Guidance)),
            ("nodes.a.timeout_ms.*", Some("a.timeout_ms"), None),
            ("nodes.nodes.timeout_ms", Some("nodes"), Some(Timeout)),
            ("nodes.timeout_ms", Some("timeout_ms"), None),
            ("nodes.größe 2", Some("größe 2"), None),
        ] {
            assert_eq!(text.parse(), Ok(pattern(node, field)), "{text}");
        }
        for text in ["", "*", "nodes", "nodes.", "nodes.\n", "timeout", "a.timeout_ms"] {
            assert!(text.parse::<FieldPattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_entry_forbids_what_it_names_and_nothing_else() {
        let scope = ScopePolicy {
            profile: Profile::Strict,
            forbidden_fields: ["objective", "nodes.a", "nodes.b.timeout_ms"]
                .map(|text| text.parse().unwrap())
                .to_vec(),
        };
        let forbids = |node: &str, field| {
            let entry = scope.forbids(&NodeId::new(node).unwrap(), field);
            entry.map(ToString::to_string)
        };
        assert_eq!(forbids("c", MutableField::Objective).unwrap(), "objective");
        assert_eq!(forbids("a", MutableField::TimeoutMs).unwrap(), "nodes.a.*");
        assert_eq!(forbids("b", MutableField::TimeoutMs).unwrap(), "nodes.b.timeout_ms");
        assert_eq!(forbids("b", MutableField::RetryPolicyRetries), None);
        assert_eq!(forbids("c", MutableField::TimeoutMs), None);
    }

    proptest! {
        #[test]
        fn every_pattern_reads_back_as_it_was_written(
            id in "[a-z.*_ ]{0,8}(\\.timeout_ms|\\.\\*|\\.objective)?x?",
            is_any_node: bool,
            field in prop::option::of(0..MutableField::ALL.len()),
        ) {
            prop_assume!(id.trim() != "" && id != "*");
            let field = field.map(|index| MutableField::ALL[index]);
            let pattern = pattern(Some(id.as_str()).filter(|_| !is_any_node), field);
            prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
        }
    }
}
