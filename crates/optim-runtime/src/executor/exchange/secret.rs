//! A key that is never shown.

use std::fmt;

use crate::executor::redaction;

/// What stands in the place of a key.
const HIDDEN: &str = "[key]";

/// A key, read from an environment variable.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::executor) struct Secret(String);

impl Secret {
    /// The content of the environment variable `name`; `None` when it is not set, or blank.
    pub(in crate::executor) fn from_env(name: &str) -> Option<Self> {
        let text = std::env::var(name).ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// The key itself, to be sent.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// `body` without the key: whoever has it may repeat it.
    pub(super) fn hide_in_body(&self, body: Vec<u8>) -> Vec<u8> {
        redaction::hide(body, &self.0, HIDDEN)
    }

    /// `text` without the key, should somebody repeat it.
    pub(in crate::executor) fn hide_in(&self, text: &str) -> String {
        text.replace(&self.0, HIDDEN)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

#[cfg(test)]
impl Secret {
    pub(in crate::executor) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let key = Secret::new("sk-123");
        assert_eq!(format!("{key:?}"), "[key]");
        assert_eq!(key.hide_in("wrong key sk-123!"), "wrong key [key]!");
    }

    #[test]
    fn a_variable_that_is_not_there_holds_no_key() {
        assert_eq!(Secret::from_env("NOT_SET_ANYWHERE"), None);
        // Cargo sets it for tests.
        assert_eq!(Secret::from_env("CARGO_PKG_NAME"), Some(Secret::new("optim-runtime")));
    }
}
