//! A model that answers otherwise than when the run was saved is found out, with both values.

use fitjob::job::{self, Job, Source};
use fitjob::model::{Density, Model};
use fitjob::session::{self, About, Identity, Keeper, Lead, Outcome, Watch};
use fitjob::stop::Curfew;
use fitjob::task::EvalError;
use fitjob::world::World;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

const JOB: &str = "seed = 3\n[model]\nkind = \"problem\"\nname = \"gauss3tut\"\n[sampler]\nn_live = 200\nn_eff = 300\nlearn = 1\n";

/// Another library's, say.
struct Shifted(Arc<dyn Model>, f64);

struct ShiftedDensity<'a>(Box<dyn Density + 'a>, f64);

impl Model for Shifted {
    fn parameters(&self) -> Vec<String> {
        self.0.parameters()
    }
    fn bind(&self, names: &[String]) -> Result<Box<dyn Density + '_>, EvalError> {
        Ok(Box::new(ShiftedDensity(self.0.bind(names)?, self.1)))
    }
    fn fingerprint(&self) -> Vec<u8> {
        self.0.fingerprint()
    }
}

impl Density for ShiftedDensity<'_> {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        Ok(self.0.log_like(theta)? + self.1)
    }
}

fn job() -> Job {
    let source = Source { name: "model.toml".into(), text: JOB.into(), base: ".".into(), overrides: vec![], json: false };
    job::resolve(&job::load(source).unwrap()).unwrap()
}

/// A point of the unit cube and its value.
fn specimen() -> (Vec<f64>, f64) {
    let job = job();
    let mut theta = vec![0.0; job.space.names().len()];
    job.space.transform(&[0.3; 3], &mut theta);
    let value = job.model.bind(job.space.names()).unwrap().log_like(&theta).unwrap();
    (vec![0.3; 3], value)
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Watch for &Heard {
    fn warn(&mut self, text: &str) {
        self.0.lock().unwrap().push(text.into());
    }
}

/// Takes up, on `ranks` ranks, a run whose checkpoint holds that value, with a model that adds `shift`.
fn taken_up(ranks: usize, shift: f64, heard: &Heard) -> Vec<Result<Outcome, String>> {
    World::loopback(ranks, |mut world| {
        let mut job = job();
        job.model = Arc::new(Shifted(job.model.clone(), shift));
        let now = Instant::now();
        let mut keeper = Keeper::new(None, Identity::default(), &job, Curfew::new(now, None, None), now);
        keeper.take_up(About { specimen: Some(specimen()), ..About::default() }, None, HashMap::new());
        let mut watch = heard;
        let lead = world.is_root().then_some(Lead { keeper, state: None, watch: &mut watch });
        session::fit(&mut world, &job, 1, lead).map(|(outcome, _)| outcome).map_err(|e| e.to_string())
    })
}

#[test]
fn a_model_that_gives_another_value_is_refused_on_all_ranks_with_both_values_and_the_point() {
    let (heard, before) = (Heard::default(), specimen().1);
    for ranks in [1, 3] {
        for refusal in taken_up(ranks, 0.25, &heard) {
            let why = refusal.unwrap_err();
            let values = [format!("gives {:?}", before + 0.25), format!("gave {before:?}")];
            assert!(values.iter().all(|value| why.contains(value)), "{values:?}: {why}");
            assert!(why.contains("x1 = 0.3") && why.contains("--force"), "{why}");
        }
    }
}

#[test]
fn a_difference_of_rounding_is_a_warning_and_none_is_nothing() {
    let heard = Heard::default();
    assert!(taken_up(3, 0.0, &heard).into_iter().all(|end| matches!(end, Ok(Outcome::Done(_)))));
    assert_eq!(*heard.0.lock().unwrap(), Vec::<String>::new());
    assert!(taken_up(3, 1e-12, &heard).into_iter().all(|end| matches!(end, Ok(Outcome::Done(_)))));
    let heard = heard.0.into_inner().unwrap();
    assert!(heard.len() == 1 && heard[0].contains("rounds otherwise"), "{heard:?}");
}
