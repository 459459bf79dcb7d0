//! Eigensystem of a symmetric matrix by Jacobi's rotations: additions, products and square roots, so the same bits on every machine.

/// Eigenvalues, and the eigenvectors as columns of a row-major n x n matrix, of the symmetric `a` (Golub & Van Loan, Matrix
/// Computations, section 8.5). In no particular order.
pub fn symmetric(a: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut a = a.to_vec();
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    for _ in 0..SWEEPS {
        let mut turned = false;
        for p in 0..n {
            for q in p + 1..n {
                turned |= rotate(&mut a, &mut vectors, n, p, q);
            }
        }
        if !turned {
            break;
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), vectors)
}

/// Quadratic convergence needs about six for n = 100.
const SWEEPS: usize = 30;

/// Makes a[p, q] zero; false where it is nothing beside the diagonal.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) -> bool {
    let (app, aqq, apq) = (a[p * n + p], a[q * n + q], a[p * n + q]);
    if apq * apq <= 1e-32 * (app * aqq).abs() {
        return false;
    }
    let theta = (aqq - app) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for k in 0..n {
        let (kp, kq) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * kp - s * kq, s * kp + c * kq);
    }
    let (low, high) = a.split_at_mut(q * n);
    let (row_p, row_q) = (&mut low[p * n..p * n + n], &mut high[..n]);
    for (x, y) in row_p.iter_mut().zip(row_q) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
    for row in vectors.chunks_exact_mut(n) {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_vectors_make_the_matrix_again() {
        let n = 7;
        // Condition number near 1e10, and two equal values.
        let mut a: Vec<f64> = (0..n * n).map(|k| 1.0 / (1 + k / n + k % n) as f64).collect();
        (0..n).for_each(|i| a[i * n + i] += if i < 2 { 3.0 } else { 0.0 });
        let (values, vectors) = symmetric(&a, n);
        let entry = |i: usize, j: usize| (0..n).map(|k| vectors[i * n + k] * values[k] * vectors[j * n + k]).sum::<f64>();
        for i in 0..n {
            for j in 0..n {
                assert!((entry(i, j) - a[i * n + j]).abs() < 1e-13, "{i} {j}");
                let dot: f64 = (0..n).map(|k| vectors[k * n + i] * vectors[k * n + j]).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-13, "{i} {j}");
            }
        }
    }
}
