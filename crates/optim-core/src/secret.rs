//! Keys that stand as literals in a text, known by how their services begin them and how long they are.
//!
//! Randomness tells nothing here: digests and ids look random too. What is found is never repeated.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Place, Position};

/// A secret in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secret {
    /// What it is a secret of.
    pub kind: &'static str,
    /// Where it begins, in bytes.
    pub byte: usize,
}

/// How the keys of one service look.
struct Shape {
    kind: &'static str,
    begin: &'static str,
    /// What follows, all of it.
    rest: Rest,
    /// How many characters follow, at least.
    chars: usize,
}

/// Characters of a key.
#[derive(Clone, Copy)]
enum Rest {
    /// Letters and digits.
    Plain,
    /// Capital letters and digits, and not one more than there must be.
    Capitals,
    /// Letters, digits, `-` and `_`.
    Url,
    /// The same, of which many in a row are letters and digits: names have a hyphen between their words.
    Run,
}

const fn shape(kind: &'static str, begin: &'static str, rest: Rest, chars: usize) -> Shape {
    Shape { kind, begin, rest, chars }
}

const SHAPES: [Shape; 27] = [
    shape("a key of OpenAI, Anthropic or another provider of models", "sk-", Rest::Run, 20),
    shape("a token of GitHub", "ghp_", Rest::Plain, 36),
    shape("a token of GitHub", "gho_", Rest::Plain, 36),
    shape("a token of GitHub", "ghu_", Rest::Plain, 36),
    shape("a token of GitHub", "ghs_", Rest::Plain, 36),
    shape("a token of GitHub", "ghr_", Rest::Plain, 36),
    shape("a token of GitHub", "github_pat_", Rest::Url, 60),
    shape("a token of GitLab", "glpat-", Rest::Url, 20),
    shape("an access key of AWS", "AKIA", Rest::Capitals, 16),
    shape("an access key of AWS", "ASIA", Rest::Capitals, 16),
    shape("a token of Slack", "xoxb-", Rest::Url, 20),
    shape("a token of Slack", "xoxp-", Rest::Url, 20),
    shape("a token of Slack", "xoxa-", Rest::Url, 20),
    shape("a token of Slack", "xoxs-", Rest::Url, 20),
    shape("a token of Slack", "xapp-", Rest::Url, 20),
    shape("a key of Google", "AIza", Rest::Url, 35),
    shape("a secret of Google", "GOCSPX-", Rest::Url, 28),
    shape("a key of Stripe", "sk_live_", Rest::Plain, 20),
    shape("a key of Stripe", "rk_live_", Rest::Plain, 20),
    shape("a token of Hugging Face", "hf_", Rest::Plain, 34),
    shape("a key of Groq", "gsk_", Rest::Plain, 40),
    shape("a key of xAI", "xai-", Rest::Plain, 40),
    shape("a key of Perplexity", "pplx-", Rest::Plain, 40),
    shape("a token of Replicate", "r8_", Rest::Plain, 37),
    shape("a token of npm", "npm_", Rest::Plain, 36),
    shape("a token of PyPI", "pypi-", Rest::Url, 80),
    shape("a token of DigitalOcean", "dop_v1_", Rest::Plain, 64),
];

/// Fewer different characters than this are a placeholder: `ghp_xxxx…`.
const DIFFERENT_MIN: usize = 8;
/// No word of a name is so long.
const RUN_MIN: usize = 16;
/// How the first two parts of a JSON web token begin: both are `{"`.
const JWT: &str = "eyJ";
/// The fewest characters of each of its parts.
const JWT_CHARS: [usize; 3] = [10, 10, 20];
/// The fewest characters of a private key in its first line.
const PEM_CHARS: usize = 32;
/// What may stand between that and the line above it, in a text or in JSON.
const BLANKS: [&str; 6] = [" ", "\t", "\r", "\n", "\\n", "\\r"];

/// The secrets in `text`, in their order.
pub fn secrets(text: &str) -> impl Iterator<Item = Secret> {
    // A character that is neither a letter nor a digit comes before a key, or nothing does.
    let mut before = ' ';
    let starts = text.char_indices().filter(move |(_, character)| {
        let starts = !before.is_ascii_alphanumeric() && character.is_ascii_graphic();
        before = *character;
        starts
    });
    starts.filter_map(|(byte, _)| {
        let kind = kind_of(text.get(byte..)?)?;
        Some(Secret { kind, byte })
    })
}

/// The secrets in the file `name` with the content `bytes`, each as an error. Who reads the file refuses
/// what is no text.
pub fn findings<'t>(name: &'t str, bytes: &'t [u8]) -> impl Iterator<Item = Diagnostic> + 't {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let mut position = Position { byte: 0, line: 1, column: 1 };
    secrets(text).map(move |secret| {
        position = moved(position, text, secret.byte);
        let message = format!("what stands here looks like {}", secret.kind);
        Diagnostic::error("secret_literal", Place::file(name).at(position), message).help(
            "take it out and make it invalid where it was given out; an agent gets a secret from an environment \
             variable, whose name stands in optim.toml; shorten one that is only an example",
        )
    })
}

/// `from`, moved on to `byte` of `text`.
fn moved(from: Position, text: &str, byte: usize) -> Position {
    let start = usize::try_from(from.byte).unwrap_or(usize::MAX);
    let mut position = from;
    for character in text.get(start..byte).unwrap_or_default().chars() {
        match character {
            '\n' => {
                position.line = position.line.saturating_add(1);
                position.column = 1;
            }
            _ => position.column = position.column.saturating_add(1),
        }
    }
    Position { byte: u32::try_from(byte).unwrap_or(u32::MAX), ..position }
}

/// What `text` begins with, if that is a secret.
fn kind_of(text: &str) -> Option<&'static str> {
    let shaped = SHAPES.iter().find(|shape| shape.fits(text)).map(|shape| shape.kind);
    shaped
        .or_else(|| is_jwt(text).then_some("a JSON web token"))
        .or_else(|| is_private_key(text).then_some("a private key"))
}

impl Shape {
    fn fits(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(self.begin) else { return false };
        let (plain, url) = (head(rest, |c| c.is_ascii_alphanumeric()), head(rest, is_url));
        let (key, fits) = match self.rest {
            Rest::Plain => (plain, true),
            Rest::Capitals => {
                let capitals = !plain.contains(|c: char| c.is_ascii_lowercase());
                (plain, capitals && plain.len() == self.chars)
            }
            Rest::Url => (url, true),
            Rest::Run => (url, url.split(['-', '_']).any(|run| run.len() >= RUN_MIN)),
        };
        fits && key.len() >= self.chars && is_random(key)
    }
}

fn is_url(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

/// Whether `key` has letters, digits, and enough different ones of both.
fn is_random(key: &str) -> bool {
    let different: BTreeSet<char> = key.chars().collect();
    different.len() >= DIFFERENT_MIN
        && different.iter().any(char::is_ascii_digit)
        && different.iter().any(char::is_ascii_alphabetic)
}

/// The beginning of `text` whose characters `hold`.
fn head(text: &str, hold: impl Fn(char) -> bool) -> &str {
    let end = text.find(|character| !hold(character)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn is_jwt(text: &str) -> bool {
    let token = head(text, |c| is_url(c) || c == '.');
    let mut parts = token.split('.');
    let mut begins = JWT_CHARS.into_iter().zip([JWT, JWT, ""]);
    begins.all(|(chars, begin)| {
        parts.next().is_some_and(|part| part.len() >= chars && part.starts_with(begin))
    })
}

/// A private key with its beginning, not only the line above it. In JSON, its lines end with `\n`.
fn is_private_key(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("-----BEGIN ") else { return false };
    let kind = head(rest, |c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' ');
    let body = rest.strip_prefix(kind).and_then(|rest| rest.strip_prefix("-----"));
    let Some(mut body) = body.filter(|_| kind.ends_with("PRIVATE KEY")) else { return false };
    while let Some(next) = BLANKS.iter().find_map(|blank| body.strip_prefix(blank)) {
        body = next;
    }
    head(body, |c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')).len() >= PEM_CHARS
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    /// Keys that nobody was ever given.
    fn made_up() -> Vec<String> {
        let hex = "0a1b2c3d4e5f6071";
        let url = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7";
        let shaped = SHAPES.iter().map(|shape| {
            let key = match shape.rest {
                Rest::Capitals => url.to_uppercase().repeat(9),
                _ => url.repeat(9),
            };
            format!("{}{}", shape.begin, key.get(..shape.chars).unwrap())
        });
        let others = [
            format!("sk-{hex}{hex}"),
            format!("sk-ant-api03-{url}-{url}_{url}"),
            format!("xoxb-123456789012-123456789012-{url}"),
            format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{url}"),
            format!("-----BEGIN RSA PRIVATE KEY-----\n    {url}{url}"),
            format!("-----BEGIN PRIVATE KEY-----\\n{url}{url}"),
        ];
        shaped.chain(others).collect()
    }

    #[test]
    fn a_key_of_each_shape_is_found_wherever_it_stands() {
        for key in made_up() {
            for text in [
                key.clone(),
                format!("key={key}"),
                format!("ä (\"{key}\")."),
                format!("a: {key}\n"),
            ] {
                assert_eq!(secrets(&text).count(), 1, "{text}");
                let byte = secrets(&text).next().unwrap().byte;
                assert_eq!(byte, text.find(key.as_str()).unwrap());
            }
        }
    }

    #[test]
    fn names_digests_and_placeholders_are_no_keys() {
        for text in [
            "",
            "task-1234567890abcdefghijk",
            "sk-estimator-doc-link-2-with-words",
            "sk-your-key-here-1234567890",
            "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx1",
            "${OPENAI_API_KEY} sk-${KEY} ghp_$TOKEN",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "AKIAXXXXXXXXXXXXXXXX",
            "AKIAIOSFODNN7EXAMPLES",
            "AKIAiosfodnn7example",
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "123e4567-e89b-12d3-a456-426614174000",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0",
            "Redact whatever is like -----BEGIN PRIVATE KEY----- and what follows.",
            "-----BEGIN CERTIFICATE-----\naB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2mN5pQ8sT1vW4yZ7",
        ] {
            assert_eq!(secrets(text).next(), None, "{text}");
        }
    }

    #[test]
    fn a_finding_says_where_and_never_what() {
        let [first, .., last] = &made_up()[..] else { panic!("there are some") };
        let text = format!("a: 1\nb: ä {first}\n\nc: {last}");
        let findings: Vec<_> = findings("f.yaml", text.as_bytes()).collect();
        expect![[r#"
            f.yaml:2:6: error[secret_literal]: what stands here looks like a key of OpenAI, Anthropic or another provider of models
            help: take it out and make it invalid where it was given out; an agent gets a secret from an environment variable, whose name stands in optim.toml; shorten one that is only an example
            f.yaml:4:4: error[secret_literal]: what stands here looks like a private key
            help: take it out and make it invalid where it was given out; an agent gets a secret from an environment variable, whose name stands in optim.toml; shorten one that is only an example"#]].assert_eq(&crate::diagnostic::Diagnostics(findings).to_string());
    }
}
