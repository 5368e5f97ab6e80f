//! The semantic fingerprint of a workflow.
//!
//! It covers every field, unknown ones too, except what says nothing about behaviour: name,
//! description, creator, status, schedule, timestamps, and our own apply history. It is a tree of
//! SHA-256 digests over the nodes, three to a parent, so the fingerprint of a candidate costs its
//! changed field and one path to the root.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Node, Workflow};
use crate::canonical;
use crate::digest::{Digest, Hasher};
use crate::mutation::fields::Current;
use crate::mutation::{FieldValue, MutableField};

/// The version of the definition below is part of every hashed domain.
const DOMAIN_NODE: &str = "optim/workflow-node/1";
/// Short, so that a group of three fills exactly two blocks of SHA-256 with lengths and padding.
const DOMAIN_GROUP: &str = "group/1";
const DOMAIN_FRAME: &str = "optim/workflow-frame/1";
const DOMAIN_ROOT: &str = "optim/workflow/1";

/// Fields of the document that say nothing about how the workflow behaves.
const IGNORED: [&str; 9] = [
    "name",
    "description",
    "creator_id",
    "status",
    "schedule",
    "created_at_ms",
    "updated_at_ms",
    "next_fire_at_ms",
    "last_fired_at_ms",
];
/// The two keys of `metadata` that apply writes.
const APPLY_HISTORY: [&str; 2] = ["optimization_apply_history", "last_optimization_apply"];

/// The identity of a workflow's behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub Digest);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The digests of a workflow's nodes and of the tree above them.
#[derive(Debug, Clone)]
pub struct FingerprintTree {
    /// All but the nodes' contents: the header, and how many nodes there are.
    frame: Digest,
    nodes: Vec<NodeParts>,
    /// Level 0 holds the nodes; each level above holds one digest for every group of the level
    /// below; the last holds one.
    levels: Vec<Vec<[u8; 32]>>,
}

/// Digests with one parent: as many as two blocks of SHA-256 hold, which makes the cheapest path.
const GROUP: usize = 3;

/// What the digest of a node is made of, kept so that a changed node costs its changed field.
#[derive(Debug, Clone, Copy)]
struct NodeParts {
    /// Everything that no mutation changes.
    fixed: Digest,
    /// The mutable fields, in the order of [`MutableField::ALL`].
    fields: [FieldPart; MutableField::ALL.len()],
}

/// What stands for a mutable field in the digest of its node.
#[derive(Debug, Clone, Copy)]
enum FieldPart {
    Absent,
    Text(Digest),
    Integer(i64),
    Opaque(Digest),
}

impl FieldPart {
    fn of(current: &Current<'_>) -> Self {
        match current {
            Current::Absent => Self::Absent,
            Current::Text(text) => Self::Text(Digest::of(text.as_bytes())),
            Current::Integer(number) => Self::Integer(*number),
            Current::Opaque(value) => Self::Opaque(Digest::of(&canonical::bytes(value))),
        }
    }

    fn of_value(value: &FieldValue) -> Self {
        match value {
            FieldValue::Text(text) => Self::of(&Current::Text(text)),
            FieldValue::Integer(number) => Self::Integer(*number),
        }
    }
}

impl NodeParts {
    fn of(node: &Node) -> Self {
        Self {
            fixed: Digest::of(&canonical::object_bytes(node.fixed())),
            fields: MutableField::ALL.map(|field| FieldPart::of(&field.spec().current(node))),
        }
    }

    /// The same parts with `field` at `value`.
    fn with(mut self, field: MutableField, value: &FieldValue) -> Self {
        for (part, place) in self.fields.iter_mut().zip(MutableField::ALL) {
            if place == field {
                *part = FieldPart::of_value(value);
            }
        }
        self
    }

    /// One part of at most 197 bytes, mostly of three blocks of SHA-256. A tag says how long what
    /// follows it is.
    fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(self.fixed.as_bytes());
        for part in &self.fields {
            match part {
                FieldPart::Absent => bytes.push(b'-'),
                FieldPart::Integer(number) => {
                    bytes.push(b'i');
                    bytes.extend_from_slice(&number.to_be_bytes());
                }
                FieldPart::Text(digest) => {
                    bytes.push(b't');
                    bytes.extend_from_slice(digest.as_bytes());
                }
                FieldPart::Opaque(digest) => {
                    bytes.push(b'?');
                    bytes.extend_from_slice(digest.as_bytes());
                }
            }
        }
        let mut hasher = Hasher::new(DOMAIN_NODE);
        hasher.part(&bytes);
        *hasher.finish().as_bytes()
    }
}

impl FingerprintTree {
    /// Digests all of `workflow`: its size, once.
    #[must_use]
    pub fn new(workflow: &Workflow) -> Self {
        let nodes: Vec<_> = workflow.nodes().iter().map(|node| NodeParts::of(node)).collect();
        let mut levels = vec![nodes.iter().map(NodeParts::digest).collect::<Vec<_>>()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below.chunks(GROUP).map(group).collect();
            levels.push(above);
        }
        Self { frame: frame_digest(workflow), nodes, levels }
    }

    /// The fingerprint of the workflow itself.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.root(self.levels.last().and_then(|level| level.first()))
    }

    /// The fingerprint of the candidate in which `field` of the node at `index` has `value`: the
    /// field, and one path to the root.
    ///
    /// `None` when there is no such node.
    #[must_use]
    pub fn with_change(
        &self,
        index: usize,
        field: MutableField,
        value: &FieldValue,
    ) -> Option<Fingerprint> {
        let mut digest = self.nodes.get(index)?.with(field, value).digest();
        let mut place = index;
        for level in self.levels.iter().filter(|level| level.len() > 1) {
            let start = place - place % GROUP;
            let siblings = level.get(start..level.len().min(start + GROUP))?;
            let mut changed = [[0; 32]; GROUP];
            let changed = changed.get_mut(..siblings.len())?;
            changed.copy_from_slice(siblings);
            *changed.get_mut(place - start)? = digest;
            digest = group(changed);
            place /= GROUP;
        }
        Some(self.root(Some(&digest)))
    }

    /// The tree of that candidate, for a baseline that moves by one mutation.
    ///
    /// `None` when there is no such node.
    #[must_use]
    pub fn moved(&self, index: usize, field: MutableField, value: &FieldValue) -> Option<Self> {
        let mut next = self.clone();
        let parts = next.nodes.get_mut(index)?;
        *parts = parts.with(field, value);
        let mut digest = parts.digest();
        let mut place = index;
        for level in &mut next.levels {
            *level.get_mut(place)? = digest;
            let start = place - place % GROUP;
            digest = group(level.get(start..level.len().min(start + GROUP))?);
            place /= GROUP;
        }
        Some(next)
    }

    fn root(&self, top: Option<&[u8; 32]>) -> Fingerprint {
        let mut hasher = Hasher::new(DOMAIN_ROOT);
        hasher.part(self.frame.as_bytes());
        if let Some(top) = top {
            hasher.part(top);
        }
        Fingerprint(hasher.finish())
    }
}

impl Workflow {
    /// The fingerprint of the whole workflow. Prefer [`FingerprintTree`] for many candidates.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        FingerprintTree::new(self).fingerprint()
    }
}

/// The digest of up to [`GROUP`] siblings.
fn group(children: &[[u8; 32]]) -> [u8; 32] {
    let mut hasher = Hasher::new(DOMAIN_GROUP);
    hasher.part(children.as_flattened());
    *hasher.finish().as_bytes()
}

fn frame_digest(workflow: &Workflow) -> Digest {
    let header = meaning(workflow);
    let count = u64::try_from(workflow.nodes().len()).unwrap_or(u64::MAX);
    let mut hasher = Hasher::new(DOMAIN_FRAME);
    hasher.part(&canonical::object_bytes(&header)).part(&count.to_be_bytes());
    hasher.finish()
}

/// The document without its nodes and without what says nothing about behaviour.
pub(super) fn meaning(workflow: &Workflow) -> Map<String, Value> {
    let mut header = workflow.header().clone();
    for key in IGNORED {
        header.remove(key);
    }
    if let Some(Value::Object(metadata)) = header.get_mut("metadata") {
        for key in APPLY_HISTORY {
            metadata.remove(key);
        }
        if metadata.is_empty() {
            header.remove("metadata");
        }
    }
    header
}

#[cfg(test)]
mod tests;
