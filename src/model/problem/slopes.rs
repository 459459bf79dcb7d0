//! Exact gradients of the test problems that have simple ones, by the parameters; each beside its function in the parent.

use crate::expr::exp;
use libm::log as ln;

/// d log L / dx of a problem at `x`, into `slope`.
pub type Slope = fn(x: &[f64], slope: &mut [f64]);

pub fn gauss_tutorial(x: &[f64], slope: &mut [f64]) {
    slope.iter_mut().zip(x).for_each(|(s, x)| *s = -(x - 0.5) / 0.01);
}

pub fn gauss_unit(x: &[f64], slope: &mut [f64]) {
    slope.iter_mut().zip(x).for_each(|(s, x)| *s = -x);
}

pub fn gauss_correlated(x: &[f64], slope: &mut [f64]) {
    const R: f64 = 0.95;
    let shared = R / (1.0 + (x.len() as f64 - 1.0) * R) * x.iter().sum::<f64>();
    slope.iter_mut().zip(x).for_each(|(s, x)| *s = -(x - shared) / (1.0 - R));
}

pub fn rosenbrock(x: &[f64], slope: &mut [f64]) {
    slope.fill(0.0);
    for i in 0..x.len() - 1 {
        let (bend, along) = (x[i + 1] - x[i] * x[i], 1.0 - x[i]);
        slope[i] += 400.0 * bend * x[i] + 2.0 * along;
        slope[i + 1] -= 200.0 * bend;
    }
}

pub fn funnel(x: &[f64], slope: &mut [f64]) {
    let weight = exp(-2.0 * (20.0 * (x[0] - 0.5) - ln(100.0)));
    let squares: f64 = x[1..].iter().map(|x| (x - 0.5) * (x - 0.5)).sum();
    slope[0] = -(x[0] - 0.5) / 0.01 + 20.0 * (squares * weight - (x.len() as f64 - 1.0));
    slope[1..].iter_mut().zip(&x[1..]).for_each(|(s, x)| *s = -(x - 0.5) * weight);
}

#[cfg(test)]
mod tests {
    use super::super::PROBLEMS;

    #[test]
    fn gradients_are_the_slopes_of_their_functions() {
        let mut seen = 0;
        for problem in PROBLEMS.iter().filter(|p| p.slope.is_some()) {
            let x: Vec<f64> =
                (0..problem.dim).map(|i| problem.low + (problem.high - problem.low) * (0.45 + 0.02 * (i % 5) as f64)).collect();
            let mut slope = vec![0.0; problem.dim];
            (problem.slope.unwrap())(&x, &mut slope);
            for i in 0..problem.dim {
                let at = |h: f64| {
                    let mut x = x.clone();
                    x[i] += h;
                    problem.log_like(&x)
                };
                let numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((slope[i] - numeric).abs() < 1e-5 * (1.0 + numeric.abs()), "{} {i}: {} {numeric}", problem.name, slope[i]);
            }
            seen += 1;
        }
        assert_eq!(seen, 7);
    }
}
