//! A `Likelihood` as a model: order of parameters, derived quantities, gradients, batches, and what its question is made of.

use fitjob::model::{DataSpec, FileRef, Files, Model, ModelError, ModelSpec, build, register};
use fitjob::{EvalError, Evaluated, Likelihood};
use serde::{Deserialize, Serialize};

/// log L = -slope (x - offset)^2 / 2
#[derive(Serialize, Deserialize)]
struct Line {
    data: DataSpec,
    #[serde(default = "one")]
    batch: usize,
    #[serde(default)]
    forgetful: bool,
    #[serde(skip)]
    x: f64,
}

fn one() -> usize {
    1
}

impl Likelihood for Line {
    fn log_like(&self, theta: &[f64]) -> Result<f64, EvalError> {
        Ok(-0.5 * theta[0] * (self.x - theta[1]).powi(2))
    }

    fn parameters(&self) -> Vec<&str> {
        vec!["slope", "offset"]
    }

    fn derived(&self) -> Vec<&str> {
        vec!["residual"]
    }

    fn evaluate(&self, theta: &[f64]) -> Result<Evaluated, EvalError> {
        let derived = if self.forgetful { vec![] } else { vec![self.x - theta[1]] };
        Ok(Evaluated { log_like: self.log_like(theta)?, derived })
    }

    fn has_gradient(&self) -> bool {
        true
    }

    fn gradient(&self, theta: &[f64], gradient: &mut [f64]) -> Result<f64, EvalError> {
        let r = self.x - theta[1];
        gradient.copy_from_slice(&[-0.5 * r * r, theta[0] * r]);
        self.log_like(theta)
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn files(&self) -> Vec<FileRef> {
        self.data.file().into_iter().collect()
    }

    fn prepare(&mut self, files: &Files) -> Result<(), ModelError> {
        let table = self.data.table(files)?;
        self.x = table.column("x").ok_or_else(|| ModelError::new(&["data"], "there is no column `x`"))?[0];
        Ok(())
    }
}

fn model(keys: &str) -> Result<Box<dyn Model>, ModelError> {
    register::<Line>();
    let spec: ModelSpec = toml::from_str(&format!("kind = \"rust\"\n{keys}")).unwrap();
    let load = |file: FileRef| (file.path.clone(), file.load(file.path.as_ref()).unwrap());
    let files: Files = spec.files().into_iter().map(load).collect();
    build(&spec, None, 1, &files)
}

fn names() -> Vec<String> {
    ["offset", "unused", "slope"].map(String::from).to_vec()
}

/// Points in the order of the job, and what they must give: x is 3.
const POINTS: [f64; 6] = [1.0, 9.0, 0.5, 2.0, 9.0, 4.0];
const VALUES: [(f64, f64); 2] = [(-1.0, 2.0), (-2.0, 1.0)];

#[test]
fn parameters_are_found_by_name_one_by_one_and_in_batches() {
    for keys in ["data = { x = [3.0] }", "data = { x = [3.0] }\nbatch = 100"] {
        let (model, mut out) = (model(keys).unwrap(), Vec::new());
        assert!(!model.takes_all() && model.parameters() == ["slope", "offset"] && model.derived() == ["residual"]);
        let mut density = model.bind(&names()).unwrap();
        density.evaluate(&POINTS, 3, &mut out);
        let found: Vec<(f64, f64)> = out.into_iter().map(|r| r.map(|it| (it.log_like, it.derived[0])).unwrap()).collect();
        assert_eq!(found, VALUES, "{keys}");
        assert_eq!(density.log_like(&POINTS[..3]), Ok(-1.0));
    }
}

#[test]
fn a_gradient_is_by_the_parameters_of_the_job() {
    let model = model("data = { x = [3.0] }").unwrap();
    let mut gradient = [f64::NAN; 3];
    assert!(model.has_gradient());
    assert_eq!(model.bind(&names()).unwrap().log_like_gradient(&POINTS[..3], &mut gradient), Some(Ok(-1.0)));
    assert_eq!(gradient, [1.0, 0.0, -2.0]);
}

#[test]
fn derived_quantities_without_a_value_are_fatal() {
    for batch in [1, 10] {
        let (model, mut out) = (model(&format!("data = {{ x = [3.0] }}\nforgetful = true\nbatch = {batch}")).unwrap(), Vec::new());
        model.bind(&names()).unwrap().evaluate(&POINTS, 3, &mut out);
        assert!(matches!(&out[1], Err(EvalError::Fatal(why)) if why.contains("gave 0 derived quantities and has names for 1")), "{out:?}");
    }
}

#[test]
fn the_question_is_settings_and_contents_wherever_files_lie() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, x: f64| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("x\n{x}\n")).unwrap();
        model(&format!("data = {path:?}")).unwrap().fingerprint()
    };
    let here = file("a.csv", 3.0);
    assert_eq!(file("b.csv", 3.0), here);
    assert_ne!(file("c.csv", 4.0), here);
    assert_ne!(model("data = { x = [3.0] }\nbatch = 2").unwrap().fingerprint(), model("data = { x = [3.0] }").unwrap().fingerprint());
    assert_eq!(
        model("data = { y = [3.0] }").err().map(|e| (e.key, e.message)),
        Some((vec!["data".into()], "there is no column `x`".into()))
    );
}
