//! YAML and JSON text as a tree whose every value knows where it stands.
//!
//! Policies and workflow files are read from this tree, so that a fault is shown at its line, and
//! edited through it, so that an edit changes the bytes of one scalar and nothing else:
//!
//! - [`parse`] reads text within [`Limits`] and refuses what is ambiguous or hostile;
//! - [`Node::to_value`] is the edge to readers that want a `serde_json::Value`;
//! - [`set_scalar`] replaces one scalar in the text and proves that nothing else has changed.
//!
//! JSON is read as the subset of YAML 1.2 that it is. Two valid JSON texts are refused because
//! YAML forbids them: a key of more than 1024 characters, and an unescaped U+007F to U+009F (other
//! than U+0085), U+FFFE or U+FFFF in a string.

mod block;
mod edit;
mod parse;
mod quote;
mod schema;
mod value;

pub(crate) use self::parse::{quote, utf8};
pub use self::{
    edit::{EditError, Scalar, set_scalar},
    parse::{Aliases, Limits, parse},
    value::NotFinite,
};
pub use crate::diagnostic::Position;

use std::{fmt::Write as _, ops::Range};

/// A text that has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The value of the whole text.
    pub root: Node,
}

impl Document {
    /// The node that `path` leads to from the root, if there is one.
    pub fn at(&self, path: &[Step<'_>]) -> Option<&Node> {
        path.iter().try_fold(&self.root, |node, step| node.step(*step))
    }
}

/// A value and where it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// The value.
    pub kind: Kind,
    /// The text of the value, without its anchor. A literal or folded block begins at the first
    /// character of its first line that is not empty; a value that is left out (`key:`) is empty.
    /// Under an alias this is the text at the anchor.
    pub span: Span,
    /// How the value is written.
    pub style: Style,
    /// Whether it is inside `[...]` or `{...}`.
    pub in_flow: bool,
    /// Whether the text stands for more than one value: it is at, or in, an anchor that an alias
    /// refers to, or it was reached through that alias.
    pub aliased: bool,
}

impl Node {
    /// The value under `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().find(|(name, _)| name.name == key).map(|(_, value)| value)
    }

    /// The entries in the order of the text, if this is a mapping.
    pub fn entries(&self) -> Option<&[(Key, Self)]> {
        if let Kind::Map(entries) = &self.kind { Some(entries) } else { None }
    }

    /// The items, if this is a sequence.
    pub fn items(&self) -> Option<&[Self]> {
        if let Kind::Seq(items) = &self.kind { Some(items) } else { None }
    }

    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Kind::String(text) = &self.kind { Some(text) } else { None }
    }

    /// Whether this is an unquoted scalar that runs over more than one line: where something else
    /// than a string is expected, a line below was indented by mistake and became part of it.
    pub fn swallowed_a_line(&self) -> bool {
        self.style == Style::Plain && self.span.end.line > self.span.start.line
    }

    fn step(&self, step: Step<'_>) -> Option<&Self> {
        match step {
            Step::Key(key) => self.get(key),
            Step::Index(index) => self.items()?.get(index),
        }
    }
}

/// The value of a [`Node`] under the YAML 1.2 core schema: only unquoted scalars are anything else
/// than strings, and `yes`, `no`, `on`, `off` are strings.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Kind {
    /// `null`, `~`, or nothing at all.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer from `i64::MIN` to `u64::MAX`; larger ones are [`Kind::Float`], as in JSON.
    Int(i128),
    /// A finite number with a fraction or an exponent.
    Float(f64),
    /// `.nan`, `.inf`, `-.inf`, or a number too large for a float. JSON has no such value.
    NonFinite,
    /// A string.
    String(String),
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping in the order of the text, without duplicate keys.
    Map(Vec<(Key, Node)>),
}

impl Kind {
    /// What the value is, for messages: `a string`, `an integer`.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing (null)",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::NonFinite => "not a finite number",
            Self::String(_) => "a string",
            Self::Seq(_) => "a sequence",
            Self::Map(_) => "a mapping",
        }
    }
}

/// The key of a mapping entry. Keys are strings; anything else is refused by [`parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The key itself.
    pub name: String,
    /// Where it is written.
    pub span: Span,
}

/// A stretch of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first character.
    pub start: Position,
    /// The place after the last character.
    pub end: Position,
}

impl Span {
    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.start.byte >= self.end.byte
    }

    /// The bytes of the text.
    pub fn range(&self) -> Range<usize> {
        let byte = |position: Position| usize::try_from(position.byte).unwrap_or(usize::MAX);
        byte(self.start)..byte(self.end)
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// A scalar without quotes, or one that is left out.
    #[default]
    Plain,
    /// `'...'`
    SingleQuoted,
    /// `"..."`
    DoubleQuoted,
    /// `|` and the indented lines below it.
    Literal,
    /// `>` and the indented lines below it.
    Folded,
    /// A sequence of `- item` or a mapping of `key: value` lines.
    Block,
    /// `[...]` or `{...}`.
    Flow,
}

/// One step from a node to a node in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// The value under a key of a mapping.
    Key(&'a str),
    /// An item of a sequence, from 0.
    Index(usize),
}

/// The JSON pointer (RFC 6901) of a path: `/flow/nodes/2`, and the empty string for the root.
pub fn pointer(path: &[Step<'_>]) -> String {
    path.iter().fold(String::new(), |mut pointer, step| {
        pointer.push('/');
        match step {
            Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            // Writing to a string cannot fail.
            Step::Index(index) => drop(write!(pointer, "{index}")),
        }
        pointer
    })
}
