//! What travels between the engine and the ranks that do its computations.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::bound::network::Network;
use crate::bound::region::{Lesson, Region, TrainingSet};
use crate::sampler::SamplerError;
use crate::task::EvalError;

/// Enclose the live points: [`BuildJob`] to [`Built`].
pub const BUILD: u16 = 1;
/// Train one network: reads a published [`TrainingSet`]; [`TrainJob`] to [`Trained`].
pub const TRAIN: u16 = 2;
/// Draw one block of candidates: reads published [`Region`]s, the one to draw from first; [`DrawJob`] to [`Block`].
pub const DRAW: u16 = 3;

#[derive(Serialize, Deserialize)]
pub struct BuildJob {
    pub seed: u64,
    /// Number of the bound among all that were tried.
    pub build: u64,
    pub lesson: Lesson,
}

#[derive(Serialize, Deserialize)]
pub struct Built {
    pub region: Region,
    pub sets: Vec<TrainingSet>,
}

#[derive(Serialize, Deserialize)]
pub struct TrainJob {
    pub seed: u64,
    pub build: u64,
    /// Number of the network among all of this bound.
    pub network: u64,
    /// The same network of the bound before: in whitened coordinates one bound looks much like the next.
    pub warm: Option<Network>,
}

#[derive(Serialize, Deserialize)]
pub struct Trained {
    pub network: Network,
    /// Scores of the points it was trained on.
    pub scores: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
pub struct DrawJob {
    pub seed: u64,
    pub build: u64,
    pub block: u64,
    pub tries: u32,
    pub purpose: DrawFor,
}

/// What the regions after the first are for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum DrawFor {
    /// Older bounds, newest first: each point is told in which it lies.
    Exploring,
    /// Later bounds, newest first: points in any of them are not of the shell.
    Sampling,
}

/// Candidates of one block, in the order they were drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Block {
    pub tries: u64,
    /// Tries that ended inside the bound.
    pub inside: u64,
    /// Points kept (all inside; when sampling only those of the shell), n x d in the cube.
    pub u: Vec<f64>,
    /// When exploring: of each point, which of the older bounds (counted from the newest, 0) holds it.
    pub older: Vec<u32>,
}

pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("plain data always has a binary form")
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T, SamplerError> {
    postcard::from_bytes(bytes).map_err(|e| SamplerError(format!("{what} arrived damaged ({e}): all ranks must run the same build")))
}

impl From<SamplerError> for EvalError {
    fn from(error: SamplerError) -> EvalError {
        EvalError::Fatal(error.0)
    }
}

/// A reference-counted value in the saved state: written whole (serde's own feature for this would rebuild half of
/// the dependencies).
pub mod counted {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::rc::Rc;

    pub fn serialize<T: Serialize, S: Serializer>(value: &Rc<T>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().serialize(to)
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Rc<T>, D::Error> {
        T::deserialize(from).map(Rc::new)
    }
}
