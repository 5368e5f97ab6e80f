//! What the rules proposer says: themes, each with clauses of its own in every text field.

/// A quality of the work that an objective may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Theme {
    /// Results are right.
    Accuracy,
    /// Nothing is missing.
    Completeness,
    /// Results rest on the input.
    Evidence,
    /// Results have the agreed form.
    Format,
    /// What is not known is said to be so.
    Doubt,
    /// Only what matters is dealt with.
    Focus,
    /// Few words, little cost.
    Brevity,
    /// Like is treated alike.
    Consistency,
}
