//! The semantic fingerprint of a workflow.
//!
//! It covers every field, unknown ones too, except what says nothing about behaviour: name,
//! description, creator, status, schedule, timestamps, and our own apply history. It is a binary
//! tree of SHA-256 digests over the nodes, so the fingerprint of a candidate costs its changed node
//! and one path to the root.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Knob, Node, Workflow};
use crate::canonical;
use crate::digest::{Digest, Hasher};

/// The version of the definition below; it is part of every hashed domain.
const DOMAIN_NODE: &str = "optim/workflow-node/1";
const DOMAIN_PAIR: &str = "optim/workflow-pair/1";
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

/// The identity of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeDigest(Digest);

/// The part of a node's digest that no mutation changes, kept so that a changed node costs its
/// changed field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedDigest(Digest);

/// The digests of a workflow's nodes and of the tree above them.
#[derive(Debug, Clone)]
pub struct FingerprintTree {
    header: Digest,
    fixed: Vec<FixedDigest>,
    /// Level 0 holds the nodes; each level above holds half as many; the last holds one.
    levels: Vec<Vec<Digest>>,
}

impl Node {
    /// The digest of everything that no mutation changes.
    #[must_use]
    pub fn fixed_digest(&self) -> FixedDigest {
        let mut bytes = Vec::new();
        canonical::write(&Value::Object(self.fixed().clone()), &mut bytes);
        FixedDigest(Digest::of(&bytes))
    }

    /// The node's digest, given the digest of its fixed part.
    #[must_use]
    pub fn digest_with(&self, fixed: FixedDigest) -> NodeDigest {
        let mut hasher = Hasher::new(DOMAIN_NODE);
        hasher.part(fixed.0.as_bytes());
        hasher.part(self.objective.as_bytes());
        match &self.summary_guidance {
            None => hasher.part(b"-"),
            Some(text) => hasher.part(b"+").part(text.as_bytes()),
        };
        match self.timeout {
            None => hasher.part(b"-"),
            Some(timeout) => hasher.part(&timeout.0.to_be_bytes()),
        };
        for knob in [&self.max_attempts, &self.retries] {
            match knob {
                Knob::Absent => hasher.part(b"-"),
                Knob::Integer(number) => hasher.part(&number.to_be_bytes()),
                Knob::Other(value) => hasher.part(b"?").part(&canonical::bytes(value)),
            };
        }
        NodeDigest(hasher.finish())
    }
}

impl FingerprintTree {
    /// Digests all of `workflow`: its size, once.
    #[must_use]
    pub fn new(workflow: &Workflow) -> Self {
        let fixed: Vec<_> = workflow
            .nodes()
            .iter()
            .map(|node| node.fixed_digest())
            .collect();
        let leaves = workflow
            .nodes()
            .iter()
            .zip(&fixed)
            .map(|(node, fixed)| node.digest_with(*fixed).0)
            .collect();
        let mut levels: Vec<Vec<Digest>> = vec![leaves];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below.chunks(2).map(pair).collect();
            levels.push(above);
        }
        Self {
            header: header_digest(workflow.header()),
            fixed,
            levels,
        }
    }

    /// The fingerprint of the workflow itself.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.root(self.levels.last().and_then(|level| level.first()).copied())
    }

    /// The fingerprint of the workflow with `node` in the place `index`: one node and one path.
    ///
    /// `None` when there is no such place.
    #[must_use]
    pub fn with_node(&self, index: usize, node: &Node) -> Option<Fingerprint> {
        let mut digest = node.digest_with(*self.fixed.get(index)?).0;
        let mut place = index;
        for level in self.levels.iter().take(self.levels.len().saturating_sub(1)) {
            let sibling = level.get(place ^ 1).copied();
            digest = match (sibling, place & 1) {
                (None, _) => pair(&[digest]),
                (Some(right), 0) => pair(&[digest, right]),
                (Some(left), _) => pair(&[left, digest]),
            };
            place /= 2;
        }
        Some(self.root(Some(digest)))
    }

    /// The tree with `node` in the place `index`, for a baseline that moved by one mutation.
    #[must_use]
    pub fn moved(&self, index: usize, node: &Node) -> Option<Self> {
        let mut next = self.clone();
        let mut digest = node.digest_with(*self.fixed.get(index)?).0;
        let mut place = index;
        for level in &mut next.levels {
            *level.get_mut(place)? = digest;
            let start = place & !1;
            digest = pair(level.get(start..level.len().min(start + 2))?);
            place /= 2;
        }
        Some(next)
    }

    fn root(&self, top: Option<Digest>) -> Fingerprint {
        let count = self.fixed.len();
        let mut hasher = Hasher::new(DOMAIN_ROOT);
        hasher.part(self.header.as_bytes());
        hasher.part(&u64::try_from(count).unwrap_or(u64::MAX).to_be_bytes());
        if let Some(top) = top {
            hasher.part(top.as_bytes());
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

fn pair(children: &[Digest]) -> Digest {
    let mut hasher = Hasher::new(DOMAIN_PAIR);
    for child in children {
        hasher.part(child.as_bytes());
    }
    hasher.finish()
}

fn header_digest(header: &Map<String, Value>) -> Digest {
    let mut header = header.clone();
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
    Digest::of(&canonical::bytes(&Value::Object(header)))
}
