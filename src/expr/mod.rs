//! Arithmetic expressions: ties, derived quantities, and curves over columns of data.
//!
//! `a*exp(-x/tau) + c` is parsed once into a flat postfix program. [`BoundExpr`] runs it on single numbers;
//! [`Tape`] runs it over columns in blocks, with exact gradients. Both call the same functions, which are
//! made of IEEE additions and multiplications only (crate `libm`, and an own `exp`), so the bits do not
//! depend on the processor or on the system's mathematical library.

mod functions;
mod parse;
mod scalar;

pub use functions::{FUNCTIONS, exp};
pub use scalar::BoundExpr;

use functions::{Fn1, Fn2};

/// A parsed expression: names are not yet looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    text: String,
    /// Postfix: operands come before their operation.
    code: Vec<Op>,
    /// Distinct variables in order of first use, with the byte span of that use.
    variables: Vec<(String, Span)>,
    constants: Vec<(String, Span)>,
}

type Span = std::ops::Range<usize>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Number(f64),
    /// Index into the variables.
    Variable(usize),
    One(Fn1),
    Two(Fn2),
    /// `where(condition, a, b)`: a where the condition is not 0, else b.
    Where,
}

/// What is wrong with an expression, and where: a byte span of its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    pub message: String,
    pub start: usize,
    pub end: usize,
}

impl ExprError {
    fn new(message: impl Into<String>, span: Span) -> ExprError {
        ExprError { message: message.into(), start: span.start, end: span.end }
    }
}

/// Names with a fixed meaning, which no parameter or column used in an expression may have.
const CONSTANTS: [(&str, f64); 2] = [("pi", std::f64::consts::PI), ("e", std::f64::consts::E)];

impl Expr {
    /// Parses `text`; errors carry the span of the fault and, for unknown functions, the nearest known one.
    pub fn parse(text: &str) -> Result<Expr, ExprError> {
        parse::parse(text)
    }

    /// Distinct variables in order of first use; constants (`pi`, `e`) are not among them.
    pub fn variables(&self) -> Vec<String> {
        self.variables.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Looks up every variable among `names`; [`BoundExpr::eval`] then takes values in that order.
    /// Unknown names are refused with the nearest known one.
    pub fn bind(&self, names: &[String]) -> Result<BoundExpr, ExprError> {
        self.refuse_constants_among(names)?;
        let mut places = Vec::with_capacity(self.variables.len());
        for (name, span) in &self.variables {
            let place = names.iter().position(|known| known == name);
            places.push(place.ok_or_else(|| unknown(name, span.clone(), names))?);
        }
        Ok(BoundExpr::new(self, &places))
    }

    /// `e` cannot be both 2.718... and somebody's eccentricity: that would be a silent mistake.
    fn refuse_constants_among(&self, names: &[String]) -> Result<(), ExprError> {
        match self.constants.iter().find(|(constant, _)| names.contains(constant)) {
            None => Ok(()),
            Some((name, span)) => {
                let message = format!("`{name}` is a constant in expressions, but also one of the names here; rename that one");
                Err(ExprError::new(message, span.clone()))
            }
        }
    }
}

fn unknown(name: &str, span: Span, names: &[String]) -> ExprError {
    let hint = nearest(name, names.iter().map(String::as_str))
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    ExprError::new(format!("unknown name `{name}`{hint}"), span)
}

/// The candidate most like `name`, if any is like it at all.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (strsim::jaro_winkler(&name.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}
