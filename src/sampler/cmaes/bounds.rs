//! From the line to the cube: the identity inside, parabolas towards the ends, mirrored beyond (as pycma's BoxConstraintsLinQuadTransformation).
//!
//! Every candidate is inside, the search distribution knows no bounds, and does not collapse at them as it does when points are clamped.

/// Width of the parabolas.
const EDGE: f64 = 0.05;

/// The coordinate of the unit interval that stands for `g`.
pub fn fold(g: f64) -> f64 {
    // Mirrored into [-EDGE, 1 + EDGE] with the period of there and back.
    let length = 1.0 + 2.0 * EDGE;
    let way = g + EDGE;
    let turn = way - 2.0 * length * (way / (2.0 * length)).floor();
    let x = if turn > length { 2.0 * length - turn } else { turn } - EDGE;
    if x < EDGE {
        (x + EDGE) * (x + EDGE) / (4.0 * EDGE)
    } else if x > 1.0 - EDGE {
        1.0 - (1.0 + EDGE - x) * (1.0 + EDGE - x) / (4.0 * EDGE)
    } else {
        x
    }
}

/// A value that [`fold`] takes to `u`.
pub fn unfold(u: f64) -> f64 {
    if u < EDGE {
        (4.0 * EDGE * u).sqrt() - EDGE
    } else if u > 1.0 - EDGE {
        1.0 + EDGE - (4.0 * EDGE * (1.0 - u)).sqrt()
    } else {
        u
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_goes_there_and_back_and_never_leaves_the_interval() {
        for u in [0.0, 1e-9, 0.01, 0.05, 0.3, 0.95, 0.99, 1.0] {
            assert!((fold(unfold(u)) - u).abs() < 1e-12, "{u}");
        }
        let walk: Vec<f64> = (-4000..4000).map(|k| fold(f64::from(k) * 1e-3)).collect();
        assert!(walk.iter().all(|u| (0.0..=1.0).contains(u)));
        assert!(walk.windows(2).all(|pair| (pair[1] - pair[0]).abs() <= 1.000_001e-3), "continuous, and nowhere steeper than the identity");
    }
}
