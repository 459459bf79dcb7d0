//! Expressions over columns: one tape for several outputs, run in blocks, with exact reverse-mode gradients.
//!
//! Every distinct subexpression is one node. What depends on columns alone is worked out once, when the tape
//! is built; what depends on parameters alone, once an evaluation; the rest block by block, so that a block of
//! every node stays in the cache. Reverse mode: Griewank & Walther, Evaluating Derivatives (2008), chapter 3.

use super::functions::{Fn1, Fn2};
use super::{Expr, ExprError, Op};
use crate::data::Table;
use std::collections::HashMap;
use std::ops::Range;

/// Rows are worked on in blocks of this many.
pub const BLOCK: usize = 256;

mod run;

pub use run::Run;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    /// The bits of a number.
    Number(u64),
    Parameter(usize),
    Column(usize),
    /// A column that is given anew at every evaluation.
    Input(usize),
    One(Fn1, usize),
    Two(Fn2, usize, usize),
    Where(usize, usize, usize),
}

/// What a node's value depends on, hence when it is worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// On columns (and numbers) only: a whole column, worked out when the tape is built.
    Fixed,
    /// On parameters (and numbers) only: one value an evaluation.
    Scalar,
    /// On both: a value a row, block by block.
    Rows,
}

/// A set of expressions over the columns of one table.
#[derive(Debug)]
pub struct Tape {
    nodes: Vec<Node>,
    kinds: Vec<Kind>,
    outputs: Vec<usize>,
    parameters: Vec<String>,
    /// A whole column for each `Kind::Fixed` node that is read later, else empty; index by node.
    columns: Vec<Vec<f64>>,
    /// Which block buffer a node has: every `Rows` node, and every `Scalar` that is read by rows.
    buffer: Vec<Option<usize>>,
    buffers: usize,
    rows: usize,
}

impl Tape {
    /// Names that are in `inputs` are columns given at every evaluation, names of columns of `table` are
    /// those columns, all other names are parameters.
    pub fn new(outputs: &[&Expr], table: &Table, inputs: &[&str]) -> Result<Tape, ExprError> {
        let names: Vec<String> = table.names().map(String::from).collect();
        let mut builder = Builder { table, inputs, nodes: Vec::new(), known: HashMap::new(), parameters: Vec::new() };
        let mut places = Vec::new();
        for expr in outputs {
            expr.refuse_constants_among(&names)?;
            places.push(builder.add(expr));
        }
        Ok(Tape::lay_out(builder, places))
    }

    /// Decides what is worked out when, and works out what depends on columns alone.
    fn lay_out(builder: Builder, outputs: Vec<usize>) -> Tape {
        let Builder { table, nodes, parameters, .. } = builder;
        let (count, rows) = (nodes.len(), table.rows());
        let kinds = Vec::with_capacity(count);
        let mut tape =
            Tape { nodes, kinds, outputs, parameters, columns: vec![Vec::new(); count], buffer: vec![None; count], buffers: 0, rows };
        for i in 0..count {
            let kind = tape.kind(tape.nodes[i]);
            tape.kinds.push(kind);
            tape.columns[i] = match tape.nodes[i] {
                Node::Column(c) => table.columns[c].1.clone(),
                node if kind == Kind::Fixed => (0..rows).map(|row| tape.value_at(node, row)).collect(),
                _ => Vec::new(),
            };
        }
        tape.keep_what_rows_read();
        tape
    }

    fn kind(&self, node: Node) -> Kind {
        let operands = node.operands();
        let is_number = |o: &usize| matches!(self.nodes[*o], Node::Number(_));
        match node {
            Node::Column(_) => Kind::Fixed,
            Node::Input(_) => Kind::Rows,
            _ if operands.iter().all(|&o| self.kinds[o] == Kind::Scalar) => Kind::Scalar,
            _ if operands.iter().all(|o| self.kinds[*o] == Kind::Fixed || is_number(o)) => Kind::Fixed,
            _ => Kind::Rows,
        }
    }

    /// The value of a node whose operands are columns and numbers.
    fn value_at(&self, node: Node, row: usize) -> f64 {
        let at = |operand: usize| match self.nodes[operand] {
            Node::Number(bits) => f64::from_bits(bits),
            _ => self.columns[operand][row],
        };
        match node {
            Node::Number(bits) => f64::from_bits(bits),
            Node::One(f, a) => f.value(at(a)),
            Node::Two(f, a, b) => f.value(at(a), at(b)),
            Node::Where(c, a, b) => at(if at(c) != 0.0 { a } else { b }),
            Node::Parameter(_) | Node::Column(_) | Node::Input(_) => f64::NAN, // never fixed by operands
        }
    }

    /// Gives out buffers, and forgets columns that nothing reads any more.
    fn keep_what_rows_read(&mut self) {
        let mut read = vec![false; self.nodes.len()];
        let readers = (0..self.nodes.len()).filter(|&i| self.kinds[i] == Kind::Rows);
        for node in readers.flat_map(|i| self.nodes[i].operands()).chain(self.outputs.iter().copied()) {
            read[node] = true;
        }
        for (i, read) in read.into_iter().enumerate() {
            if self.kinds[i] == Kind::Rows || (self.kinds[i] == Kind::Scalar && read) {
                self.buffer[i] = Some(self.buffers);
                self.buffers += 1;
            } else if !read {
                self.columns[i] = Vec::new();
            }
        }
    }

    /// Names that are neither columns nor inputs, in order of first use: the order of an evaluation's parameters.
    pub fn parameters(&self) -> &[String] {
        &self.parameters
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows of each block in turn; the last may be short.
    pub fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let rows = self.rows;
        (0..rows).step_by(BLOCK).map(move |start| start..rows.min(start + BLOCK))
    }
}

impl Node {
    fn operands(self) -> Vec<usize> {
        match self {
            Node::Number(_) | Node::Parameter(_) | Node::Column(_) | Node::Input(_) => Vec::new(),
            Node::One(_, a) => vec![a],
            Node::Two(_, a, b) => vec![a, b],
            Node::Where(c, a, b) => vec![c, a, b],
        }
    }
}

/// Turns postfix programs into nodes, each distinct one once.
struct Builder<'a> {
    table: &'a Table,
    inputs: &'a [&'a str],
    nodes: Vec<Node>,
    known: HashMap<Node, usize>,
    parameters: Vec<String>,
}

impl Builder<'_> {
    fn add(&mut self, expr: &Expr) -> usize {
        let mut stack: Vec<usize> = Vec::new();
        for op in &expr.code {
            let operands = stack.split_off(stack.len() - op.arity());
            let node = match (*op, &operands[..]) {
                (Op::Number(x), _) => Node::Number(x.to_bits()),
                (Op::Variable(i), _) => self.leaf(&expr.variables[i].0),
                (Op::One(f), [a]) => Node::One(f, *a),
                (Op::Two(f), [a, b]) => Node::Two(f, *a, *b),
                (_, operands) => Node::Where(operands[0], operands[1], operands[2]),
            };
            stack.push(self.node(node));
        }
        stack[0]
    }

    fn leaf(&mut self, name: &str) -> Node {
        if let Some(i) = self.inputs.iter().position(|input| *input == name) {
            return Node::Input(i);
        }
        if let Some(c) = self.table.names().position(|column| column == name) {
            return Node::Column(c);
        }
        let known = self.parameters.iter().position(|p| p == name);
        Node::Parameter(known.unwrap_or_else(|| {
            self.parameters.push(name.into());
            self.parameters.len() - 1
        }))
    }

    fn node(&mut self, node: Node) -> usize {
        *self.known.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::tree_sum;

    const ROWS: usize = 700;

    fn table() -> Table {
        let column = |f: fn(f64) -> f64| (0..ROWS).map(|i| f(i as f64 / ROWS as f64)).collect();
        let columns = vec![("x".into(), column(|t| 0.2 + 2.0 * t)), ("w".into(), column(|t| 1.0 + (7.0 * t).sin() / 2.0))];
        Table { source: "test".into(), columns }
    }

    /// Sum over all rows and its gradient.
    fn evaluate(tape: &Tape, parameters: &[f64]) -> (f64, Vec<f64>) {
        let (mut run, mut sums) = (tape.start(), Vec::new());
        run.set(parameters);
        for rows in tape.blocks() {
            let ones = vec![1.0; rows.len()];
            run.forward(rows, &[]);
            sums.push(crate::expr::block_sum(run.output(0)));
            run.seed(0, &ones);
            run.backward();
        }
        let mut gradient = vec![0.0; parameters.len()];
        run.gradient(&mut gradient);
        (tree_sum(&mut sums), gradient)
    }

    const FORMULAS: [&str; 8] = [
        "a*exp(-x/b) + c",
        "a*x^b + c^2*w",
        "where(x > 1, a*x, b*x^2) - min(c*x, w)*max(a, x, 1)",
        "where(x > 9, sqrt(a - 100), b)*c",
        "atan2(a*x, w) + hypot(b, x)/c - tanh(a*x)*erf(b*w)",
        "lgamma(a + x) + gamma(b)*log10(c + w) + cbrt(x*a)",
        "a + b*c",
        "x*w*2 + 1 + 0*a*b*c",
    ];

    #[test]
    fn values_over_columns_are_those_of_single_numbers_bit_for_bit() {
        let (table, parameters) = (table(), [1.3, 0.7, 2.1]);
        for text in FORMULAS {
            let expr = Expr::parse(text).unwrap();
            let tape = Tape::new(&[&expr], &table, &[]).unwrap();
            let mut run = tape.start();
            let values: Vec<f64> = tape.parameters().iter().map(|p| parameters[usize::from(p.as_bytes()[0] - b'a')]).collect();
            run.set(&values);
            let bound = expr.bind(&["a", "b", "c", "x", "w"].map(String::from)).unwrap();
            for rows in tape.blocks() {
                run.forward(rows.clone(), &[]);
                for (value, row) in run.output(0).iter().zip(rows) {
                    let [a, b, c] = parameters;
                    let single = bound.eval(&[a, b, c, table.columns[0].1[row], table.columns[1].1[row]]);
                    assert_eq!(value.to_bits(), single.to_bits(), "{text} at row {row}");
                }
            }
        }
    }

    #[test]
    fn gradients_agree_with_central_differences() {
        for text in FORMULAS {
            let tape = Tape::new(&[&Expr::parse(text).unwrap()], &table(), &[]).unwrap();
            let mut at: Vec<f64> = tape
                .parameters()
                .iter()
                .map(|p| {
                    if p == "a" {
                        1.3003
                    } else if p == "b" {
                        0.7
                    } else {
                        2.1
                    }
                })
                .collect();
            let gradient = evaluate(&tape, &at).1;
            for i in 0..at.len() {
                let x = at[i];
                at[i] = x + 1e-6;
                let above = evaluate(&tape, &at).0;
                at[i] = x - 1e-6;
                let below = evaluate(&tape, &at).0;
                at[i] = x;
                let numeric = (above - below) / 2e-6;
                assert!(
                    (gradient[i] - numeric).abs() < 1e-5 * (1.0 + numeric.abs()),
                    "{text}, {}: {} against {numeric}",
                    tape.parameters()[i],
                    gradient[i]
                );
            }
        }
    }

    #[test]
    fn equal_parts_are_one_node_and_parts_of_columns_alone_are_done_beforehand() {
        let parse = |text| Expr::parse(text).unwrap();
        let tape = Tape::new(&[&parse("a*exp(x*w)"), &parse("b*exp(x*w)")], &table(), &[]).unwrap();
        assert_eq!(tape.nodes.len(), 8); // x w x*w exp a a*exp b b*exp
        assert_eq!(tape.columns.iter().filter(|c| !c.is_empty()).count(), 1);
        assert_eq!(tape.kinds.iter().filter(|k| **k == Kind::Rows).count(), 2);
        let scalar = Tape::new(&[&parse("x*(sin(a)*b)")], &table(), &[]).unwrap();
        assert_eq!(scalar.kinds.iter().filter(|k| **k == Kind::Rows).count(), 1);
    }

    #[test]
    fn inputs_are_columns_given_at_each_evaluation() {
        let tape = Tape::new(&[&Expr::parse("m*x + s").unwrap()], &table(), &["m"]).unwrap();
        assert_eq!(tape.parameters(), ["s"]);
        let mut run = tape.start();
        for shift in [0.0, 5.0] {
            let m: Vec<f64> = (0..ROWS).map(|i| i as f64 + shift).collect();
            run.set(&[0.5]);
            run.forward(256..512, &[&m]);
            assert_eq!(run.output(0)[3], (259.0 + shift) * table().columns[0].1[259] + 0.5);
        }
    }
}
