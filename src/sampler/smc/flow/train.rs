//! Trains a flow: greatest likelihood by Adam (Kingma & Ba 2015), stopped by points kept aside.

use super::element::{Bend, Element};
use super::made::{Made, Trace};
use super::{Flow, Lesson};
use crate::bound::linalg::{moments, robust_cholesky};
use crate::random::{Purpose, stream, uniform};
use crate::sampler::smc::archive::CLANS;

const LAYERS: usize = 4;
const BATCH: usize = 64;
const EPOCHS: usize = 150;
const RATE: f64 = 5e-3;
/// Epochs without a better score on the points kept aside before the rate falls; falls before the end.
const PATIENCE: usize = 8;
const FALLS: usize = 2;
/// Share of the points kept aside, in whole clans: what came of the same draw of the prior is alike.
const ASIDE: f64 = 0.2;

pub fn train(lesson: &Lesson) -> Flow {
    let d = lesson.d;
    let mut rng = stream(lesson.seed, Purpose::SmcFlow, 0, lesson.training);
    let mut flow = fresh(lesson, &mut rng);
    let x: Vec<Vec<f64>> = lesson.z.chunks_exact(d).map(|z| flow.whitened(z)).collect();
    let (aside, taught) = kept_aside(lesson);
    if aside.len() > taught.len() {
        flow.layers.clear();
        return flow;
    }
    let mut adam = Adam::new(&flow);
    let (mut order, mut rate, mut falls, mut waited) = (taught, RATE, 0, 0);
    let normal = score(&flow, &x, &aside);
    let mut best = (normal, flow.layers.clone());
    for _ in 0..EPOCHS {
        for last in (1..order.len()).rev() {
            order.swap(last, (uniform(&mut rng) * (last + 1) as f64) as usize);
        }
        for batch in order.chunks(BATCH) {
            let gradient = gradient(&flow, &x, batch);
            adam.step(&mut flow, &gradient, rate);
        }
        let now = score(&flow, &x, &aside);
        waited += 1;
        if now < best.0 {
            best = (now, flow.layers.clone());
            waited = 0;
        } else if waited > PATIENCE {
            (flow.layers, falls, rate, waited) = (best.1.clone(), falls + 1, rate / 4.0, 0);
            if falls > FALLS {
                break;
            }
        }
    }
    flow.layers = best.1;
    // No epoch was better on the points kept aside than mean and covariance are.
    if best.0 >= normal {
        flow.layers.clear();
    }
    flow
}

/// Points of the clans kept aside, and of the others: first other clans at each training.
fn kept_aside(lesson: &Lesson) -> (Vec<usize>, Vec<usize>) {
    let n = lesson.clan.len();
    let (mut inside, mut clans) = (0, [false; CLANS]);
    for k in 0..CLANS {
        if (inside as f64) < ASIDE * n as f64 {
            let clan = (k + lesson.training as usize * 3) % CLANS;
            clans[clan] = true;
            inside += lesson.clan.iter().filter(|c| usize::from(**c) == clan).count();
        }
    }
    (0..n).partition(|i| clans[usize::from(lesson.clan[*i])])
}

/// Mean and covariance of the points, and layers that change nothing. Never those of the flow before: what it learned by heart would stay.
fn fresh(lesson: &Lesson, rng: &mut rand_chacha::ChaCha8Rng) -> Flow {
    let d = lesson.d;
    let (mean, covariance) = moments(&lesson.z, d, &vec![1.0; lesson.z.len() / d]);
    let element = if lesson.spline { Element::Spline } else { Element::Line };
    let hidden = (2 * d).clamp(24, 64);
    let layers = (0..LAYERS).map(|_| Made::new(d, hidden, element.parameters(), rng)).collect();
    Flow { mean, factor: robust_cholesky(&covariance, d), element, layers }
}

/// Mean of -ln of the flow's density at the points, but for constants.
fn score(flow: &Flow, x: &[Vec<f64>], points: &[usize]) -> f64 {
    let mut paths = vec![Path::default(); flow.layers.len()];
    points.iter().map(|i| walk(flow, &x[*i], &mut paths).1).sum::<f64>() / points.len().max(1) as f64
}

/// What a point meets in a layer.
#[derive(Clone, Default)]
struct Path {
    x: Vec<f64>,
    trace: Trace,
    bends: Vec<Option<Bend>>,
}

/// theta and -ln of the density, and the way there.
fn walk(flow: &Flow, x: &[f64], paths: &mut [Path]) -> (Vec<f64>, f64) {
    let (mut x, mut log_volume) = (x.to_vec(), 0.0);
    for (made, path) in flow.layers.iter().zip(paths) {
        made.forward(&x, &mut path.trace);
        path.x.clone_from(&x);
        path.bends.clear();
        for (x, p) in x.iter_mut().zip(path.trace.out.chunks_exact(made.outputs)) {
            let (y, log, bend) = flow.element.forward_and_bend(*x, p);
            *x = y;
            log_volume += log;
            path.bends.push(bend);
        }
        x.reverse();
    }
    let score = 0.5 * x.iter().map(|x| x * x).sum::<f64>() - log_volume;
    (x, score)
}

/// Slope of the mean score of a batch by all values of all layers.
fn gradient(flow: &Flow, x: &[Vec<f64>], batch: &[usize]) -> Vec<Vec<f64>> {
    let mut gradient: Vec<Vec<f64>> = flow.layers.iter().map(|made| vec![0.0; made.values.len()]).collect();
    let mut paths = vec![Path::default(); flow.layers.len()];
    for i in batch {
        // The slope of the score by theta is theta itself.
        let (mut slope, _) = walk(flow, &x[*i], &mut paths);
        for ((made, path), gradient) in flow.layers.iter().zip(&paths).zip(&mut gradient).rev() {
            slope.reverse();
            let mut by_out = vec![0.0; path.trace.out.len()];
            let each = path.trace.out.chunks_exact(made.outputs).zip(by_out.chunks_exact_mut(made.outputs));
            for (((s, x), bend), (p, by)) in slope.iter_mut().zip(&path.x).zip(&path.bends).zip(each) {
                *s = flow.element.back(*x, p, bend.as_ref(), (*s, -1.0), by);
            }
            made.back(&path.trace, &by_out, gradient, &mut slope);
        }
    }
    gradient.iter_mut().flatten().for_each(|g| *g /= batch.len() as f64);
    gradient
}

/// Adam's moments, with a limit to the gradient's length.
struct Adam {
    masks: Vec<Vec<f64>>,
    mean: Vec<Vec<f64>>,
    square: Vec<Vec<f64>>,
    /// 0.9^t and 0.999^t.
    decay: [f64; 2],
}

impl Adam {
    fn new(flow: &Flow) -> Adam {
        let masks: Vec<Vec<f64>> = flow.layers.iter().map(Made::mask).collect();
        let zeros: Vec<Vec<f64>> = masks.iter().map(|m| vec![0.0; m.len()]).collect();
        Adam { masks, mean: zeros.clone(), square: zeros, decay: [1.0, 1.0] }
    }

    fn step(&mut self, flow: &mut Flow, gradient: &[Vec<f64>], rate: f64) {
        let length = gradient.iter().flatten().map(|g| g * g).sum::<f64>().sqrt();
        if !length.is_finite() {
            return;
        }
        let clip = (5.0 / length).min(1.0);
        self.decay = [self.decay[0] * 0.9, self.decay[1] * 0.999];
        let rate = rate * (1.0 - self.decay[1]).sqrt() / (1.0 - self.decay[0]);
        for (layer, made) in flow.layers.iter_mut().enumerate() {
            let moments = self.mean[layer].iter_mut().zip(&mut self.square[layer]);
            let slopes = gradient[layer].iter().zip(&self.masks[layer]);
            for ((value, (m, v)), (g, mask)) in made.values.iter_mut().zip(moments).zip(slopes) {
                let g = g * mask * clip;
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                *value -= rate * *m / (v.sqrt() + 1e-8);
            }
        }
    }
}
