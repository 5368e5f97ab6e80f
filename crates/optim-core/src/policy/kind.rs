//! The kinds of values in a policy file, with their ranges and defaults.

use std::ops::RangeInclusive;

use super::Profile;
use super::keys::{Source, Value};
use crate::document::{self, Style, quote};
use crate::quantity::{MicroUsd, Millis, PerMillion, Tokens};
use crate::suggest::did_you_mean;

/// Decimal places of a share or an amount of money.
const PLACES: usize = 6;

/// What a key may hold.
pub(super) trait Kind {
    /// The value that is read.
    type Value;

    /// Reads `value`; `None` when it is refused, which is then reported to `source`.
    fn read(&self, value: &Value<'_>, source: &mut Source<'_>) -> Option<Self::Value>;

    /// What `profile` allows, in words.
    fn allowed(&self, profile: Profile) -> String;

    /// The value of an absent key, and how it would be written; `None` when the key is required.
    fn fallback(&self) -> Option<(Self::Value, String)> {
        None
    }
}

/// A number of whole units, or of millionths where it is written with decimals.
pub(super) struct Number<T> {
    strict: RangeInclusive<u64>,
    hard: RangeInclusive<u64>,
    places: usize,
    wrap: fn(u64) -> Option<T>,
    default: Option<u64>,
    reason: Option<&'static str>,
}

/// A count.
pub(super) fn whole(strict: RangeInclusive<u64>, hard: RangeInclusive<u64>) -> Number<u32> {
    Number::new(strict, hard, 0, |number| u32::try_from(number).ok())
}

/// A duration in milliseconds.
pub(super) fn millis(strict: RangeInclusive<u64>, hard: RangeInclusive<u64>) -> Number<Millis> {
    Number::new(strict, hard, 0, |number| Some(Millis(number)))
}

/// A number of tokens.
pub(super) fn tokens(range: RangeInclusive<u64>) -> Number<Tokens> {
    Number::new(range.clone(), range, 0, |number| Some(Tokens(number)))
}

/// A share, with its ranges in millionths.
pub(super) fn share(strict: RangeInclusive<u64>, hard: RangeInclusive<u64>) -> Number<PerMillion> {
    Number::new(strict, hard, PLACES, |number| u32::try_from(number).ok().map(PerMillion))
}

/// An amount of dollars, with its range in millionths.
pub(super) fn usd(range: RangeInclusive<u64>) -> Number<MicroUsd> {
    Number::new(range.clone(), range, PLACES, |number| Some(MicroUsd(number)))
}

impl<T> Number<T> {
    fn new(
        strict: RangeInclusive<u64>,
        hard: RangeInclusive<u64>,
        places: usize,
        wrap: fn(u64) -> Option<T>,
    ) -> Self {
        Self { strict, hard, places, wrap, default: None, reason: None }
    }

    /// The same, with the value of an absent key.
    pub(super) fn or(self, default: u64) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The same, with the reason for its range.
    pub(super) fn because(self, reason: &'static str) -> Self {
        Self { reason: Some(reason), ..self }
    }

    fn range(&self, profile: Profile) -> &RangeInclusive<u64> {
        match profile {
            Profile::Strict => &self.strict,
            Profile::Custom => &self.hard,
        }
    }

    fn written(&self, number: u64) -> String {
        if self.places == 0 {
            return number.to_string();
        }
        let decimals = format!("{:06}", number % 1_000_000);
        match decimals.trim_end_matches('0') {
            "" => (number / 1_000_000).to_string(),
            decimals => format!("{}.{decimals}", number / 1_000_000),
        }
    }

    fn wanted(&self) -> &'static str {
        if self.places == 0 { "a whole number" } else { "a decimal number" }
    }

    /// How to write what was not read as a number of this kind.
    fn advice(&self, value: &Value<'_>, found: &NotDecimal, source: &Source<'_>) -> String {
        match (found, value.node.style) {
            (NotDecimal::TooPrecise, _) => "round it".to_owned(),
            (NotDecimal::OtherNotation, _) => {
                "write it with decimal digits, without leading zeros and exponents".to_owned()
            }
            (_, Style::SingleQuoted | Style::DoubleQuoted) => "remove the quotes".to_owned(),
            _ => format!("allowed is {}", self.allowed(source.profile())),
        }
    }

    /// Reports a number outside the range; `number` is `None` when it is outside every range.
    fn out_of_range(&self, value: &Value<'_>, number: Option<u64>, source: &mut Source<'_>) {
        let profile = source.profile();
        let allowed = self.allowed(profile);
        let written = quote(source.text(value));
        let message = format!("`{}` is {written}, allowed is {allowed}", value.name);
        let hard = self.allowed(Profile::Custom);
        let help = match (self.reason, profile) {
            (Some(reason), _) => reason.to_owned(),
            (None, Profile::Strict) if self.strict == self.hard => {
                "the same holds in every profile".to_owned()
            }
            (None, Profile::Custom) => {
                "this is the hard limit; no profile goes beyond it".to_owned()
            }
            (None, Profile::Strict) if number.is_some_and(|number| self.hard.contains(&number)) => {
                format!("`profile: custom` allows {hard}")
            }
            (None, Profile::Strict) => format!("even `profile: custom` allows only {hard}"),
        };
        source.refuse(value, "out_of_range", message, help);
    }
}

impl<T> Kind for Number<T> {
    type Value = T;

    fn read(&self, value: &Value<'_>, source: &mut Source<'_>) -> Option<T> {
        let number = match value.node.kind {
            document::Kind::Int(_) | document::Kind::Float(_) => {
                decimal(source.text(value), self.places)
            }
            document::Kind::NonFinite => Err(NotDecimal::Outside),
            document::Kind::Null
            | document::Kind::Bool(_)
            | document::Kind::String(_)
            | document::Kind::Seq(_)
            | document::Kind::Map(_) => Err(NotDecimal::NoNumber),
        };
        match number {
            Ok(number) if self.range(source.profile()).contains(&number) => {
                return (self.wrap)(number);
            }
            Ok(number) => self.out_of_range(value, Some(number), source),
            Err(NotDecimal::Outside) => self.out_of_range(value, None, source),
            Err(NotDecimal::TooPrecise) if self.places > 0 => {
                let written = quote(source.text(value));
                let message = format!(
                    "`{}` is {written}, which has more than {PLACES} decimal places",
                    value.name
                );
                source.refuse(value, "too_precise", message, "round it");
            }
            Err(other) => {
                source.wrong_type(value, self.wanted(), &self.advice(value, &other, source))
            }
        }
        None
    }

    fn allowed(&self, profile: Profile) -> String {
        let range = self.range(profile);
        let (start, end) = (*range.start(), *range.end());
        match (start, self.places) {
            _ if start == end => self.written(start),
            (1, PLACES) => format!("above 0, up to {}", self.written(end)),
            _ => format!("{} to {}", self.written(start), self.written(end)),
        }
    }

    fn fallback(&self) -> Option<(T, String)> {
        let number = self.default?;
        Some(((self.wrap)(number)?, self.written(number)))
    }
}

/// A number that is not read.
#[derive(Debug, PartialEq, Eq)]
enum NotDecimal {
    /// Below zero (a zero with a minus sign too), or over 64 bits.
    Outside,
    /// Has decimals beyond the places.
    TooPrecise,
    /// Hexadecimal, octal, leading zeros, exponents.
    OtherNotation,
    /// Something else than a number.
    NoNumber,
}

/// `text` times 10 to the power of `places`, exactly.
fn decimal(text: &str, places: usize) -> Result<u64, NotDecimal> {
    if text.starts_with('-') {
        return Err(NotDecimal::Outside);
    }
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !is_digits(whole)
        || !is_digits(decimals)
        || has_leading_zero
        || whole.len() + decimals.len() == 0
    {
        return Err(NotDecimal::OtherNotation);
    }
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > places {
        return Err(NotDecimal::TooPrecise);
    }
    format!("{whole}{decimals:0<places$}").parse().map_err(|_| NotDecimal::Outside)
}

/// A switch with one legal position.
pub(super) struct Switch {
    only: bool,
    default: bool,
    reason: &'static str,
}

/// A switch that must be `only`, with the reason why.
pub(super) fn switch(only: bool, reason: &'static str) -> Switch {
    Switch { only, default: false, reason }
}

impl Switch {
    /// The same, absent meaning its legal position.
    pub(super) fn or_absent(self) -> Self {
        Self { default: true, ..self }
    }
}

impl Kind for Switch {
    type Value = ();

    fn read(&self, value: &Value<'_>, source: &mut Source<'_>) -> Option<()> {
        let document::Kind::Bool(found) = value.node.kind else {
            let help = format!("write {}: {}", self.only, self.reason);
            source.wrong_type(value, "true or false", &help);
            return None;
        };
        if found != self.only {
            let message = format!("`{}` is {found}, allowed is {}", value.name, self.only);
            source.refuse(value, "out_of_range", message, self.reason);
            return None;
        }
        Some(())
    }

    fn allowed(&self, _: Profile) -> String {
        self.only.to_string()
    }

    fn fallback(&self) -> Option<((), String)> {
        self.default.then(|| ((), self.only.to_string()))
    }
}

/// True or false.
pub(super) struct Flag {
    default: bool,
}

/// A flag that is `default` when its key is absent.
pub(super) fn flag(default: bool) -> Flag {
    Flag { default }
}

impl Kind for Flag {
    type Value = bool;

    fn read(&self, value: &Value<'_>, source: &mut Source<'_>) -> Option<bool> {
        let document::Kind::Bool(found) = value.node.kind else {
            source.wrong_type(value, "true or false", "write true or false");
            return None;
        };
        Some(found)
    }

    fn allowed(&self, _: Profile) -> String {
        "true or false".to_owned()
    }

    fn fallback(&self) -> Option<(bool, String)> {
        Some((self.default, self.default.to_string()))
    }
}

/// One word of a set.
pub(super) struct Choice<T> {
    words: Vec<(&'static str, T)>,
    has_default: bool,
}

/// One of `words`, each with what it means.
pub(super) fn choice<T: Copy>(words: impl IntoIterator<Item = (&'static str, T)>) -> Choice<T> {
    Choice { words: words.into_iter().collect(), has_default: false }
}

impl<T> Choice<T> {
    /// The same, an absent key meaning the first word.
    pub(super) fn or_first(self) -> Self {
        Self { has_default: true, ..self }
    }
}

impl<T: Copy> Kind for Choice<T> {
    type Value = T;

    fn read(&self, value: &Value<'_>, source: &mut Source<'_>) -> Option<T> {
        let allowed = self.allowed(source.profile());
        let Some(word) = value.node.as_str() else {
            source.wrong_type(value, "a word", &format!("allowed is {allowed}"));
            return None;
        };
        let known = self.words.iter().find(|(known, _)| *known == word);
        if known.is_none() {
            let message =
                format!("`{}` has the value {}, allowed is {allowed}", value.name, quote(word));
            let help = did_you_mean(word, self.words.iter().map(|(known, _)| *known));
            source.refuse(
                value,
                "unknown_value",
                message,
                help.unwrap_or_else(|| format!("write {allowed}")),
            );
        }
        known.map(|(_, meaning)| *meaning)
    }

    fn allowed(&self, _: Profile) -> String {
        let words: Vec<_> = self.words.iter().map(|(word, _)| format!("`{word}`")).collect();
        words.join(" or ")
    }

    fn fallback(&self) -> Option<(T, String)> {
        let (word, meaning) = self.words.first().filter(|_| self.has_default)?;
        Some((*meaning, format!("`{word}`")))
    }
}

/// A list of values of one kind, without repetitions.
pub(super) struct List<K> {
    item: K,
    may_be_absent: bool,
}

/// A list of `item`s.
pub(super) fn list<K: Kind>(item: K) -> List<K> {
    List { item, may_be_absent: false }
}

impl<K> List<K> {
    /// The same, an absent key meaning the empty list.
    pub(super) fn or_empty(self) -> Self {
        Self { may_be_absent: true, ..self }
    }
}

impl<K: Kind<Value: PartialEq>> Kind for List<K> {
    type Value = Vec<K::Value>;

    fn read(&self, value: &Value<'_>, source: &mut Source<'_>) -> Option<Self::Value> {
        let Some(items) = value.items() else {
            source.wrong_type(value, "a list", "write one `- value` a line, or `[a, b]`");
            return None;
        };
        let mut read = Vec::new();
        let mut all_good = true;
        for item in items {
            match self.item.read(&item, source) {
                Some(good) if read.contains(&good) => {
                    let message =
                        format!("`{}` names {} twice", value.name, quote(source.text(&item)));
                    source.refuse(&item, "duplicate_value", message, "remove one of the two");
                    all_good = false;
                }
                Some(good) => read.push(good),
                None => all_good = false,
            }
        }
        all_good.then_some(read)
    }

    fn allowed(&self, profile: Profile) -> String {
        format!("a list of {}", self.item.allowed(profile))
    }

    fn fallback(&self) -> Option<(Self::Value, String)> {
        self.may_be_absent.then(|| (Vec::new(), "empty".to_owned()))
    }
}

/// Text that is not blank.
pub(super) struct Text {
    /// What the text is, for instance `a path`.
    pub(super) noun: &'static str,
}

impl Kind for Text {
    type Value = String;

    fn read(&self, value: &Value<'_>, source: &mut Source<'_>) -> Option<String> {
        match value.node.as_str().map(str::trim) {
            None => source.wrong_type(value, self.noun, "put it in quotes"),
            Some("") => {
                let message = format!("`{}` is blank", value.name);
                source.refuse(value, "blank", message, format!("write {}", self.noun));
            }
            Some(text) => return Some(text.to_owned()),
        }
        None
    }

    fn allowed(&self, _: Profile) -> String {
        self.noun.to_owned()
    }
}
