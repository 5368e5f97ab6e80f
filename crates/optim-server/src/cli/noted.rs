//! The head of the audit chain that is noted in a file elsewhere: looked at before a verb, noted anew
//! after it.

use optim_runtime::engine::EngineError;
use optim_runtime::head_file::HeadFileError;

use super::call::Call;
use super::{Outcome, Verb, perform, runs, store, workflow};

/// Executes a verb in this process, which owns the store. On a chain that does not go through the noted
/// head, or while nobody can tell, only verbs that look are executed.
pub(super) async fn with_head(call: &Call, verb: Verb) -> Outcome {
    let Some(file) = call.session.head_file() else {
        return perform(call, verb).await;
    };
    let chain = call.session.engine.store().as_ref();
    let warn = |error: &HeadFileError| {
        call.out.error_line(&format!("warning[{}]: {error}", error.code()));
    };
    match file.check(chain).await {
        Ok(_) => {}
        Err(error) if only_looks(&verb) => {
            warn(&error);
            return perform(call, verb).await;
        }
        Err(error) => return Err(EngineError::from(error).into()),
    }
    let outcome = perform(call, verb).await;
    if let Err(error) = file.note(chain).await {
        warn(&error);
    }
    outcome
}

/// Whether the verb adds nothing to the chain. `store import` fills an empty store, on which no chain is lost.
fn only_looks(verb: &Verb) -> bool {
    match verb {
        Verb::Plan(_)
        | Verb::List(_)
        | Verb::Status(_)
        | Verb::Show(_)
        | Verb::Decisions(_)
        | Verb::Audit(_) => true,
        Verb::Store(verb) => !matches!(verb, store::Verb::Gc(_)),
        Verb::Runs(verb) => matches!(verb, runs::Verb::List(_) | runs::Verb::Show { .. }),
        Verb::Workflow(verb) => {
            matches!(verb, workflow::Verb::List { .. } | workflow::Verb::Get { .. })
        }
        Verb::Run(_)
        | Verb::Try(_)
        | Verb::Approve(_)
        | Verb::Reject(_)
        | Verb::Apply(_)
        | Verb::Rollback(_)
        | Verb::Measure(_)
        | Verb::Pause(_)
        | Verb::Resume(_)
        | Verb::Replay(_)
        | Verb::Extend(_)
        | Verb::ResetFailures(_)
        | Verb::Close(_)
        | Verb::Cancel(_)
        | Verb::Archive(_)
        | Verb::RunWorkflow(_) => false,
    }
}
