//! Reads the keys of a policy file, reporting every fault with its place.
//!
//! A file is described by the calls that read it: each names a key, says what it is for, and gives
//! the kind of its value with the ranges and the default. Unknown keys, `docs/policies.md` and all
//! messages follow from these calls.

use std::collections::BTreeSet;

use super::kind::Kind;
use super::{Profile, kind};
use crate::diagnostic::{Diagnostic, Place};
use crate::document::{self, Limits, Node, Position, Step, Style, quote};
use crate::suggest::did_you_mean;

/// The beginning of a file, where what is missing is reported.
const TOP: Position = Position { byte: 0, line: 1, column: 1 };

/// A policy file that is being read.
pub(super) struct Source<'a> {
    name: &'a str,
    text: &'a str,
    /// The bounds that hold; those of `custom` while they are unknown, so that no value is refused
    /// for a profile that was only misspelt.
    profile: Profile,
    faults: Vec<Diagnostic>,
    rows: Vec<Row>,
}

/// A key as the documentation shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key, with the sections around it: `decision.rule`.
    pub key: String,
    /// What it is for.
    pub about: &'static str,
    /// What the strict profile allows.
    pub strict: String,
    /// What `profile: custom` allows.
    pub hard: String,
    /// The value of an absent key; `None` when it is required.
    pub default: Option<String>,
}

/// A mapping of which the keys are read one by one.
pub(super) struct Keys<'s, 'a> {
    source: &'s mut Source<'a>,
    /// Absent when the section is.
    node: Option<&'s Node>,
    path: Vec<&'static str>,
    known: BTreeSet<&'static str>,
}

/// The value of a key, or an item of it.
pub(super) struct Value<'n> {
    /// The value itself.
    pub(super) node: &'n Node,
    /// The key, for messages.
    pub(super) name: &'static str,
    pointer: String,
}

/// Reads `bytes` with `read`; what is wrong or noteworthy goes to `faults`, in the order of the text.
/// What is returned holds only if no error is among them.
pub(super) fn read<T>(
    name: &str,
    bytes: &[u8],
    faults: &mut Vec<Diagnostic>,
    read: impl FnOnce(&mut Keys<'_, '_>) -> Option<T>,
) -> Option<T> {
    let document = match document::parse(name, bytes, &Limits::policy()) {
        Ok(document) => document,
        Err(refused) => {
            faults.extend(refused);
            return None;
        }
    };
    let mut source = Source::new(name, std::str::from_utf8(bytes).unwrap_or_default());
    let value = source.file(Some(&document.root), read);
    source.faults.sort_by_key(|fault| fault.place.position);
    faults.append(&mut source.faults);
    value
}

/// The keys that `read` asks for.
pub(super) fn rows<T>(read: impl FnOnce(&mut Keys<'_, '_>) -> Option<T>) -> Vec<Row> {
    let mut source = Source::new("", "");
    drop(source.file(None, read));
    source.rows
}

impl<'a> Source<'a> {
    fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text, profile: Profile::Custom, faults: Vec::new(), rows: Vec::new() }
    }

    fn file<T>(
        &mut self,
        root: Option<&Node>,
        read: impl FnOnce(&mut Keys<'_, 'a>) -> Option<T>,
    ) -> Option<T> {
        if let Some(root) = root.filter(|root| root.entries().is_none()) {
            let found = root.kind.noun();
            let message = format!("expected keys with values, found {found}");
            let place = Place::file(self.name).at(root.span.start);
            self.faults.push(Diagnostic::error("wrong_type", place, message));
            return None;
        }
        let mut keys = Keys { source: self, node: root, path: Vec::new(), known: BTreeSet::new() };
        let value = read(&mut keys);
        keys.refuse_unknown();
        value
    }

    /// The bounds that hold.
    pub(super) fn profile(&self) -> Profile {
        self.profile
    }

    /// The value as it is written.
    pub(super) fn text(&self, value: &Value<'_>) -> &str {
        self.text.get(value.node.span.range()).unwrap_or_default()
    }

    /// Reports that `value` is refused.
    pub(super) fn refuse(
        &mut self,
        value: &Value<'_>,
        code: &'static str,
        message: String,
        help: impl Into<String>,
    ) {
        let place = Place::file(self.name).at(value.node.span.start).path(value.pointer.clone());
        self.faults.push(Diagnostic::error(code, place, message).help(help));
    }

    /// Reports that `value` is of another type than `wanted`.
    pub(super) fn wrong_type(&mut self, value: &Value<'_>, wanted: &str, help: &str) {
        let noun = value.node.kind.noun();
        let found = match value.node.style {
            Style::Block | Style::Flow => noun.to_owned(),
            Style::Plain if self.text(value).is_empty() => noun.to_owned(),
            Style::Plain
            | Style::SingleQuoted
            | Style::DoubleQuoted
            | Style::Literal
            | Style::Folded => format!("{noun} {}", quote(self.text(value))),
        };
        let line = value.node.span.start.line;
        let help = if value.node.swallowed_a_line() {
            format!(
                "what is below line {line} is indented deeper and became part of this value; give both \
                 the same indentation"
            )
        } else {
            help.to_owned()
        };
        let message = format!("`{}` must be {wanted}, found {found}", value.name);
        self.refuse(value, "wrong_type", message, help);
    }
}

impl<'s> Keys<'s, '_> {
    /// Reads the key `profile`, which decides about the bounds of the others.
    pub(super) fn profile(&mut self) -> Option<Profile> {
        let names = [("strict", Profile::Strict), ("custom", Profile::Custom)];
        let profile = self.read(
            "profile",
            "the bounds that hold: narrow ones, or the hard limits",
            kind::choice(names).or_first(),
        )?;
        self.source.profile = profile;
        Some(profile)
    }

    /// Reads `name`; when it is absent, the default of its kind. `None` when it is refused.
    pub(super) fn read<K: Kind>(
        &mut self,
        name: &'static str,
        about: &'static str,
        kind: K,
    ) -> Option<K::Value> {
        let fallback = kind.fallback();
        let default = fallback.as_ref().map(|(_, text)| text.clone());
        self.declare(name, about, &kind, default);
        match (self.value(name), fallback) {
            (Some(value), _) => kind.read(&value, self.source),
            (None, Some((value, _))) => Some(value),
            (None, None) => {
                self.missing(name, about, &kind);
                None
            }
        }
    }

    /// Reads a limit that may be `null`, for none. An absent one means none too, with a warning.
    pub(super) fn limit<K: Kind>(
        &mut self,
        name: &'static str,
        about: &'static str,
        kind: K,
    ) -> Option<Option<K::Value>> {
        self.declare(name, about, &kind, Some("no limit, with a warning".to_owned()));
        let Some(value) = self.value(name) else {
            let message = format!("`{name}` is absent, so there is no limit: {about}");
            let help = format!("set it, or write `{name}: null` to say that no limit is meant");
            let place = self.place(name);
            let warning = Diagnostic::warning("no_limit", place, message).help(help);
            self.source.faults.push(warning);
            return Some(None);
        };
        if value.node.kind == document::Kind::Null {
            return Some(None);
        }
        kind.read(&value, self.source).map(Some)
    }

    /// Reads the section `name` with `read`; an absent one is read as an empty one.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Keys<'_, '_>) -> Option<T>,
    ) -> Option<T> {
        self.known.insert(name);
        let value = self.value(name);
        if let Some(value) = value.as_ref().filter(|value| value.node.entries().is_none()) {
            self.source.wrong_type(value, "a section of keys", "indent its keys below it");
            return None;
        }
        let mut path = self.path.clone();
        path.push(name);
        let mut keys = Keys {
            source: self.source,
            node: value.map(|value| value.node),
            path,
            known: BTreeSet::new(),
        };
        let value = read(&mut keys);
        keys.refuse_unknown();
        value
    }

    /// Reads keys with `read`. Under another `rule` than theirs they have no effect, and each that is
    /// there gets a warning.
    pub(super) fn idle_under<T>(
        &mut self,
        rule: Option<&str>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let before = self.known.clone();
        let value = read(self);
        let Some(rule) = rule else { return value };
        for name in self.known.clone().difference(&before) {
            if self.value(name).is_some() {
                let message = format!("`{name}` has no effect under `rule: {rule}`");
                self.warn(name, "no_effect", &message, "remove it, or choose the other rule");
            }
        }
        value
    }

    /// Refuses the key `name` for a reason that its kind cannot know.
    pub(super) fn refuse(
        &mut self,
        name: &'static str,
        code: &'static str,
        message: String,
        help: &str,
    ) {
        let fault = Diagnostic::error(code, self.place(name), message).help(help);
        self.source.faults.push(fault);
    }

    /// Adds a warning about the key `name`.
    pub(super) fn warn(
        &mut self,
        name: &'static str,
        code: &'static str,
        message: &str,
        help: &str,
    ) {
        let fault = Diagnostic::warning(code, self.place(name), message).help(help);
        self.source.faults.push(fault);
    }

    fn declare(
        &mut self,
        name: &'static str,
        about: &'static str,
        kind: &impl Kind,
        default: Option<String>,
    ) {
        self.known.insert(name);
        let mut path = self.path.clone();
        path.push(name);
        self.source.rows.push(Row {
            key: path.join("."),
            about,
            strict: kind.allowed(Profile::Strict),
            hard: kind.allowed(Profile::Custom),
            default,
        });
    }

    fn value(&self, name: &'static str) -> Option<Value<'s>> {
        Some(Value { node: self.node?.get(name)?, name, pointer: self.pointer(name) })
    }

    fn missing(&mut self, name: &'static str, about: &str, kind: &impl Kind) {
        let allowed = kind.allowed(self.source.profile);
        let fault = Diagnostic::error(
            "missing_key",
            self.place(name),
            format!("`{name}` is missing: {about}"),
        );
        self.source.faults.push(fault.help(format!("add it; allowed is {allowed}")));
    }

    fn refuse_unknown(&mut self) {
        for (key, _) in self.node.and_then(Node::entries).into_iter().flatten() {
            if self.known.contains(key.name.as_str()) {
                continue;
            }
            let help = did_you_mean(&key.name, self.known.iter().copied()).unwrap_or_else(|| {
                let known: Vec<_> = self.known.iter().copied().collect();
                format!("known keys here: {}", known.join(", "))
            });
            let place =
                Place::file(self.source.name).at(key.span.start).path(self.pointer(&key.name));
            let message = format!("unknown key {}", quote(&key.name));
            self.source.faults.push(Diagnostic::error("unknown_key", place, message).help(help));
        }
    }

    /// The place of the key's value; where the section begins when it is absent.
    fn place(&self, name: &str) -> Place {
        let value = self.node.and_then(|node| node.get(name));
        let section = self.node.filter(|_| !self.path.is_empty());
        let position = value.or(section).map_or(TOP, |node| node.span.start);
        Place::file(self.source.name).at(position).path(self.pointer(name))
    }

    fn pointer(&self, name: &str) -> String {
        let path = self.path.iter().copied().chain([name]);
        document::pointer(&path.map(Step::Key).collect::<Vec<_>>())
    }
}

impl<'n> Value<'n> {
    /// The items of a list, each under the name of its key.
    pub(super) fn items(&self) -> Option<impl Iterator<Item = Self>> {
        let items = self.node.items()?.iter().enumerate();
        Some(items.map(|(index, node)| Value {
            node,
            name: self.name,
            pointer: format!("{}/{index}", self.pointer),
        }))
    }
}
