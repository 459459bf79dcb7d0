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
    /// Times of the data at which to stop where an input there would be stepped over, rising; the last is the last of all.
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

    /// Jumps between the initial time and the last time of the data, and that; and the same with all stops. Both rise.
    fn knots(&mut self, inputs: &[f64]) -> [Vec<Knot>; 2] {
        self.scope[1..].copy_from_slice(inputs);
        let (t0, end) = (self.settings.t0, self.settings.stops.last().copied().unwrap_or(self.settings.t0));
        let found = self.jumps.iter().filter_map(|argument| zero(argument, &mut self.scope, t0, end));
        let jumps = found.chain(self.settings.breaks.iter().copied());
        let near = JUMP * (t0.abs() + end.abs());
        let mut knots: Vec<Knot> =
            jumps.filter(|t| *t > t0 + 4.0 * near && *t < end - 4.0 * near).map(|time| Knot { time, jump: true }).collect();
        knots.sort_by(|a, b| a.time.total_cmp(&b.time));
        knots.dedup_by(|b, a| b.time - a.time <= 4.0 * near);
        let apart = |time: f64| knots.iter().all(|knot| (knot.time - time).abs() > 4.0 * near);
        let stops: Vec<Knot> = self.settings.stops.iter().filter(|t| apart(**t)).map(|t| Knot { time: *t, jump: false }).collect();
        let mut all = [&knots[..], &stops].concat();
        all.sort_by(|a, b| a.time.total_cmp(&b.time));
        knots.extend(stops.last());
        [knots, all]
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
    /// Where an input at a time of the data was stepped over, the times of the data are stops in a second try; of equations with a
    /// mass matrix, whose slopes do not tell, in the first.
    fn run(&self, problem: &Problem, [few, all]: &[Vec<Knot>; 2], sheet: &mut Sheet) -> Result<(), String> {
        if problem.eqn.mass().is_none() && self.attempt(problem, few, true, sheet)? {
            return Ok(());
        }
        self.attempt(problem, all, false, sheet).map(drop)
    }

    /// False where something was stepped over, which is looked for if `watched`.
    fn attempt(&self, problem: &Problem, knots: &[Knot], watched: bool, sheet: &mut Sheet) -> Result<bool, String> {
        sheet.row = 0;
        match self.method {
            Method::Bdf => self.implicit(problem, knots, watched, sheet),
            Method::Tsit45 => self.explicit(problem, self.max_steps, knots, watched, sheet),
            Method::Auto => {
                // Stops and the longest step are asked for: they do not show that the equations are stiff.
                let asked = knots.len() + ((self.stops.last().map_or(0.0, |end| end - self.t0)) / self.max_step) as usize;
                if let Ok(seen) = self.explicit(problem, self.max_steps.min(EXPLICIT_STEPS + asked), knots, watched, sheet) {
                    return Ok(seen);
                }
                sheet.row = 0;
                self.implicit(problem, knots, watched, sheet)
            }
        }
    }

    fn implicit(&self, problem: &Problem, knots: &[Knot], watched: bool, sheet: &mut Sheet) -> Result<bool, String> {
        check_initial(problem)?;
        let stepper = problem.bdf::<NalgebraLU<f64>>().map_err(|e| failure(self.t0, &e))?;
        self.walk(stepper, self.max_steps, knots, watched, sheet)
    }

    fn explicit(&self, problem: &Problem, max_steps: usize, knots: &[Knot], watched: bool, sheet: &mut Sheet) -> Result<bool, String> {
        check_initial(problem)?;
        let stepper = problem.tsit45().map_err(|e| failure(self.t0, &e))?;
        self.walk(stepper, max_steps, knots, watched, sheet)
    }

    /// Steps from knot to knot until every time is passed; false as soon as `watched` rows show that something was stepped over.
    fn walk<'p>(
        &self,
        mut stepper: impl OdeSolverMethod<'p, Equations>,
        max_steps: usize,
        knots: &[Knot],
        watched: bool,
        sheet: &mut Sheet,
    ) -> Result<bool, String> {
        let problem = stepper.problem();
        let start = stepper.state().t;
        let mut state = stepper.state().y.clone();
        let mut output = problem.eqn.out().map(|out| NalgebraVec::zeros(out.nout(), *problem.eqn.context()));
        sheet.fill(start, &mut |_, _| Ok(()), &mut state, &mut output, problem)?;
        let Some(&end) = sheet.times.last().filter(|end| **end > start) else {
            return Ok(true);
        };
        let near = JUMP * (start.abs() + end.abs());
        let too_many = |t: f64| format!("{max_steps} steps bring the solver to t = {t} of {end} only (max_steps)");
        let mut inputs = watched.then(|| Inputs::new(&state, self));
        let (mut reached, mut steps) = (start, 0);
        for knot in knots {
            let goal = if knot.jump { knot.time - near } else { knot.time };
            // What diffsol takes for the same time it refuses as a stop.
            while goal - reached > near {
                let target = goal.min(reached + self.max_step);
                if target - reached <= near {
                    return Err(format!("max_step = {:e} is no step at t = {reached}", self.max_step));
                }
                stepper.set_stop_time(target).map_err(|e| failure(reached, &e))?;
                loop {
                    if steps >= max_steps {
                        return Err(too_many(reached));
                    }
                    steps += 1;
                    let (before, stopped) = (reached, advance(&mut stepper, &mut reached)?);
                    let mut at = |t: f64, state: &mut NalgebraVec<f64>| stepper.interpolate_inplace(t, state).map_err(|e| failure(t, &e));
                    if let Some(inputs) = &mut inputs
                        && inputs.stepped_over(problem, sheet.within(before, reached), before, reached, &mut at)?
                    {
                        return Ok(false);
                    }
                    sheet.fill(reached, &mut at, &mut state, &mut output, problem)?;
                    if stopped {
                        break;
                    }
                }
            }
            // The knot is reached to rounding: a row there has the state as it is.
            state.copy_from(stepper.state().y);
            let next = if knot.jump { knot.time + near } else { knot.time };
            sheet.fill(next, &mut |_, _| Ok(()), &mut state, &mut output, problem)?;
            if knot.jump {
                reached = next;
                start_anew(&mut stepper, reached)?;
            }
        }
        sheet.finished(reached).map(|()| true)
    }
}

/// What the equations are driven by at times of the data, as seen from a step over them.
struct Inputs {
    slope: NalgebraVec<f64>,
    ends: [NalgebraVec<f64>; 2],
    state: NalgebraVec<f64>,
    rtol: f64,
    atol: f64,
}

/// An input is stepped over if at a time of the data it exceeds that at both ends of the step by so much that, over the whole step, it
/// would move a state by so many tolerances. Inputs that are resolved exceed by a hundredth of this.
const UNSEEN: f64 = 1e5;

impl Inputs {
    fn new(state: &NalgebraVec<f64>, settings: &Settings) -> Inputs {
        let like = || state.clone();
        Inputs { slope: like(), ends: [like(), like()], state: like(), rtol: settings.rtol, atol: settings.atol }
    }

    /// Compares slopes of the same state at the time of a row and at both ends of the step: they differ by what depends on time alone.
    fn stepped_over(&mut self, problem: &Problem, rows: &[f64], begin: f64, end: f64, at: &mut SetState) -> Result<bool, String> {
        for &time in rows {
            at(time, &mut self.state)?;
            problem.eqn.rhs().call_inplace(&self.state, time, &mut self.slope);
            problem.eqn.rhs().call_inplace(&self.state, begin, &mut self.ends[0]);
            problem.eqn.rhs().call_inplace(&self.state, end, &mut self.ends[1]);
            let slices = [&self.slope, &self.ends[0], &self.ends[1], &self.state].map(|v| v.batch_as_slice(0));
            let beyond = |i: usize| {
                let [f, a, b, y] = slices.map(|v| v[i]);
                let excess = (f - a.max(b)).max(a.min(b) - f);
                excess * (end - begin) > UNSEEN * (self.rtol * y.abs() + self.atol)
            };
            if (0..slices[0].len()).any(beyond) {
                return Ok(true);
            }
        }
        Ok(false)
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

/// One step; true where it ends at the stop.
fn advance<'p>(stepper: &mut impl OdeSolverMethod<'p, Equations>, reached: &mut f64) -> Result<bool, String> {
    let stop = stepper.step().map_err(|e| failure(*reached, &e))?;
    let now = stepper.state().t;
    if now.is_nan() || now <= *reached || !finite(stepper.state().y) {
        return Err(format!("the solution is not finite beyond t = {reached}"));
    }
    *reached = now;
    match stop {
        OdeSolverStopReason::InternalTimestep => Ok(false),
        OdeSolverStopReason::TstopReached => Ok(true),
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
    /// Times not yet filled that lie inside a step.
    fn within(&self, begin: f64, end: f64) -> &[f64] {
        let rest = &self.times[self.row..];
        let first = rest.partition_point(|t| *t <= begin);
        &rest[first..first + rest[first..].partition_point(|t| *t < end)]
    }

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
