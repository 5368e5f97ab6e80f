//! The smallest edit: one scalar of a text replaced, every other byte as it was.
//!
//! An edit is a guess that is then proved. A few ways to write the new value where the old one
//! stands are tried, the one most like the old one first; the first whose result reads as exactly
//! the old value with that one change is taken. So the rules for writing scalars need not be
//! complete, and no rule that is wrong can damage a file.

use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::{
    Kind, Limits, Node, NotFinite, Step, Style,
    block::Block,
    parse, pointer,
    quote::{double_quoted, plain, single_quoted},
};
use crate::diagnostic::Diagnostics;

/// A value that can be put in the place of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string.
    String(String),
    /// An integer.
    Int(i64),
}

impl Scalar {
    fn to_value(&self) -> Value {
        match self {
            Self::String(text) => Value::from(text.as_str()),
            Self::Int(value) => Value::from(*value),
        }
    }
}

/// Why a text was not edited.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The text is not a document, or goes over the limits for workflow files.
    #[error(transparent)]
    Unreadable(#[from] Diagnostics),
    /// The text has a number that no value can stand for.
    #[error(transparent)]
    NotFinite(#[from] NotFinite),
    /// The path leads nowhere.
    #[error("there is nothing at `{path}` to edit")]
    NotFound {
        /// The JSON pointer of the path.
        path: String,
    },
    /// The path leads to a sequence or mapping.
    #[error("`{path}` is {found}; only a string, number, boolean or null can be replaced")]
    NotScalar {
        /// The JSON pointer of the path.
        path: String,
        /// What is there.
        found: &'static str,
    },
    /// The text at the path stands for several values.
    #[error(
        "`{path}` is shared: line {line} belongs to an anchor (`&name`) that aliases (`*name`) \
         repeat, so an edit would change every one of them; write the value out where it differs"
    )]
    Aliased {
        /// The JSON pointer of the path.
        path: String,
        /// The line of the shared text.
        line: u32,
    },
    /// No way to write the value was found that leaves all else as it is.
    #[error("`{path}` on line {line} cannot be replaced without changing more; edit it by hand")]
    Unproven {
        /// The JSON pointer of the path.
        path: String,
        /// The line of the value.
        line: u32,
    },
}

impl EditError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "document_unreadable",
            Self::NotFinite(error) => error.code(),
            Self::NotFound { .. } => "path_not_found",
            Self::NotScalar { .. } => "not_a_scalar",
            Self::Aliased { .. } => "aliased",
            Self::Unproven { .. } => "edit_unproven",
        }
    }
}

/// A replacement of some bytes of a text.
pub(super) struct Splice {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

impl Splice {
    /// The text with the replacement, if the range is in it.
    fn apply(&self, text: &str) -> Option<String> {
        let before = text.get(..self.range.start)?;
        let after = text.get(self.range.end..)?;
        Some([before, &self.text, after].concat())
    }
}

/// The text with the scalar at `path` replaced by `new`.
///
/// The style stays: quotes are kept, a literal or folded block keeps its header, indentation and
/// line endings, and its lines that need not change, a plain scalar stays plain. Where the style
/// cannot express the new value it becomes double quoted; a JSON text stays JSON. A block scalar
/// whose trailing line breaks change has its chomping indicator changed. A value that is equal
/// already leaves the text as it is.
///
/// # Errors
///
/// See [`EditError`]; nothing is ever half edited.
pub fn set_scalar(text: &str, path: &[Step<'_>], new: &Scalar) -> Result<String, EditError> {
    let limits = Limits::workflow();
    let document = parse("text", text.as_bytes(), &limits)?;
    let path_text = || pointer(path);
    let node = document.at(path).ok_or_else(|| EditError::NotFound { path: path_text() })?;
    let line = node.span.start.line;
    if matches!(node.kind, Kind::Seq(_) | Kind::Map(_)) {
        return Err(EditError::NotScalar { path: path_text(), found: node.kind.noun() });
    }
    if node.aliased {
        return Err(EditError::Aliased { path: path_text(), line });
    }
    let mut expected = document.root.to_value()?;
    let target = expected.pointer_mut(&path_text());
    if target.as_deref() == Some(&new.to_value()) {
        return Ok(text.to_owned());
    }
    if let Some(target) = target {
        *target = new.to_value();
    }
    let json = is_json(text);
    ways(text, node, new)
        .iter()
        .filter_map(|splice| splice.apply(text))
        .find(|edited| {
            parse("text", edited.as_bytes(), &limits)
                .is_ok_and(|document| document.root.to_value().as_ref() == Ok(&expected))
                && (!json || is_json(edited))
        })
        .ok_or_else(|| EditError::Unproven { path: path_text(), line })
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The ways to write `new` where `node` stands, the one most like the old one first.
fn ways(text: &str, node: &Node, new: &Scalar) -> Vec<Splice> {
    let new = match new {
        Scalar::Int(value) => return inline(text, node, value.to_string()).into_iter().collect(),
        Scalar::String(new) => new,
    };
    let quoted = || inline(text, node, double_quoted(new));
    match node.style {
        Style::Plain => {
            // In flow, the neighbours of a number are as likely JSON as YAML.
            let was_string = matches!(node.kind, Kind::String(_));
            let unquoted = plain(new, node.in_flow).filter(|_| was_string || !node.in_flow);
            let unquoted = unquoted.and_then(|new| inline(text, node, new));
            unquoted.into_iter().chain(quoted()).collect()
        }
        Style::SingleQuoted => {
            let single = single_quoted(new).and_then(|new| inline(text, node, new));
            single.into_iter().chain(quoted()).collect()
        }
        Style::Literal | Style::Folded => {
            let block = Block::find(text, node);
            let old = node.as_str().unwrap_or_default();
            let narrow = block.as_ref().and_then(|block| block.change_lines(old, new));
            let whole = block.as_ref().and_then(|block| block.rewrite(new));
            narrow.into_iter().chain(whole).chain(quoted()).collect()
        }
        Style::DoubleQuoted | Style::Block | Style::Flow => quoted().into_iter().collect(),
    }
}

/// `new`, which is on one line, where `node` stands.
fn inline(text: &str, node: &Node, new: String) -> Option<Splice> {
    let range = node.span.range();
    if matches!(node.style, Style::Literal | Style::Folded) {
        return Block::find(text, node).map(|block| block.replace(&new));
    }
    if !range.is_empty() {
        return Some(Splice { range, text: new });
    }
    // The value is left out: it belongs after the colon, if there is one, and a space.
    let after = text.get(range.start..)?;
    let colon = after.trim_start_matches([' ', '\t']).strip_prefix(':');
    let at = colon.map_or(range.start, |rest| text.len() - rest.len());
    let spaced = text.get(..at)?.ends_with(char::is_whitespace);
    let text = if spaced { new } else { format!(" {new}") };
    Some(Splice { range: at..at, text })
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::Index};

    use super::*;
    use crate::document::{Document, Step::Index as I, Step::Key as K};

    /// A workflow in every style that people write.
    const WORKFLOW: &str = r#"# Sorts incoming mail; owner: café team
name:   "Sort the \"inbox\""      # shown in lists
creator: 'Zoë''s desk'

defaults: &defaults {timeout_ms: 30000, model: small}
flow:
    nodes:
        # The first node.
        - id: classify
          objective: |
              Read the message.
              Answer with one of: bug, question, praise.

              Do not explain.

          retries: {max_attempts: 2, backoff: 'slow'}   # flow map
          timeout_ms: 45000
          tags: [first, "second", third]
        -   id: summarise
            objective: >-
                Summarise the message in one sentence that
                a person on call understands without
                the thread.

                Keep names, dates
                and numbers.
            output_contract: {summary_guidance: "one line",
                              kind: text}
            depends_on: [classify]
            limits: *defaults
notes: |+   # kept
    First note.

    Ünïcode: 東京 ✓

last: 7
"#;

    fn text(value: &str) -> Scalar {
        Scalar::String(value.to_owned())
    }

    const NODE_0: [Step<'_>; 3] = [K("flow"), K("nodes"), I(0)];
    const NODE_1: [Step<'_>; 3] = [K("flow"), K("nodes"), I(1)];

    /// Each edit as (path, new value, the old bytes, the new bytes).
    fn edits() -> Vec<(Vec<Step<'static>>, Scalar, &'static str, &'static str)> {
        let in_0 = |path: &[Step<'static>]| [&NODE_0, path].concat();
        let in_1 = |path: &[Step<'static>]| [&NODE_1, path].concat();
        vec![
            (
                vec![K("name")],
                text("Sort \\ \"all\"\tété"),
                r#""Sort the \"inbox\"""#,
                r#""Sort \\ \"all\"\tété""#,
            ),
            (vec![K("creator")], text("Ann's # desk"), "'Zoë''s desk'", "'Ann''s # desk'"),
            (vec![K("creator")], text("two\nlines"), "'Zoë''s desk'", r#""two\nlines""#),
            (
                in_0(&[K("objective")]),
                text("Read the message.\nAnswer with one word.\n\nDo not explain.\n"),
                "Answer with one of: bug, question, praise.",
                "Answer with one word.",
            ),
            (
                in_0(&[K("objective")]),
                text(
                    "Read the message.\nAnswer with one of: bug, question, praise.\n\nThink first.\n\tThen write.\nDo not explain.",
                ),
                "objective: |\n              Read the message.\n              Answer with one of: bug, question, praise.\n\n              Do not explain.\n",
                "objective: |-\n              Read the message.\n              Answer with one of: bug, question, praise.\n\n              Think first.\n              \tThen write.\n              Do not explain.\n",
            ),
            (
                in_0(&[K("objective")]),
                text("  indented"),
                "|\n              Read the message.\n              Answer with one of: bug, question, praise.\n\n              Do not explain.\n",
                "\"  indented\"\n",
            ),
            (
                in_0(&[K("retries"), K("max_attempts")]),
                Scalar::Int(3),
                "max_attempts: 2",
                "max_attempts: 3",
            ),
            (in_0(&[K("retries"), K("backoff")]), text("fast"), "'slow'", "'fast'"),
            (in_0(&[K("timeout_ms")]), Scalar::Int(-60_000), "45000", "-60000"),
            (in_0(&[K("timeout_ms")]), text("60 s"), "45000", "60 s"),
            (in_0(&[K("timeout_ms")]), text("60"), "45000", "\"60\""),
            (in_0(&[K("tags"), I(2)]), text("last"), "third]", "last]"),
            (in_0(&[K("tags"), I(0)]), text("a, b"), "[first", "[\"a, b\""),
            (in_1(&[K("id")]), text("no"), "id: summarise", "id: \"no\""),
            (in_1(&[K("id")]), text("sum up: all"), "id: summarise", "id: \"sum up: all\""),
            (
                in_1(&[K("objective")]),
                text(
                    "Summarise the message in one sentence that a tired person on call understands without the thread.\nKeep names, dates and numbers.",
                ),
                "a person on call",
                "a tired person on call",
            ),
            (
                in_1(&[K("objective")]),
                text(
                    "Summarise the message in one sentence that a person on call understands without the thread.\nKeep the names of people and of places, all the dates that there are and numbers.",
                ),
                "Keep names, dates\n",
                "Keep the names of people and of places, all the dates that there\n                are\n",
            ),
            (
                in_1(&[K("output_contract"), K("summary_guidance")]),
                text("two: lines"),
                "\"one line\"",
                "\"two: lines\"",
            ),
            (in_1(&[K("output_contract"), K("kind")]), text("json"), "kind: text", "kind: json"),
            (vec![K("notes")], text("First note.\n\nÜnïcode: 東京 ✗\n\n"), "✓", "✗"),
            (vec![K("notes")], text("One.\n"), "First note.\n\n    Ünïcode: 東京 ✓\n\n", "One.\n"),
            (vec![K("last")], Scalar::Int(i64::MIN), "last: 7", "last: -9223372036854775808"),
        ]
    }

    #[test]
    fn an_edit_changes_the_bytes_of_its_scalar_and_no_other() {
        for (path, new, old_bytes, new_bytes) in edits() {
            for line_break in ["\n", "\r\n"] {
                let encode = |text: &str| text.replace('\n', line_break);
                let before = encode(WORKFLOW);
                let (old_bytes, new_bytes) = (encode(old_bytes), encode(new_bytes));
                assert_eq!(before.matches(&old_bytes).count(), 1, "{old_bytes:?}");
                let after = set_scalar(&before, &path, &new).unwrap();
                let expected = before.replace(&old_bytes, &new_bytes);
                assert!(after == expected, "--- edited\n{after}\n--- expected\n{expected}");
            }
        }
    }

    #[test]
    fn edits_compose() {
        let mut text = WORKFLOW.to_owned();
        for (path, new, ..) in edits() {
            text = set_scalar(&text, &path, &new).unwrap();
            let document = parse("w", text.as_bytes(), &Limits::workflow()).unwrap();
            assert_eq!(document.at(&path).unwrap().to_value().unwrap(), new.to_value());
        }
        for comment in ["# Sorts", "# shown", "# The first node.", "# flow map", "# kept"] {
            assert!(text.contains(comment), "{comment} in\n{text}");
        }
    }

    #[test]
    fn corners_of_the_syntax() {
        let line = ["word"; 15].join(" ");
        let (long, filled) = (format!("{line} {line}\n"), format!("a: >\n  {line}\n  {line}\n"));
        for (before, path, new, after) in [
            // Values that are left out.
            ("a:\nb: 1\n", &[K("a")][..], text("x"), "a: x\nb: 1\n"),
            ("a:   # why\n", &[K("a")], text("x"), "a: x   # why\n"),
            ("-\n- b\n", &[I(0)], text("x"), "- x\n- b\n"),
            ("- \n- b\n", &[I(0)], text("x"), "- x\n- b\n"),
            ("{a: , b: 1}", &[K("a")], text("x"), "{a: \"x\" , b: 1}"),
            ("a: &n\nb: 1\n", &[K("a")], Scalar::Int(1), "a: &n 1\nb: 1\n"),
            // The whole document.
            ("one # c\n", &[], text("two"), "two # c\n"),
            ("--- |\n one\n", &[], text("two\n"), "--- |\n two\n"),
            // An anchor that nothing refers to.
            ("a: &n 'x'\n", &[K("a")], text("y"), "a: &n 'y'\n"),
            // A byte order mark, a directive, an end marker.
            ("\u{feff}a: x\n", &[K("a")], text("z"), "\u{feff}a: z\n"),
            ("%YAML 1.2\n---\na: x\n...\n", &[K("a")], text("z"), "%YAML 1.2\n---\na: z\n...\n"),
            // Scalars over several lines.
            ("a: x\n  y\nb: 1\n", &[K("a")], text("z"), "a: z\nb: 1\n"),
            ("a: 'x\n\n  y'\n", &[K("a")], text("z"), "a: 'z'\n"),
            // Blocks: chomping, indentation indicators, comments, missing last line breaks.
            ("a: |2\n   x\n  y\nb: 1\n", &[K("a")], text(" z\ny\n"), "a: |2\n   z\n  y\nb: 1\n"),
            ("a: |-2\n   x\n", &[K("a")], text(" x\n"), "a: |2\n   x\n"),
            ("a:\n - |+\n  x\n\n - b\n", &[K("a"), I(0)], text("x"), "a:\n - |-\n  x\n - b\n"),
            ("a:\n - |\n  x\n\n - b\n", &[K("a"), I(0)], text("x\n\n"), "a:\n - |+\n  x\n\n - b\n"),
            ("a: |\n  x\n\n\nb: 1\n", &[K("a")], text("y\n"), "a: |\n  y\n\n\nb: 1\n"),
            ("a: | # c\n  x\nb: 1\n", &[K("a")], Scalar::Int(5), "a: 5 # c\nb: 1\n"),
            ("a: | # c\n  x\nb: 1\n", &[K("a")], text("\u{7}"), "a: \"\\u0007\" # c\nb: 1\n"),
            ("a: |\n  x", &[K("a")], text("y\n"), "a: |\n  y"),
            ("a: |\n  x", &[K("a")], text("y"), "a: |-\n  y"),
            ("a: |\n\n  x\n  \n  y\n", &[K("a")], text("\nx\n\nz\n"), "a: |\n\n  x\n  \n  z\n"),
            ("a: |\nb: 1\n", &[K("a")], text("x\n"), "a: \"x\\n\"\nb: 1\n"),
            ("\"x | y\": >-\n  x\n", &[K("x | y")], text("z"), "\"x | y\": >-\n  z\n"),
            // Folding: more indented lines, empty lines, lines that are filled.
            (
                "a: >\n  x\n\n    code\n\n  y\n",
                &[K("a")],
                text("x\n\n  more\n\ny\n"),
                "a: >\n  x\n\n    more\n\n  y\n",
            ),
            ("a: >\n  x\n  y\n", &[K("a")], text("x\n\ny\n"), "a: >\n  x\n\n\n  y\n"),
            ("a: >\n  x\n", &[K("a")], text(&long), &filled),
            // What a reader of YAML 1.1 would take for something else is quoted.
            ("a: x\n", &[K("a")], text("Yes"), "a: \"Yes\"\n"),
            ("a: x\n", &[K("a")], text("2026-11-23"), "a: \"2026-11-23\"\n"),
            ("a: x\n", &[K("a")], text("1_000"), "a: \"1_000\"\n"),
            ("a: x\n", &[K("a")], text("3 apples"), "a: 3 apples\n"),
            ("a: x\n", &[K("a")], text(""), "a: \"\"\n"),
            ("a: x\n", &[K("a")], text("~"), "a: \"~\"\n"),
            ("a: x\n", &[K("a")], text("- b"), "a: \"- b\"\n"),
            ("a: x\n", &[K("a")], text("https://b.c/#d"), "a: https://b.c/#d\n"),
        ] {
            let edited = set_scalar(before, path, &new);
            assert_eq!(edited.as_deref(), Ok(after), "{before:?}");
        }
    }

    #[test]
    fn json_stays_json() {
        let compact = r#"{"n":[{"id":"a\/b","t":1},{"id":null}],"long":"\u00e9 \"x\""}"#;
        let pretty = "{\r\n\t\"n\": [\r\n\t\t{ \"id\": \"a\\/b\", \"t\": 1 },\r\n\t\t{ \"id\": null }\r\n\t],\r\n\t\"long\": \"\\u00e9 \\\"x\\\"\"\r\n}\r\n";
        for text_before in [compact, pretty] {
            for (path, new, old_bytes, new_bytes) in [
                (&[K("n"), I(0), K("id")][..], text("plain"), r#""a\/b""#, r#""plain""#),
                (&[K("n"), I(0), K("id")], text("\u{1}\n😀"), r#""a\/b""#, "\"\\u0001\\n😀\""),
                (&[K("n"), I(0), K("id")], Scalar::Int(4), r#""a\/b""#, "4"),
                (&[K("n"), I(0), K("t")], Scalar::Int(200), "1", "200"),
                (&[K("n"), I(0), K("t")], text("two"), "1", "\"two\""),
                (&[K("n"), I(1), K("id")], text("b"), "null", "\"b\""),
                (&[K("long")], text("short"), r#""\u00e9 \"x\"""#, "\"short\""),
            ] {
                let edited = set_scalar(text_before, path, &new).unwrap();
                assert_eq!(edited, text_before.replacen(old_bytes, new_bytes, 1));
            }
        }
        // Where nothing around the value tells, the whole text does.
        assert_eq!(set_scalar("12", &[], &text("b")).as_deref(), Ok("\"b\""));
    }

    #[test]
    fn an_edit_that_changes_nothing_leaves_the_text() {
        let text_before = "a: 'x'\nb: 0x10\n";
        assert_eq!(set_scalar(text_before, &[K("a")], &text("x")).as_deref(), Ok(text_before));
        assert_eq!(
            set_scalar(text_before, &[K("b")], &Scalar::Int(16)).as_deref(),
            Ok(text_before)
        );
    }

    #[test]
    fn refusals_name_the_path() {
        let shared = "a: &n {b: 1, c: [2]}\nd: *n\ne: {f: 3}\n";
        for (before, path, code, message) in [
            ("a: [", &[K("a")][..], "document_unreadable", "text:1:4: error[yaml_syntax]"),
            ("a: 1\nb: .nan\n", &[K("a")], "not_finite", "a number must be finite"),
            (shared, &[K("e"), K("g/h")], "path_not_found", "there is nothing at `/e/g~1h`"),
            (shared, &[K("e"), I(0)], "path_not_found", "there is nothing at `/e/0`"),
            (shared, &[K("e")], "not_a_scalar", "`/e` is a mapping"),
            (shared, &[K("a"), K("b")], "aliased", "`/a/b` is shared: line 1"),
            (shared, &[K("d"), K("c"), I(0)], "aliased", "`/d/c/0` is shared: line 1"),
            ("{a, b: 1}", &[K("a")], "edit_unproven", "`/a` on line 1 cannot be replaced"),
        ] {
            let error = set_scalar(before, path, &Scalar::Int(9)).unwrap_err();
            assert_eq!(error.code(), code);
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }

    /// A value as it is written; `⏎` is a line break and the indentation of the value.
    #[derive(Clone, Debug)]
    enum Written {
        Scalar(String),
        Seq(Vec<Self>),
        Map(Vec<Self>),
    }

    impl Written {
        /// Appends the value after `key:` or `-`.
        fn append(&self, indentation: usize, text: &mut String) {
            let start = " ".repeat(indentation);
            let (children, is_map) = match self {
                Self::Scalar(scalar) => {
                    text.push(' ');
                    text.push_str(&scalar.replace('⏎', &format!("\n{start}")));
                    text.push('\n');
                    return;
                }
                Self::Seq(items) => (items, false),
                Self::Map(entries) => (entries, true),
            };
            text.push('\n');
            for (i, child) in children.iter().enumerate() {
                let name = if is_map { format!("k{i}:") } else { "-".to_owned() };
                text.extend([&start, "# comment\n", &start, &name]);
                child.append(indentation + 1 + i % 3, text);
            }
        }
    }

    fn line() -> impl Strategy<Value = String> {
        "[a-c:#'\"|>é][a-c :#,é-]{0,20}[a-c.!é]"
    }

    fn written() -> impl Strategy<Value = Written> {
        let words = "[a-c]{1,8}( [a-c]{1,8}){0,9}";
        let body = prop::collection::vec(
            prop_oneof![4 => line(), 1 => Just(String::new()), 1 => line().prop_map(|l| format!("  {l}"))],
            1..6,
        );
        let block = ("[|>]", "[+-]?( # note)?", line(), body, "\n{0,2}").prop_map(
            |(style, header, first, body, end)| {
                format!("{style}{header}⏎{first}⏎{}{end}", body.join("⏎"))
            },
        );
        let scalar = prop_oneof![
            words,
            (words, words).prop_map(|(a, b)| format!("{a}⏎{b} # note")),
            words.prop_map(|words| format!("'{}'", words.replace(' ', "''"))),
            words.prop_map(|words| format!("\"{}\" # note", words.replace(' ', "\\n⏎"))),
            any::<i32>().prop_map(|value| value.to_string()),
            Just(String::new()),
            Just("null # note".to_owned()),
            Just("[a, 'b', {c: \"d\", e: 1}] # note".to_owned()),
            block,
        ];
        scalar.prop_map(Written::Scalar).prop_recursive(3, 20, 4, |inner| {
            let children = prop::collection::vec(inner, 1..4);
            (children, any::<bool>()).prop_map(|(children, is_map)| {
                if is_map { Written::Map(children) } else { Written::Seq(children) }
            })
        })
    }

    fn new_scalar() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            any::<i64>().prop_map(Scalar::Int),
            any::<String>().prop_map(Scalar::String),
            "[a-c :#,'\"|>é\\[\\]\n\t.-]{0,60}".prop_map(Scalar::String),
            prop::collection::vec(line(), 0..5).prop_map(|lines| Scalar::String(lines.join("\n"))),
            prop::collection::vec("[a-c]{1,9}", 0..40).prop_map(|words| text(&words.join(" "))),
        ]
    }

    /// The path and the text of every scalar.
    fn scalars<'a>(
        text: &'a str,
        node: &'a Node,
        path: &[Step<'a>],
        found: &mut Vec<(Vec<Step<'a>>, &'a str)>,
    ) {
        for (i, item) in node.items().into_iter().flatten().enumerate() {
            scalars(text, item, &[path, &[I(i)]].concat(), found);
        }
        for (key, value) in node.entries().into_iter().flatten() {
            scalars(text, value, &[path, &[K(&key.name)]].concat(), found);
        }
        if node.items().is_none() && node.entries().is_none() {
            found.push((path.to_vec(), text.get(node.span.range()).unwrap()));
        }
    }

    fn read(text: &str) -> Document {
        parse("w", text.as_bytes(), &Limits::workflow()).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    proptest! {
        #[test]
        fn any_scalar_can_become_any_other_and_nothing_else_changes(
            written in written(),
            edits in prop::collection::vec((any::<Index>(), new_scalar()), 1..4),
            crlf: bool,
        ) {
            let mut before = String::from("root:");
            written.append(1, &mut before);
            if crlf {
                before = before.replace('\n', "\r\n");
            }
            for (index, new) in edits {
                let document = read(&before);
                let mut old = Vec::new();
                scalars(&before, &document.root, &[], &mut old);
                let target = index.index(old.len());
                let path = old[target].0.clone();
                let after = set_scalar(&before, &path, &new)
                    .map_err(|error| TestCaseError::fail(format!("{error}\n{before}")))?;

                let mut expected = document.root.to_value().unwrap();
                *expected.pointer_mut(&pointer(&path)).unwrap() = new.to_value();
                let edited = read(&after);
                prop_assert_eq!(edited.root.to_value().unwrap(), expected);
                let mut now = Vec::new();
                scalars(&after, &edited.root, &[], &mut now);
                prop_assert_eq!(old.len(), now.len());
                for (i, (was, is)) in old.iter().zip(&now).enumerate() {
                    // Empty lines below a block belong to its span, whether or not to its value.
                    let (was, is) = (was.1.trim_end(), is.1.trim_end());
                    prop_assert!(i == target || was == is, "{} became {}", was, is);
                }
                for comment in ["# comment", "# note"] {
                    prop_assert_eq!(before.matches(comment).count(), after.matches(comment).count());
                }
                prop_assert_eq!(crlf, !after.replace("\r\n", "").contains('\n') && after.contains('\r'));
                before = after;
            }
        }

        #[test]
        fn an_edit_of_arbitrary_text_never_panics_and_never_lies(
            before in "[-:#?&*!|>'\"%@`{}\\[\\], ab0.<~\n\r\té\u{feff}]{0,40}",
            new in new_scalar(),
        ) {
            for path in [&[][..], &[I(0)], &[K("a")], &[K("a"), I(0)]] {
                if let Ok(after) = set_scalar(&before, path, &new) {
                    prop_assert_eq!(read(&after).at(path).unwrap().to_value().unwrap(), new.to_value());
                }
            }
        }
    }
}
