//! The parameters of a job: free, fixed and tied, in the job file's order, and quantities derived from them.

use super::Prior;
use crate::expr::{BoundExpr, Expr, ExprError};
use crate::random::uniform;
use crate::stats::circle::Circle;
use rand_chacha::ChaCha8Rng;

/// How a parameter gets its value.
#[derive(Clone, Debug)]
pub enum Role {
    Free {
        prior: Prior,
        periodic: bool,
    },
    Fixed(f64),
    /// An expression of other parameters.
    Tied(Expr),
}

#[derive(Clone, Debug)]
pub struct Parameter {
    pub name: String,
    pub role: Role,
}

/// Ordered parameters. `theta` always means all of them (free, fixed, tied) in job-file order.
pub struct Space {
    names: Vec<String>,
    parameters: Vec<Parameter>,
    free: Vec<usize>,
    /// (theta index, expression over theta), each after those it reads.
    ties: Vec<(usize, BoundExpr)>,
    derived_names: Vec<String>,
    /// (derived index, expression over theta followed by derived), each after those it reads.
    derived: Vec<(usize, BoundExpr)>,
    derived_typed: Vec<Expr>,
}

/// What is wrong with a tie or a derived quantity, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub enum SpaceError {
    /// Byte span within the expression's text.
    Expression { name: String, message: String, start: usize, end: usize },
    /// Each reads the next, the last reads the first.
    Cycle(Vec<String>),
}

impl Space {
    /// Orders ties and derived quantities so that each comes after those it reads.
    ///
    /// Errors: every tie or derived quantity that reads an unknown name, and every circle of them.
    pub fn new(parameters: Vec<Parameter>, derived: Vec<(String, Expr)>) -> Result<Space, Vec<SpaceError>> {
        let names: Vec<String> = parameters.iter().map(|p| p.name.clone()).collect();
        let ties: Vec<(usize, &Expr)> = parameters
            .iter()
            .enumerate()
            .filter_map(|(i, p)| if let Role::Tied(expr) = &p.role { Some((i, expr)) } else { None })
            .collect();
        let quantities: Vec<(usize, &Expr)> = derived.iter().enumerate().map(|(i, (_, expr))| (i, expr)).collect();
        let derived_names: Vec<String> = derived.iter().map(|(name, _)| name.clone()).collect();
        let all: Vec<String> = names.iter().chain(&derived_names).cloned().collect();

        let mut errors = Vec::new();
        let bound_ties = bind_in_order(&ties, &names, &names, &mut errors);
        let bound_derived = bind_in_order(&quantities, &derived_names, &all, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let free = (0..parameters.len()).filter(|&i| matches!(parameters[i].role, Role::Free { .. })).collect();
        let derived_typed = derived.into_iter().map(|(_, expr)| expr).collect();
        Ok(Space { names, parameters, free, ties: bound_ties, derived_names, derived: bound_derived, derived_typed })
    }

    pub fn n_free(&self) -> usize {
        self.free.len()
    }

    /// Names of all parameters, in theta order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The theta index of each free parameter.
    pub fn free(&self) -> &[usize] {
        &self.free
    }

    /// The prior of each free parameter, in order.
    pub fn priors(&self) -> impl Iterator<Item = &Prior> {
        self.parameters.iter().filter_map(|p| if let Role::Free { prior, .. } = &p.role { Some(prior) } else { None })
    }

    /// Indices, among the free parameters, of those whose two ends are the same point.
    pub fn periodic(&self) -> Vec<usize> {
        let is_periodic = |&k: &usize| matches!(self.parameters[self.free[k]].role, Role::Free { periodic: true, .. });
        (0..self.free.len()).filter(is_periodic).collect()
    }

    /// For each parameter, whether it is an angle, and between which ends.
    pub fn circles(&self) -> Vec<Option<Circle>> {
        let circle = |p: &Parameter| match &p.role {
            Role::Free { prior, periodic: true } => Some(Circle { min: prior.support().0, max: prior.support().1 }),
            _ => None,
        };
        self.parameters.iter().map(circle).collect()
    }

    /// From the unit cube of a run (`n_free` coordinates) to parameter values (`names().len()` of them). A uniform point of the cube
    /// has prior density times exp of [`log_weight`](Space::log_weight).
    pub fn transform(&self, u: &[f64], theta: &mut [f64]) {
        self.values(u, theta, Prior::value);
    }

    /// Parameter values at these prior quantiles: draws from the prior, where `u` is uniform.
    pub fn quantiles(&self, u: &[f64], theta: &mut [f64]) {
        self.values(u, theta, Prior::quantile);
    }

    /// A draw from the prior: its point of the unit cube, and the parameter values there.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> (Vec<f64>, Vec<f64>) {
        let u: Vec<f64> = (0..self.n_free()).map(|_| uniform(rng)).collect();
        let mut theta = vec![0.0; self.names.len()];
        self.quantiles(&u, &mut theta);
        (u, theta)
    }

    /// What is added to log L at `u`: 0 but in the far tails of open priors.
    pub fn log_weight(&self, u: &[f64]) -> f64 {
        self.priors().zip(u).map(|(prior, &u)| prior.log_weight(u)).sum()
    }

    fn values(&self, u: &[f64], theta: &mut [f64], at: fn(&Prior, f64) -> f64) {
        assert_eq!(u.len(), self.free.len(), "one unit coordinate for each free parameter");
        let mut coordinates = u.iter();
        for (value, parameter) in theta.iter_mut().zip(&self.parameters) {
            *value = match &parameter.role {
                Role::Free { prior, .. } => coordinates.next().map_or(f64::NAN, |&u| at(prior, u)),
                Role::Fixed(value) => *value,
                Role::Tied(_) => f64::NAN,
            };
        }
        for (i, expr) in &self.ties {
            theta[*i] = expr.eval(theta);
        }
    }

    /// From d f / d theta to d f / du, one slope for each free parameter, at the point `u` with the values `theta`: du is the prior
    /// density times d theta. What ties add is taken by central differences of the ties alone. `weighted`: for values by
    /// [`transform`](Space::transform), with the slope of [`log_weight`](Space::log_weight) added; else for plain quantiles.
    pub fn pull_back(&self, u: &[f64], theta: &[f64], by_theta: &[f64], weighted: bool, by_u: &mut [f64]) {
        for (i, (prior, &k)) in self.priors().zip(&self.free).enumerate() {
            let (density, weight_by_u) = if weighted { prior.slopes(u[i], theta[k]) } else { (libm::exp(prior.ln_density(theta[k])), 0.0) };
            by_u[i] = (by_theta[k] + self.through_ties(theta, by_theta, k)) / density;
            if weighted {
                by_u[i] += weight_by_u;
            }
        }
    }

    /// Sum over tied parameters of d f / d tied x d tied / d theta_k.
    fn through_ties(&self, theta: &[f64], by_theta: &[f64], k: usize) -> f64 {
        if self.ties.is_empty() {
            return 0.0;
        }
        let step = 6e-6 * theta[k].abs().max(1e-6); // cbrt(2^-53)
        let at = |value: f64| {
            let mut moved = theta.to_vec();
            moved[k] = value;
            self.ties.iter().for_each(|(i, expr)| moved[*i] = expr.eval(&moved));
            moved
        };
        let (low, high) = (theta[k] - step, theta[k] + step);
        let (below, above) = (at(low), at(high));
        self.ties.iter().map(|(i, _)| by_theta[*i] * (above[*i] - below[*i]) / (high - low)).sum()
    }

    pub fn derived_names(&self) -> &[String] {
        &self.derived_names
    }

    /// Derived quantities at `theta`, into `out` (`derived_names().len()` values).
    pub fn derived(&self, theta: &[f64], out: &mut [f64]) {
        let mut values = theta.to_vec();
        values.resize(theta.len() + self.derived.len(), f64::NAN);
        for (i, expr) in &self.derived {
            let value = expr.eval(&values);
            values[theta.len() + i] = value;
            out[*i] = value;
        }
    }

    /// Natural log of the prior density of the free parameters at `theta`; -inf where it is zero.
    pub fn log_prior(&self, theta: &[f64]) -> f64 {
        self.priors().zip(&self.free).map(|(prior, &i)| prior.ln_density(theta[i])).sum()
    }

    /// Everything that changes the meaning of a unit coordinate, for the digest of the job.
    pub fn fingerprint(&self) -> Vec<u8> {
        let mut text = self.parameters_fingerprint();
        for (name, expr) in self.derived_names.iter().zip(&self.derived_typed) {
            text += &format!("derived {name} = {}\n", expr.text());
        }
        text.into_bytes()
    }

    /// The same without derived quantities: names, priors, fixed values and ties.
    pub fn parameters_fingerprint(&self) -> String {
        let mut text = String::new();
        for p in &self.parameters {
            // Debug of f64 is its shortest exact form, so equal text means equal bits.
            match &p.role {
                Role::Free { prior, periodic } => {
                    let far = if prior.open_ends() == (false, false) { "" } else { " far" };
                    text += &format!("{} ~ {prior:?} {periodic}{far}\n", p.name);
                }
                Role::Fixed(value) => text += &format!("{} = {value:?}\n", p.name),
                Role::Tied(expr) => text += &format!("{} = {}\n", p.name, expr.text()),
            }
        }
        text
    }
}

/// Binds each (index, expression) over `scope`, in an order in which each comes after those it reads.
/// `own[index]` is the name that an expression gives a value to.
fn bind_in_order(
    expressions: &[(usize, &Expr)],
    own: &[String],
    scope: &[String],
    errors: &mut Vec<SpaceError>,
) -> Vec<(usize, BoundExpr)> {
    let mut bound = Vec::new();
    for &(i, expr) in expressions {
        match expr.bind(scope) {
            Ok(it) => bound.push((i, it)),
            Err(ExprError { message, start, end, .. }) => {
                errors.push(SpaceError::Expression { name: own[i].clone(), message, start, end });
            }
        }
    }
    if bound.len() < expressions.len() {
        return Vec::new();
    }
    let reads: Vec<Vec<usize>> = expressions
        .iter()
        .map(|(_, expr)| {
            let variables = expr.variables();
            (0..expressions.len()).filter(|&k| variables.contains(&own[expressions[k].0])).collect()
        })
        .collect();
    match topological_order(&reads) {
        Ok(order) => {
            let mut slots: Vec<Option<(usize, BoundExpr)>> = bound.into_iter().map(Some).collect();
            order.into_iter().filter_map(|k| slots[k].take()).collect()
        }
        Err(cycle) => {
            errors.push(SpaceError::Cycle(cycle.into_iter().map(|k| own[expressions[k].0].clone()).collect()));
            Vec::new()
        }
    }
}

/// An order in which k comes after all of `reads[k]`, the earliest first; or a circle.
fn topological_order(reads: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut order: Vec<usize> = Vec::new();
    let mut done = vec![false; reads.len()];
    while order.len() < reads.len() {
        let ready = (0..reads.len()).find(|&k| !done[k] && reads[k].iter().all(|&r| done[r]));
        match ready {
            Some(k) => {
                done[k] = true;
                order.push(k);
            }
            None => return Err(circle(reads, &done)),
        }
    }
    Ok(order)
}

/// Follows what is not done from one to the next until one comes again.
fn circle(reads: &[Vec<usize>], done: &[bool]) -> Vec<usize> {
    let mut path: Vec<usize> = (0..reads.len()).filter(|&k| !done[k]).take(1).collect();
    while let Some(&last) = path.last() {
        let Some(&next) = reads[last].iter().find(|&&r| !done[r]) else { break };
        if let Some(at) = path.iter().position(|&k| k == next) {
            return path.split_off(at);
        }
        path.push(next);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::PriorSpec;

    fn free(name: &str, kind: &str, settings: &str) -> Parameter {
        let settings = toml::Value::Table(toml::from_str(settings).unwrap());
        let prior = PriorSpec::read(kind, settings).unwrap().unwrap().build().unwrap();
        Parameter { name: name.into(), role: Role::Free { prior, periodic: false } }
    }

    #[test]
    fn slopes_by_the_unit_cube_are_those_of_the_transform_ties_included() {
        let tie = |name: &str, text: &str| Parameter { name: name.into(), role: Role::Tied(Expr::parse(text).unwrap()) };
        let a = free("a", "normal", "mean = 3\nsd = 2");
        let b = free("b", "log-uniform", "min = 0.1\nmax = 50");
        let space = Space::new(vec![a, tie("c", "a*b + d"), b, tie("d", "sqrt(b)")], vec![]).unwrap();
        let f = |u: &[f64]| {
            let mut theta = [0.0; 4];
            space.transform(u, &mut theta);
            (theta, theta[0] + 2.0 * theta[1] - 3.0 * theta[2] + 0.5 * theta[3])
        };
        for u in [[0.3, 0.4], [0.9, 0.1], [0.5, 0.99]] {
            let mut slopes = [0.0; 2];
            space.pull_back(&u, &f(&u).0, &[1.0, 2.0, -3.0, 0.5], true, &mut slopes);
            for (k, slope) in slopes.iter().enumerate() {
                let at = |step: f64| f(&[0, 1].map(|i| if i == k { u[i] + step } else { u[i] })).1;
                let numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((slope / numeric - 1.0).abs() < 1e-7, "{u:?} {k}: {slope} {numeric}");
            }
        }
    }
}
