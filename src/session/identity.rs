//! Which question a saved run asks: a run may be taken up again only by a job that asks the same.

use crate::job::{Job, Package};
use crate::sampler::EngineSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::{Table, Value};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// Hash over model, data, parameters, seed and engine, but not its targets.
    pub question: String,
    /// What computes the likelihood, where that is not fitjob.
    pub program: String,
    /// The resolved job.
    pub job: String,
    /// Hash of every file that the job names, by its name.
    pub files: BTreeMap<String, String>,
    /// Of fitjob.
    pub version: String,
}

/// How a [`Change`] of nothing but the program calls it.
pub const PROGRAM: &str = "the model's program";

/// A key of the job that is not what it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub key: String,
    pub before: String,
    pub now: String,
}

impl Identity {
    pub fn of(job: &Job, package: &Package) -> Identity {
        let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..32].to_string();
        let files = package.files.iter().map(|(name, file)| (name.clone(), hash(&postcard::to_stdvec(file).expect("plain data"))));
        Identity {
            question: job.question.clone(),
            program: job.program.clone(),
            job: job.resolved_toml.clone(),
            files: files.collect(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// The question, short: names the journals of this run.
    pub fn hash(&self) -> [u8; 16] {
        *blake3::hash(self.question.as_bytes()).as_bytes().first_chunk().expect("a hash has 32 bytes")
    }

    /// What forbids `now` to go on with this run, key by key; nothing where it asks the same question with the same or higher targets.
    /// `same_model`: whether the user says that another program gives the same values.
    pub fn forbidden(&self, now: &Identity, same_model: bool) -> Vec<Change> {
        let changes = self.changes(now);
        let (targets, mut others): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(|c| is_target(&c.key));
        let mut forbidden: Vec<Change> = targets.into_iter().filter(|c| !is_raised(c)).collect();
        if self.question != now.question {
            others.extend(self.changed_files(now));
            if others.is_empty() {
                let change = Change { key: "the program".into(), before: self.version.clone(), now: now.version.clone() };
                others.push(change);
            }
            forbidden.extend(others);
        } else if self.program != now.program && !same_model {
            forbidden.push(Change { key: PROGRAM.into(), before: self.program.clone(), now: now.program.clone() });
        }
        forbidden
    }

    /// Targets that are higher now.
    pub fn raised(&self, now: &Identity) -> Vec<Change> {
        self.changes(now).into_iter().filter(|c| is_target(&c.key) && is_raised(c)).collect()
    }

    fn changes(&self, now: &Identity) -> Vec<Change> {
        let read = |text: &str| -> BTreeMap<String, String> {
            let mut leaves = BTreeMap::new();
            let table: Table = text.parse().unwrap_or_default();
            let asked = table.into_iter().filter(|(section, _)| section != "run" && section != "output");
            flatten("", &Value::Table(asked.collect()), &mut leaves);
            leaves
        };
        differences(&read(&self.job), &read(&now.job), "not set")
    }

    fn changed_files(&self, now: &Identity) -> Vec<Change> {
        let named = |change: Change| Change { key: format!("content of {}", change.key), ..change };
        differences(&self.files, &now.files, "no such file").into_iter().map(named).collect()
    }
}

fn differences(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>, absent: &str) -> Vec<Change> {
    let mut keys: Vec<&String> = before.keys().chain(now.keys()).collect();
    keys.sort();
    keys.dedup();
    let value = |of: &BTreeMap<String, String>, key| of.get(key).cloned().unwrap_or_else(|| absent.to_string());
    let changes = keys.into_iter().map(|key| Change { key: key.clone(), before: value(before, key), now: value(now, key) });
    changes.filter(|change| change.before != change.now).collect()
}

/// Every value under its dotted key.
fn flatten(prefix: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    let under = |key: &str| if prefix.is_empty() { key.to_string() } else { format!("{prefix}.{key}") };
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| flatten(&under(key), value, leaves)),
        Value::Array(list) if list.iter().any(Value::is_table) => {
            list.iter().enumerate().for_each(|(k, value)| flatten(&under(&k.to_string()), value, leaves));
        }
        leaf => drop(leaves.insert(prefix.to_string(), leaf.to_string())),
    }
}

fn is_target(key: &str) -> bool {
    key.strip_prefix("sampler.").is_some_and(|key| EngineSpec::TARGETS.contains(&key))
}

/// A target that is not set is no limit.
fn is_raised(change: &Change) -> bool {
    let number = |text: &str| text.parse().unwrap_or(f64::INFINITY);
    number(&change.now) > number(&change.before)
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}: was {}, is {}", self.key, shortened(&self.before), shortened(&self.now))
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let line = text.replace('\n', " ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(question: &str, job: &str) -> Identity {
        Identity { question: question.into(), job: job.into(), ..Identity::default() }
    }

    fn told(changes: &[Change]) -> Vec<String> {
        changes.iter().map(Change::to_string).collect()
    }

    const JOB: &str = "seed = 1\n[sampler]\nn_live = 100\nn_eff = 500.0\n[run]\nncores = 2\n[model]\nkind = \"curve\"\n";

    #[test]
    fn a_change_is_told_by_its_key_with_both_values() {
        let now = asking("b", &JOB.replace("n_live = 100", "n_live = 200").replace("[model]", "[model]\nsigma = 0.5"));
        let forbidden = asking("a", JOB).forbidden(&now, false);
        assert_eq!(told(&forbidden), ["model.sigma: was not set, is 0.5", "sampler.n_live: was 100, is 200"]);
    }

    #[test]
    fn how_it_is_run_may_change_and_targets_may_rise_but_not_fall() {
        let before = asking("a", JOB);
        let now = asking("a", &JOB.replace("ncores = 2", "ncores = 64").replace("500.0", "900.0"));
        assert_eq!(before.forbidden(&now, false), []);
        assert_eq!(told(&before.raised(&now)), ["sampler.n_eff: was 500.0, is 900.0"]);
        assert_eq!(told(&now.forbidden(&before, false)), ["sampler.n_eff: was 900.0, is 500.0"]);
        let limited = asking("a", &JOB.replace("n_eff", "n_like_max = 10\nn_eff"));
        assert_eq!(limited.forbidden(&before, false), [], "no limit is more than any");
        assert_eq!(told(&before.forbidden(&limited, false)), ["sampler.n_like_max: was not set, is 10"]);
    }

    #[test]
    fn another_program_is_a_change_unless_it_is_said_to_give_the_same_values() {
        let by = |program: &str, question: &str| Identity { program: program.into(), ..asking(question, JOB) };
        assert_eq!(told(&by("11", "a").forbidden(&by("22", "a"), false)), ["the model's program: was 11, is 22"]);
        assert_eq!(by("11", "a").forbidden(&by("22", "a"), true), []);
        assert!(!by("11", "a").forbidden(&by("11", "b"), true).is_empty(), "another question stays one");
    }

    #[test]
    fn another_content_of_a_data_file_is_a_change() {
        let with = |hash: &str, question: &str| Identity {
            files: BTreeMap::from([("a.csv".to_string(), hash.to_string())]),
            ..asking(question, JOB)
        };
        assert_eq!(told(&with("11", "a").forbidden(&with("22", "b"), false)), ["content of a.csv: was 11, is 22"]);
        assert_eq!(with("11", "a").forbidden(&with("22", "a"), false), [], "a column that the model does not use");
    }
}
