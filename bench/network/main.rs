//! Cost and quality of the learned bound on recorded training sets: `cargo bench --bench network -- DIR CONFIG...`.
//!
//! DIR holds the sets of record.py. A CONFIG is `hidden=64,32;batch=128;epochs=20;rate=0.01;hold=0.25;nets=4;shape=plain`;
//! what it leaves out keeps its default. Without arguments: time on random points only. See README.md.

mod sets;

use fitjob::bound::network::{Network, TrainSettings, train};
use fitjob::random::{Purpose, fill_normal, stream};
use sets::{Quality, Set, quality};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    match arguments.next() {
        None => time_only(),
        Some(folder) => {
            let sets = sets::read_all(&folder);
            for config in arguments {
                compare(&sets, &config);
            }
        }
    }
}

/// One row of the table: means over sets.
#[derive(Clone, Copy, Default)]
struct Row {
    sets: f64,
    quality: Quality,
    /// Worst of the sets: accepted wrongly, and missed.
    worst: [f64; 2],
    nautilus: [f64; 2],
    /// CPU milliseconds to train a network, nanoseconds to score a point by one.
    cost: [f64; 2],
}

impl Row {
    fn add(&mut self, other: &Row) {
        self.sets += other.sets;
        let mut other = *other;
        for (a, b) in self.numbers().into_iter().zip(other.numbers()) {
            *a += *b;
        }
        for (a, b) in self.worst.iter_mut().zip(other.worst) {
            *a = a.max(b);
        }
    }

    fn numbers(&mut self) -> [&mut f64; 11] {
        let Row { quality: Quality { precision, recall, even, count, keep }, nautilus, cost, .. } = self;
        let ([n0, n1], [c0, c1], [q0, q1], [k0, k1]) = (nautilus, cost, count, keep);
        [precision, recall, even, q0, q1, k0, k1, n0, n1, c0, c1]
    }

    fn print(mut self, name: &str, parts: f64) {
        self.numbers().into_iter().for_each(|v| *v /= parts);
        let Quality { precision, recall, even, count, keep } = self.quality;
        println!(
            "  {name:11}{:4} cubic {precision:.3} {recall:.3} worst {:.2} {:.2} even {even:.3} count {:.3} {:.3} keep {:.3} {:.3} nautilus {:.3} {:.3} train {:5.1} ms score {:4.0} ns",
            self.sets,
            1.0 - self.worst[0],
            1.0 - self.worst[1],
            count[0],
            count[1],
            keep[0],
            keep[1],
            self.nautilus[0],
            self.nautilus[1],
            self.cost[0],
            self.cost[1]
        );
    }
}

/// A table row a problem and one for all of them (the mean of the problems).
fn compare(sets: &[Set], config: &str) {
    let (settings, nets, warm) = parse(config);
    let mut table: Vec<(&str, Row)> = vec![];
    let mut last: Option<(String, Vec<Network>)> = None;
    for set in sets {
        let key = format!("{}/{}", set.problem, set.mode);
        let from = last.take().filter(|(k, _)| warm && *k == key).map(|(_, networks)| networks);
        let (row, networks) = row(set, &settings, nets, from.as_deref());
        match table.iter_mut().find(|(name, _)| *name == set.problem) {
            Some((_, sum)) => sum.add(&row),
            None => table.push((&set.problem, row)),
        }
        last = Some((key, networks));
    }
    println!("{config}");
    let mut all = Row::default();
    for (name, sum) in &table {
        sum.print(name, sum.sets);
        let mut mean = *sum;
        mean.numbers().into_iter().for_each(|v| *v /= sum.sets);
        all.add(&mean);
    }
    all.print("mean", table.len() as f64);
}

fn row(set: &Set, settings: &TrainSettings, nets: usize, warm: Option<&[Network]>) -> (Row, Vec<Network>) {
    let start = cpu_seconds();
    let one = |k: usize| {
        let mut rng = stream(1, Purpose::Training, set.bound, k as u64);
        train(&set.x, set.d, &set.y, &mut rng, settings, warm.map(|w| &w[k]))
    };
    let networks: Vec<Network> = (0..nets).map(one).collect();
    let training = (cpu_seconds() - start) * 1e3 / nets as f64;
    let start = cpu_seconds();
    let held = predict(&networks, &set.held_x);
    let scoring = (cpu_seconds() - start) * 1e9 / (held.len() * nets) as f64;
    let quality = quality(set, &predict(&networks, &set.x), &held);
    let worst = [1.0 - quality.precision, 1.0 - quality.recall];
    (Row { sets: 1.0, quality, worst, nautilus: set.reference, cost: [training, scoring] }, networks)
}

fn predict(networks: &[Network], x: &[f32]) -> Vec<f32> {
    let n = x.len() / networks[0].d();
    let (mut one, mut sum) = (vec![0f32; n], vec![0f32; n]);
    for network in networks {
        network.predict(x, &mut one);
        sum.iter_mut().zip(&one).for_each(|(a, b)| *a += b / networks.len() as f32);
    }
    sum
}

fn parse(config: &str) -> (TrainSettings, usize, bool) {
    let (mut settings, mut nets, mut warm) = (TrainSettings::default(), 1, false);
    for (key, value) in config.split(';').filter_map(|part| part.split_once('=')) {
        match key {
            "hidden" => settings.hidden = value.split(',').map(|v| v.parse().expect("width")).collect(),
            "batch" => settings.batch = value.parse().expect("batch"),
            "steps" => settings.steps = value.parse().expect("steps"),
            "rate" => settings.rate = value.parse().expect("rate"),
            "hold" => settings.hold = value.parse().expect("hold"),
            "nets" => nets = value.parse().expect("nets"),
            "warm" => warm = value == "1",
            _ => panic!("unknown key {key} in {config}"),
        }
    }
    (settings, nets, warm)
}

fn time_only() {
    let settings = TrainSettings::default();
    println!("{settings:?}");
    for d in [2, 3, 10, 20, 50] {
        let mut x = vec![0f64; 4000 * d];
        fill_normal(&mut stream(1, Purpose::Check, 0, 0), &mut x);
        let x: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        let y: Vec<f32> = x.chunks(d).map(|p| 1.0 / (1.0 + p.iter().map(|v| v * v).sum::<f32>())).collect();
        let (mut training, mut scoring) = (f64::MAX, f64::MAX);
        for _ in 0..5 {
            let start = cpu_seconds();
            let network = train(&x, d, &y, &mut stream(1, Purpose::Training, 0, 0), &settings, None);
            training = training.min(cpu_seconds() - start);
            let mut out = vec![0f32; 1024];
            let start = cpu_seconds();
            network.predict(&x[..1024 * d], &mut out);
            scoring = scoring.min(cpu_seconds() - start);
        }
        println!("d {d}: {:.1} ms to train, {:.0} ns a point", training * 1e3, scoring * 1e9 / 1024.0);
    }
}

/// Seconds this process has been on a core: other work runs on the machine.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
