//! Arithmetic expressions: ties, derived quantities, and curves over columns of data.
//!
//! `a*exp(-x/tau) + c` is parsed once into a flat postfix program. [`BoundExpr`] runs it on single numbers;
//! [`Tape`] runs it over columns in blocks, with exact gradients. Both call the same functions, which are
//! made of IEEE additions and multiplications only (crate `libm`, and an own `exp`), so the bits do not
//! depend on the processor or on the system's mathematical library.

mod functions;
mod parse;
mod scalar;
mod sum;
mod tape;

pub use functions::{FUNCTIONS, exp};
pub use scalar::BoundExpr;
pub use sum::{block_sum, tree_sum};
pub use tape::{BLOCK, Run, Tape};

pub(crate) use functions::{Fn1, Fn2};

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

impl Op {
    fn arity(self) -> usize {
        match self {
            Op::Number(_) | Op::Variable(_) => 0,
            Op::One(_) => 1,
            Op::Two(_) => 2,
            Op::Where => 3,
        }
    }
}

impl Expr {
    /// Parses `text`; errors carry the span of the fault and, for unknown functions, the nearest known one.
    pub fn parse(text: &str) -> Result<Expr, ExprError> {
        parse::parse(text)
    }

    /// Distinct variables in order of first use; constants (`pi`, `e`) are not among them.
    pub fn variables(&self) -> Vec<String> {
        self.variables.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Whether `pi` or `e` is in it.
    pub fn has_constants(&self) -> bool {
        !self.constants.is_empty()
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

    /// A name as an expression.
    pub(crate) fn variable(name: &str) -> Expr {
        Expr { text: name.into(), code: vec![Op::Variable(0)], variables: vec![(name.into(), 0..name.len())], constants: Vec::new() }
    }

    pub(crate) fn number(value: f64) -> Expr {
        Expr { text: value.to_string(), code: vec![Op::Number(value)], variables: Vec::new(), constants: Vec::new() }
    }

    /// f(self)
    pub(crate) fn one(mut self, f: Fn1) -> Expr {
        self.code.push(Op::One(f));
        self
    }

    /// f(self, other)
    pub(crate) fn two(mut self, f: Fn2, other: &Expr) -> Expr {
        for op in &other.code {
            let Op::Variable(i) = *op else {
                self.code.push(*op);
                continue;
            };
            let (name, span) = &other.variables[i];
            let known = self.variables.iter().position(|(v, _)| v == name);
            let place = known.unwrap_or_else(|| {
                self.variables.push((name.clone(), span.clone()));
                self.variables.len() - 1
            });
            self.code.push(Op::Variable(place));
        }
        self.code.push(Op::Two(f));
        self.constants.extend_from_slice(&other.constants);
        self
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
    let hint = nearest(name, names.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    ExprError::new(format!("unknown name `{name}`{hint}"), span)
}

/// The candidate most like `name`, if any is like it at all: few edits first, then likeness from the start.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let edits = |c: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &c.to_lowercase());
    let likeness = |c: &str| strsim::jaro_winkler(&name.to_lowercase(), &c.to_lowercase());
    candidates
        .filter(|c| edits(c) <= 1 + name.len() / 4 || likeness(c) > 0.85)
        .min_by(|a, b| edits(a).cmp(&edits(b)).then(likeness(b).total_cmp(&likeness(a))))
}
