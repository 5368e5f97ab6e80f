//! `output_contract.summary_guidance`: what the node's summary should say.

use super::{Current, FieldSpec, Summary, Violation, as_text, text};
use crate::mutation::{Family, FieldValue};
use crate::policy::MutationPolicy;
use crate::proposal::wording::Theme;
use crate::workflow::Node;

pub(super) struct SummaryGuidance;

impl FieldSpec for SummaryGuidance {
    fn name(&self) -> &'static str {
        "output_contract_summary_guidance"
    }

    fn path(&self) -> &'static [&'static str] {
        &["output_contract", "summary_guidance"]
    }

    fn family(&self) -> Family {
        Family::Text
    }

    fn current<'a>(&self, node: &'a Node) -> Current<'a> {
        node.summary_guidance().map_or(Current::Absent, Current::Text)
    }

    fn set(&self, node: &mut Node, value: FieldValue) -> Result<(), Violation> {
        if node.summary_guidance().is_none() {
            return Err(Violation::Missing);
        }
        node.set_summary_guidance(text::owned(value)?);
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
        "Report on"
    }

    fn clauses(&self, theme: Theme) -> &'static [&'static str] {
        match theme {
            Theme::Accuracy => &[
                "State only results that the output holds, with the same figures and names.",
                "State only results that the output holds.",
                "Match the output.",
            ],
            Theme::Completeness => &[
                "Mention each requirement of the task and whether the output meets it.",
                "Mention each requirement and whether it is met.",
                "Cover each requirement.",
            ],
            Theme::Evidence => &[
                "For each finding, point to the part of the input that it rests on.",
                "Point to the input behind each finding.",
                "Point to the input.",
            ],
            Theme::Format => &[
                "Keep the summary in the form that the contract describes, in plain sentences.",
                "Keep the form that the contract describes.",
                "Keep the given form.",
            ],
            Theme::Doubt => &[
                "List what remains uncertain and what would settle it.",
                "List what remains uncertain.",
                "List open points.",
            ],
            Theme::Focus => &[
                "Begin with the outcome, and leave out how it was reached.",
                "Begin with the outcome.",
                "Outcome first.",
            ],
            Theme::Brevity => &[
                "Use at most three short sentences, one for each main point.",
                "Use at most three short sentences.",
                "Keep it short.",
            ],
            Theme::Consistency => &[
                "Use the same names and the same order as the output does.",
                "Use the same names as the output.",
                "Use the same names.",
            ],
        }
    }
}
