//! What is read out of the text of DiffSL code, and changed in it, before it is compiled.

use crate::expr::{BoundExpr, Expr};

/// The largest whole power that is taken for one.
const MOST: f64 = 1e6;

/// The code with whole powers that have a derivative everywhere: DiffSL's derivative of `pow(x, y)` contains ln x whether or not `y` varies,
/// which for x < 0 is no number, so that an implicit solver can make no step. x^n is |x|^n for even n, and x |x|^(n-1) for odd.
pub fn with_whole_powers(code: &str) -> String {
    let clean = without_comments(code);
    let Some(call) = calls(&clean, "pow").into_iter().next() else { return clean };
    let (before, after) = (&clean[..call.start], with_whole_powers(&clean[call.end..]));
    let parts = split(call.inside);
    let whole = parts.get(1).and_then(|exponent| constant(exponent)).filter(|n| n.fract() == 0.0 && n.abs() < MOST && parts.len() == 2);
    let power = match whole {
        Some(n) => {
            let x = with_whole_powers(parts[0]);
            match n {
                1.0 => format!("({x})"),
                n if n % 2.0 == 0.0 => format!("pow(abs({x}), {})", signed(n)),
                n => format!("(({x}) * pow(abs({x}), {}))", signed(n - 1.0)),
            }
        }
        None => format!("pow({})", with_whole_powers(call.inside)),
    };
    format!("{before}{power}{after}")
}

fn signed(n: f64) -> String {
    if n < 0.0 { format!("(-{:.1})", -n) } else { format!("{n:.1}") }
}

/// Where the right-hand side jumps: the arguments of `heaviside` that contain nothing but the time `t` (the first variable), inputs and
/// numbers.
pub fn jumps(code: &str, inputs: &[Option<String>]) -> Vec<BoundExpr> {
    let clean = without_comments(code);
    let scope: Vec<String> = std::iter::once("t".into()).chain(inputs.iter().map(|name| name.clone().unwrap_or_default())).collect();
    let bound = |call: &Call| {
        let argument = Expr::parse(call.inside).ok()?;
        // DiffSL knows no constants, so that such a name is something else.
        let plain = !argument.has_constants() && argument.variables().contains(&"t".to_string());
        plain.then(|| argument.bind(&scope).ok()).flatten()
    };
    calls(&clean, "heaviside").iter().filter_map(bound).collect()
}

/// The zero of an argument that is linear in its first variable, the time, from `begin` to `end`; None where it has none.
pub fn zero(argument: &BoundExpr, values: &mut [f64], begin: f64, end: f64) -> Option<f64> {
    let mut at = |t: f64| {
        values[0] = t;
        argument.eval(values)
    };
    let (first, middle, last) = (at(begin), at(0.5 * (begin + end)), at(end));
    let slope = (last - first) / (end - begin);
    let linear = (first + last - 2.0 * middle).abs() <= 1e-10 * (first.abs() + last.abs());
    let near = begin - first / slope;
    // Again from near it, so that no digits are lost to the length of the interval.
    let zero = near - at(near) / slope;
    (linear && (begin..end).contains(&zero)).then_some(zero)
}

/// `name(inside)`, from `start` to `end` of the text.
struct Call<'t> {
    start: usize,
    end: usize,
    inside: &'t str,
}

/// Calls of a function, the outermost of nested ones first.
fn calls<'t>(text: &'t str, name: &str) -> Vec<Call<'t>> {
    let mut found = Vec::new();
    for (start, _) in text.match_indices(name) {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let rest = &text[start + name.len()..];
        let open = rest.len() - rest.trim_start().len();
        if text[..start].ends_with(word) || !rest[open..].starts_with('(') {
            continue;
        }
        let inside = start + name.len() + open + 1;
        let mut depth = 1;
        let close = text[inside..].char_indices().find(|(_, c)| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0
        });
        if let Some((length, _)) = close {
            found.push(Call { start, end: inside + length + 1, inside: &text[inside..inside + length] });
        }
    }
    found
}

/// Arguments between commas that are in no parentheses.
fn split(inside: &str) -> Vec<&str> {
    let mut depth = 0;
    inside
        .split(|c: char| {
            depth += i32::from(c == '(' || c == '[') - i32::from(c == ')' || c == ']');
            c == ',' && depth == 0
        })
        .collect()
}

/// The value of an expression of numbers.
fn constant(text: &str) -> Option<f64> {
    let expr = Expr::parse(text).ok()?;
    (expr.variables().is_empty() && !expr.has_constants()).then(|| Some(expr.bind(&[]).ok()?.eval(&[]))).flatten()
}

/// The same with blanks in place of comments.
fn without_comments(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        let ends = if rest[at..].starts_with("//") { rest[at..].find('\n') } else { rest[at..].find("*/").map(|k| k + 2) };
        out += &rest[..at];
        out.push(' ');
        rest = ends.map_or("", |k| &rest[at + k..]);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_powers_of_anything_are_rewritten_and_others_left() {
        for (code, expected) in [
            ("pow(v, 3)/3", "((v) * pow(abs(v), 2.0))/3"),
            ("pow(t - 48.5, 2)", "pow(abs(t - 48.5), 2.0)"),
            ("pow (x, -1)", "((x) * pow(abs(x), (-2.0)))"),
            ("pow(x, (2 + 1))", "((x) * pow(abs(x), 2.0))"),
            ("pow(x, 1)", "(x)"),
            ("pow(x, 0.5) + pow(x, n)", "pow(x, 0.5) + pow(x, n)"),
            ("pow(pow(x, 2) - 1, n)", "pow(pow(abs(x), 2.0) - 1, n)"),
            ("pow(max(a, b), 2) * mypow(x, 3)", "pow(abs(max(a, b)), 2.0) * mypow(x, 3)"),
            ("x /* pow(x, 3) */ + pow(y_i, 2.0) // pow(x, 3)", "x   + pow(abs(y_i), 2.0)  "),
        ] {
            assert_eq!(with_whole_powers(code), expected, "{code}");
        }
    }

    #[test]
    fn jumps_are_where_arguments_of_time_inputs_and_numbers_vanish() {
        let inputs = [Some("lag".to_string()), None, Some("k".to_string())];
        let code = "F_i { 5*heaviside(t - 48)*heaviside(lag + 2 - t) + heaviside(x - 1) + heaviside(k*(t - lag)) // heaviside(t - 9)\n }";
        let found = jumps(code, &inputs);
        let mut values = [0.0, 3.0, 0.0, -2.0];
        let zeros: Vec<f64> = found.iter().filter_map(|argument| zero(argument, &mut values, 0.0, 60.0)).collect();
        assert_eq!(zeros, [48.0, 5.0, 3.0]);
        assert_eq!(zero(&jumps("heaviside(t*t - 4)", &[])[0], &mut [0.0], 0.0, 60.0), None);
    }
}
