//! A process a point: parameters in a file or in arguments, log L in a file.

use super::child::{Child, Names, Program, Trouble, new_worker};
use super::template::Template;
use super::{CommandSpec, Inputs, row};
use crate::model::{Density, Evaluated};
use crate::task::EvalError;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// One worker: a folder, in which a program is run for every point.
pub struct Once<'a> {
    spec: &'a CommandSpec,
    program: &'a Program,
    inputs: Inputs,
    names: Names,
    args: Vec<Template>,
    file: Template,
    limit: Option<Duration>,
    worker: usize,
    /// Of a random name, and for this user alone. It goes with this, unless a point that failed is kept in it.
    folder: TempDir,
    /// Points so far: each has a folder of its own in `folder`.
    points: u64,
    /// The folder of the last point that failed.
    kept: Option<PathBuf>,
}

impl<'a> Once<'a> {
    /// `template`: the text of the parameter file.
    pub fn new(
        spec: &'a CommandSpec,
        program: &'a Program,
        template: Option<&str>,
        limit: Option<Duration>,
        (inputs, names): (Inputs, Names),
    ) -> Result<Once<'a>, EvalError> {
        let parsed = |what: &str, text: &str| {
            Template::parse(text, &names.parameters).map_err(|why| EvalError::Fatal(format!("[model] {what}: {why}")))
        };
        let args = program.args.iter().map(|arg| parsed("command", arg)).collect::<Result<_, _>>()?;
        let file = template.map_or_else(|| Ok(Template::lines(&names.parameters)), |text| parsed("template", text))?;
        let worker = new_worker();
        let folder = std::env::var_os("SLURM_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = tempfile::Builder::new().prefix("fitjob-").tempdir_in(&folder).map_err(|e| {
            let help = "the folder for temporary files is $SLURM_TMPDIR, else $TMPDIR, else /tmp";
            EvalError::Fatal(format!("no working folder can be made in {}: {e}; {help}", folder.display()))
        })?;
        Ok(Once { spec, program, inputs, names, args, file, limit, worker, folder, points: 0, kept: None })
    }

    /// One point, tried again where the program fails.
    fn point(&mut self, theta: &[f64]) -> Result<Evaluated, EvalError> {
        let values = self.inputs.pick(theta, theta.len());
        let deadline = self.limit.map(|limit| Instant::now() + limit);
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.points += 1;
            let folder = self.folder.path().join(format!("point-{}", self.points));
            let outcome = fs::create_dir(&folder).map_err(cannot("make", &folder)).and_then(|()| self.run(&values, &folder, deadline));
            let failed = match outcome {
                Ok(values) => {
                    let _ = fs::remove_dir_all(&folder);
                    return Ok(row(&values));
                }
                Err(Trouble::Broken(why)) => return Err(EvalError::Fatal(why)),
                Err(failed) => failed,
            };
            if let Some(before) = self.kept.replace(folder.clone()) {
                let _ = fs::remove_dir_all(before);
            }
            match failed {
                Trouble::Died(_) if attempt <= self.spec.retries => {}
                Trouble::Died(why) | Trouble::Late(why) | Trouble::Broken(why) => {
                    return Err(EvalError::Failed(format!("{why}\n(its working folder is kept: {})", folder.display())));
                }
            }
        }
    }

    fn run(&self, values: &[f64], folder: &PathBuf, deadline: Option<Instant>) -> Result<Vec<f64>, Trouble> {
        let input = folder.join(&self.spec.input);
        fs::write(&input, self.file.fill(values)).map_err(cannot("write", &input))?;
        let program = Program { args: self.args.iter().map(|arg| arg.fill(values)).collect(), ..self.program.clone() };
        let mut child = Child::start(&program, self.worker, false, Some(folder))?;
        let left = deadline.map_or(Duration::MAX, |d| d.saturating_duration_since(Instant::now()));
        match child.wait(left) {
            None => {
                child.kill();
                Err(Trouble::Late(format!("{} did not end in time and was killed{}", program.what, child.last_words())))
            }
            Some(status) if !status.success() => Err(Trouble::Died(format!("{} ended with {status}{}", program.what, child.last_words()))),
            Some(_) => self.result(folder).map_err(|why| Trouble::Died(format!("{} {why}{}", program.what, child.last_words()))),
        }
    }

    /// Log L and the derived quantities in the result file; Fortran's 1.5D+02 is a number too.
    fn result(&self, folder: &Path) -> Result<Vec<f64>, String> {
        let name = &self.spec.result;
        let text = fs::read_to_string(folder.join(name)).map_err(|e| format!("left no readable file {name}: {e}"))?;
        let number = |word: &str| {
            let parsed = word.parse::<f64>().or_else(|_| word.replace(['D', 'd'], "e").parse());
            parsed.map_err(|_| format!("wrote \"{}\" into {name} where a number is expected", word.escape_debug()))
        };
        let values = text.split_whitespace().map(number).collect::<Result<Vec<f64>, String>>()?;
        let expected = 1 + self.names.derived.len();
        match values.len() {
            n if n == expected => Ok(values),
            n => Err(format!("wrote {n} numbers into {name} where {expected} are expected (log L, then the derived quantities)")),
        }
    }
}

/// Trouble with our own files: the next point would have it too.
fn cannot(what: &str, path: &Path) -> impl FnOnce(std::io::Error) -> Trouble {
    let text = format!("cannot {what} {}", path.display());
    move |error| Trouble::Broken(format!("{text}: {error}"))
}

impl Drop for Once<'_> {
    fn drop(&mut self) {
        self.folder.disable_cleanup(self.kept.is_some());
    }
}

impl Density for Once<'_> {
    fn log_like(&mut self, theta: &[f64]) -> Result<f64, EvalError> {
        self.point(theta).map(|evaluated| evaluated.log_like)
    }

    fn evaluate(&mut self, thetas: &[f64], d: usize, out: &mut Vec<Result<Evaluated, EvalError>>) {
        out.extend(thetas.chunks_exact(d).map(|theta| self.point(theta)));
    }
}
