//! `--set key=value`: a dotted path and a TOML value (or bare words), put into the tree of the job file.

use super::error::Problem;
use super::tree::{Content, Node, Place};
use toml::Value;

/// Applies the k-th override (from 1). Errors name the override itself as the place.
pub fn apply(tree: &mut Node, origin: usize, text: &str) -> Result<(), Problem> {
    let whole = Place { origin, span: 0..text.len() };
    let Some(equals) = text.find('=').filter(|&at| !text[..at].trim().is_empty()) else {
        let problem = Problem::at(&whole, "an override is written key=value").label("no `key =`");
        return Err(problem.help("for example --set sampler.n_live=1000"));
    };
    let path: Vec<String> = text[..equals].split('.').map(|k| k.trim().trim_matches('"').to_string()).collect();
    if path.iter().any(String::is_empty) {
        return Err(Problem::at(&Place { origin, span: 0..equals }, "a part of this key is empty"));
    }
    let key_span = 0..text[..equals].trim_end().len();
    let node = value(&text[equals + 1..], Place { origin, span: equals + 1..text.len() });
    let node = Node { key: Place { origin, span: key_span.clone() }, ..node };
    tree.set(&path, node).map_err(|blocked| {
        let what = format!("`{}` is a value, it has no keys below it", blocked.join("."));
        Problem::at(&Place { origin, span: key_span }, what)
    })
}

/// What the words after `=` mean: TOML if they are TOML, else the words themselves.
fn value(text: &str, place: Place) -> Node {
    let prefix = "v=";
    let parsed = Node::from_toml(&format!("{prefix}{}", text.trim()), place.origin);
    let found = parsed.ok().and_then(|mut node| node.remove(&["v".to_string()]));
    let content = match found {
        Some(node) => node.content,
        None => Content::Plain(Value::String(text.trim().to_string())),
    };
    moved(Node { key: place.clone(), place: place.clone(), content }, &place)
}

/// Every place below becomes the override's value: finer places would point into a text nobody typed.
fn moved(node: Node, place: &Place) -> Node {
    let content = match node.content {
        Content::Table(entries) => Content::Table(entries.into_iter().map(|(name, node)| (name, moved(node, place))).collect()),
        Content::List(items) => Content::List(items.into_iter().map(|node| moved(node, place)).collect()),
        plain => plain,
    };
    Node { key: place.clone(), place: place.clone(), content }
}
