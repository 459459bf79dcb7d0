//! Makes the next bound while others evaluate: enclose, train, probe the volume. It only hears its own lane of answers.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::wire::{BUILD, Block, BuildJob, Built, DRAW, DrawFor, DrawJob, TRAIN, TrainJob, Trained, decode, encode};
use crate::bound::emulator::assemble;
use crate::bound::network::Network;
use crate::bound::region::{Lesson, Region, TrainingSet};
use crate::sampler::SamplerError;
use crate::task::{Shared, Task, TaskId, Work};

/// The lane of answers that the trainer hears.
pub const LANE: u32 = 2;
/// Blocks drawn at a time to measure the volume of a new bound, and the tries of each.
const PROBES: u64 = 4;
pub const PROBE_TRIES: u32 = 1024;
/// Points inside that are enough to judge a volume.
const PROBE_POINTS: u64 = 1000;
/// Without so many in this number of tries the learned part of a bound is dropped, then the bound (spec 5.2): a shell of it would take minutes.
const HOPELESS: u64 = 10_000_000;
const HOPELESS_POINTS: u64 = 100;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trainer {
    pub seed: u64,
    pub n_networks: usize,
    /// Bounds tried so far; the cube is number 0.
    pub builds: u64,
    next_key: u64,
    next_seq: u64,
    stage: Stage,
    /// Published bounds from which a new one is told apart, newest first.
    older: Vec<u64>,
    /// Networks of the last bound that had any.
    last: Vec<Network>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Stage {
    Idle,
    Building,
    Training { region: Region, sets: Vec<TrainingSet>, keys: Vec<u64>, trained: Vec<(Network, Vec<f32>)> },
    Probing(Probe),
    Ready(Option<Probe>),
}

/// A new bound under test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    pub build: u64,
    pub key: u64,
    #[serde(with = "super::wire::counted")]
    pub region: Rc<Region>,
    pub blocks: Vec<Block>,
    issued: u64,
}

/// Tasks and objects to send, and objects to forget.
#[derive(Default, Serialize, Deserialize)]
pub struct Outbox {
    pub publish: Vec<Shared>,
    pub tasks: Vec<Task>,
    pub retire: Vec<u64>,
}

impl Trainer {
    pub fn new(seed: u64, n_networks: usize) -> Trainer {
        Trainer { seed, n_networks, builds: 0, next_key: 1, next_seq: 0, stage: Stage::Idle, older: Vec::new(), last: Vec::new() }
    }

    /// What was learned in other coordinates. Returns the number of a new first bound.
    pub fn forget(&mut self) -> u64 {
        self.last.clear();
        self.builds += 1;
        self.builds
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready(_))
    }

    /// Starts on a new bound; `older`: keys of the bounds in force, newest first.
    pub fn launch(&mut self, lesson: Lesson, older: Vec<u64>, out: &mut Outbox) {
        self.builds += 1;
        self.older = older;
        self.stage = Stage::Building;
        let job = BuildJob { seed: self.seed, build: self.builds, lesson };
        self.send(BUILD, Vec::new(), encode(&job), out);
    }

    /// The finished bound, or `None` when it cannot be drawn from.
    pub fn take(&mut self) -> Option<Probe> {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Ready(probe) => probe,
            other => {
                self.stage = other;
                None
            }
        }
    }

    pub fn tell(&mut self, bytes: &[u8], out: &mut Outbox) -> Result<(), SamplerError> {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Building => {
                let built: Built = decode(bytes, "a new bound")?;
                self.start_training(built, out);
            }
            Stage::Training { region, sets, keys, mut trained } => {
                let one: Trained = decode(bytes, "a trained network")?;
                trained.push((one.network, one.scores));
                if trained.len() < sets.len() * self.n_networks {
                    self.stage = Stage::Training { region, sets, keys, trained };
                } else {
                    out.retire.extend(keys);
                    self.finish_training(region, sets, trained, out);
                }
            }
            Stage::Probing(mut probe) => {
                probe.blocks.push(decode(bytes, "a block of candidates")?);
                self.judge(probe, out);
            }
            Stage::Idle | Stage::Ready(_) => return Err(SamplerError("an answer came that no bound waits for".into())),
        }
        Ok(())
    }

    fn start_training(&mut self, built: Built, out: &mut Outbox) {
        if built.sets.is_empty() {
            return self.start_probing(built.region, out);
        }
        let mut keys = Vec::new();
        for (number, set) in built.sets.iter().enumerate() {
            let key = self.publish(encode(set), out);
            keys.push(key);
            for network in 0..self.n_networks {
                let network = number * self.n_networks + network;
                let warm = self.last.get(network).cloned();
                let job = TrainJob { seed: self.seed, build: self.builds, network: network as u64, warm };
                self.send(TRAIN, vec![key], encode(&job), out);
            }
        }
        self.stage = Stage::Training { region: built.region, sets: built.sets, keys, trained: Vec::new() };
    }

    fn finish_training(&mut self, mut region: Region, sets: Vec<TrainingSet>, trained: Vec<(Network, Vec<f32>)>, out: &mut Outbox) {
        self.last = trained.iter().map(|t| t.0.clone()).collect();
        let mut trained = trained.into_iter();
        for set in sets {
            let own = trained.by_ref().take(self.n_networks).collect();
            region.cells[set.cell].emulator = Some(assemble(set.standard, own, &set.scores));
        }
        self.start_probing(region, out);
    }

    fn start_probing(&mut self, region: Region, out: &mut Outbox) {
        let key = self.publish(encode(&region), out);
        let mut probe = Probe { build: self.builds, key, region: Rc::new(region), blocks: Vec::new(), issued: 0 };
        self.probe(&mut probe, PROBE_TRIES, out);
        self.stage = Stage::Probing(probe);
    }

    fn probe(&mut self, probe: &mut Probe, tries: u32, out: &mut Outbox) {
        for _ in 0..PROBES {
            let needs = std::iter::once(probe.key).chain(self.older.iter().copied()).collect();
            let (build, block) = (probe.build, probe.issued);
            let job = DrawJob { seed: self.seed, build, block, tries, purpose: DrawFor::Exploring };
            self.send(DRAW, needs, encode(&job), out);
            probe.issued += 1;
        }
    }

    /// Enough seen, more to draw, or hopeless.
    fn judge(&mut self, mut probe: Probe, out: &mut Outbox) {
        if (probe.blocks.len() as u64) < probe.issued {
            self.stage = Stage::Probing(probe);
            return;
        }
        let inside: u64 = probe.blocks.iter().map(|b| b.inside).sum();
        let tries: u64 = probe.blocks.iter().map(|b| b.tries).sum();
        if inside >= PROBE_POINTS || (tries >= HOPELESS && inside >= HOPELESS_POINTS) {
            self.stage = Stage::Ready(Some(probe));
        } else if tries < HOPELESS {
            let last = probe.blocks.last().map_or(PROBE_TRIES, |b| b.tries as u32);
            self.probe(&mut probe, (last * 2).min(1 << 18), out);
            self.stage = Stage::Probing(probe);
        } else {
            out.retire.push(probe.key);
            let mut region = (*probe.region).clone();
            if region.cells.iter().all(|cell| cell.emulator.is_none()) {
                self.stage = Stage::Ready(None);
                return;
            }
            region.cells.iter_mut().for_each(|cell| cell.emulator = None);
            // Its blocks must not repeat the streams of the learned version.
            self.builds += 1;
            self.start_probing(region, out);
        }
    }

    pub fn publish(&mut self, bytes: Vec<u8>, out: &mut Outbox) -> u64 {
        self.next_key += 1;
        out.publish.push(Shared { key: self.next_key, bytes });
        self.next_key
    }

    fn send(&mut self, kind: u16, needs: Vec<u64>, input: Vec<u8>, out: &mut Outbox) {
        let id = TaskId { lane: LANE, seq: self.next_seq };
        self.next_seq += 1;
        out.tasks.push(Task { id, work: Work::Compute { kind, needs, input } });
    }
}
