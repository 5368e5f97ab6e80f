//! The edge to readers that want a `serde_json::Value`.

use serde_json::{Map, Number, Value};

use super::{Kind, Node, Span};

/// A number that JSON cannot express: `.nan`, `.inf`, or one too large for a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number must be finite")]
pub struct NotFinite {
    /// Where it is.
    pub span: Span,
}

impl NotFinite {
    /// `not_finite`.
    pub fn code(&self) -> &'static str {
        "not_finite"
    }
}

impl Node {
    /// The value without its places, aliases written out.
    ///
    /// # Errors
    ///
    /// The first number that is not finite.
    pub fn to_value(&self) -> Result<Value, NotFinite> {
        let not_finite = NotFinite { span: self.span };
        Ok(match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Int(value) => Value::Number(Number::from_i128(*value).ok_or(not_finite)?),
            Kind::Float(value) => Value::Number(Number::from_f64(*value).ok_or(not_finite)?),
            Kind::NonFinite => return Err(not_finite),
            Kind::String(text) => Value::String(text.clone()),
            Kind::Seq(items) => {
                Value::Array(items.iter().map(Self::to_value).collect::<Result<_, _>>()?)
            }
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.name.clone(), value.to_value()?)))
                    .collect::<Result<Map<_, _>, NotFinite>>()?,
            ),
        })
    }
}
