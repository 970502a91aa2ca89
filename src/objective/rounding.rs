//! How far rounding inside a network moves vᵀAv of its Hessian or Gauss–Newton matrix A.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::operator::MatrixProducts;

use crate::curvature::{CurvatureError, dot};
use crate::device::DeviceError;

/// Rounded parameters at which a form is computed again, to see how far rounding moves it.
const SAMPLES: u64 = 4;
/// Rounding errors inside a network, in units of those from changing every parameter by its rounding, one part in 2²³
/// or 2⁵² (found on the networks of `tests/needs/error_bars.rs`).
const AMPLITUDE: f64 = 0.8;
/// A normal error is within this many root mean squares of [`SAMPLES`] others in 99 cases of 100 (Student's t).
const COVERAGE: f64 = 4.60;

impl MatrixProducts {
    /// See [`Operator::form_errors`]. The entries of the matrix are exact derivatives at the parameters, but computed
    /// with rounding. What their rounding does to a form is seen from what rounding the parameters does to it, which
    /// every value of the network feels.
    pub(super) fn form_errors(
        &mut self,
        is_kept: bool,
        vectors: &[&[f64]],
        values: &[f64],
    ) -> Result<Vec<f64>, CurvatureError> {
        let rounding = self.rounding();
        let products: Vec<f64> = vectors.iter().map(|v| rounding * dot(v, v)).collect();
        if !self.amplifies || vectors.is_empty() {
            return Ok(products);
        }
        let failed = |error: DeviceError| CurvatureError::Operator(Box::new(error));
        let (w, largest) = (self.device.read::<f64>(&self.w).map_err(failed)?, self.largest);
        let squares = self.squared_changes(&w, vectors, values);
        let restored = self.device.write(&self.w, &w).and_then(|()| match is_kept {
            true => self.device.run([&self.keep]),
            false => Ok(()),
        });
        restored.map_err(failed)?;
        self.largest = largest;
        let rms = squares?.into_iter().map(|sum| (sum / SAMPLES as f64).sqrt());
        Ok(rms.zip(products).map(|(rms, product)| COVERAGE * AMPLITUDE * rms + product).collect())
    }

    /// The sums of the squared changes of the forms over [`SAMPLES`] roundings of the parameters `w`, which are
    /// replaced.
    fn squared_changes(&mut self, w: &[f64], vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        let mut squares = vec![0.0; vectors.len()];
        let mut products = vec![vec![0.0; self.layout.len()]; vectors.len()];
        for sample in 0..SAMPLES {
            let mut rng = ChaCha8Rng::seed_from_u64(sample);
            let epsilon = self.device.precision().epsilon();
            let ulp = |rng: &mut ChaCha8Rng| if rng.random::<bool>() { epsilon } else { -epsilon };
            let moved: Vec<f64> = w.iter().map(|&x| x + x * ulp(&mut rng)).collect();
            let start = || {
                self.device.write(&self.w, &moved)?;
                self.device.run([&self.keep])
            };
            start().map_err(|error| CurvatureError::Operator(Box::new(error)))?;
            self.apply(true, vectors, &mut products)?;
            for ((sum, (v, product)), value) in squares.iter_mut().zip(vectors.iter().zip(&products)).zip(values) {
                *sum += (dot(v, product) - value).powi(2);
            }
        }
        Ok(squares)
    }
}
