//! Elementary functions without branches, so that loops over them become vector code: polynomials after a reduction of
//! the argument, in plain multiplications and additions, which have the same bits on every processor.
//!
//! With n = round(x/ln 2) and r = x − n·ln 2, |r| ≤ ln 2 / 2:
//!
//! - eˣ = 2ⁿ·eʳ and eˣ − 1 = 2ⁿ·(eʳ − 1) + (2ⁿ − 1), with the Taylor series of eʳ − 1;
//! - log x = e·ln 2 + 2·atanh((m − 1)/(m + 1)) for x = 2ᵉ·m, m between √½ and √2;
//! - log(1 + t) = 2·atanh(t/(2 + t));
//! - tanh |x| = −u/(u + 2) with u = e^(−2|x|) − 1;
//! - erf x = x + x·P(x²) below 1, and above erf |x| = 1 − e^Q(|x| − 1): `scripts/erf_polynomials.py` fits P and Q.

/// Multiplications, additions and bits of a float, as the series below need them.
pub(super) trait Series: Copy + PartialOrd {
    /// eˣ; 0 where that is too small. It stays finite, as in kernels: from an argument on where it is nearly too large,
    /// it is constant.
    fn exp(self) -> Self;
    /// eˣ − 1
    fn exp_m1(self) -> Self;
    /// log x; NaN below 0.
    fn ln(self) -> Self;
    /// tanh x
    fn tanh(self) -> Self;
    /// 1/(1 + e⁻ˣ)
    fn logistic(self) -> Self;
    /// log(1 + eˣ)
    fn softplus(self) -> Self;
    /// Error function.
    fn erf(self) -> Self;
}

macro_rules! series {
    ($float:ident, $bits:ty, $signed:ty,
     mantissa: $mantissa:expr, bias: $bias:expr, magic: $magic:expr, ln2: [$high:expr, $low:expr],
     exp_range: [$least:expr, $most:expr], tiny: $tiny:expr,
     factorials: [$($factorial:expr),*], odd: [$($odd:expr),*], odd_log1p: [$($odd_log1p:expr),*],
     erf_ends: $erf_ends:expr, erf_near: [$($erf_near:expr),*], log_erfc: [$($log_erfc:expr),*]) => {
        impl Series for $float {
            #[inline(always)]
            fn exp(self) -> Self {
                let (n, r) = reduce(self);
                // Twice half the power: it reaches the subnormal numbers, and infinity.
                let half = n >> 1;
                let value = (1.0 + r * taylor(r)) * power(half) * power(n.wrapping_sub(half));
                let value = if self < $least { 0.0 } else { value };
                if self == self { value } else { self }
            }

            #[inline(always)]
            fn exp_m1(self) -> Self {
                // Above, eˣ − 1 is eˣ in this precision, and 2ⁿ may be too large where eˣ is not.
                let value = if self > 60.0 { Series::exp(self) } else { near_exp_m1(self) };
                if self == self { value } else { self }
            }

            #[inline(always)]
            fn ln(self) -> Self {
                let is_tiny = self < <$float>::MIN_POSITIVE;
                let x = if is_tiny { self * (1.0 / <$float>::EPSILON) } else { self };
                let bits = x.to_bits();
                // Shifted so that the exponent changes at √½.
                let shifted = bits.wrapping_sub(SQRT_HALF.to_bits()) as $signed;
                let exponent = shifted >> $mantissa;
                let m = <$float>::from_bits(bits.wrapping_sub((exponent as $bits) << $mantissa));
                let e = exponent as $float - if is_tiny { $tiny } else { 0.0 };
                let s = (m - 1.0) / (m + 1.0);
                let q = s * s;
                let tail = s * q * poly(q, &[$($odd),*]);
                let value = e * $high + (2.0 * s + (2.0 * tail + e * $low));
                let value = if self == 0.0 { -<$float>::INFINITY } else { value };
                let value = if self < 0.0 { <$float>::NAN } else { value };
                if self < <$float>::INFINITY { value } else { self }
            }

            #[inline(always)]
            fn tanh(self) -> Self {
                let u = near_exp_m1(-2.0 * self.abs());
                let value = (-u / (u + 2.0)).copysign(self);
                if self == self { value } else { self }
            }

            #[inline(always)]
            fn logistic(self) -> Self {
                let t = Series::exp(-self.abs());
                let numerator = if self < 0.0 { t } else { 1.0 };
                numerator / (1.0 + t)
            }

            #[inline(always)]
            fn softplus(self) -> Self {
                let t = Series::exp(-self.abs());
                let s = t / (2.0 + t);
                let value = 2.0 * s * poly(s * s, &[1.0, $($odd_log1p),*]);
                if self > 0.0 { self + value } else { value }
            }

            #[inline(always)]
            fn erf(self) -> Self {
                let size = self.abs();
                let size = if size > $erf_ends { $erf_ends } else { size };
                let near = self + self * poly(size * size, &[$($erf_near),*]);
                let far = (1.0 - Series::exp(poly(size - 1.0, &[$($log_erfc),*]))).copysign(self);
                let value = if size < 1.0 { near } else { far };
                if self == self { value } else { self }
            }
        }

        #[inline(always)]
        fn poly<const N: usize>(x: $float, coefficients: &[$float; N]) -> $float {
            let mut value = coefficients[N - 1];
            for i in (0..N - 1).rev() {
                value = value * x + coefficients[i];
            }
            value
        }

        /// eˣ − 1 up to where it is eˣ in this precision
        #[inline(always)]
        fn near_exp_m1(x: $float) -> $float {
            let x = if x < -40.0 { -40.0 } else { x };
            let (n, r) = reduce(x);
            let scale = power(if n > $bias { $bias } else { n });
            scale * (r * taylor(r)) + (scale - 1.0)
        }

        /// (eʳ − 1)/r
        #[inline(always)]
        fn taylor(r: $float) -> $float {
            poly(r, &[$(1.0 / $factorial),*])
        }

        /// n and r of the module text. The sum with `magic` rounds.
        #[inline(always)]
        fn reduce(x: $float) -> ($signed, $float) {
            let x = if x < $least { $least } else { x };
            let x = if x > $most { $most } else { x };
            let rounded = x * std::$float::consts::LOG2_E + $magic;
            let n = rounded - $magic;
            let bits = rounded.to_bits().wrapping_sub(<$float>::to_bits($magic)) as $signed;
            (bits, (x - n * $high) - n * $low)
        }

        /// 2ⁿ of a normal number.
        #[inline(always)]
        fn power(n: $signed) -> $float {
            <$float>::from_bits((n.wrapping_add($bias) as $bits) << $mantissa)
        }
    };
}

mod single {
    use super::Series;
    const SQRT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;

    series! {
        f32, u32, i32,
        mantissa: 23, bias: 127, magic: 12_582_912.0, ln2: [0.693_359_4, -2.121_944_4e-4],
        exp_range: [-104.0, 88.0], tiny: 23.0,
        factorials: [1.0, 2.0, 6.0, 24.0, 120.0, 720.0, 5040.0],
        odd: [1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0],
        odd_log1p: [1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0],
        erf_ends: 4.0,
        erf_near: [
            0.128_379_17, -0.376_126_26, 0.112_835_854, -0.026_853_815, 0.005_188_330_5, -0.000_801_020_24, 7.853_85e-5
        ],
        log_erfc: [
            -1.849_605_6, -2.638_966_8, -0.843_118_3, -0.041_500_68, 0.009_890_879, -0.001_826_153_3, 0.000_185_571_29
        ]
    }
}

mod double {
    use super::Series;
    const SQRT_HALF: f64 = std::f64::consts::FRAC_1_SQRT_2;

    series! {
        f64, u64, i64,
        mantissa: 52, bias: 1023, magic: 6_755_399_441_055_744.0,
        ln2: [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10],
        exp_range: [-746.0, 709.0], tiny: 52.0,
        factorials: [
            1.0, 2.0, 6.0, 24.0, 120.0, 720.0, 5040.0, 40_320.0, 362_880.0, 3_628_800.0, 39_916_800.0, 479_001_600.0,
            6_227_020_800.0, 87_178_291_200.0
        ],
        odd: [
            1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0, 1.0 / 17.0, 1.0 / 19.0,
            1.0 / 21.0
        ],
        odd_log1p: [
            1.0 / 3.0, 1.0 / 5.0, 1.0 / 7.0, 1.0 / 9.0, 1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0, 1.0 / 17.0, 1.0 / 19.0,
            1.0 / 21.0, 1.0 / 23.0, 1.0 / 25.0, 1.0 / 27.0, 1.0 / 29.0, 1.0 / 31.0, 1.0 / 33.0, 1.0 / 35.0
        ],
        erf_ends: 6.0,
        erf_near: [
            0.128_379_167_095_512_6, -0.376_126_389_031_837_5, 0.112_837_916_709_548_58, -0.026_866_170_645_072_96,
            0.005_223_977_624_781_37, -0.000_854_832_697_876_514_9, 0.000_120_553_310_375_511_08,
            -1.492_559_351_872_822_6e-5, 1.646_097_295_415_376_5e-6, -1.635_002_619_207_727e-7,
            1.465_788_353_092_965_3e-8, -1.136_567_067_182_716e-9, 5.945_255_584_223_488e-11
        ],
        log_erfc: [
            -1.849_605_509_933_248_2, -2.638_967_514_234_788, -0.843_107_256_358_676_6, -0.041_561_098_041_811_344,
            0.010_033_825_374_426_606, -0.001_977_902_567_951_1, 0.000_237_322_481_319_118_64,
            2.627_787_633_661_376e-5, -2.715_911_648_039_128_3e-5, 9.608_909_106_792_167e-6,
            -2.059_784_077_285_220_5e-6, 1.428_868_978_699_197_8e-7, 9.753_951_167_405_214e-8,
            -5.203_400_959_499_765e-8, 1.491_009_140_730_118e-8, -2.863_707_512_082_239e-9,
            3.681_943_317_822_616_5e-10, -2.881_041_774_138_11e-11, 1.038_878_883_984_403e-12
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Series;

    /// Largest error in units of the last place of the true value, over arguments between two bounds and a few others.
    fn worst_f32(f: impl Fn(f32) -> f32, truth: impl Fn(f64) -> f64, range: [f32; 2]) -> f64 {
        let n = 200_000;
        let at = |i: i32| range[0] + (range[1] - range[0]) * (i as f32 / n as f32);
        let error = |x: f32| {
            let (found, exact) = (f64::from(f(x)), truth(f64::from(x)));
            let ulp = f64::from(f32::EPSILON) * exact.abs().max(f64::from(f32::MIN_POSITIVE));
            if found == exact { 0.0 } else { (found - exact).abs() / ulp }
        };
        (0..=n).map(|i| error(at(i))).fold(0.0, f64::max)
    }

    /// The same against the standard library's functions, which are off by less than one unit themselves.
    fn worst_f64(f: impl Fn(f64) -> f64, truth: impl Fn(f64) -> f64, range: [f64; 2]) -> f64 {
        let n = 200_000;
        let error = |x: f64| {
            let (found, exact) = (f(x), truth(x));
            let ulp = f64::EPSILON * exact.abs().max(f64::MIN_POSITIVE);
            if found == exact { 0.0 } else { (found - exact).abs() / ulp }
        };
        (0..=n).map(|i| error(range[0] + (range[1] - range[0]) * (f64::from(i) / f64::from(n)))).fold(0.0, f64::max)
    }

    fn logistic(x: f64) -> f64 {
        if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) }
    }

    fn softplus(x: f64) -> f64 {
        x.max(0.0) + (-x.abs()).exp().ln_1p()
    }

    #[test]
    fn single_precision_is_right_to_a_few_units() {
        for range in [[-104.0, 88.0], [-7.0, 7.0], [-1.0, 1.0], [-1e-3, 1e-3]] {
            for (name, error) in [
                ("exp", worst_f32(Series::exp, f64::exp, range)),
                ("exp_m1", worst_f32(Series::exp_m1, f64::exp_m1, range)),
                ("tanh", worst_f32(Series::tanh, f64::tanh, range)),
                ("logistic", worst_f32(Series::logistic, logistic, range)),
                ("softplus", worst_f32(Series::softplus, softplus, range)),
                ("erf", worst_f32(Series::erf, libm::erf, range)),
                ("ln", worst_f32(|x| Series::ln(x.abs()), |x| x.abs().ln(), range)),
            ] {
                assert!(error <= 4.0, "{name} in {range:?}: {error} units");
            }
        }
        let error = worst_f32(|x| Series::ln(x * 1e-40), |x| f64::from(x as f32 * 1e-40).ln(), [1.0, 1000.0]);
        assert!(error <= 4.0, "ln of subnormal numbers: {error} units");
    }

    #[test]
    fn double_precision_is_right_to_a_few_units() {
        for range in [[-700.0, 709.0], [-7.0, 7.0], [-1.0, 1.0], [-1e-3, 1e-3]] {
            for (name, error) in [
                ("exp", worst_f64(Series::exp, f64::exp, range)),
                ("exp_m1", worst_f64(Series::exp_m1, f64::exp_m1, range)),
                ("tanh", worst_f64(Series::tanh, f64::tanh, range)),
                ("logistic", worst_f64(Series::logistic, logistic, range)),
                ("softplus", worst_f64(Series::softplus, softplus, range)),
                ("erf", worst_f64(Series::erf, libm::erf, range)),
                ("ln", worst_f64(|x| Series::ln(x.abs()), |x| x.abs().ln(), range)),
            ] {
                assert!(error <= 5.0, "{name} in {range:?}: {error} units");
            }
        }
    }

    #[test]
    fn ends_and_nan_are_those_of_the_standard_library_or_finite() {
        for x in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0, -0.0, 1e4, -1e4, f32::MAX, f32::MIN, -1.0] {
            let wide = f64::from(x);
            let most = |x: f64| if x > 88.0 { 88.0 } else { x };
            for (name, found, exact) in [
                ("exp", Series::exp(x), most(wide).exp()),
                ("exp_m1", Series::exp_m1(x), most(wide).exp_m1()),
                ("ln", Series::ln(x), wide.ln()),
                ("tanh", Series::tanh(x), wide.tanh()),
                ("logistic", Series::logistic(x), logistic(wide)),
                ("softplus", Series::softplus(x), softplus(wide)),
                ("erf", Series::erf(x), libm::erf(wide)),
            ] {
                let exact = if name == "logistic" && x == f32::NEG_INFINITY { 0.0 } else { exact as f32 };
                let is_near = found == exact || (found - exact).abs() <= 2.0 * f32::EPSILON * exact.abs();
                assert!(is_near || found.is_nan() && exact.is_nan(), "{name}({x}) is {found}, not {exact}");
            }
        }
    }
}
