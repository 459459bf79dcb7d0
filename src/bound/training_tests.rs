//! Tests of network training and prediction.

use rand_chacha::ChaCha8Rng;

use super::*;
use crate::random::{Purpose, fill_normal, stream};

/// Normal points, and the rank of -r^2 scaled to (0, 1).
fn round_problem(n: usize, d: usize, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let mut x = vec![0f64; n * d];
    fill_normal(&mut rng(seed), &mut x);
    let r2: Vec<f64> = x.chunks(d).map(|p| p.iter().map(|v| v * v).sum()).collect();
    let y = r2.iter().map(|r| r2.iter().filter(|other| *other > r).count() as f32 / n as f32).collect();
    (x.iter().map(|&v| v as f32).collect(), y)
}

fn rng(seq: u64) -> ChaCha8Rng {
    stream(7, Purpose::Training, 0, seq)
}

fn settings(hidden: &[usize]) -> TrainSettings {
    TrainSettings { hidden: hidden.to_vec(), ..TrainSettings::default() }
}

#[test]
fn every_kind_of_cpu_gives_the_same_bits() {
    for (d, hidden) in [(1, vec![5]), (3, vec![20, 9]), (10, vec![50, 33, 20])] {
        let (x, y) = round_problem(333, d, 1);
        let settings = TrainSettings { steps: 15, ..settings(&hidden) };
        let runs: Vec<(Network, Vec<f32>)> = Cpu::usable()
            .iter()
            .map(|&cpu| {
                let network = train_on(cpu, &x, d, &y, &mut rng(2), &settings, None);
                let mut out = vec![0f32; y.len()];
                network.predict_on(cpu, &x, &mut out);
                (network, out)
            })
            .collect();
        for run in &runs {
            assert_eq!(
                run.0.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(),
                runs[0].0.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
            );
            assert_eq!(run.1.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), runs[0].1.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_score_does_not_depend_on_the_points_beside_it() {
    let (x, y) = round_problem(301, 5, 3);
    let network = train(&x, 5, &y, &mut rng(4), &TrainSettings { steps: 10, ..settings(&[24, 10]) }, None);
    let mut whole = vec![0f32; y.len()];
    network.predict(&x, &mut whole);
    for size in [1, 2, 7, 64, 100] {
        let mut parts = vec![0f32; y.len()];
        for (x, out) in x.chunks(size * 5).zip(parts.chunks_mut(size)) {
            network.predict(x, out);
        }
        assert_eq!(parts, whole, "in blocks of {size}");
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    let (x, y) = round_problem(40, 3, 5);
    let batch: Vec<u32> = (0..40).collect();
    let network = Network::random(3, &[10, 17, 5], &mut rng(6));
    let mut trainer = Trainer::new(network.clone(), 40);
    let mut features = vec![0f32; 40 * n_features(3)];
    featurise(&x, 3, &mut features);
    step(Cpu::best(), &mut trainer, &features, &y, &batch, 0.0);
    let loss = |at: usize, shift: f32| {
        let mut moved = network.clone();
        moved.values[at] += shift;
        let mut out = vec![0f32; 40];
        moved.predict(&x, &mut out);
        out.iter().zip(&y).map(|(p, y)| f64::from(p - y).powi(2)).sum::<f64>() / 80.0
    };
    // f32 and the kinks of ReLU leave a few that differ in the third digit.
    let close = (0..network.values.len()).filter(|&at| {
        let slope = (loss(at, 1e-3) - loss(at, -1e-3)) / 2e-3;
        let got = f64::from(trainer.gradient[at]);
        let padding = network.values[at] == 0.0 && got == 0.0;
        let miss = (got - slope).abs();
        assert!(padding || miss < 1e-2, "{at}: {got} against {slope}");
        padding || miss < 1e-3
    });
    assert!(close.count() > network.values.len() * 95 / 100);
}

#[test]
fn padding_stays_zero() {
    let (x, y) = round_problem(100, 2, 7);
    let network = train(&x, 2, &y, &mut rng(8), &TrainSettings { steps: 10, ..settings(&[5, 3]) }, None);
    let (layers, last) = layout(&network.widths);
    for layer in &layers {
        for row in network.values[layer.weights.start..layer.biases.end].chunks(LANES) {
            assert!(row[layer.units..].iter().all(|&v| v == 0.0));
        }
    }
    assert!(network.values[last + 3..last + LANES].iter().all(|&v| v == 0.0));
}

#[test]
fn it_learns_a_round_region() {
    let (x, y) = round_problem(3000, 3, 9);
    let network = train(&x, 3, &y, &mut rng(10), &TrainSettings::default(), None);
    let (x, y) = round_problem(3000, 3, 11);
    let mut out = vec![0f32; y.len()];
    network.predict(&x, &mut out);
    let miss = out.iter().zip(&y).map(|(p, y)| (p - y).abs()).sum::<f32>() / y.len() as f32;
    assert!(miss < 0.02, "mean error of the rank {miss}");
}

#[test]
fn a_warm_start_begins_where_the_last_network_stopped() {
    let (x, y) = round_problem(500, 2, 12);
    let first = train(&x, 2, &y, &mut rng(13), &settings(&[16]), None);
    let none = TrainSettings { steps: 0, ..settings(&[16]) };
    assert_eq!(train(&x, 2, &y, &mut rng(14), &none, Some(&first)), first);
    let other_shape = TrainSettings { steps: 0, ..settings(&[8]) };
    assert_ne!(train(&x, 2, &y, &mut rng(14), &other_shape, Some(&first)).widths, first.widths);
}

#[test]
fn few_points_and_equal_scores_give_finite_networks() {
    for n in [1, 2, 70] {
        let (x, _) = round_problem(n, 2, 15);
        let network = train(&x, 2, &vec![0.5; n], &mut rng(16), &settings(&[16, 8]), None);
        let mut out = vec![0f32; n];
        network.predict(&x, &mut out);
        assert!(out.iter().all(|p| (p - 0.5).abs() < 0.05), "{n} points: {out:?}");
    }
}

#[test]
fn a_network_comes_back_from_the_wire_as_it_was() {
    let (x, y) = round_problem(50, 4, 17);
    let network = train(&x, 4, &y, &mut rng(18), &TrainSettings { steps: 9, ..settings(&[7]) }, None);
    let bytes = postcard::to_stdvec(&network).expect("bytes");
    assert_eq!(postcard::from_bytes::<Network>(&bytes).expect("a network"), network);
}
