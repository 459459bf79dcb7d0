//! Numbers in JSON, which knows no NaN and no infinity: null, "Infinity" and "-Infinity" stand for them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Json {
    Number(f64),
    Text(String),
    Null,
}

pub fn serialize<S: Serializer>(x: &f64, to: S) -> Result<S::Ok, S::Error> {
    match *x {
        x if x.is_finite() => Json::Number(x),
        x if x.is_nan() => Json::Null,
        x if x > 0.0 => Json::Text("Infinity".into()),
        _ => Json::Text("-Infinity".into()),
    }
    .serialize(to)
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    match Json::deserialize(from)? {
        Json::Number(x) => Ok(x),
        Json::Null => Ok(f64::NAN),
        Json::Text(text) if text == "Infinity" => Ok(f64::INFINITY),
        Json::Text(text) if text == "-Infinity" => Ok(f64::NEG_INFINITY),
        Json::Text(text) => {
            Err(serde::de::Error::custom(format!("\"{text}\" is no number (a number, null, \"Infinity\" or \"-Infinity\" belongs here)")))
        }
    }
}

/// The same as a value, for records that are put together by hand.
pub fn json(x: f64) -> serde_json::Value {
    serialize(&x, serde_json::value::Serializer).unwrap_or(serde_json::Value::Null)
}
