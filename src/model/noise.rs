//! How data scatter about a prediction: independent normal or log-normal noise of any sigma.
//!
//! The log density of one row is itself an expression, -((y - m) / s)^2 / 2 - ln s, so that one tape gives
//! likelihood and exact gradient, and works out beforehand whatever does not depend on parameters.

use super::simulate::scatter;
use super::{ModelError, Noise, Sigma};
use crate::data::Table;
use crate::expr::{Expr, Fn1, Fn2, Run, Tape, nearest, tree_sum};
use crate::task::EvalError;
use rand_chacha::ChaCha8Rng;

pub(super) const LN_2PI: f64 = 1.8378770664093453;

/// The likelihood of one column of data under a prediction with independent noise.
#[derive(Debug)]
pub(super) struct Independent {
    /// Outputs: the row's log density less its constant part; the prediction; sigma.
    pub tape: Tape,
    noise: Noise,
    /// Part of the log-likelihood that nothing changes.
    constant: f64,
}

/// The outputs of the tape.
const TERM: usize = 0;
const PREDICTION: usize = 1;
const SIGMA: usize = 2;

impl Independent {
    /// `prediction` may name columns of `table`, `inputs` (columns given at each evaluation) and parameters.
    /// Errors name the keys `y_key` and `sigma_key`; `keys` are above them.
    pub fn new(
        prediction: &Expr,
        (y, y_key): (&str, &[&str]),
        noise: Noise,
        (sigma, sigma_key): (&Sigma, &[&str]),
        table: &Table,
        inputs: &[&str],
    ) -> Result<Independent, ModelError> {
        let observed = observed(y, noise, table, y_key)?;
        let sigma = sigma_expression(sigma, sigma_key, table)?;
        let scaled = residual(y, prediction, noise).two(Fn2::Div, &sigma);
        let term = scaled.one(Fn1::Powi(2)).two(Fn2::Mul, &Expr::number(-0.5)).two(Fn2::Sub, &sigma.clone().one(Fn1::Ln));
        let tape = Tape::new(&[&term, prediction, &sigma], table, inputs).map_err(|e| ModelError::expression(sigma_key, e))?;
        let constant = -0.5 * LN_2PI * table.rows() as f64 + log_jacobian(observed, noise);
        Ok(Independent { tape, noise, constant })
    }

    /// Log-likelihood at the parameters of `run.set`, and, if asked for, its gradient by them.
    pub fn log_like(&self, run: &mut Run, inputs: &[&[f64]], gradient: Option<&mut [f64]>) -> Result<f64, EvalError> {
        let mut sums = Vec::new();
        for rows in self.tape.blocks() {
            let start = rows.start;
            run.forward(rows, inputs);
            let sum = crate::expr::block_sum(run.output(TERM));
            if !sum.is_finite() {
                self.explain(run, start)?;
            }
            sums.push(sum);
            if gradient.is_some() {
                let ones = [1.0; crate::expr::BLOCK];
                let width = run.output(TERM).len();
                run.seed(TERM, &ones[..width]);
                run.backward();
            }
        }
        if let Some(gradient) = gradient {
            run.gradient(gradient);
        }
        Ok(tree_sum(&mut sums) + self.constant)
    }

    /// Sum of ((y - m) / sigma)^2, of logarithms for log-normal noise, at the parameters of `run.set`.
    pub fn chi_squared(&self, run: &mut Run, inputs: &[&[f64]]) -> Result<f64, EvalError> {
        let mut sums = Vec::new();
        for rows in self.tape.blocks() {
            let start = rows.start;
            run.forward(rows, inputs);
            self.explain(run, start)?;
            let squares = run.output(TERM).iter().zip(run.output(SIGMA)).map(|(term, sigma)| -2.0 * (term + libm::log(*sigma)));
            sums.push(squares.sum());
        }
        Ok(tree_sum(&mut sums))
    }

    /// Sum of squared differences of two predictions (of their logarithms, for log-normal noise) over the sigmas of the first.
    pub fn squared_distance(&self, run: &mut Run, one: &[f64], other: &[f64]) -> Result<f64, EvalError> {
        let mut sums = Vec::new();
        for rows in self.tape.blocks() {
            run.forward(rows.clone(), &[one]);
            self.explain(run, rows.start)?;
            check_prediction(&other[rows.clone()], rows.start, self.noise)?;
            let apart = |(a, b): (&f64, &f64)| match self.noise {
                Noise::Normal => a - b,
                Noise::LogNormal => libm::log(a / b),
            };
            let pairs = one[rows.clone()].iter().zip(&other[rows]);
            sums.push(pairs.zip(run.output(SIGMA)).map(|(pair, sigma)| (apart(pair) / sigma).powi(2)).sum());
        }
        Ok(tree_sum(&mut sums))
    }

    /// Data about the prediction at the parameters of `run.set`.
    pub fn draw(&self, run: &mut Run, inputs: &[&[f64]], rng: &mut ChaCha8Rng) -> Result<Vec<f64>, EvalError> {
        let mut values = Vec::with_capacity(self.tape.rows());
        for rows in self.tape.blocks() {
            let start = rows.start;
            run.forward(rows, inputs);
            self.explain(run, start)?;
            values.extend(scatter(self.noise, start, run.output(PREDICTION), run.output(SIGMA), rng)?);
        }
        Ok(values)
    }

    /// A density that is not finite is impossible for a reason that can be told, or else a value to pass on.
    fn explain(&self, run: &Run, start: usize) -> Result<(), EvalError> {
        for (k, sigma) in run.output(SIGMA).iter().enumerate() {
            if sigma.is_nan() || *sigma <= 0.0 {
                let row = start + k + 1;
                return Err(EvalError::Reject(format!("sigma is {sigma:e} at row {row} of the data: it must be positive")));
            }
        }
        check_prediction(run.output(PREDICTION), start, self.noise)
    }
}

/// Log-normal noise is about a positive prediction. `start` is the row of the data where these begin.
pub(super) fn check_prediction(predictions: &[f64], start: usize, noise: Noise) -> Result<(), EvalError> {
    match predictions.iter().position(|m| *m <= 0.0) {
        Some(k) if noise == Noise::LogNormal => {
            let (model, row) = (predictions[k], start + k + 1);
            let why = "log-normal noise needs a positive one";
            Err(EvalError::Reject(format!("the prediction is {model:e} at row {row} of the data: {why}")))
        }
        _ => Ok(()),
    }
}

/// y - m, or ln y - ln m.
pub(super) fn residual(y: &str, prediction: &Expr, noise: Noise) -> Expr {
    match noise {
        Noise::Normal => Expr::variable(y).two(Fn2::Sub, prediction),
        Noise::LogNormal => Expr::variable(y).one(Fn1::Ln).two(Fn2::Sub, &prediction.clone().one(Fn1::Ln)),
    }
}

/// The column of data, which must be positive for log-normal noise.
pub(super) fn observed<'t>(y: &str, noise: Noise, table: &'t Table, key: &[&str]) -> Result<&'t [f64], ModelError> {
    let column = column(y, table, key)?;
    match column.iter().position(|v| *v <= 0.0) {
        Some(row) if noise == Noise::LogNormal => {
            let message = format!("`{y}` is {} at row {} of {}", column[row], row + 1, table.source);
            Err(ModelError::new(key, message).help("log-normal noise needs positive data: leave such rows out, or use noise = \"normal\""))
        }
        _ => Ok(column),
    }
}

pub(super) fn column<'t>(name: &str, table: &'t Table, key: &[&str]) -> Result<&'t [f64], ModelError> {
    table.column(name).ok_or_else(|| {
        let hint = nearest(name, table.names()).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
        let names = table.names().collect::<Vec<_>>().join(", ");
        ModelError::new(key, format!("{} has no column `{name}`", table.source)).help(format!("{hint}its columns: {names}"))
    })
}

/// d ln y / dy of log-normal densities: the density is one of y, not of ln y.
pub(super) fn log_jacobian(observed: &[f64], noise: Noise) -> f64 {
    match noise {
        Noise::Normal => 0.0,
        Noise::LogNormal => -tree_sum(&mut observed.iter().map(|y| libm::log(*y)).collect()),
    }
}

fn sigma_expression(sigma: &Sigma, key: &[&str], table: &Table) -> Result<Expr, ModelError> {
    match sigma {
        Sigma::Number(value) if value.is_finite() && *value > 0.0 => Ok(Expr::number(*value)),
        Sigma::Number(value) => Err(ModelError::new(key, format!("sigma is {value}: it must be positive"))),
        Sigma::Expression(text) => {
            if let Some(column) = table.column(text)
                && let Some(row) = column.iter().position(|v| *v <= 0.0)
            {
                let message = format!("the sigma column `{text}` is {} at row {}: it must be positive", column[row], row + 1);
                return Err(ModelError::new(key, message));
            }
            // a column may have any name, such as `err [mJy]`
            let named = table.column(text).map(|_| Ok(Expr::variable(text)));
            named.unwrap_or_else(|| Expr::parse(text)).map_err(|e| ModelError::expression(key, e))
        }
    }
}
