//! A JSON job file as the same tree of placed values.

use super::tree::{Content, Node, Place, Syntax};
use toml::Value;

/// Reads JSON. serde_json judges the text; the walk below, over a text known to be good, finds the places.
pub fn from_json(text: &str) -> Result<Node, Vec<Syntax>> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let line_start = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
        // serde_json counts bytes, and may stop within a character.
        let at = text.floor_char_boundary(line_start + error.column().saturating_sub(1));
        let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        return Err(vec![Syntax { message: error.to_string(), span: at..end }]);
    }
    let mut walk = Walk { text, at: 0, depth: 0 };
    walk.value().map_err(|e| vec![e])
}

struct Walk<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

/// Tables and lists within each other; no job has that many, and the walk must not run out of stack.
const DEEPEST: usize = 64;

impl Walk<'_> {
    fn peek(&mut self) -> u8 {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text.as_bytes().get(self.at).copied().unwrap_or(b' ')
    }

    /// Steps over `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Result<Node, Syntax> {
        let first = self.peek();
        let start = self.at;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Syntax { message: "tables and lists are nested too deeply".into(), span: start..start + 1 });
        }
        let content = match first {
            b'{' => self.table()?,
            b'[' => self.list()?,
            b'"' => Content::Plain(Value::String(self.string())),
            _ => Content::Plain(self.plain()?),
        };
        self.depth -= 1;
        let place = Place { origin: 0, span: start..self.at };
        Ok(Node { key: place.clone(), place, content })
    }

    fn table(&mut self) -> Result<Content, Syntax> {
        self.take(b'{');
        let mut entries: Vec<(String, Node)> = Vec::new();
        while !self.take(b'}') {
            self.take(b',');
            self.peek();
            let start = self.at;
            let name = self.string();
            let key = Place { origin: 0, span: start..self.at };
            if entries.iter().any(|(other, _)| *other == name) {
                return Err(Syntax { message: format!("the key `{name}` comes twice"), span: key.span });
            }
            self.take(b':');
            let node = self.value()?;
            entries.push((name, Node { key, ..node }));
        }
        Ok(Content::Table(entries))
    }

    fn list(&mut self) -> Result<Content, Syntax> {
        self.take(b'[');
        let mut items = Vec::new();
        while !self.take(b']') {
            self.take(b',');
            items.push(self.value()?);
        }
        Ok(Content::List(items))
    }

    fn string(&mut self) -> String {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        let end = rest[1..].find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        let quoted = &rest[..end.map_or(rest.len(), |e| e + 2)];
        self.at += quoted.len();
        serde_json::from_str(quoted).unwrap_or_default()
    }

    fn plain(&mut self) -> Result<Value, Syntax> {
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|c: char| c.is_whitespace() || ",]}".contains(c)).unwrap_or(rest.len())];
        let span = self.at..self.at + word.len();
        self.at = span.end;
        let refuse = |message: String| Syntax { message, span: span.clone() };
        match word {
            "true" | "false" => Ok(Value::Boolean(word == "true")),
            "null" => Err(refuse("null has no meaning in a job file: leave the key out".into())),
            _ if word.contains(['.', 'e', 'E']) => {
                word.parse().map(Value::Float).map_err(|_| refuse(format!("the number {word} does not fit")))
            }
            _ => word.parse().map(Value::Integer).map_err(|_| refuse(format!("the number {word} does not fit"))),
        }
    }
}
