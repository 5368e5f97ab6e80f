//! The command line: a verb, and flags with one number each.

use std::collections::BTreeMap;

use crate::{Outcome, USAGE};

/// The flags that there are.
const FLAGS: [&str; 5] = ["--seed", "--seeds", "--cycles", "--hours", "--days"];

/// What was asked for.
pub(crate) struct Arguments {
    pub(crate) verb: String,
    flags: BTreeMap<String, u64>,
}

impl Arguments {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Outcome<Self> {
        let verb = words.next().ok_or(USAGE)?;
        let mut flags = BTreeMap::new();
        while let Some(flag) = words.next() {
            if !FLAGS.contains(&flag.as_str()) {
                return Err(format!("{flag} is none of {FLAGS:?}\n{USAGE}").into());
            }
            let value = words.next().ok_or_else(|| format!("{flag} needs a number"))?;
            let number = value.parse().map_err(|_| format!("{flag} {value}: that is no number"))?;
            flags.insert(flag, number);
        }
        Ok(Self { verb, flags })
    }

    /// The number behind `flag`, if it was given.
    pub(crate) fn get(&self, flag: &str) -> Option<u64> {
        self.flags.get(flag).copied()
    }
}
