//! What a run leaves behind, read back with our own readers and with those of Python.

use crate::common::results::python_reads;
use fitjob::expr::Expr;
use fitjob::fit::{self, Extra, Fit};
use fitjob::output::{Log, Opening, OutputError, RunDir, RunFacts, RunState, Summary, overview, report, stopped, write_result};
use fitjob::prior::{Law, Parameter, Prior, Role, Space};
use fitjob::random::{Purpose, stream, uniform};
use fitjob::sampler::{Posterior, Progress};
use fitjob::world::{self, Root, World};
use std::fs;
use std::path::Path;

/// Four parameters (free `slope`, fixed `scale`, tied `twice`, free `chain`, whose name netCDF dimensions take) and
/// a derived quantity.
fn space() -> Space {
    let uniform = |min, max| Role::Free { prior: Prior::new(Law::Uniform { min, max }, None, None).unwrap(), periodic: false };
    let parameter = |name: &str, role| Parameter { name: name.into(), role };
    let parameters = vec![
        parameter("slope", uniform(0.0, 10.0)),
        parameter("scale", Role::Fixed(2.5)),
        parameter("twice", Role::Tied(Expr::parse("2*slope").unwrap())),
        parameter("chain", uniform(-0.5, 0.5)),
    ];
    Space::new(parameters, vec![("product".into(), Expr::parse("slope*chain").unwrap())]).unwrap()
}

/// Uniform points weighted by a normal likelihood: mean of `slope` 4, sd 1; of `chain` 0.1, sd 0.05.
fn posterior() -> Posterior {
    let n = 4000;
    let mut rng = stream(11, Purpose::Check, 0, 0);
    let u: Vec<f64> = (0..2 * n).map(|_| uniform(&mut rng)).collect();
    let log_like: Vec<f64> = u.chunks(2).map(|p| -0.5 * (10.0 * p[0] - 4.0).powi(2) - 0.5 * ((p[1] - 0.6) / 0.05).powi(2)).collect();
    let log_sum = log_like.iter().map(|l| l.exp()).sum::<f64>().ln();
    let log_weight: Vec<f64> = log_like.iter().map(|l| l - log_sum).collect();
    let n_eff = 1.0 / log_weight.iter().map(|w| (2.0 * w).exp()).sum::<f64>();
    Posterior {
        n_dim: 2,
        u,
        log_like,
        log_weight,
        log_z: log_sum - (n as f64).ln(),
        log_z_err: 0.05,
        n_eff,
        n_like: 5000,
        warnings: vec!["the two halves differ by 3.1 sigma".into()],
        diagnostics: vec![("split_half_z".into(), 3.1)],
        ..Posterior::default()
    }
}

fn fit() -> Fit {
    Fit::new(posterior(), &space(), &Extra::default()).unwrap()
}

fn facts() -> RunFacts {
    RunFacts {
        job: "line.toml".into(),
        job_digest: "0123".into(),
        method: "importance-nested".into(),
        seed: 7,
        ranks: 2,
        threads: 2,
        resumes: 2,
        wall_s: 12.0,
        total_wall_s: 700.0,
        startup_s: 2.0,
        sampler_s: 1.0,
        busy_s: vec![18.0, 14.0],
        compute_s: vec![0.5, 0.5],
        rejected: 3,
        timed_out: 1,
        warnings: vec!["4 evaluators share 2 cores".into()],
    }
}

#[test]
fn a_likelihood_too_cheap_for_its_ranks_is_told_of_and_no_other() {
    assert_eq!(facts().too_cheap(), None, "busy most of the time");
    let cheap = RunFacts { busy_s: vec![1.0, 1.0], ..facts() };
    let told = cheap.too_cheap().unwrap();
    assert!(told.contains("4 evaluators") && told.contains("took 10.0 s") && told.contains("(4.00 s of calls"), "{told}");
    assert_eq!(RunFacts { ranks: 1, threads: 1, ..cheap.clone() }.too_cheap(), None, "there are no others to wait");
    assert_eq!(
        RunFacts { busy_s: vec![0.1, 0.1], sampler_s: 0.1, compute_s: vec![], wall_s: 3.0, ..cheap }.too_cheap(),
        None,
        "it is short"
    );
}

/// What `task` gives when done by the root of a run of one rank.
fn as_root<R>(task: impl FnOnce(&Root) -> R) -> R {
    match World::solo().enter() {
        world::Role::Root(root) => task(&root),
        world::Role::Worker(_) => panic!("a single rank is the root"),
    }
}

/// A run that has just begun.
fn create(dir: &Path, opening: Opening, job: &str) -> Result<RunDir, OutputError> {
    as_root(|root| {
        let (run, _) = RunDir::open(root, dir, opening)?;
        Log::open(root, &run.log(), false)?;
        run.write_job(job)?;
        Ok(run)
    })
}

fn finished(dir: &Path) -> Summary {
    let run = create(dir, Opening::New, "seed = 7").unwrap();
    as_root(|root| run.finish(root, &fit(), &facts())).unwrap()
}

fn close(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() < tolerance, "{a} is not {b} within {tolerance}");
}

#[test]
fn a_fit_holds_physical_values_and_knows_what_each_parameter_is() {
    let fit = fit();
    assert_eq!(fit.roles, [fit::Role::Free, fit::Role::Fixed, fit::Role::Tied, fit::Role::Free]);
    for i in [0, 17, 3999] {
        let row = &fit.theta[4 * i..4 * i + 4];
        close(row[0], 10.0 * fit.u[2 * i], 1e-12);
        close(row[3], fit.u[2 * i + 1] - 0.5, 1e-12);
        assert_eq!((row[1], row[2]), (2.5, 2.0 * row[0]));
        close(fit.log_prior[i], -(10f64.ln()), 1e-12);
        assert_eq!(fit.derived[i], row[0] * row[3]);
    }
    let top = fit.log_like.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    assert_eq!(fit.log_like[fit.best], top);
}

#[test]
fn the_digest_changes_with_any_bit_of_the_answer_and_with_nothing_else() {
    let fit = fit();
    assert_eq!(fit.digest.len(), 32);
    let digest = |change: &dyn Fn(&mut Fit)| {
        let mut other = fit.clone();
        change(&mut other);
        other.digest_of()
    };
    let nudge = |x: &mut f64| *x = f64::from_bits(x.to_bits() ^ 1);
    assert_ne!(digest(&|f| nudge(&mut f.theta[100])), fit.digest);
    assert_ne!(digest(&|f| nudge(&mut f.log_weight[3999])), fit.digest);
    assert_ne!(digest(&|f| nudge(&mut f.log_like[0])), fit.digest);
    assert_ne!(digest(&|f| nudge(&mut f.log_z)), fit.digest);
    assert_eq!(digest(&|f| f.warnings.clear()), fit.digest);
}

#[test]
fn a_fit_arrives_on_another_rank_with_the_same_bits() {
    let mut fit = fit();
    (fit.log_z_err, fit.derived[3]) = (f64::INFINITY, f64::NAN);
    let arrived: Fit = postcard::from_bytes(&postcard::to_stdvec(&fit).unwrap()).unwrap();
    assert_eq!(arrived.digest_of(), fit.digest);
    assert_eq!(postcard::to_stdvec(&arrived).unwrap(), postcard::to_stdvec(&fit).unwrap());
}

#[test]
fn a_derived_quantity_without_a_value_is_told_and_spoils_nothing_else() {
    let mut at_zero = posterior();
    // Where log L is highest, so that it has weight.
    let best = fit().best;
    at_zero.u[2 * best] = f64::NAN;
    let fit = Fit::new(at_zero, &space(), &Extra::default()).unwrap();
    assert!(fit.warnings.iter().any(|w| w.starts_with("`product` is not a number for 0.")), "{:?}", fit.warnings);
    let summary = Summary::new(&fit, &facts());
    let product = summary.parameters.last().unwrap().1;
    assert!(product.mean.is_nan() && product.q50.is_nan());
    assert!(summary.parameters[2].1.mean.is_finite());
}

#[test]
fn a_sample_whose_weights_do_not_sum_to_one_is_no_fit() {
    let mut bad = posterior();
    bad.log_weight[0] = 1.0;
    let message = Fit::new(bad, &space(), &Extra::default()).unwrap_err().to_string();
    assert!(message.contains("sum to"), "{message}");
    let mut short = posterior();
    short.u.pop();
    assert!(Fit::new(short, &space(), &Extra::default()).is_err());
    assert!(Fit::new(Posterior { n_dim: 2, ..Posterior::default() }, &space(), &Extra::default()).is_err());
}

#[test]
fn the_summary_has_the_field_names_that_scripts_rely_on() {
    let place = tempfile::tempdir().unwrap();
    finished(place.path());
    let json: serde_json::Value = serde_json::from_str(&fs::read_to_string(place.path().join("summary.json")).unwrap()).unwrap();
    for key in [
        "log_z",
        "log_z_err",
        "n_eff",
        "n_like",
        "efficiency",
        "digest",
        "seed",
        "method",
        "ranks",
        "threads",
        "wall_s",
        "sampler_s",
        "busy_fraction",
        "rejected",
        "warnings",
        "parameters",
    ] {
        assert!(json.get(key).is_some(), "no `{key}`");
    }
    for name in ["slope", "twice", "chain", "product"] {
        for key in ["mean", "sd", "q2_5", "q16", "q50", "q84", "q97_5", "best"] {
            assert!(json["parameters"][name][key].is_f64(), "no `{name}.{key}`");
        }
    }
    assert!(json["parameters"].get("scale").is_none() && json["fixed"]["scale"] == 2.5);
    assert_eq!(json["warnings"].as_array().unwrap().len(), 2);
    assert_eq!(json["busy_fraction"], 0.8);
}

#[test]
fn summary_figures_are_those_of_the_distribution() {
    let summary = Summary::new(&fit(), &facts());
    let names: Vec<_> = summary.parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["slope", "twice", "chain", "product"]);
    let slope = summary.parameters[0].1;
    // A few hundred effective samples.
    close(slope.mean, 4.0, 0.2);
    close(slope.sd, 1.0, 0.15);
    close(slope.q84 - slope.q16, 2.0, 0.3);
    close(slope.best, 4.0, 0.3);
    close(summary.parameters[1].1.q50, 2.0 * slope.q50, 1e-12);
    close(summary.efficiency, summary.n_eff / 5000.0, 1e-15);
}

#[test]
fn a_summary_reads_back_to_the_same_bits_even_where_json_has_no_number() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("summary.json");
    let mut written = Summary::new(&fit(), &facts());
    written.log_z = f64::NEG_INFINITY;
    written.log_z_err = f64::NAN;
    written.parameters[0].1.q97_5 = f64::INFINITY;
    fs::write(&path, written.to_json()).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""log_z": "-Infinity""#) && text.contains(r#""log_z_err": null"#), "{text}");
    let read = Summary::read(&path).unwrap();
    assert_eq!(read.to_json(), text);
    assert_eq!(read.parameters[2].1.mean.to_bits(), written.parameters[2].1.mean.to_bits());
    assert!(read.log_z_err.is_nan() && read.parameters[0].1.q97_5 == f64::INFINITY);
}

#[test]
fn an_existing_run_is_refused_saying_what_is_there_and_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("run");
    finished(&dir);
    let before = fs::read(dir.join("result.h5")).unwrap();
    let refusal = create(&dir, Opening::New, "seed = 8").unwrap_err();
    assert!(refusal.what.contains("finished run, made 20"), "{refusal}");
    assert!(refusal.help.unwrap().starts_with("go on with it: --resume; replace it: --force; elsewhere: --out"));
    assert_eq!(fs::read(dir.join("result.h5")).unwrap(), before);
    assert_eq!(fs::read_to_string(dir.join("job.toml")).unwrap(), "seed = 7\n");
}

#[test]
fn force_replaces_the_run_and_leaves_other_files_alone() {
    let place = tempfile::tempdir().unwrap();
    finished(place.path());
    fs::write(place.path().join("notes.txt"), "mine").unwrap();
    create(place.path(), Opening::Force, "seed = 8").unwrap();
    assert_eq!(fs::read_to_string(place.path().join("job.toml")).unwrap(), "seed = 8\n");
    assert_eq!(fs::read_to_string(place.path().join("notes.txt")).unwrap(), "mine");
    assert!(!place.path().join("result.h5").exists());
    assert!(matches!(RunDir::state(place.path()), RunState::Unfinished { .. }));
}

#[test]
fn no_temporary_file_is_left_behind() {
    let place = tempfile::tempdir().unwrap();
    finished(place.path());
    let mut names: Vec<_> = fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["job.toml", "log.jsonl", "result.h5", "summary.json"]);
}

#[test]
fn a_result_that_cannot_be_written_leaves_no_part_of_it() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("absent/result.h5");
    let error = as_root(|root| write_result(root, &path, &fit(), &facts())).unwrap_err();
    assert!(error.what.starts_with("cannot write") && error.what.contains("absent/result.h5"), "{error}");
    assert!(!path.exists());
}

#[test]
fn summary_says_what_is_in_a_folder_that_holds_no_finished_run() {
    let place = tempfile::tempdir().unwrap();
    let why = |path: &Path| -> OutputError { RunDir::read_summary(path).unwrap_err() };
    assert!(why(&place.path().join("nowhere")).what.contains("there is no folder"));
    assert!(why(place.path()).what.contains("holds no run"));
    let dir = place.path().join("killed");
    let running = create(&dir, Opening::New, "seed = 1").unwrap();
    assert!(why(&dir).what.contains("; in the hands of host "), "{}", why(&dir));
    drop(running);
    let killed = why(&dir);
    assert!(killed.what.contains("is not finished, started 20"), "{killed}");
    assert!(killed.what.ends_with("log.jsonl, job.toml and no summary.json"), "{killed}");
    assert!(killed.help.unwrap().contains("--resume"));
    let log = |record: &dyn Fn(&mut Log)| as_root(|root| record(&mut Log::open(root, &dir.join("log.jsonl"), true).unwrap()));
    log(&|log| log.failed("NaN at a = 1"));
    assert!(why(&dir).what.ends_with("failed: NaN at a = 1"), "{}", why(&dir));
    log(&|log| log.stopped("SIGTERM", "fitjob run a.toml --resume"));
    assert!(why(&dir).what.ends_with("was stopped: SIGTERM"), "{}", why(&dir));
    assert!(why(&dir).help.unwrap().ends_with("fitjob run a.toml --resume"));
    assert!(why(&dir.join("job.toml")).what.contains("is a file"));
    fs::write(dir.join("summary.json"), "{\"log_z\": \"big\"}").unwrap();
    assert!(why(&dir).what.contains("\"big\" is no number"), "{}", why(&dir));
}

#[test]
fn the_report_says_in_plain_words_what_came_out_and_where_the_time_went() {
    let text = report(&Summary::new(&fit(), &facts()), Path::new("line.run"));
    for part in [
        "slope",
        "scale = 2.5 (fixed)",
        "log Z",
        "±",
        "3 rejected for want of a likelihood (1 after",
        "12.0 s = 2.00 s to start + 10.0 s to sample (11 min 40 s in all, resumed 2 times)",
        "80.0% of 2 ranks x 2 threads (least busy rank 70.0%, most 90.0%)",
        "1.00 s on the root, 1.00 s in its tasks",
        "15.0% for answers",
        "warning: the two halves differ",
        "warning: 4 evaluators share",
        "fitjob summary line.run",
    ] {
        assert!(text.contains(part), "no \"{part}\" in\n{text}");
    }
}

#[test]
fn a_run_that_stopped_says_where_it_stands_and_how_to_go_on() {
    let standing = Progress { phase: "exploring".into(), n_like: 12_345, log_z: -4.25, log_z_err: 0.5, ..Progress::default() };
    let text = stopped("SIGTERM", &standing, Path::new("a.run"), "fitjob run a.toml --resume");
    assert_eq!(
        text,
        "stopped: SIGTERM\n  exploring  log Z -4.25 ± 0.50  12 345 calls\n  \
         nothing is lost: a.run/checkpoint holds every finished call\nto go on: fitjob run a.toml --resume\n"
    );
}

#[test]
fn the_overview_is_aligned() {
    let text = overview(&Summary::new(&fit(), &facts()));
    let table: Vec<_> = text.lines().skip_while(|l| !l.contains("median")).take(5).collect();
    let widths: Vec<_> = table.iter().map(|line| line.chars().count()).collect();
    assert!(widths.windows(2).all(|w| w[0] == w[1]), "{text}");
}

#[test]
fn h5py_xarray_and_arviz_read_the_result() {
    let place = tempfile::tempdir().unwrap();
    let summary = finished(place.path());
    let fit = fit();
    let Some(seen) = python_reads(&place.path().join("result.h5")) else { return };

    let root = &seen["h5py"]["attributes"];
    assert_eq!(root["digest"], fit.digest.as_str());
    assert_eq!(root["log_z"].as_f64().unwrap().to_bits(), fit.log_z.to_bits());
    assert_eq!((root["seed"].as_u64(), root["n_like"].as_u64()), (Some(7), Some(5000)));
    assert_eq!(root["diagnostic_split_half_z"], 3.1);
    let bits: Vec<u64> = seen["h5py"]["theta_bits"].as_array().unwrap().iter().map(|x| x.as_u64().unwrap()).collect();
    assert_eq!(bits, [fit.derived[0].to_bits(), fit.derived[1].to_bits(), fit.derived[2].to_bits()]);
    assert_eq!(seen["h5py"]["scales"], serde_json::json!(["chain", "draw"]));

    for reader in ["h5netcdf", "netcdf4", "arviz"] {
        let seen = &seen[reader];
        assert_eq!(seen["names"], serde_json::json!(["slope", "twice", "chain_", "product"]), "{reader}");
        assert_eq!(seen["dims"][0], serde_json::json!(["chain", "draw"]), "{reader}");
        assert_eq!(seen["draws"], fit.n_eff.round() as u64, "{reader}");
        assert_eq!(seen["samples"], 4000, "{reader}");
        assert_eq!(seen["cube_axes"], "slope chain", "{reader}");
        assert_eq!(seen["creation_library"], "fitjob", "{reader}");
        close(seen["weight_sum"].as_f64().unwrap(), 1.0, 1e-12);
        for (j, (_, p)) in summary.parameters.iter().enumerate() {
            close(seen["weighted_means"][j].as_f64().unwrap(), p.mean, 1e-12);
            close(seen["means"][j].as_f64().unwrap(), p.mean, 0.2 * p.sd);
        }
    }
    let arviz = &seen["arviz"];
    assert_eq!(arviz["groups"], serde_json::json!(["posterior", "sample_stats", "constant_data", "weighted"]));
    assert_eq!(arviz["constants"]["scale"], 2.5);
    assert_eq!(arviz["lp_is_sum"], true);
    assert_eq!(arviz["rows"].as_array().unwrap().len(), 4);
}
