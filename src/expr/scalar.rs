//! An expression on single numbers: a postfix program run on a small stack.

use super::{Expr, Op};

/// An expression whose variables are places in an array of values.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundExpr {
    /// `Op::Variable` holds the place in the values.
    code: Vec<Op>,
    depth: usize,
}

/// Deeper programs than this take their stack from the heap.
const ON_STACK: usize = 16;

impl BoundExpr {
    /// `places[i]` is where the i-th variable of `expr` stands among the values.
    pub(super) fn new(expr: &Expr, places: &[usize]) -> BoundExpr {
        let mut code = expr.code.clone();
        let (mut height, mut depth) = (0usize, 0usize);
        for op in &mut code {
            height = height + 1 - op.arity();
            if let Op::Variable(i) = op {
                *i = places[*i];
            }
            depth = depth.max(height);
        }
        BoundExpr { code, depth }
    }

    /// The value at `values`, which are in the order of the names given to [`Expr::bind`].
    /// Domain faults give NaN or infinities as in IEEE arithmetic.
    pub fn eval(&self, values: &[f64]) -> f64 {
        if self.depth <= ON_STACK { self.run(values, &mut [0.0; ON_STACK]) } else { self.run(values, &mut vec![0.0; self.depth]) }
    }

    fn run(&self, values: &[f64], stack: &mut [f64]) -> f64 {
        let mut top = 0; // first free place
        for op in &self.code {
            match *op {
                Op::Number(x) => {
                    stack[top] = x;
                    top += 1;
                }
                Op::Variable(i) => {
                    stack[top] = values[i];
                    top += 1;
                }
                Op::One(f) => stack[top - 1] = f.value(stack[top - 1]),
                Op::Two(f) => {
                    top -= 1;
                    stack[top - 1] = f.value(stack[top - 1], stack[top]);
                }
                Op::Where => {
                    top -= 2;
                    let chosen = if stack[top - 1] != 0.0 { stack[top] } else { stack[top + 1] };
                    stack[top - 1] = chosen;
                }
            }
        }
        stack[0]
    }
}
