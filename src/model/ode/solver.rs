//! Solves the equations at one point: diffsol's steppers, our own loop around them.
//!
//! The loop is bounded and looks at every number: diffsol's own dense solve never returns from non-finite
//! parameters with tsit45, and may report overflow as success (both seen with 0.18).

use super::code::{jumps, with_whole_powers, zero};
use super::equations::{Input, Observable};
use crate::expr::BoundExpr;
use crate::model::Method;
use crate::task::EvalError;
use diffsol::{
    ConstantOp, CraneliftJitModule, DiffSl, NalgebraLU, NalgebraMat, NalgebraVec, NewtonNonlinearSolver, NoLineSearch, NonLinearOp,
    OdeBuilder, OdeEquations, OdeSolverMethod, OdeSolverProblem, OdeSolverStopReason, Op, Vector,
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
    /// Longest step; infinite where there is no limit.
    pub max_step: f64,
    pub t0: f64,
    /// Times that no step passes over, rising.
    pub stops: Vec<f64>,
    /// Times at which the equations jump.
    pub breaks: Vec<f64>,
}

/// A solve stops so short of a jump, as a share of the times at hand, and goes on as far behind it, so that every evaluation is on its own
/// side: larger than what diffsol takes for the same time.
const JUMP: f64 = 1e-13;

/// A time that no step passes over.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Knot {
    time: f64,
    jump: bool,
}

/// Equations compiled for one thread.
pub(super) struct Solver {
    code: String,
    settings: Settings,
    /// None after a panic, whose half-done work must not leak into the next solve.
    problem: Option<Problem>,
    parameters: NalgebraVec<f64>,
    /// Expressions of the time and the inputs that vanish where the equations jump.
    jumps: Vec<BoundExpr>,
    /// The time, then the inputs.
    scope: Vec<f64>,
}

impl Solver {
    /// Compiles the code (2-3 ms).
    pub fn new(code: &str, settings: &Settings, inputs: &[Input]) -> Result<Solver, String> {
        let names: Vec<Option<String>> = inputs.iter().map(|input| input.name.clone()).collect();
        let (jumps, scope) = (jumps(code, &names), vec![0.0; 1 + inputs.len()]);
        let code = with_whole_powers(code);
        let problem = compile(&code, settings)?;
        let parameters = NalgebraVec::zeros(inputs.len(), *problem.eqn.context());
        Ok(Solver { code, settings: settings.clone(), problem: Some(problem), parameters, jumps, scope })
    }

    /// Stops and jumps between the initial time and the last stop, rising.
    fn knots(&mut self, inputs: &[f64]) -> Vec<Knot> {
        self.scope[1..].copy_from_slice(inputs);
        let (t0, end) = (self.settings.t0, self.settings.stops.last().copied().unwrap_or(self.settings.t0));
        let found = self.jumps.iter().filter_map(|argument| zero(argument, &mut self.scope, t0, end));
        let jumps = found.chain(self.settings.breaks.iter().copied());
        let near = JUMP * (t0.abs() + end.abs());
        let mut knots: Vec<Knot> = jumps.filter(|t| *t > t0 + 4.0 * near && *t < end).map(|time| Knot { time, jump: true }).collect();
        knots.sort_by(|a, b| a.time.total_cmp(&b.time));
        knots.dedup_by(|b, a| b.time - a.time <= 4.0 * near);
        let apart = |time: f64| knots.iter().all(|knot| (knot.time - time).abs() > 4.0 * near);
        let stops: Vec<Knot> = self.settings.stops.iter().filter(|t| apart(**t)).map(|t| Knot { time: *t, jump: false }).collect();
        knots.extend(stops);
        knots.sort_by(|a, b| a.time.total_cmp(&b.time));
        knots
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
        let knots = self.knots(inputs);
        let mut sheet = Sheet { times, observables, predictions, row: 0 };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            problem.eqn.set_params(&self.parameters);
            self.settings.run(&problem, &knots, &mut sheet)
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
    fn run(&self, problem: &Problem, knots: &[Knot], sheet: &mut Sheet) -> Result<(), String> {
        match self.method {
            Method::Bdf => self.implicit(problem, knots, sheet),
            Method::Tsit45 => self.explicit(problem, self.max_steps, knots, sheet),
            Method::Auto => {
                // Stops and the longest step are asked for: they do not show that the equations are stiff.
                let asked = knots.len() + ((self.stops.last().map_or(0.0, |end| end - self.t0)) / self.max_step) as usize;
                if self.explicit(problem, self.max_steps.min(EXPLICIT_STEPS + asked), knots, sheet).is_ok() {
                    return Ok(());
                }
                sheet.row = 0;
                self.implicit(problem, knots, sheet)
            }
        }
    }

    fn implicit(&self, problem: &Problem, knots: &[Knot], sheet: &mut Sheet) -> Result<(), String> {
        check_initial(problem)?;
        let stepper = problem.bdf::<NalgebraLU<f64>>().map_err(|e| failure(self.t0, &e))?;
        walk(stepper, self.max_steps, self.max_step, knots, sheet)
    }

    fn explicit(&self, problem: &Problem, max_steps: usize, knots: &[Knot], sheet: &mut Sheet) -> Result<(), String> {
        check_initial(problem)?;
        let stepper = problem.tsit45().map_err(|e| failure(self.t0, &e))?;
        walk(stepper, max_steps, self.max_step, knots, sheet)
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

/// Steps from knot to knot until every time is passed.
fn walk<'p>(
    mut stepper: impl OdeSolverMethod<'p, Equations>,
    max_steps: usize,
    max_step: f64,
    knots: &[Knot],
    sheet: &mut Sheet,
) -> Result<(), String> {
    let problem = stepper.problem();
    let start = stepper.state().t;
    let mut state = stepper.state().y.clone();
    let mut output = problem.eqn.out().map(|out| NalgebraVec::zeros(out.nout(), *problem.eqn.context()));
    sheet.fill(start, &mut |_, _| Ok(()), &mut state, &mut output, problem)?;
    let Some(&end) = sheet.times.last().filter(|end| **end > start) else {
        return Ok(());
    };
    let near = JUMP * (start.abs() + end.abs());
    let too_many = |reached: f64| format!("{max_steps} steps bring the solver to t = {reached} of {end} only (max_steps)");
    let (mut reached, mut steps) = (start, 0);
    for knot in knots {
        let goal = if knot.jump { knot.time - near } else { knot.time };
        loop {
            if steps >= max_steps {
                return Err(too_many(reached));
            }
            let target = goal.min(reached + max_step);
            // As good as there: what diffsol takes for the same time it refuses as a stop.
            if target - reached <= near {
                sheet.fill(target, &mut |_, _| Ok(()), &mut state, &mut output, problem)?;
                if target == goal {
                    break;
                }
                return Err(format!("max_step = {max_step:e} is no step at t = {reached}"));
            }
            stepper.set_stop_time(target).map_err(|e| failure(reached, &e))?;
            while advance(&mut stepper, &mut reached)? {
                let mut at = |t: f64, state: &mut NalgebraVec<f64>| stepper.interpolate_inplace(t, state).map_err(|e| failure(t, &e));
                sheet.fill(reached, &mut at, &mut state, &mut output, problem)?;
                steps += 1;
                if steps >= max_steps {
                    return Err(too_many(reached));
                }
            }
            // The stop is hit to rounding: rows there have its own state.
            state.copy_from(stepper.state().y);
            sheet.fill(target, &mut |_, _| Ok(()), &mut state, &mut output, problem)?;
            steps += 1;
            if target == goal {
                break;
            }
        }
        if knot.jump {
            sheet.fill(knot.time, &mut |_, _| Ok(()), &mut state, &mut output, problem)?;
            reached = knot.time + near;
            start_anew(&mut stepper, reached)?;
        }
    }
    sheet.finished(reached)
}

/// One step; false where it ends at the stop.
fn advance<'p>(stepper: &mut impl OdeSolverMethod<'p, Equations>, reached: &mut f64) -> Result<bool, String> {
    let stop = stepper.step().map_err(|e| failure(*reached, &e))?;
    let now = stepper.state().t;
    if now.is_nan() || now <= *reached || !finite(stepper.state().y) {
        return Err(format!("the solution is not finite beyond t = {reached}"));
    }
    *reached = now;
    match stop {
        OdeSolverStopReason::InternalTimestep => Ok(true),
        OdeSolverStopReason::TstopReached => Ok(false),
        OdeSolverStopReason::RootFound(..) => Err(format!("the solution stops at t = {now}")),
    }
}

/// Forgets what is before: the same state at time `t`, the slopes there, a first step as at the beginning.
fn start_anew<'p>(stepper: &mut impl OdeSolverMethod<'p, Equations>, t: f64) -> Result<(), String> {
    let problem = stepper.problem();
    let mut state = stepper.state_mut();
    *state.t = t;
    problem.eqn.rhs().call_inplace(state.y, t, state.dy);
    let mut newton = NewtonNonlinearSolver::new(NalgebraLU::<f64>::default(), NoLineSearch);
    state.set_consistent(problem, &mut newton).map_err(|e| failure(t, &e))?;
    if !finite(state.dy) {
        return Err(format!("the right-hand side is not finite at t = {t}"));
    }
    state.set_step_size(problem.h0, &problem.atol, problem.rtol, &problem.eqn, 1);
    Ok(())
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
