//! Problems like those that people have, with known answers: a family a file, one list.

mod corners;
mod counts;
mod curved;
mod hierarchical;
mod linear;
mod mixtures;
mod odes;
mod processes;
mod quadrature;
mod regressions;
mod scales;
mod series;
mod velocities;

pub use corners::wall;
use fitjob::prior::{Law, Prior};
use fitjob::random::{Purpose, fill_normal, stream, uniform as draw};
use fitjob::sampler;
use quadrature::{Grid, mixture_tails, moments};

/// A function of parameter values.
type Function<T> = Box<dyn Fn(&[f64]) -> T + Send + Sync>;

/// A posterior, and what is known of it.
pub struct Problem {
    pub priors: Vec<Prior>,
    /// Parameters whose two ends are the same point.
    pub periodic: Vec<usize>,
    /// log L of parameter values.
    log_like: Function<f64>,
    /// d log L / d theta, where it costs little.
    gradient: Option<Function<Vec<f64>>>,
    pub log_z: f64,
    /// Standard error of `log_z` itself.
    pub log_z_error: f64,
    pub marginals: Vec<Marginal>,
    /// Engines that are not made for it.
    pub unfit: &'static [&'static str],
}

/// What is known of one quantity.
pub struct Marginal {
    pub name: String,
    of: Function<f64>,
    /// NaN where there is none.
    pub mean: f64,
    pub sd: f64,
    /// A value and the probability below it, about 1%.
    pub low: (f64, f64),
    /// A value and the probability above it.
    pub high: (f64, f64),
    /// Relative error of the probabilities; half of it that of the sd, and the mean's in units of the sd.
    pub error: f64,
}

/// Several separated modes: chains stay in one.
pub const MODES: &[&str] = &["nuts", "ensemble"];

pub struct Entry {
    pub name: String,
    build: Box<dyn Fn(f64) -> Problem + Send + Sync>,
}

impl Entry {
    pub fn new(name: impl Into<String>, build: impl Fn(f64) -> Problem + Send + Sync + 'static) -> Entry {
        Entry { name: name.into(), build: Box::new(build) }
    }

    pub fn problem(&self) -> Problem {
        self.at_resolution(1.0)
    }

    /// With so many times as many points an axis where the truth is a quadrature.
    pub fn at_resolution(&self, fine: f64) -> Problem {
        (self.build)(fine)
    }
}

/// All problems, family by family.
pub fn list() -> Vec<Entry> {
    let families = [
        corners::list(),
        regressions::list(),
        series::list(),
        mixtures::list(),
        hierarchical::list(),
        odes::list(),
        velocities::list(),
        processes::list(),
        counts::list(),
        scales::list(),
        curved::list(),
    ];
    families.into_iter().flatten().collect()
}

impl Problem {
    pub fn new(priors: Vec<Prior>, log_like: impl Fn(&[f64]) -> f64 + Send + Sync + 'static) -> Problem {
        Problem {
            priors,
            periodic: Vec::new(),
            log_like: Box::new(log_like),
            gradient: None,
            log_z: f64::NAN,
            log_z_error: 0.0,
            marginals: Vec::new(),
            unfit: &[],
        }
    }

    fn with_gradient(self, gradient: impl Fn(&[f64]) -> Vec<f64> + Send + Sync + 'static) -> Problem {
        Problem { gradient: Some(Box::new(gradient)), ..self }
    }

    fn with_log_z(self, log_z: f64) -> Problem {
        Problem { log_z, ..self }
    }

    fn with(mut self, marginal: Marginal) -> Problem {
        self.marginals.push(marginal);
        self
    }

    /// log Z, and the marginals of the parameters that the axes of a grid stand for: (axis, parameter).
    fn by_grid(self, grid: &Grid, axes: &[(usize, usize)]) -> Problem {
        let line = |&(axis, parameter): &(usize, usize)| Marginal::of_grid(parameter, grid, axis);
        axes.iter().map(line).fold(self.with_log_z(grid.log_z), Problem::with)
    }

    /// Of this parameter's marginal only the tails are compared: its density falls too slowly for a mean and a sd of estimates.
    fn without_moments(mut self, name: &str) -> Problem {
        self.marginals.iter_mut().filter(|m| m.name == name).for_each(|m| (m.mean, m.sd) = (f64::NAN, f64::NAN));
        self
    }

    fn not_for(self, unfit: &'static [&'static str]) -> Problem {
        Problem { unfit, ..self }
    }

    pub fn dim(&self) -> usize {
        self.priors.len()
    }

    /// What an engine is told.
    pub fn statement(&self, gradient: bool) -> sampler::Problem {
        sampler::Problem { n_dim: self.dim(), periodic: self.periodic.clone(), gradient: gradient && self.gradient.is_some() }
    }

    /// Parameter values at a point of the cube, as in a job.
    pub fn at(&self, u: &[f64]) -> Vec<f64> {
        self.priors.iter().zip(u).map(|(prior, u)| prior.value(*u)).collect()
    }

    /// log L as an engine is told it, with that of the far tails of open priors; slopes by u where `gradient`.
    pub fn evaluate(&self, u: &[f64], gradient: bool, slopes: &mut Vec<f64>) -> f64 {
        let theta = self.at(u);
        if let Some(by_theta) = self.gradient.as_ref().filter(|_| gradient) {
            *slopes = by_theta(&theta);
            for (i, slope) in slopes.iter_mut().enumerate() {
                let (density, weight) = self.priors[i].slopes(u[i], theta[i]);
                *slope = *slope / density + weight;
            }
        }
        (self.log_like)(&theta) + self.priors.iter().zip(u).map(|(prior, u)| prior.log_weight(*u)).sum::<f64>()
    }
}

impl Marginal {
    pub fn value(&self, theta: &[f64]) -> f64 {
        (self.of)(theta)
    }

    fn new(
        name: String,
        of: impl Fn(&[f64]) -> f64 + Send + Sync + 'static,
        (mean, sd): (f64, f64),
        [low, high]: [(f64, f64); 2],
    ) -> Marginal {
        Marginal { name, of: Box::new(of), mean, sd, low, high, error: 0.0 }
    }

    fn of_grid(parameter: usize, grid: &Grid, axis: usize) -> Marginal {
        let line = grid.marginal(axis);
        Marginal::new(format!("x{parameter}"), move |x| x[parameter], line.mean_and_sd(), line.tails())
    }

    fn normal(parameter: usize, mean: f64, sd: f64) -> Marginal {
        Marginal::mixture(parameter, &[(1.0, mean, sd)])
    }

    /// Of normals: (weight, mean, sd).
    fn mixture(parameter: usize, parts: &[(f64, f64, f64)]) -> Marginal {
        Marginal::new(format!("x{parameter}"), move |x| x[parameter], moments(parts.iter().copied()), mixture_tails(parts))
    }
}

// What the families make their priors and data of.

fn prior(law: Law) -> Prior {
    Prior::new(law, None, None).expect("the bank's priors are valid")
}

fn uniform(min: f64, max: f64) -> Prior {
    prior(Law::Uniform { min, max })
}

fn log_uniform(min: f64, max: f64) -> Prior {
    prior(Law::PowerLaw { exponent: -1.0, min, max })
}

fn normal(mean: f64, sd: f64) -> Prior {
    prior(Law::Normal { mean, sd })
}

fn half_normal(sd: f64) -> Prior {
    prior(Law::HalfNormal { sd })
}

fn half_cauchy(scale: f64) -> Prior {
    prior(Law::HalfCauchy { scale })
}

fn log_normal(median: f64, sigma: f64) -> Prior {
    prior(Law::LogNormal { mu: libm::log(median), sigma })
}

/// Sum of the log densities of the first parameters.
fn log_prior(priors: &[Prior], theta: &[f64]) -> f64 {
    priors.iter().zip(theta).map(|(p, x)| p.ln_density(*x)).sum()
}

/// Standard normals from a fixed seed.
fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n];
    fill_normal(&mut stream(seed, Purpose::SbcData, 0, 0), &mut out);
    out
}

/// Uniform numbers of [0, 1) from a fixed seed.
fn uniforms(seed: u64, n: usize) -> Vec<f64> {
    let mut rng = stream(seed, Purpose::SbcData, 1, 0);
    (0..n).map(|_| draw(&mut rng)).collect()
}

/// ln of a normal density.
fn ln_normal(x: f64, mean: f64, sd: f64) -> f64 {
    -0.5 * ((x - mean) / sd).powi(2) - sd.ln() - 0.5 * std::f64::consts::TAU.ln()
}
