//! Finds where a text says what a value means, as in `- bill: invoice, payment.`, and adds to it.

use std::ops::Range;

/// The part of a text that says what one value means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition<'a> {
    /// What stands before the value in its line: indent, list marker, opening quotation.
    head: &'a str,
    /// What stands between the value and its meaning: closing quotation, separator, space.
    link: &'a str,
    /// Where more can be added: after the last word of the meaning.
    end: usize,
    /// What stands between the parts of the meaning; nothing is there yet when it is blank.
    joint: &'static str,
    /// Where the line of the definition ends.
    line_end: usize,
    /// Whether the definition has a line of its own.
    begins_line: bool,
}

/// An insertion into a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Insertion {
    at: usize,
    text: String,
}

/// The definition of `value` in `text`, if there is one.
pub(super) fn find<'a>(text: &'a str, value: &str) -> Option<Definition<'a>> {
    segments(text).find_map(|segment| parse(text, segment, value))
}

impl Definition<'_> {
    /// Adds `terms` to the meaning, in its own format.
    pub(super) fn extended(&self, terms: &[String]) -> Insertion {
        let joint = if self.joint.is_empty() {
            ", "
        } else {
            self.joint
        };
        let before = if self.joint.is_empty() {
            " "
        } else {
            self.joint
        };
        let space = if self.joint.is_empty() && self.link.ends_with(' ') {
            ""
        } else {
            before
        };
        Insertion {
            at: self.end,
            text: format!("{space}{}", terms.join(joint)),
        }
    }

    /// A definition of another value below this one, in the same format.
    pub(super) fn followed_by(&self, value: &str, terms: &[String]) -> Insertion {
        let joint = if self.joint.is_empty() {
            ", "
        } else {
            self.joint
        };
        let (head, link, terms) = (self.head, self.link, terms.join(joint));
        Insertion {
            at: self.line_end,
            text: format!("\n{head}{value}{link}{terms}"),
        }
    }

    /// Whether definitions can follow it line by line.
    pub(super) fn has_own_line(&self) -> bool {
        self.begins_line && !self.link.contains('\n')
    }

    /// Where the definition's line ends.
    pub(super) fn line_end(&self) -> usize {
        self.line_end
    }
}

/// A line of its own at the end of `text`.
pub(super) fn last_line(text: &str, line: &str) -> Insertion {
    let body = text.trim_end();
    let separator = if body.is_empty() { "" } else { "\n" };
    Insertion {
        at: body.len(),
        text: format!("{separator}{line}"),
    }
}

/// `text` with all insertions.
pub(super) fn insert(text: &str, mut insertions: Vec<Insertion>) -> String {
    insertions.sort_by_key(|insertion| insertion.at);
    let mut out = String::new();
    let mut from = 0;
    for Insertion { at, text: added } in insertions {
        out.push_str(text.get(from..at).unwrap_or_default());
        out.push_str(&added);
        from = at;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// The lines of `text`, and in them what `; ` and `. ` separate.
fn segments(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    text.split_inclusive(['\n', ' '])
        .scan(0, |end, word| {
            *end += word.len();
            Some((*end, word))
        })
        .filter_map(move |(end, word)| {
            let closes = word.ends_with('\n')
                || word.ends_with("; ")
                || word.ends_with(". ")
                || end == text.len();
            // `1. ` opens an item of a list.
            let is_number = word
                .strip_suffix(". ")
                .is_some_and(|n| n.chars().all(|c| c.is_ascii_digit()));
            if !closes || (is_number && end != text.len()) {
                return None;
            }
            let segment = start..end;
            start = end;
            Some(segment)
        })
}

fn parse<'a>(text: &'a str, segment: Range<usize>, value: &str) -> Option<Definition<'a>> {
    let line = text.get(segment.clone())?.trim_end();
    let bare = line.trim_end_matches(['.', ';', ',']);
    let name = bare.trim_start();
    let name = name.trim_start_matches(|c: char| {
        c.is_ascii_digit() || matches!(c, '-' | '+' | '•' | ')' | '.' | ' ')
    });
    let name = name.trim_start_matches(['*', '_', '`', '"', '\'', '“', '[', '(', ' ']);
    let rest = without_name(name, value)?;
    let body = without_link(rest)?;
    let (head, link) = (bare.len() - name.len(), rest.len() - body.len());
    let joint = match body {
        "" => "",
        _ if body.contains(", ") => ", ",
        _ if body.contains(" / ") => " / ",
        _ if body.contains(" | ") => " | ",
        _ => ", ",
    };
    let line_end = text
        .get(segment.start..)?
        .find('\n')
        .map_or(text.trim_end().len(), |at| segment.start + at);
    Some(Definition {
        head: bare.get(..head)?,
        link: rest.get(..link)?,
        end: segment.start + bare.len(),
        joint,
        line_end,
        begins_line: segment.start == 0 || text.get(..segment.start)?.ends_with('\n'),
    })
}

/// What follows `value` at the beginning of `text`, whatever the case of its letters.
fn without_name<'a>(text: &'a str, value: &str) -> Option<&'a str> {
    let mut rest = text.chars();
    for wanted in value.chars() {
        let found = rest.next()?;
        if !found.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
    }
    Some(rest.as_str())
}

/// What follows the separator at the beginning of `text`, without the space after it.
fn without_link(text: &str) -> Option<&str> {
    let unquoted = text.trim_start_matches(['*', '_', '`', '"', '\'', '”', ']', ')']);
    let spaced = [
        "->", "=>", "→", "–", "—", "=", ":", "- ", "means ", "if ", "when ", "is for ",
    ];
    let rest = unquoted.trim_start();
    let body = spaced.iter().find_map(|link| rest.strip_prefix(link))?;
    // A bare word must not run on: `billing` does not define `bill`.
    let apart = rest.len() < text.len() || !rest.starts_with(char::is_alphanumeric);
    apart.then(|| {
        body.trim_start()
            .trim_start_matches(['*', '_'])
            .trim_start()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extended(text: &str, value: &str) -> Option<String> {
        let terms = ["x".to_owned(), "y".to_owned()];
        find(text, value).map(|found| insert(text, vec![found.extended(&terms)]))
    }

    #[test]
    fn a_definition_is_extended_in_its_own_format() {
        let table = [
            (
                "Name it:\n- bill: invoice, due\n- visit: calendar",
                "- bill: invoice, due, x, y\n- visit",
            ),
            (
                "- bill: invoice, due.\nNext",
                "- bill: invoice, due, x, y.\nNext",
            ),
            ("* **Bill**: invoice", "* **Bill**: invoice, x, y"),
            (
                "1. `bill` - invoice / due",
                "1. `bill` - invoice / due / x / y",
            ),
            ("bill = invoice", "bill = invoice, x, y"),
            (
                "\"bill\" means an invoice came. Go on.",
                "\"bill\" means an invoice came, x, y. Go on.",
            ),
            ("Kinds: bill: invoice; visit: call", "none"),
            (
                "Kinds; bill: invoice; visit: call",
                "bill: invoice, x, y; visit",
            ),
            ("- bill:\n- visit: a", "- bill: x, y\n- visit"),
            ("- bill: \n", "- bill: x, y"),
            ("- billing: invoice", "none"),
            ("bill the customer", "none"),
            ("The bill: pay it", "none"),
            ("bill", "none"),
            ("", "none"),
        ];
        for (text, expected) in table {
            let found = extended(text, "bill").unwrap_or_else(|| "none".to_owned());
            assert!(found.contains(expected), "{text:?} gave {found:?}");
        }
    }

    #[test]
    fn a_new_definition_looks_like_its_neighbour() {
        let text = "Kinds:\n  * `bill` -> invoice, due.\nGo on.";
        let found = find(text, "bill").unwrap();
        let terms = ["x".to_owned(), "y".to_owned()];
        let after = insert(text, vec![found.followed_by("visit", &terms)]);
        assert_eq!(
            after,
            "Kinds:\n  * `bill` -> invoice, due.\n  * `visit` -> x, y\nGo on."
        );
        assert_eq!(
            insert("Sort it. \n", vec![last_line("Sort it. \n", "- a: b")]),
            "Sort it.\n- a: b \n"
        );
    }
}
