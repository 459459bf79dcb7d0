//! The settings of a likelihood of one's own: which keys its type has, and how it comes out of the job file and goes back.

use super::{RustSpec, own};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor, value::Error};
use serde::ser::Serialize;
use std::borrow::Cow;
use toml::{Table, Value};

/// What serde makes the type of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `struct Name;`: no settings.
    Unit,
    /// A struct with these fields.
    Fields(&'static [&'static str]),
    /// Anything else, such as a struct with flattened parts: keys show only when they are read.
    Any,
}

impl Shape {
    /// A derived `Deserialize` says what it is before it reads anything: it is asked, and gets nothing.
    pub fn of<T: DeserializeOwned>() -> Shape {
        let mut shape = Shape::Any;
        let _ = T::deserialize(Question(&mut shape));
        shape
    }

    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Shape::Fields(fields) => fields,
            _ => &[],
        }
    }
}

struct Question<'a>(&'a mut Shape);

impl<'de> Deserializer<'de> for Question<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("nothing is read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &str, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        *self.0 = Shape::Fields(fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, Error> {
        *self.0 = Shape::Unit;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit newtype_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

pub(super) fn read<'de, T: DeserializeOwned, D: Deserializer<'de, Error = toml::de::Error>>(value: D) -> Result<T, toml::de::Error> {
    match Shape::of::<T>() {
        Shape::Unit => T::deserialize(().into_deserializer()),
        _ => T::deserialize(value),
    }
}

pub(super) fn of_table<T: DeserializeOwned>(settings: &Table) -> Result<T, toml::de::Error> {
    read(Value::Table(settings.clone()))
}

/// The settings written out, defaults filled in.
pub(super) fn table<T: Serialize + DeserializeOwned>(settings: &T) -> Result<Table, toml::de::Error> {
    match Shape::of::<T>() {
        Shape::Unit => Ok(Table::new()),
        _ => Table::try_from(settings).map_err(|e| toml::de::Error::custom(format!("the settings cannot be written as TOML: {e}"))),
    }
}

/// Puts `now` for the text `before` below `key`.
pub(super) fn replace(settings: &mut Table, key: &str, before: &str, now: &str) {
    fn within(value: &mut Value, before: &str, now: &str) {
        match value {
            Value::String(text) if text == before => *text = now.into(),
            Value::Array(list) => list.iter_mut().for_each(|value| within(value, before, now)),
            Value::Table(table) => table.iter_mut().for_each(|(_, value)| within(value, before, now)),
            _ => {}
        }
    }
    settings.get_mut(key).into_iter().for_each(|value| within(value, before, now));
}

impl JsonSchema for RustSpec {
    fn schema_name() -> Cow<'static, str> {
        "RustSpec".into()
    }

    /// The keys of this program's own likelihood; of what type they are it alone knows.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let known = own().map_or(Shape::Any, |own| own.shape);
        let properties: serde_json::Map<String, serde_json::Value> =
            known.keys().iter().map(|key| (key.to_string(), true.into())).collect();
        json_schema!({
            "description": "`kind = \"rust\"`: the likelihood of a program that has fitjob as a library; its settings are the other keys.",
            "type": "object",
            "properties": properties,
            "additionalProperties": known == Shape::Any,
        })
    }
}
