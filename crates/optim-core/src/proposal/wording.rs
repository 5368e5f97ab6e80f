//! What the rules proposer says in a text field: themes and phrases, each in several lengths.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::phrase::{self, Phrase};
use crate::mutation::fields::FieldSpec;

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

impl Theme {
    /// All themes, in the order in which they come when the objective names none.
    pub const ALL: [Self; 8] = [
        Self::Accuracy,
        Self::Completeness,
        Self::Evidence,
        Self::Format,
        Self::Doubt,
        Self::Focus,
        Self::Brevity,
        Self::Consistency,
    ];

    /// The idea behind the theme's clauses, for people.
    #[must_use]
    pub fn idea(self) -> &'static str {
        match self {
            Self::Accuracy => "ask for a check of the result",
            Self::Completeness => "ask for every part of the task",
            Self::Evidence => "ask for evidence",
            Self::Format => "ask for the agreed form",
            Self::Doubt => "ask to name what is uncertain",
            Self::Focus => "ask to keep to what matters",
            Self::Brevity => "ask for fewer words",
            Self::Consistency => "ask to treat like cases alike",
        }
    }

    /// How words begin that speak of the theme, in lower case.
    fn cues(self) -> &'static [&'static str] {
        match self {
            Self::Accuracy => {
                &["accura", "correct", "error", "exact", "mistake", "precis", "right", "wrong"]
            }
            Self::Completeness => {
                &["all", "complet", "cover", "every", "full", "miss", "requir", "whole"]
            }
            Self::Evidence => &[
                "cit", "evidence", "fact", "ground", "proof", "prove", "quot", "source", "support",
            ],
            Self::Format => &[
                "contract", "field", "format", "json", "layout", "schema", "section", "structur",
                "valid",
            ],
            Self::Doubt => &[
                "ambigu",
                "assum",
                "doubt",
                "guess",
                "invent",
                "uncertain",
                "unclear",
                "unknown",
                "unsure",
            ],
            Self::Focus => &["focus", "ignor", "irrelevan", "only", "relevan", "scope"],
            Self::Brevity => {
                &["brief", "cheap", "concis", "cost", "length", "quick", "short", "token"]
            }
            Self::Consistency => &["alike", "consisten", "label", "same", "stable", "uniform"],
        }
    }

    /// How often `words` speak of the theme.
    fn mentions(self, words: &[String]) -> usize {
        let speaks = |word: &&String| self.cues().iter().any(|cue| word.starts_with(cue));
        words.iter().filter(speaks).count()
    }
}

/// All that can be said in one text field.
#[derive(Debug, Clone)]
pub(super) struct Wording {
    /// The ideas, best first.
    pub(super) ideas: Vec<Idea>,
    /// Every clause of every idea.
    known: BTreeSet<String>,
}

/// One thing to say.
#[derive(Debug, Clone)]
pub(super) struct Idea {
    /// For people.
    pub(super) name: &'static str,
    /// The same thing in different lengths, longest first; each is one sentence with its full stop.
    pub(super) clauses: Vec<Clause>,
}

/// A sentence that may be added to a text.
#[derive(Debug, Clone)]
pub(super) struct Clause {
    pub(super) text: String,
    /// Its length in characters.
    pub(super) chars: u64,
    /// The bytes of its beginning: few enough that looking for them is one fast pass.
    mark: usize,
}

/// The longest needle, in bytes, that the standard library looks for with vector instructions.
const MARK_BYTES: usize = 32;

impl Clause {
    fn new(text: String) -> Self {
        Self {
            chars: u64::try_from(text.chars().count()).unwrap_or(u64::MAX),
            mark: text.floor_char_boundary(MARK_BYTES),
            text,
        }
    }

    /// Whether `text` says this already.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let mark = self.text.get(..self.mark).unwrap_or(&self.text);
        text.contains(mark) && text.contains(&self.text)
    }
}

impl Wording {
    /// What `objective` suggests to say in the field of `spec`: its phrases, and between them the
    /// themes, those first that it speaks of. `seed` orders themes that it mentions equally often.
    pub(super) fn new(objective: &str, spec: &dyn FieldSpec, seed: u64) -> Self {
        let mut themes = themes(objective, seed).into_iter().map(|theme| Idea {
            name: theme.idea(),
            clauses: clauses(spec.clauses(theme).iter().map(|text| (*text).to_owned())),
        });
        let mut phrases = phrase::phrases(objective).into_iter().map(|Phrase { lengths }| Idea {
            name: "say what the objective says",
            clauses: clauses(lengths.iter().map(|text| format!("{}: {text}.", spec.lead()))),
        });
        let mut ideas = Vec::new();
        loop {
            let before = ideas.len();
            ideas.extend(phrases.next());
            ideas.extend(themes.next());
            if ideas.len() == before {
                break;
            }
        }
        let texts = ideas.iter().flat_map(|idea: &Idea| &idea.clauses);
        let known = texts.map(|clause| clause.text.clone()).collect();
        Self { ideas, known }
    }

    /// `text` without the clause that it ends with, if it is one of these.
    pub(super) fn without_last_clause<'a>(&self, text: &'a str) -> Option<&'a str> {
        let text = text.trim_end();
        let sentence_start = text.rfind(". ").map_or(0, |stop| stop + 2);
        let line_start = text.rfind('\n').map_or(0, |end| end + 1);
        let (head, last) = text.split_at_checked(sentence_start.max(line_start))?;
        self.known.contains(last).then(|| head.trim_end())
    }
}

fn clauses(texts: impl Iterator<Item = String>) -> Vec<Clause> {
    texts.map(Clause::new).collect()
}

fn themes(objective: &str, seed: u64) -> Vec<Theme> {
    let words: Vec<String> =
        objective.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect();
    let mut themes = Theme::ALL;
    let turns = seed.checked_rem(8).and_then(|turns| usize::try_from(turns).ok());
    themes.rotate_left(turns.unwrap_or(0));
    themes.sort_by_cached_key(|theme| Reverse(theme.mentions(&words)));
    themes.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::{Family, MutableField};

    fn texts() -> impl Iterator<Item = MutableField> {
        let is_text = |field: &MutableField| field.spec().family() == Family::Text;
        MutableField::ALL.into_iter().filter(is_text)
    }

    #[test]
    fn each_theme_has_a_clause_for_every_size_of_text() {
        for field in texts() {
            for theme in Theme::ALL {
                let lengths: Vec<usize> =
                    field.spec().clauses(theme).iter().map(|c| c.chars().count()).collect();
                let [long, medium, short] = lengths.as_slice() else { panic!("{theme:?}") };
                assert!(long > medium && medium > short, "{theme:?} {lengths:?}");
                // With `. ` before it, the short one fits the default floor of 40 characters.
                assert!(*short <= 38 && *medium <= 60 && *long <= 110, "{theme:?} {lengths:?}");
            }
        }
    }

    #[test]
    fn a_clause_is_one_sentence_and_no_two_are_equal() {
        let mut seen = BTreeSet::new();
        for clause in
            texts().flat_map(|field| Theme::ALL.map(|theme| field.spec().clauses(theme))).flatten()
        {
            assert!(clause.ends_with('.') && !clause.contains(". "), "{clause}");
            assert!(seen.insert(clause), "{clause}");
        }
    }

    #[test]
    fn themes_come_in_the_order_in_which_the_objective_stresses_them() {
        let objective = "Be brief: short answers, low cost. Quote the source.";
        for seed in 0..9 {
            let order = themes(objective, seed);
            assert_eq!(order[..2], [Theme::Brevity, Theme::Evidence]);
        }
        assert_ne!(themes("", 0), themes("", 1));
    }

    #[test]
    fn a_clause_at_the_end_is_recognised_and_taken_off() {
        let wording = Wording::new("Route the mail fast.", MutableField::Objective.spec(), 0);
        for idea in &wording.ideas {
            for clause in &idea.clauses {
                for before in ["Do it.", "- a: b", "One. Two"] {
                    for joint in [" ", "\n"] {
                        let text = format!("{before}{joint}{}\n", clause.text);
                        let known = wording.without_last_clause(&text);
                        let expected = (joint == "\n" || before.ends_with('.')).then_some(before);
                        assert_eq!(known, expected, "{text}");
                    }
                }
            }
        }
        assert_eq!(wording.without_last_clause("Aim: something else."), None);
    }
}
