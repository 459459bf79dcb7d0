//! Flows: they are undone exactly, their volumes are right, and they learn bent and divided targets.

use super::*;
use crate::random::{Purpose, fill_normal, stream};

/// Points on a bent ridge, or in two humps.
fn lesson(spline: bool, two: bool) -> Lesson {
    let mut rng = stream(5, Purpose::Decisions, 0, 0);
    let (mut z, mut clan) = (Vec::new(), Vec::new());
    for k in 0..1024 {
        let mut n = [0.0; 2];
        fill_normal(&mut rng, &mut n);
        let hump = if k % 16 < 8 { 1.5 } else { -1.5 };
        clan.push((k / 64) as u8);
        z.extend(if two { [hump + 0.3 * n[0], 0.5 * n[1]] } else { [n[0], n[0] * n[0] + 0.1 * n[1]] });
    }
    Lesson { seed: 1, training: 0, d: 2, z, clan, spline }
}

/// Mean of ln q over points.
fn mean_log_density(flow: &Flow, z: &[f64]) -> f64 {
    let one = |z: &[f64]| {
        let (theta, log_volume) = flow.forward(z);
        log_volume - theta.iter().map(|t| 0.5 * t * t + 0.918_938_533_204_672_7).sum::<f64>()
    };
    z.chunks_exact(2).map(one).sum::<f64>() / (z.len() / 2) as f64
}

#[test]
fn a_trained_flow_is_undone_exactly_and_its_volume_is_that_of_differences() {
    for spline in [false, true] {
        let lesson = lesson(spline, false);
        let flow = train::train(&lesson);
        for z in lesson.z.chunks_exact(2).take(50) {
            let (theta, log_volume) = flow.forward(z);
            let (back, minus) = flow.inverse(&theta);
            assert!((back[0] - z[0]).abs() < 1e-8 && (back[1] - z[1]).abs() < 1e-8, "{z:?} {back:?}");
            assert!((log_volume + minus).abs() < 1e-6);
            let step = 1e-6;
            let column = |j: usize| {
                let moved = |by: f64| {
                    let mut z = z.to_vec();
                    z[j] += by;
                    flow.forward(&z).0
                };
                let (a, b) = (moved(step), moved(-step));
                [(a[0] - b[0]) / (2.0 * step), (a[1] - b[1]) / (2.0 * step)]
            };
            let (a, b) = (column(0), column(1));
            let det = (a[0] * b[1] - a[1] * b[0]).abs();
            assert!((det.ln() - log_volume).abs() < 1e-3, "{} {log_volume}", det.ln());
        }
    }
}

#[test]
fn flows_learn_a_bent_ridge_and_splines_two_humps() {
    // Entropy of the ridge: 2 (1/2 ln 2 pi e) + ln 0.1 = 0.535; a normal law has 2.84 + ln sqrt(2.01) = 3.2.
    for spline in [false, true] {
        let lesson = lesson(spline, false);
        let log_density = mean_log_density(&train::train(&lesson), &lesson.z);
        assert!(log_density > -0.9 && log_density < -0.3, "{log_density}");
    }
    // Two humps: ln 2 + 2.838 + ln 0.15 = 1.634; one normal law: 2.838 + ln (1.53 x 0.5) = 2.57.
    let lesson = lesson(true, true);
    let log_density = mean_log_density(&train::train(&lesson), &lesson.z);
    assert!(log_density > -2.0 && log_density < -1.5, "{log_density}");
}

#[test]
fn the_same_lesson_gives_the_same_bits() {
    assert_eq!(train::train(&lesson(false, false)), train::train(&lesson(false, false)));
}
