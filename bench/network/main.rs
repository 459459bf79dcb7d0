//! Times training and scoring (`cargo bench --bench network`).
use std::time::Instant;
use fitjob::bound::network::{TrainSettings, train};
use fitjob::random::{Purpose, fill_normal, stream};

fn main() {
    for (d, hidden) in [(3, vec![100, 50, 20]), (10, vec![100, 50, 20]), (10, vec![64, 32]), (10, vec![50, 50])] {
        let n = 3000;
        let mut x = vec![0f64; n * d];
        fill_normal(&mut stream(1, Purpose::Check, 0, 0), &mut x);
        let x: Vec<f32> = x.iter().map(|&v| v as f32).collect();
        let y: Vec<f32> = x.chunks(d).map(|p| 1.0 / (1.0 + p.iter().map(|v| v * v).sum::<f32>())).collect();
        for batch in [64, 128, 256] {
            let settings = TrainSettings { hidden: hidden.clone(), batch, epochs: 20, ..Default::default() };
            let mut best = (f64::MAX, f64::MAX);
            for _ in 0..5 {
                let start = Instant::now();
                let network = train(&x, d, &y, &mut stream(1, Purpose::Training, 0, 0), &settings, None);
                best.0 = best.0.min(start.elapsed().as_secs_f64());
                let mut out = vec![0f32; n];
                let start = Instant::now();
                network.predict(&x, &mut out);
                best.1 = best.1.min(start.elapsed().as_secs_f64());
            }
            println!("d {d} {hidden:?} batch {batch}: {:.1} ms for 20 epochs of {n}, {:.0} ns a point", best.0 * 1e3, best.1 * 1e9 / n as f64);
        }
    }
}
