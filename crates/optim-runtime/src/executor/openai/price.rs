//! What models cost.

use std::collections::BTreeMap;

use optim_core::id::ModelId;
use optim_core::outcome::Usage;
use optim_core::quantity::{MicroUsd, Tokens};
use serde::{Deserialize, Deserializer, Serialize};

/// The prices of a provider. A model that has none here has no known price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prices {
    /// The word `free`: a server of one's own.
    All(Free),
    /// A price for each model.
    PerModel(BTreeMap<ModelId, Price>),
}

/// The word `free`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Free {
    /// Nothing costs anything.
    Free,
}

impl Default for Prices {
    fn default() -> Self {
        Self::PerModel(BTreeMap::new())
    }
}

/// What a million tokens cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Sent to the model; written in dollars.
    #[serde(rename = "input_usd_per_million", deserialize_with = "dollars")]
    pub input: MicroUsd,
    /// Received from the model; written in dollars.
    #[serde(rename = "output_usd_per_million", deserialize_with = "dollars")]
    pub output: MicroUsd,
}

fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MicroUsd, D::Error> {
    let usd = f64::deserialize(deserializer)?;
    MicroUsd::from_usd(usd).ok_or_else(|| {
        serde::de::Error::custom(format!("{usd} is no price, allowed are 0..=1000000000 dollars"))
    })
}

impl Prices {
    /// The price of `model`; `None` when it is not known.
    #[must_use]
    pub fn of(&self, model: &ModelId) -> Option<Price> {
        match self {
            Self::All(Free::Free) => Some(Price::default()),
            Self::PerModel(prices) => prices.get(model).copied(),
        }
    }
}

impl Price {
    /// Whether nothing is to be paid.
    #[must_use]
    pub fn is_free(self) -> bool {
        self == Self::default()
    }

    /// What the tokens of `usage` cost, rounded up.
    #[must_use]
    pub fn cost(self, usage: &Usage) -> MicroUsd {
        let part = |tokens: Tokens, price: MicroUsd| u128::from(tokens.0) * u128::from(price.0);
        let millionths = part(usage.prompt_tokens, self.input)
            .saturating_add(part(usage.completion_tokens, self.output));
        MicroUsd(u64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cost(price: Price, prompt: u64, completion: u64) -> u64 {
        let (prompt_tokens, completion_tokens) = (Tokens(prompt), Tokens(completion));
        price.cost(&Usage { prompt_tokens, completion_tokens, ..Usage::default() }).0
    }

    #[test]
    fn costs_are_exact_and_rounded_up() {
        let price = Price { input: MicroUsd(150_000), output: MicroUsd(600_000) };
        for (prompt, completion, wanted) in [
            (0, 0, 0),
            (1, 0, 1),
            (1_000_000, 0, 150_000),
            (1000, 500, 450),
            (7, 3, 3),
            (u64::MAX, u64::MAX, 13_835_058_055_282_163_712),
        ] {
            assert_eq!(cost(price, prompt, completion), wanted, "{prompt} {completion}");
        }
        let dear = Price { input: MicroUsd(u64::MAX), output: MicroUsd(u64::MAX) };
        assert_eq!(cost(dear, u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn a_model_without_a_price_has_no_known_price_unless_all_are_free() {
        let read = |value| serde_json::from_value::<Prices>(value);
        let model = ModelId::new("m").unwrap();
        assert_eq!(read(json!("free")).unwrap().of(&model), Some(Price::default()));
        assert_eq!(Prices::default().of(&model), None);
        let known = json!({"m": {"input_usd_per_million": 0.15, "output_usd_per_million": 0.6}});
        let price = Price { input: MicroUsd(150_000), output: MicroUsd(600_000) };
        assert_eq!(read(known).unwrap().of(&model), Some(price));
        for bad in [
            json!("cheap"),
            json!({"m": {"input_usd_per_million": -1, "output_usd_per_million": 1}}),
            json!({"m": {"input_usd_per_million": 1}}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
