//! Text to postfix program: precedence climbing over a hand-made scanner that knows where it is.
//!
//! Lowest to highest: comparisons, + -, * /, unary minus, ^ (right-associative; `**` is the same), calls.

use super::functions::{FUNCTIONS, Fn1, Fn2, Function};
use super::{CONSTANTS, Expr, ExprError, Op, nearest};
use std::ops::Range;

/// Parentheses, calls, signs and powers nest at most this deep: the parser recurses on them.
const MAX_NESTING: usize = 100;

pub(super) fn parse(text: &str) -> Result<Expr, ExprError> {
    let mut parser = Parser { text, at: 0, nesting: 0, code: Vec::new(), variables: Vec::new(), constants: Vec::new() };
    parser.expression()?;
    match parser.peek() {
        None => Ok(Expr { text: text.into(), code: parser.code, variables: parser.variables, constants: parser.constants }),
        Some(')') => Err(parser.fault("`)` without its `(`")),
        Some('=') => Err(parser.fault("`=` does not compare; write `==`")),
        Some(c) if c.is_alphanumeric() || c == '(' || c == '_' => Err(parser.fault("an operator is missing here (write `2*x`, not `2x`)")),
        Some(c) => Err(parser.fault(format!("`{c}` is not expected here"))),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    nesting: usize,
    code: Vec<Op>,
    variables: Vec<(String, Range<usize>)>,
    constants: Vec<(String, Range<usize>)>,
}

impl Parser<'_> {
    /// The next character after blanks, which are skipped.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        self.peek();
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// An error at the next character (or at the end of the text).
    fn fault(&mut self, message: impl Into<String>) -> ExprError {
        let length = self.peek().map_or(0, char::len_utf8);
        ExprError::new(message, self.at..self.at + length)
    }

    fn expression(&mut self) -> Result<(), ExprError> {
        self.sum()?;
        const COMPARISONS: [(&str, Fn2); 6] =
            [("<=", Fn2::Le), (">=", Fn2::Ge), ("==", Fn2::Eq), ("!=", Fn2::Ne), ("<", Fn2::Lt), (">", Fn2::Gt)];
        if let Some(&(_, f)) = COMPARISONS.iter().find(|(token, _)| self.take(token)) {
            self.sum()?;
            self.push_two(f);
        }
        Ok(())
    }

    fn sum(&mut self) -> Result<(), ExprError> {
        self.product()?;
        loop {
            let f = match self.peek() {
                Some('+') => Fn2::Add,
                Some('-') => Fn2::Sub,
                _ => return Ok(()),
            };
            self.at += 1;
            self.product()?;
            self.push_two(f);
        }
    }

    fn product(&mut self) -> Result<(), ExprError> {
        self.signed()?;
        loop {
            let f = match self.peek() {
                Some('*') => Fn2::Mul,
                Some('/') => Fn2::Div,
                _ => return Ok(()),
            };
            self.at += 1;
            self.signed()?;
            self.push_two(f);
        }
    }

    fn signed(&mut self) -> Result<(), ExprError> {
        self.deeper(|p| {
            if p.take("-") {
                p.signed()?;
                p.push_one(Fn1::Neg);
                Ok(())
            } else if p.take("+") {
                p.signed()
            } else {
                p.power()
            }
        })
    }

    fn power(&mut self) -> Result<(), ExprError> {
        self.operand()?;
        if self.take("^") || self.take("**") {
            self.signed()?;
            self.push_power();
        }
        Ok(())
    }

    fn deeper(&mut self, inner: impl FnOnce(&mut Self) -> Result<(), ExprError>) -> Result<(), ExprError> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.fault(format!("nested deeper than {MAX_NESTING} levels; use parameters or ties for the parts")));
        }
        let outcome = inner(self);
        self.nesting -= 1;
        outcome
    }

    fn operand(&mut self) -> Result<(), ExprError> {
        match self.peek() {
            None => Err(self.fault("the expression ends where a number, a name or `(` is expected")),
            Some('(') => {
                let open = self.at;
                self.at += 1;
                self.deeper(Self::expression)?;
                self.close(open)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some('`') => self.quoted_name(),
            Some(c) if c.is_alphabetic() || c == '_' => self.name(),
            Some(c) => Err(self.fault(format!("`{c}` is not expected here: a number, a name or `(` is"))),
        }
    }

    fn close(&mut self, open: usize) -> Result<(), ExprError> {
        if self.take(")") {
            return Ok(());
        }
        match self.peek() {
            None => Err(ExprError::new("this `(` is never closed", open..open + 1)),
            Some(c) => Err(self.fault(format!("`)` or an operator is expected here, not `{c}`"))),
        }
    }

    fn number(&mut self) -> Result<(), ExprError> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |mut i: usize| {
            while bytes.get(i).is_some_and(u8::is_ascii_digit) {
                i += 1;
            }
            i
        };
        let mut end = digits(start);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let after = digits(end + 1 + sign);
            if after > end + 1 + sign {
                end = after;
            }
        }
        let value: f64 = self.text[start..end].parse().map_err(|_| ExprError::new("not a number", start..end))?;
        if !value.is_finite() {
            return Err(ExprError::new("this number is too large for a 64-bit float", start..end));
        }
        self.at = end;
        self.code.push(Op::Number(value));
        Ok(())
    }

    fn quoted_name(&mut self) -> Result<(), ExprError> {
        let start = self.at;
        let Some(length) = self.text[start + 1..].find('`') else {
            return Err(ExprError::new("this quoted name has no closing backquote", start..self.text.len()));
        };
        self.at = start + length + 2;
        self.push_variable(self.text[start + 1..start + 1 + length].to_string(), start..self.at);
        Ok(())
    }

    fn name(&mut self) -> Result<(), ExprError> {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
        let (name, span) = (&rest[..length], start..start + length);
        self.at = span.end;
        if self.peek() == Some('(') {
            return self.call(name, span);
        }
        if let Some((_, value)) = CONSTANTS.iter().find(|(constant, _)| *constant == name) {
            self.code.push(Op::Number(*value));
            self.constants.push((name.to_string(), span));
        } else if Function::named(name).is_some() && name != "gamma" && name != "step" {
            // `gamma` and `step` are common parameter names; the rest is surely a forgotten argument.
            return Err(ExprError::new(format!("`{name}` is a function: write `{name}(...)`"), span));
        } else {
            self.push_variable(name.to_string(), span);
        }
        Ok(())
    }

    fn call(&mut self, name: &str, span: Range<usize>) -> Result<(), ExprError> {
        let Some(function) = Function::named(name) else {
            let hint = nearest(name, FUNCTIONS.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            return Err(ExprError::new(format!("unknown function `{name}`{}", hint.unwrap_or_default()), span));
        };
        let open = self.at;
        self.at += 1;
        let mut arguments = 0;
        if self.peek() != Some(')') {
            loop {
                self.deeper(Self::expression)?;
                arguments += 1;
                if arguments > 2
                    && let Function::Fold(f) = function
                {
                    self.push_two(f);
                } else if arguments == 2
                    && let Function::Fold(f) | Function::Two(f) = function
                {
                    if f == Fn2::Pow { self.push_power() } else { self.push_two(f) }
                }
                if !self.take(",") {
                    break;
                }
            }
        }
        self.close(open)?;
        let whole = span.start..self.at;
        let wrong = |wanted: &str| Err(ExprError::new(format!("`{name}` takes {wanted}, not {arguments}"), whole));
        match function {
            Function::One(f) if arguments == 1 => self.push_one(f),
            Function::Where if arguments == 3 => self.code.push(Op::Where),
            Function::Two(_) if arguments == 2 => {}
            Function::Fold(_) if arguments >= 2 => {}
            Function::One(_) => return wrong("one argument"),
            Function::Two(_) => return wrong("two arguments"),
            Function::Fold(_) => return wrong("two or more arguments"),
            Function::Where => return wrong("three arguments (condition, value if so, value if not)"),
        }
        Ok(())
    }

    fn push_variable(&mut self, name: String, span: Range<usize>) {
        let known = self.variables.iter().position(|(v, _)| *v == name);
        let place = known.unwrap_or_else(|| {
            self.variables.push((name, span));
            self.variables.len() - 1
        });
        self.code.push(Op::Variable(place));
    }

    /// Operations on numbers are done here and now.
    fn push_one(&mut self, f: Fn1) {
        match self.code.last_mut() {
            Some(Op::Number(x)) => *x = f.value(*x),
            _ => self.code.push(Op::One(f)),
        }
    }

    fn push_two(&mut self, f: Fn2) {
        if let [.., Op::Number(a), Op::Number(b)] = self.code[..] {
            self.code.truncate(self.code.len() - 2);
            self.code.push(Op::Number(f.value(a, b)));
        } else {
            self.code.push(Op::Two(f));
        }
    }

    /// Small whole powers become multiplications: faster, and exact for squares.
    fn push_power(&mut self) {
        match self.code[..] {
            [.., _, Op::Number(n)] if n.fract() == 0.0 && n.abs() <= 16.0 => {
                self.code.pop();
                self.push_one(Fn1::Powi(n as i8));
            }
            _ => self.push_two(Fn2::Pow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        Expr::parse(text).unwrap().bind(&["x".into(), "y".into()]).unwrap().eval(&[2.0, 3.0])
    }

    fn fault(text: &str) -> (String, &str) {
        let e = Expr::parse(text).unwrap_err();
        (e.message, &text[e.start..e.end])
    }

    #[test]
    fn operators_bind_as_in_mathematics() {
        for (text, expected) in [
            ("1+2*3", 7.0),
            ("-x^2", -4.0),
            ("2^3^2", 512.0),
            ("2**-1", 0.5),
            ("(1+2)*3", 9.0),
            ("8/4/2", 1.0),
            ("1-2-3", -4.0),
            ("x*-y", -6.0),
            ("--x", 2.0),
            ("x^y", 8.0),
            ("x < y", 1.0),
            ("1 + (x >= y)", 1.0),
            ("1e-3*1.5e+2", 0.15),
            (".5 + 2.", 2.5),
            ("where(x > 1, y, 1/0)", 3.0),
            ("min(x, y, 1) + max(x, y)", 4.0),
            ("pow(x, 0.5)^2", libm::pow(2.0, 0.5).powi(2)),
            ("2*pi", std::f64::consts::TAU),
            ("ln(e)", 1.0),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn faults_are_underlined_where_they_are() {
        assert_eq!(fault("a + epx(b)"), ("unknown function `epx`; did you mean `exp`?".into(), "epx"));
        assert_eq!(fault("2*(a + b").1, "(");
        assert_eq!(fault("a + * b").1, "*");
        assert_eq!(fault("a b").1, "b");
        assert_eq!(fault("2e").1, "e");
        assert_eq!(fault("a +").1, "");
        assert_eq!(fault("").1, "");
        assert_eq!(fault("a)").1, ")");
        assert_eq!(fault("sin + 1").1, "sin");
        assert_eq!(fault("atan2(a)"), ("`atan2` takes two arguments, not 1".into(), "atan2(a)"));
        assert_eq!(fault("sin(a, b)").1, "sin(a, b)");
        assert_eq!(fault("a = b").1, "=");
        assert_eq!(fault("1e999").1, "1e999");
        assert_eq!(fault("α + €").1, "€");
        assert!(fault(&"(".repeat(5000)).0.contains("nested"));
        assert!(fault(&"-".repeat(5000)).0.contains("nested"));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest_known_one() {
        let expr = Expr::parse("alpha * betta").unwrap();
        let error = expr.bind(&["alpha".into(), "beta".into()]).unwrap_err();
        assert_eq!((error.start, error.end), (8, 13));
        assert!(error.message.contains("did you mean `beta`?"), "{}", error.message);
    }

    #[test]
    fn variables_are_listed_once_in_order_of_first_use_without_constants() {
        let expr = Expr::parse("b*pi + a - b + `flux [mJy]` + gamma").unwrap();
        assert_eq!(expr.variables(), ["b", "a", "flux [mJy]", "gamma"]);
    }

    #[test]
    fn a_name_that_is_also_a_constant_is_refused_not_guessed() {
        let error = Expr::parse("2*e").unwrap().bind(&["e".into()]).unwrap_err();
        assert!(error.message.contains("constant"), "{}", error.message);
        assert!(Expr::parse("2*pi").unwrap().bind(&["e".into()]).is_ok());
    }

    #[test]
    fn a_long_sum_needs_no_deep_recursion() {
        let text = vec!["x"; 20000].join("+");
        assert_eq!(value(&text), 40000.0);
    }
}
