//! Models against independent references: scipy for likelihoods, quadrature for test problems.

use fitjob::model::problem::{PROBLEMS, Problem};
use fitjob::model::{DelaySpec, Files, Loaded, Model, ModelError, ModelSpec, build};
use fitjob::task::EvalError;

fn model_of(toml: &str, files: &Files) -> Result<Box<dyn Model>, ModelError> {
    let spec: ModelSpec = toml::from_str(toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
    build(&spec, None, 1, files)
}

fn model(toml: &str) -> Box<dyn Model> {
    model_of(toml, &Files::new()).unwrap_or_else(|e| panic!("{e}: {:?} {:?}", e.key, e.help))
}

fn fault(toml: &str) -> (String, String) {
    match model_of(toml, &Files::new()) {
        Ok(_) => panic!("accepted:\n{toml}"),
        Err(e) => (e.key.join("."), e.message),
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| n.to_string()).collect()
}

fn log_like(model: &dyn Model, parameters: &[(&str, f64)]) -> Result<f64, EvalError> {
    let names: Vec<String> = parameters.iter().map(|(n, _)| n.to_string()).collect();
    let theta: Vec<f64> = parameters.iter().map(|(_, v)| *v).collect();
    model.bind(&names)?.log_like(&theta)
}

// ---- problems

/// log L at u_i = (i + 1) / (d + 2), from an independent numpy implementation.
const PROBES: [(&str, f64); 15] = [
    ("gauss3tut", -5.5),
    ("gauss10c", -2288.86711082372),
    ("eggbox2", 32.0),
    ("eggbox5", 30.0447725525809),
    ("rosen2", -3918.5),
    ("rosen5", -25314.9287796751),
    ("loggamma10", -45.7268610288301),
    ("shells2", -111.116353440211),
    ("shells10", -1733.14296963426),
    ("shells20", -6235.28557135083),
    ("funnel10", -36057874801.9694),
    ("gauss20", -295.238274796325),
    ("gauss50", -817.026808317038),
    ("spike10", -15.6774232909952),
    ("spike20", -41.5419448372704),
];

#[test]
fn every_problem_gives_its_probe_value_to_twelve_digits() {
    assert_eq!(PROBES.len(), PROBLEMS.len());
    for (name, expected) in PROBES {
        let problem = model(&format!("kind = \"problem\"\nname = \"{name}\""));
        let bounds = problem.default_box().unwrap();
        let d = bounds.len() as f64;
        let theta: Vec<f64> = bounds.iter().enumerate().map(|(i, (_, lo, hi))| lo + (hi - lo) * (i as f64 + 1.0) / (d + 2.0)).collect();
        let value = problem.bind(&problem.parameters()).unwrap().log_like(&theta).unwrap();
        assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{name}: {value} against {expected}");
    }
}

#[test]
fn the_evidence_of_low_dimensional_problems_agrees_with_quadrature() {
    // the mean over a fine grid of cell centres is exact to many digits for smooth peaks inside the box
    for (name, cells, tolerance) in [("gauss3tut", 60, 1e-6), ("eggbox2", 1000, 1e-6), ("shells2", 1000, 1e-6), ("rosen2", 1500, 1e-5)] {
        let problem = Problem::named(name).unwrap();
        let step = (problem.high - problem.low) / f64::from(cells);
        let centre = |i: i32| problem.low + (f64::from(i) + 0.5) * step;
        let peak = if name == "eggbox2" { 243.0 } else { 0.0 };
        let mut sum = 0.0;
        let mut x = vec![0.5; problem.dim];
        for k in 0..(if problem.dim == 3 { cells } else { 1 }) {
            if problem.dim == 3 {
                x[2] = centre(k);
            }
            for i in 0..cells {
                x[0] = centre(i);
                for j in 0..cells {
                    x[1] = centre(j);
                    sum += (problem.log_like(&x) - peak).exp();
                }
            }
        }
        let log_z = (sum / f64::from(cells).powi(problem.dim as i32)).ln() + peak;
        assert!((log_z - problem.log_z_true()).abs() < tolerance, "{name}: {log_z} against {}", problem.log_z_true());
    }
}

#[test]
fn an_unknown_problem_is_refused_with_the_nearest_name() {
    let error = model_of("kind = \"problem\"\nname = \"gauss3\"", &Files::new()).err().unwrap();
    assert_eq!(error.key, ["name"]);
    assert!(error.help.unwrap().contains("did you mean"));
}

#[test]
fn a_problem_finds_its_parameters_by_name_in_any_order() {
    let problem = model("kind = \"problem\"\nname = \"rosen2\"");
    let forward = log_like(&*problem, &[("x1", 0.5), ("x2", -1.0)]).unwrap();
    assert_eq!(log_like(&*problem, &[("x2", -1.0), ("other", 3.0), ("x1", 0.5)]).unwrap(), forward);
    assert!(matches!(log_like(&*problem, &[("x1", 0.5)]), Err(EvalError::Fatal(_))));
}

// ---- delays

#[test]
fn a_delay_takes_its_time_and_changes_no_value() {
    let spec: ModelSpec = toml::from_str("kind = \"problem\"\nname = \"gauss3tut\"").unwrap();
    let plain = build(&spec, None, 1, &Files::new()).unwrap();
    for busy in [false, true] {
        let delay = DelaySpec { ms: 5.0, busy, ..DelaySpec::default() };
        let slow = build(&spec, Some(&delay), 1, &Files::new()).unwrap();
        let start = std::time::Instant::now();
        let value = slow.bind(&slow.parameters()).unwrap().log_like(&[0.1, 0.2, 0.3]).unwrap();
        assert!(start.elapsed().as_secs_f64() >= 5e-3);
        assert_eq!(value, plain.bind(&plain.parameters()).unwrap().log_like(&[0.1, 0.2, 0.3]).unwrap());
        assert_eq!(slow.fingerprint(), plain.fingerprint());
    }
    let error = build(&spec, Some(&DelaySpec { ms: -1.0, ..DelaySpec::default() }), 1, &Files::new()).err().unwrap();
    assert_eq!(error.key, ["delay", "ms"]);
}

// ---- curves

const CURVE: &str = "
    kind = \"curve\"
    y = \"y\"
    formula = \"a*exp(-x/tau) + c\"
    [data]
    x = [0, 1, 2, 3, 4]
    y = [3.1, 2.2, 1.4, 1.1, 0.9]
    err = [0.1, 0.1, 0.2, 0.1, 0.3]
";

fn curve(keys: &str) -> String {
    format!("{keys}\n{CURVE}")
}

fn close(value: f64, expected: f64) {
    assert!((value - expected).abs() < 1e-10 * (1.0 + expected.abs()), "{value} against {expected}");
}

const DECAY: [(&str, f64); 3] = [("a", 2.5), ("tau", 1.7), ("c", 0.6)];

#[test]
fn a_curve_has_the_log_likelihood_that_scipy_gives() {
    close(log_like(&*model(&curve("sigma = \"err\"")), &DECAY).unwrap(), 2.594252959500);
    close(log_like(&*model(&curve("sigma = 0.2\nnoise = \"log-normal\"")), &DECAY).unwrap(), 0.951296662672);
    let with_sigma: Vec<_> = DECAY.into_iter().chain([("s", 0.2)]).collect();
    close(log_like(&*model(&curve("sigma = \"s\"\nnoise = \"log-normal\"")), &with_sigma).unwrap(), 0.951296662672);
    let with_scale: Vec<_> = DECAY.into_iter().chain([("s", 1.0)]).collect();
    close(log_like(&*model(&curve("sigma = \"s*err\"")), &with_scale).unwrap(), 2.594252959500);
}

/// exp(-|xi - xj| / 2) * 0.04 for x = 0 ... 4
fn covariance() -> fitjob::data::Table {
    let element = |i: usize, j: usize| 0.04 * (-(i as f64 - j as f64).abs() / 2.0).exp();
    let columns = (0..5).map(|j| (format!("c{}", j + 1), (0..5).map(|i| element(i, j)).collect())).collect();
    fitjob::data::Table { source: "C.txt".into(), columns }
}

#[test]
fn correlated_noise_has_the_log_likelihood_that_scipy_gives() {
    let files = Files::from([("C.txt".to_string(), Loaded::Table(covariance()))]);
    let normal = model_of(&curve("covariance = \"C.txt\""), &files).unwrap();
    close(log_like(&*normal, &DECAY).unwrap(), 3.223072521350);
    let log_normal = model_of(&curve("covariance = \"C.txt\"\nnoise = \"log-normal\""), &files).unwrap();
    close(log_like(&*log_normal, &DECAY).unwrap(), 1.810640965435);
}

#[test]
fn a_covariance_that_is_not_positive_definite_or_not_symmetric_is_refused() {
    for (value, word) in [(0.05, "positive definite"), (0.01, "symmetric")] {
        let mut matrix = covariance();
        matrix.columns[1].1[0] = value;
        if word == "positive definite" {
            matrix.columns[0].1[1] = value;
        }
        let files = Files::from([("C.txt".to_string(), Loaded::Table(matrix))]);
        let error = model_of(&curve("covariance = \"C.txt\""), &files).err().unwrap();
        assert_eq!(error.key, ["covariance"]);
        assert!(error.message.contains(word), "{}", error.message);
    }
}

/// Gradient by central differences.
fn check_gradient(model: &dyn Model, parameters: &[(&str, f64)]) {
    let names: Vec<String> = parameters.iter().map(|(n, _)| n.to_string()).collect();
    let mut theta: Vec<f64> = parameters.iter().map(|(_, v)| *v).collect();
    let mut density = model.bind(&names).unwrap();
    let mut gradient = vec![f64::NAN; theta.len()];
    let value = density.log_like_gradient(&theta, &mut gradient).unwrap().unwrap();
    assert_eq!(value, density.log_like(&theta).unwrap());
    for i in 0..theta.len() {
        let (x, h) = (theta[i], 1e-5 * (1.0 + theta[i].abs()));
        theta[i] = x + h;
        let above = density.log_like(&theta).unwrap();
        theta[i] = x - h;
        let below = density.log_like(&theta).unwrap();
        theta[i] = x;
        let numeric = (above - below) / (2.0 * h);
        assert!((gradient[i] - numeric).abs() < 1e-5 * (1.0 + numeric.abs()), "{}: {} against {numeric}", names[i], gradient[i]);
    }
}

#[test]
fn gradients_of_curves_are_exact_including_those_by_parameters_of_the_noise() {
    let free: Vec<_> = DECAY.into_iter().chain([("unused", 1.0), ("s", 0.15), ("f", 0.05)]).collect();
    for noise in ["normal", "log-normal"] {
        for sigma in ["0.3", "\"err\"", "\"s\"", "\"hypot(s*err, f*x)\""] {
            check_gradient(&*model(&curve(&format!("sigma = {sigma}\nnoise = \"{noise}\""))), &free);
        }
        let files = Files::from([("C.txt".to_string(), Loaded::Table(covariance()))]);
        check_gradient(&*model_of(&curve(&format!("covariance = \"C.txt\"\nnoise = \"{noise}\"")), &files).unwrap(), &free);
    }
}

#[test]
fn a_curve_over_many_blocks_agrees_with_a_plain_sum() {
    let x: Vec<f64> = (0..1003).map(|i| f64::from(i) * 0.01).collect();
    let y: Vec<f64> = x.iter().map(|x| (1.3 * x).sin() + 0.1 * (37.0 * x).cos()).collect();
    let text = format!("kind = \"curve\"\ny = \"y\"\nformula = \"a*sin(w*x)\"\nsigma = \"s\"\n[data]\nx = {x:?}\ny = {y:?}");
    let model = model(&text);
    let parameters = [("a", 0.9), ("w", 1.25), ("s", 0.2)];
    let term = |(x, y): (&f64, &f64)| {
        let r = (y - 0.9 * (1.25 * x).sin()) / 0.2;
        -0.5 * r * r - 0.2f64.ln() - 0.5 * std::f64::consts::TAU.ln()
    };
    close(log_like(&*model, &parameters).unwrap(), x.iter().zip(&y).map(term).sum());
    check_gradient(&*model, &parameters);
}

#[test]
fn impossible_noise_rejects_the_point_and_says_why() {
    let with_sigma = |s: f64| log_like(&*model(&curve("sigma = \"s\"")), &[("a", 2.5), ("tau", 1.7), ("c", 0.6), ("s", s)]);
    assert!(matches!(with_sigma(-0.1), Err(EvalError::Reject(why)) if why.contains("sigma is -1e-1")));
    assert!(matches!(with_sigma(0.0), Err(EvalError::Reject(_))));
    let negative = log_like(&*model(&curve("sigma = 0.1\nnoise = \"log-normal\"")), &[("a", 0.1), ("tau", 1.7), ("c", -0.6)]);
    assert!(matches!(negative, Err(EvalError::Reject(why)) if why.contains("at row 1")));
    let files = Files::from([("C.txt".to_string(), Loaded::Table(covariance()))]);
    let correlated = model_of(&curve("covariance = \"C.txt\"\nnoise = \"log-normal\""), &files).unwrap();
    let negative = log_like(&*correlated, &[("a", 1.0), ("tau", 1.7), ("c", -0.6)]);
    assert!(matches!(negative, Err(EvalError::Reject(why)) if why.contains("at row 2")), "row 1 is 0.4, row 2 is -0.04");
    // a formula that is not a number is passed on as such: the job says what to do with it
    assert!(log_like(&*model(&curve("sigma = 0.1")), &[("a", 2.5), ("tau", 0.0), ("c", 0.6)]).unwrap().is_nan());
}

#[test]
fn faults_of_a_curve_name_their_key() {
    assert_eq!(fault(&curve("")).0, "");
    assert_eq!(fault(&curve("sigma = -1.0")).0, "sigma");
    assert_eq!(fault(&curve("sigma = \"1 +\"")).0, "sigma");
    assert_eq!(fault(&curve("sigma = 1.0").replace("y = \"y\"", "y = \"z\"")).0, "y");
    assert_eq!(fault(&curve("sigma = 1.0").replace("a*exp", "a*epx")).0, "formula");
    assert_eq!(fault(&curve("sigma = 1.0").replace("a*exp", "y*exp")).0, "formula");
    assert_eq!(fault(&curve("sigma = 1.0\nnoise = \"log-normal\"").replace("3.1", "-3.1")).0, "y");
    assert_eq!(fault(&curve("sigma = 1.0").replace("[3.1,", "[")).0, "data");
    assert_eq!(fault(&curve("sigma = 1.0\ncovariance = \"C.txt\"")).0, "covariance");
}

#[test]
fn what_is_neither_column_nor_constant_is_a_parameter() {
    assert_eq!(model(&curve("sigma = \"s*err\"")).parameters(), names(&["a", "tau", "c", "s"]));
}

// ---- simulated data

/// Mean of log L at the true values over `n` sets of data drawn there, and its standard error.
fn mean_log_like(model: &dyn Model, parameters: &[(&str, f64)], n: u64) -> (f64, f64) {
    let names: Vec<String> = parameters.iter().map(|(n, _)| n.to_string()).collect();
    let theta: Vec<f64> = parameters.iter().map(|(_, v)| *v).collect();
    let simulator = model.simulator().unwrap();
    let values: Vec<f64> = (0..n)
        .map(|k| {
            let mut rng = fitjob::random::stream(1, fitjob::random::Purpose::Check, 1, k);
            let data = simulator.draw(&names, &theta, &mut rng).unwrap();
            log_like(&*simulator.with_data(&data).unwrap(), parameters).unwrap()
        })
        .collect();
    let mean = values.iter().sum::<f64>() / n as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    (mean, (variance / n as f64).sqrt())
}

/// Where the data are drawn from the model itself, log L is on average the density's negative entropy.
fn is_drawn_from_itself(model: &dyn Model, parameters: &[(&str, f64)], n: u64, entropy: f64) {
    let (mean, error) = mean_log_like(model, parameters, n);
    assert!((mean + entropy).abs() < 4.0 * error, "{mean} ± {error}, {}", -entropy);
}

/// Of a normal with this sd.
fn entropy(sd: f64) -> f64 {
    0.5 + 0.5 * std::f64::consts::TAU.ln() + sd.ln()
}

#[test]
fn data_drawn_from_a_curve_scatter_as_its_noise_says() {
    let curve = |more: &str| {
        model(&format!(
            "kind = \"curve\"\ny = \"y\"\nformula = \"exp(b*x)\"\n{more}\n[data]\nx = [0, 1, 2]\ny = [1, 2, 3]\nerr = [0.1, 0.2, 0.5]"
        ))
    };
    let rows = [0.1, 0.2, 0.5].map(entropy).iter().sum::<f64>();
    is_drawn_from_itself(&*curve("sigma = \"err\""), &[("b", 0.3)], 400, rows);
    // Of ln y, and the Jacobian: the mean of ln y is b x.
    is_drawn_from_itself(&*curve("sigma = \"err\"\nnoise = \"log-normal\""), &[("b", 0.3)], 400, rows + 0.9);
    is_drawn_from_itself(&*curve("sigma = \"s\""), &[("b", 0.3), ("s", 2.0)], 400, 3.0 * entropy(2.0));
}

#[test]
fn data_drawn_with_a_covariance_have_it() {
    let toml = "kind = \"curve\"\ny = \"y\"\nformula = \"a\"\ncovariance = \"c\"\n[data]\ny = [1, 2]";
    let columns = vec![("c1".to_string(), vec![2.0, 1.0]), ("c2".to_string(), vec![1.0, 3.0])];
    let files = Files::from([("c".to_string(), Loaded::Table(fitjob::data::Table { source: "c".into(), columns }))]);
    // det C = 5
    is_drawn_from_itself(&*model_of(toml, &files).unwrap(), &[("a", 1.0)], 400, 2.0 * entropy(1.0) + 0.5 * 5f64.ln());
}

#[test]
#[cfg(feature = "ode")]
fn data_drawn_from_an_equation_scatter_as_each_observation_says() {
    let toml = r#"
        kind = "ode"
        time = "t"
        code = "in { k = 1 }\nu_i { x = 1 }\nF_i { -k * x }\n"
        data = { t = [0, 1, 2], a = [1, 0.4, 0.1], b = [1, 0.4, 0.1] }
        [[observe]]
        output = "x"
        column = "a"
        sigma = 0.1
        [[observe]]
        output = "x"
        column = "b"
        sigma = "s"
        noise = "log-normal"
    "#;
    // The mean of ln b is -k t: the Jacobian adds its sum, -3 k.
    // Few, since the equations are compiled anew for each.
    is_drawn_from_itself(&*model(toml), &[("k", 0.7), ("s", 0.3)], 60, 3.0 * entropy(0.1) + 3.0 * entropy(0.3) - 3.0 * 0.7);
    let twice = toml.replace("column = \"b\"", "column = \"a\"");
    assert!(model(&twice).simulator().err().unwrap().contains("observed twice"));
    let circular = toml.replace("sigma = \"s\"", "sigma = \"0.1*a\"");
    assert!(model(&circular).simulator().err().unwrap().contains("depends on the data `a`"));
}

#[test]
fn what_a_model_observes_is_what_it_can_be_given_anew() {
    let curve = model("kind = \"curve\"\ny = \"y\"\nformula = \"a\"\nsigma = 1\n[data]\nx = [0, 1]\ny = [1, 2]");
    assert_eq!(curve.observed(), [("y".to_string(), vec![1.0, 2.0])]);
    let simulator = curve.simulator().unwrap();
    let again = simulator.with_data(&curve.observed()).unwrap();
    assert_eq!(again.fingerprint(), curve.fingerprint());
    for wrong in [vec![("z".to_string(), vec![1.0, 2.0])], vec![("y".to_string(), vec![1.0])]] {
        assert!(simulator.with_data(&wrong).is_err(), "{wrong:?}");
    }
    let problem = model("kind = \"problem\"\nname = \"rosen2\"");
    assert!(problem.simulator().err().unwrap().contains("cannot draw data") && problem.observed().is_empty());
}
