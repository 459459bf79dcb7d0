//! From the tree to typed values: serde decides, and every refusal is brought back to its place in the text.

use super::error::Problem;
use super::tree::Node;
use crate::expr::nearest;
use serde::de::DeserializeOwned;

/// Reads the value at `section` (a path in `tree`) as `T`. Each mistake becomes a problem: keys that are
/// unknown or of the wrong type are set aside and the rest is read again, so that all are found at once.
/// None if anything was wrong.
pub fn section<T: DeserializeOwned>(tree: &Node, section: &[&str], problems: &mut Vec<Problem>) -> Option<T> {
    typed(tree.at(section)?, problems)
}

/// The same for a node.
pub fn typed<T: DeserializeOwned>(node: &Node, problems: &mut Vec<Problem>) -> Option<T> {
    value(node, problems, |value| T::deserialize(value))
}

/// The same for a node and any way of reading it.
pub fn value<T, F>(node: &Node, problems: &mut Vec<Problem>, read: F) -> Option<T>
where
    F: Fn(Tracked<'_, '_>) -> Result<T, toml::de::Error>,
{
    let mut rest = node.clone();
    let mut set_aside: Vec<String> = Vec::new();
    loop {
        let mut track = serde_path_to_error::Track::new();
        let error = match read(serde_path_to_error::Deserializer::new(rest.value(), &mut track)) {
            Ok(value) => return set_aside.is_empty().then_some(value),
            Err(error) => error,
        };
        let path: Vec<String> = track.path().iter().map(|s| s.to_string()).collect();
        let missing = backticked(error.message()).next();
        if error.message().starts_with("missing field") && missing.is_some_and(|key| set_aside.iter().any(|k| k == key)) {
            return None;
        }
        problems.push(explain(&rest, &path, error.message()));
        match path.last() {
            Some(last) if rest.remove(&path).is_some() => set_aside.push(last.clone()),
            _ => return None,
        }
    }
}

type Tracked<'a, 'b> = serde_path_to_error::Deserializer<'a, 'b, toml::Value>;

/// serde's message in the words of someone who writes a job file.
fn explain(tree: &Node, path: &[String], message: &str) -> Problem {
    let (node, _) = tree.nearest(path);
    let mut names = backticked(message);
    if message.starts_with("unknown field") {
        let name = names.next().unwrap_or_default();
        return unknown("key", name, node, names);
    }
    if message.starts_with("unknown variant") {
        let name = names.next().unwrap_or_default();
        let problem = unknown("value", name, node, names);
        return Problem { place: Some(node.place.clone()), ..problem };
    }
    if message.starts_with("missing field") {
        let name = names.next().unwrap_or_default();
        return Problem::at(&node.key, format!("`{name}` is missing")).label(format!("needs `{name}`"));
    }
    if let Some((found, expected)) = message.split_once(", expected ") {
        let found = found.trim_start_matches("invalid type: ").trim_start_matches("invalid value: ");
        let (found, expected) = (plain_words(found), plain_words(expected));
        let problem = Problem::at(&node.place, format!("{expected} is expected, this is {found}"));
        return problem.label(format!("not {expected}")).maybe_help(whole_number(&expected, node));
    }
    let message = if message.contains("did not match any variant") {
        "this value has none of the forms that are possible here".to_string()
    } else {
        message.to_string()
    };
    Problem::at(&node.place, message)
}

/// "unknown key `sdd`", with the nearest of what is known, or all of it.
pub fn unknown<'a>(what: &str, name: &str, node: &Node, known: impl Iterator<Item = &'a str>) -> Problem {
    let known: Vec<&str> = known.collect();
    Problem::at(&node.key, format!("unknown {what} `{name}`")).label("not known here").maybe_help(suggest(name, &known))
}

/// "did you mean `sd`?", or what there is to choose from.
pub fn suggest(name: &str, known: &[&str]) -> Option<String> {
    match nearest(name, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        None if known.is_empty() => None,
        None => Some(format!("possible here: {}", known.join(", "))),
    }
}

fn backticked(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}

/// 2000.0 where a whole number is needed.
fn whole_number(expected: &str, node: &Node) -> Option<String> {
    let value = node.value().as_float()?;
    (expected.contains("whole number") && value.fract() == 0.0).then(|| format!("write {value:.0}"))
}

fn plain_words(serde: &str) -> String {
    match serde {
        "f64" | "f32" => "a number".into(),
        "u64" | "usize" | "u32" | "u16" | "u8" => "a whole number from 0 up".into(),
        "i64" | "i32" => "a whole number".into(),
        "a boolean" | "bool" => "true or false".into(),
        "a sequence" | "sequence" => "a list".into(),
        "a map" | "map" => "a table".into(),
        _ if serde.starts_with("struct ") || serde.starts_with("internally tagged enum") => "a table of keys".into(),
        _ => serde
            .replace("floating point", "the number")
            .replace("integer", "the number")
            .replace("boolean ", "")
            .replace("string \"", "the text \""),
    }
}
