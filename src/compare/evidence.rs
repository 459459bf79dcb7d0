//! Evidences against a null model: Bayes factors, and the same corrected for the widths of the priors.

use super::Entry;
use crate::sampler::verdict::Level;
use serde::Serialize;

/// The evidence of one run, and how it compares with that of the null model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    pub run: String,
    pub method: String,
    /// What the run says of its own result; none where it is of a version that did not say.
    pub verdict: Option<Level>,
    /// Free parameters; none where the job can no longer be read.
    pub n_free: Option<usize>,
    pub log_z: f64,
    pub log_z_err: f64,
    /// log Z less the null model's, and its error: the natural log of the Bayes factor.
    pub ln_b: f64,
    pub ln_b_err: f64,
    /// sign(ln B) sqrt(2 |ln B|): the number of sigmas of a normal that give this ratio.
    pub sigma: f64,
    /// Of ln B, after Kass & Raftery (1995, J. Am. Stat. Assoc. 90, 773).
    pub strength: String,
    /// ln of the integral of the squared prior density of the free parameters (socca's "prior evidence"), in closed form. NaN where
    /// it diverges or the job can no longer be read.
    pub log_z_prior: f64,
    /// ln B less the difference of `log_z_prior`: no longer smaller for priors that are wider than need be.
    pub ln_b_corrected: f64,
    pub sigma_corrected: f64,
}

/// Every run against `null`.
pub fn evidence(entries: &[Entry], null: usize) -> Vec<Evidence> {
    let zero = &entries[null];
    let against = |(k, entry): (usize, &Entry)| {
        let (own, other) = (&entry.summary, &zero.summary);
        // A run differs from itself by nothing, not by twice its error.
        let (ln_b, ln_b_err) =
            if k == null { (0.0 * own.log_z, 0.0) } else { (own.log_z - other.log_z, own.log_z_err.hypot(other.log_z_err)) };
        let log_z_prior = prior_evidence(entry);
        let ln_b_corrected = ln_b - (log_z_prior - prior_evidence(zero));
        Evidence {
            run: entry.name.clone(),
            method: own.method.clone(),
            verdict: own.verdict,
            n_free: entry.job.as_ref().ok().map(|job| job.space.n_free()),
            log_z: own.log_z,
            log_z_err: own.log_z_err,
            ln_b,
            ln_b_err,
            sigma: sigmas(ln_b),
            strength: if k == null { "null".into() } else { strength(ln_b, ln_b_err).into() },
            log_z_prior,
            ln_b_corrected,
            sigma_corrected: sigmas(ln_b_corrected),
        }
    };
    entries.iter().enumerate().map(against).collect()
}

fn prior_evidence(entry: &Entry) -> f64 {
    let Ok(job) = &entry.job else { return f64::NAN };
    job.space.priors().map(|prior| prior.ln_square().unwrap_or(f64::NAN)).sum()
}

fn sigmas(ln_b: f64) -> f64 {
    ln_b.signum() * (2.0 * ln_b.abs()).sqrt()
}

fn strength(ln_b: f64, error: f64) -> &'static str {
    match ln_b {
        _ if ln_b.is_nan() => "no evidence by this method",
        _ if ln_b.abs() < 2.0 * error => "undecided within the errors",
        5.0.. => "very strong for it",
        3.0.. => "strong for it",
        1.0.. => "positive for it",
        ..=-5.0 => "very strong against it",
        ..=-3.0 => "strong against it",
        ..=-1.0 => "positive against it",
        _ => "barely worth a mention",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strengths_are_those_of_kass_and_raftery_and_errors_come_first() {
        assert_eq!(strength(4.0, 0.1), "strong for it");
        assert_eq!(strength(-6.0, 0.1), "very strong against it");
        assert_eq!(strength(0.5, 0.1), "barely worth a mention");
        assert_eq!(strength(4.0, 3.0), "undecided within the errors");
        assert_eq!(strength(f64::NAN, f64::NAN), "no evidence by this method");
        assert_eq!((sigmas(8.0), sigmas(-2.0), sigmas(0.0)), (4.0, -2.0, 0.0));
    }
}
