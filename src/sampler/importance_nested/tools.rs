//! The engine's computations, done on any rank: enclose, train, draw.

use std::collections::HashMap;
use std::rc::Rc;

use super::wire::{BUILD, Block, BuildJob, Built, DRAW, DrawFor, DrawJob, TRAIN, TrainJob, Trained, decode, encode};
use crate::bound::network::{TrainSettings, train};
use crate::bound::region::{Region, TrainingSet};
use crate::random::{Purpose, stream};
use crate::task::{EvalError, Shared, Toolbox};

/// Steps and rate of a network that starts from the last bound's: a quarter of a cold start's, and the bounds are better,
/// for in whitened coordinates one bound looks much like the next.
const WARM: (usize, f32) = (800, 0.01);

/// Keeps the regions it decoded: every block of a bound reads the same ones.
#[derive(Default)]
pub struct Tools {
    regions: HashMap<u64, (Vec<u8>, Rc<Region>)>,
}

impl Toolbox for Tools {
    fn compute(&mut self, kind: u16, shared: &[&Shared], input: &[u8]) -> Result<Vec<u8>, EvalError> {
        match kind {
            BUILD => Ok(encode(&build(&decode(input, "a bound to build")?))),
            TRAIN => {
                let set = shared.first().ok_or_else(|| EvalError::Fatal("a training task came without its points".into()))?;
                Ok(encode(&train_one(&decode(&set.bytes, "a training set")?, &decode(input, "a network to train")?)))
            }
            DRAW => {
                let regions = shared.iter().map(|s| self.region(s)).collect::<Result<Vec<_>, EvalError>>()?;
                Ok(encode(&draw(&regions, &decode(input, "a block to draw")?)))
            }
            other => Err(EvalError::Fatal(format!("computation {other} is unknown here: all ranks must run the same build"))),
        }
    }
}

impl Tools {
    fn region(&mut self, shared: &Shared) -> Result<Rc<Region>, EvalError> {
        if let Some((bytes, region)) = self.regions.get(&shared.key)
            && *bytes == shared.bytes
        {
            return Ok(region.clone());
        }
        let region: Rc<Region> = Rc::new(decode(&shared.bytes, "a bound")?);
        self.regions.insert(shared.key, (shared.bytes.clone(), region.clone()));
        Ok(region)
    }
}

fn build(job: &BuildJob) -> Built {
    let mut rng = stream(job.seed, Purpose::Decisions, job.build, 0);
    let (region, sets) = Region::draft(&job.lesson, &mut rng);
    Built { region, sets }
}

fn train_one(set: &TrainingSet, job: &TrainJob) -> Trained {
    let mut rng = stream(job.seed, Purpose::Training, job.build, job.network);
    let d = set.x.len() / set.scores.len();
    let mut settings = TrainSettings::default();
    if job.warm.is_some() {
        (settings.steps, settings.rate) = WARM;
    }
    let network = train(&set.x, d, &set.scores, &mut rng, &settings, job.warm.as_ref());
    let mut scores = vec![0f32; set.scores.len()];
    network.predict(&set.x, &mut scores);
    Trained { network, scores }
}

fn draw(regions: &[Rc<Region>], job: &DrawJob) -> Block {
    let Some((own, others)) = regions.split_first() else { return Block::default() };
    let mut rng = stream(job.seed, Purpose::Candidates, job.build, job.block);
    let u = own.draw(&mut rng, job.tries as usize);
    let (tries, inside) = (u64::from(job.tries), (u.len() / own.n_dim) as u64);
    let holder = newest_holding(others, &u, own.n_dim);
    match job.purpose {
        DrawFor::Exploring => Block { tries, inside, u, older: holder.into_iter().map(|h| h.unwrap_or(u32::MAX)).collect() },
        DrawFor::Sampling => {
            let kept = u.chunks_exact(own.n_dim).zip(&holder).filter(|(_, h)| h.is_none());
            let u = kept.flat_map(|(p, _)| p.iter().copied()).collect();
            Block { tries, inside, u, older: Vec::new() }
        }
    }
}

/// For each point, the first of the regions that holds it.
pub fn newest_holding(regions: &[Rc<Region>], u: &[f64], d: usize) -> Vec<Option<u32>> {
    let mut holder = vec![None; u.len() / d];
    let mut open: Vec<usize> = (0..holder.len()).collect();
    for (number, region) in regions.iter().enumerate() {
        if open.is_empty() {
            break;
        }
        let points: Vec<f64> = open.iter().flat_map(|at| u[at * d..(at + 1) * d].iter().copied()).collect();
        let mut inside = vec![false; open.len()];
        region.contains(&points, &mut inside);
        open.iter().zip(&inside).filter(|(_, i)| **i).for_each(|(at, _)| holder[*at] = Some(number as u32));
        open.retain(|at| holder[*at].is_none());
    }
    holder
}
