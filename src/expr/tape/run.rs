//! One thread's evaluation of a tape: parameters, then each block forward, and backward for gradients.

use super::{BLOCK, Kind, Node, Tape};
use crate::expr::functions::{Fn1, Fn2};
use crate::expr::sum::block_sum;
use std::ops::Range;

type Block = [f64; BLOCK];

/// Working storage: [`Run::set`] once an evaluation, then [`Run::forward`] for a block and, for gradients,
/// [`Run::seed`] and [`Run::backward`] for the same block, and [`Run::gradient`] at the end.
/// The order of blocks is the caller's, and decides the bits: use [`Tape::blocks`].
pub struct Run<'a> {
    tape: &'a Tape,
    /// Value of each scalar node.
    scalars: Vec<f64>,
    /// d result / d scalar node, summed over the blocks done so far.
    scalar_adjoints: Vec<f64>,
    values: Vec<Block>,
    adjoints: Vec<Block>,
    rows: Range<usize>,
}

impl Tape {
    /// Working storage for one thread.
    pub fn start(&self) -> Run<'_> {
        Run {
            tape: self,
            scalars: vec![0.0; self.nodes.len()],
            scalar_adjoints: vec![0.0; self.nodes.len()],
            values: vec![[0.0; BLOCK]; self.buffers],
            adjoints: vec![[0.0; BLOCK]; self.buffers],
            rows: 0..0,
        }
    }
}

impl Run<'_> {
    /// Starts an evaluation at these parameters (in the order of [`Tape::parameters`]).
    pub fn set(&mut self, parameters: &[f64]) {
        self.scalar_adjoints.fill(0.0);
        let width = self.tape.rows.min(BLOCK);
        for (i, node) in self.tape.nodes.iter().enumerate() {
            if self.tape.kinds[i] != Kind::Scalar {
                continue;
            }
            let at = |operand: usize| self.scalars[operand];
            self.scalars[i] = match *node {
                Node::Number(bits) => f64::from_bits(bits),
                Node::Parameter(p) => parameters[p],
                Node::One(f, a) => f.value(at(a)),
                Node::Two(f, a, b) => f.value(at(a), at(b)),
                Node::Where(c, a, b) => at(if at(c) != 0.0 { a } else { b }),
                Node::Column(_) | Node::Input(_) => continue,
            };
            if let Some(buffer) = self.tape.buffer[i] {
                self.values[buffer][..width].fill(self.scalars[i]);
            }
        }
    }

    /// Works out all nodes for these rows (at most [`BLOCK`]). `inputs` are whole columns.
    pub fn forward(&mut self, rows: Range<usize>, inputs: &[&[f64]]) {
        let width = rows.len();
        self.rows = rows;
        let tape = self.tape;
        for (i, node) in tape.nodes.iter().enumerate() {
            let (Kind::Rows, Some(buffer)) = (tape.kinds[i], tape.buffer[i]) else { continue };
            // operands come earlier, so their buffers do
            let (earlier, later) = self.values.split_at_mut(buffer);
            let out = &mut later[0][..width];
            let operand = |node: usize| operand(tape, earlier, &self.rows, node);
            match *node {
                Node::Input(k) => out.copy_from_slice(&inputs[k][self.rows.clone()]),
                Node::One(f, a) => forward_one(f, operand(a), out),
                Node::Two(f, a, b) => forward_two(f, operand(a), operand(b), out),
                Node::Where(c, a, b) => {
                    let (c, a, b) = (operand(c), operand(a), operand(b));
                    for (k, y) in out.iter_mut().enumerate() {
                        *y = if c[k] != 0.0 { a[k] } else { b[k] };
                    }
                }
                Node::Number(_) | Node::Parameter(_) | Node::Column(_) => {}
            }
        }
    }

    /// Values of an output for the rows of the last [`Run::forward`].
    pub fn output(&self, output: usize) -> &[f64] {
        operand(self.tape, &self.values, &self.rows, self.tape.outputs[output])
    }

    /// Prepares to go backward through the block of the last [`Run::forward`]: `seed` holds
    /// d result / d output for its rows. The other outputs have no part in the result.
    pub fn seed(&mut self, output: usize, seed: &[f64]) {
        let width = self.rows.len();
        self.adjoints.iter_mut().for_each(|a| a[..width].fill(0.0));
        let node = self.tape.outputs[output];
        match self.tape.kinds[node] {
            Kind::Fixed => {}
            Kind::Scalar => self.scalar_adjoints[node] += block_sum(seed),
            Kind::Rows => {
                if let Some(buffer) = self.tape.buffer[node] {
                    self.adjoints[buffer][..width].copy_from_slice(seed);
                }
            }
        }
    }

    /// Passes the seeds of the block on to the scalars.
    pub fn backward(&mut self) {
        let (tape, width) = (self.tape, self.rows.len());
        let mut slopes = [0.0; BLOCK];
        for (i, node) in tape.nodes.iter().enumerate().rev() {
            let (Kind::Rows, Some(buffer)) = (tape.kinds[i], tape.buffer[i]) else { continue };
            let adjoint: Block = self.adjoints[buffer];
            let (adjoint, slopes) = (&adjoint[..width], &mut slopes[..width]);
            let y = &self.values[buffer][..width];
            let x = |node: usize| operand(tape, &self.values, &self.rows, node);
            match *node {
                Node::One(f, a) => {
                    backward_one(f, x(a), y, adjoint, slopes);
                    self.pass_on(a, slopes);
                }
                Node::Two(f, a, b) => {
                    if tape.kinds[a] != Kind::Fixed {
                        backward_two(f, true, x(a), x(b), y, adjoint, slopes);
                        self.pass_on(a, slopes);
                    }
                    if tape.kinds[b] != Kind::Fixed {
                        let x = |node: usize| operand(tape, &self.values, &self.rows, node);
                        let y = &self.values[buffer][..width];
                        backward_two(f, false, x(a), x(b), y, adjoint, slopes);
                        self.pass_on(b, slopes);
                    }
                }
                Node::Where(c, a, b) => {
                    for (branch, side) in [(a, true), (b, false)] {
                        let condition = operand(tape, &self.values, &self.rows, c);
                        for (k, slope) in slopes.iter_mut().enumerate() {
                            *slope = if (condition[k] != 0.0) == side { adjoint[k] } else { 0.0 };
                        }
                        self.pass_on(branch, slopes);
                    }
                }
                Node::Input(_) | Node::Number(_) | Node::Parameter(_) | Node::Column(_) => {}
            }
        }
    }

    fn pass_on(&mut self, node: usize, adjoints: &[f64]) {
        match (self.tape.kinds[node], self.tape.buffer[node]) {
            (Kind::Scalar, _) => self.scalar_adjoints[node] += block_sum(adjoints),
            (Kind::Rows, Some(buffer)) => {
                for (sum, adjoint) in self.adjoints[buffer].iter_mut().zip(adjoints) {
                    *sum += adjoint;
                }
            }
            _ => {}
        }
    }

    /// d result / d parameter of all blocks gone backward since [`Run::set`], into `gradient`
    /// (in the order of [`Tape::parameters`]).
    pub fn gradient(&mut self, gradient: &mut [f64]) {
        gradient.fill(0.0);
        for (i, node) in self.tape.nodes.iter().enumerate().rev() {
            if self.tape.kinds[i] != Kind::Scalar {
                continue;
            }
            let (adjoint, y) = (self.scalar_adjoints[i], self.scalars[i]);
            let x = |node: usize| self.scalars[node];
            match *node {
                Node::Parameter(p) => gradient[p] += adjoint,
                Node::One(f, a) => self.scalar_adjoints[a] += times(adjoint, f.slope(x(a), y)),
                Node::Two(f, a, b) => {
                    let (by_a, by_b) = (f.by_first(x(a), x(b), y), f.by_second(x(a), x(b), y));
                    self.scalar_adjoints[a] += times(adjoint, by_a);
                    self.scalar_adjoints[b] += times(adjoint, by_b);
                }
                Node::Where(c, a, b) => {
                    let branch = if x(c) != 0.0 { a } else { b };
                    self.scalar_adjoints[branch] += adjoint;
                }
                Node::Number(_) | Node::Column(_) | Node::Input(_) => {}
            }
        }
    }
}

/// The values of a node for these rows.
fn operand<'v>(tape: &'v Tape, values: &'v [Block], rows: &Range<usize>, node: usize) -> &'v [f64] {
    match tape.buffer[node] {
        Some(buffer) => &values[buffer][..rows.len()],
        None => &tape.columns[node][rows.clone()],
    }
}

/// A product in which nothing times an infinite slope is nothing (a branch of `where` not taken).
#[inline(always)]
fn times(adjoint: f64, slope: f64) -> f64 {
    if adjoint == 0.0 { 0.0 } else { adjoint * slope }
}

/// The commonest operations get loops of their own, which become SIMD code; the bits are the same.
macro_rules! specialise {
    ($f:expr, $kind:ident::[$($common:ident $(($n:literal))?),*], $work:expr) => {
        match $f {
            $($kind::$common $(($n))? => $work($kind::$common $(($n))?),)*
            other => $work(other),
        }
    };
}

fn forward_one(f: Fn1, a: &[f64], out: &mut [f64]) {
    specialise!(f, Fn1::[Neg, Exp, Powi(2), Abs, Sqrt], |f: Fn1| {
        for (y, a) in out.iter_mut().zip(a) {
            *y = f.value(*a);
        }
    });
}

fn forward_two(f: Fn2, a: &[f64], b: &[f64], out: &mut [f64]) {
    specialise!(f, Fn2::[Add, Sub, Mul, Div], |f: Fn2| {
        for ((y, a), b) in out.iter_mut().zip(a).zip(b) {
            *y = f.value(*a, *b);
        }
    });
}

fn backward_one(f: Fn1, a: &[f64], y: &[f64], adjoint: &[f64], out: &mut [f64]) {
    specialise!(f, Fn1::[Neg, Exp, Powi(2), Abs, Sqrt], |f: Fn1| {
        for (((out, a), y), adjoint) in out.iter_mut().zip(a).zip(y).zip(adjoint) {
            *out = times(*adjoint, f.slope(*a, *y));
        }
    });
}

fn backward_two(f: Fn2, first: bool, a: &[f64], b: &[f64], y: &[f64], adjoint: &[f64], out: &mut [f64]) {
    specialise!(f, Fn2::[Add, Sub, Mul, Div], |f: Fn2| {
        for ((((out, a), b), y), adjoint) in out.iter_mut().zip(a).zip(b).zip(y).zip(adjoint) {
            *out = times(*adjoint, if first { f.by_first(*a, *b, *y) } else { f.by_second(*a, *b, *y) });
        }
    });
}
