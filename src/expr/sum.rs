//! Sums in an order that only the number of terms decides: the same bits however the work is shared out.

/// Sum of one block: eight running sums over every eighth term, then added in pairs.
pub fn block_sum(terms: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let mut eights = terms.chunks_exact(8);
    for eight in &mut eights {
        for (lane, term) in lanes.iter_mut().zip(eight) {
            *lane += term;
        }
    }
    for (lane, term) in lanes.iter_mut().zip(eights.remainder()) {
        *lane += term;
    }
    ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
}

/// Sum of the sums of blocks: neighbours are added in pairs until one is left. `terms` is used up.
pub fn tree_sum(terms: &mut Vec<f64>) -> f64 {
    while terms.len() > 1 {
        let half = terms.len().div_ceil(2);
        for i in 0..half {
            terms[i] = terms[2 * i] + terms.get(2 * i + 1).copied().unwrap_or(0.0);
        }
        terms.truncate(half);
    }
    terms.pop().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_right_and_pairwise_summation_keeps_small_terms() {
        let terms: Vec<f64> = (1..=1003).map(f64::from).collect();
        assert_eq!(block_sum(&terms), 1003.0 * 502.0);
        assert_eq!(tree_sum(&mut terms.clone()), 1003.0 * 502.0);
        assert_eq!(tree_sum(&mut vec![0.1; 1 << 20]), 0.1 * f64::from(1 << 20));
        assert_eq!(tree_sum(&mut Vec::new()), 0.0);
    }
}
