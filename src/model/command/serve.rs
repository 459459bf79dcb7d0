//! A child that stays and answers batches of points.

use super::child::{Child, Names, Program, Trouble, new_worker, rank};
use super::frames::{self, Frame, Reply};
use super::{Inputs, row};
use crate::model::{Density, Evaluated};
use crate::task::EvalError;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How a child is started and dealt with.
#[derive(Clone, Debug)]
pub struct Service {
    pub program: Program,
    /// Points worth waiting for, to have them together.
    pub batch: usize,
    /// Most points in one request.
    pub request: usize,
    pub retries: u32,
    /// The job says that it has gradients.
    pub gradient: bool,
    pub limit: Option<Duration>,
}

/// A child may take so long to say hello: thousands of ranks that import Python at once are slow.
const START: Duration = Duration::from_secs(300);
/// After this time it is told that it is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// One worker: a child, started again when it dies.
pub struct Serving<'a> {
    service: &'a Service,
    inputs: Inputs,
    names: Names,
    worker: usize,
    child: Option<Child>,
}

impl<'a> Serving<'a> {
    pub fn new(service: &'a Service, inputs: Inputs, names: Names) -> Result<Serving<'a>, EvalError> {
        let mut serving = Serving { service, inputs, names, worker: new_worker(), child: None };
        serving.start().map_err(|trouble| match trouble {
            Trouble::Died(why) | Trouble::Late(why) | Trouble::Broken(why) => EvalError::Fatal(why),
        })?;
        Ok(serving)
    }

    /// Starts the child and exchanges hellos.
    fn start(&mut self) -> Result<(), Trouble> {
        let program = &self.service.program;
        let mut child = Child::start(program, self.worker, true, None)?;
        let deadline = Some(Instant::now() + START);
        let greeted = child.send(&frames::hello(&self.names, (rank(), self.worker), self.service.request), deadline);
        let answer = greeted.and_then(|()| {
            if !child.speaks_within(PATIENCE)? {
                log::warn!("{} was started and has not said hello yet; it is waited for up to {} s", program.what, START.as_secs());
            }
            receive(&mut child, deadline)
        });
        let frame = answer.map_err(|trouble| match trouble {
            Trouble::Died(how) => Trouble::Broken(format!("{how}\nthis was before it said hello (docs/command-protocol.md)")),
            Trouble::Late(how) => Trouble::Broken(format!("{how}\nit was to say hello (docs/command-protocol.md)")),
            broken => broken,
        })?;
        let refused = |why: String| Trouble::Broken(format!("{}: {why}", program.what));
        match frame.kind {
            frames::HELLO => {
                let has_gradient = frames::check_hello(&frame.body, &self.names).map_err(refused)?;
                if self.service.gradient && !has_gradient {
                    return Err(refused("[model] gradient = true, but it has none (a script: the function's name with _gradient)".into()));
                }
            }
            frames::ERROR => return Err(refused(frames::error(&frame.body).map_or_else(|e| e, |(_, text)| text))),
            kind => return Err(child.broken(&format!("it answered the hello with a frame of kind {kind}"))),
        }
        self.child = Some(child);
        Ok(())
    }

    /// One request and its answer. A child that is in trouble is done away with.
    fn ask(&mut self, kind: u32, points: &[f64], columns: usize, deadline: Option<Instant>) -> Result<Reply, Trouble> {
        if self.child.is_none() {
            self.start().map_err(|trouble| match trouble {
                Trouble::Died(why) | Trouble::Late(why) | Trouble::Broken(why) => Trouble::Broken(why),
            })?;
        }
        let child = self.child.as_mut().expect("it was just started");
        let d = self.names.parameters.len();
        let reply = converse(child, &frames::points(kind, points, d), (points.len() / d, columns), deadline);
        if reply.is_err() {
            self.child = None;
        }
        reply
    }

    /// The same for each point, whatever happens. Where the child dies of a batch, each point is tried alone: which it was shows then.
    fn answers(
        &mut self,
        kind: u32,
        points: &[f64],
        columns: usize,
        deadline: Option<Instant>,
        out: &mut Vec<Result<Vec<f64>, EvalError>>,
    ) {
        let d = self.names.parameters.len();
        let n = points.len() / d;
        let attempts = if n == 1 { 1 + self.service.retries } else { 1 };
        let mut last = String::new();
        for _ in 0..attempts {
            match self.ask(kind, points, columns, deadline) {
                Ok(reply) => return out.extend((0..n).map(|i| point(&reply, i, columns))),
                Err(Trouble::Died(why)) => last = why,
                Err(Trouble::Late(why)) => return out.extend((0..n).map(|_| Err(EvalError::Failed(why.clone())))),
                Err(Trouble::Broken(why)) => return out.extend((0..n).map(|_| Err(EvalError::Fatal(why.clone())))),
            }
        }
        match n {
            1 => out.push(Err(EvalError::Failed(format!("{last}{}", tried(attempts))))),
            _ => points.chunks_exact(d).for_each(|point| self.answers(kind, point, columns, deadline, out)),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.service.limit.map(|limit| Instant::now() + limit)
    }
}

fn tried(attempts: u32) -> String {
    if attempts > 1 { format!("\n(the point was tried {attempts} times)") } else { String::new() }
}

fn point(reply: &Reply, i: usize, columns: usize) -> Result<Vec<f64>, EvalError> {
    let text = || reply.texts.get(&i).cloned().unwrap_or_else(|| "the program gave no reason".into());
    match reply.status[i] {
        frames::OK => Ok(reply.values[i * columns..(i + 1) * columns].to_vec()),
        frames::REJECT => Err(EvalError::Reject(text())),
        frames::FAILED => Err(EvalError::Failed(text())),
        _ => Err(EvalError::Fatal(text())),
    }
}

fn receive(child: &mut Child, deadline: Option<Instant>) -> Result<Frame, Trouble> {
    let mut header = [0; 8];
    child.receive(&mut header, deadline)?;
    let (kind, length) = frames::header(header).map_err(|why| child.broken(&why))?;
    let mut body = vec![0; length];
    child.receive(&mut body, deadline)?;
    Ok(Frame { kind, body })
}

/// Sends a request for n points, and reads error frames until the results come.
fn converse(child: &mut Child, request: &[u8], (n, columns): (usize, usize), deadline: Option<Instant>) -> Result<Reply, Trouble> {
    child.send(request, deadline)?;
    let mut texts = BTreeMap::new();
    loop {
        let frame = receive(child, deadline)?;
        match frame.kind {
            frames::RESULTS => {
                child.tell();
                let (values, status) = frames::results(&frame.body, n, columns).map_err(|why| child.broken(&why))?;
                return Ok(Reply { values, status, texts });
            }
            frames::ERROR => {
                let (i, text) = frames::error(&frame.body).map_err(|why| child.broken(&why))?;
                if i >= n {
                    return Err(child.broken(&format!("an error is about point {i} of {n}")));
                }
                texts.insert(i, text);
            }
            kind => return Err(child.broken(&format!("it answered points with a frame of kind {kind}"))),
        }
    }
}

impl Density for Serving<'_> {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        let mut out = Vec::with_capacity(1);
        self.evaluate(theta, theta.len(), &mut out);
        out.remove(0).map(|evaluated| evaluated.log_like)
    }

    fn evaluate(&mut self, thetas: &[f64], d: usize, out: &mut Vec<Result<Evaluated, EvalError>>) {
        let columns = 1 + self.names.derived.len();
        let deadline = self.deadline();
        let mut rows = Vec::with_capacity(thetas.len() / d);
        for thetas in thetas.chunks(self.service.request * d) {
            let points = self.inputs.pick(thetas, d);
            self.answers(frames::POINTS, &points, columns, deadline, &mut rows);
        }
        out.extend(rows.into_iter().map(|values| values.map(|values| row(&values))));
    }

    fn log_like_gradient(&mut self, theta: &[f64], gradient: &mut [f64]) -> Option<Result<f64, EvalError>> {
        if !self.service.gradient {
            return None;
        }
        let points = self.inputs.pick(theta, theta.len());
        let (mut out, deadline) = (Vec::with_capacity(1), self.deadline());
        self.answers(frames::GRADIENT, &points, 1 + points.len(), deadline, &mut out);
        Some(out.remove(0).map(|values| {
            self.inputs.spread(&values[1..], gradient);
            values[0]
        }))
    }
}
