//! A sample of a network's outputs, which its exporter computed, against those of the network as it was read.

use std::path::Path;

use super::ConfigError;
use crate::data;
use crate::graph::Tensor;
use crate::onnx::Network;

/// The largest difference that is allowed, as a share of the largest number of the sample: float32 in the other program.
const ALLOWED: f64 = 1e-4;
/// Added to it: two units in the last place of 1 in float32, the rounding of a sigmoid of any size.
const ROUNDING: f64 = 2.0 * f32::EPSILON as f64;

/// Compares the outputs of the network of an ONNX file for the inputs `x` with the outputs `y`, two `.npy` files. Returns
/// the result in words.
///
/// # Errors
/// [`ConfigError::Network`] for a file that is no network, or that cannot read `x`; [`ConfigError::Sample`] for files that
/// are not such arrays, and for outputs that differ, with the largest difference and its place.
pub fn check(network: &Path, x: &Path, y: &Path) -> Result<String, ConfigError> {
    let fault = |cause| ConfigError::Network { path: network.into(), cause };
    let array = |path: &Path| data::read_npy(path).map_err(|error| ConfigError::Sample { problem: error.to_string() });
    let read = Network::read(network, &[]).map_err(fault)?;
    let ((shape, inputs), (y_shape, expected)) = (array(x)?, array(y)?);
    let is_code = |value: &f64| value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(value);
    if read.input().tokens && !inputs.iter().all(is_code) {
        let problem = format!("{} has numbers that are no tokens, and the network reads tokens", x.display());
        return Err(ConfigError::Sample { problem });
    }
    let found = read.outputs(&shape, inputs).map_err(fault)?;
    let differs = |what: String| ConfigError::Sample {
        problem: format!("{} does not give {} for {}: {what}", network.display(), y.display(), x.display()),
    };
    if found.data.len() != expected.len() {
        return Err(differs(format!("its outputs have the shape {:?}, and the sample {y_shape:?}", found.shape)));
    }
    let Some((at, difference)) = largest_difference(&found, &expected) else {
        return Err(differs("the sample has no number".to_owned()));
    };
    let size = expected.iter().fold(0.0_f64, |size, value| size.max(value.abs()));
    let place = place(&found.shape, at);
    let place = format!("{difference:.1e} at {place:?} ({:e} and {:e} there)", found.data[at], expected[at]);
    match difference <= ALLOWED * size + ROUNDING {
        true => Ok(format!("the network gives the outputs of {}; largest difference {place}", y.display())),
        false => Err(differs(format!(
            "the largest difference is {place}, more than {ALLOWED:e} of the largest output; export the network and the \
             sample again, from the same state and in eval mode"
        ))),
    }
}

/// The place and size of the largest difference; of a NaN or an infinity on one side, if there is one.
fn largest_difference(found: &Tensor, expected: &[f64]) -> Option<(usize, f64)> {
    let size = |(at, (found, expected)): (usize, (&f64, &f64))| {
        let is_same = found == expected || found.is_nan() && expected.is_nan();
        let difference = if is_same { 0.0 } else { (found - expected).abs() };
        (at, if difference.is_nan() { f64::INFINITY } else { difference })
    };
    found.data.iter().zip(expected).enumerate().map(size).max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// The index of an element in row-major order.
fn place(shape: &[usize], mut at: usize) -> Vec<usize> {
    let mut place = vec![];
    for &size in shape.iter().rev() {
        place.push(at % size.max(1));
        at /= size.max(1);
    }
    place.reverse();
    place
}
