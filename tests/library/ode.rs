//! The `ode` model against scipy (DOP853 at 1e-12), invariants, hostile points, and itself in other orders.

use fitjob::model::{Files, Loaded, Model, ModelError, ModelSpec, build};
use fitjob::task::EvalError;

fn model_of(toml: &str, files: &Files) -> Result<Box<dyn Model>, ModelError> {
    let spec: ModelSpec = toml::from_str(toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
    build(&spec, None, 1, files)
}

fn model(toml: &str) -> Box<dyn Model> {
    model_of(toml, &Files::new()).unwrap_or_else(|e| panic!("{e}: {:?} {:?}", e.key, e.help))
}

fn log_like(model: &dyn Model, parameters: &[(&str, f64)]) -> Result<f64, EvalError> {
    let names: Vec<String> = parameters.iter().map(|(n, _)| n.to_string()).collect();
    let theta: Vec<f64> = parameters.iter().map(|(_, v)| *v).collect();
    model.bind(&names)?.log_like(&theta)
}

/// Pelts (thousands) of the Hudson's Bay Company, 1900 to 1920.
const LYNX_HARE: &str = r#"
kind = "ode"
time = "year"
code = """
in_i { alpha = 0.5, beta = 0.03, gamma = 0.8, delta = 0.02, hare0 = 30, lynx0 = 4 }
u_i { hare = hare0, lynx = lynx0 }
F_i { alpha*hare - beta*hare*lynx, delta*hare*lynx - gamma*lynx }
out_i { hare, lynx }
"""
[data]
year = [1900, 1901, 1902, 1903, 1904, 1905, 1906, 1907, 1908, 1909, 1910, 1911, 1912, 1913, 1914, 1915, 1916, 1917, 1918, 1919, 1920]
hare = [30, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22, 25.4, 27.1, 40.3, 57, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7]
lynx = [4, 6.1, 9.8, 35.2, 59.4, 41.7, 19, 13, 8.3, 9.1, 7.4, 8, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6]
[[observe]]
output = "hare"
column = "hare"
noise = "log-normal"
sigma = "sigma_hare"
[[observe]]
output = "lynx"
column = "lynx"
noise = "log-normal"
sigma = "sigma_lynx"
"#;

const NAMES: [&str; 8] = ["alpha", "beta", "gamma", "delta", "hare0", "lynx0", "sigma_hare", "sigma_lynx"];

/// Points and their log-likelihoods by scipy.
const SCIPY: [([f64; 8], f64); 4] = [
    ([0.5468645, 0.0277473, 0.8000954, 0.0240859, 34.0352225, 5.9358971, 0.2480569, 0.2510169], -124.2310104610),
    ([0.6, 0.03, 0.7, 0.02, 30.0, 6.0, 0.3, 0.2], -150.2317440909),
    ([1.0, 0.05, 1.0, 0.05, 10.0, 10.0, 0.5, 0.5], -217.2662067213),
    ([0.3, 0.01, 1.5, 0.06, 60.0, 2.0, 1.0, 0.7], -291.9971702331),
];

fn lynx_hare(keys: &str) -> Box<dyn Model> {
    model(&LYNX_HARE.replace("time = \"year\"", &format!("time = \"year\"\n{keys}")))
}

fn names() -> Vec<String> {
    NAMES.iter().map(|n| n.to_string()).collect()
}

#[test]
fn lynx_and_hare_have_the_log_likelihood_that_scipy_gives() {
    for (keys, tolerance) in [
        ("", 1e-2),
        ("method = \"tsit45\"", 1e-3),
        ("method = \"auto\"", 1e-3),
        ("rtol = 1e-10\natol = 1e-10", 1e-5),
        ("rtol = 1e-10\natol = 1e-10\nmethod = \"tsit45\"", 1e-5),
    ] {
        let model = lynx_hare(keys);
        for (theta, expected) in SCIPY {
            let value = model.bind(&names()).unwrap().log_like(&theta).unwrap();
            println!("{keys:?}: off by {:.1e}", value - expected);
            assert!((value - expected).abs() < tolerance, "{keys}: {value} against {expected}");
        }
    }
}

/// Twenty points about the posterior and some hostile ones.
fn points() -> Vec<[f64; 8]> {
    let mut points: Vec<[f64; 8]> = (0..20)
        .map(|i| {
            let wave = |k: f64| 1.0 + 0.3 * (k * f64::from(i) + k).sin();
            let mut theta = SCIPY[0].0;
            theta.iter_mut().enumerate().for_each(|(k, x)| *x *= wave(k as f64 + 1.0));
            theta
        })
        .collect();
    for (k, hostile) in [(0, f64::NAN), (3, f64::INFINITY), (1, 1e300), (4, 1e200), (0, -50.0), (4, -3.0), (0, 500.0), (6, -1.0)] {
        let mut theta = SCIPY[0].0;
        theta[k] = hostile;
        points.insert(2 * k + 1, theta);
    }
    points
}

#[test]
fn bits_do_not_depend_on_the_order_of_points_nor_on_failures_between_them() {
    for keys in ["", "method = \"tsit45\"\nmax_steps = 5000", "method = \"auto\"\nmax_steps = 5000"] {
        let model = lynx_hare(keys);
        let points = points();
        let fresh: Vec<_> = points.iter().map(|p| model.bind(&names()).unwrap().log_like(p).map(f64::to_bits)).collect();
        assert!(fresh.iter().filter(|f| f.is_ok()).count() >= 20 && fresh.iter().filter(|f| f.is_err()).count() >= 5, "{fresh:?}");
        let mut density = model.bind(&names()).unwrap();
        // forward, backward, and in a stride that visits every point
        let n = points.len();
        let stride = (3..).find(|s| !n.is_multiple_of(*s) && s % 2 == 1 && gcd(n, *s) == 1).unwrap();
        for i in (0..n).chain((0..n).rev()).chain((0..n).map(|k| k * stride % n)) {
            assert_eq!(density.log_like(&points[i]).map(f64::to_bits), fresh[i], "{keys} at point {i}: {:?}", points[i]);
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[test]
fn threads_evaluate_at_once_with_the_same_bits() {
    let model = lynx_hare("");
    let run = || points().iter().map(|p| model.bind(&names()).unwrap().log_like(p).map(f64::to_bits)).collect::<Vec<_>>();
    let expected = run();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
        threads.into_iter().for_each(|t| assert_eq!(t.join().unwrap(), expected));
    });
}

#[test]
fn hostile_points_are_rejected_with_a_reason_and_in_bounded_time() {
    for keys in ["", "method = \"tsit45\"\nmax_steps = 5000", "method = \"auto\"\nmax_steps = 5000"] {
        let model = lynx_hare(keys);
        let mut density = model.bind(&names()).unwrap();
        for (k, hostile) in [(0, f64::NAN), (3, f64::INFINITY), (1, 1e300), (4, 1e200), (0, 500.0), (6, -1.0), (6, 0.0), (4, -3.0)] {
            let mut theta = SCIPY[0].0;
            theta[k] = hostile;
            let outcome = density.log_like(&theta);
            assert!(matches!(outcome, Err(EvalError::Reject(_))), "{keys} {} = {hostile:e}: {outcome:?}", NAMES[k]);
        }
    }
}

/// Lotka-Volterra over 500 times from 0 to 100, observed through its constant of motion.
fn invariant(method: &str) -> Box<dyn Model> {
    let times: Vec<f64> = (0..500).map(|i| 100.0 * f64::from(i) / 499.0).collect();
    let constant = vec![0.3085842591249; 500];
    model(&format!(
        r#"
kind = "ode"
time = "t"
method = "{method}"
code = """
in_i {{ alpha = 1.1, beta = 0.4, delta = 0.1, gamma = 0.4 }}
u_i {{ x = 10, y = 5 }}
F_i {{ alpha*x - beta*x*y, delta*x*y - gamma*y }}
out_i {{ v = delta*x - gamma*log(x) + beta*y - alpha*log(y) }}
"""
[data]
t = {times:?}
v = {constant:?}
[[observe]]
output = "v"
column = "v"
sigma = 1.0
"#
    ))
}

#[test]
fn the_constant_of_motion_of_lotka_and_volterra_is_kept() {
    for method in ["bdf", "tsit45", "auto"] {
        let value = log_like(&*invariant(method), &[]).unwrap();
        // log L = -sum r^2 / 2 - n ln(2 pi) / 2
        let mean_square = -2.0 * (value / 500.0 + 0.5 * std::f64::consts::TAU.ln());
        println!("{method}: rms drift {:.1e}", mean_square.max(0.0).sqrt());
        assert!(mean_square.max(0.0).sqrt() < 1e-3, "{method}: mean square drift {mean_square}");
    }
}

#[test]
fn states_at_given_times_agree_with_a_high_accuracy_reference() {
    let reference = [
        (50, 13.652585213507, 2.601749956030),
        (100, 10.445828844841, 1.368080991433),
        (250, 2.091472965804, 1.007783936310),
        (499, 0.574099992369, 3.580998728395),
    ];
    let column = |f: fn(&(i32, f64, f64)) -> f64| reference.iter().map(f).collect::<Vec<_>>();
    let text = format!(
        "kind = \"ode\"\ntime = \"t\"\nt0 = 0.0\ncode = \"in_i {{ a = 1.1, b = 0.4, d = 0.1, g = 0.4 }} u_i {{ x = 10, y = 5 }} F_i {{ a*x - b*x*y, d*x*y - g*y }}\"\n\
         [data]\nt = {:?}\nx = {:?}\ny = {:?}\n[[observe]]\noutput = \"x\"\ncolumn = \"x\"\nsigma = 1.0\n[[observe]]\noutput = \"y\"\ncolumn = \"y\"\nsigma = 1.0",
        column(|r| 100.0 * f64::from(r.0) / 499.0),
        column(|r| r.1),
        column(|r| r.2)
    );
    let value = log_like(&*model(&text), &[]).unwrap();
    let mean_square = -2.0 * (value / 8.0 + 0.5 * std::f64::consts::TAU.ln());
    assert!(mean_square.max(0.0).sqrt() < 3e-3, "rms {}", mean_square.sqrt());
}

/// x' = -k x from x = 2 at t0, with its data.
fn decay(keys: &str, data: &str) -> String {
    format!(
        "kind = \"ode\"\ntime = \"t\"\n{keys}\ncode = \"in_i {{ k = 0.5, x0 = 2 }} u_i {{ x = x0 }} F_i {{ -k*x }} out_i {{ x, double = 2*x }}\"\n[data]\n{data}\n\
         [[observe]]\noutput = \"x\"\ncolumn = \"x\"\nsigma = \"s\""
    )
}

fn normal(residuals: &[f64], sigma: f64) -> f64 {
    residuals.iter().map(|r| -0.5 * (r / sigma).powi(2) - sigma.ln() - 0.5 * std::f64::consts::TAU.ln()).sum()
}

#[test]
fn rows_at_the_initial_time_see_the_initial_state_and_repeated_times_are_allowed() {
    let model = model(&decay("", "t = [3, 3, 4]\nx = [2.1, 1.8, 1.0]"));
    let value = log_like(&*model, &[("s", 0.1)]).unwrap();
    assert!((value - normal(&[0.1, -0.2, 1.0 - 2.0 * (-0.5f64).exp()], 0.1)).abs() < 1e-3, "{value}");
    let only_start = self::model(&decay("", "t = [3]\nx = [2.1]"));
    assert!((log_like(&*only_start, &[("s", 0.1)]).unwrap() - normal(&[0.1], 0.1)).abs() < 1e-12);
}

#[test]
fn a_given_initial_time_comes_before_the_first_row() {
    let model = model(&decay("t0 = 1.0", "t = [3]\nx = [1.0]"));
    let value = log_like(&*model, &[("s", 0.1)]).unwrap();
    assert!((value - normal(&[1.0 - 2.0 * (-1.0f64).exp()], 0.1)).abs() < 1e-3, "{value}");
}

#[test]
fn inputs_are_matched_by_name_and_others_keep_their_defaults() {
    let model = model(&decay("", "t = [0, 1]\nx = [3.0, 1.0]"));
    assert_eq!(model.parameters(), ["s"]);
    assert_eq!(model.optional_parameters(), ["k", "x0"]);
    let value = log_like(&*model, &[("x0", 3.0), ("s", 0.1)]).unwrap();
    assert!((value - normal(&[0.0, 1.0 - 3.0 * (-0.5f64).exp()], 0.1)).abs() < 1e-2, "{value}");
    assert!(matches!(log_like(&*model, &[("x0", 3.0)]), Err(EvalError::Fatal(why)) if why.contains("`s`")));
}

#[test]
fn sigma_may_be_a_column_or_grow_with_the_prediction() {
    let by_column = model(&decay("", "t = [0, 1]\nx = [2.1, 1.3]\nerr = [0.1, 0.2]").replace("\"s\"", "\"err\""));
    let late = 1.3 - 2.0 * (-0.5f64).exp();
    let expected = normal(&[0.1], 0.1) + normal(&[late], 0.2);
    assert!((log_like(&*by_column, &[]).unwrap() - expected).abs() < 1e-4);
    let relative = model(&decay("", "t = [0, 1]\nx = [2.1, 1.3]").replace("\"s\"", "\"f*prediction\""));
    let expected = normal(&[0.1], 0.2) + normal(&[late], 0.2 * (-0.5f64).exp());
    assert!((log_like(&*relative, &[("f", 0.1)]).unwrap() - expected).abs() < 1e-4);
}

/// Robertson's problem (1966): rates from 0.04 to 3e7, a conserved sum, out of reach of explicit solvers.
#[test]
fn stiff_equations_are_solved_by_bdf_and_auto_and_given_up_by_tsit45() {
    let robertson = |method: &str| {
        model(&format!(
            "kind = \"ode\"\ntime = \"t\"\nt0 = 0.0\nmethod = \"{method}\"\nmax_steps = 20000\natol = 1e-10\n\
             code = \"u_i {{ x = 1, y = 0, z = 0 }} F_i {{ -0.04*x + 1e4*y*z, 0.04*x - 1e4*y*z - 3e7*y*y, 3e7*y*y }}\"\n\
             [data]\nt = [40, 4000]\nx = [0.7158270688, 0.1832024]\n[[observe]]\noutput = \"x\"\ncolumn = \"x\"\nsigma = 1e-3"
        ))
    };
    for method in ["bdf", "auto"] {
        let value = log_like(&*robertson(method), &[]).unwrap();
        assert!((value - normal(&[0.0, 0.0], 1e-3)).abs() < 0.01, "{method}: {value}");
    }
    assert!(matches!(log_like(&*robertson("tsit45"), &[]), Err(EvalError::Reject(why)) if why.contains("max_steps")));
}

#[test]
fn faults_of_an_ode_model_name_their_key_and_help() {
    let fault = |from: &str, to: &str| {
        let error = model_of(&LYNX_HARE.replacen(from, to, 1), &Files::new()).err().unwrap_or_else(|| panic!("accepted: {to}"));
        (error.key.join("."), format!("{} {}", error.message, error.help.unwrap_or_default()))
    };
    assert_eq!(fault("output = \"hare\"", "output = \"hair\"").0, "observe.0.output");
    assert!(fault("output = \"hare\"", "output = \"haer\"").1.contains("did you mean `hare`?"));
    assert_eq!(fault("column = \"lynx\"", "column = \"lynks\"").0, "observe.1.column");
    assert!(fault("column = \"lynx\"", "column = \"lynks\"").1.contains("did you mean `lynx`?"));
    assert_eq!(fault("sigma = \"sigma_hare\"", "sigma = -1").0, "observe.0.sigma");
    assert_eq!(fault("time = \"year\"", "time = \"yaer\"").0, "time");
    assert_eq!(fault("[1900, 1901", "[1901, 1900").0, "time");
    assert_eq!(fault("time = \"year\"", "time = \"year\"\nt0 = 1901").0, "t0");
    assert_eq!(fault("time = \"year\"", "time = \"year\"\nrtol = 0").0, "rtol");
    assert!(fault("- gamma*lynx", "- gama*lynx").1.contains("gama"));
    assert_eq!(fault("hare = [30", "hare = [-30").0, "observe.0.column");
}

#[test]
fn code_may_come_from_a_file() {
    let spec = "kind = \"ode\"\ntime = \"t\"\ncode_file = \"m.diffsl\"\ndata = \"d.csv\"\n[[observe]]\noutput = \"x\"\ncolumn = \"x\"\nsigma = 0.1";
    let parsed: ModelSpec = toml::from_str(spec).unwrap();
    assert_eq!(parsed.files().iter().map(|f| (f.key, f.path.as_str())).collect::<Vec<_>>(), [("data", "d.csv"), ("code_file", "m.diffsl")]);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.diffsl"), "u_i { x = 2 } F_i { -x }").unwrap();
    std::fs::write(folder.path().join("d.csv"), "t,x\n0,2\n1,0.7\n").unwrap();
    let files: Files = parsed.files().iter().map(|f| (f.path.clone(), f.load(&folder.path().join(&f.path)).unwrap())).collect();
    assert!(matches!(files["d.csv"], Loaded::Table(_)));
    let value = log_like(&*model_of(spec, &files).unwrap(), &[]).unwrap();
    assert!((value - normal(&[0.0, 0.7 - 2.0 * (-1.0f64).exp()], 0.1)).abs() < 1e-3);
}
