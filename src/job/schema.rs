//! The JSON schema of the job file, for editors and for those who write job files by program.

use super::file::{OutputSpec, RunSpec};
use crate::model::{DelaySpec, ModelSpec};
use crate::prior::{KINDS, PriorSpec};
use crate::sampler::{EngineSpec, METHODS};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A job of fitjob: what is fitted to what, by which engine. TOML or JSON.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "fitjob job file")]
#[allow(dead_code)] // only its schema is used: the reader keeps places, which serde does not
struct JobFile {
    /// Seed of every random choice: same seed, same bits.
    #[serde(default)]
    #[schemars(range(max = i64::MAX))]
    seed: u64,
    model: Model,
    /// Parameters by name, in the order in which they are reported. A problem with a box of its own needs none.
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    /// Quantities computed from parameters, by name: expressions.
    #[serde(default)]
    derived: BTreeMap<String, String>,
    #[serde(default)]
    sampler: Sampler,
    #[serde(default)]
    run: RunSpec,
    #[serde(default)]
    output: OutputSpec,
}

/// A prior, a fixed number, or a tie.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code)]
enum Parameter {
    /// The value is fixed.
    Fixed(f64),
    /// "= expression of other parameters".
    Tie(#[schemars(regex(pattern = "^\\s*="))] String),
    Free(Prior),
}

struct Prior;

impl JsonSchema for Prior {
    fn schema_name() -> Cow<'static, str> {
        "Prior".into()
    }

    /// Every kind of prior, under each of its names.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = PriorSpec::json_schema(generator);
        let kinds = schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten();
        for (kind, (own, others)) in kinds.zip(KINDS) {
            kind["properties"]["prior"] = json!({ "enum": ([&[*own], *others].concat()) });
        }
        schema
    }
}

struct Model;

impl JsonSchema for Model {
    fn schema_name() -> Cow<'static, str> {
        "Model".into()
    }

    /// Any kind of model, with a delay.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = ModelSpec::json_schema(generator);
        let delay = generator.subschema_for::<DelaySpec>();
        for kind in schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
            kind["properties"]["delay"] = delay.clone().to_value();
        }
        schema
    }
}

#[derive(Default)]
struct Sampler;

impl JsonSchema for Sampler {
    fn schema_name() -> Cow<'static, str> {
        "Sampler".into()
    }

    /// The settings of each engine, told apart by `method`.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let default = EngineSpec::default().method();
        let engines: Vec<Value> = METHODS
            .iter()
            .map(|method| {
                let mut settings = EngineSpec::schema(method.name, generator).expect("an engine of the list has settings");
                let names = [&[method.name], method.aliases].concat();
                settings["properties"]["method"] = json!({ "enum": names });
                match method.name == default {
                    true => settings["properties"]["method"]["default"] = json!(default),
                    // Only the default engine need not be named.
                    false => settings["required"] = json!(["method"]),
                }
                settings
            })
            .collect();
        json_schema!({ "description": "How the posterior is sampled.", "oneOf": engines })
    }
}

/// The schema (JSON Schema 2020-12) as text.
pub fn text() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<JobFile>();
    serde_json::to_string_pretty(&schema).unwrap_or_default()
}
