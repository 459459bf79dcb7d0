//! Small dense linear algebra in plain f64 loops, whose bits do not depend on the CPU.

/// Lower Cholesky factor of the symmetric d x d matrix `a` (row-major), or `None` when it is not positive definite.
pub fn cholesky(a: &[f64], d: usize) -> Option<Vec<f64>> {
    let mut l = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| l[i * d + k] * l[j * d + k]).sum();
            let rest = a[i * d + j] - dot;
            if i == j {
                if rest.is_nan() || rest <= 0.0 || rest.is_infinite() {
                    return None;
                }
                l[i * d + i] = rest.sqrt();
            } else {
                l[i * d + j] = rest / l[j * d + j];
            }
        }
    }
    Some(l)
}

/// Solves L y = b in place.
pub fn solve_lower(l: &[f64], d: usize, b: &mut [f64]) {
    for i in 0..d {
        let dot: f64 = (0..i).map(|k| l[i * d + k] * b[k]).sum();
        b[i] = (b[i] - dot) / l[i * d + i];
    }
}

/// Solves L^T x = y in place.
pub fn solve_upper(l: &[f64], d: usize, y: &mut [f64]) {
    for i in (0..d).rev() {
        let dot: f64 = (i + 1..d).map(|k| l[k * d + i] * y[k]).sum();
        y[i] = (y[i] - dot) / l[i * d + i];
    }
}

/// Inverse of the lower triangular matrix `l`.
pub fn invert_lower(l: &[f64], d: usize) -> Vec<f64> {
    let mut inverse = vec![0.0; d * d];
    for column in 0..d {
        inverse[column * d + column] = 1.0 / l[column * d + column];
        for row in column + 1..d {
            let dot: f64 = (column..row).map(|k| l[row * d + k] * inverse[k * d + column]).sum();
            inverse[row * d + column] = -dot / l[row * d + row];
        }
    }
    inverse
}

/// y = L x for lower triangular `l`.
pub fn lower_times(l: &[f64], d: usize, x: &[f64], y: &mut [f64]) {
    for i in 0..d {
        y[i] = l[i * d..i * d + i + 1].iter().zip(x).map(|(a, b)| a * b).sum();
    }
}

/// Product of two lower triangular matrices.
pub fn lower_product(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let mut product = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            product[i * d + j] = (j..=i).map(|k| a[i * d + k] * b[k * d + j]).sum();
        }
    }
    product
}

/// Weighted mean and covariance (biased) of the points `x` (weights.len() x d); the weights need not add to one.
pub fn moments(x: &[f64], d: usize, weights: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let total: f64 = weights.iter().sum();
    let mut mean = vec![0.0; d];
    for (point, w) in x.chunks_exact(d).zip(weights) {
        for (m, v) in mean.iter_mut().zip(point) {
            *m += w * v;
        }
    }
    mean.iter_mut().for_each(|m| *m /= total);
    let mut covariance = vec![0.0; d * d];
    let mut off = vec![0.0; d];
    for (point, w) in x.chunks_exact(d).zip(weights) {
        for j in 0..d {
            off[j] = point[j] - mean[j];
        }
        for i in 0..d {
            let scaled = w * off[i];
            for j in 0..=i {
                covariance[i * d + j] += scaled * off[j];
            }
        }
    }
    for i in 0..d {
        for j in 0..=i {
            covariance[i * d + j] /= total;
            covariance[j * d + i] = covariance[i * d + j];
        }
    }
    (mean, covariance)
}

/// Cholesky factor of a covariance that may be singular: each variance is raised by a relative trifle until it works.
pub fn robust_cholesky(covariance: &[f64], d: usize) -> Vec<f64> {
    let mut jitter = 1e-13;
    loop {
        let mut raised = covariance.to_vec();
        for i in 0..d {
            let variance = &mut raised[i * d + i];
            *variance += jitter * *variance + jitter * 1e-12;
        }
        if let Some(l) = cholesky(&raised, d) {
            return l;
        }
        jitter *= 10.0;
        if jitter > 1e6 {
            return (0..d * d).map(|k| if k % (d + 1) == 0 { 1e-6 } else { 0.0 }).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_times_its_transpose_is_the_matrix_and_its_inverse_undoes_it() {
        let a = [4.0, 2.0, 0.6, 2.0, 5.0, 1.5, 0.6, 1.5, 3.0];
        let l = cholesky(&a, 3).unwrap();
        for i in 0..3 {
            for j in 0..3 {
                let back: f64 = (0..3).map(|k| l[i * 3 + k] * l[j * 3 + k]).sum();
                assert!((back - a[i * 3 + j]).abs() < 1e-14);
            }
        }
        let unit = lower_product(&l, &invert_lower(&l, 3), 3);
        assert!((0..9).all(|k| (unit[k] - if k % 4 == 0 { 1.0 } else { 0.0 }).abs() < 1e-14));
        let mut x = vec![1.0, 2.0, 3.0];
        solve_lower(&l, 3, &mut x);
        solve_upper(&l, 3, &mut x);
        let back: Vec<f64> = (0..3).map(|i| (0..3).map(|j| a[i * 3 + j] * x[j]).sum()).collect();
        assert!((back[0] - 1.0).abs() < 1e-12 && (back[2] - 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_singular_covariance_still_gets_a_factor() {
        let l = robust_cholesky(&[1.0, 1.0, 1.0, 1.0], 2);
        assert!(l.iter().all(|v| v.is_finite()) && l[3] > 0.0);
        assert!(robust_cholesky(&[0.0], 1)[0] > 0.0);
    }
}
