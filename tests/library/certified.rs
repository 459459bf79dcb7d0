//! Errors and best points of optimisers on problems with certified answers: NIST's Statistical Reference Datasets (itl.nist.gov/div898/strd).

use crate::support::{of_dim, run, spec, warned};
use fitjob::sampler::Posterior;

const ALL: [&str; 3] = ["cmaes", "lbfgs", "nelder-mead"];

/// A regression: data, residual standard deviation, and for each parameter two starting values, the certified value and its standard deviation.
struct Regression {
    x: &'static [f64],
    y: &'static [f64],
    sigma: f64,
    parameters: &'static [[f64; 4]],
    curve: fn(&[f64], f64) -> f64,
}

/// y = b1 exp(-b2 x) + b3 exp(-b4 x) + b5 exp(-b6 x) (Lanczos 1956): errors of neighbouring exponentials, with a bent valley.
const LANCZOS3: Regression = Regression {
    x: &[
        0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15,
    ],
    y: &[
        2.5134, 2.0443, 1.6684, 1.3664, 1.1232, 0.9269, 0.7679, 0.6389, 0.5338, 0.4479, 0.3776, 0.3197, 0.272, 0.2325, 0.1997, 0.1723,
        0.1493, 0.1301, 0.1138, 0.1, 0.0883, 0.0783, 0.0698, 0.0624,
    ],
    sigma: 2.9923229172e-05,
    parameters: &[
        [1.2, 0.5, 0.086816414977, 0.017197908859],
        [0.3, 0.7, 0.95498101505, 0.097041624475],
        [5.6, 3.6, 0.84400777463, 0.041488663282],
        [5.5, 4.2, 2.9515951832, 0.10766312506],
        [6.5, 4.0, 1.5825685901, 0.058371576281],
        [7.6, 6.3, 4.9863565084, 0.034436403035],
    ],
    curve: |b, x| b[0] * (-b[1] * x).exp() + b[2] * (-b[3] * x).exp() + b[4] * (-b[5] * x).exp(),
};

/// Electron mobility by the logarithm of density: a ratio of cubics (Thurber, NIST 1979).
const THURBER: Regression = Regression {
    x: &[
        -3.067, -2.981, -2.921, -2.912, -2.84, -2.797, -2.702, -2.699, -2.633, -2.481, -2.363, -2.322, -1.501, -1.46, -1.274, -1.212, -1.1,
        -1.046, -0.915, -0.714, -0.566, -0.545, -0.4, -0.309, -0.109, -0.103, 0.01, 0.119, 0.377, 0.79, 0.963, 1.006, 1.115, 1.572, 1.841,
        2.047, 2.2,
    ],
    y: &[
        80.574, 84.248, 87.264, 87.195, 89.076, 89.608, 89.868, 90.101, 92.405, 95.854, 100.696, 101.06, 401.672, 390.724, 567.534,
        635.316, 733.054, 759.087, 894.206, 990.785, 1090.109, 1080.914, 1122.643, 1178.351, 1260.531, 1273.514, 1288.339, 1327.543,
        1353.863, 1414.509, 1425.208, 1421.384, 1442.962, 1464.35, 1468.705, 1447.894, 1457.628,
    ],
    sigma: 13.714600784,
    parameters: &[
        [1000.0, 1300.0, 1288.13968, 4.6647963344],
        [1000.0, 1500.0, 1491.0792535, 39.571156086],
        [400.0, 500.0, 583.23836877, 28.698696102],
        [40.0, 75.0, 75.416644291, 5.567537027],
        [0.7, 1.0, 0.96629502864, 0.031333340687],
        [0.3, 0.4, 0.39797285797, 0.014984928198],
        [0.03, 0.05, 0.049727297349, 0.0065842344623],
    ],
    curve: |b, x| (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) / (1.0 + x * (b[4] + x * (b[5] + x * b[6]))),
};

impl Regression {
    /// A uniform prior about starting and certified values, half as wide again to both sides.
    fn prior(&self, k: usize) -> (f64, f64) {
        let [a, b, c, _] = self.parameters[k];
        let (low, high) = (a.min(b).min(c), a.max(b).max(c));
        let more = 0.5 * (high - low).max(c.abs());
        (low - more, high + more)
    }

    fn best(&self, method: &str, seed: u64) -> Posterior {
        let n = self.parameters.len();
        let log_like = |u: &[f64]| {
            let b: Vec<f64> = (0..n).map(|k| self.prior(k).0 + u[k] * (self.prior(k).1 - self.prior(k).0)).collect();
            -0.5 * self.x.iter().zip(self.y).map(|(x, y)| ((y - (self.curve)(&b, *x)) / self.sigma).powi(2)).sum::<f64>()
        };
        run(&spec(method, ""), seed, n, &|u| if log_like(u).is_nan() { f64::NEG_INFINITY } else { log_like(u) }).unwrap()
    }

    /// Errors over those certified, and the distance of the best point in these.
    fn compare(&self, p: &Posterior) -> (Vec<f64>, f64) {
        let (n, best) = (self.parameters.len(), p.optimum.as_ref().unwrap());
        assert!(!best.covariance.is_empty(), "{:?}", p.warnings);
        let width = |k: usize| self.prior(k).1 - self.prior(k).0;
        let ratios = (0..n).map(|k| best.covariance[k * n + k].sqrt() * width(k) / self.parameters[k][3]).collect();
        let apart = (0..n).map(|k| (self.prior(k).0 + best.u[k] * width(k) - self.parameters[k][2]).abs() / self.parameters[k][3]);
        (ratios, apart.fold(0.0, f64::max))
    }
}

/// Certified errors leave out the curvature of the curve itself: with it they are 1.7 % larger for Lanczos3, and .79 to 1.004 times as large for Thurber.
#[test]
fn errors_and_best_points_of_ill_conditioned_regressions_are_the_certified_ones() {
    let thurber = [1.0039, 0.8857, 0.8989, 0.8945, 0.9397, 0.9368, 0.7918];
    for method in ALL {
        let p = LANCZOS3.best(method, 1);
        let (ratios, apart) = LANCZOS3.compare(&p);
        assert!(ratios.iter().all(|ratio| (ratio - 1.0).abs() < 0.02) && apart < 1e-4, "{method}: {ratios:?} {apart}");
        assert!(!warned(&p, "rough") && !warned(&p, "not at the top"), "{method}: {:?}", p.warnings);
        let (ratios, apart) = THURBER.compare(&THURBER.best(method, 1));
        assert!(
            ratios.iter().zip(thurber).all(|(ratio, truth)| (ratio / truth - 1.0).abs() < 2e-3) && apart < 1e-4,
            "{method}: {ratios:?} {apart}"
        );
    }
}

#[test]
fn errors_are_right_whatever_the_scales_of_the_parameters_and_their_correlation() {
    // Standard deviations of 1e-9 to 0.05 of the prior, correlated by .99, and a little bent.
    let sd = [1e-9, 1e-6, 1e-3, 0.05];
    let rho: f64 = 0.99;
    let log_like = |u: &[f64]| {
        let z: Vec<f64> = (0..4).map(|k| (u[k] - 0.4) / sd[k]).collect();
        let rest = (1..4).map(|k| (z[k] - rho * z[k - 1]).powi(2) / (1.0 - rho * rho)).sum::<f64>();
        -0.5 * (z[0] * z[0] + rest) - 0.001 * z[3].powi(4)
    };
    let problem = of_dim(4);
    assert_eq!(problem.n_dim, 4);
    for method in ["lbfgs", "cmaes"] {
        let text = "points = [[0.4000000001, 0.4000001, 0.4001, 0.405]]\nn_starts = 1";
        let p = run(&spec(method, text), 1, 4, &log_like).unwrap();
        let best = p.optimum.as_ref().unwrap();
        assert!(!best.covariance.is_empty(), "{method}: {:?}", p.warnings);
        // A chain of unit variances.
        for (k, sd) in sd.iter().enumerate() {
            let ratio = best.covariance[5 * k].sqrt() / sd;
            assert!((ratio - 1.0).abs() < 0.01, "{method} {k}: {ratio} {:?}", p.warnings);
        }
    }
}

/// A number between -1 and 1 that every bit of u decides.
fn hash(u: &[f64]) -> f64 {
    let mixed = u.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |h, u| (h ^ u.to_bits()).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(31));
    (mixed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

#[test]
fn noise_of_log_l_is_measured_and_errors_are_right_until_it_drowns_them() {
    let noisy =
        |size: f64| move |u: &[f64]| -0.5 * ((u[0] - 0.4) / 0.01).powi(2) - 0.5 * ((u[1] - 0.3 - u[0]) / 0.02).powi(2) + size * hash(u);
    for method in ALL {
        for size in [1e-7, 1e-5, 1e-4] {
            let p = run(&spec(method, "n_starts = 2"), 1, 2, &noisy(size)).unwrap();
            let best = p.optimum.as_ref().unwrap();
            let ratio = best.covariance[0].sqrt() / 0.01;
            let noise = p.diagnostics.iter().find(|d| d.0 == "log_like_noise").unwrap().1;
            assert!((ratio - 1.0).abs() < 0.03, "{method} {size}: {ratio} {:?}", p.warnings);
            assert!((0.1..2.0).contains(&(noise / size)), "{method} {size}: {noise}");
        }
        let p = run(&spec(method, "n_starts = 2"), 1, 2, &noisy(0.1)).unwrap();
        assert!(warned(&p, "errors of the parameters"), "{method}: {:?}", p.warnings);
    }
}

/// A wide hill, and a higher peak that is seen in a hundredth of the prior only.
fn hidden(u: &[f64]) -> f64 {
    let hill = -5.0 - 3.0 * u.iter().map(|u| (u - 0.5).powi(2)).sum::<f64>();
    let peak = 40.0 - 1e3 * u.iter().map(|u| (u - 0.85).powi(2)).sum::<f64>();
    hill.max(peak)
}

#[test]
fn searches_begin_at_the_best_of_many_points_of_the_prior() {
    for method in ALL {
        for seed in 0..5 {
            let p = run(&spec(method, "n_screen = 1000"), seed, 3, &hidden).unwrap();
            assert!(p.log_like[0] > 39.99 && warned(&p, "the starts disagree"), "{method} {seed}: {} {:?}", p.log_like[0], p.warnings);
        }
        let p = run(&spec(method, "n_screen = 1000\nn_like_max = 2000"), 1, 3, &hidden).unwrap();
        assert!(p.n_like <= 2000, "{method}: {}", p.n_like);
    }
}
