//! `kind = "ode"`: ordinary differential equations in DiffSL, compared with columns of data over time.
//!
//! DiffSL (Robinson 2024, martinjrobins.github.io/diffsl) is compiled to machine code by Cranelift once a
//! thread and solved by diffsol. A solver keeps no memory of earlier points: every solve starts from fresh
//! steppers, so that the bits of a point do not depend on what was evaluated before it, or where.

mod code;
mod equations;
mod solver;

use super::curve::push_numbers;
use super::noise::{Independent, column};
use super::simulate::{circular, replaced};
use super::{Columns, Density, Files, Loaded, Model, ModelError, OdeSpec, Simulator, Tolerances, positions};
use crate::data::Table;
use crate::expr::{Expr, Run};
use crate::task::EvalError;
use equations::{Equations, Observable};
use rand_chacha::ChaCha8Rng;
use solver::{Settings, Solver};

/// The solution's name in the expression of a sigma: `sigma = "0.1*prediction"`.
const PREDICTION: &str = "prediction";

struct Ode {
    spec: OdeSpec,
    table: Table,
    code: String,
    equations: Equations,
    settings: Settings,
    times: Vec<f64>,
    observables: Vec<Observable>,
    likelihoods: Vec<Independent>,
    fingerprint: Vec<u8>,
}

pub(super) fn build(spec: &OdeSpec, files: &Files) -> Result<Box<dyn Model>, ModelError> {
    make(spec, code(spec, files)?, spec.data.table(files)?)
}

/// `key`: where the code came from.
fn make(spec: &OdeSpec, (key, code): (&str, String), table: Table) -> Result<Box<dyn Model>, ModelError> {
    let equations = Equations::read(&code).map_err(|fault| ModelError::new(&[key], fault))?;
    let times = column(&spec.time, &table, &["time"])?.to_vec();
    let settings = settings(spec, &times)?;
    Solver::new(&code, &settings, &equations.inputs).map_err(|fault| ModelError::new(&[key], fault))?;
    if spec.observe.is_empty() {
        let help = "[[model.observe]]\noutput = \"...\"\ncolumn = \"...\"\nsigma = ...";
        return Err(ModelError::new(&["observe"], "nothing of the solution is compared with data").help(help));
    }
    let (mut observables, mut likelihoods) = (Vec::new(), Vec::new());
    for (i, observe) in spec.observe.iter().enumerate() {
        let place = i.to_string();
        let fault = |message| ModelError::new(&["observe", &place, "output"], message);
        observables.push(equations.find(&observe.output).map_err(fault)?);
        let column = (observe.column.as_str(), &["observe", &place, "column"][..]);
        let sigma = (&observe.sigma, &["observe", &place, "sigma"][..]);
        likelihoods.push(Independent::new(&Expr::variable(PREDICTION), column, observe.noise, sigma, &table, &[PREDICTION])?);
    }
    let fingerprint = fingerprint(spec, &code, &table, settings.t0);
    Ok(Box::new(Ode { spec: spec.clone(), table, code, equations, settings, times, observables, likelihoods, fingerprint }))
}

/// The code, and the key it came from.
fn code(spec: &OdeSpec, files: &Files) -> Result<(&'static str, String), ModelError> {
    match (&spec.code, &spec.code_file) {
        (Some(code), None) => Ok(("code", code.clone())),
        (None, Some(path)) => match files.get(path) {
            Some(Loaded::Text(code)) => Ok(("code_file", code.clone())),
            _ => Err(ModelError::new(&["code_file"], format!("no text was read from \"{path}\""))),
        },
        (None, None) => {
            Err(ModelError::new(&[], "the equations are missing").help("give code = \"\"\"...\"\"\" or code_file = \"model.diffsl\""))
        }
        (Some(_), Some(_)) => Err(ModelError::new(&["code_file"], "code and code_file are both given; one is enough")),
    }
}

fn settings(spec: &OdeSpec, times: &[f64]) -> Result<Settings, ModelError> {
    if let Some(row) = times.windows(2).position(|pair| pair[1] < pair[0]) {
        let message = format!("times decrease from row {} to row {} ({} to {})", row + 1, row + 2, times[row], times[row + 1]);
        return Err(ModelError::new(&["time"], message).help("sort the rows of the data by time"));
    }
    let first = times[0];
    let t0 = spec.t0.unwrap_or(first);
    if !(t0.is_finite() && t0 <= first) {
        return Err(ModelError::new(&["t0"], format!("the initial time {t0} is after the first time of the data, {first}")));
    }
    for (key, value) in [("rtol", spec.rtol.value()), ("atol", spec.atol)] {
        if !(value > 1e-15 && value < 1.0) {
            return Err(ModelError::new(&[key], format!("a tolerance between 1e-15 and 1 is expected, not {value}")));
        }
    }
    if spec.max_steps == 0 {
        return Err(ModelError::new(&["max_steps"], "at least one step is needed"));
    }
    if let Some(step) = spec.max_step.filter(|step| step.is_nan() || *step <= 0.0) {
        return Err(ModelError::new(&["max_step"], format!("the longest step must be longer than zero, not {step}")));
    }
    if let Some(bad) = spec.breaks.iter().find(|t| !t.is_finite()) {
        return Err(ModelError::new(&["breaks"], format!("{bad} is no time")));
    }
    let OdeSpec { method, atol, max_steps, .. } = *spec;
    let rtol = spec.rtol.value();
    let max_step = spec.max_step.unwrap_or(f64::INFINITY);
    Ok(Settings { method, rtol, atol, max_steps, max_step, t0, stops: stops(t0, times), breaks: spec.breaks.clone() })
}

/// Most stops for the data of one solve.
const MOST_STOPS: f64 = 200.0;

/// Times of the data at which a solver stops that would step over an input there: all, or of dense data as many.
fn stops(t0: f64, times: &[f64]) -> Vec<f64> {
    let end = times.last().copied().unwrap_or(t0);
    let (least, mut last) = ((end - t0) / MOST_STOPS, t0);
    let mut stops = Vec::new();
    for &time in times {
        if time > last && (time - last >= least || time == end) {
            stops.push(time);
            last = time;
        }
    }
    stops
}

/// Everything that changes values.
fn fingerprint(spec: &OdeSpec, code: &str, table: &Table, t0: f64) -> Vec<u8> {
    let OdeSpec { time, observe, method, atol, max_steps, .. } = spec;
    let rtol = spec.rtol.value();
    let mut bytes = format!("ode {code:?} {time:?} {observe:?} {method:?} {rtol:e} {atol:e} {max_steps} {t0:e}").into_bytes();
    if spec.max_step.is_some() || !spec.breaks.is_empty() {
        bytes.extend_from_slice(format!(" {:?} {:?}", spec.max_step, spec.breaks).as_bytes());
    }
    for (name, values) in &table.columns {
        bytes.extend_from_slice(name.as_bytes());
        push_numbers(&mut bytes, values);
    }
    bytes
}

impl Model for Ode {
    fn parameters(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.likelihoods.iter().flat_map(|l| l.tape.parameters()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn optional_parameters(&self) -> Vec<String> {
        self.equations.inputs.iter().filter_map(|input| input.name.clone()).collect()
    }

    fn bind(&self, names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        Ok(Box::new(self.bound(names, &self.settings)?))
    }

    fn solver(&self) -> Option<&dyn Tolerances> {
        Some(self)
    }

    fn simulator(&self) -> Result<&dyn Simulator, String> {
        let observed = self.columns();
        if let Some((k, twice)) = observed.iter().enumerate().find(|(k, y)| observed[..*k].contains(y)) {
            return Err(format!("`{twice}` is observed twice ([[model.observe]] {}), so it cannot be drawn once", k + 1));
        }
        self.spec.observe.iter().try_for_each(|observe| circular(&observe.sigma, &observed))?;
        Ok(self)
    }

    fn observed(&self) -> Columns {
        let column = |name: &&str| Some((name.to_string(), self.table.column(name)?.to_vec()));
        self.columns().iter().filter_map(column).collect()
    }

    fn fingerprint(&self) -> Vec<u8> {
        self.fingerprint.clone()
    }
}

impl Simulator for Ode {
    fn draw(&self, names: &[String], theta: &[f64], rng: &mut ChaCha8Rng) -> Result<Columns, EvalError> {
        let mut bound = self.bound(names, &self.settings)?;
        bound.solve(theta)?;
        let mut columns = Columns::new();
        for ((noise, prediction), name) in bound.noises.iter_mut().zip(&bound.predictions).zip(self.columns()) {
            noise.set(theta);
            columns.push((name.to_string(), noise.likelihood.draw(&mut noise.run, &[prediction], rng)?));
        }
        Ok(columns)
    }

    fn with_data(&self, data: &Columns) -> Result<Box<dyn Model>, ModelError> {
        make(&self.spec, ("code", self.code.clone()), replaced(&self.table, &self.columns(), data)?)
    }
}

impl Tolerances for Ode {
    fn rtol(&self) -> f64 {
        self.settings.rtol
    }

    fn errors(&self, names: &[String], thetas: &[Vec<f64>], rtol: f64) -> Result<Vec<f64>, EvalError> {
        let at = |rtol: f64| {
            let atol = self.settings.atol * rtol / self.settings.rtol;
            self.bound(names, &Settings { rtol, atol, ..self.settings.clone() })
        };
        let (mut coarse, mut fine) = (at(rtol)?, at(0.1 * rtol)?);
        let mut one = |theta: &Vec<f64>| -> Result<f64, EvalError> {
            coarse.solve(theta)?;
            fine.solve(theta)?;
            let mut square = 0.0;
            for (k, noise) in coarse.noises.iter_mut().enumerate() {
                noise.set(theta);
                square += noise.likelihood.squared_distance(&mut noise.run, &coarse.predictions[k], &fine.predictions[k])?;
            }
            Ok(square.sqrt() + 0.5 * square)
        };
        Ok(thetas.iter().map(|theta| one(theta).unwrap_or(f64::NAN)).collect())
    }
}

impl Ode {
    /// Those compared with the solution, in order.
    fn columns(&self) -> Vec<&str> {
        self.spec.observe.iter().map(|observe| observe.column.as_str()).collect()
    }

    fn bound(&self, names: &[String], settings: &Settings) -> Result<Bound<'_>, EvalError> {
        let place = |input: &equations::Input| names.iter().position(|name| Some(name) == input.name.as_ref());
        let mut noises = Vec::new();
        for likelihood in &self.likelihoods {
            let places = positions(likelihood.tape.parameters(), names)?;
            noises.push(Noise { likelihood, run: likelihood.tape.start(), values: vec![0.0; places.len()], places });
        }
        Ok(Bound {
            ode: self,
            solver: Solver::new(&self.code, settings, &self.equations.inputs).map_err(EvalError::Fatal)?,
            input_places: self.equations.inputs.iter().map(place).collect(),
            inputs: self.equations.inputs.iter().map(|input| input.default).collect(),
            predictions: vec![vec![0.0; self.times.len()]; self.observables.len()],
            noises,
        })
    }
}

struct Bound<'a> {
    ode: &'a Ode,
    solver: Solver,
    /// Where in theta each input stands; None keeps its default.
    input_places: Vec<Option<usize>>,
    inputs: Vec<f64>,
    predictions: Vec<Vec<f64>>,
    noises: Vec<Noise<'a>>,
}

/// One observed column with its noise.
struct Noise<'a> {
    likelihood: &'a Independent,
    run: Run<'a>,
    places: Vec<usize>,
    values: Vec<f64>,
}

impl Noise<'_> {
    fn set(&mut self, theta: &[f64]) {
        for (value, place) in self.values.iter_mut().zip(&self.places) {
            *value = theta[*place];
        }
        self.run.set(&self.values);
    }
}

impl Bound<'_> {
    /// The observables at the times of the data, into `predictions`.
    fn solve(&mut self, theta: &[f64]) -> Result<(), EvalError> {
        for (input, place) in self.inputs.iter_mut().zip(&self.input_places) {
            if let Some(place) = place {
                *input = theta[*place];
            }
        }
        self.solver.solve(&self.inputs, &self.ode.times, &self.ode.observables, &mut self.predictions)
    }
}

impl Density for Bound<'_> {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        self.solve(theta)?;
        let mut sum = 0.0;
        for (noise, prediction) in self.noises.iter_mut().zip(&self.predictions) {
            noise.set(theta);
            sum += noise.likelihood.log_like(&mut noise.run, &[prediction], None)?;
        }
        Ok(sum)
    }

    fn chi_squared(&mut self, theta: &[f64]) -> Option<Result<(f64, usize), EvalError>> {
        let mut squares = || {
            self.solve(theta)?;
            let mut sum = 0.0;
            for (noise, prediction) in self.noises.iter_mut().zip(&self.predictions) {
                noise.set(theta);
                sum += noise.likelihood.chi_squared(&mut noise.run, &[prediction])?;
            }
            Ok((sum, self.noises.len() * self.ode.times.len()))
        };
        Some(squares())
    }
}
