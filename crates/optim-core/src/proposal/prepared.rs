//! A baseline made ready for many candidates.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Offer, Proposal, Refusal};
use crate::id::NodeId;
use crate::mutation::fields::{Summary, Violation};
use crate::mutation::validate::{self, MutationError, check_field, check_step};
use crate::mutation::{FieldValue, MutableField, Mutation};
use crate::policy::{MutationPolicy, ScopePolicy};
use crate::workflow::{Fingerprint, FingerprintTree, Node, Workflow};

/// A baseline with its policies and its digests: all that a proposer needs, computed once.
#[derive(Debug, Clone)]
pub struct Prepared {
    baseline: Arc<Workflow>,
    policy: MutationPolicy,
    scope: ScopePolicy,
    tree: FingerprintTree,
}

impl Prepared {
    /// Digests `baseline`: its size, once.
    ///
    /// # Errors
    /// `node_id_duplicate`: a mutation names its node, so each node needs an id of its own.
    pub fn new(
        baseline: Arc<Workflow>,
        policy: MutationPolicy,
        scope: ScopePolicy,
    ) -> Result<Self, MutationError> {
        let mut ids = BTreeSet::new();
        for node in baseline.nodes() {
            if !ids.insert(node.id()) {
                let node = node.id().clone();
                return Err(MutationError::NodeIdDuplicate { node });
            }
        }
        Ok(Self { tree: FingerprintTree::new(&baseline), baseline, policy, scope })
    }

    /// The baseline.
    #[must_use]
    pub fn baseline(&self) -> &Arc<Workflow> {
        &self.baseline
    }

    /// The baseline's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.tree.fingerprint()
    }

    /// The mutation policy.
    #[must_use]
    pub fn policy(&self) -> &MutationPolicy {
        &self.policy
    }

    /// The baseline moved by `mutation`, at the cost of the changed field and a list of pointers.
    ///
    /// # Errors
    /// The mutation does not start from the baseline.
    pub fn moved(&self, mutation: &Mutation) -> Result<Self, MutationError> {
        let next = validate::apply(&self.baseline, mutation)?;
        let place = self.baseline.node(&mutation.node);
        let tree =
            place.and_then(|(index, _)| self.tree.moved(index, mutation.field, &mutation.after));
        Ok(Self {
            tree: tree.unwrap_or_else(|| FingerprintTree::new(&next)),
            baseline: Arc::new(next),
            policy: self.policy.clone(),
            scope: self.scope.clone(),
        })
    }

    /// The offer to set `field` of the node at `index` to `after`, at the cost of the changed field
    /// and a path of the digest tree. `None` when there is no such node.
    #[must_use]
    pub fn propose(
        &self,
        index: usize,
        field: MutableField,
        after: FieldValue,
        idea: impl Into<Cow<'static, str>>,
    ) -> Option<Offer> {
        let node = self.baseline.nodes().get(index)?;
        Some(match self.check(node, field, after) {
            Ok((mutation, summary)) => Offer::Proposal(Proposal {
                candidate: self.tree.with_change(index, field, &mutation.after)?,
                mutation,
                summary,
                idea: idea.into(),
            }),
            Err(error) => refusal(node.id(), field, error),
        })
    }

    fn check(
        &self,
        node: &Node,
        field: MutableField,
        after: FieldValue,
    ) -> Result<(Mutation, Summary), MutationError> {
        self.check_field(node, field)?;
        let before = field.spec().get(node);
        let mutation = Mutation {
            node: node.id().clone(),
            field,
            before: before.ok_or_else(|| Violation::Missing.at(node.id(), field))?,
            after,
        };
        let summary = check_step(&mutation, &self.policy)?;
        Ok((mutation, summary))
    }

    /// Whether a mutation may change `field` of `node` at all.
    ///
    /// # Errors
    /// As [`validate::check_field`].
    pub fn check_field(&self, node: &Node, field: MutableField) -> Result<(), MutationError> {
        check_field(node, field, &self.policy, &self.scope)
    }
}

/// The offer that is none.
pub(super) fn refusal(node: &NodeId, field: MutableField, error: MutationError) -> Offer {
    Offer::Refusal(Refusal { node: node.clone(), field, error })
}
