//! `kind = "curve"`: a formula over columns of data, with independent or correlated noise.

use super::noise::{Independent, LN_2PI, check_prediction, log_jacobian, observed, residual};
use super::simulate::{checked, circular, replaced};
use super::spec::table_of;
use super::{Columns, CurveSpec, Density, Files, Model, ModelError, Noise, Simulator, positions};
use crate::data::Table;
use crate::expr::{Expr, Run, Tape};
use crate::random::fill_normal;
use crate::task::EvalError;
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use rand_chacha::ChaCha8Rng;

/// A curve through data.
struct Curve {
    likelihood: Likelihood,
    fingerprint: Vec<u8>,
    recipe: Recipe,
}

/// What it was made of, to make it again with other data.
#[derive(Clone)]
struct Recipe {
    spec: CurveSpec,
    table: Table,
    covariance: Option<Table>,
}

enum Likelihood {
    Independent(Independent),
    Correlated(Correlated),
}

/// Multivariate normal residuals.
struct Correlated {
    /// Outputs: the residual, the prediction.
    tape: Tape,
    noise: Noise,
    factor: Cholesky<f64, Dyn>,
    /// -ln det(2 pi C) / 2, and for log-normal noise the Jacobian.
    constant: f64,
}

pub(super) fn build(spec: &CurveSpec, files: &Files) -> Result<Box<dyn Model>, ModelError> {
    let table = spec.data.table(files)?;
    let covariance = spec.covariance.as_ref().map(|path| table_of("covariance", path, files)).transpose()?;
    make(Recipe { spec: spec.clone(), table, covariance })
}

fn make(recipe: Recipe) -> Result<Box<dyn Model>, ModelError> {
    let Recipe { spec, table, covariance } = &recipe;
    let formula = Expr::parse(&spec.formula).map_err(|e| ModelError::expression(&["formula"], e))?;
    if formula.variables().contains(&spec.y) {
        let message = format!("the formula contains `{}`, the column it is to predict", spec.y);
        return Err(ModelError::new(&["formula"], message));
    }
    // also finds names that are constants and columns at once, at the right key
    Tape::new(&[&formula], table, &[]).map_err(|e| ModelError::expression(&["formula"], e))?;
    let mut fingerprint = fingerprint(spec, table);
    let likelihood = match (&spec.sigma, covariance) {
        (Some(sigma), None) => {
            let y = (spec.y.as_str(), &["y"][..]);
            Likelihood::Independent(Independent::new(&formula, y, spec.noise, (sigma, &["sigma"]), table, &[])?)
        }
        (None, Some(matrix)) => {
            matrix.columns.iter().for_each(|(_, values)| push_numbers(&mut fingerprint, values));
            Likelihood::Correlated(Correlated::new(&formula, spec, table, matrix)?)
        }
        (None, None) => {
            let help = "give sigma (a number, a column, a parameter or an expression) or covariance (a file)";
            return Err(ModelError::new(&[], "the noise of the data is not given").help(help));
        }
        (Some(_), Some(_)) => return Err(ModelError::new(&["covariance"], "sigma and covariance are both given; one is enough")),
    };
    Ok(Box::new(Curve { likelihood, fingerprint, recipe }))
}

/// Everything of the description that changes values.
fn fingerprint(spec: &CurveSpec, table: &Table) -> Vec<u8> {
    let mut bytes = format!("curve {:?} {:?} {:?} {:?}", spec.y, spec.formula, spec.noise, spec.sigma).into_bytes();
    for (name, values) in &table.columns {
        bytes.extend_from_slice(name.as_bytes());
        push_numbers(&mut bytes, values);
    }
    bytes
}

pub(super) fn push_numbers(bytes: &mut Vec<u8>, values: &[f64]) {
    bytes.extend_from_slice(&(values.len() as u64).to_le_bytes());
    values.iter().for_each(|v| bytes.extend_from_slice(&v.to_le_bytes()));
}

impl Correlated {
    fn new(formula: &Expr, spec: &CurveSpec, table: &Table, matrix: &Table) -> Result<Correlated, ModelError> {
        let y = observed(&spec.y, spec.noise, table, &["y"])?;
        let n = table.rows();
        if matrix.rows() != n {
            let size = matrix.rows();
            return Err(ModelError::new(&["covariance"], format!("the matrix is {size} x {size}, the data have {n} rows")));
        }
        let matrix = DMatrix::from_fn(n, n, |i, j| matrix.columns[j].1[i]);
        check_symmetric(&matrix)?;
        let factor = Cholesky::new(matrix).ok_or_else(|| {
            let help =
                "it needs positive variances and no row that is a sum of others; adding a small variance to the diagonal often helps";
            ModelError::new(&["covariance"], "the matrix is not positive definite (its Cholesky factor does not exist)").help(help)
        })?;
        let log_det: f64 = factor.l_dirty().diagonal().iter().map(|v| 2.0 * libm::log(*v)).sum();
        let constant = -0.5 * (log_det + n as f64 * LN_2PI) + log_jacobian(y, spec.noise);
        let tape = Tape::new(&[&residual(&spec.y, formula, spec.noise), formula], table, &[]);
        let tape = tape.map_err(|e| ModelError::expression(&["formula"], e))?;
        Ok(Correlated { tape, noise: spec.noise, factor, constant })
    }

    /// -r' C^-1 r / 2 + constant; its slope by the residuals is -C^-1 r, which goes backward through the tape.
    fn log_like(&self, run: &mut Run, gradient: Option<&mut [f64]>) -> Result<f64, EvalError> {
        let mut residuals = DVector::zeros(self.tape.rows());
        for rows in self.tape.blocks() {
            run.forward(rows.clone(), &[]);
            check_prediction(run.output(1), rows.start, self.noise)?;
            residuals.as_mut_slice()[rows].copy_from_slice(run.output(0));
        }
        let weighted = self.factor.solve(&residuals);
        if let Some(gradient) = gradient {
            let seeds: Vec<f64> = weighted.iter().map(|w| -w).collect();
            for rows in self.tape.blocks() {
                run.forward(rows.clone(), &[]);
                run.seed(0, &seeds[rows]);
                run.backward();
            }
            run.gradient(gradient);
        }
        Ok(-0.5 * residuals.dot(&weighted) + self.constant)
    }

    /// m + L z, with C = L L', or exp of that about ln m.
    fn draw(&self, run: &mut Run, rng: &mut ChaCha8Rng) -> Result<Vec<f64>, EvalError> {
        let mut deviates = DVector::zeros(self.tape.rows());
        fill_normal(rng, deviates.as_mut_slice());
        let noise = self.factor.l() * deviates;
        let mut values = noise.as_slice().to_vec();
        for rows in self.tape.blocks() {
            run.forward(rows.clone(), &[]);
            check_prediction(run.output(1), rows.start, self.noise)?;
            values[rows].iter_mut().zip(run.output(1)).for_each(|(y, m)| match self.noise {
                Noise::Normal => *y += m,
                Noise::LogNormal => *y = m * libm::exp(*y),
            });
        }
        checked(0, values)
    }
}

fn check_symmetric(matrix: &DMatrix<f64>) -> Result<(), ModelError> {
    for i in 0..matrix.nrows() {
        for j in 0..i {
            let (a, b) = (matrix[(i, j)], matrix[(j, i)]);
            if (a - b).abs() > 1e-8 * (matrix[(i, i)] * matrix[(j, j)]).abs().sqrt() {
                let message =
                    format!("the matrix is not symmetric: row {} column {} is {a}, row {} column {} is {b}", i + 1, j + 1, j + 1, i + 1);
                return Err(ModelError::new(&["covariance"], message));
            }
        }
    }
    Ok(())
}

impl Curve {
    fn tape(&self) -> &Tape {
        match &self.likelihood {
            Likelihood::Independent(it) => &it.tape,
            Likelihood::Correlated(it) => &it.tape,
        }
    }
}

impl Model for Curve {
    fn parameters(&self) -> Vec<String> {
        self.tape().parameters().to_vec()
    }

    fn bind(&self, names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        let places = positions(self.tape().parameters(), names)?;
        let values = vec![0.0; places.len()];
        Ok(Box::new(Bound { curve: self, run: self.tape().start(), slopes: values.clone(), values, places }))
    }

    fn has_gradient(&self) -> bool {
        true
    }

    fn simulator(&self) -> Result<&dyn Simulator, String> {
        let sigma = self.recipe.spec.sigma.as_ref();
        sigma.map_or(Ok(()), |sigma| circular(sigma, &[&self.recipe.spec.y]))?;
        Ok(self)
    }

    fn observed(&self) -> Columns {
        let y = &self.recipe.spec.y;
        self.recipe.table.column(y).map(|values| (y.clone(), values.to_vec())).into_iter().collect()
    }

    fn fingerprint(&self) -> Vec<u8> {
        self.fingerprint.clone()
    }
}

impl Simulator for Curve {
    fn draw(&self, names: &[String], theta: &[f64], rng: &mut ChaCha8Rng) -> Result<Columns, EvalError> {
        let places = positions(self.tape().parameters(), names)?;
        let mut run = self.tape().start();
        run.set(&places.iter().map(|place| theta[*place]).collect::<Vec<_>>());
        let values = match &self.likelihood {
            Likelihood::Independent(it) => it.draw(&mut run, &[], rng)?,
            Likelihood::Correlated(it) => it.draw(&mut run, rng)?,
        };
        Ok(vec![(self.recipe.spec.y.clone(), values)])
    }

    fn with_data(&self, data: &Columns) -> Result<Box<dyn Model>, ModelError> {
        let table = replaced(&self.recipe.table, &[&self.recipe.spec.y], data)?;
        make(Recipe { table, ..self.recipe.clone() })
    }
}

struct Bound<'a> {
    curve: &'a Curve,
    run: Run<'a>,
    /// Where in theta each parameter of the tape stands.
    places: Vec<usize>,
    values: Vec<f64>,
    slopes: Vec<f64>,
}

impl Bound<'_> {
    fn evaluate(&mut self, theta: &[f64], with_gradient: bool) -> Result<f64, EvalError> {
        for (value, &place) in self.values.iter_mut().zip(&self.places) {
            *value = theta[place];
        }
        self.run.set(&self.values);
        let gradient = with_gradient.then_some(&mut self.slopes[..]);
        match &self.curve.likelihood {
            Likelihood::Independent(it) => it.log_like(&mut self.run, &[], gradient),
            Likelihood::Correlated(it) => it.log_like(&mut self.run, gradient),
        }
    }
}

impl Density for Bound<'_> {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        self.evaluate(theta, false)
    }

    fn chi_squared(&mut self, theta: &[f64]) -> Option<Result<(f64, usize), EvalError>> {
        self.values.iter_mut().zip(&self.places).for_each(|(value, place)| *value = theta[*place]);
        self.run.set(&self.values);
        let chi_squared = match &self.curve.likelihood {
            Likelihood::Independent(it) => it.chi_squared(&mut self.run, &[]),
            Likelihood::Correlated(it) => it.log_like(&mut self.run, None).map(|log_like| -2.0 * (log_like - it.constant)),
        };
        Some(chi_squared.map(|chi_squared| (chi_squared, self.curve.tape().rows())))
    }

    fn log_like_gradient(&mut self, theta: &[f64], gradient: &mut [f64]) -> Option<Result<f64, EvalError>> {
        let outcome = self.evaluate(theta, true);
        gradient.fill(0.0);
        for (slope, &place) in self.slopes.iter().zip(&self.places) {
            gradient[place] += slope;
        }
        Some(outcome)
    }
}
