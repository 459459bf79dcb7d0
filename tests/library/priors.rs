//! Priors against scipy's figures (tests/priors_scipy.csv, made by tests/priors_scipy.py), and their own laws.

use fitjob::prior::{KINDS, Prior, PriorSpec};

struct Line {
    text: String,
    prior: Prior,
    u: f64,
    x: f64,
    ln_density: f64,
    cdf: f64,
}

fn spec(text: &str) -> PriorSpec {
    let mut table: toml::Table = toml::from_str(&text.replace(", ", "\n")).expect("a prior is TOML");
    let kind = table.remove("prior").expect("every prior has a kind");
    PriorSpec::read(kind.as_str().unwrap(), toml::Value::Table(table)).expect("a known kind").expect("good keys")
}

fn prior(text: &str) -> Prior {
    spec(text).build().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn scipy() -> Vec<Line> {
    let lines = include_str!("priors_scipy.csv").lines().filter(|l| !l.starts_with('#'));
    let line = |line: &str| {
        let mut parts = line.split("; ");
        let text = parts.next().unwrap().to_string();
        let mut number = || parts.next().unwrap().parse::<f64>().unwrap();
        Line { prior: prior(&text), text, u: number(), x: number(), ln_density: number(), cdf: number() }
    };
    lines.map(line).collect()
}

/// The largest |a - b| relative to `scale`, over a law's lines, must stay below `limit`.
fn agree(what: &str, limit: f64, difference: impl Fn(&Line) -> f64) {
    let bad: Vec<String> = scipy()
        .iter()
        .filter(|line| difference(line).is_nan() || difference(line) > limit)
        .map(|line| format!("{} at u = {}: off by {:e}", line.text, line.u, difference(line)))
        .collect();
    assert!(bad.is_empty(), "{what}:\n{}", bad.join("\n"));
}

#[test]
fn quantiles_agree_with_scipy() {
    agree("quantile", 5e-12, |l| {
        let difference = (l.prior.quantile(l.u) - l.x).abs();
        // Near the start of a cut law scipy and we alike lose digits to 1 - p, one part in 1e15 of the width.
        let lost = if l.text.contains("min") || l.text.contains("half") { 1e-3 } else { 0.0 };
        let width = l.prior.quantile(0.72) - l.prior.quantile(0.3);
        difference / l.x.abs().max(lost * width).max(1e-300)
    });
}

#[test]
fn log_densities_agree_with_scipy() {
    agree("log density", 1e-11, |l| (l.prior.ln_density(l.x) - l.ln_density).abs() / l.ln_density.abs().max(1.0));
}

#[test]
fn distribution_functions_agree_with_scipy() {
    agree("cdf", 2e-12, |l| (l.prior.cdf(l.x) - l.cdf).abs() / l.cdf.max(1e-2));
}

/// Points of the unit interval, both ends and their neighbourhoods among them.
fn grid() -> impl Iterator<Item = f64> {
    let ends = [0.0, f64::MIN_POSITIVE, 1e-300, 1e-17, 1e-9, 1.0 - 1e-9, 1.0 - 2f64.powi(-53), 1.0];
    (1..200).map(|k| k as f64 / 200.0).chain(ends)
}

#[test]
fn the_distribution_function_undoes_the_quantile_to_twelve_digits() {
    for line in scipy() {
        let (min, max) = line.prior.support();
        for u in grid().filter(|u| (1e-9..=1.0 - 1e-9).contains(u)) {
            let x = line.prior.quantile(u);
            let back = line.prior.cdf(x);
            // A step of x to the next double moves u by the density: no round trip can be finer than that.
            let grain = line.prior.ln_density(x).exp() * x.abs() * f64::EPSILON;
            let allowed = 4e-12 * u.max(1e-2) + 8.0 * grain;
            assert!((back - u).abs() < allowed, "{}: u = {u} came back as {back}, off by {:e}", line.text, back - u);
            assert!(x >= min && x <= max, "{}: {x} is outside [{min}, {max}]", line.text);
        }
    }
}

#[test]
fn quantiles_are_finite_and_increase_even_at_the_ends() {
    for line in scipy() {
        let mut points: Vec<f64> = grid().collect();
        points.sort_by(f64::total_cmp);
        let values: Vec<f64> = points.iter().map(|&u| line.prior.quantile(u)).collect();
        assert!(values.iter().all(|x| x.is_finite()), "{}: {values:?}", line.text);
        assert!(values.is_sorted(), "{}: {values:?}", line.text);
    }
}

#[test]
fn a_density_integrates_to_the_distribution_function() {
    for line in scipy() {
        // Simpson's rule between the quantiles at 0.45 and 0.52.
        let (a, b) = (line.prior.quantile(0.45), line.prior.quantile(0.52));
        let n = 2000;
        let h = (b - a) / n as f64;
        let weight = |k: usize| if k == 0 || k == n { 1.0 } else { 2.0 + 2.0 * (k % 2) as f64 };
        let sum: f64 = (0..=n).map(|k| weight(k) * line.prior.ln_density(a + k as f64 * h).exp()).sum();
        let mass = sum * h / 3.0;
        assert!((mass - 0.07).abs() < 1e-4, "{}: {mass} in place of 0.07", line.text);
    }
}

#[test]
fn a_half_normal_keeps_its_digits_next_to_zero() {
    let x = prior("prior = \"half-normal\", sd = 2.5").quantile(1e-15);
    let exact = 2.5 * 1e-15 * (std::f64::consts::PI / 2.0).sqrt();
    assert!((x / exact - 1.0).abs() < 1e-14, "{x:e} in place of {exact:e}");
}

#[test]
fn every_kind_has_a_line_of_figures() {
    let lines = scipy();
    for (kind, _) in KINDS {
        let named = format!("prior = \"{kind}\"");
        assert!(lines.iter().any(|l| l.text.starts_with(&named)), "no figures for {kind}");
    }
}

fn refused(text: &str, key: &str) {
    match spec(text).build() {
        Ok(_) => panic!("{text} was accepted"),
        Err(error) => assert_eq!(error.key, key, "{text}: {error}"),
    }
}

#[test]
fn impossible_priors_are_refused_at_the_key_to_blame() {
    refused("prior = \"uniform\", min = 1, max = 1", "max");
    refused("prior = \"uniform\", min = -inf, max = 1", "min");
    refused("prior = \"log-uniform\", min = 0, max = 1", "min");
    refused("prior = \"normal\", mean = 0, sd = 0", "sd");
    refused("prior = \"normal\", mean = 0, sd = 1, min = 3, max = 2", "max");
    refused("prior = \"normal\", mean = 0, sd = 1, min = 60", "min");
    refused("prior = \"normal\", mean = 0, sd = 1, max = nan", "max");
    refused("prior = \"normal\", mean = 0, sd = 1, min = 0, periodic = true", "periodic");
    refused("prior = \"gamma\", shape = 2", "prior");
    refused("prior = \"gamma\", shape = 2, rate = 1, scale = 1", "scale");
    refused("prior = \"beta\", a = -1, b = 2", "a");
    refused("prior = \"beta\", a = 1, b = 2, min = 1.5", "max");
    refused("prior = \"log-normal\", mu = 0, sigma = 1e4", "prior");
    refused("prior = \"power-law\", exponent = -2, min = 0, max = 1", "min");
    refused("prior = \"log-power-law\", exponent = 1, min = 0.5, max = 3", "min");
}
