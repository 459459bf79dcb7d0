//! The contract of `sampler/mod.rs`, law by law, for every engine of the list. A new engine needs a row in [`ROWS`], no more.

use crate::support::{Engine, Likelihood, Machine, Record, Site, digest, mean, spec, try_spec};
use fitjob::sampler::{EngineSpec, Gives, METHODS, Posterior, Problem, SamplerError, build, canonical, names};
use std::collections::BTreeSet;

/// How an engine is put to the test: quick, since every law runs it several times.
struct Row {
    method: &'static str,
    /// Of `[sampler]`: a few thousand calls on a crescent in two dimensions.
    settings: &'static str,
    /// A target of `settings` that is higher; empty where a finished run has nothing more to do.
    more: &'static str,
}

const ROWS: &[Row] = &[
    Row { method: "importance-nested", settings: "n_live = 200\nn_eff = 300\nn_batch = 32\nwindow = 64", more: "n_eff = 1200" },
    Row {
        method: "smc",
        settings: "n_active = 32\nn_prior = 128\nn_ladder = 64\nn_eff = 60\nn_evidence = 200\nprecondition = \"affine\"",
        more: "n_eff = 120",
    },
    Row { method: "nested", settings: "n_live = 100", more: "n_eff = 1200" },
    // Walkers are slow on a crescent: going on is tested in ensemble.rs.
    Row { method: "ensemble", settings: "n_walkers = 20\nn_eff = 100\nn_times = 20", more: "" },
    Row { method: "cmaes", settings: "n_starts = 2\nrestarts = \"none\"", more: "" },
    Row { method: "lbfgs", settings: "n_starts = 2", more: "" },
    Row { method: "nelder-mead", settings: "n_starts = 2", more: "" },
    Row { method: "nuts", settings: "chains = 2\nwarmup = 60\nblock = 50\nn_eff = 20", more: "n_eff = 200" },
];

/// Settings under which an engine goes other ways: only order, save and restore are tried with them.
const VARIANTS: &[(&str, &str)] = &[
    ("importance-nested", "n_live = 200\nn_eff = 300\ndiscard_exploration = false\npipeline = 0"),
    ("nested", "n_live = 60\nn_eff = 500"),
    ("nested", "n_live = 60\nmin_efficiency = 1"),
    ("nested", "n_live = 60\nmin_efficiency = 1\nproposal = \"random-walk\""),
    ("smc", "n_active = 32\nn_prior = 128\nn_ladder = 64\nn_eff = 200\nn_evidence = 200\nprecondition = \"affine\"\nkernel = \"rwm\""),
    ("smc", "n_active = 32\nn_prior = 128\nn_ladder = 64\nn_eff = 200\nn_evidence = 200\nprecondition = \"auto\""),
    ("nuts", "chains = 3\nwarmup = 60\nblock = 50\nn_eff = 20\ngradient = \"differences\""),
    ("cmaes", "n_starts = 3\nrestarts = \"ipop\""),
];

fn rows() -> impl Iterator<Item = (&'static str, &'static Row)> {
    METHODS.iter().map(|method| {
        let row = ROWS.iter().find(|row| row.method == method.name);
        let missing = "add a row to ROWS in tests/library/laws.rs: settings that end within a few thousand calls, a higher target";
        (method.name, row.unwrap_or_else(|| panic!("the laws are not tested for the method {}: {missing}", method.name)))
    })
}

/// A bent ridge.
const CRESCENT: Likelihood = Likelihood {
    value: |u| {
        let (x, y) = (10.0 * u[0] - 5.0, 10.0 * u[1] - 5.0);
        -100.0 * (y - x * x) * (y - x * x) - (1.0 - x) * (1.0 - x)
    },
    slopes: |u| {
        let (x, y) = (10.0 * u[0] - 5.0, 10.0 * u[1] - 5.0);
        vec![10.0 * (400.0 * x * (y - x * x) + 2.0 * (1.0 - x)), -2000.0 * (y - x * x)]
    },
};

/// A Gaussian of sd 0.05 about 0.4 in each coordinate.
const GAUSS: Likelihood = Likelihood {
    value: |u| u.iter().map(|u| -200.0 * (u - 0.4) * (u - 0.4)).sum(),
    slopes: |u| u.iter().map(|u| -400.0 * (u - 0.4)).collect(),
};

/// The same, impossible on one side.
const HALF: Likelihood = Likelihood { value: |u| if u[0] < 0.38 { f64::NEG_INFINITY } else { (GAUSS.value)(u) }, slopes: GAUSS.slopes };

const FLAT: Likelihood = Likelihood { value: |_| -3.0, slopes: |u| vec![0.0; u.len()] };

const NEVER: Likelihood = Likelihood { value: |_| f64::NEG_INFINITY, slopes: |u| vec![f64::NAN; u.len()] };

/// A peak across the seam of the first coordinate.
const RING: Likelihood = Likelihood {
    value: |u| 60.0 * (libm::cos(std::f64::consts::TAU * u[0]) - 1.0) - 50.0 * (u[1] - 0.5) * (u[1] - 0.5),
    slopes: |u| {
        let tau = std::f64::consts::TAU;
        vec![-60.0 * tau * libm::sin(tau * u[0]), -100.0 * (u[1] - 0.5)]
    },
};

fn problem(spec: &EngineSpec, n_dim: usize, periodic: &[usize]) -> Problem {
    Problem { n_dim, periodic: periodic.to_vec(), gradient: spec.wants_gradient() }
}

/// Every task at once, in the order asked.
fn in_order(spec: &EngineSpec, seed: u64, n_dim: usize, likelihood: &Likelihood) -> Result<Posterior, SamplerError> {
    let mut engine = Engine::start(spec, seed, &problem(spec, n_dim, &[]))?;
    Site::of(likelihood, spec.wants_gradient()).run(&mut *engine.sampler)
}

fn machine<'a>(spec: &EngineSpec, likelihood: &'a Likelihood, order: u64, breaks: f64) -> Machine<'a> {
    let engine = Engine::start(spec, 5, &problem(spec, 2, &[])).unwrap();
    Machine::new(engine, Site::of(likelihood, spec.wants_gradient()), order, breaks)
}

/// Whether weights mean anything.
fn is_sampled(method: &str) -> bool {
    METHODS.iter().any(|m| m.name == method && m.gives != Gives::Optimum)
}

fn is_a_sample(method: &str, p: &Posterior) {
    let n = p.log_weight.len();
    assert!(n > 0 && p.u.len() == n * p.n_dim && p.log_like.len() == n, "{method}: {n} weights, {} coordinates", p.u.len());
    assert!((p.log_weight.iter().map(|w| w.exp()).sum::<f64>() - 1.0).abs() < 1e-9, "{method}: the weights do not sum to 1");
    assert!(p.n_like > 0 && p.n_eff > 0.0, "{method}: {} calls, n_eff = {}", p.n_like, p.n_eff);
    assert!(p.n_chains == 0 || n.is_multiple_of(p.n_chains), "{method}: {n} rows are not {} chains of equal length", p.n_chains);
}

/// Within five standard errors of a sample of that worth.
fn is_near(method: &str, p: &Posterior, value: f64, truth: f64, sd: f64) {
    let error = sd / p.n_eff.sqrt();
    assert!((value - truth).abs() < 5.0 * error, "{method}: {value} is not {truth} within 5 x {error}");
}

#[test]
fn every_name_leads_to_one_engine_that_works_with_no_setting_at_all() {
    let unique: BTreeSet<&str> = names().into_iter().collect();
    assert_eq!(unique.len(), names().len(), "a name is taken twice: {:?}", names());
    for name in names() {
        let spec = EngineSpec::called(name).unwrap();
        assert_eq!(Some(spec.method()), canonical(name));
        spec.check(3).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(spec.width(&Problem { n_dim: 3, ..Problem::default() }) >= 1, "{name}");
        let again = EngineSpec::read(spec.method(), toml::Value::Table(spec.table().unwrap())).unwrap();
        assert_eq!(again, spec, "{name}: the settings written out are others");
        assert_eq!(spec.without_targets(), spec, "{name}: a preset may not set a target");
    }
}

#[test]
fn every_engine_refuses_a_problem_without_free_parameters() {
    for (method, row) in rows() {
        let spec = spec(method, row.settings);
        let refusal = build(&spec, 0, &problem(&spec, 0, &[])).err().unwrap_or_else(|| panic!("{method} starts"));
        assert!(refusal.0.contains("free"), "{method}: {refusal}");
    }
}

#[test]
fn answers_in_any_order_give_every_engine_the_same_bits() {
    for (method, row) in rows() {
        let spec = spec(method, row.settings);
        let whole = in_order(&spec, 5, 2, &CRESCENT).unwrap();
        is_a_sample(method, &whole);
        let evidence = METHODS.iter().any(|m| m.name == method && m.gives == Gives::Evidence);
        assert!(whole.log_z.is_nan() != evidence && whole.log_z_err.is_nan() != evidence, "{method}: log Z = {}", whole.log_z);
        let mut first: Option<Record> = None;
        for order in 1..3 {
            let mut machine = machine(&spec, &CRESCENT, order, 0.0);
            assert_eq!(digest(&machine.run().unwrap()), digest(&whole), "{method}, order {order}");
            let asked = &machine.record.asked;
            let other = first.as_ref().and_then(|first| first.asked.iter().find(|(id, work)| asked.get(id).is_some_and(|w| w != *work)));
            assert!(other.is_none(), "{method}: order {order} changed what {:?} is", other.map(|(id, _)| id));
            first = Some(machine.record);
        }
    }
}

#[test]
fn every_engine_keeps_as_many_calls_under_way_as_its_width_says() {
    for (method, row) in rows() {
        let spec = spec(method, row.settings);
        // Without gradients: differences are calls too.
        let problem = Problem { n_dim: 2, ..Problem::default() };
        let engine = Engine::start(&spec, 5, &problem).unwrap();
        let mut machine = Machine::new(engine, Site::of(&CRESCENT, false), 1, 0.0);
        machine.vast = true;
        machine.run().unwrap();
        let (widest, width) = (machine.record.widest, spec.width(&problem));
        assert!(widest >= width, "{method}: at most {widest} calls were under way, and its width is {width}");
    }
}

/// Runs it scrambled, saved and restored so many times on the way: the bits must be those of `whole`.
fn restored(method: &str, spec: &EngineSpec, whole: &Posterior, order: u64, lives: f64) {
    // An engine of few steps is broken off at every other one.
    let mut machine = machine(spec, &CRESCENT, order, (lives / whole.n_like as f64).min(0.5));
    assert_eq!(digest(&machine.run().unwrap()), digest(whole), "{method}, order {order}");
    assert!(machine.record.lives > 0, "{method}: it was never restored");
}

#[test]
fn an_engine_saved_and_restored_at_any_tell_gives_the_same_bits() {
    for (method, row) in rows() {
        let spec = spec(method, row.settings);
        let whole = in_order(&spec, 5, 2, &CRESCENT).unwrap();
        restored(method, &spec, &whole, 1, 10.0);
        restored(method, &spec, &whole, 2, 40.0);
    }
}

#[test]
#[ignore = "ten minutes"]
fn an_engine_saved_and_restored_a_thousand_times_gives_the_same_bits() {
    for (method, row) in rows() {
        let spec = spec(method, row.settings);
        let whole = in_order(&spec, 5, 2, &CRESCENT).unwrap();
        (0..5).for_each(|order| restored(method, &spec, &whole, order, 200.0));
    }
}

#[test]
fn the_other_ways_of_an_engine_give_the_same_bits_in_any_order_and_from_any_saved_state() {
    for (method, settings) in VARIANTS {
        let spec = spec(method, settings);
        let whole = in_order(&spec, 5, 2, &CRESCENT).unwrap();
        assert_eq!(digest(&machine(&spec, &CRESCENT, 1, 0.0).run().unwrap()), digest(&whole), "{method}: {settings}");
        restored(method, &spec, &whole, 2, 20.0);
    }
}

#[test]
fn another_seed_gives_every_engine_other_bits() {
    for (method, row) in rows() {
        let spec = spec(method, row.settings);
        let of_seed = |seed| digest(&in_order(&spec, seed, 2, &CRESCENT).unwrap());
        assert_ne!(of_seed(5), of_seed(6), "{method}");
    }
}

#[test]
fn a_finished_run_goes_on_to_a_higher_target_with_the_same_bits_in_any_order() {
    for (method, row) in rows() {
        let less = spec(method, row.settings);
        let more = match row.more {
            "" => less.clone(),
            more => {
                let mut table = toml::from_str::<toml::Table>(row.settings).unwrap();
                table.extend(toml::from_str::<toml::Table>(more).unwrap());
                spec(method, &toml::to_string(&table).unwrap())
            }
        };
        let calls = in_order(&less, 5, 2, &CRESCENT).unwrap().n_like;
        let mut straight = machine(&less, &CRESCENT, 1, 10.0 / calls as f64);
        let first = straight.run().unwrap();
        assert!(!straight.engine.sampler.extend(&less), "{method}: it has reached this");
        assert_eq!(straight.engine.sampler.extend(&more), !row.more.is_empty(), "{method}: {:?}", row.more);
        let second = straight.run().unwrap();
        if !row.more.is_empty() {
            assert!(second.n_eff > first.n_eff && second.n_like > first.n_like, "{method}: {} {}", second.n_eff, second.n_like);
            assert_eq!(less.without_targets(), more.without_targets(), "{method}: `more` is no target");
        }
        let mut scrambled = machine(&less, &CRESCENT, 2, 0.0);
        scrambled.run().unwrap();
        scrambled.engine.sampler.extend(&more);
        assert_eq!(digest(&scrambled.run().unwrap()), digest(&second), "{method}");
    }
}

#[test]
fn impossible_points_have_no_weight_whether_rejected_or_of_likelihood_zero() {
    for (method, row) in rows() {
        let spec = spec(method, row.settings);
        let run = |rejects| {
            let mut engine = Engine::start(&spec, 3, &problem(&spec, 2, &[])).unwrap();
            let mut site = Site::of(&HALF, spec.wants_gradient());
            site.rejects = rejects;
            site.run(&mut *engine.sampler).unwrap()
        };
        let zero = run(false);
        assert_eq!(digest(&run(true)), digest(&zero), "{method}");
        is_a_sample(method, &zero);
        let weighty = zero.u.chunks_exact(2).zip(&zero.log_weight).filter(|(_, w)| **w > f64::NEG_INFINITY);
        assert!(weighty.clone().count() > 0 && weighty.clone().all(|(u, _)| u[0] >= 0.38), "{method}");
        if is_sampled(method) {
            // Normal about 0.4 with sd 0.05, cut at -0.4 sd: the mean is that of a truncated normal.
            is_near(method, &zero, mean(&zero, |u| u[0]), 0.4 + 0.05 * 0.561_89, 0.034);
        }
    }
}

#[test]
fn a_flat_likelihood_ends_with_the_prior() {
    for (method, row) in rows() {
        let spec = spec(method, row.settings);
        let p = in_order(&spec, 1, 2, &FLAT).unwrap();
        is_a_sample(method, &p);
        assert!(p.log_z.is_nan() || (p.log_z + 3.0).abs() < 5.0 * p.log_z_err + 1e-9, "{method}: log Z = {} ± {}", p.log_z, p.log_z_err);
        if is_sampled(method) {
            is_near(method, &p, mean(&p, |u| u[0]), 0.5, 12f64.sqrt().recip());
            is_near(method, &p, mean(&p, |u| u[1] * u[1]), 1.0 / 3.0, (4.0 / 45.0f64).sqrt());
        }
    }
}

#[test]
fn a_model_that_is_never_possible_ends_with_an_error_or_a_warning() {
    for (method, row) in rows() {
        // Whatever the engine would do by itself, the limit of calls ends it.
        let limited = format!("{}\nn_like_max = 4000", row.settings);
        let spec = try_spec(method, &limited).unwrap_or_else(|why| panic!("{method}: every engine has the target n_like_max: {why}"));
        match in_order(&spec, 1, 2, &NEVER) {
            Err(why) => assert!(why.0.contains("prior") || why.0.contains("model"), "{method}: {why}"),
            Ok(p) => assert!(!p.warnings.is_empty(), "{method} is content"),
        }
    }
}

#[test]
fn one_parameter_is_enough() {
    for (method, row) in rows() {
        let p = in_order(&spec(method, row.settings), 1, 1, &GAUSS).unwrap();
        is_a_sample(method, &p);
        if is_sampled(method) {
            is_near(method, &p, mean(&p, |u| u[0]), 0.4, 0.05);
            is_near(method, &p, mean(&p, |u| (u[0] - 0.4).powi(2)), 0.0025, 0.0025 * 2f64.sqrt());
        }
        let best = p.optimum.as_ref().map_or(0.4, |optimum| optimum.u[0]);
        assert!((best - 0.4).abs() < 1e-3, "{method}: {best}");
    }
}

#[test]
fn a_periodic_parameter_is_sampled_across_its_seam_or_refused_in_words() {
    for (method, row) in rows() {
        let spec = spec(method, row.settings);
        let mut engine = match Engine::start(&spec, 4, &problem(&spec, 2, &[0])) {
            Err(why) => {
                assert!(why.0.contains("periodic"), "{method}: {why}");
                continue;
            }
            Ok(engine) => engine,
        };
        let p = Site::of(&RING, spec.wants_gradient()).run(&mut *engine.sampler).unwrap();
        is_a_sample(method, &p);
        if is_sampled(method) {
            // von Mises of concentration 60: sd 0.13 rad, half of it on either side of the seam.
            is_near(method, &p, mean(&p, |u| f64::from(u[0] < 0.5)), 0.5, 0.5);
            is_near(method, &p, mean(&p, |u| libm::sin(std::f64::consts::TAU * u[0])), 0.0, 0.13);
        }
    }
}
