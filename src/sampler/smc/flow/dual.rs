//! Numbers that carry their slopes by seven variables: exact derivatives of one spline bin, without writing each out.

use std::ops::{Add, Div, Mul, Sub};

/// What a formula needs, for plain numbers and for those with slopes.
pub trait Number: Copy + From<f64> + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> {}
impl Number for f64 {}
impl Number for Dual {}

#[derive(Clone, Copy, Debug)]
pub struct Dual {
    pub value: f64,
    pub slopes: [f64; 7],
}

impl Dual {
    /// The variable number `j`.
    pub fn variable(value: f64, j: usize) -> Dual {
        Dual { value, slopes: std::array::from_fn(|k| f64::from(u8::from(k == j))) }
    }

    /// `value`, with `a` and `b` times the slopes of the two.
    fn joined(value: f64, (x, a): (Dual, f64), (y, b): (Dual, f64)) -> Dual {
        Dual { value, slopes: std::array::from_fn(|k| a * x.slopes[k] + b * y.slopes[k]) }
    }
}

impl From<f64> for Dual {
    fn from(value: f64) -> Dual {
        Dual { value, slopes: [0.0; 7] }
    }
}

impl Add for Dual {
    type Output = Dual;
    fn add(self, other: Dual) -> Dual {
        Dual::joined(self.value + other.value, (self, 1.0), (other, 1.0))
    }
}

impl Sub for Dual {
    type Output = Dual;
    fn sub(self, other: Dual) -> Dual {
        Dual::joined(self.value - other.value, (self, 1.0), (other, -1.0))
    }
}

impl Mul for Dual {
    type Output = Dual;
    fn mul(self, other: Dual) -> Dual {
        Dual::joined(self.value * other.value, (self, other.value), (other, self.value))
    }
}

impl Div for Dual {
    type Output = Dual;
    fn div(self, other: Dual) -> Dual {
        let quotient = self.value / other.value;
        Dual::joined(quotient, (self, 1.0 / other.value), (other, -quotient / other.value))
    }
}
