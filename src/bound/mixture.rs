//! A region that is an ellipsoid in some dimensions and the whole unit interval in the others.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::ellipsoid::Ellipsoid;
use super::linalg::robust_cholesky;
use crate::random::uniform;

/// Lange 2023, section 3: saves volume where the likelihood says nothing about a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CubeEllipsoid {
    pub n_dim: usize,
    /// Dimensions of the ellipsoid, ascending; the others are free in [0, 1).
    pub dims: Vec<usize>,
    pub ellipsoid: Option<Ellipsoid>,
}

/// A dimension in which the points span less than this is never set free: the ellipsoid is surely smaller.
const LEAST_SPAN: f64 = 0.4;

impl CubeEllipsoid {
    pub fn cube(n_dim: usize) -> CubeEllipsoid {
        CubeEllipsoid { n_dim, dims: Vec::new(), ellipsoid: None }
    }

    /// Around the points `x` (n x d): dimensions leave the ellipsoid one after another while its volume falls.
    pub fn around(x: &[f64], d: usize, enlarge: f64) -> CubeEllipsoid {
        let full = CubeEllipsoid { n_dim: d, dims: (0..d).collect(), ellipsoid: Some(Ellipsoid::around(x, d, enlarge)) };
        let best = full.set_free(x, enlarge);
        if best.log_volume() <= 0.0 { best } else { CubeEllipsoid::cube(d).take_in(x, enlarge) }
    }

    fn set_free(mut self, x: &[f64], enlarge: f64) -> CubeEllipsoid {
        while let Some(candidate) = self.freest(x, enlarge) {
            let dims: Vec<usize> = self.dims.iter().copied().filter(|j| *j != candidate).collect();
            let next = CubeEllipsoid::over(x, self.n_dim, dims, enlarge);
            if next.log_volume() >= self.log_volume() {
                break;
            }
            self = next;
        }
        self
    }

    /// The dimension whose leaving promises the smallest volume.
    fn freest(&self, x: &[f64], enlarge: f64) -> Option<usize> {
        let ellipsoid = self.ellipsoid.as_ref()?;
        let wide = self.dims.iter().enumerate().filter(|(_, j)| span(x, self.n_dim, **j) >= LEAST_SPAN);
        let promise = |at: usize| projected_log_volume(ellipsoid, at, &gather(x, self.n_dim, &self.dims), enlarge);
        let ranked = wide.map(|(at, j)| (promise(at), *j));
        ranked.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, j)| j)
    }

    /// From the whole cube: dimensions enter the ellipsoid while its volume falls.
    fn take_in(mut self, x: &[f64], enlarge: f64) -> CubeEllipsoid {
        loop {
            let outside = (0..self.n_dim).filter(|j| !self.dims.contains(j));
            let better = outside
                .map(|j| {
                    let mut dims = self.dims.clone();
                    dims.push(j);
                    dims.sort_unstable();
                    CubeEllipsoid::over(x, self.n_dim, dims, enlarge)
                })
                .min_by(|a, b| a.log_volume().total_cmp(&b.log_volume()));
            match better {
                Some(next) if next.log_volume() < self.log_volume() => self = next,
                _ => return self,
            }
        }
    }

    fn over(x: &[f64], n_dim: usize, dims: Vec<usize>, enlarge: f64) -> CubeEllipsoid {
        if dims.is_empty() {
            return CubeEllipsoid::cube(n_dim);
        }
        let ellipsoid = Ellipsoid::around(&gather(x, n_dim, &dims), dims.len(), enlarge);
        CubeEllipsoid { n_dim, dims, ellipsoid: Some(ellipsoid) }
    }

    pub fn log_volume(&self) -> f64 {
        self.ellipsoid.as_ref().map_or(0.0, |e| e.log_volume)
    }

    /// Whether a point of the cube is inside.
    pub fn contains(&self, x: &[f64]) -> bool {
        match &self.ellipsoid {
            None => true,
            Some(e) if self.dims.len() == self.n_dim => e.contains(x),
            Some(e) => e.contains(&self.dims.iter().map(|j| x[*j]).collect::<Vec<f64>>()),
        }
    }

    /// A uniform point into `x`, which may be outside the cube in the ellipsoid's dimensions; `room` holds 2 d numbers.
    pub fn draw(&self, rng: &mut ChaCha8Rng, room: &mut [f64], x: &mut [f64]) {
        let Some(ellipsoid) = &self.ellipsoid else {
            x.iter_mut().for_each(|v| *v = uniform(rng));
            return;
        };
        let k = self.dims.len();
        let (y, z) = room.split_at_mut(self.n_dim);
        ellipsoid.draw(rng, &mut y[..k], &mut z[..k]);
        if k < self.n_dim {
            x.iter_mut().for_each(|v| *v = uniform(rng));
        }
        for (at, j) in self.dims.iter().enumerate() {
            x[*j] = z[at];
        }
    }
}

fn gather(x: &[f64], d: usize, dims: &[usize]) -> Vec<f64> {
    if dims.len() == d {
        return x.to_vec();
    }
    x.chunks_exact(d).flat_map(|p| dims.iter().map(|j| p[*j])).collect()
}

fn span(x: &[f64], d: usize, j: usize) -> f64 {
    let values = || x.iter().skip(j).step_by(d).copied();
    values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min)
}

/// Log volume of the ellipsoid's shadow without its dimension `at`, shrunk to the points `x` (in its dimensions).
fn projected_log_volume(ellipsoid: &Ellipsoid, at: usize, x: &[f64], enlarge: f64) -> f64 {
    let k = ellipsoid.d();
    if k == 1 {
        return 0.0;
    }
    let keep: Vec<usize> = (0..k).filter(|j| *j != at).collect();
    let axes = &ellipsoid.axes;
    let entry = |i: usize, j: usize| (0..=i.min(j)).map(|m| axes[i * k + m] * axes[j * k + m]).sum::<f64>();
    let shape: Vec<f64> = keep.iter().flat_map(|i| keep.iter().map(move |j| (*i, *j))).map(|(i, j)| entry(i, j)).collect();
    let centre = keep.iter().map(|j| ellipsoid.centre[*j]).collect();
    let shadow = Ellipsoid::new(centre, robust_cholesky(&shape, k - 1));
    let farthest = gather(x, k, &keep).chunks_exact(k - 1).map(|p| shadow.radius2(p)).fold(0.0, f64::max);
    let log_scale = libm::log((enlarge * farthest.sqrt()).max(1e-300));
    shadow.log_volume + (k - 1) as f64 * log_scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    #[test]
    fn a_parameter_that_fills_its_interval_leaves_the_ellipsoid() {
        let mut rng = stream(5, Purpose::Decisions, 0, 0);
        let x: Vec<f64> =
            (0..500).flat_map(|_| [uniform(&mut rng), 0.45 + 0.1 * uniform(&mut rng), 0.45 + 0.1 * uniform(&mut rng)]).collect();
        let fit = CubeEllipsoid::around(&x, 3, 1.1);
        assert_eq!(fit.dims, [1, 2]);
        assert!(x.chunks_exact(3).all(|p| fit.contains(p)));
        let all: Vec<f64> = (0..900).map(|_| uniform(&mut rng)).collect();
        assert_eq!(CubeEllipsoid::around(&all, 3, 1.1).log_volume(), 0.0);
    }
}
