//! Likelihoods in shared libraries: every signature gives right values, and every way to go wrong ends as documented.
//! The libraries are compiled here, from examples/plugins and from a few lines each; what needs gfortran is skipped without it.

use crate::common::plugins::{self, C, CPP, FORTRAN, POINTS, close, compile, evaluate, examples, has_gfortran, model, names, try_model};
use fitjob::model::{Evaluated, Model, ModelError};
use fitjob::task::EvalError;
use std::sync::Arc;

fn log_like(model: &dyn Model, theta: &[f64]) -> f64 {
    evaluate(model, theta.len(), theta)[0].as_ref().unwrap_or_else(|e| panic!("{e}")).log_like
}

// ---- signatures

#[test]
fn a_plain_function_is_called_in_c_cpp_and_fortran() {
    let body = "double f(const double *t, int n) { double s = 0; for (int i = 0; i < n; i++) s += (i + 1) * t[i]; return s; }";
    let with_reference = "function f(t, n)\n integer :: n\n double precision :: t(n), f\n integer :: i\n f = 0\n do i = 1, n\n  \
                          f = f + i * t(i)\n end do\nend function\n";
    let sources = [(C, body), (CPP, body), (FORTRAN, with_reference)];
    for (language, source) in sources.into_iter().filter(|(language, _)| *language != FORTRAN || has_gfortran()) {
        let (_folder, library) = compile(language, source);
        let model = model(&library, "abi = \"plain\"\nsymbol = \"f\"");
        assert!(model.takes_all() && model.parameters().is_empty() && model.batch() == 1);
        assert_eq!(log_like(&*model, &[1.0, 10.0, 100.0]), 321.0, "{language:?}");
    }
}

#[test]
fn parameters_are_given_in_the_order_that_the_model_names() {
    let (_folder, library) = compile(C, "double f(const double *t, int n) { return n == 2 ? t[0] + 10 * t[1] : -1; }");
    let model = model(&library, "abi = \"plain\"\nsymbol = \"f\"\nparameters = [\"c\", \"a\"]");
    assert_eq!(model.parameters(), ["c", "a"]);
    assert_eq!(model.bind(&names(&["a", "b", "c"])).unwrap().log_like(&[1.0, 2.0, 3.0]), Ok(13.0));
}

#[test]
fn polychord_functions_in_cpp_get_theta_and_give_phi() {
    let job = "abi = \"polychord\"\nderived = [\"radius\"]";
    let at_rim = evaluate(&*model(&examples("shell_polychord.so"), job), 2, &[1.2, 1.6, 0.0, 2.1]);
    let constant = -0.5 * (std::f64::consts::TAU * 0.01).ln();
    let [Ok(on), Ok(off)] = &at_rim[..] else { panic!("{at_rim:?}") };
    assert!(close(on.log_like, constant, 1e-12) && close(on.derived[0], 2.0, 1e-15), "{on:?}");
    assert!(close(off.log_like, constant - 0.5, 1e-12) && close(off.derived[0], 2.1, 1e-15), "{off:?}");
}

#[test]
fn polychord_priors_map_the_cube_and_the_mapped_parameters_come_first() {
    let job = "abi = \"polychord\"\nprior = \"prior\"\nderived = [\"x\", \"y\", \"radius\"]";
    let results = evaluate(&*model(&examples("shell_polychord.so"), job), 2, &[0.5, 0.75]);
    let Ok(Evaluated { derived, .. }) = &results[0] else { panic!("{results:?}") };
    assert_eq!(derived, &[0.0, 3.0, 3.0]);
}

#[test]
fn multinest_functions_map_the_cube_in_place() {
    let job = "abi = \"multinest\"\nderived = [\"x\", \"y\", \"product\"]";
    let model = model(&examples("eggbox_multinest.so"), job);
    let results = evaluate(&*model, 2, &[0.0, 0.2, 0.4, 0.4]);
    let [Ok(valley), Ok(top)] = &results[..] else { panic!("{results:?}") };
    assert!(close(valley.log_like, 1.0, 1e-12) && close(top.log_like, 243.0, 1e-12), "{results:?}");
    assert!(close(top.derived[1], 4.0 * std::f64::consts::PI, 1e-15) && close(valley.derived[2], -1.0, 1e-12), "{results:?}");
    let outside = evaluate(&*model, 2, &[0.5, 1.5]);
    assert!(matches!(&outside[0], Err(EvalError::Fatal(why)) if why.contains("unit cube and got 1.5")), "{outside:?}");
}

#[test]
fn multinest_functions_in_cpp_with_references_and_in_fortran_are_found_too() {
    let cpp = "void LogLike(double *Cube, int &ndim, int &npars, double &lnew, void *) { lnew = Cube[0] + 10 * ndim + 100 * npars; }";
    let fortran = "subroutine loglike(cube, ndim, npars, lnew, context)\n integer :: ndim, npars, context\n \
                   double precision :: cube(npars), lnew\n lnew = cube(1) + 10 * ndim + 100 * npars\nend subroutine\n";
    for (language, source) in [(CPP, cpp), (FORTRAN, fortran)].into_iter().filter(|(l, _)| *l != FORTRAN || has_gfortran()) {
        let (_folder, library) = compile(language, source);
        let results = evaluate(&*model(&library, "abi = \"multinest\"\nderived = [\"x\", \"y\", \"z\"]"), 2, &[0.5, 0.25]);
        assert_eq!(results[0].as_ref().unwrap().log_like, 320.5, "{language:?}");
    }
}

#[test]
fn ultranest_functions_take_many_points_in_one_call() {
    let job = "abi = \"ultranest\"\nprior = \"my_c_transform_vectorized\"\nderived = [\"slope\", \"offset\"]";
    let mapped = model(&examples("line_ultranest.so"), job);
    let plain = model(&examples("line_ultranest.so"), "abi = \"ultranest\"");
    let by_cube = evaluate(&*mapped, 2, &[0.6, 0.55, 0.5, 0.5]);
    let by_value = evaluate(&*plain, 2, &[2.0, 1.0, 0.0, 0.0]);
    for (cube, value) in by_cube.iter().zip(&by_value) {
        assert!(close(cube.as_ref().unwrap().log_like, value.as_ref().unwrap().log_like, 1e-12), "{by_cube:?} {by_value:?}");
    }
    assert_eq!(by_cube[1].as_ref().unwrap().derived, [0.0, 0.0]);
    let squares = 0.1_f64.powi(2) + 0.2_f64.powi(2) + 0.2_f64.powi(2) + 0.1_f64.powi(2) + 0.1_f64.powi(2);
    assert!(close(log_like(&*plain, &[2.0, 1.0]), -0.5 * squares / 0.04, 1e-9));
}

#[test]
fn a_plugin_by_fitjob_h_gets_its_config_and_gives_gradients() {
    let model = model(&examples("gauss.so"), "config = \"coupling = 0.25\"\nparameters = [\"y\", \"x\"]");
    let mut density = model.bind(&names(&["x", "unused", "y"])).unwrap();
    let (mut gradient, theta) = ([f64::NAN; 3], [1.0, 7.0, 2.0]);
    let value = density.log_like_gradient(&theta, &mut gradient).expect("gauss.cpp has a gradient");
    assert_eq!(value, Ok(-3.0));
    assert_eq!(density.log_like(&theta), Ok(-3.0));
    assert_eq!(gradient, [-1.5, 0.0, -2.25]);
}

// ---- lynx and hare

#[test]
fn lynx_and_hare_in_c_fortran_and_diffsl_have_the_same_likelihood() {
    let c = model(&examples("lynx_hare_c.so"), "");
    let fortran = has_gfortran().then(|| model(&examples("lynx_hare_f.so"), "abi = \"plain\""));
    for theta in POINTS {
        let value = log_like(&*c, &theta);
        if let Some(fortran) = &fortran {
            assert!(close(log_like(&**fortran, &theta), value, 1e-9), "{theta:?}: C {value}, Fortran {}", log_like(&**fortran, &theta));
        }
        #[cfg(feature = "ode")]
        {
            let ode = plugins::lynx_hare_ode(1e-10).bind(&names(&plugins::LYNX_HARE)).unwrap().log_like(&theta);
            assert!(close(ode.clone().unwrap(), value, 1e-6), "{theta:?}: C {value}, ode {ode:?}");
        }
    }
}

#[test]
fn derived_quantities_come_with_each_point() {
    let c = model(&examples("lynx_hare_c.so"), "derived = [\"most_hares\", \"most_lynxes\"]");
    assert_eq!(c.derived(), ["most_hares", "most_lynxes"]);
    let mut results = Vec::new();
    let flat: Vec<f64> = POINTS.concat();
    c.bind(&names(&plugins::LYNX_HARE)).unwrap().evaluate(&flat, 8, &mut results);
    let alone = log_like(&*model(&examples("lynx_hare_c.so"), ""), &POINTS[1]);
    let second = results[1].as_ref().unwrap();
    assert_eq!(second.log_like, alone);
    assert!(results.iter().all(|r| r.as_ref().is_ok_and(|r| r.derived.len() == 2 && r.derived.iter().all(|v| *v > 4.0))), "{results:?}");
}

// ---- what a plugin may say of a point

#[test]
fn every_status_of_fitjob_h_means_what_it_says() {
    let (_folder, library) = compile(C, plugins::MOODY);
    let results = evaluate(&*model(&library, ""), 1, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let expected = [
        Ok(Evaluated { log_like: 0.5, derived: vec![] }),
        Err(EvalError::Reject("no such star".into())),
        Err(EvalError::Failed("the plugin says that it failed, not why".into())),
        Err(EvalError::Fatal("the plugin gave this point the status 3, which fitjob.h does not have".into())),
        Err(EvalError::Failed("the plugin wrote no log-likelihood for this point".into())),
    ];
    assert_eq!(results[..5], expected);
    assert!(results[5].as_ref().is_ok_and(|r| r.log_like.is_nan()), "NaN is a value: {results:?}");
    let broken = evaluate(&*model(&library, ""), 1, &[9.0, 0.0]);
    assert_eq!(broken, vec![Err(EvalError::Fatal("the disk is gone".into())); 2]);
}

#[test]
fn a_library_that_is_not_thread_safe_is_called_by_one_thread_at_a_time() {
    let (_folder, library) = compile(C, plugins::UNSAFE);
    let model: Arc<dyn Model> = Arc::from(model(&library, "abi = \"plain\"\nsymbol = \"f\""));
    let highest = |model: &dyn Model| (0..200).map(|_| log_like(model, &[0.0])).fold(0.0, f64::max);
    let together: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| highest(&*model))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(together, [1.0; 3], "calls under way at once");
}

#[test]
fn instances_are_opened_once_a_thread_and_closed_again() {
    let (folder, library) = compile(C, plugins::COUNTING);
    let log = folder.path().join("log");
    let model = model(&library, &format!("config = \"{}\"", log.display()));
    model.check(&names(&["p0"])).unwrap();
    let first = std::thread::scope(|scope| scope.spawn(|| log_like(&*model, &[0.0])).join().unwrap());
    assert_eq!(first, 0.0);
    let mut other = model.bind(&names(&["a", "b"])).unwrap();
    assert_eq!(other.log_like(&[0.0, 0.0]), Ok(1.0));
    drop(other);
    drop(model);
    assert_eq!(std::fs::read_to_string(log).unwrap(), "open 0 of 1\nclose 0\nopen 1 of 2\nclose 1\n");
}

// ---- what is wrong before the run

fn fault(library: &str, keys: &str) -> ModelError {
    let fault = try_model(library, keys).and_then(|model| model.check(&names(&["a", "b"])).map(|()| "accepted"));
    fault.expect_err("this must be refused")
}

#[test]
fn mistakes_are_told_before_the_run_at_their_key() {
    let (_a, plain) = compile(C, "double f(const double *t, int n) { return t[0]; }");
    let (_b, old) = compile(C, "int fitjob_abi_version(void) { return 99; }");
    let (_c, half) = compile(C, "int fitjob_abi_version(void) { return 1; }");
    let (_d, unlinked) = compile(C, "double nowhere(void); double f(const double *t, int n) { return nowhere(); }");
    let (lynx, shell) = (examples("lynx_hare_c.so"), examples("shell_polychord.so"));
    let cases: [(&str, &str, &str, &str); 15] = [
        ("/no/such/lib.so", "", "library", "the library cannot be opened: /no/such/lib.so: cannot open shared object file"),
        (&unlinked, "abi = \"plain\"\nsymbol = \"f\"", "library", "undefined symbol: nowhere"),
        (&plain, "abi = \"plain\"\nsymbol = \"g\"", "symbol", "the library has no function `g`"),
        (&plain, "abi = \"plain\"", "library", "the library has no function `log_likelihood`"),
        (&plain, "", "library", "no function `fitjob_abi_version`, which fitjob.h requires"),
        (&old, "", "library", "made for version 99 of fitjob.h, this fitjob has version 1"),
        (&half, "", "library", "no function `fitjob_open`"),
        (&lynx, "", "library", "takes 8 parameters and gives 0 or 2 derived quantities, the job has 2 and 0"),
        (&lynx, "symbol = \"f\"", "symbol", "the functions have the names of fitjob.h"),
        (&examples("gauss.so"), "config = \"nonsense\"", "library", "config must read \"coupling = NUMBER\", not \"nonsense\""),
        (&plain, "abi = \"plain\"\nsymbol = \"f\"\nderived = [\"x\"]", "derived", "the function gives log L only"),
        (&plain, "abi = \"plain\"\nsymbol = \"f\"\nconfig = \"x\"", "config", "cannot be given a text"),
        (&plain, "abi = \"plain\"\nsymbol = \"f\"\nprior = \"f\"", "prior", "there is no prior transform"),
        (&shell, "abi = \"polychord\"\nprior = \"priors\"", "prior", "the library has no function `priors`"),
        (&shell, "abi = \"polychord\"\nprior = \"prior\"\nderived = [\"radius\"]", "derived", "physical values of its 2 parameters first"),
    ];
    for (library, keys, key, message) in cases {
        let error = fault(library, keys);
        assert!(error.key == [key] && error.message.contains(message), "{keys}: {error:?}");
    }
}
