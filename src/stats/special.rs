//! Special functions that quantiles need: both tails of the normal, gamma and beta laws, and their inverses.
//!
//! A probability always travels as the pair (p, q) of lower and upper tail, p + q = 1, so that neither
//! tail loses digits to a subtraction from one.

// The coefficients are Wichura's, to the digits he gives.
#![allow(clippy::excessive_precision)]

// Not the system's functions: those may differ in the last bit between processors.
use libm::{erfc, exp, lgamma as ln_gamma, log as ln, log1p as ln_1p};
use std::f64::consts::{SQRT_2, TAU};

/// Below this log of a small argument the leading power of a distribution function is exact to 1e-16.
const LEADING_TERM: f64 = -40.0;
const MAX_TERMS: usize = 20_000;

/// Standard normal tails (p, q) at `z`.
pub fn normal_tails(z: f64) -> (f64, f64) {
    (0.5 * erfc(-z / SQRT_2), 0.5 * erfc(z / SQRT_2))
}

/// Standard normal quantile; relative error about 1e-16 (Wichura 1988, algorithm AS 241, PPND16).
pub fn normal_quantile(p: f64, q: f64) -> f64 {
    let central = if p < q { p - 0.5 } else { 0.5 - q };
    if central.abs() <= 0.425 {
        return normal_quantile_central(central);
    }
    let r = (-ln(p.min(q))).sqrt();
    let z = if r <= 5.0 { ratio(r - 1.6, &TAIL_NUM, &TAIL_DEN) } else { ratio(r - 5.0, &FAR_NUM, &FAR_DEN) };
    if p < q { -z } else { z }
}

/// Quantile at p = 1/2 + `offset`, |offset| <= 0.425: exact relative to zero, which a half-normal needs.
pub fn normal_quantile_central(offset: f64) -> f64 {
    offset * ratio(0.180625 - offset * offset, &MID_NUM, &MID_DEN)
}

fn ratio(x: f64, num: &[f64; 8], den: &[f64; 8]) -> f64 {
    let horner = |c: &[f64; 8]| c.iter().rev().fold(0.0, |sum, &c| sum * x + c);
    horner(num) / horner(den)
}

/// lnΓ(a) less Stirling's (a - 1/2) ln a - a + ln(2π)/2.
fn stirling_rest(a: f64) -> f64 {
    if a < 10.0 {
        return ln_gamma(a) - ((a - 0.5) * ln(a) - a + 0.5 * ln(TAU));
    }
    let r = 1.0 / (a * a);
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360360.0, 1.0 / 156.0];
    series.iter().rev().fold(0.0, |sum, c| sum * r + c) / a
}

/// ln[ x^a e^-x / Γ(a) ], without the cancellation of its large terms.
pub fn ln_gamma_term(a: f64, x: f64) -> f64 {
    let mu = (x - a) / a;
    -a * (mu - ln_ratio(x, a, mu)) + 0.5 * ln(a / TAU) - stirling_rest(a)
}

/// ln(value / about), given `relative` = value/about - 1 with its own digits.
fn ln_ratio(value: f64, about: f64, relative: f64) -> f64 {
    if relative.abs() < 0.5 { ln_1p(relative) } else { ln(value / about) }
}

/// Regularised incomplete gamma functions (P, Q)(a, x): series below a + 1, continued fraction above.
pub fn gamma_tails(a: f64, x: f64) -> (f64, f64) {
    if x <= 0.0 {
        return (0.0, 1.0);
    }
    let term = exp(ln_gamma_term(a, x));
    if x < a + 1.0 {
        let (mut sum, mut part) = (1.0, 1.0);
        for k in 1..MAX_TERMS {
            part *= x / (a + k as f64);
            sum += part;
            if part < sum * 1e-17 {
                break;
            }
        }
        let p = (term * sum / a).min(1.0);
        return (p, 1.0 - p);
    }
    let mut lentz = Lentz::new(x + 1.0 - a);
    for k in 1..MAX_TERMS {
        let k = k as f64;
        if lentz.step(-k * (k - a), x + 1.0 - a + 2.0 * k) {
            break;
        }
    }
    let q = (term / lentz.value).min(1.0);
    (1.0 - q, q)
}

/// ln[ x^a y^b / B(a, b) ] with y = 1 - x.
pub fn ln_beta_term(a: f64, b: f64, x: f64, y: f64) -> f64 {
    let (x0, y0) = (a / (a + b), b / (a + b));
    let d = x * y0 - y * x0;
    let rest = stirling_rest(a + b) - stirling_rest(a) - stirling_rest(b);
    a * ln_ratio(x, x0, d / x0) + b * ln_ratio(y, y0, -d / y0) + 0.5 * ln(a * y0 / TAU) + rest
}

/// Regularised incomplete beta function and its complement at x = 1 - y (continued fraction of DLMF 8.17.22).
pub fn beta_tails(a: f64, b: f64, x: f64, y: f64) -> (f64, f64) {
    if x <= 0.0 || y <= 0.0 {
        return if x <= 0.0 { (0.0, 1.0) } else { (1.0, 0.0) };
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        let (q, p) = beta_tails_below(b, a, y, x);
        return (p, q);
    }
    beta_tails_below(a, b, x, y)
}

fn beta_tails_below(a: f64, b: f64, x: f64, y: f64) -> (f64, f64) {
    let mut lentz = Lentz::new(1.0);
    for k in 1..MAX_TERMS {
        let m = (k / 2) as f64;
        let two_m = 2.0 * m;
        let numerator = if k % 2 == 0 {
            m * (b - m) * x / ((a + two_m - 1.0) * (a + two_m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + two_m) * (a + two_m + 1.0))
        };
        if lentz.step(numerator, 1.0) {
            break;
        }
    }
    let p = (exp(ln_beta_term(a, b, x, y)) / (a * lentz.value)).min(1.0);
    (p, 1.0 - p)
}

/// A continued fraction b0 + a1/(b1 + a2/(b2 + ...)), evaluated forwards (Lentz 1976, Thompson & Barnett 1986).
struct Lentz {
    value: f64,
    c: f64,
    d: f64,
}

impl Lentz {
    fn new(b0: f64) -> Self {
        let b0 = nonzero(b0);
        Lentz { value: b0, c: b0, d: 0.0 }
    }

    /// Adds a term; true when it changed nothing.
    fn step(&mut self, a: f64, b: f64) -> bool {
        self.d = 1.0 / nonzero(b + a * self.d);
        self.c = nonzero(b + a / self.c);
        let factor = self.c * self.d;
        self.value *= factor;
        (factor - 1.0).abs() < 2e-16
    }
}

fn nonzero(x: f64) -> f64 {
    if x.abs() < 1e-300 { 1e-300 } else { x }
}

/// Natural log of the quantile of the gamma law with shape `a` and unit scale.
pub fn ln_gamma_quantile(a: f64, p: f64, q: f64) -> f64 {
    let leading = (ln(p) + ln_gamma(a + 1.0)) / a;
    if leading < LEADING_TERM {
        return leading;
    }
    // Wilson & Hilferty (1931): (x/a)^(1/3) is nearly normal; near zero the leading power is better.
    let root = 1.0 - 1.0 / (9.0 * a) + normal_quantile(p, q) / (9.0 * a).sqrt();
    let start = if root > 0.1 && a > 0.5 { ln(a) + 3.0 * ln(root) } else { leading.min(ln_1p(ln(q.recip())) + 1.0) };
    solve(start, p, q, |y| {
        let x = exp(y);
        let (p, q) = gamma_tails(a, x);
        (p, q, exp(ln_gamma_term(a, x)))
    })
}

/// ln(x / (1 - x)) of the quantile x of the beta law: keeps the digits of both x and 1 - x.
pub fn logit_beta_quantile(a: f64, b: f64, p: f64, q: f64) -> f64 {
    let ln_b = ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    let from_left = (ln(p) + ln(a) + ln_b) / a;
    let from_right = (ln(q) + ln(b) + ln_b) / b;
    if from_left < LEADING_TERM {
        return from_left;
    }
    if from_right < LEADING_TERM {
        return -from_right;
    }
    let mean = ln(a / b);
    let start = if p < q { mean.min(from_left) } else { mean.max(-from_right) };
    solve(start, p, q, |y| {
        let (x, y) = (1.0 / (1.0 + exp(-y)), 1.0 / (1.0 + exp(y)));
        let (p, q) = beta_tails(a, b, x, y);
        (p, q, exp(ln_beta_term(a, b, x, y)))
    })
}

/// Finds y with tails (p, q) by Newton's method on the log of the smaller tail, kept inside a bracket.
/// `at(y)` gives the tails there and the density by y.
fn solve(start: f64, p: f64, q: f64, at: impl Fn(f64) -> (f64, f64, f64)) -> f64 {
    let (mut low, mut high) = (-750.0, 750.0);
    let mut y = f64::clamp(start, low, high);
    let mut last = f64::INFINITY;
    for _ in 0..200 {
        let (p_y, q_y, density) = at(y);
        // error > 0: y is too large
        let (error, slope) = if p < q { (ln(p_y / p), density / p_y) } else { (ln(q / q_y), density / q_y) };
        if error == 0.0 {
            return y;
        }
        if error > 0.0 {
            high = y
        } else {
            low = y
        }
        let mut next = y - error / slope;
        if !(next > low && next < high) {
            next = 0.5 * (low + high);
        }
        let step = (next - y).abs();
        // Rounding of the tails ends the descent: a step that no longer shrinks is noise.
        if step <= 1e-16 * y.abs() || (step < 1e-13 && step >= last) {
            return y;
        }
        (y, last) = (next, step);
    }
    y
}

const MID_NUM: [f64; 8] = [
    3.387_132_872_796_366_608,
    1.331_416_678_917_843_774_5e2,
    1.971_590_950_306_551_442_7e3,
    1.373_169_376_550_946_112_5e4,
    4.592_195_393_154_987_145_7e4,
    6.726_577_092_700_870_085_3e4,
    3.343_057_558_358_812_810_5e4,
    2.509_080_928_730_122_672_7e3,
];
const MID_DEN: [f64; 8] = [
    1.0,
    4.231_333_070_160_091_125_2e1,
    6.871_870_074_920_579_082_9e2,
    5.394_196_021_424_751_107_7e3,
    2.121_379_430_158_659_586_7e4,
    3.930_789_580_009_271_061e4,
    2.872_908_573_572_194_267_4e4,
    5.226_495_278_852_854_561e3,
];
const TAIL_NUM: [f64; 8] = [
    1.423_437_110_749_683_577_34,
    4.630_337_846_156_545_295_9,
    5.769_497_221_460_691_405_5,
    3.647_848_324_763_204_605_04,
    1.270_458_252_452_368_382_58,
    2.417_807_251_774_506_117_7e-1,
    2.272_384_498_926_918_458_33e-2,
    7.745_450_142_783_414_076_4e-4,
];
const TAIL_DEN: [f64; 8] = [
    1.0,
    2.053_191_626_637_758_821_87,
    1.676_384_830_183_803_849_4,
    6.897_673_349_851_000_045_5e-1,
    1.481_039_764_274_800_745_9e-1,
    1.519_866_656_361_645_719_66e-2,
    5.475_938_084_995_344_946e-4,
    1.050_750_071_644_416_843_24e-9,
];
const FAR_NUM: [f64; 8] = [
    6.657_904_643_501_103_777_2,
    5.463_784_911_164_114_369_9,
    1.784_826_539_917_291_335_8,
    2.965_605_718_285_048_912_3e-1,
    2.653_218_952_657_612_309_3e-2,
    1.242_660_947_388_078_438_6e-3,
    2.711_555_568_743_487_578_15e-5,
    2.010_334_399_292_288_132_65e-7,
];
const FAR_DEN: [f64; 8] = [
    1.0,
    5.998_322_065_558_879_376_9e-1,
    1.369_298_809_227_358_053_1e-1,
    1.487_536_129_085_061_485_25e-2,
    7.868_691_311_456_132_591e-4,
    1.846_318_317_510_054_681_8e-5,
    1.421_511_758_316_445_888_7e-7,
    2.044_263_103_389_939_785_64e-15,
];
