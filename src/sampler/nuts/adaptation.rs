//! Warm-up: when the metric is learned from which draws. Two plans: Stan's windows, and one that learns from gradients too.

use super::estimate::Sample;
use super::metric::Metric;
use super::settings::{Adaptation, Settings, Shape};
use serde::{Deserialize, Serialize};

/// Stan's: fast at first (step size only), slow windows that double, fast at last.
const FIRST: usize = 75;
const WINDOW: usize = 25;
const LAST: usize = 50;
/// With gradients: of the warm-up, the share in which windows are short, and the share at its end that leaves the metric alone.
const EARLY: f64 = 0.3;
const SETTLE: f64 = 0.15;
const SHORT: usize = 10;
const LONG: usize = 80;
/// Transitions from one metric with directions to the next, and no fewer than coordinates: it takes d^3 operations.
const MATRIX_EVERY: usize = 10;

/// What the end of a transition brings.
#[derive(Debug)]
pub enum Lesson {
    /// Go on.
    Nothing,
    /// A metric a little better than the last.
    Metric(Metric),
    /// Another metric: find the step size anew.
    Fresh(Option<Metric>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Warmup {
    by: Adaptation,
    shape: Shape,
    length: usize,
    /// Transitions made.
    done: usize,
    d: usize,
    /// Draws that count and, from `newer` on, those that will replace them; with their gradients.
    #[serde(with = "crate::bulk::reals")]
    x: Vec<f64>,
    #[serde(with = "crate::bulk::reals")]
    gradient: Vec<f64>,
    newer: usize,
}

impl Warmup {
    pub fn new(settings: &Settings, d: usize) -> Warmup {
        let (by, shape) = (settings.adaptation, settings.metric);
        Warmup { by, shape, length: settings.warmup(), done: 0, d, x: Vec::new(), gradient: Vec::new(), newer: 0 }
    }

    pub fn is_over(&self) -> bool {
        self.done == self.length
    }

    pub fn fraction(&self) -> f64 {
        self.done as f64 / self.length.max(1) as f64
    }

    fn early(&self) -> usize {
        (EARLY * self.length as f64) as usize
    }

    /// The early part is over, with this transition.
    pub fn ends_early(&self) -> bool {
        self.done > 0 && self.done == self.early()
    }

    /// After a transition to `x`.
    pub fn learn(&mut self, x: &[f64], gradient: &[f64], diverging: bool) -> Lesson {
        self.done += 1;
        match self.by {
            Adaptation::Windows => self.learn_in_windows(x, gradient),
            Adaptation::Gradients => self.learn_by_gradients(x, gradient, diverging),
        }
    }

    fn learn_in_windows(&mut self, x: &[f64], gradient: &[f64]) -> Lesson {
        let Some((first, last)) = windows(self.length) else { return Lesson::Nothing };
        if self.done <= first || self.done > self.length - last {
            return Lesson::Nothing;
        }
        self.keep(x, gradient);
        if !ends_window(self.done - first, self.length - last - first) {
            return Lesson::Nothing;
        }
        let metric = self.metric();
        (self.x, self.gradient) = (Vec::new(), Vec::new());
        Lesson::Fresh(metric)
    }

    fn learn_by_gradients(&mut self, x: &[f64], gradient: &[f64], diverging: bool) -> Lesson {
        let settles = self.length - (SETTLE * self.length as f64) as usize;
        if self.done > settles {
            return Lesson::Nothing;
        }
        let long = if self.done < self.early() { SHORT } else { LONG };
        if !diverging {
            self.keep(x, gradient);
        }
        let replaces = self.x.len() / self.d - self.newer >= long;
        if replaces {
            self.x.drain(..self.newer * self.d);
            self.gradient.drain(..self.newer * self.d);
            self.newer = self.x.len() / self.d;
        }
        let due = self.shape == Shape::Diagonal || self.done.is_multiple_of(MATRIX_EVERY.max(self.d)) || self.done == settles;
        let metric = if due { self.metric() } else { None };
        match (metric, self.done == settles) {
            (metric, true) => Lesson::Fresh(metric),
            (Some(metric), false) => Lesson::Metric(metric),
            (None, false) => Lesson::Nothing,
        }
    }

    fn keep(&mut self, x: &[f64], gradient: &[f64]) {
        self.x.extend(x);
        self.gradient.extend(gradient);
    }

    fn metric(&self) -> Option<Metric> {
        Sample { d: self.d, x: &self.x, gradient: &self.gradient }.metric(self.by, self.shape)
    }
}

/// Transitions of the first and the last phase of Stan's plan; none where the warm-up is too short for windows.
fn windows(length: usize) -> Option<(usize, usize)> {
    match length {
        0..20 => None,
        20..150 => Some((length * 15 / 100, length / 10)),
        _ => Some((FIRST, LAST)),
    }
}

/// Whether a window ends after `at` of `all` transitions: each is twice the one before, and the last takes what is left.
fn ends_window(at: usize, all: usize) -> bool {
    let (mut end, mut window) = (WINDOW, WINDOW);
    // The window after this one must fit too, or this one is the last.
    while end < at && end + 2 * window <= all {
        window *= 2;
        end += window;
    }
    if end + 2 * window > all { at == all } else { at == end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_double_and_the_last_takes_what_is_left() {
        let ends = |all: usize| (1..=all).filter(|at| ends_window(*at, all)).collect::<Vec<_>>();
        assert_eq!(ends(875), [25, 75, 175, 375, 875], "a warm-up of 1000, as in Stan's manual");
        assert_eq!(ends(100), [25, 100]);
        assert_eq!(ends(60), [60]);
        assert_eq!((windows(19), windows(100), windows(1000)), (None, Some((15, 10)), Some((75, 50))));
    }

    #[test]
    fn draws_that_taught_early_are_replaced_and_the_step_is_found_anew_once() {
        let settings = Settings { warmup: Some(400), metric: Shape::Diagonal, ..Settings::default() };
        let mut warmup = Warmup::new(&settings, 1);
        let (mut fresh, mut most) = (0, 0);
        for at in 0..400 {
            let x = f64::from(at % 7);
            fresh += usize::from(matches!(warmup.learn(&[x], &[-x], false), Lesson::Fresh(_)));
            most = most.max(warmup.x.len());
            assert!(at < 20 || warmup.x.len() >= SHORT);
        }
        assert!(warmup.is_over() && fresh == 1 && most <= 2 * LONG, "{fresh} {most}");
    }
}
