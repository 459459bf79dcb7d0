//! What `fitjob sbc` keeps, prints and concludes.

use super::assess::{Quantity, assess};
use super::trial::Trial;
use crate::output::text;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Write as _;

/// What is calibrated: trials may be added to those of the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// As typed.
    pub job: String,
    pub job_digest: String,
    /// Digest of the job of `--truth`; empty where the job itself draws the data.
    pub truth_digest: String,
    pub method: String,
    pub seed: u64,
    pub draws: usize,
    pub quantities: Vec<String>,
}

/// The trials so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub about: About,
    /// Simulations asked for.
    pub sims: u64,
    /// Corrected p-values below this are faults.
    pub alpha: f64,
    /// In the order of their numbers.
    pub trials: Vec<Trial>,
}

impl Kept {
    pub fn finished(&self) -> bool {
        self.trials.len() as u64 >= self.sims
    }

    /// Numbers of the simulations that are still to be run.
    pub fn to_do(&self) -> Vec<u64> {
        (0..self.sims).filter(|k| self.trials.binary_search_by_key(k, |trial| trial.number).is_err()).collect()
    }

    pub fn add(&mut self, trials: Vec<Trial>) {
        self.trials.extend(trials);
        self.trials.sort_by_key(|trial| trial.number);
    }

    pub fn results(&self) -> Vec<Quantity> {
        assess(&self.about.quantities, &self.trials, self.about.draws, self.about.seed, self.alpha)
    }

    /// There are results, and no quantity is at fault.
    pub fn calibrated(&self) -> bool {
        !self.trials.is_empty() && self.results().iter().all(|quantity| quantity.fault.is_empty())
    }

    /// Fits whose sample is worth fewer independent draws than were taken from it.
    pub fn short(&self) -> usize {
        self.trials.iter().filter(|trial| trial.n_eff <= self.about.draws as f64).count()
    }

    fn warnings(&self) -> Vec<String> {
        let (short, n) = (self.short(), self.trials.len());
        let attempts: u64 = self.trials.iter().map(|trial| trial.attempts).sum();
        let coarse = format!(
            "{short} of {n} fits are worth no more than {} independent draws, so that their ranks crowd at the ends: raise [sampler] \
             n_eff, or lower --draws",
            self.about.draws
        );
        let impossible =
            format!("{} of {attempts} points drawn from the prior could not be simulated, and others were drawn", attempts - n as u64);
        let pairs = [(short > 0, coarse), (attempts > n as u64, impossible)];
        pairs.into_iter().filter(|(so, _)| *so).map(|(_, words)| words).collect()
    }

    /// sbc.json: what is needed to go on, and the results.
    pub fn to_json(&self) -> String {
        let mut value = serde_json::to_value(self).expect("plain data");
        value["finished"] = json!(self.finished());
        if !self.trials.is_empty() {
            value["calibrated"] = json!(self.calibrated());
            value["results"] = json!(self.results());
        }
        value["warnings"] = json!(self.warnings());
        serde_json::to_string_pretty(&value).expect("plain data")
    }

    /// ranks.csv: a line a simulation.
    pub fn to_csv(&self) -> String {
        let quoted = |name: &String| if name.contains([',', '"']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.clone() };
        let names: Vec<String> = self.about.quantities.iter().map(quoted).collect();
        let mut out = format!("simulation,n_eff,n_like,attempts,{}\n", names.join(","));
        for Trial { number, attempts, n_eff, n_like, ranks } in &self.trials {
            let ranks: Vec<String> = ranks.iter().map(u64::to_string).collect();
            let _ = writeln!(out, "{number},{n_eff},{n_like},{attempts},{}", ranks.join(","));
        }
        out
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let About { job, method, draws, .. } = &self.about;
        let n = self.trials.len();
        let mut out = format!("{job} with {method}: ranks of the truth among {draws} draws, {n} of {} simulations\n\n", self.sims);
        if self.trials.is_empty() {
            return out;
        }
        let results = self.results();
        let head = ["", "histogram of ranks", "chi2 p", "Kuiper p", "corrected"].map(String::from).to_vec();
        let row = |q: &Quantity| {
            let p = |p: f64| text::significant(p, 2);
            vec![q.name.clone(), blocks(&q.histogram), p(q.chi2_p), p(q.kuiper_p), p(q.p)]
        };
        out += &text::table(&[vec![head], results.iter().map(row).collect()].concat());
        out += "\n";
        for quantity in results.iter().filter(|quantity| !quantity.fault.is_empty()) {
            let _ = writeln!(out, "the posterior of {} is {}", quantity.name, quantity.fault);
        }
        let least = text::significant(results.iter().map(|q| q.p).fold(f64::NAN, f64::min), 2);
        let verdict = if self.calibrated() { "calibrated" } else { "not calibrated" };
        let _ = writeln!(out, "{verdict}: the smallest corrected p-value is {least}, a fault is one below {}", self.alpha);
        out.extend(self.warnings().iter().map(|warning| format!("warning: {warning}\n")));
        out
    }
}

/// One block a bin, as high as the bin is full.
fn blocks(histogram: &[u64]) -> String {
    let most = histogram.iter().copied().max().unwrap_or(0).max(1);
    let block = |n: &u64| [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][(n * 8).div_ceil(most) as usize];
    histogram.iter().map(block).collect()
}
