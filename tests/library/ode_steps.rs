//! Steps of the solver: pulses and jumps are seen, wherever they are; whole powers of negative numbers are no trouble.

use fitjob::job::{self, Source};

const METHODS: [&str; 3] = ["bdf", "tsit45", "auto"];

/// Log L of a job's only free parameter set to these values.
fn log_likes(job: &str, values: &[f64]) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    std::fs::write(&path, job).unwrap();
    let job = job::resolve(&job::load(Source::read(&path, vec![]).unwrap()).unwrap()).unwrap();
    let mut density = job.model.bind(job.space.names()).unwrap();
    values.iter().map(|k| density.log_like(&[*k]).unwrap_or_else(|e| panic!("k = {k}: {e}"))).collect()
}

/// Observations a of da/dt = F, a(0) = `start`, of `truth` at these times, with sigma 0.1; log L without its constant is -chi^2 / 2.
fn job(method: &str, more: &str, start: &str, f: &str, times: &[f64], truth: &dyn Fn(f64) -> f64) -> String {
    let y: Vec<f64> = times.iter().map(|t| truth(*t)).collect();
    format!(
        "[model]\nkind = \"ode\"\nmethod = \"{method}\"\n{more}\ncode = \"\"\"\nin_i {{ k = 0.3 }}\nu_i {{ a = {start} }}\nF_i {{ {f} }}\n\"\"\"\n\
         time = \"t\"\ndata = {{ t = {times:?}, y = {y:?} }}\n[[model.observe]]\noutput = \"a\"\ncolumn = \"y\"\nsigma = 0.1\n\
         [parameters]\nk = {{ prior = \"log-normal\", median = 0.3, sigma = 0.5 }}\n"
    )
}

/// What log L is where the solution is the truth.
fn perfect(n: usize) -> f64 {
    -(n as f64) * (0.1f64.ln() + 0.5 * (2.0 * std::f64::consts::PI).ln())
}

/// Infusion at `rate` from `from` to `to`, with loss k a.
fn infused(k: f64, rate: f64, from: f64, to: f64, t: f64) -> f64 {
    let inside = rate / k * (1.0 - (-k * (t.min(to) - from).max(0.0)).exp());
    inside * (-k * (t - to).max(0.0)).exp()
}

#[test]
fn an_infusion_is_seen_with_data_in_it_and_between_data() {
    let during = [0.0, 24.0, 47.0, 49.0, 50.0, 52.0, 56.0, 60.0];
    let between = [0.0, 24.0, 47.0, 52.0, 56.0, 60.0];
    for method in METHODS {
        for times in [&during[..], &between[..]] {
            let job =
                job(method, "", "0", "5 * heaviside(t - 48) * heaviside(50 - t) - k * a", times, &|t| infused(0.3, 5.0, 48.0, 50.0, t));
            let found = log_likes(&job, &[0.3, 0.35]);
            assert!((found[0] - perfect(times.len())).abs() < 1e-4, "{method} {times:?}: {found:?}");
            assert!(found[1] < found[0] - 1.0, "{method} {times:?}: {found:?}");
        }
    }
}

#[test]
fn a_jump_at_a_time_that_is_a_parameter_is_found_at_every_point() {
    let times = [0.0, 10.0, 20.0, 30.0];
    for method in METHODS {
        let job = job(method, "", "0", "heaviside(t - 40 * k) - 0.5 * a", &times, &|t| infused(0.5, 1.0, 12.0, 1e9, t));
        let found = log_likes(&job, &[0.3, 0.5]);
        assert!((found[0] - perfect(4)).abs() < 1e-4, "{method}: {found:?}");
        let second = [0.0, 0.0, 0.0, 2.0 * (1.0 - (-5f64).exp())];
        let chi2: f64 = times.iter().zip(second).map(|(t, m)| ((infused(0.5, 1.0, 12.0, 1e9, *t) - m) / 0.1).powi(2)).sum();
        assert!((found[1] - (perfect(4) - 0.5 * chi2)).abs() < 0.05, "{method}: {found:?}");
    }
}

#[test]
fn a_smooth_pulse_is_seen_from_rest_where_data_lie_in_it() {
    let times = [0.0, 24.0, 47.0, 49.0, 50.0, 52.0, 56.0, 60.0];
    let f = "5 * exp(-(t - 49) * (t - 49) / 2) - k * a";
    for method in METHODS {
        let [plain, fine] = ["", "max_step = 0.05"].map(|more| log_likes(&job(method, more, "0", f, &times, &|_| 1.0), &[0.3, 0.4]));
        plain.iter().zip(&fine).for_each(|(a, b)| assert!((a - b).abs() < 1e-2 * b.abs().max(1.0), "{method}: {plain:?} {fine:?}"));
        assert!((plain[0] - plain[1]).abs() > 1.0, "{method}: {plain:?}");
    }
}

#[test]
fn what_no_jump_shows_is_seen_with_breaks_or_a_longest_step() {
    let times = [0.0, 24.0, 36.0];
    // A smooth pulse of area 5 sqrt(2 pi) 0.05 at t = 30, after rest.
    let area = 5.0 * (2.0 * std::f64::consts::PI).sqrt() * 0.05;
    let truth = move |t: f64| if t < 30.0 { 0.0 } else { area * (-0.3 * (t - 30.0) + 0.5 * (0.3f64 * 0.05).powi(2)).exp() };
    let f = "5 * exp(-pow((t - 30) / 0.05, 2) / 2) - k * a";
    for method in METHODS {
        for more in ["max_step = 0.2", "breaks = [29.7, 30]"] {
            let found = log_likes(&job(method, more, "0", f, &times, &truth), &[0.3]);
            assert!((found[0] - perfect(3)).abs() < 1e-3, "{method} {more}: {found:?} for {}", perfect(3));
        }
    }
}

#[test]
fn whole_powers_of_negative_numbers_do_in_every_solver() {
    let times = [0.0, 1.0, 2.0, 4.0];
    // da/dt = k a^3: a = -1 / sqrt(1 - 2 k t + ...) from -1; k < 0 here by the sign in the code.
    let cubed = |t: f64| -1.0 / (1.0 + 0.6 * t).sqrt();
    // da/dt = -k a^2, from -1, rises in size: a = 1 / (k t - 1).
    let squared = |t: f64| 1.0 / (0.3 * 0.5 * t - 1.0);
    // da/dt = k a^-1 from -1: a = -sqrt(1 + 2 k t).
    let inverse = |t: f64| -(1.0 + 0.6 * t).sqrt();
    let cases: [(&str, &dyn Fn(f64) -> f64); 4] =
        [("-k * pow(a, 3)", &cubed), ("-k * pow(a, (1 + 2))", &cubed), ("-0.5 * k * pow(a, 2)", &squared), ("k * pow(a, -1)", &inverse)];
    for method in METHODS {
        for (f, truth) in &cases {
            let found = log_likes(&job(method, "", "-1", f, &times, truth), &[0.3]);
            assert!((found[0] - perfect(4)).abs() < 1e-4, "{method} {f}: {found:?} for {}", perfect(4));
        }
    }
}

#[test]
fn dense_data_of_a_smooth_solution_are_as_right_as_few() {
    let times: Vec<f64> = (0..2000).map(|i| 0.005 * f64::from(i)).collect();
    for method in METHODS {
        let found = log_likes(&job(method, "", "10", "-k * a", &times, &|t| 10.0 * (-0.3 * t).exp()), &[0.3]);
        assert!((found[0] - perfect(2000)).abs() < 1e-3, "{method}: {} for {}", found[0], perfect(2000));
    }
}

#[test]
fn a_step_that_is_none_and_a_break_that_is_no_time_are_refused() {
    for (more, word) in [("max_step = 0", "longer than zero"), ("breaks = [nan]", "no time")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job.toml");
        std::fs::write(&path, job("bdf", more, "1", "-k * a", &[0.0, 1.0], &|_| 1.0)).unwrap();
        let error = job::resolve(&job::load(Source::read(&path, vec![]).unwrap()).unwrap()).map(|_| ()).unwrap_err();
        assert!(error.report(false).contains(word), "{more}: {}", error.report(false));
    }
}
