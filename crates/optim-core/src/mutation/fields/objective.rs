//! `objective`: the node's instruction text.

use super::{Current, FieldSpec, Summary, Violation, as_text, text};
use crate::mutation::{Family, FieldValue};
use crate::policy::MutationPolicy;
use crate::proposal::wording::Theme;
use crate::workflow::Node;

pub(super) struct Objective;

impl FieldSpec for Objective {
    fn name(&self) -> &'static str {
        "objective"
    }

    fn path(&self) -> &'static [&'static str] {
        &["objective"]
    }

    fn family(&self) -> Family {
        Family::Text
    }

    fn current<'a>(&self, node: &'a Node) -> Current<'a> {
        Current::Text(node.objective())
    }

    fn set(&self, node: &mut Node, value: FieldValue) -> Result<(), Violation> {
        node.set_objective(text::owned(value)?);
        Ok(())
    }

    fn check(
        &self,
        before: &FieldValue,
        after: &FieldValue,
        policy: &MutationPolicy,
    ) -> Result<Summary, Violation> {
        text::check(as_text(before)?, as_text(after)?, policy)
    }

    fn lead(&self) -> &'static str {
        "Aim"
    }

    fn clauses(&self, theme: Theme) -> &'static [&'static str] {
        match theme {
            Theme::Accuracy => &[
                "Check each statement against the input before you answer, and correct what does not match.",
                "Check each statement against the input first.",
                "Check it against the input.",
            ],
            Theme::Completeness => &[
                "Answer every part of the task; before you finish, compare the result with what was asked.",
                "Answer every part of the task before you finish.",
                "Leave no part out.",
            ],
            Theme::Evidence => &[
                "Base each conclusion on a passage of the input, and name the passage that supports it.",
                "Name the passage that supports each conclusion.",
                "Name your evidence.",
            ],
            Theme::Format => &[
                "Produce exactly the structure that the output contract asks for, without text around it.",
                "Produce exactly the structure of the output contract.",
                "Keep to the output format.",
            ],
            Theme::Doubt => &[
                "Where the input leaves a question open, say so instead of filling the gap with a guess.",
                "Say what the input leaves open; do not guess.",
                "Do not guess.",
            ],
            Theme::Focus => &[
                "Use only what bears on the task, and set aside details that would not change the answer.",
                "Set aside details that do not change the answer.",
                "Stay with the task.",
            ],
            Theme::Brevity => &[
                "Use the fewest words that still carry the whole answer, and repeat nothing from the input.",
                "Use the fewest words that carry the whole answer.",
                "Be brief.",
            ],
            Theme::Consistency => &[
                "Treat like cases alike: use one name for each thing and one criterion for each choice.",
                "Apply one criterion to all like cases.",
                "Treat like cases alike.",
            ],
        }
    }
}
