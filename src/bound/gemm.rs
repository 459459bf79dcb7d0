//! Small dense f32 products whose every bit is the same on every CPU.
//!
//! Each output element is one chain of fused multiply-adds over the inner index in ascending order, so
//! tiling, vector width and the number of rows handed in at once cannot change it: IEEE 754 defines a
//! fused multiply-add exactly. CPUs older than 2013 (no FMA) compute the same bits in software, slowly.

/// Lanes of the unit all widths are padded to: one AVX-512 register, two of AVX2.
pub const LANES: usize = 16;

/// `width` rounded up to whole lanes.
pub const fn padded(width: usize) -> usize {
    width.div_ceil(LANES) * LANES
}

/// What happens to a finished element before it is stored.
#[derive(Clone, Copy)]
pub enum Finish<'a> {
    Keep,
    /// max(0, v).
    Relu,
    /// v where this matrix (same shape and stride as the output) is positive, else 0: the slope of ReLU.
    Mask(&'a [f32]),
}

/// The left matrix of a product: element (row, inner) is `data[row * row_step + inner * inner_step]`.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    pub data: &'a [f32],
    pub row_step: usize,
    pub inner_step: usize,
}

/// Shape of a product: `out` is rows x columns, the sum runs over `inner`. `columns` is the stride of both
/// `right` and `out`, and a multiple of [`LANES`].
#[derive(Clone, Copy)]
pub struct Shape {
    pub rows: usize,
    pub inner: usize,
    pub columns: usize,
}

/// out = finish(bias + left * right), with tiles of at most `ROWS` x `WIDE` lanes held in registers.
///
/// Inline, so that it takes on the instruction set of the function it is called from.
///
/// # Panics
/// When a slice is too short for `shape`, or `columns` is not a multiple of [`LANES`].
#[inline(always)]
pub fn product<const ROWS: usize, const WIDE: usize>(
    shape: Shape, left: Left, right: &[f32], bias: Option<&[f32]>, finish: Finish, out: &mut [f32],
) {
    check(shape, left, right, bias, finish, out);
    let mut row = 0;
    while row < shape.rows {
        let rest = shape.rows - row;
        row += match rest {
            _ if ROWS >= 8 && rest >= 8 => strip::<8, WIDE>(shape, left, right, bias, finish, out, row),
            _ if ROWS >= 4 && rest >= 4 => strip::<4, WIDE>(shape, left, right, bias, finish, out, row),
            _ if ROWS >= 2 && rest >= 2 => strip::<2, WIDE>(shape, left, right, bias, finish, out, row),
            _ => strip::<1, WIDE>(shape, left, right, bias, finish, out, row),
        };
    }
}

#[inline(always)]
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

/// `R` rows of the product from `row` on; returns `R`.
#[inline(always)]
fn strip<const R: usize, const WIDE: usize>(
    shape: Shape, left: Left, right: &[f32], bias: Option<&[f32]>, finish: Finish, out: &mut [f32], row: usize,
) -> usize {
    let mut column = 0;
    while column < shape.columns {
        let rest = (shape.columns - column) / LANES;
        // SAFETY: `check` proved that every element of `shape` lies inside its slice; row + R <= rows and
        // column + W * LANES <= columns hold here.
        column += unsafe {
            match rest {
                _ if WIDE >= 3 && rest >= 3 && rest != 4 => tile::<R, 3>(shape, left, right, bias, finish, out, row, column),
                _ if WIDE >= 2 && rest >= 2 => tile::<R, 2>(shape, left, right, bias, finish, out, row, column),
                _ => tile::<R, 1>(shape, left, right, bias, finish, out, row, column),
            }
        };
    }
    R
}

/// One tile of `R` rows x `W` * [`LANES`] columns at (row, column); returns its width in columns.
///
/// # Safety
/// The tile must lie inside `shape`, and `shape` inside every slice (see [`check`]).
#[inline(always)]
#[allow(clippy::too_many_arguments, clippy::needless_range_loop)]
unsafe fn tile<const R: usize, const W: usize>(
    shape: Shape, left: Left, right: &[f32], bias: Option<&[f32]>, finish: Finish, out: &mut [f32], row: usize, column: usize,
) -> usize {
    unsafe {
        let mut sums = [[[0f32; LANES]; W]; R];
        if let Some(bias) = bias {
            for w in 0..W {
                let start = *(bias.as_ptr().add(column + w * LANES) as *const [f32; LANES]);
                for r in 0..R {
                    sums[r][w] = start;
                }
            }
        }
        let base = left.data.as_ptr().add(row * left.row_step);
        let mut from = right.as_ptr().add(column);
        for inner in 0..shape.inner {
            let at = base.add(inner * left.inner_step);
            let mut weights = [[0f32; LANES]; W];
            for w in 0..W {
                weights[w] = *(from.add(w * LANES) as *const [f32; LANES]);
            }
            for r in 0..R {
                let a = *at.add(r * left.row_step);
                for w in 0..W {
                    for lane in 0..LANES {
                        sums[r][w][lane] = a.mul_add(weights[w][lane], sums[r][w][lane]);
                    }
                }
            }
            from = from.add(shape.columns);
        }
        for r in 0..R {
            for w in 0..W {
                let at = (row + r) * shape.columns + column + w * LANES;
                finished(&mut sums[r][w], finish, at);
                *(out.as_mut_ptr().add(at) as *mut [f32; LANES]) = sums[r][w];
            }
        }
    }
    W * LANES
}

/// Applies `finish` to one register stored at `at`.
///
/// # Safety
/// `at + LANES` must not exceed the mask.
#[inline(always)]
unsafe fn finished(values: &mut [f32; LANES], finish: Finish, at: usize) {
    match finish {
        Finish::Keep => {}
        Finish::Relu => values.iter_mut().for_each(|v| *v = if *v > 0.0 { *v } else { 0.0 }),
        Finish::Mask(mask) => {
            let mask = unsafe { *(mask.as_ptr().add(at) as *const [f32; LANES]) };
            for lane in 0..LANES {
                values[lane] = if mask[lane] > 0.0 { values[lane] } else { 0.0 };
            }
        }
    }
}

/// Sum of a_i * b_i in sixteen interleaved chains joined by a fixed tree; lengths equal, whole lanes.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; LANES];
    for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
        for lane in 0..LANES {
            sums[lane] = a[lane].mul_add(b[lane], sums[lane]);
        }
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
