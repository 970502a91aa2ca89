//! Small sets that are computed, not read: the values of a Chebyshev polynomial (a regression, as in Cohen et al. 2021)
//! and two spirals (two classes, Lang and Witbrock 1988). Nothing in them is random; test examples lie between the
//! training examples.

use std::f64::consts::PI;

use super::{DataError, Dataset, Examples, ExamplesError, Features, Request, Targets, TargetsAs, TestSize};

/// Points of the Chebyshev set if no number is asked for, as in Cohen et al.
const POINTS: usize = 20;
/// Points of both spirals if no number is asked for, as in Lang and Witbrock.
const SPIRAL_POINTS: usize = 194;
/// The last of the 97 points that Lang and Witbrock place on a spiral, counted from 0.
const LAST: f64 = 96.0;

/// y = T_k(x) = cos(k·arccos x): training points evenly spaced from −1 to 1, both included, and test points in the
/// middle of as many equal intervals as there are of them.
///
/// # Errors
/// [`DataError`] for more points than memory holds, or a share of test examples.
pub(super) fn chebyshev(request: &Request) -> Result<Dataset, DataError> {
    let degree = f64::from(request.options.degree);
    let set = |count: usize, x_of: &dyn Fn(usize) -> f64| -> Result<Examples, ExamplesError> {
        let (mut features, mut values) = (room(count, 1)?, room(count, 1)?);
        for i in 0..count {
            let x = x_of(i) as f32;
            features.push(x);
            values.push((degree * f64::from(x).acos()).cos() as f32);
        }
        Examples::with_targets(Features::Real(features), [1], Targets::Numbers { values, width: 1 })
    };
    let train = if request.train == 0 { POINTS } else { request.train };
    let last = train.saturating_sub(1).max(1) as f64;
    Ok(Dataset {
        train: set(train, &|i| 2.0 * i as f64 / last - 1.0)?,
        test: test_count(request)?.map(|count| set(count, &|i| (2 * i + 1) as f64 / count as f64 - 1.0)).transpose()?,
    })
}

/// Points of two spirals in turn: of the first with angle φ = iπ/16 and radius r = (104 − i)/104 for i from 0 to 96, at
/// (r sin φ, r cos φ), and of the second, opposite to it. The number of points does not change the spirals. Test points
/// are halfway between neighbours.
///
/// # Errors
/// As [`chebyshev`].
pub(super) fn spirals(request: &Request) -> Result<Dataset, DataError> {
    let set = |count: usize, shift: f64, last: f64| -> Result<Examples, ExamplesError> {
        let (mut features, mut labels) = (room(count, 2)?, room(count, 1)?);
        for point in 0..count {
            let i = LAST * ((point / 2) as f64 + shift) / last;
            let (angle, radius) = (PI * i / 16.0, (104.0 - i) / 104.0);
            let side = if point % 2 == 0 { radius } else { -radius };
            features.extend([(side * angle.sin()) as f32, (side * angle.cos()) as f32]);
            labels.push((point % 2) as u32);
        }
        let examples = Examples::new(Features::Real(features), [2], labels, 2)?;
        if request.options.targets == TargetsAs::Signs { examples.with_signs() } else { Ok(examples) }
    };
    let train = if request.train == 0 { SPIRAL_POINTS } else { request.train };
    let intervals = |points: usize| (points.div_ceil(2).saturating_sub(1)).max(1) as f64;
    Ok(Dataset {
        train: set(train, 0.0, intervals(train))?,
        test: test_count(request)?.map(|count| set(count, 0.5, count.div_ceil(2) as f64)).transpose()?,
    })
}

/// The number of test points, if there are any.
fn test_count(request: &Request) -> Result<Option<usize>, DataError> {
    match request.test {
        TestSize::First(0) => Ok(None),
        TestSize::First(count) => Ok(Some(count)),
        TestSize::Share(share) => Err(DataError::ShareOfTwo { file: request.name.to_string(), share }),
    }
}

/// An empty list with room for `count` rows of `width` numbers, if memory holds them.
fn room<T>(count: usize, width: usize) -> Result<Vec<T>, ExamplesError> {
    let mut list = vec![];
    match count.checked_mul(width).map(|len| list.try_reserve_exact(len)) {
        Some(Ok(())) => Ok(list),
        Some(Err(_)) | None => Err(ExamplesError::TooMany { examples: count, shape: vec![width] }),
    }
}
