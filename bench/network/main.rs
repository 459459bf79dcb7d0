//! Cost and quality of the learned bound on recorded training sets: `cargo bench --bench network -- DIR CONFIG...`.
//!
//! DIR holds the sets of record.py. A CONFIG is `hidden=64,32;batch=128;epochs=20;rate=0.01;hold=0.25;nets=4;shape=plain`;
//! what it leaves out keeps its default. Without arguments: time on random points only. See README.md.

mod sets;


use fitjob::bound::network::{Network, TrainSettings, train};
use fitjob::random::{Purpose, fill_normal, stream};
use sets::{Set, quality};

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

/// A table row a problem and one for all of them.
fn compare(sets: &[Set], config: &str) {
    let (settings, nets, warm) = parse(config);
    let augmented: Vec<Set> = sets.iter().map(|s| augment(s, config)).collect();
    let sets = &augmented[..];
    let mut table: Vec<(String, [f64; 8])> = vec![];
    let mut last: Option<(String, Vec<Network>)> = None;
    for set in sets {
        let key = format!("{}/{}", set.problem, set.mode);
        let from = last.take().filter(|(k, _)| warm && *k == key).map(|(_, networks)| networks);
        let start = cpu_seconds();
        let networks: Vec<Network> = (0..nets)
            .map(|k| train(&set.x, set.d, &set.y, &mut stream(1, Purpose::Training, set.bound, k as u64), &settings, from.as_ref().map(|f| &f[k])))
            .collect();
        let seconds = (cpu_seconds() - start);
        let start = cpu_seconds();
        let held = predict(&networks, &set.held_x);
        let each = (cpu_seconds() - start) * 1e9 / (held.len() * nets) as f64;
        let q = quality(set, &predict(&networks, &set.x), &held);
        let row = [1.0, q.precision, q.recall, q.even, seconds * 1e3 / nets as f64, each, set.reference[0], set.reference[1]];
        match table.iter_mut().find(|(name, _)| *name == set.problem) {
            Some((_, sum)) => sum.iter_mut().zip(row).for_each(|(a, b)| *a += b),
            None => table.push((set.problem.clone(), row)),
        }
        last = Some((key, networks));
    }
    println!("{config}");
    let mean: Vec<[f64; 8]> = table.iter().map(|(_, sum)| sum.map(|v| v / sum[0])).collect();
    for ((name, sum), m) in table.iter().zip(&mean) {
        print_row(name, sum[0], m);
    }
    let all: [f64; 8] = std::array::from_fn(|i| mean.iter().map(|m| m[i]).sum::<f64>() / mean.len() as f64);
    print_row("mean", sets.len() as f64, &all);
}

fn print_row(name: &str, sets: f64, m: &[f64; 8]) {
    let [_, precision, recall, even, ms, ns, p, r] = m;
    println!("  {name:12} {sets:3} precision {precision:.4} recall {recall:.4} even {even:.4}  train {ms:6.1} ms  score {ns:5.0} ns  (nautilus {p:.4} {r:.4})");
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
            "feat" => {}
            "warm" => warm = value == "1",
            _ => panic!("unknown key {key} in {config}"),
        }
    }
    (settings, nets, warm)
}

fn time_only() {
    for (d, hidden) in [(3, vec![100, 50, 20]), (10, vec![100, 50, 20]), (10, vec![64, 32]), (10, vec![50, 50])] {
        let mut x = vec![0f64; 3000 * d];
        fill_normal(&mut stream(1, Purpose::Check, 0, 0), &mut x);
        let x: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        let y: Vec<f32> = x.chunks(d).map(|p| 1.0 / (1.0 + p.iter().map(|v| v * v).sum::<f32>())).collect();
        let settings = TrainSettings { hidden: hidden.clone(), ..Default::default() };
        let (mut training, mut scoring) = (f64::MAX, f64::MAX);
        for _ in 0..5 {
            let start = cpu_seconds();
            let network = train(&x, d, &y, &mut stream(1, Purpose::Training, 0, 0), &settings, None);
            training = training.min((cpu_seconds() - start));
            let mut out = vec![0f32; 1024];
            let start = cpu_seconds();
            network.predict(&x[..1024 * d], &mut out);
            scoring = scoring.min((cpu_seconds() - start));
        }
        println!("d {d} {hidden:?} batch {}: {:.1} ms to train, {:.0} ns a point", settings.batch, training * 1e3, scoring * 1e9 / 1024.0);
    }
}

fn augment(set: &Set, config: &str) -> Set {
    let kind = config.split(';').find_map(|p| p.strip_prefix("feat=")).unwrap_or("none");
    let d = set.d;
    let quad = |p: &[f32]| -> Vec<f64> {
        let mut f = vec![1.0];
        f.extend(p.iter().map(|&v| f64::from(v)));
        for i in 0..d { for j in 0..=i { f.push(f64::from(p[i]) * f64::from(p[j])); } }
        f
    };
    let cubic = |p: &[f32]| -> Vec<f64> {
        let mut f = quad(p);
        for i in 0..d { for j in 0..=i { for k in 0..=j { f.push(f64::from(p[i]) * f64::from(p[j]) * f64::from(p[k])); } } }
        f
    };
    let mut fits: Vec<Box<dyn Fn(&[f32]) -> f64>> = vec![];
    let solve = |f: &dyn Fn(&[f32]) -> Vec<f64>| {
        let k = f(&set.x[..d]).len();
        let rows: Vec<f64> = set.x.chunks(d).flat_map(|p| f(p)).collect();
        let a = nalgebra::DMatrix::from_row_slice(set.y.len(), k, &rows);
        let y = nalgebra::DVector::from_iterator(set.y.len(), set.y.iter().map(|&v| f64::from(v) - 0.5));
        let mut m = a.transpose() * &a;
        for i in 0..k { m[(i, i)] += 1e-3 * set.y.len() as f64; }
        m.cholesky().expect("spd").solve(&(a.transpose() * y))
    };
    let square: Vec<f32>;
    let widen = |x: &[f32], fits: &[Box<dyn Fn(&[f32]) -> f64>], sq: bool| -> Vec<f32> {
        x.chunks(d).flat_map(|p| {
            let mut f = p.to_vec();
            if sq { f.extend(p.iter().map(|v| (v * v - 1.0) * 0.7)); }
            if kind.contains("prod") { for i in 0..d { for j in 0..i { f.push(p[i] * p[j]); } } }
            if kind.contains("cube") { f.extend(p.iter().map(|v| v * (v * v - 3.0) * 0.4)); }
            if kind.contains("rad") { f.push((p.iter().map(|v| v * v).sum::<f32>() - d as f32) / (2.0 * d as f32).sqrt()); }
            for g in fits { f.push((g(p) * 4.0) as f32); }
            f
        }).collect()
    };
    let _ = &mut fits;
    match kind {
        "none" => {}
        "square" | "squareprod" | "squarerad" | "squarecube" => {}
        "quad" | "squarequad" => { let c = solve(&quad); fits.push(Box::new(move |p| quad(p).iter().zip(c.iter()).map(|(a, b)| a * b).sum())); }
        "cubic" => { let c = solve(&cubic); fits.push(Box::new(move |p| cubic(p).iter().zip(c.iter()).map(|(a, b)| a * b).sum())); }
        _ => panic!("feat {kind}"),
    }
    let sq = kind.starts_with("square");
    square = widen(&set.x, &fits, sq);
    let held = widen(&set.held_x, &fits, sq);
    Set { problem: set.problem.clone(), bound: set.bound, mode: set.mode, d: square.len() / set.y.len(), x: square, y: set.y.clone(), held_x: held, held_above: set.held_above.clone(), reference: set.reference }
}

/// Seconds this process has been on a core: other work runs on the machine.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) }, 0);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
