//! fitjob as a library: the same result in the hands of every rank.

use fitjob::job::{self, Source};
use fitjob::session::{self, Outcome};
use fitjob::world::World;

const JOB: &str = r#"
seed = 3
[model]
kind = "problem"
name = "gauss3tut"
[derived]
total = "x1 + x2 + x3"
[sampler]
method = "nautilus"
n_live = 200
n_eff = 500
"#;

fn source() -> Source {
    Source { name: "library.toml".into(), text: JOB.into(), base: ".".into(), overrides: vec![], json: false }
}

#[test]
fn every_rank_can_read_samples_weights_and_evidence() {
    let package = job::load(source()).unwrap();
    let fits = World::loopback(4, |mut world| {
        let job = job::resolve(&package).unwrap();
        let (outcome, effort) = session::fit(&mut world, &job, 1, None).unwrap();
        assert_eq!(effort.is_some(), world.is_root(), "only the root knows the cost");
        let Outcome::Done(fit) = outcome else { panic!("stopped: {outcome:?}") };
        fit
    });
    assert!(fits.iter().all(|fit| *fit == fits[0]));
    let fit = &fits[3];
    assert_eq!(fit.theta.len(), fit.len() * 3);
    assert_eq!(fit.derived.len(), fit.len());
    let weight: f64 = fit.weights().iter().sum();
    assert!((weight - 1.0).abs() < 1e-9);
    assert!((fit.log_z + 4.1509).abs() < 6.0 * fit.log_z_err, "log Z = {} +- {}", fit.log_z, fit.log_z_err);
}
