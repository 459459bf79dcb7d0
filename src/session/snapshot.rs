//! What a checkpoint holds, as named sections: `about` (CBOR), once the sampler was asked, `sampler` and `under_way`, and
//! `computed` where the model gives more than log L.

use super::computed::Computed;
use super::identity::Identity;
use super::specimens::Specimens;
use crate::driver::UnderWay;
use crate::sampler::{Progress, saved};
use crate::state::{FoundState, Recovered};
use crate::task::{Evaluation, TaskId};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::SystemTime;

#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub about: About,
    /// None where the model computes nothing beside log L.
    pub computed: Option<Computed>,
    /// None before the first question.
    pub state: Option<(Vec<u8>, UnderWay)>,
}

/// What can be read without the engine. New fields have defaults, so that old checkpoints are read for ever.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    pub identity: Identity,
    /// The engine's own name.
    pub method: String,
    pub progress: Progress,
    /// Why the sampler stopped, where it did.
    pub done: Option<String>,
    pub totals: Totals,
    /// A point of the unit cube and its log L, to see on resuming that the model is still the same.
    pub specimen: Option<(Vec<f64>, f64)>,
    /// More of them, from all of the run.
    pub specimens: Specimens,
}

/// Over all lives of the run so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Likelihood calls that were made and kept.
    pub calls: u64,
    /// Of those, points that count as impossible although the model gave no such value.
    pub rejected: u64,
    pub wall_s: f64,
    /// Times that the run was taken up again.
    pub resumes: u64,
}

/// The newest checkpoint of a run, understood.
#[derive(Debug)]
pub struct Saved {
    /// 0: none was readable, and the journals replay the run from its start.
    pub number: u64,
    pub written: Option<SystemTime>,
    pub snapshot: Snapshot,
    /// Calls made since.
    pub evaluations: HashMap<TaskId, Evaluation>,
    /// Of damage that was found on the way, in plain words.
    pub notes: Vec<String>,
}

impl Saved {
    /// None where nothing was kept. Errors: files of another job, or of a version that writes them otherwise.
    pub fn newest(recovered: Recovered) -> Result<Option<Saved>, String> {
        let Recovered { state, evaluations, notes, damaged, foreign, .. } = recovered;
        match state {
            Some(FoundState { number, written, sections }) => {
                let snapshot = Snapshot::read(sections).map_err(|why| format!("checkpoint {number}: {why}"))?;
                Ok(Some(Saved { number, written: Some(written), snapshot, evaluations, notes }))
            }
            None if foreign => Err(format!("no checkpoint in it is readable, and its journals are of another job ({})", notes.join("; "))),
            None if damaged == 0 && evaluations.is_empty() => Ok(None),
            None => Ok(Some(Saved { number: 0, written: None, snapshot: Snapshot::default(), evaluations, notes })),
        }
    }
}

type Sections = Vec<(String, Vec<u8>)>;

impl Snapshot {
    pub fn sections(self) -> Sections {
        let mut sections = vec![("about".to_string(), saved::write(&self.about))];
        if let Some(computed) = &self.computed {
            sections.push(("computed".into(), saved::write(computed)));
        }
        if let Some((sampler, under_way)) = self.state {
            sections.push(("sampler".into(), sampler));
            sections.push(("under_way".into(), saved::write(&under_way)));
        }
        sections
    }

    /// Errors: sections of a program that writes them otherwise (their bytes are known to be whole).
    pub fn read(sections: Sections) -> Result<Snapshot, String> {
        let mut sections = std::collections::BTreeMap::from_iter(sections);
        let about = sections.get("about").ok_or("it has no section `about`")?;
        let about: About = saved::read(about).map_err(|e| e.to_string())?;
        let state = match (sections.remove("sampler"), sections.get("under_way")) {
            (Some(sampler), Some(under_way)) => Some((sampler, saved::read(under_way).map_err(|e| e.to_string())?)),
            _ => None,
        };
        let computed = sections.get("computed").map(|bytes| saved::read(bytes).map_err(|e| e.to_string())).transpose()?;
        Ok(Snapshot { about, computed, state })
    }
}
