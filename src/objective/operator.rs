//! The Hessian of an objective, its Gauss–Newton matrix and the official code's difference of gradients, as [`Operator`]s
//! for the eigensolvers.
//!
//! One product uploads v rounded to f32, runs the recording and reads the result back; the solver's vectors stay on the
//! host in f64 (see `curvature`).

use crate::curvature::{CurvatureError, Operator};
use crate::gpu::{Buffer, Gpu, GpuError, Recording};

use super::Objective;

/// Shared by the operators: a recorded product and the vectors it goes between.
struct Product {
    gpu: Gpu,
    dim: usize,
    v: Buffer,
    result: Buffer,
    recording: Recording,
}

impl Product {
    fn new(
        objective: &mut Objective,
        record: impl FnOnce(&mut Objective, &Buffer, &Buffer) -> Result<Recording, GpuError>,
    ) -> Result<Self, GpuError> {
        let (v, result) = (objective.vector("v")?, objective.vector("a curvature product")?);
        let recording = record(objective, &v, &result)?;
        Ok(Self { gpu: objective.gpu().clone(), dim: objective.layout().len(), v, result, recording })
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        let wrap = |error: GpuError| CurvatureError::Operator(Box::new(error));
        let rounded: Vec<f32> = v.iter().map(|&x| x as f32).collect();
        self.gpu.write(&self.v, &rounded);
        self.gpu.run([&self.recording]).map_err(wrap)?;
        let product = self.gpu.read::<f32>(&self.result).map_err(wrap)?;
        for (out, x) in out.iter_mut().zip(product) {
            *out = f64::from(x);
        }
        Ok(())
    }
}

macro_rules! operator {
    ($(#[$doc:meta])* $name:ident, $record:ident) => {
        $(#[$doc])*
        pub struct $name(Product);

        impl $name {
            /// Records the product at the parameters that `w` holds whenever it is applied.
            ///
            /// # Errors
            /// Compilation or device errors.
            pub fn new(objective: &mut Objective, w: &Buffer) -> Result<Self, GpuError> {
                Ok(Self(Product::new(objective, |objective, v, result| objective.$record(w, v, result))?))
            }

            /// What one product runs.
            pub fn recording(&self) -> &Recording {
                &self.0.recording
            }
        }

        impl Operator for $name {
            fn dim(&self) -> usize {
                self.0.dim
            }

            fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
                self.0.apply(v, out)
            }
        }
    };
}

operator! {
    /// The exact Hessian of an objective.
    HessianOperator, hvp
}

operator! {
    /// The generalised Gauss–Newton matrix of an objective.
    GaussNewtonOperator, ggn
}

operator! {
    /// The official code's difference of gradients in the Hessian's place, see [`Objective::difference`]. On unit vectors
    /// only, and neither linear nor symmetric where the network has kinks.
    DifferenceOperator, difference
}
