//! The job written out again: overrides applied, defaults filled in, no path that depends on where it lies.

use super::Source;
use super::file::{ParameterSpec, Typed};
use crate::model::{Files, Loaded, ModelSpec};
use crate::sampler::EngineSpec;
use serde::Serialize;
use std::path::Path;
use toml::{Table, Value};

/// Tables of at most this many numbers are written into the job itself; larger ones by absolute path.
const INLINE: usize = 4000;

/// A TOML job that asks the same question from any folder.
/// Errors (as text): a value that TOML cannot hold.
pub fn resolved(source: &Source, typed: &Typed, parameters: &[(String, ParameterSpec)], files: &Files) -> Result<String, toml::ser::Error> {
    let version = env!("CARGO_PKG_VERSION");
    let mut text = format!("# Written by fitjob {version} from {}: every default is spelled out.\n", source.name);
    text += &format!("seed = {}\n\n", typed.seed);
    if let Some((spec, delay)) = &typed.model {
        let mut model = table(spec)?;
        for file in spec.files() {
            let inline = !matches!(spec, ModelSpec::Rust(_)); // whose `data` may be nothing but a name
            make_portable(&mut model, (file.key, &file.path), &source.base, files, inline);
        }
        if let Some(delay) = delay {
            model.insert("delay".into(), Value::try_from(delay)?);
        }
        text += &toml::to_string(&section("model", model))?;
    }
    text += "\n[parameters]\n";
    for (name, spec) in parameters {
        let value = match spec {
            ParameterSpec::Fixed(value) => Value::Float(*value),
            ParameterSpec::Tie(expr) => Value::String(format!("= {}", expr.text())),
            ParameterSpec::Free(prior) => Value::try_from(prior)?,
        };
        text += &format!("{name} = {value}\n");
    }
    if !typed.derived.is_empty() {
        text += "\n[derived]\n";
        for (name, expr) in &typed.derived {
            text += &format!("{name} = {}\n", Value::String(expr.text().into()));
        }
    }
    for (name, table) in [("sampler", engine(&typed.engine)?), ("run", table(&typed.run)?), ("output", output(source, typed)?)] {
        text += &format!("\n{}", toml::to_string(&section(name, table))?);
    }
    Ok(text)
}

fn table(value: &impl Serialize) -> Result<Table, toml::ser::Error> {
    Table::try_from(value)
}

fn section(name: &str, content: Table) -> Table {
    Table::from_iter([(name.to_string(), Value::Table(content))])
}

fn engine(engine: &EngineSpec) -> Result<Table, toml::ser::Error> {
    let mut all = Table::from_iter([("method".to_string(), Value::String(engine.method().into()))]);
    all.extend(engine.table()?);
    Ok(all)
}

fn output(source: &Source, typed: &Typed) -> Result<Table, toml::ser::Error> {
    let mut output = typed.output.clone();
    output.dir = output.dir.map(|dir| source.base.join(dir));
    table(&output)
}

/// Replaces the file `path` that `key` names: its content where that is small and may stand `inline`, else its absolute path.
fn make_portable(model: &mut Table, (key, path): (&str, &str), base: &Path, files: &Files, inline: bool) {
    match files.get(path) {
        Some(Loaded::Text(text)) if inline && key == "code_file" => {
            model.remove(key);
            model.insert("code".into(), Value::String(text.clone()));
        }
        Some(Loaded::Table(data)) if inline && key == "data" && data.rows() * data.columns.len() <= INLINE => {
            let column =
                |(name, values): &(String, Vec<f64>)| (name.clone(), Value::Array(values.iter().map(|&v| Value::Float(v)).collect()));
            model.insert(key.into(), Value::Table(data.columns.iter().map(column).collect()));
        }
        _ => {
            let place = Value::String(base.join(path).display().to_string());
            match model.get_mut(key) {
                // a command and its arguments, or a list of files
                Some(Value::Array(words)) => {
                    words.iter_mut().filter(|word| word.as_str() == Some(path)).take(1).for_each(|word| *word = place.clone())
                }
                _ => drop(model.insert(key.into(), place)),
            }
        }
    }
}
