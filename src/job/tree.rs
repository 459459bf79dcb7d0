//! A job file as a tree of values that know where they were typed, in the order they were typed.

use serde::{Deserialize, Serialize};
use std::ops::Range;
use toml::Value;
use toml::de::{DeTable, DeValue};

/// Where something was typed: in the job file (origin 0) or in the k-th `--set` (origin k, from 1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub origin: usize,
    /// Bytes of that text.
    pub span: Range<usize>,
}

/// A value, its place, and the place of the key that names it (the value's own in a list).
#[derive(Clone, Debug)]
pub struct Node {
    pub key: Place,
    pub place: Place,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Table(Vec<(String, Node)>),
    List(Vec<Node>),
    /// A string, number, boolean or date.
    Plain(Value),
}

/// A text that is no TOML (or JSON): what is wrong, where.
#[derive(Debug)]
pub struct Syntax {
    pub message: String,
    pub span: Range<usize>,
}

impl Node {
    /// Reads TOML; on failure every syntax error found.
    pub fn from_toml(text: &str, origin: usize) -> Result<Node, Vec<Syntax>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let syntax = |e: toml::de::Error| Syntax { message: e.message().into(), span: e.span().unwrap_or(0..text.len()) };
            return Err(errors.into_iter().map(syntax).collect());
        }
        let span = table.span();
        let content = table_content(table.get_ref(), origin).map_err(|e| vec![e])?;
        let place = Place { origin, span };
        Ok(Node { key: place.clone(), place, content })
    }

    /// The node at `path`, if all of it exists.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.child(key))
    }

    fn child(&self, key: &str) -> Option<&Node> {
        match &self.content {
            Content::Table(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            Content::List(items) => key.parse::<usize>().ok().and_then(|i| items.get(i)),
            Content::Plain(_) => None,
        }
    }

    /// The deepest node on the way along `path` that exists, and how many keys of the path lead to it.
    pub fn nearest(&self, path: &[String]) -> (&Node, usize) {
        let mut node = self;
        for (depth, key) in path.iter().enumerate() {
            match node.child(key) {
                Some(child) => node = child,
                None => return (node, depth),
            }
        }
        (node, path.len())
    }

    pub fn entries(&self) -> &[(String, Node)] {
        if let Content::Table(entries) = &self.content { entries } else { &[] }
    }

    pub fn as_str(&self) -> Option<&str> {
        if let Content::Plain(value) = &self.content { value.as_str() } else { None }
    }

    /// Takes what is at `path` out of the tree.
    pub fn remove(&mut self, path: &[String]) -> Option<Node> {
        let (last, way) = path.split_last()?;
        let mut node = self;
        for key in way {
            node = match &mut node.content {
                Content::Table(entries) => entries.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)?,
                Content::List(items) => items.get_mut(key.parse::<usize>().ok()?)?,
                Content::Plain(_) => return None,
            };
        }
        match &mut node.content {
            Content::Table(entries) => {
                let at = entries.iter().position(|(name, _)| name == last)?;
                Some(entries.remove(at).1)
            }
            _ => None,
        }
    }

    /// Puts `new` at `path`, making tables on the way. Fails with the path of what stands in the way.
    pub fn set(&mut self, path: &[String], new: Node) -> Result<(), Vec<String>> {
        let mut node = self;
        for (depth, key) in path.iter().enumerate() {
            let last = depth + 1 == path.len();
            node = match &mut node.content {
                Content::Plain(_) => return Err(path[..depth].to_vec()),
                Content::List(items) => {
                    let item = key.parse::<usize>().ok().and_then(|i| items.get_mut(i));
                    item.ok_or_else(|| path[..depth].to_vec())?
                }
                Content::Table(entries) => {
                    let at = entries.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
                        let empty = Node { content: Content::Table(Vec::new()), ..new.clone() };
                        entries.push((key.clone(), empty));
                        entries.len() - 1
                    });
                    &mut entries[at].1
                }
            };
            if last {
                *node = new;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The plain value, places forgotten.
    pub fn value(&self) -> Value {
        match &self.content {
            Content::Plain(value) => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Node::value).collect()),
            Content::Table(entries) => Value::Table(entries.iter().map(|(name, node)| (name.clone(), node.value())).collect()),
        }
    }
}

fn table_content(table: &DeTable<'_>, origin: usize) -> Result<Content, Syntax> {
    let mut entries = Vec::new();
    for (key, value) in table.iter() {
        let key_place = Place { origin, span: key.span() };
        let place = Place { origin, span: value.span() };
        let content = content(value.get_ref(), place.span.clone(), origin)?;
        entries.push((key.get_ref().to_string(), Node { key: key_place, place, content }));
    }
    Ok(Content::Table(entries))
}

fn content(value: &DeValue<'_>, span: Range<usize>, origin: usize) -> Result<Content, Syntax> {
    let number = |text: String| Syntax { message: format!("the number {text} does not fit"), span: span.clone() };
    Ok(Content::Plain(match value {
        DeValue::Table(table) => return table_content(table, origin),
        DeValue::Array(items) => {
            let item = |item: &toml::Spanned<DeValue<'_>>| {
                let place = Place { origin, span: item.span() };
                let content = content(item.get_ref(), item.span(), origin)?;
                Ok(Node { key: place.clone(), place, content })
            };
            return Ok(Content::List(items.iter().map(item).collect::<Result<_, Syntax>>()?));
        }
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(it) => {
            let parsed = i64::from_str_radix(it.as_str(), it.radix());
            Value::Integer(parsed.map_err(|_| number(it.to_string()))?)
        }
        DeValue::Float(it) => Value::Float(it.as_str().parse().map_err(|_| number(it.to_string()))?),
        DeValue::Boolean(it) => Value::Boolean(*it),
        DeValue::Datetime(it) => Value::Datetime(*it),
    }))
}
