//! Every change of a stored workflow: [`decide`] for commands, [`observe`] for the time.

use super::{
    CampaignWrite, Definition, RESTORE_WINDOW, Retirement, StoredWorkflow, Tombstone,
    VERSIONS_KEPT, VersionNumber, WRITES_KEPT, WorkflowVersion,
};
use crate::campaign::command::Context;
use crate::campaign::event::{Event, EventKind, Subject};
use crate::id::WorkflowId;
use crate::quantity::Timestamp;

/// Asked by a person or a campaign: may be refused.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkflowCommand {
    /// Makes a definition the current version; the first one creates the workflow.
    Put {
        /// What the text is and says.
        definition: Definition,
        /// The version that must be the current one; absent means that any may be. 0 asks that there
        /// is none yet.
        expected: Option<VersionNumber>,
        /// The campaign's write that this is.
        write: Option<Box<CampaignWrite>>,
    },
    /// Takes the workflow out of use; its campaigns end.
    Retire {
        /// Why.
        reason: String,
    },
    /// Deletes the workflow; its campaigns end.
    Delete {
        /// Why.
        reason: String,
    },
    /// Takes back a delete within its window, or else a retirement.
    Restore {
        /// Why.
        reason: Option<String>,
    },
}

/// A command that is not allowed now. Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkflowRejection {
    /// Somebody else put a version meanwhile.
    #[error(
        "workflow {id} is at version {found}, not {expected}: it was changed meanwhile; read it again"
    )]
    VersionMoved {
        /// The workflow.
        id: WorkflowId,
        /// The version that was expected.
        expected: VersionNumber,
        /// The current version.
        found: VersionNumber,
    },
    /// It is retired.
    #[error("workflow {id} is retired; restore it first")]
    Retired {
        /// The workflow.
        id: WorkflowId,
    },
    /// It is deleted.
    #[error("workflow {id} is deleted; restore it while that is possible, or use another id")]
    Deleted {
        /// The workflow.
        id: WorkflowId,
    },
    /// There is no delete and no retirement to take back.
    #[error("workflow {id} is in use, so there is nothing to restore")]
    NothingToRestore {
        /// The workflow.
        id: WorkflowId,
    },
    /// The window is over.
    #[error(
        "workflow {id} was deleted more than {} days ago and cannot be restored; use another id",
        RESTORE_WINDOW.0 / 86_400_000
    )]
    TooLate {
        /// The workflow.
        id: WorkflowId,
    },
    /// A decision that needs words came without.
    #[error("{what} needs a reason; give one with --reason")]
    ReasonRequired {
        /// The decision.
        what: &'static str,
    },
}

impl WorkflowRejection {
    /// The stable code of this refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::VersionMoved { .. } => "workflow_version_moved",
            Self::Retired { .. } => "workflow_retired",
            Self::Deleted { .. } => "workflow_deleted",
            Self::NothingToRestore { .. } => "nothing_to_restore",
            Self::TooLate { .. } => "restore_window_over",
            Self::ReasonRequired { .. } => "reason_required",
        }
    }
}

/// A step: the next state, and what must be committed with it.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The workflow after the step.
    pub next: StoredWorkflow,
    /// Why the work on it must end in the same commit; absent when it may go on.
    pub ends_work: Option<String>,
    /// What is told about the step; empty when nothing changed.
    pub events: Vec<Event>,
}

/// Answers `command`.
///
/// # Errors
/// [`WorkflowRejection`] when the command is not allowed now; nothing has changed then.
pub fn decide(
    workflow: &StoredWorkflow,
    command: &WorkflowCommand,
    cx: &Context,
) -> Result<Decision, WorkflowRejection> {
    let mut step = Step::new(workflow, cx);
    match command {
        WorkflowCommand::Put { definition, expected, write } => {
            step.put(definition, *expected, write.as_deref())?
        }
        WorkflowCommand::Retire { reason } => step.retire(reason)?,
        WorkflowCommand::Delete { reason } => step.delete(reason)?,
        WorkflowCommand::Restore { reason } => step.restore(reason.clone())?,
    }
    Ok(step.finish())
}

/// Takes in that time has passed: the history of a workflow whose window is over is purged.
pub fn observe(workflow: &StoredWorkflow, cx: &Context) -> Decision {
    let mut step = Step::new(workflow, cx);
    if workflow.is_restorable() && workflow.deleted.as_ref().is_some_and(|it| is_over(it, cx.now)) {
        step.next.versions.clear();
        step.next.writes.clear();
        step.tell(EventKind::WorkflowPurged);
    }
    step.finish()
}

/// Whether campaigns and runs may use the workflow.
///
/// # Errors
/// It is deleted or retired.
pub fn ensure_in_use(workflow: &StoredWorkflow) -> Result<(), WorkflowRejection> {
    let id = workflow.id.clone();
    match (&workflow.deleted, &workflow.retired) {
        (Some(_), _) => Err(WorkflowRejection::Deleted { id }),
        (None, Some(_)) => Err(WorkflowRejection::Retired { id }),
        (None, None) => Ok(()),
    }
}

fn is_over(tombstone: &Tombstone, now: Timestamp) -> bool {
    now > tombstone.restore_until
}

/// A step in the making.
struct Step<'a> {
    next: StoredWorkflow,
    cx: &'a Context,
    ends_work: Option<String>,
    events: Vec<Event>,
}

impl<'a> Step<'a> {
    fn new(before: &StoredWorkflow, cx: &'a Context) -> Self {
        Self { next: before.clone(), cx, ends_work: None, events: Vec::new() }
    }

    fn finish(self) -> Decision {
        Decision { next: self.next, ends_work: self.ends_work, events: self.events }
    }

    fn tell(&mut self, what: EventKind) {
        let subject = Subject::Workflow(self.next.id.clone());
        let (actor, at) = (self.cx.actor.clone(), self.cx.now);
        self.events.push(Event { subject, actor, at, what });
    }

    fn id(&self) -> WorkflowId {
        self.next.id.clone()
    }

    fn put(
        &mut self,
        definition: &Definition,
        expected: Option<VersionNumber>,
        write: Option<&CampaignWrite>,
    ) -> Result<(), WorkflowRejection> {
        ensure_in_use(&self.next)?;
        let found = self.next.current().map(|current| current.number).unwrap_or_default();
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(WorkflowRejection::VersionMoved { id: self.id(), expected, found });
        }
        if self.next.current().is_some_and(|current| current.definition == *definition) {
            return Ok(());
        }
        let number = VersionNumber(found.0.saturating_add(1));
        let (definition, actor, at) = (definition.clone(), self.cx.actor.clone(), self.cx.now);
        let fingerprint = definition.fingerprint;
        self.next.versions.push(WorkflowVersion { number, definition, actor, at });
        keep_last(&mut self.next.versions, VERSIONS_KEPT);
        self.next.writes.extend(write.cloned());
        keep_last(&mut self.next.writes, WRITES_KEPT);
        self.tell(EventKind::WorkflowPut { version: number, fingerprint });
        Ok(())
    }

    fn retire(&mut self, reason: &str) -> Result<(), WorkflowRejection> {
        ensure_in_use(&self.next)?;
        let reason = required(reason, "to retire a workflow")?;
        let (actor, at) = (self.cx.actor.clone(), self.cx.now);
        self.next.retired = Some(Retirement { actor, at, reason: reason.clone() });
        self.ends_work = Some(format!("workflow {} was retired: {reason}", self.next.id));
        self.tell(EventKind::WorkflowRetired { reason });
        Ok(())
    }

    fn delete(&mut self, reason: &str) -> Result<(), WorkflowRejection> {
        if self.next.deleted.is_some() {
            return Err(WorkflowRejection::Deleted { id: self.id() });
        }
        let reason = required(reason, "to delete a workflow")?;
        let (actor, at) = (self.cx.actor.clone(), self.cx.now);
        let restore_until = at.after(RESTORE_WINDOW);
        self.next.deleted = Some(Tombstone { actor, at, reason: reason.clone(), restore_until });
        self.ends_work = Some(format!("workflow {} was deleted: {reason}", self.next.id));
        self.tell(EventKind::WorkflowDeleted { reason, restore_until });
        Ok(())
    }

    fn restore(&mut self, reason: Option<String>) -> Result<(), WorkflowRejection> {
        match &self.next.deleted {
            Some(tombstone) if is_over(tombstone, self.cx.now) || self.next.versions.is_empty() => {
                return Err(WorkflowRejection::TooLate { id: self.id() });
            }
            Some(_) => self.next.deleted = None,
            None if self.next.retired.is_some() => self.next.retired = None,
            None => return Err(WorkflowRejection::NothingToRestore { id: self.id() }),
        }
        self.tell(EventKind::WorkflowRestored { reason });
        Ok(())
    }
}

fn required(reason: &str, what: &'static str) -> Result<String, WorkflowRejection> {
    match reason.trim() {
        "" => Err(WorkflowRejection::ReasonRequired { what }),
        reason => Ok(reason.to_owned()),
    }
}

fn keep_last<T>(items: &mut Vec<T>, most: usize) {
    items.drain(..items.len().saturating_sub(most));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::WorkflowStatus;
    use super::*;
    use crate::digest::Digest;
    use crate::id::Actor;
    use crate::invariants::change::{Change, Changed, check_change};
    use crate::quantity::Millis;
    use crate::workflow::Fingerprint;

    fn workflow() -> StoredWorkflow {
        StoredWorkflow::new(WorkflowId::new("w").unwrap())
    }

    fn at(ms: u64) -> Context {
        Context { now: Timestamp(0).after(Millis(ms)), actor: Actor::new("local:a").unwrap() }
    }

    fn definition(text: &str) -> Definition {
        Definition {
            name: "W".to_owned(),
            status: WorkflowStatus::Active,
            snapshot: Digest::of(text.as_bytes()),
            fingerprint: Fingerprint(Digest::of(text.as_bytes())),
        }
    }

    fn put(text: &str, expected: Option<u32>) -> WorkflowCommand {
        let expected = expected.map(VersionNumber);
        WorkflowCommand::Put { definition: definition(text), expected, write: None }
    }

    fn delete() -> WorkflowCommand {
        WorkflowCommand::Delete { reason: "no use any more".to_owned() }
    }

    fn retire() -> WorkflowCommand {
        WorkflowCommand::Retire { reason: "replaced".to_owned() }
    }

    /// The workflow after `commands`, all of them at once.
    fn after(commands: &[WorkflowCommand]) -> StoredWorkflow {
        commands
            .iter()
            .fold(workflow(), |workflow, command| decide(&workflow, command, &at(1)).unwrap().next)
    }

    fn refused(workflow: &StoredWorkflow, command: &WorkflowCommand, ms: u64) -> &'static str {
        decide(workflow, command, &at(ms)).unwrap_err().code()
    }

    #[test]
    fn a_version_is_put_only_over_the_one_that_was_read() {
        let first = decide(&workflow(), &put("a", Some(0)), &at(1)).unwrap();
        assert!(matches!(first.events[0].what, EventKind::WorkflowPut { .. }));
        let workflow = first.next;
        assert_eq!(refused(&workflow, &put("b", Some(0)), 1), "workflow_version_moved");
        assert_eq!(refused(&workflow, &put("b", Some(2)), 1), "workflow_version_moved");
        let second = decide(&workflow, &put("b", Some(1)), &at(1)).unwrap().next;
        assert_eq!(second.current().unwrap().number, VersionNumber(2));
        assert_eq!(refused(&second, &put("c", Some(1)), 1), "workflow_version_moved");
    }

    #[test]
    fn what_is_current_already_makes_no_version() {
        let workflow = after(&[put("a", None)]);
        let again = decide(&workflow, &put("a", None), &at(2)).unwrap();
        assert_eq!((again.next, again.events), (workflow, Vec::new()));
    }

    #[test]
    fn only_the_last_versions_are_kept_and_numbers_go_on() {
        let puts: Vec<_> = (0..=VERSIONS_KEPT).map(|n| put(&n.to_string(), None)).collect();
        let workflow = after(&puts);
        assert_eq!(workflow.versions.len(), VERSIONS_KEPT);
        assert_eq!(workflow.version(VersionNumber(1)), None);
        assert_eq!(workflow.current().unwrap().number, VersionNumber(21));
    }

    #[test]
    fn a_deleted_workflow_ends_its_work_and_can_be_restored_within_seven_days() {
        let kept = after(&[put("a", None)]);
        assert_eq!(
            refused(&kept, &WorkflowCommand::Delete { reason: " ".to_owned() }, 1),
            "reason_required"
        );
        let deleted = decide(&kept, &delete(), &at(1)).unwrap();
        assert_eq!(deleted.ends_work.as_deref(), Some("workflow w was deleted: no use any more"));
        let deleted = deleted.next;
        for command in [put("a", None), put("b", None), delete(), retire()] {
            assert_eq!(refused(&deleted, &command, 1), "workflow_deleted");
        }
        let last = RESTORE_WINDOW.0 + 1;
        let restored =
            decide(&deleted, &WorkflowCommand::Restore { reason: None }, &at(last)).unwrap().next;
        assert_eq!(restored, kept);
        assert_eq!(
            refused(&deleted, &WorkflowCommand::Restore { reason: None }, last + 1),
            "restore_window_over"
        );
    }

    #[test]
    fn after_the_window_the_history_is_purged_and_the_tombstone_stays() {
        let deleted = after(&[put("a", None), delete()]);
        assert_eq!(observe(&deleted, &at(RESTORE_WINDOW.0 + 1)).events, []);
        let purged = observe(&deleted, &at(RESTORE_WINDOW.0 + 2));
        assert!(matches!(purged.events[0].what, EventKind::WorkflowPurged));
        let purged = purged.next;
        assert_eq!((purged.versions.len(), purged.deleted.clone()), (0, deleted.deleted));
        assert_eq!(refused(&purged, &put("a", Some(0)), 1), "workflow_deleted");
        // Also for a clock that was set back.
        assert_eq!(
            refused(&purged, &WorkflowCommand::Restore { reason: None }, 1),
            "restore_window_over"
        );
        assert_eq!(observe(&purged, &at(u64::MAX)).events, []);
    }

    #[test]
    fn a_retired_workflow_takes_no_version_and_stays_retired_through_a_delete() {
        let retired = decide(&after(&[put("a", None)]), &retire(), &at(1)).unwrap();
        assert_eq!(retired.ends_work.as_deref(), Some("workflow w was retired: replaced"));
        let retired = retired.next;
        assert_eq!(refused(&retired, &put("b", None), 1), "workflow_retired");
        assert_eq!(refused(&retired, &retire(), 1), "workflow_retired");
        let deleted = decide(&retired, &delete(), &at(1)).unwrap().next;
        let restored =
            decide(&deleted, &WorkflowCommand::Restore { reason: None }, &at(2)).unwrap().next;
        assert_eq!(restored.state(), "retired");
        let in_use =
            decide(&restored, &WorkflowCommand::Restore { reason: None }, &at(3)).unwrap().next;
        assert_eq!(in_use.state(), "active");
        assert_eq!(
            refused(&in_use, &WorkflowCommand::Restore { reason: None }, 4),
            "nothing_to_restore"
        );
    }

    fn commands() -> impl Strategy<Value = (Option<WorkflowCommand>, u64)> {
        let command = prop_oneof![
            4 => (0..4_u8, prop::option::of(0..6_u32))
                .prop_map(|(text, expected)| Some(put(&text.to_string(), expected))),
            1 => Just(Some(retire())),
            2 => Just(Some(delete())),
            3 => Just(Some(WorkflowCommand::Restore { reason: None })),
            1 => Just(None),
        ];
        (command, prop_oneof![4 => 0..10_u64, 1 => Just(RESTORE_WINDOW.0)])
    }

    proptest! {
        #[test]
        fn every_walk_keeps_the_invariants_and_tells_of_each_change(
            walk in prop::collection::vec(commands(), 1..60),
        ) {
            let mut workflow = after(&[put("first", Some(0))]);
            let mut now = 0_u64;
            for (command, pass) in walk {
                now += pass;
                let decision = match command {
                    Some(command) => decide(&workflow, &command, &at(now)).ok(),
                    None => Some(observe(&workflow, &at(now))),
                };
                let Some(decision) = decision else { continue };
                prop_assert_eq!(decision.next == workflow, decision.events.is_empty());
                let ended = workflow.is_in_use() && !decision.next.is_in_use();
                prop_assert!(!ended || decision.ends_work.is_some());
                let workflows = vec![Changed { before: Some(workflow), after: &decision.next }];
                let change = Change { workflows, events: &decision.events, ..Change::default() };
                prop_assert_eq!(check_change(&change), Vec::new());
                workflow = decision.next;
            }
        }
    }
}
