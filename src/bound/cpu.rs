//! Which vector instructions this CPU has, and one source compiled for each kind of CPU.

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

/// `fn name(args) by body`: a function that takes a [`Cpu`] first and runs `body`, an `#[inline(always)]` function with
/// two tile sizes as const parameters, compiled for that kind of CPU. Asking for a kind that the machine lacks gives
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
                    $body::<8, 3>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn v3($($arg: $kind),*) $(-> $out)? {
                    $body::<4, 1>($($arg),*)
                }
                if cpu != Cpu::Any && Cpu::usable().contains(&cpu) {
                    // SAFETY: the machine was just seen to have the instructions.
                    return unsafe { if cpu == Cpu::Avx512 { v4($($arg),*) } else { v3($($arg),*) } };
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = cpu;
            $body::<4, 1>($($arg),*)
        }
    };
}
pub(crate) use compiled_per_cpu;
