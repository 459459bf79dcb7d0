//! Recorded training sets (record.py) and what a score is worth on their held-out points.

use serde_json::Value;

/// One neural bound of a real run.
pub struct Set {
    pub problem: String,
    pub bound: u64,
    pub mode: u64,
    pub d: usize,
    pub x: Vec<f32>,
    pub y: Vec<f32>,
    pub held_x: Vec<f32>,
    pub held_above: Vec<bool>,
    /// Precision and recall of nautilus's ensemble of four.
    pub reference: [f64; 2],
}

/// All sets in a folder, by problem, mode and bound.
pub fn read_all(folder: &str) -> Vec<Set> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("cannot read {folder}: {e}"));
    let paths = files.map(|f| f.expect("a folder entry").path()).filter(|p| p.extension().is_some_and(|e| e == "set"));
    let mut sets: Vec<Set> = paths.map(|p| read(&std::fs::read(&p).expect("a set"))).collect();
    sets.sort_by_key(|s| (s.problem.clone(), s.mode, s.bound));
    sets
}

fn read(bytes: &[u8]) -> Set {
    let end = bytes.iter().position(|&b| b == b'\n').expect("a header");
    let head: Value = serde_json::from_slice(&bytes[..end]).expect("JSON");
    let size = |key: &str| head[key].as_u64().expect("a number") as usize;
    let (d, n, m) = (size("d"), size("n"), size("m"));
    let all: Vec<f32> = bytes[end + 1..].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let (x, rest) = all.split_at(n * d);
    let (y, rest) = rest.split_at(n);
    let (held_x, rest) = rest.split_at(m * d);
    let reference = &head["reference"]["4"];
    Set {
        problem: head["problem"].as_str().expect("a name").into(),
        bound: size("bound") as u64,
        mode: size("mode") as u64,
        d,
        x: x.into(),
        y: y.into(),
        held_x: held_x.into(),
        held_above: rest[..m].iter().map(|&v| v > 0.5).collect(),
        reference: [reference["precision"].as_f64().unwrap_or(0.0), reference["recall"].as_f64().unwrap_or(0.0)],
    }
}

/// What a score is worth as a bound.
#[derive(Clone, Copy, Default)]
pub struct Quality {
    /// Part of the accepted points that are above the threshold: useful calls.
    pub precision: f64,
    /// Part of the points above the threshold that are accepted.
    pub recall: f64,
    /// Precision where it equals recall, whatever the threshold: the score alone.
    pub even: f64,
    /// Precision and recall when as many training points are accepted as there are above the threshold.
    pub count: [f64; 2],
    /// Precision and recall when 98% of the training points above the threshold are accepted.
    pub keep: [f64; 2],
}

/// `precision` and `recall` accept at nautilus's threshold: the cubic fit of score to target at the lowest target above
/// one half.
pub fn quality(set: &Set, trained: &[f32], held: &[f32]) -> Quality {
    let lowest = set.y.iter().copied().filter(|&y| y > 0.5).fold(1.0, f32::min);
    let [precision, recall] = accepted(set, held, (cubic(&set.y, trained, f64::from(lowest)) - 1e-9) as f32);
    let above = set.held_above.iter().filter(|&&v| v).count();
    let even = accepted(set, held, ranked(held.to_vec(), above))[0];
    let wanted = set.y.iter().filter(|&&y| y > 0.5).count();
    let best: Vec<f32> = trained.iter().zip(&set.y).filter(|(_, y)| **y > 0.5).map(|(s, _)| *s).collect();
    Quality {
        precision,
        recall,
        even,
        count: accepted(set, held, ranked(trained.to_vec(), wanted)),
        keep: accepted(set, held, ranked(best, wanted * 98 / 100)),
    }
}

/// The score that `count` of `scores` exceed.
fn ranked(mut scores: Vec<f32>, count: usize) -> f32 {
    scores.sort_by(|a, b| b.total_cmp(a));
    scores.get(count).copied().unwrap_or(f32::NEG_INFINITY)
}

/// Precision and recall when held-out points above `threshold` are accepted.
fn accepted(set: &Set, held: &[f32], threshold: f32) -> [f64; 2] {
    let above = set.held_above.iter().filter(|&&v| v).count();
    let chosen = held.iter().filter(|&&s| s > threshold).count();
    let hit = held.iter().zip(&set.held_above).filter(|&(&s, &a)| a && s > threshold).count();
    [hit as f64 / chosen.max(1) as f64, hit as f64 / above.max(1) as f64]
}

/// Value at `at` of the least-squares cubic through (x, y).
fn cubic(x: &[f32], y: &[f32], at: f64) -> f64 {
    let mut normal = nalgebra::Matrix4::<f64>::zeros();
    let mut right = nalgebra::Vector4::<f64>::zeros();
    let powers = |x: f64| nalgebra::Vector4::new(1.0, x, x * x, x * x * x);
    for (&x, &y) in x.iter().zip(y) {
        let p = powers(f64::from(x) - 0.5);
        normal += p * p.transpose();
        right += p * f64::from(y);
    }
    let fit = normal.lu().solve(&right).expect("scores that differ");
    fit.dot(&powers(at - 0.5))
}
