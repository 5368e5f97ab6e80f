//! Text to tree, within limits.
//!
//! Reading has two passes over one tape. The first records the parser's events, refuses what the
//! [`Limits`] and the rules of this product do not allow, and counts what every alias would expand
//! to *before* any of it exists. The second builds the tree; its depth is bounded by the first.

use std::{borrow::Cow, collections::BTreeMap, mem};

use granit_parser::{
    ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, StructureStyle,
};

use super::{Document, Key, Kind, Node, Position, Span, Style, schema::resolve};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// No document nests deeper, whatever its [`Limits`] say: trees are walked by recursion.
const MAX_DEPTH: usize = 128;

/// After this many faults in one file the rest is not worth reading.
const MAX_FAULTS: usize = 20;

/// How many characters of a user's text a message repeats.
const MAX_QUOTE: usize = 60;

/// What a text may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of the text in bytes, and of all scalars together after the expansion of aliases.
    pub max_bytes: usize,
    /// Scalars, keys, sequences and mappings together, after the expansion of aliases.
    pub max_nodes: usize,
    /// Sequences and mappings inside each other, after the expansion of aliases; at most 128.
    pub max_depth: usize,
    /// What an alias (`*name`) does.
    pub aliases: Aliases,
}

/// What an alias (`*name`) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aliases {
    /// The document is refused.
    Refused,
    /// The node at the anchor is read again in its place.
    Expanded,
}

impl Limits {
    /// For policy files: 256 KiB, 20 000 nodes, depth 32, no aliases.
    pub const fn policy() -> Self {
        Self { max_bytes: 256 << 10, max_nodes: 20_000, max_depth: 32, aliases: Aliases::Refused }
    }

    /// For workflow files: 16 MiB, 2 000 000 nodes, depth 64, with aliases.
    pub const fn workflow() -> Self {
        Self {
            max_bytes: 16 << 20,
            max_nodes: 2_000_000,
            max_depth: 64,
            aliases: Aliases::Expanded,
        }
    }
}

/// Reads a YAML 1.2 or JSON text; `file_name` is what diagnostics call it.
///
/// # Errors
///
/// All faults up to the first that makes the rest unreadable:
/// `too_large`, `too_many_nodes`, `too_deep` (over the `limits`), `not_utf8`, `yaml_syntax`,
/// `empty_document`, `several_documents`, `duplicate_key`, `key_not_string`, `anchored_key`
/// (`&name key: ...`), `merge_key` (`<<`), `tag` (`!name`), `alias` (where they are refused),
/// `unknown_alias`, `recursive_alias`.
pub fn parse(file_name: &str, bytes: &[u8], limits: &Limits) -> Result<Document, Diagnostics> {
    let place = || Place::file(file_name);
    let max_bytes = limits.max_bytes.min(MAX_BYTES);
    if bytes.len() > max_bytes {
        let message = format!("the file has {} bytes, at most {max_bytes} are read", bytes.len());
        return Err(Diagnostic::error("too_large", place(), message).into());
    }
    let text = utf8(file_name, bytes)?;
    let limits = Limits { max_bytes, max_depth: limits.max_depth.min(MAX_DEPTH), ..*limits };
    Recorder::new(file_name, limits).read(text)
}

/// The text in `bytes`.
pub(crate) fn utf8<'a>(file_name: &str, bytes: &'a [u8]) -> Result<&'a str, Diagnostics> {
    std::str::from_utf8(bytes).map_err(|error| {
        let position = end_of(bytes.get(..error.valid_up_to()).unwrap_or_default());
        let place = Place::file(file_name).at(position);
        Diagnostic::error("not_utf8", place, "this byte is not UTF-8")
            .help("save the file in the encoding UTF-8")
            .into()
    })
}

/// Positions count bytes in 32 bits.
const MAX_BYTES: usize = 0xffff_ffff;

/// The position after the last character of `valid`, which is UTF-8.
fn end_of(valid: &[u8]) -> Position {
    let text = std::str::from_utf8(valid).unwrap_or_default();
    let last_line = text.rsplit(['\n', '\r']).next().unwrap_or_default();
    let line_breaks = text.replace("\r\n", "\n").matches(['\n', '\r']).count();
    Position {
        byte: narrow(text.len()),
        line: narrow(line_breaks + 1),
        column: narrow(last_line.chars().count() + 1),
    }
}

/// A count that fits because the text has at most [`MAX_BYTES`] bytes.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn position(marker: &Marker) -> Position {
    Position {
        byte: narrow(marker.byte_offset().unwrap_or_default()),
        line: narrow(marker.line()),
        column: narrow(marker.col() + 1),
    }
}

fn span(span: &granit_parser::Span) -> Span {
    Span { start: position(&span.start), end: position(&span.end) }
}

/// One entry of the tape.
enum Item {
    Key(Key),
    /// A scalar, or a sequence or mapping without its content, which follows up to [`Item::Close`].
    Node(Node, AnchorId),
    Close,
    /// The node at this place of the tape once more.
    Alias(usize),
}

/// The parser's number of an anchor; 0 is none.
type AnchorId = usize;

/// A complete node that aliases may refer to.
struct Anchor {
    at: usize,
    cost: Cost,
    height: usize,
    referenced: bool,
}

/// What a part of the document costs after expansion.
#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
}

/// A sequence or mapping whose end has not been read.
struct Open {
    at: usize,
    anchor: AnchorId,
    cost_before: Cost,
    /// How many levels of sequences and mappings are inside it so far.
    height: usize,
    in_flow: bool,
    /// The keys of a mapping and their lines.
    keys: Option<BTreeMap<String, u32>>,
    key_is_next: bool,
}

/// The rest of the file is not to be read; the reason is among the faults.
struct Stop;

/// The first pass.
struct Recorder<'a> {
    file: &'a str,
    limits: Limits,
    tape: Vec<Item>,
    open: Vec<Open>,
    anchors: BTreeMap<AnchorId, Anchor>,
    cost: Cost,
    documents: usize,
    faults: Vec<Diagnostic>,
}

impl<'a> Recorder<'a> {
    fn new(file: &'a str, limits: Limits) -> Self {
        Self {
            file,
            limits,
            tape: Vec::new(),
            open: Vec::new(),
            anchors: BTreeMap::new(),
            cost: Cost::default(),
            documents: 0,
            faults: Vec::new(),
        }
    }

    fn read(mut self, text: &str) -> Result<Document, Diagnostics> {
        // The reason to stop is among the faults already.
        let (Ok(()) | Err(Stop)) = self.record(text);
        if self.faults.is_empty() {
            let mut builder = Builder { tape: self.tape, anchors: self.anchors };
            Ok(Document { root: builder.node(0, false).0 })
        } else {
            Err(Diagnostics(self.faults))
        }
    }

    fn record(&mut self, text: &str) -> Result<(), Stop> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        // The parser looks ahead, and counts the two kinds apart: `fits_depth` adds them up.
        options.flow_nesting_limit = self.limits.max_depth;
        options.block_nesting_limit = self.limits.max_depth;
        for event in Parser::new_from_str_with_options(text, options) {
            match event {
                Ok((event, at)) => self.event(event, &at)?,
                Err(error) => return self.stop(self.syntax(&error)),
            }
        }
        match self.tape.as_slice() {
            [] => self.empty(),
            [Item::Node(root, _)] if root.kind == Kind::Null && root.span.is_empty() => {
                self.empty()
            }
            _ => Ok(()),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the other events carry no value")]
    fn event(&mut self, event: Event<'_>, at: &granit_parser::Span) -> Result<(), Stop> {
        let place = span(at);
        if let Some(tag) = event.tag() {
            let start = at.tag_start().map_or(place.start, |marker| position(&marker));
            let message = format!("the tag {} has no meaning here", quote(&tag.original()));
            self.fault(self.error("tag", start, message).help("remove the tag"))?;
        }
        match event {
            Event::DocumentStart(..) => self.document(place),
            Event::Scalar(text, style, anchor, _) => self.scalar(text, style, anchor, place),
            Event::SequenceStart(style, anchor, _) => {
                self.open(Kind::Seq(Vec::new()), style, anchor, place)
            }
            Event::MappingStart(style, anchor, _) => {
                self.open(Kind::Map(Vec::new()), style, anchor, place)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(place);
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, place),
            _ => Ok(()),
        }
    }

    fn document(&mut self, at: Span) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        let message = "a second document begins here; a file holds one";
        self.stop(
            self.error("several_documents", at.start, message)
                .help("remove this `---` and what follows, or move it to a file of its own"),
        )
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: AnchorId,
        at: Span,
    ) -> Result<(), Stop> {
        let cost = Cost { nodes: 1, bytes: text.len() };
        self.charge(cost, at)?;
        if self.expects_key() {
            return self.key(text, style, anchor, at);
        }
        self.define(anchor, Anchor { at: self.tape.len(), cost, height: 0, referenced: false });
        let (style, kind) = match style {
            ScalarStyle::Plain => (Style::Plain, resolve(&text)),
            ScalarStyle::SingleQuoted => (Style::SingleQuoted, None),
            ScalarStyle::DoubleQuoted => (Style::DoubleQuoted, None),
            ScalarStyle::Literal => (Style::Literal, None),
            ScalarStyle::Folded => (Style::Folded, None),
        };
        let kind = kind.unwrap_or_else(|| Kind::String(text.into_owned()));
        self.push(kind, style, anchor, at);
        Ok(())
    }

    fn key(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: AnchorId,
        at: Span,
    ) -> Result<(), Stop> {
        let plain = style == ScalarStyle::Plain;
        if plain && text == "<<" {
            let message = "merge keys (`<<`) are not read";
            let help = "write the merged entries out";
            self.fault(self.error("merge_key", at.start, message).help(help))?;
        } else if plain && let Some(kind) = resolve(&text) {
            let message = format!("a key must be a string, this is {}", kind.noun());
            let help = format!("put it in quotes: \"{text}\"");
            self.fault(self.error("key_not_string", at.start, message).help(help))?;
        }
        if anchor != 0 {
            let message = "an anchor here belongs to the key, not to the mapping";
            let help = "put the anchor after the `:` of the value that it names";
            self.fault(self.error("anchored_key", at.start, message).help(help))?;
        }
        let keys = self.open.last_mut().and_then(|open| open.keys.as_mut());
        let first = keys.and_then(|keys| keys.insert(text.clone().into_owned(), at.start.line));
        if let Some(first) = first {
            let key = quote(&text);
            let message = format!("the key {key} is on line {first} and line {}", at.start.line);
            let help = "keep one of the two";
            self.fault(self.error("duplicate_key", at.start, message).help(help))?;
        }
        self.tape.push(Item::Key(Key { name: text.into_owned(), span: at }));
        Ok(())
    }

    fn open(
        &mut self,
        kind: Kind,
        style: StructureStyle,
        anchor: AnchorId,
        at: Span,
    ) -> Result<(), Stop> {
        if self.expects_key() {
            let message = format!("a key must be a string, this is {}", kind.noun());
            return self.stop(self.error("key_not_string", at.start, message));
        }
        self.fits_depth(1, at)?;
        let cost_before = self.cost;
        self.charge(Cost { nodes: 1, bytes: 0 }, at)?;
        let keys = matches!(kind, Kind::Map(_)).then(BTreeMap::new);
        let style = match style {
            StructureStyle::Block => Style::Block,
            StructureStyle::Flow => Style::Flow,
        };
        let tape_at = self.tape.len();
        self.push(kind, style, anchor, at);
        self.open.push(Open {
            at: tape_at,
            anchor,
            cost_before,
            height: 0,
            in_flow: style == Style::Flow,
            key_is_next: keys.is_some(),
            keys,
        });
        Ok(())
    }

    fn close(&mut self, at: Span) {
        let Some(open) = self.open.pop() else { return };
        if let Some(Item::Node(node, _)) = self.tape.get_mut(open.at) {
            node.span.end = at.end;
        }
        self.tape.push(Item::Close);
        let height = open.height + 1;
        self.reaches(height);
        let cost = Cost {
            nodes: self.cost.nodes.saturating_sub(open.cost_before.nodes),
            bytes: self.cost.bytes.saturating_sub(open.cost_before.bytes),
        };
        self.define(open.anchor, Anchor { at: open.at, cost, height, referenced: false });
    }

    fn alias(&mut self, id: AnchorId, at: Span) -> Result<(), Stop> {
        if self.expects_key() {
            let message = "a key must be a string, this is an alias";
            return self.stop(self.error("key_not_string", at.start, message));
        }
        if self.limits.aliases == Aliases::Refused {
            let message = "aliases (`*name`) are not read in this file";
            let help = "write the value out";
            return self.fault(self.error("alias", at.start, message).help(help));
        }
        // An anchor is known once its node is complete.
        let Some(anchor) = self.anchors.get_mut(&id) else {
            let message = "this alias refers to the value that it is part of";
            return self.fault(self.error("recursive_alias", at.start, message));
        };
        anchor.referenced = true;
        let Anchor { at: target, cost, height, .. } = *anchor;
        self.fits_depth(height, at)?;
        self.charge(cost, at)?;
        self.reaches(height);
        self.tape.push(Item::Alias(target));
        Ok(())
    }

    fn push(&mut self, kind: Kind, style: Style, anchor: AnchorId, span: Span) {
        let in_flow = self.open.last().is_some_and(|open| open.in_flow);
        self.tape.push(Item::Node(Node { kind, span, style, in_flow, aliased: false }, anchor));
    }

    fn define(&mut self, id: AnchorId, anchor: Anchor) {
        if id != 0 {
            self.anchors.insert(id, anchor);
        }
    }

    /// Whether what comes now is the key of a mapping; the next question is about its value.
    fn expects_key(&mut self) -> bool {
        let Some(Open { keys: Some(_), key_is_next, .. }) = self.open.last_mut() else {
            return false;
        };
        mem::replace(key_is_next, !*key_is_next)
    }

    /// Notes that the innermost open node has `height` levels inside it.
    fn reaches(&mut self, height: usize) {
        if let Some(open) = self.open.last_mut() {
            open.height = open.height.max(height);
        }
    }

    fn fits_depth(&mut self, height: usize, at: Span) -> Result<(), Stop> {
        if self.open.len() + height <= self.limits.max_depth {
            return Ok(());
        }
        self.stop(self.too_deep(at.start))
    }

    fn charge(&mut self, cost: Cost, at: Span) -> Result<(), Stop> {
        self.cost = Cost {
            nodes: self.cost.nodes.saturating_add(cost.nodes),
            bytes: self.cost.bytes.saturating_add(cost.bytes),
        };
        let Limits { max_nodes, max_bytes, .. } = self.limits;
        let (code, message) = if self.cost.nodes > max_nodes {
            ("too_many_nodes", format!("from here on there are more than {max_nodes} values"))
        } else if self.cost.bytes > max_bytes {
            ("too_large", format!("from here on the values have more than {max_bytes} bytes"))
        } else {
            return Ok(());
        };
        self.stop(self.error(code, at.start, message).help("aliases count as what they stand for"))
    }

    fn empty(&mut self) -> Result<(), Stop> {
        let fault =
            Diagnostic::error("empty_document", Place::file(self.file), "the file is empty");
        self.stop(fault)
    }

    fn error(&self, code: &'static str, at: Position, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, Place::file(self.file).at(at), message)
    }

    fn too_deep(&self, at: Position) -> Diagnostic {
        let max = self.limits.max_depth;
        self.error("too_deep", at, format!("the nesting is deeper than {max} levels here"))
    }

    fn fault(&mut self, fault: Diagnostic) -> Result<(), Stop> {
        self.faults.push(fault);
        if self.faults.len() < MAX_FAULTS { Ok(()) } else { Err(Stop) }
    }

    fn stop(&mut self, fault: Diagnostic) -> Result<(), Stop> {
        self.faults.push(fault);
        Err(Stop)
    }

    fn syntax(&self, error: &ScanError) -> Diagnostic {
        let at = position(error.marker());
        let kind = error.kind();
        if *kind == ErrorKind::RecursionLimitExceeded {
            return self.too_deep(at);
        }
        if *kind == ErrorKind::UnknownAnchor {
            return self.error("unknown_alias", at, "this alias refers to no anchor above it");
        }
        let fault = self.error("yaml_syntax", at, format!("this is not valid YAML: {kind}"));
        match self.tape.last() {
            // `a: 3` and a deeper `b: 5` below read as `a: "3 b"` up to the second colon.
            Some(Item::Node(node, _))
                if node.swallowed_a_line() && node.span.end.byte == at.byte =>
            {
                let (above, below) = (node.span.start.line, node.span.end.line);
                fault.help(format!(
                    "line {below} is indented deeper than line {above} and so became part of the \
                     value there; give both the same indentation"
                ))
            }
            _ => match advice(kind) {
                Some(advice) => fault.help(advice),
                None => fault,
            },
        }
    }
}

/// What to do about a syntax error, where one cause is by far the most likely.
fn advice(kind: &ErrorKind) -> Option<&'static str> {
    const TABS: [ErrorKind; 4] = [
        ErrorKind::TabNotAllowed,
        ErrorKind::TabInBlockIndentation,
        ErrorKind::TabInIndentation,
        ErrorKind::TabAtBlockScalarStart,
    ];
    if TABS.contains(kind) {
        Some("indent with spaces")
    } else if *kind == ErrorKind::MappingValueNotAllowed {
        Some("put a value that contains `: ` in quotes")
    } else if matches!(kind, ErrorKind::UnexpectedCharacter { .. }) {
        Some("put the value in double quotes, control characters as \\u escapes")
    } else {
        None
    }
}

/// The second pass.
struct Builder {
    tape: Vec<Item>,
    anchors: BTreeMap<AnchorId, Anchor>,
}

impl Builder {
    /// The node at `at`, and where the tape goes on after it. `aliased` is whether an alias leads
    /// to the node or refers to something that it is in.
    fn node(&mut self, at: usize, aliased: bool) -> (Node, usize) {
        let (mut node, aliased) = match self.tape.get_mut(at) {
            Some(Item::Alias(target)) => {
                let target = *target;
                return (self.node(target, true).0, at + 1);
            }
            Some(Item::Node(node, anchor)) => {
                let shared = self.anchors.get(anchor).is_some_and(|anchor| anchor.referenced);
                // What nothing refers to is moved out, so that its text exists once.
                let kind = if aliased || shared {
                    node.kind.clone()
                } else {
                    mem::replace(&mut node.kind, Kind::Null)
                };
                (Node { kind, aliased: aliased || shared, ..*node }, aliased || shared)
            }
            _ => (Node::default(), false),
        };
        let mut next = at + 1;
        if let Kind::Seq(items) = &mut node.kind {
            while !self.at_end(next) {
                let (item, after) = self.node(next, aliased);
                items.push(item);
                next = after;
            }
            next += 1;
        } else if let Kind::Map(entries) = &mut node.kind {
            while let Some(key) = self.key(next, aliased) {
                let (value, after) = self.node(next + 1, aliased);
                entries.push((key, value));
                next = after;
            }
            next += 1;
        }
        (node, next)
    }

    fn at_end(&self, at: usize) -> bool {
        matches!(self.tape.get(at), Some(Item::Close) | None)
    }

    fn key(&mut self, at: usize, aliased: bool) -> Option<Key> {
        match self.tape.get_mut(at) {
            Some(Item::Key(key)) if aliased => Some(key.clone()),
            Some(Item::Key(key)) => Some(Key { name: mem::take(&mut key.name), span: key.span }),
            _ => None,
        }
    }
}

/// A piece of the user's text in a message: in backticks, escaped, cut where it is long.
pub(crate) fn quote(text: &str) -> String {
    let cut: String = text.chars().take(MAX_QUOTE).collect();
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("`{}{dots}`", cut.escape_debug())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::document::Step;

    fn policy(text: &str) -> Result<Document, Diagnostics> {
        parse("p.yaml", text.as_bytes(), &Limits::policy())
    }

    fn workflow(text: &str) -> Result<Document, Diagnostics> {
        parse("w.yaml", text.as_bytes(), &Limits::workflow())
    }

    fn value(text: &str) -> Value {
        workflow(text)
            .unwrap_or_else(|faults| panic!("{text:?}: {faults}"))
            .root
            .to_value()
            .unwrap()
    }

    /// `code line:column` of every fault.
    fn faults(read: Result<Document, Diagnostics>) -> Vec<String> {
        let Err(Diagnostics(faults)) = read else { panic!("read: {read:?}") };
        let place = |fault: &Diagnostic| match fault.place.position {
            Some(Position { line, column, .. }) => format!("{} {line}:{column}", fault.code),
            None => fault.code.to_owned(),
        };
        faults.iter().map(place).collect()
    }

    #[test]
    fn what_is_not_finite_is_kept_apart_with_its_place() {
        for text in [".nan", ".NaN", ".inf", "-.Inf", "+.INF", "1e400", &"9".repeat(400)] {
            let document = policy(&format!("a: 1\nb: {text}\n")).unwrap();
            let node = document.root.get("b").unwrap();
            assert_eq!(node.kind, Kind::NonFinite, "{text}");
            let fault = document.root.to_value().unwrap_err();
            assert_eq!((fault.code(), fault.span), ("not_finite", node.span));
            assert_eq!((node.span.start.line, node.span.start.column), (2, 4));
        }
    }

    #[test]
    fn every_node_knows_its_place_in_characters_and_bytes() {
        let text = "# é\né: {ü: [1, 'zwölf']}\nblock: |\n  x\n  y\nnone:\nplain: a\n  b\n";
        let document = workflow(text).unwrap();
        for (path, line, column, slice, style) in [
            (&[Step::Key("é"), Step::Key("ü"), Step::Index(0)][..], 2, 9, "1", Style::Plain),
            (&[Step::Key("é"), Step::Key("ü")], 2, 8, "[1, 'zwölf']", Style::Flow),
            (
                &[Step::Key("é"), Step::Key("ü"), Step::Index(1)],
                2,
                12,
                "'zwölf'",
                Style::SingleQuoted,
            ),
            (&[Step::Key("block")], 4, 3, "x\n  y\n", Style::Literal),
            (&[Step::Key("none")], 6, 5, "", Style::Plain),
            (&[Step::Key("plain")], 7, 8, "a\n  b", Style::Plain),
        ] {
            let node = document.at(path).unwrap();
            let start = node.span.start;
            assert_eq!((start.line, start.column), (line, column), "{path:?}");
            assert_eq!(text.get(node.span.range()), Some(slice));
            assert_eq!(node.style, style);
            assert_eq!(node.in_flow, path.len() > 1);
        }
        assert!(document.root.get("plain").unwrap().swallowed_a_line());
        assert!(!document.root.get("none").unwrap().swallowed_a_line());
        assert!(!document.root.get("block").unwrap().swallowed_a_line());
        assert_eq!(document.at(&[Step::Key("é"), Step::Index(0)]), None);
        assert_eq!(document.at(&[Step::Key("block"), Step::Key("x")]), None);
    }

    #[test]
    fn refusals_name_their_place() {
        for (text, expected) in [
            ("", &["empty_document"][..]),
            ("# only a comment\n", &["empty_document"]),
            ("---\n", &["empty_document"]),
            ("---\n# nothing\n...\n", &["empty_document"]),
            ("a: 1\n---\nb: 2\n", &["several_documents 2:1"]),
            ("a: 1\nb: 2\na: 3\n", &["duplicate_key 3:1"]),
            ("{\"a\": 1, \"\\u0061\": 2}", &["duplicate_key 1:10"]),
            ("a: 1\n'a': 2\nb: {c: 1, c: 2}\n", &["duplicate_key 2:1", "duplicate_key 3:11"]),
            ("1: a\n", &["key_not_string 1:1"]),
            ("a:\n  true: b\n", &["key_not_string 2:3"]),
            ("{null: a}", &["key_not_string 1:2"]),
            ("? [a]\n: b\n", &["key_not_string 1:3"]),
            ("? {a: b}\n: b\n", &["key_not_string 1:3"]),
            (": b\n", &["key_not_string 1:1"]),
            ("&k a: 1\n", &["anchored_key 1:4"]),
            ("a: {<<: {b: 1}}\n", &["merge_key 1:5"]),
            ("a: !!str 1\n", &["tag 1:4"]),
            ("a: ! b\nc: !x\n  d: 1\n", &["tag 1:4", "tag 2:4"]),
            ("!!map {}", &["tag 1:1"]),
            ("a: &x 1\nb: *x\n", &["alias 2:4"]),
            ("a: &x [*x]\n", &["alias 1:8"]),
            ("a: *x\n", &["unknown_alias 1:4"]),
            ("a: 3\n  b: 5\n", &["yaml_syntax 2:4"]),
            ("a:\n\t- b\n", &["yaml_syntax 2:2"]),
            ("a: [1, 2\n", &["yaml_syntax 1:4"]),
            ("a: 'x\n", &["yaml_syntax 1:4"]),
            ("é: a: b\n", &["yaml_syntax 1:5"]),
            (
                "1: a\n2: b\nc: [\n",
                &["key_not_string 1:1", "key_not_string 2:1", "yaml_syntax 3:4"],
            ),
        ] {
            assert_eq!(faults(policy(text)), expected, "{text:?}");
        }
    }

    #[test]
    fn messages_name_the_fault_and_the_way_out() {
        for (text, expected) in [
            (
                "max: 3\n\nmax: 3000\n",
                "p.yaml:3:1: error[duplicate_key]: the key `max` is on line 1 and line 3\n\
                 help: keep one of the two",
            ),
            (
                "max_cost: 3\n  max_tokens: 5\n",
                "p.yaml:2:13: error[yaml_syntax]: this is not valid YAML: mapping values are not \
                 allowed in this context\n\
                 help: line 2 is indented deeper than line 1 and so became part of the value \
                 there; give both the same indentation",
            ),
            (
                "a: \"\u{1b}[2J\"\n",
                "p.yaml:1:5: error[yaml_syntax]: this is not valid YAML: unexpected character: \
                 `\\u{1b}'\n\
                 help: put the value in double quotes, control characters as \\u escapes",
            ),
            (
                "12: a\n",
                "p.yaml:1:1: error[key_not_string]: a key must be a string, this is an integer\n\
                 help: put it in quotes: \"12\"",
            ),
        ] {
            assert_eq!(policy(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_at_its_byte() {
        let fault = parse("p", b"a: \xc3\xa9\r\nb: \xc3\xa9\xff", &Limits::policy()).unwrap_err();
        let place = fault.0[0].place.position.unwrap();
        assert_eq!(fault.0[0].code, "not_utf8");
        assert_eq!(place, Position { byte: 12, line: 2, column: 5 });
    }

    #[test]
    fn threat_11_size_limits_hold_to_the_byte_and_the_node() {
        let limits = Limits { max_bytes: 8, max_nodes: 3, max_depth: 1, ..Limits::workflow() };
        let read = |text: &str| parse("p", text.as_bytes(), &limits);
        assert!(read("a: 45678").is_ok());
        assert_eq!(faults(read("a: 456789")), ["too_large"]);
        assert!(read("[1,2]").is_ok());
        assert_eq!(faults(read("[1,2,3]")), ["too_many_nodes 1:6"]);
        assert_eq!(faults(read("[[]]")), ["too_deep 1:2"]);
        assert_eq!(faults(read("- - a")), ["too_deep 1:3"]);
        assert!(policy(&nested(32)).is_ok());
        assert_eq!(faults(policy(&nested(33))), ["too_deep 1:33"]);
    }

    /// Sequences inside each other.
    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn aliases_are_expanded_and_both_ends_marked() {
        let text = "base: &b {retries: [1, 2]}\nuse: *b\nlist: [*b, &alone 7]\n";
        let document = workflow(text).unwrap();
        assert_eq!(
            document.root.to_value().unwrap(),
            json!({"base": {"retries": [1, 2]}, "use": {"retries": [1, 2]},
                   "list": [{"retries": [1, 2]}, 7]})
        );
        let at = |path: &[Step<'_>]| document.at(path).unwrap();
        let retries = Step::Key("retries");
        for path in [
            &[Step::Key("base")][..],
            &[Step::Key("base"), retries, Step::Index(1)],
            &[Step::Key("use"), retries, Step::Index(1)],
            &[Step::Key("list"), Step::Index(0)],
        ] {
            assert!(at(path).aliased, "{path:?}");
        }
        assert!(!at(&[Step::Key("list")]).aliased);
        assert!(!at(&[Step::Key("list"), Step::Index(1)]).aliased);
        assert_eq!(at(&[Step::Key("use")]).span, at(&[Step::Key("base")]).span);
        assert_eq!(faults(workflow("a: &x [*x]\n")), ["recursive_alias 1:8"]);
        assert_eq!(faults(workflow("a: &x\n  b: &y [{c: *x}]\n")), ["recursive_alias 2:14"]);
        assert_eq!(faults(workflow("a: &x k\n*x : 1\n")), ["key_not_string 2:1"]);
    }

    /// Nine levels of nine aliases each: 9^9 nodes in 300 bytes.
    fn bomb() -> String {
        let level = |level: usize| {
            let items = vec![format!("*a{}", level - 1); 9].join(", ");
            format!("a{level}: &a{level} [{items}]\n")
        };
        "a0: &a0 lol\n".to_owned() + &(1..=9).map(level).collect::<String>()
    }

    #[test]
    fn threat_11_bombs_are_refused_before_they_cost_anything() {
        let deep = |open: &str| open.repeat(100_000);
        let wide = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(9 << 20), "*a, ".repeat(1000));
        let chain: String = (0..70).fold("a0: &a0 []\n".into(), |text, i| {
            text + &format!("a{}: &a{} [*a{i}]\n", i + 1, i + 1)
        });
        for (text, expected) in [
            (bomb(), "too_many_nodes 8:20"),
            (deep("["), "too_deep 1:65"),
            (deep("{a: "), "too_deep 1:257"),
            (deep("- "), "too_deep 1:129"),
            (deep("? "), "key_not_string 1:3"),
            (wide, "too_large 2:5"),
            (chain, "too_deep 64:12"),
        ] {
            assert_eq!(faults(workflow(&text)), [expected]);
        }
        assert_eq!(faults(policy(&bomb()))[..2], ["alias 2:10", "alias 2:15"]);
    }

    #[test]
    fn a_file_full_of_faults_is_not_read_to_its_end() {
        let text: String = (0..100).map(|i| format!("{i}: a\n")).collect();
        assert_eq!(faults(policy(&text)).len(), MAX_FAULTS);
    }

    #[test]
    fn json_is_read_as_json() {
        for text in [
            "{\"a\":1,\"b\":[true,false,null],\"c\":{}}",
            "\t{\r\n\t\t\"a\"\t:\t[\r\n\t\t\t1\r\n\t\t]\r\n\t}\r\n",
            "{\"a\"\n:\n1\n,\n\"b\"\n:\"c\"}",
            "\"\\/ \\ud83d\\ude00 \\u0000 \\b\\f\\n\\r\\t\\\"\\\\\"",
            "[-1, 1.0, 1E5, 1e-7, 123456789012345678901234567890]",
            "{\"yes\": \"no\", \"<<\": {\"x\": 1}, \"12\": \"a: b # c\"}",
            "[\"\u{85}\u{2028}\u{feff}😀\"]",
            "  12  ",
        ] {
            assert_eq!(value(text), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
    }

    #[test]
    fn valid_json_that_yaml_forbids_is_refused_with_a_place() {
        let long = format!("{{\"{}\": 1}}", "k".repeat(1100));
        assert_eq!(faults(workflow(&long)), ["yaml_syntax 1:1104"]);
        for c in ['\u{7f}', '\u{80}', '\u{9f}', '\u{fffe}', '\u{ffff}'] {
            assert_eq!(faults(workflow(&format!("[\"{c}\"]"))), ["yaml_syntax 1:3"], "{c:?}");
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[-:#?&*!|>'\"%@`{}\\[\\], a0.\n\t]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,9}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_reads_as_serde_json_reads_it(value in json_value()) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                // The one kind of character that YAML wants escaped.
                let text: String = text.chars().map(|c| match c {
                    '\u{7f}'..='\u{9f}' if c != '\u{85}' => format!("\\u{:04x}", u32::from(c)),
                    '\u{fffe}' | '\u{ffff}' => format!("\\u{:04x}", u32::from(c)),
                    c => c.to_string(),
                }).collect();
                let read = workflow(&text).map_err(|faults| TestCaseError::fail(faults.to_string()));
                prop_assert_eq!(read?.root.to_value().unwrap(), value.clone());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let read = parse("p", &bytes, &Limits::policy());
            prop_assert!(read.map_or_else(|faults| faults.has_errors(), |_| true));
        }

        #[test]
        fn arbitrary_markup_never_panics(text in "[-:#?&*!|>'\"%@`{}\\[\\], ab0.<~\n\r\té\u{feff}]{0,80}") {
            for limits in [Limits::policy(), Limits::workflow()] {
                let read = parse("p", text.as_bytes(), &limits);
                prop_assert!(read.map_or_else(|faults| faults.has_errors(), |_| true));
            }
        }
    }
}
