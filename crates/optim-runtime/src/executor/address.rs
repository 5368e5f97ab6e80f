//! Where a server is, as the settings say.

use std::fmt;

use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An `http` or `https` address without a user, a query or a fragment. Keys come from the
/// environment, so nothing in an address is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

/// A text that is no such address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read.
    #[error("this is no address: {0}; write one like http://127.0.0.1:8080/v1")]
    Unreadable(String),
    /// It has another scheme.
    #[error("the address begins with {0}:, allowed are http: and https:")]
    Scheme(String),
    /// It has a part that does not belong there.
    #[error(
        "the address may have no user, password, query or fragment; a key comes from an environment variable"
    )]
    Extra,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`AddressError`] says what is wrong; it repeats no password.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|error| AddressError::Unreadable(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(AddressError::Scheme(url.scheme().to_owned()));
        }
        let user = !url.username().is_empty() || url.password().is_some();
        if user || url.query().is_some() || url.fragment().is_some() {
            return Err(AddressError::Extra);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The name or number of the machine, in lower case; a number of version 6 is in brackets.
    #[must_use]
    pub fn host(&self) -> String {
        let url = Url::parse(&self.0).ok();
        url.and_then(|url| url.host_str().map(ToOwned::to_owned)).unwrap_or_default()
    }

    /// Whether it is to be reached by TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// The address of `path`, which begins with a slash or is empty.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_without_its_last_slash() {
        let at = |text: &str| Address::new(text).map(|address| address.at("/chat"));
        assert_eq!(at("http://127.0.0.1:8080/v1/").unwrap(), "http://127.0.0.1:8080/v1/chat");
        assert_eq!(at("https://api.example.com").unwrap(), "https://api.example.com/chat");
        assert!(Address::new("HTTPS://api.example.com").unwrap().is_secure());
        assert!(!Address::new("http://https.example.com").unwrap().is_secure());
        assert!(matches!(at("127.0.0.1:8080"), Err(AddressError::Unreadable(_))));
        assert!(matches!(at("file:///etc/passwd"), Err(AddressError::Scheme(_))));
        for extra in ["http://me:secret@host/", "http://host/?key=1", "http://host/#a"] {
            let error = at(extra).unwrap_err();
            assert_eq!(error, AddressError::Extra);
            assert!(!error.to_string().contains("secret"));
        }
    }
}
