//! Which vector instructions this CPU has, and one source compiled for each kind of CPU.

use super::gemm::LANES;

/// A kind of CPU that the hot loops are compiled for. All kinds compute the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// AVX-512 F, VL, DQ, BW and FMA (x86-64-v4).
    Avx512,
    /// AVX2 and FMA (x86-64-v3).
    Avx2,
    /// Whatever the target has for certain.
    Any,
}

impl Cpu {
    /// The best kind this machine can run.
    pub fn best() -> Cpu {
        Self::usable()[0]
    }

    /// Every kind this machine can run, best first.
    pub fn usable() -> &'static [Cpu] {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                let v4 = has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw");
                return if v4 { &[Cpu::Avx512, Cpu::Avx2, Cpu::Any] } else { &[Cpu::Avx2, Cpu::Any] };
            }
        }
        &[Cpu::Any]
    }
}

/// `fn name(args) by body`: a function that takes a [`Cpu`] first and runs `body`, an `#[inline(always)]` function of a
/// [`Lanes`] type and two tile sizes, compiled for that kind of CPU. Asking for a kind that the machine lacks gives
/// the plain version.
macro_rules! compiled_per_cpu {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)? , by $body:ident) => {
        $(#[$doc])*
        $vis fn $name(cpu: $crate::bound::cpu::Cpu, $($arg: $kind),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::bound::cpu::Cpu;
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn v4($($arg: $kind),*) $(-> $out)? {
                    $body::<std::arch::x86_64::__m512, 8, 3>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn v3($($arg: $kind),*) $(-> $out)? {
                    $body::<[std::arch::x86_64::__m256; 2], 4, 1>($($arg),*)
                }
                if cpu != Cpu::Any && Cpu::usable().contains(&cpu) {
                    // SAFETY: the machine was just seen to have the instructions.
                    return unsafe { if cpu == Cpu::Avx512 { v4($($arg),*) } else { v3($($arg),*) } };
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = cpu;
            $body::<[f32; $crate::bound::gemm::LANES], 4, 1>($($arg),*)
        }
    };
}
pub(crate) use compiled_per_cpu;

/// Sixteen f32, in whatever registers a kind of CPU has.
///
/// # Safety
/// Of all methods: the CPU has the instructions of the type, and pointers are good for sixteen numbers. Call them only
/// from functions compiled for that CPU, or each becomes a call.
pub(super) trait Lanes: Copy {
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// self * factor + sum, rounded once.
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self;
    /// self where `mask` > 0, else 0 (also where `mask` is not a number).
    unsafe fn where_positive(self, mask: Self) -> Self;
}

impl Lanes for [f32; LANES] {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { *(from as *const Self) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { *(to as *mut Self) = self }
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
        std::array::from_fn(|i| self[i].mul_add(factor[i], sum[i]))
    }
    #[inline(always)]
    unsafe fn where_positive(self, mask: Self) -> Self {
        std::array::from_fn(|i| if mask[i] > 0.0 { self[i] } else { 0.0 })
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    impl Lanes for __m512 {
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            unsafe { _mm512_fmadd_ps(self, factor, sum) }
        }
        #[inline(always)]
        unsafe fn where_positive(self, mask: Self) -> Self {
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(mask, _mm512_setzero_ps()), self) }
        }
    }

    impl Lanes for [__m256; 2] {
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { [_mm256_set1_ps(value); 2] }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                _mm256_storeu_ps(to, self[0]);
                _mm256_storeu_ps(to.add(8), self[1]);
            }
        }
        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, sum: Self) -> Self {
            unsafe { [_mm256_fmadd_ps(self[0], factor[0], sum[0]), _mm256_fmadd_ps(self[1], factor[1], sum[1])] }
        }
        #[inline(always)]
        unsafe fn where_positive(self, mask: Self) -> Self {
            unsafe {
                let zero = _mm256_setzero_ps();
                let some = [_mm256_cmp_ps::<_CMP_GT_OQ>(mask[0], zero), _mm256_cmp_ps::<_CMP_GT_OQ>(mask[1], zero)];
                [_mm256_and_ps(some[0], self[0]), _mm256_and_ps(some[1], self[1])]
            }
        }
    }
}
