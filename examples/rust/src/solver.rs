//! The predator-prey equations for the logarithms of both populations, by the explicit method of Dormand and Prince (1980, orders 5 and 4).

const MAX_STEPS: usize = 20_000;

type Pair = [f64; 2];

pub struct Solver {
    /// alpha, beta, gamma, delta: growth of hares, hares caught, deaths of lynxes, growth of lynxes.
    rates: [f64; 4],
    tolerance: f64,
    /// ln of hares and lynxes now.
    pub u: Pair,
    /// Length of the next step, in years.
    h: f64,
    steps: usize,
}

/// u + h (a[0] k[0] + a[1] k[1] + ...)
fn ahead<const N: usize>(u: Pair, h: f64, terms: [(f64, Pair); N]) -> Pair {
    std::array::from_fn(|i| u[i] + h * terms.iter().map(|(a, k)| a * k[i]).sum::<f64>())
}

impl Solver {
    /// Begins with the populations theta[4] and theta[5].
    pub fn new(theta: &[f64], tolerance: f64) -> Solver {
        let rates = [theta[0], theta[1], theta[2], theta[3]];
        Solver { rates, tolerance, u: [theta[4].ln(), theta[5].ln()], h: 0.01, steps: 0 }
    }

    fn slope(&self, u: Pair) -> Pair {
        let [alpha, beta, gamma, delta] = self.rates;
        [alpha - beta * u[1].exp(), delta * u[0].exp() - gamma]
    }

    /// One step of length `h`, where the slope is `k1`: the new state, its slope, and the estimated error.
    fn step(&self, h: f64, k1: Pair) -> (Pair, Pair, f64) {
        let (u, slope) = (self.u, |u| self.slope(u));
        let k2 = slope(ahead(u, h, [(1.0 / 5.0, k1)]));
        let k3 = slope(ahead(u, h, [(3.0 / 40.0, k1), (9.0 / 40.0, k2)]));
        let k4 = slope(ahead(u, h, [(44.0 / 45.0, k1), (-56.0 / 15.0, k2), (32.0 / 9.0, k3)]));
        let a5 = [(19372.0 / 6561.0, k1), (-25360.0 / 2187.0, k2), (64448.0 / 6561.0, k3), (-212.0 / 729.0, k4)];
        let k5 = slope(ahead(u, h, a5));
        let a6 = [(9017.0 / 3168.0, k1), (-355.0 / 33.0, k2), (46732.0 / 5247.0, k3), (49.0 / 176.0, k4), (-5103.0 / 18656.0, k5)];
        let k6 = slope(ahead(u, h, a6));
        let a7 = [(35.0 / 384.0, k1), (500.0 / 1113.0, k3), (125.0 / 192.0, k4), (-2187.0 / 6784.0, k5), (11.0 / 84.0, k6)];
        let end = ahead(u, h, a7);
        let k7 = slope(end);
        let weights = [71.0 / 57600.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339_200.0, 22.0 / 525.0, -1.0 / 40.0];
        let slopes = [k1, k3, k4, k5, k6, k7];
        let error = |i: usize| h * weights.iter().zip(slopes).map(|(w, k)| w * k[i]).sum::<f64>();
        (end, k7, if error(0).abs() >= error(1).abs() { error(0).abs() } else { error(1).abs() })
    }

    /// Moves on by one year. Errors: too many steps, from the beginning on.
    pub fn one_year(&mut self) -> Result<(), String> {
        let (mut t, mut k1) = (0.0, self.slope(self.u));
        while t < 1.0 {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err("the equations are too stiff at this point".into());
            }
            let (left, h) = (1.0 - t, self.h);
            let length = h.min(left);
            let (end, k7, error) = self.step(length, k1);
            let wished = if error > 0.0 { 0.9 * (self.tolerance / error).powf(0.2) } else { 5.0 };
            // Also where the error is not a number.
            let factor = if wished >= 0.2 { wished.min(5.0) } else { 0.2 };
            if error <= self.tolerance {
                t = if length == left { 1.0 } else { t + length };
                (self.u, k1) = (end, k7);
                if length == h || factor < 1.0 {
                    self.h = length * factor;
                }
            } else {
                self.h = length * factor;
            }
        }
        Ok(())
    }
}
