//! Do two runs of the same question give the same posterior?

use super::Entry;
use crate::stats;
use crate::stats::uniformity::{holm, smirnov, smirnov_tail};
use serde::Serialize;
use std::borrow::Cow;

/// Two runs that ask the same question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    pub a: String,
    pub b: String,
    /// log Z of `b` less that of `a`, and the same in units of its error; NaN where one has none.
    pub log_z_difference: f64,
    pub log_z_z: f64,
    pub parameters: Vec<Compared>,
    /// "the same bits", "agree", "differ" or "too few samples to tell".
    pub verdict: String,
}

/// One quantity in two posteriors.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    pub name: String,
    /// Mean of `b` less that of `a`, in standard deviations of the posterior.
    pub shift: f64,
    /// The same in standard errors.
    pub shift_z: f64,
    /// Standard deviation of `b` over that of `a`.
    pub sd_ratio: f64,
    /// Its logarithm in standard errors (those of normal posteriors).
    pub sd_ratio_z: f64,
    /// Largest distance of the two distribution functions (Smirnov).
    pub distance: f64,
    /// Its p-value for samples of their effective sizes, corrected for the number of quantities (Holm).
    pub p: f64,
}

/// Differences of mean, or of the log of the standard deviation, that matter: in standard deviations.
const MATTERS: f64 = 0.1;
/// Of the distribution functions.
const FAR: f64 = 0.05;
/// Standard errors that are no accident.
const SURE: f64 = 4.0;

/// The first run of each question with every later one of the same.
pub fn agreement(entries: &[Entry]) -> Vec<Agreement> {
    let questions: Vec<Option<String>> = entries.iter().map(Entry::question).collect();
    let first = |k: usize| questions.iter().position(|q| q.is_some() && *q == questions[k]);
    let pairs = (0..entries.len()).filter_map(|k| Some((first(k)?, k))).filter(|(a, b)| a < b);
    pairs.map(|(a, b)| compare(&entries[a], &entries[b])).collect()
}

fn compare(a: &Entry, b: &Entry) -> Agreement {
    let (one, two) = (&a.summary, &b.summary);
    let mut parameters: Vec<Compared> = a.samples.columns.iter().filter_map(|(name, _)| quantity(name, a, b)).collect();
    let corrected = holm(&parameters.iter().map(|q| q.p).collect::<Vec<_>>());
    parameters.iter_mut().zip(corrected).for_each(|(q, p)| q.p = p);
    let log_z_difference = two.log_z - one.log_z;
    let log_z_z = log_z_difference / one.log_z_err.hypot(two.log_z_err);
    let verdict = if one.digest == two.digest { "the same bits" } else { verdict(&parameters, log_z_z, one.n_eff.min(two.n_eff)) };
    Agreement { a: a.name.clone(), b: b.name.clone(), log_z_difference, log_z_z, parameters, verdict: verdict.into() }
}

fn quantity(name: &str, a: &Entry, b: &Entry) -> Option<Compared> {
    let (x, y) = (a.samples.column(name)?, b.samples.column(name)?);
    let (v, w) = (&a.samples.weights, &b.samples.weights);
    let (x, y) = match a.circle(name) {
        None => (Cow::Borrowed(x), Cow::Borrowed(y)),
        // Both about the direction of one.
        Some(circle) => {
            let centre = circle.centre(x, v);
            (Cow::Owned(circle.unroll(x, centre)), Cow::Owned(circle.unroll(y, centre)))
        }
    };
    let (x, y) = (&x[..], &y[..]);
    let ((mean_a, sd_a), (mean_b, sd_b)) = (stats::mean_sd(x, v), stats::mean_sd(y, w));
    let (n, m) = (a.summary.n_eff, b.summary.n_eff);
    let sd = (0.5 * (sd_a * sd_a + sd_b * sd_b)).sqrt();
    let distance = smirnov((x, v), (y, w));
    Some(Compared {
        name: name.into(),
        shift: (mean_b - mean_a) / sd,
        shift_z: (mean_b - mean_a) / (sd_a / n.sqrt()).hypot(sd_b / m.sqrt()),
        sd_ratio: sd_b / sd_a,
        sd_ratio_z: (sd_b / sd_a).ln() / (0.5 / n + 0.5 / m).sqrt(),
        distance,
        p: smirnov_tail(distance, n, m),
    })
}

/// A difference must matter, and be no accident.
fn verdict(parameters: &[Compared], log_z_z: f64, least_n_eff: f64) -> &'static str {
    let differs = |q: &Compared| {
        let shifted = q.shift.abs() > MATTERS && q.shift_z.abs() > SURE;
        let scaled = q.sd_ratio.ln().abs() > MATTERS && q.sd_ratio_z.abs() > SURE;
        shifted || scaled || (q.distance > FAR && q.p < 1e-3)
    };
    match () {
        _ if log_z_z.abs() > SURE || parameters.iter().any(differs) => "differ",
        // A shift that matters would be less than two standard errors.
        _ if (2.0 / least_n_eff).sqrt() > 0.5 * MATTERS => "too few samples to tell",
        _ => "agree",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same() -> Compared {
        Compared { name: "a".into(), shift: 0.01, shift_z: 0.5, sd_ratio: 1.01, sd_ratio_z: 0.9, distance: 0.01, p: 0.6 }
    }

    #[test]
    fn a_difference_counts_where_it_matters_and_is_no_accident() {
        assert_eq!(verdict(&[same()], 0.3, 2000.0), "agree");
        assert_eq!(verdict(&[same()], 0.3, 200.0), "too few samples to tell");
        assert_eq!(verdict(&[same()], 5.0, 2000.0), "differ");
        assert_eq!(verdict(&[same(), Compared { shift: 0.3, shift_z: 8.0, ..same() }], 0.3, 2000.0), "differ");
        assert_eq!(verdict(&[Compared { sd_ratio: 0.8, sd_ratio_z: -7.0, ..same() }], 0.3, 2000.0), "differ");
        assert_eq!(verdict(&[Compared { distance: 0.2, p: 1e-6, ..same() }], f64::NAN, 2000.0), "differ");
        // ten million samples see a thousandth of a standard deviation
        assert_eq!(verdict(&[Compared { shift: 0.001, shift_z: 9.0, ..same() }], 0.3, 1e7), "agree");
        // and thirty do not see a quarter
        assert_eq!(verdict(&[Compared { shift: 0.25, shift_z: 1.0, ..same() }], 0.3, 30.0), "too few samples to tell");
    }
}
