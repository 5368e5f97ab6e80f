//! `examples`: learns from the search cases that the baseline fails.
//!
//! For each value that should have come out and did not, it looks for the words that tell the cases
//! of that value from all others, and puts them where the node's text defines the value: behind the
//! definition, as lines of their own, or as a short example. Nothing but the search split gets here,
//! and what is taken from a case is made harmless first: it is data that others wrote.

mod definition;
mod terms;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::prospect::Prospect;
use super::{Identity, Offer, Prepared, plain};
use crate::digest::Hasher;
use crate::id::NodeId;
use crate::mutation::fields::text_allowance;
use crate::mutation::{FieldValue, MutableField};
use crate::workflow::Node;

use self::definition::Definitions;
use self::terms::{Terms, words};

/// What this proposer calls itself.
pub const IDENTITY: Identity = Identity { name: "examples", version: 1 };

/// The fields that it writes to.
const FIELDS: [MutableField; 2] =
    [MutableField::Objective, MutableField::OutputContractSummaryGuidance];

/// The longest value that is named in a text. Anything but one plain line is no name.
const VALUE_CHARS_MAX: usize = 60;
/// The characters of a case that an example quotes, at most.
const QUOTE_CHARS: usize = 90;
/// Characters that may be left when a list of words is cut to the limit.
const LINE_OVERHEAD: u64 = 4;

/// One expectation of one search case, with what came out on the baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedCase {
    /// The case's inputs.
    pub inputs: Map<String, Value>,
    /// The node that was checked.
    pub node: NodeId,
    /// What should have come out.
    pub expected: String,
    /// What came out; absent when nothing did.
    pub actual: Option<String>,
}

impl ObservedCase {
    /// Whether the expected value can be named in an instruction.
    fn is_nameable(&self) -> bool {
        let value = &self.expected;
        value.chars().count() <= VALUE_CHARS_MAX && plain::line(value) == *value
    }

    fn failed(&self) -> bool {
        self.actual.as_deref() != Some(self.expected.as_str())
    }
}

/// A new text for a field, with the failing cases that it speaks to.
#[derive(Debug, PartialEq, Eq)]
struct Idea {
    index: usize,
    field: MutableField,
    text: String,
    gain: usize,
    /// Breaks ties between equally good ideas, as the seed says.
    tie: u64,
    words: String,
}

/// What it could offer before anything is measured: unknown, unless every text is closed to it.
#[must_use]
pub fn prospect(prepared: &Prepared) -> Prospect {
    Prospect::after_a_measurement(prepared, &FIELDS)
}

/// The candidates that `observed` suggests, best first; equal input gives equal candidates.
pub fn offers(
    prepared: &Prepared,
    observed: &[ObservedCase],
    seed: u64,
) -> impl Iterator<Item = Offer> {
    let mut ideas: Vec<Idea> = Vec::new();
    for (index, node) in prepared.baseline().nodes().iter().enumerate() {
        let of_node = observed.iter().filter(|case| case.node == *node.id());
        let cases: Vec<_> = of_node.filter(|case| case.is_nameable()).collect();
        if cases.iter().any(|case| case.failed()) {
            ideas.extend(node_ideas(prepared, index, node, &cases, seed));
        }
    }
    ideas.sort_by(|a, b| b.gain.cmp(&a.gain).then(a.tie.cmp(&b.tie)).then(a.text.cmp(&b.text)));
    ideas.dedup_by(|a, b| a.index == b.index && a.field == b.field && a.text == b.text);
    ideas.into_iter().filter_map(|Idea { index, field, text, words, .. }| {
        prepared.propose(index, field, FieldValue::Text(text), words)
    })
}

/// All ideas for the text fields of one node.
fn node_ideas(
    prepared: &Prepared,
    index: usize,
    node: &Node,
    cases: &[&ObservedCase],
    seed: u64,
) -> Vec<Idea> {
    let mut ideas = Vec::new();
    for field in FIELDS {
        let Some(FieldValue::Text(text)) = field.spec().get(node) else {
            continue;
        };
        if prepared.check_field(node, field).is_err() {
            continue;
        }
        let room = text_allowance(&text, prepared.policy());
        let found = Terms::of(cases, &text);
        let definitions = Definitions::of(&text, &found.values());
        // A text that defines the values is the place for more of it; another one comes second.
        let home = definitions.is_home();
        let mut add = |text: String, gain: usize, words: String| {
            let mut tie = Hasher::new("optim/examples-tie/1");
            tie.part(&seed.to_be_bytes()).part(text.as_bytes());
            let [a, b, c, d, e, f, g, h, ..] = *tie.finish().as_bytes();
            let tie = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            ideas.push(Idea {
                index,
                field,
                text,
                gain: if home { gain } else { gain / 2 },
                tie,
                words,
            });
        };
        for at_least in [2, 1] {
            let (lines, gain) = block(&found, at_least, room, &definitions);
            if gain > 0 {
                add(
                    definitions.with_lines(&lines),
                    gain,
                    format!("the words of failing cases for {} values", lines.len()),
                );
            }
        }
        for (value, words) in found.by_value() {
            for at_least in [2, 1] {
                let (words, gain) = fitting(words, at_least, room.saturating_sub(LINE_OVERHEAD));
                if gain > 0 {
                    let text = definitions.extended(value, &words);
                    add(text, gain, format!("more words that mean {value}"));
                }
            }
            if let Some(quote) = shortest_quote(cases, value) {
                add(definitions.with_example(&quote, value), 1, format!("an example of {value}"));
            }
        }
    }
    ideas
}

/// One line of words for each value, as many words as fit: first the best word of each value, then
/// the next best, so that every value gets its share of the room.
fn block<'a>(
    found: &'a Terms,
    at_least: usize,
    room: u64,
    definitions: &Definitions<'_>,
) -> (Vec<(&'a str, Vec<&'a str>)>, usize) {
    let mut lines: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut left = room;
    let mut gain = 0;
    let longest = found.by_value().map(|(_, words)| words.len()).max().unwrap_or(0);
    for rank in 0..longest {
        for (value, words) in found.by_value() {
            let Some(word) = words.get(rank).filter(|word| word.cases >= at_least) else {
                continue;
            };
            let opens = !lines.contains_key(value);
            let line = if opens { definitions.line_cost(value) } else { 2 };
            let cost = line + chars(&word.text);
            if cost <= left {
                left -= cost;
                gain += word.cases;
                lines.entry(value).or_default().push(&word.text);
            }
        }
    }
    (lines.into_iter().collect(), gain)
}

/// The best words of a value that fit into `room`, and the failing cases that they speak to.
fn fitting(words: &[terms::Word], at_least: usize, room: u64) -> (Vec<&str>, usize) {
    let (mut chosen, mut gain, mut left) = (Vec::new(), 0, room);
    for word in words.iter().filter(|word| word.cases >= at_least) {
        let cost = chars(&word.text) + 2;
        if cost <= left {
            left -= cost;
            gain += word.cases;
            chosen.push(word.text.as_str());
        }
    }
    (chosen, gain)
}

/// The beginning of the shortest failing case of a value, as harmless text.
fn shortest_quote(cases: &[&ObservedCase], value: &str) -> Option<String> {
    let failing = cases.iter().filter(|case| case.failed() && case.expected == value);
    let quotes = failing.map(|case| {
        let line = plain::line(&terms::text_of(&case.inputs));
        plain::cut(&line, QUOTE_CHARS).to_owned()
    });
    quotes.filter(|quote| words(quote).len() >= 3).min_by_key(|quote| quote.chars().count())
}

fn chars(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
