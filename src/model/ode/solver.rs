//! Solves the equations at one point: diffsol's steppers, our own loop around them.
//!
//! The loop is bounded and looks at every number: diffsol's own dense solve never returns from non-finite
//! parameters with tsit45, and may report overflow as success (both seen with 0.18).

use super::equations::Observable;
use crate::model::Method;
use crate::task::EvalError;
use diffsol::{
    ConstantOp, CraneliftJitModule, DiffSl, NalgebraLU, NalgebraMat, NalgebraVec, NonLinearOp, OdeBuilder, OdeEquations, OdeSolverMethod,
    OdeSolverProblem, OdeSolverStopReason, Op, Vector,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Matrix = NalgebraMat<f64>;
type Equations = DiffSl<Matrix, CraneliftJitModule>;
type Problem = OdeSolverProblem<Equations>;

/// The explicit solver of `auto` gives up for the implicit one after this many steps.
const EXPLICIT_STEPS: usize = 2000;
/// diffsol counts these over a whole solve; its default of 50 ends long solves that go well.
const NEWTON_FAILURES: usize = 1000;

/// How to solve.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub method: Method,
    pub rtol: f64,
    pub atol: f64,
    pub max_steps: usize,
    pub t0: f64,
}

/// Equations compiled for one thread.
pub(super) struct Solver {
    code: String,
    settings: Settings,
    /// None after a panic, whose half-done work must not leak into the next solve.
    problem: Option<Problem>,
    parameters: NalgebraVec<f64>,
}

impl Solver {
    /// Compiles the code (2-3 ms). `inputs` is the number of its inputs.
    pub fn new(code: &str, settings: &Settings, inputs: usize) -> Result<Solver, String> {
        let problem = compile(code, settings)?;
        let parameters = NalgebraVec::zeros(inputs, *problem.eqn.context());
        Ok(Solver { code: code.into(), settings: settings.clone(), problem: Some(problem), parameters })
    }

    /// Writes observable `k` at time `times[row]` into `predictions[k][row]`; times do not decrease.
    /// The outcome depends on the arguments alone, not on earlier solves.
    pub fn solve(
        &mut self,
        inputs: &[f64],
        times: &[f64],
        observables: &[Observable],
        predictions: &mut [Vec<f64>],
    ) -> Result<(), EvalError> {
        if let Some(bad) = inputs.iter().find(|x| !x.is_finite()) {
            return Err(EvalError::Reject(format!("an input of the equations is {bad}")));
        }
        self.parameters.batch_as_mut_slice(0).copy_from_slice(inputs);
        let mut problem = match self.problem.take() {
            Some(problem) => problem,
            None => compile(&self.code, &self.settings).map_err(EvalError::Fatal)?,
        };
        let mut sheet = Sheet { times, observables, predictions, row: 0 };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            problem.eqn.set_params(&self.parameters);
            self.settings.run(&problem, &mut sheet)
        }));
        match outcome {
            Ok(outcome) => {
                self.problem = Some(problem);
                outcome.map_err(EvalError::Reject)
            }
            Err(panic) => Err(EvalError::Reject(format!("the solver panicked: {}", panic_message(&panic)))),
        }
    }
}

fn panic_message(panic: &Box<dyn std::any::Any + Send>) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

fn compile(code: &str, settings: &Settings) -> Result<Problem, String> {
    let build = || {
        let equations = Equations::compile(code, Default::default(), false)?;
        let inputs = vec![0.0; equations.rhs().nparams()];
        let builder = OdeBuilder::<Matrix>::new().t0(settings.t0).rtol(settings.rtol).atol([settings.atol]).p(inputs);
        builder.build_from_eqn(equations)
    };
    let outcome = catch_unwind(build).map_err(|panic| format!("the DiffSL compiler panicked: {}", panic_message(&panic)))?;
    let mut problem = outcome.map_err(|e| format!("the DiffSL code cannot be compiled: {e}"))?;
    problem.ode_options.max_nonlinear_solver_failures = NEWTON_FAILURES;
    Ok(problem)
}

impl Settings {
    fn run(&self, problem: &Problem, sheet: &mut Sheet) -> Result<(), String> {
        match self.method {
            Method::Bdf => self.implicit(problem, sheet),
            Method::Tsit45 => self.explicit(problem, self.max_steps, sheet),
            Method::Auto => {
                if self.explicit(problem, self.max_steps.min(EXPLICIT_STEPS), sheet).is_ok() {
                    return Ok(());
                }
                sheet.row = 0;
                self.implicit(problem, sheet)
            }
        }
    }

    fn implicit(&self, problem: &Problem, sheet: &mut Sheet) -> Result<(), String> {
        check_initial(problem)?;
        let stepper = problem.bdf::<NalgebraLU<f64>>().map_err(|e| failure(self.t0, &e))?;
        walk(stepper, self.max_steps, sheet)
    }

    fn explicit(&self, problem: &Problem, max_steps: usize, sheet: &mut Sheet) -> Result<(), String> {
        check_initial(problem)?;
        let stepper = problem.tsit45().map_err(|e| failure(self.t0, &e))?;
        walk(stepper, max_steps, sheet)
    }
}

fn failure(t: f64, error: &diffsol::DiffsolError) -> String {
    format!("the solver failed at t = {t}: {error}")
}

/// The initial state and its slope must be finite: the steppers choose their first step by them.
fn check_initial(problem: &Problem) -> Result<(), String> {
    let state = problem.eqn.init().call(problem.t0);
    let slope = problem.eqn.rhs().call(&state, problem.t0);
    if !finite(&state) {
        return Err("the initial state is not finite".into());
    }
    if !finite(&slope) {
        return Err("the right-hand side is not finite at the initial state".into());
    }
    Ok(())
}

fn finite(state: &NalgebraVec<f64>) -> bool {
    state.batch_as_slice(0).iter().all(|x| x.is_finite())
}

/// Steps until every time is passed.
fn walk<'p>(mut stepper: impl OdeSolverMethod<'p, Equations>, max_steps: usize, sheet: &mut Sheet) -> Result<(), String> {
    let problem = stepper.problem();
    let start = stepper.state().t;
    let mut state = stepper.state().y.clone();
    let mut output = problem.eqn.out().map(|out| NalgebraVec::zeros(out.nout(), *problem.eqn.context()));
    sheet.fill(start, &mut |_, _| Ok(()), &mut state, &mut output, problem)?;
    let Some(&end) = sheet.times.last().filter(|end| **end > start) else {
        return Ok(());
    };
    stepper.set_stop_time(end).map_err(|e| failure(start, &e))?;
    let mut reached = start;
    for _ in 0..max_steps {
        let stop = stepper.step().map_err(|e| failure(reached, &e))?;
        let now = stepper.state().t;
        if now.is_nan() || now <= reached || !finite(stepper.state().y) {
            return Err(format!("the solution is not finite beyond t = {reached}"));
        }
        reached = now;
        let mut at = |t: f64, state: &mut NalgebraVec<f64>| stepper.interpolate_inplace(t, state).map_err(|e| failure(t, &e));
        sheet.fill(reached, &mut at, &mut state, &mut output, problem)?;
        match stop {
            OdeSolverStopReason::InternalTimestep => {}
            OdeSolverStopReason::TstopReached => return sheet.finished(reached),
            OdeSolverStopReason::RootFound(..) => return Err(format!("the solution stops at t = {reached}")),
        }
    }
    Err(format!("{max_steps} steps bring the solver to t = {reached} of {end} only (max_steps)"))
}

/// Sets the state to that of a time.
type SetState<'s> = dyn FnMut(f64, &mut NalgebraVec<f64>) -> Result<(), String> + 's;

/// The predictions that are wanted, filled in from the first row on.
struct Sheet<'a> {
    times: &'a [f64],
    observables: &'a [Observable],
    predictions: &'a mut [Vec<f64>],
    row: usize,
}

impl Sheet<'_> {
    /// Fills all rows with times up to `reached`; `at` sets the state to that of a time.
    fn fill(
        &mut self,
        reached: f64,
        at: &mut SetState,
        state: &mut NalgebraVec<f64>,
        output: &mut Option<NalgebraVec<f64>>,
        problem: &Problem,
    ) -> Result<(), String> {
        while let Some(&time) = self.times.get(self.row).filter(|t| **t <= reached) {
            at(time, state)?;
            if let (Some(out), Some(output)) = (problem.eqn.out(), output.as_mut()) {
                out.call_inplace(state, time, output);
            }
            for (observable, column) in self.observables.iter().zip(self.predictions.iter_mut()) {
                let value = match (observable, &output) {
                    (Observable::State(i), _) => state.batch_as_slice(0)[*i],
                    (Observable::Output(i), Some(output)) => output.batch_as_slice(0)[*i],
                    (Observable::Output(_), None) => f64::NAN,
                };
                if !value.is_finite() {
                    return Err(format!("an observed quantity is {value} at t = {time}"));
                }
                column[self.row] = value;
            }
            self.row += 1;
        }
        Ok(())
    }

    fn finished(&self, reached: f64) -> Result<(), String> {
        if self.row == self.times.len() {
            return Ok(());
        }
        Err(format!("the solver stopped at t = {reached}, before the last time {}", self.times[self.times.len() - 1]))
    }
}
