//! The functions an expression may call: values and slopes, one definition for numbers and for columns.

/// Functions of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fn1 {
    Neg,
    /// x to a whole power, by multiplication.
    Powi(i8),
    Exp,
    Expm1,
    Ln,
    Log1p,
    Log10,
    Log2,
    Sqrt,
    Cbrt,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Abs,
    Sign,
    Floor,
    Ceil,
    /// 0 below 0, 1 from 0 on.
    Step,
    Erf,
    Erfc,
    Gamma,
    LnGamma,
}

/// Functions and operators of two arguments. Comparisons give 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fn2 {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    Atan2,
    Hypot,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
}

/// How a name in an expression is called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Function {
    One(Fn1),
    Two(Fn2),
    /// Two or more arguments, folded from the left.
    Fold(Fn2),
    Where,
}

/// Every function name an expression knows, in the order of the documentation.
pub const FUNCTIONS: &[&str] = &[
    "exp", "expm1", "ln", "log", "log1p", "log10", "log2", "sqrt", "cbrt", "pow", "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "abs", "sign", "floor", "ceil", "step", "min", "max", "hypot", "erf", "erfc", "gamma", "lgamma", "where",
    "select",
];

impl Function {
    pub fn named(name: &str) -> Option<Function> {
        use Function::{Fold, One, Two, Where};
        Some(match name {
            "exp" => One(Fn1::Exp),
            "expm1" => One(Fn1::Expm1),
            "ln" | "log" => One(Fn1::Ln),
            "log1p" => One(Fn1::Log1p),
            "log10" => One(Fn1::Log10),
            "log2" => One(Fn1::Log2),
            "sqrt" => One(Fn1::Sqrt),
            "cbrt" => One(Fn1::Cbrt),
            "sin" => One(Fn1::Sin),
            "cos" => One(Fn1::Cos),
            "tan" => One(Fn1::Tan),
            "asin" => One(Fn1::Asin),
            "acos" => One(Fn1::Acos),
            "atan" => One(Fn1::Atan),
            "sinh" => One(Fn1::Sinh),
            "cosh" => One(Fn1::Cosh),
            "tanh" => One(Fn1::Tanh),
            "abs" => One(Fn1::Abs),
            "sign" => One(Fn1::Sign),
            "floor" => One(Fn1::Floor),
            "ceil" => One(Fn1::Ceil),
            "step" => One(Fn1::Step),
            "erf" => One(Fn1::Erf),
            "erfc" => One(Fn1::Erfc),
            "gamma" => One(Fn1::Gamma),
            "lgamma" => One(Fn1::LnGamma),
            "pow" => Two(Fn2::Pow),
            "atan2" => Two(Fn2::Atan2),
            "hypot" => Two(Fn2::Hypot),
            "min" => Fold(Fn2::Min),
            "max" => Fold(Fn2::Max),
            "where" | "select" => Where,
            _ => return None,
        })
    }
}

impl Fn1 {
    #[inline(always)]
    pub fn value(self, x: f64) -> f64 {
        match self {
            Fn1::Neg => -x,
            Fn1::Powi(n) => powi(x, n),
            Fn1::Exp => exp(x),
            Fn1::Expm1 => libm::expm1(x),
            Fn1::Ln => libm::log(x),
            Fn1::Log1p => libm::log1p(x),
            Fn1::Log10 => libm::log10(x),
            Fn1::Log2 => libm::log2(x),
            Fn1::Sqrt => x.sqrt(),
            Fn1::Cbrt => libm::cbrt(x),
            Fn1::Sin => libm::sin(x),
            Fn1::Cos => libm::cos(x),
            Fn1::Tan => libm::tan(x),
            Fn1::Asin => libm::asin(x),
            Fn1::Acos => libm::acos(x),
            Fn1::Atan => libm::atan(x),
            Fn1::Sinh => libm::sinh(x),
            Fn1::Cosh => libm::cosh(x),
            Fn1::Tanh => libm::tanh(x),
            Fn1::Abs => x.abs(),
            Fn1::Sign if x == 0.0 || x.is_nan() => x,
            Fn1::Sign => x.signum(),
            Fn1::Floor => x.floor(),
            Fn1::Ceil => x.ceil(),
            Fn1::Step if x.is_nan() => x,
            Fn1::Step => f64::from(u8::from(x >= 0.0)),
            Fn1::Erf => libm::erf(x),
            Fn1::Erfc => libm::erfc(x),
            Fn1::Gamma => libm::tgamma(x),
            Fn1::LnGamma => libm::lgamma(x),
        }
    }

    /// dy/dx where y is the value at x. At kinks (abs, step, floor) it is the slope of the flat or right side.
    #[inline(always)]
    pub fn slope(self, x: f64, y: f64) -> f64 {
        match self {
            Fn1::Neg => -1.0,
            Fn1::Powi(n) => f64::from(n) * powi(x, n - 1),
            Fn1::Exp => y,
            Fn1::Expm1 => y + 1.0,
            Fn1::Ln => 1.0 / x,
            Fn1::Log1p => 1.0 / (1.0 + x),
            Fn1::Log10 => std::f64::consts::LOG10_E / x,
            Fn1::Log2 => std::f64::consts::LOG2_E / x,
            Fn1::Sqrt => 0.5 / y,
            Fn1::Cbrt => 1.0 / (3.0 * y * y),
            Fn1::Sin => libm::cos(x),
            Fn1::Cos => -libm::sin(x),
            Fn1::Tan => 1.0 + y * y,
            Fn1::Asin => 1.0 / ((1.0 - x) * (1.0 + x)).sqrt(),
            Fn1::Acos => -1.0 / ((1.0 - x) * (1.0 + x)).sqrt(),
            Fn1::Atan => 1.0 / (1.0 + x * x),
            Fn1::Sinh => libm::cosh(x),
            Fn1::Cosh => libm::sinh(x),
            Fn1::Tanh => (1.0 - y) * (1.0 + y),
            Fn1::Abs if x < 0.0 => -1.0,
            Fn1::Abs => 1.0,
            Fn1::Sign | Fn1::Floor | Fn1::Ceil | Fn1::Step => 0.0,
            Fn1::Erf => std::f64::consts::FRAC_2_SQRT_PI * exp(-x * x),
            Fn1::Erfc => -std::f64::consts::FRAC_2_SQRT_PI * exp(-x * x),
            Fn1::Gamma => y * digamma(x),
            Fn1::LnGamma => digamma(x),
        }
    }
}

impl Fn2 {
    #[inline(always)]
    pub fn value(self, a: f64, b: f64) -> f64 {
        let truth = |yes: bool| f64::from(u8::from(yes));
        match self {
            Fn2::Add => a + b,
            Fn2::Sub => a - b,
            Fn2::Mul => a * b,
            Fn2::Div => a / b,
            Fn2::Pow => libm::pow(a, b),
            // f64::min would hide a NaN
            Fn2::Min | Fn2::Max if a.is_nan() || b.is_nan() => f64::NAN,
            Fn2::Min => a.min(b),
            Fn2::Max => a.max(b),
            Fn2::Atan2 => libm::atan2(a, b),
            Fn2::Hypot => libm::hypot(a, b),
            Fn2::Lt => truth(a < b),
            Fn2::Le => truth(a <= b),
            Fn2::Gt => truth(a > b),
            Fn2::Ge => truth(a >= b),
            Fn2::Eq => truth(a == b),
            Fn2::Ne => truth(a != b),
        }
    }

    /// Slope by the first argument where y is the value.
    #[inline(always)]
    pub fn by_first(self, a: f64, b: f64, y: f64) -> f64 {
        match self {
            Fn2::Add | Fn2::Sub => 1.0,
            Fn2::Mul => b,
            Fn2::Div => 1.0 / b,
            Fn2::Pow if b == 0.0 => 0.0,
            Fn2::Pow => b * libm::pow(a, b - 1.0),
            Fn2::Min => f64::from(u8::from(a <= b)),
            Fn2::Max => f64::from(u8::from(a >= b)),
            Fn2::Atan2 => b / (a * a + b * b),
            Fn2::Hypot => a / y,
            Fn2::Lt | Fn2::Le | Fn2::Gt | Fn2::Ge | Fn2::Eq | Fn2::Ne => 0.0,
        }
    }

    /// Slope by the second argument where y is the value.
    #[inline(always)]
    pub fn by_second(self, a: f64, b: f64, y: f64) -> f64 {
        match self {
            Fn2::Add => 1.0,
            Fn2::Sub => -1.0,
            Fn2::Mul => a,
            Fn2::Div => -y / b,
            // a^b ln a tends to 0 at a = 0 for b > 0
            Fn2::Pow if y == 0.0 => 0.0,
            Fn2::Pow => y * libm::log(a),
            Fn2::Min => f64::from(u8::from(a > b)),
            Fn2::Max => f64::from(u8::from(a < b)),
            Fn2::Atan2 => -a / (a * a + b * b),
            Fn2::Hypot => b / y,
            Fn2::Lt | Fn2::Le | Fn2::Gt | Fn2::Ge | Fn2::Eq | Fn2::Ne => 0.0,
        }
    }
}

#[inline]
fn powi(x: f64, n: i8) -> f64 {
    match n {
        0 => 1.0,
        1 => x,
        2 => x * x,
        3 => x * x * x,
        4 => (x * x) * (x * x),
        n if n < 0 => 1.0 / powi(x, -n),
        n => powi(x * x, n / 2) * powi(x, n % 2),
    }
}

/// Derivative of ln gamma: reflection below 1/2, recurrence up to 10, then the asymptotic series
/// (Abramowitz & Stegun 6.3.18); relative error about 1e-14 away from its zeros.
fn digamma(x: f64) -> f64 {
    if x < 0.5 {
        return digamma(1.0 - x) - std::f64::consts::PI / libm::tan(std::f64::consts::PI * x);
    }
    let (mut x, mut sum) = (x, 0.0);
    while x < 10.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let i = 1.0 / (x * x);
    let tail = i * (1.0 / 12.0 - i * (1.0 / 120.0 - i * (1.0 / 252.0 - i * (1.0 / 240.0 - i * (1.0 / 132.0 - i * 691.0 / 32760.0)))));
    sum + libm::log(x) - 0.5 / x - tail
}

const EXP_TERMS: [f64; 12] = [
    1.0 / 6227020800.0,
    1.0 / 479001600.0,
    1.0 / 39916800.0,
    1.0 / 3628800.0,
    1.0 / 362880.0,
    1.0 / 40320.0,
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
];

/// e^x without branches, so that loops over columns become SIMD code; within 1 ulp or so of correctly rounded.
///
/// x = k ln 2 + r with |r| <= ln 2 / 2, Taylor series of e^r to r^13 (remainder below 4e-18), times 2^k in
/// two halves so that subnormal results and overflow come out right. NaN stays NaN.
#[inline]
pub fn exp(x: f64) -> f64 {
    // Adding 1.5 * 2^52 rounds to a whole number, which is then found in the low bits.
    const ROUND: f64 = 6755399441055744.0;
    const LN2_HIGH: f64 = 6.931471803691238e-1;
    const LN2_LOW: f64 = 1.9082149292705877e-10;
    let x = x.clamp(-746.0, 710.0);
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * LN2_HIGH) - k * LN2_LOW;
    let series = EXP_TERMS[1..].iter().fold(EXP_TERMS[0], |sum, term| sum * r + term);
    let value = 1.0 + (r + r * r * series);
    let k = (shifted.to_bits() as i64).wrapping_sub(ROUND.to_bits() as i64);
    let half = k >> 1;
    let two_to = |n: i64| f64::from_bits((n.wrapping_add(1023) << 52) as u64);
    value * two_to(half) * two_to(k.wrapping_sub(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_within_two_ulps_of_the_library_and_right_at_the_ends() {
        for i in -70000..70000 {
            let x = f64::from(i) * 0.010123;
            let (own, library) = (exp(x), libm::exp(x));
            assert!((own - library).abs() <= 4.5e-16 * library, "exp({x}) = {own} against {library}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(710.0), f64::INFINITY);
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp(-745.1), 5e-324);
        assert!(exp(f64::NAN).is_nan());
    }

    #[test]
    fn every_listed_function_is_known_by_name() {
        assert!(FUNCTIONS.iter().all(|name| Function::named(name).is_some()));
    }

    #[test]
    fn slopes_agree_with_central_differences() {
        use Fn1::*;
        let all = [
            Neg,
            Powi(2),
            Powi(5),
            Powi(-3),
            Exp,
            Expm1,
            Ln,
            Log1p,
            Log10,
            Log2,
            Sqrt,
            Cbrt,
            Sin,
            Cos,
            Tan,
            Asin,
            Acos,
            Atan,
            Sinh,
            Cosh,
            Tanh,
            Abs,
            Sign,
            Floor,
            Ceil,
            Step,
            Erf,
            Erfc,
            Gamma,
            LnGamma,
        ];
        for f in all {
            for x in [0.31, 0.77] {
                let numeric = (f.value(x + 1e-5) - f.value(x - 1e-5)) / 2e-5;
                let slope = f.slope(x, f.value(x));
                assert!((slope - numeric).abs() < 1e-7 * (1.0 + numeric.abs()), "{f:?} at {x}: {slope} against {numeric}");
            }
        }
        for f in [Fn2::Add, Fn2::Sub, Fn2::Mul, Fn2::Div, Fn2::Pow, Fn2::Min, Fn2::Max, Fn2::Atan2, Fn2::Hypot] {
            let (a, b) = (1.3, 0.7);
            let by_a = (f.value(a + 1e-5, b) - f.value(a - 1e-5, b)) / 2e-5;
            let by_b = (f.value(a, b + 1e-5) - f.value(a, b - 1e-5)) / 2e-5;
            let y = f.value(a, b);
            let (da, db) = (f.by_first(a, b, y), f.by_second(a, b, y));
            assert!((da - by_a).abs() < 1e-8 && (db - by_b).abs() < 1e-8, "{f:?}");
        }
    }

    #[test]
    fn a_minimum_does_not_hide_a_nan() {
        assert!(Fn2::Min.value(f64::NAN, 1.0).is_nan() && Fn2::Max.value(1.0, f64::NAN).is_nan());
    }
}
