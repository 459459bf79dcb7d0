//! Small dense f32 products whose every bit is the same on every CPU.
//!
//! Each output element is one chain of fused multiply-adds over the inner index in ascending order, so
//! tiling, vector width and the number of rows handed in at once cannot change it: IEEE 754 defines a
//! fused multiply-add exactly. CPUs older than 2013 (no FMA) compute the same bits in software, slowly.

use super::cpu::Lanes;

/// Lanes of the unit all widths are padded to: one AVX-512 register, two of AVX2.
pub(super) const LANES: usize = 16;

/// `width` rounded up to whole lanes.
pub(super) const fn padded(width: usize) -> usize {
    width.div_ceil(LANES) * LANES
}

/// What happens to a finished element before it is stored.
#[derive(Clone, Copy)]
pub(super) enum Finish<'a> {
    Keep,
    /// max(0, v).
    Relu,
    /// v where this matrix (same shape and stride as the output) is positive, else 0: the slope of ReLU.
    Mask(&'a [f32]),
}

/// The left matrix of a product: element (row, inner) is `data[row * row_step + inner * inner_step]`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub data: &'a [f32],
    pub row_step: usize,
    pub inner_step: usize,
}

/// Shape of a product: `out` is rows x columns, the sum runs over `inner`. `columns` is the stride of both
/// `right` and `out`, and a multiple of [`LANES`].
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
}

/// out = finish(bias + left * right), with tiles of at most `ROWS` x `WIDE` vectors held in registers.
///
/// Inline, so that it takes on the instruction set of the function it is called from, which must have that of `V`.
///
/// # Panics
/// When a slice is too short for `shape`, or `columns` is not a multiple of [`LANES`].
#[inline(always)]
pub(super) fn product<V: Lanes, const ROWS: usize, const WIDE: usize>(
    shape: Shape,
    left: Left,
    right: &[f32],
    bias: Option<&[f32]>,
    finish: Finish,
    out: &mut [f32],
) {
    check(shape, left, right, bias, finish, out);
    let job = Job { shape, left, right, bias, finish };
    let mut row = 0;
    while row < shape.rows {
        let rest = shape.rows - row;
        // SAFETY: `check` proved that every element of `shape` lies inside its slice; row + R <= rows holds here.
        unsafe {
            if ROWS >= 8 && rest >= 8 {
                strip::<V, 8, WIDE>(&job, row, out);
                row += 8;
            } else if ROWS >= 4 && rest >= 4 {
                strip::<V, 4, WIDE>(&job, row, out);
                row += 4;
            } else if ROWS >= 2 && rest >= 2 {
                strip::<V, 2, WIDE>(&job, row, out);
                row += 2;
            } else {
                strip::<V, 1, WIDE>(&job, row, out);
                row += 1;
            }
        }
    }
}

/// What a tile reads.
struct Job<'a> {
    shape: Shape,
    left: Left<'a>,
    right: &'a [f32],
    bias: Option<&'a [f32]>,
    finish: Finish<'a>,
}

fn check(shape: Shape, left: Left, right: &[f32], bias: Option<&[f32]>, finish: Finish, out: &[f32]) {
    let Shape { rows, inner, columns } = shape;
    assert!(columns.is_multiple_of(LANES), "{columns} columns are not whole lanes of {LANES}");
    assert!(out.len() >= rows * columns && right.len() >= inner * columns, "matrix shorter than its shape");
    if rows > 0 && inner > 0 {
        let last = (rows - 1) * left.row_step + (inner - 1) * left.inner_step;
        assert!(last < left.data.len(), "left matrix shorter than its shape");
    }
    assert!(bias.is_none_or(|b| b.len() >= columns), "bias shorter than {columns} columns");
    if let Finish::Mask(mask) = finish {
        assert!(mask.len() >= rows * columns, "mask shorter than its shape");
    }
}

/// `R` rows of the product from `row` on.
///
/// # Safety
/// The rows must lie inside the shape, and the shape inside every slice (see [`check`]).
#[inline(always)]
unsafe fn strip<V: Lanes, const R: usize, const WIDE: usize>(job: &Job, row: usize, out: &mut [f32]) {
    let mut column = 0;
    while column < job.shape.columns {
        let rest = (job.shape.columns - column) / LANES;
        unsafe {
            // Four is two and two, not three and one.
            if WIDE >= 3 && rest >= 3 && rest != 4 {
                tile::<V, R, 3>(job, row, column, out);
                column += 3 * LANES;
            } else if WIDE >= 2 && rest >= 2 {
                tile::<V, R, 2>(job, row, column, out);
                column += 2 * LANES;
            } else {
                tile::<V, R, 1>(job, row, column, out);
                column += LANES;
            }
        }
    }
}

/// One tile of `R` rows x `W` vectors at (row, column).
///
/// # Safety
/// As for [`strip`], and the CPU must have the instructions of `V`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
unsafe fn tile<V: Lanes, const R: usize, const W: usize>(job: &Job, row: usize, column: usize, out: &mut [f32]) {
    let Job { shape, left, .. } = *job;
    unsafe {
        let mut sums = [[V::splat(0.0); W]; R];
        if let Some(bias) = job.bias {
            for w in 0..W {
                let start = V::load(bias.as_ptr().add(column + w * LANES));
                for r in 0..R {
                    sums[r][w] = start;
                }
            }
        }
        let mut at = left.data.as_ptr().wrapping_add(row * left.row_step);
        let mut from = job.right.as_ptr().wrapping_add(column);
        for _ in 0..shape.inner {
            let mut weights = [V::splat(0.0); W];
            for w in 0..W {
                weights[w] = V::load(from.add(w * LANES));
            }
            for r in 0..R {
                let a = V::splat(*at.add(r * left.row_step));
                for w in 0..W {
                    sums[r][w] = a.mul_add(weights[w], sums[r][w]);
                }
            }
            at = at.wrapping_add(left.inner_step);
            from = from.wrapping_add(shape.columns);
        }
        for r in 0..R {
            for w in 0..W {
                let at = (row + r) * shape.columns + column + w * LANES;
                let value = match job.finish {
                    Finish::Keep => sums[r][w],
                    Finish::Relu => sums[r][w].where_positive(sums[r][w]),
                    Finish::Mask(mask) => sums[r][w].where_positive(V::load(mask.as_ptr().add(at))),
                };
                value.store(out.as_mut_ptr().add(at));
            }
        }
    }
}

/// Sum of a_i * b_i in sixteen interleaved chains joined by a fixed tree; the length is whole lanes.
///
/// # Panics
/// When `b` is shorter than `a`.
#[inline(always)]
pub(super) fn dot<V: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    assert!(a.len() <= b.len() && a.len().is_multiple_of(LANES));
    let mut sums = [0f32; LANES];
    // SAFETY: all reads end before a.len() <= b.len(); the write fills `sums`.
    unsafe {
        let mut sum = V::splat(0.0);
        for at in (0..a.len()).step_by(LANES) {
            sum = V::load(a.as_ptr().add(at)).mul_add(V::load(b.as_ptr().add(at)), sum);
        }
        sum.store(sums.as_mut_ptr());
    }
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
        half /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn a_product_is_the_chain_of_fused_multiply_adds_of_each_element() {
        for (rows, inner, columns) in [(1, 1, 16), (3, 7, 48), (8, 5, 64), (15, 20, 112), (2, 0, 32)] {
            let (left, right) = (numbers(rows * inner, 0.7), numbers(inner * columns, 0.3));
            let (bias, mask) = (numbers(columns, 1.1), numbers(rows * columns, 2.3));
            let mut out = vec![f32::NAN; rows * columns];
            let by_row = Left { data: &left, row_step: inner, inner_step: 1 };
            let shape = Shape { rows, inner, columns };
            product::<[f32; LANES], 8, 3>(shape, by_row, &right, Some(&bias), Finish::Mask(&mask), &mut out);
            for (at, got) in out.iter().enumerate() {
                let (row, column) = (at / columns, at % columns);
                let chain = (0..inner).fold(bias[column], |sum, k| left[row * inner + k].mul_add(right[k * columns + column], sum));
                assert_eq!(*got, if mask[at] > 0.0 { chain } else { 0.0 }, "{rows} x {inner} x {columns} at {row}, {column}");
            }
        }
    }

    #[test]
    fn a_left_matrix_may_be_read_by_columns() {
        let (left, right) = (numbers(5 * 3, 0.9), numbers(5 * 16, 0.2));
        let mut out = vec![0f32; 3 * 16];
        let by_column = Left { data: &left, row_step: 1, inner_step: 3 };
        product::<[f32; LANES], 4, 1>(Shape { rows: 3, inner: 5, columns: 16 }, by_column, &right, None, Finish::Relu, &mut out);
        let chain = (0..5).fold(0f32, |sum, k| left[k * 3 + 2].mul_add(right[k * 16 + 4], sum));
        assert_eq!(out[2 * 16 + 4], chain.max(0.0));
    }

    #[test]
    #[should_panic(expected = "shorter than its shape")]
    fn a_matrix_that_is_too_short_is_refused() {
        let left = Left { data: &[1.0; 4], row_step: 2, inner_step: 1 };
        product::<[f32; LANES], 4, 1>(Shape { rows: 2, inner: 3, columns: 16 }, left, &[0.0; 48], None, Finish::Keep, &mut [0.0; 32]);
    }
}
