//! The proposer `examples`: what failing cases have in common, told to the node that failed.
//!
//! It looks at the search cases alone: which words do failing inputs of one expected value share
//! that inputs of other values do not have? It adds such words to the place where the node's text
//! defines the value, or defines it anew, or quotes a short example. What it takes from a case is
//! data that a stranger wrote: single words, or one plain line of a few words.

mod definition;
mod evidence;
mod excerpt;
mod words;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use self::definition::Definition;
use self::evidence::Evidence;
use super::{Cursor, Identity, Offer, Prepared, Refusal, plain};
use crate::id::NodeId;
use crate::mutation::fields::{Current, text_allowance, text_delta};
use crate::mutation::validate::MutationError;
use crate::mutation::{FieldValue, MutableField};

/// Who this proposer is.
pub const IDENTITY: Identity = Identity {
    name: "examples",
    version: 1,
};

/// The values of one node that are worked on: those with most failures.
const VALUES_MAX: usize = 6;
/// The longest value that can be named in a text, in characters.
const VALUE_CHARS_MAX: usize = 60;
/// The values among which two or three are worked on in one edit.
const TOGETHER_MAX: usize = 4;
/// The most words that such an edit adds for each of them.
const TERMS_TOGETHER_MAX: usize = 4;

/// What a node answered on one search case.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The case's inputs.
    pub inputs: Map<String, Value>,
    /// The node whose answer was checked.
    pub node: NodeId,
    /// What it should have answered.
    pub expected: String,
    /// What it answered; absent when it gave no answer.
    pub actual: Option<String>,
}

/// The search cases, as far as they have been seen. Holdout cases must not be among them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sample<'a> {
    /// Cases that the baseline fails.
    pub failing: &'a [Example],
    /// Cases that it passes.
    pub passing: &'a [Example],
}

/// The proposer with what it has learnt from a sample, for one baseline.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// Best first.
    edits: Vec<Edit>,
    /// Fields that would have been edited.
    refusals: Vec<Refusal>,
}

/// A new text for a field, and what it is expected to bring.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edit {
    /// Failing cases covered less passing cases of other values touched.
    gain: i64,
    kind: Kind,
    index: usize,
    field: MutableField,
    text: String,
    idea: String,
}

/// What an edit adds; of equal gain, the earlier comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Words to the definition that is there.
    Extend,
    /// A definition.
    Define,
    /// A quotation.
    Quote,
}

impl Examples {
    /// Finds what the failing cases of `sample` have in common, and the edits that say so, best
    /// first. `seed` decides between equally good words.
    #[must_use]
    pub fn new(prepared: &Prepared, sample: Sample<'_>, seed: u64) -> Self {
        let mut found = Self::default();
        let nodes: BTreeSet<&NodeId> = sample.failing.iter().map(|example| &example.node).collect();
        for id in nodes {
            let Some((index, node)) = prepared.baseline().node(id) else {
                continue;
            };
            let evidence = Evidence::new(sample, id, seed);
            for field in MutableField::ALL {
                let Current::Text(text) = field.spec().current(node) else {
                    continue;
                };
                match prepared.check_field(node, field) {
                    Ok(()) => {
                        let allowance = text_allowance(text, prepared.policy());
                        let editor = Editor::new(&evidence, text, allowance);
                        let edits = editor.edits(field == MutableField::Objective);
                        found
                            .edits
                            .extend(edits.into_iter().map(|draft| draft.of(index, field)));
                    }
                    Err(MutationError::FieldNotAllowed { .. }) => {}
                    Err(error) => found.refusals.push(Refusal {
                        node: id.clone(),
                        field,
                        error,
                    }),
                }
            }
        }
        found.edits.sort_by_cached_key(|edit| {
            (
                Reverse(edit.gain),
                edit.kind,
                edit.index,
                edit.field,
                edit.text.clone(),
            )
        });
        found
            .edits
            .dedup_by(|a, b| (a.index, a.field, &a.text) == (b.index, b.field, &b.text));
        found
    }

    /// The options from `cursor` on. `prepared` must be the baseline that they were found for.
    #[must_use]
    pub fn stream<'a>(&'a self, prepared: &'a Prepared, cursor: Cursor) -> Stream<'a> {
        Stream {
            examples: self,
            prepared,
            cursor,
        }
    }
}

/// The options for one baseline, one at a time.
#[derive(Debug)]
pub struct Stream<'a> {
    examples: &'a Examples,
    prepared: &'a Prepared,
    cursor: Cursor,
}

impl Stream<'_> {
    /// Where to go on after what has been taken so far.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }
}

impl Iterator for Stream<'_> {
    type Item = Offer;

    fn next(&mut self) -> Option<Offer> {
        let Examples { edits, refusals } = self.examples;
        let place = usize::try_from(self.cursor.0).ok()?;
        let offer = match edits.get(place) {
            Some(edit) => {
                let after = FieldValue::Text(edit.text.clone());
                self.prepared
                    .propose(edit.index, edit.field, after, edit.idea.clone())?
            }
            None => Offer::Refusal(refusals.get(place.checked_sub(edits.len())?)?.clone()),
        };
        self.cursor.0 = self.cursor.0.saturating_add(1);
        Some(offer)
    }
}

/// An edit of a text, before its place in the workflow is known.
struct Draft {
    gain: i64,
    kind: Kind,
    text: String,
    idea: String,
}

impl Draft {
    fn of(self, index: usize, field: MutableField) -> Edit {
        let Self {
            gain,
            kind,
            text,
            idea,
        } = self;
        Edit {
            gain,
            kind,
            index,
            field,
            text,
            idea,
        }
    }
}

/// Makes the edits of one text.
struct Editor<'a> {
    evidence: &'a Evidence<'a>,
    text: &'a str,
    allowance: u64,
    /// The last definition in the text, a model for new ones.
    model: Option<Definition<'a>>,
    /// The values to work on, those with most failures first.
    subjects: Vec<Subject<'a>>,
}

/// A value to work on.
struct Subject<'a> {
    value: &'a str,
    definition: Option<Definition<'a>>,
    /// Words to tell it by, best first; at least one.
    terms: Vec<String>,
}

impl<'a> Editor<'a> {
    fn new(evidence: &'a Evidence<'a>, text: &'a str, allowance: u64) -> Self {
        let nameable = |value: &&str| {
            !value.is_empty()
                && plain::line(value) == **value
                && value.chars().count() <= VALUE_CHARS_MAX
        };
        let subjects = evidence
            .failing_values()
            .into_iter()
            .filter(nameable)
            .take(VALUES_MAX);
        let subjects = subjects.map(|value| Subject {
            value,
            definition: definition::find(text, value),
            terms: evidence.terms(value, text),
        });
        let values = evidence.all_values().into_iter();
        let definitions = values.filter_map(|value| definition::find(text, value));
        Self {
            model: definitions
                .filter(Definition::has_own_line)
                .max_by_key(Definition::line_end),
            subjects: subjects
                .filter(|subject| !subject.terms.is_empty())
                .collect(),
            evidence,
            text,
            allowance,
        }
    }

    /// All edits. `is_instruction`: the text may get lines of its own for values that it does not
    /// speak of yet.
    fn edits(&self, is_instruction: bool) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let says_what_values_mean = is_instruction || self.model.is_some();
        for subject in &self.subjects {
            if subject.definition.is_some() || says_what_values_mean {
                drafts.extend(self.by_terms(subject));
            }
            if is_instruction {
                drafts.extend(self.by_quotation(subject));
            }
        }
        if says_what_values_mean {
            drafts.extend(self.together());
        }
        drafts
    }

    /// Words for one value: as many as fit, then half of them, and so on.
    fn by_terms(&self, subject: &Subject<'_>) -> Vec<Draft> {
        let draft = |count| self.draft(&[subject], count);
        let most = (1..=subject.terms.len())
            .rev()
            .find(|count| self.fits(&draft(*count).text));
        let mut count = most.unwrap_or(1);
        let mut drafts = Vec::new();
        while count > 0 {
            drafts.push(draft(count));
            count /= 2;
        }
        drafts
    }

    /// Words for two or three values at once, where the places are close enough together: a change
    /// costs all that lies between its first and its last difference.
    fn together(&self) -> Vec<Draft> {
        let near: Vec<&Subject<'_>> = self.subjects.iter().take(TOGETHER_MAX).collect();
        let mut groups: Vec<Vec<&Subject<'_>>> = Vec::new();
        for (place, first) in near.iter().enumerate() {
            let rest = near.iter().skip(place + 1);
            groups.extend(rest.map(|second| vec![*first, *second]));
        }
        groups.extend(near.get(..3).map(<[_]>::to_vec));
        let fitting = groups.iter().filter_map(|group| {
            let drafts = (1..=TERMS_TOGETHER_MAX)
                .rev()
                .map(|count| self.draft(group, count));
            drafts.into_iter().find(|draft| self.fits(&draft.text))
        });
        fitting.collect()
    }

    /// The first `count` words of each subject, added where its value is defined, or as a
    /// definition of its own.
    fn draft(&self, subjects: &[&Subject<'_>], count: usize) -> Draft {
        let mut gain = 0;
        let mut kind = Kind::Extend;
        let mut insertions = Vec::new();
        let mut ideas = Vec::new();
        for subject in subjects {
            let terms = subject.terms.get(..count).unwrap_or(&subject.terms);
            gain += self.evidence.gain(subject.value, terms);
            ideas.push(format!("{:?} by {}", subject.value, terms.join(", ")));
            insertions.push(match (&subject.definition, &self.model) {
                (Some(definition), _) => definition.extended(terms),
                (None, model) => {
                    kind = Kind::Define;
                    match model {
                        Some(model) => model.followed_by(subject.value, terms),
                        None => {
                            let line = format!("- {}: {}", subject.value, terms.join(", "));
                            definition::last_line(self.text, &line)
                        }
                    }
                }
            });
        }
        Draft {
            gain,
            kind,
            text: definition::insert(self.text, insertions),
            idea: format!("tell {}", ideas.join(", and ")),
        }
    }

    /// A short quotation from a case that failed, as short as the limits want it.
    fn by_quotation(&self, subject: &Subject<'_>) -> Option<Draft> {
        let cases = self.evidence.cases.iter();
        let failing =
            cases.filter(|case| case.is_failing && case.example.expected == subject.value);
        let texts: Vec<&str> = failing.map(|case| case.text.as_str()).collect();
        let frame = "\nExample: \"\" -> "
            .len()
            .saturating_add(subject.value.chars().count());
        let room = usize::try_from(self.allowance)
            .unwrap_or(usize::MAX)
            .saturating_sub(frame);
        let (excerpt, terms) = excerpt::most_telling(&texts, &subject.terms, room)?;
        let line = format!("Example: \"{excerpt}\" -> {}", subject.value);
        Some(Draft {
            gain: self.evidence.gain(subject.value, &terms),
            kind: Kind::Quote,
            text: definition::insert(self.text, vec![definition::last_line(self.text, &line)]),
            idea: format!("quote an example of {:?}", subject.value),
        })
    }

    fn fits(&self, after: &str) -> bool {
        text_delta(self.text, after) <= self.allowance
    }
}

#[cfg(test)]
mod tests;
