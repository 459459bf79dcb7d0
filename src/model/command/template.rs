//! `{name}` in a text, replaced by a value; `{{` is a brace. Any other brace stays what it is.

/// A text cut at its placeholders.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// Number of the parameter.
    Value(usize),
}

impl Template {
    /// Errors: a name that is none of `names`.
    pub fn parse(text: &str, names: &[String]) -> Result<Template, String> {
        let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('{') {
            plain += &rest[..at];
            rest = &rest[at + 1..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let name = &rest[..end];
            if let Some(after) = rest.strip_prefix('{') {
                plain.push('{');
                rest = after;
            } else if !name.is_empty() && rest[end..].starts_with('}') {
                let Some(place) = names.iter().position(|n| n == name) else {
                    return Err(format!(
                        "{{{name}}} is no parameter (there are {}); write {{{{{name}}} for a brace and not a value",
                        names.join(", ")
                    ));
                };
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Value(place));
                rest = &rest[end + 1..];
            } else {
                plain.push('{');
            }
        }
        parts.push(Part::Text(plain + rest));
        Ok(Template(parts))
    }

    /// Lines "name value".
    pub fn lines(names: &[String]) -> Template {
        let line = |(i, name): (usize, &String)| [Part::Text(format!("{name} ")), Part::Value(i), Part::Text("\n".into())];
        Template(names.iter().enumerate().flat_map(line).collect())
    }

    /// Values are written in the shortest form that reads back as the same number.
    pub fn fill(&self, values: &[f64]) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Value(i) => format!("{:?}", values[*i]),
        };
        self.0.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Template;

    fn fill(text: &str) -> Result<String, String> {
        let names = ["a".to_string(), "b_2".to_string()];
        Template::parse(text, &names).map(|t| t.fill(&[0.1, -1e-300]))
    }

    #[test]
    fn names_in_braces_become_values_and_other_braces_stay() {
        assert_eq!(fill("x={a};y={b_2}").unwrap(), "x=0.1;y=-1e-300");
        assert_eq!(fill("{ \"a\": {a} } {}").unwrap(), "{ \"a\": 0.1 } {}");
        assert_eq!(fill("{{a} {").unwrap(), "{a} {");
        assert!(fill("{c}").unwrap_err().contains("{c} is no parameter (there are a, b_2); write {{c}"));
    }

    #[test]
    fn without_a_template_there_is_a_line_a_parameter() {
        assert_eq!(Template::lines(&["a".into(), "b".into()]).fill(&[1.0, 2.5]), "a 1.0\nb 2.5\n");
    }
}
