//! The Hessian of an objective, its Gauss–Newton matrix and the official code's difference of gradients, as
//! [`Operator`]s for the eigensolvers. A product uploads v, rounded to the device's precision, runs the recording and
//! reads the result back; the solver's vectors stay on the host in f64.

use std::ops::Range;

use super::Objective;
use super::linear::{Products, Vectors};
use super::problem::Matrix;
use crate::curvature::{CurvatureError, Operator, check_lengths};
use crate::device::{Buffer, Device, DeviceError, Recording};
use crate::model::Layout;

/// Vectors that a block product multiplies at once.
pub const BLOCK: usize = 4;

/// A recorded product with its input and output: one vector, or several side by side.
struct Product {
    v: Buffer,
    result: Buffer,
    recording: Recording,
}

impl Product {
    fn buffers(objective: &Objective, count: usize) -> Result<[Buffer; 2], DeviceError> {
        let len = count * objective.layout().device_len();
        let (v, result) =
            (objective.device().buffer("v", len)?, objective.device().buffer("a curvature product", len)?);
        objective.device().prepare_read(&result)?;
        Ok([v, result])
    }

    /// Runs the product, after `first` if given, and returns all elements of its result.
    fn run(&self, device: &Device, first: Option<&Recording>, v: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        let run = || {
            device.write(&self.v, v)?;
            device.run(first.into_iter().chain([&self.recording]))?;
            device.read::<f64>(&self.result)
        };
        run().map_err(|error| CurvatureError::Operator(Box::new(error)))
    }

    /// The product with one vector.
    fn apply(
        &self,
        device: &Device,
        first: Option<&Recording>,
        v: &[f64],
        out: &mut [f64],
    ) -> Result<(), CurvatureError> {
        out.iter_mut().zip(self.run(device, first, v)?).for_each(|(out, x)| *out = x);
        Ok(())
    }
}

/// Products with a matrix of an objective.
pub(super) struct MatrixProducts {
    pub(super) device: Device,
    pub(super) w: Buffer,
    /// Whether the model has values that amplify rounding
    /// ([`Problem::normalises`](super::problem::Problem::normalises)).
    pub(super) amplifies: bool,
    pub(super) layout: Layout,
    /// Must run before a product when the parameters have changed.
    pub(super) keep: Recording,
    one: Product,
    block: Option<Product>,
    /// Products with the shares of groups of examples, from the buffers of `one`.
    groups: Vec<Recording>,
    /// The largest ‖Av‖/‖v‖ seen at these parameters.
    pub(super) largest: f64,
}

/// The error of a product relative to the largest, in units of the device's rounding: some four times that of networks
/// in the tests (`cargo test objective -- --nocapture` prints it).
const PRODUCT_ERROR: f64 = 1e-6 / f32::EPSILON as f64;

/// The error of a product on a device relative to the largest.
fn product_error(device: &Device) -> f64 {
    PRODUCT_ERROR * device.precision().epsilon()
}

impl MatrixProducts {
    fn new(
        objective: &mut Objective,
        matrix: Matrix,
        w: &Buffer,
        blocks: bool,
        groups: &[Range<usize>],
    ) -> Result<Self, DeviceError> {
        let counts: &[usize] = if blocks && objective.block_fits(matrix, BLOCK)? { &[1, BLOCK] } else { &[1] };
        let buffers = counts.iter().map(|&count| Product::buffers(objective, count)).collect::<Result<Vec<_>, _>>()?;
        let all = 0..objective.plan().chunks;
        let mut vectors: Vec<Vectors<'_>> = (buffers.iter().zip(counts))
            .map(|([v, result], &count)| Vectors { count, chunks: all.clone(), v, result })
            .collect();
        let [v, result] = &buffers[0];
        vectors.extend(groups.iter().map(|group| Vectors { count: 1, chunks: group.clone(), v, result }));
        let Products { keep, products } = objective.products(matrix, w, &vectors)?;
        let mut recordings = products.into_iter();
        let mut products =
            (buffers.into_iter().zip(&mut recordings)).map(|([v, result], recording)| Product { v, result, recording });
        let one = products.next().expect("the first count is 1");
        let block = products.next();
        drop(products);
        Ok(Self {
            device: objective.device().clone(),
            w: w.clone(),
            amplifies: objective.problem.normalises()?,
            layout: objective.layout().clone(),
            keep,
            one,
            block,
            groups: recordings.collect(),
            largest: 0.0,
        })
    }

    /// See [`Operator::rounding`].
    pub(super) fn rounding(&self) -> f64 {
        product_error(&self.device) * self.largest
    }

    /// The product with the share of a group in the matrix, after the shared part has run.
    fn apply_group(&self, group: usize, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        check_lengths(self.layout.len(), [v.len()], [out.len()])?;
        let Product { v: input, result, .. } = &self.one;
        let product = Product { v: input.clone(), result: result.clone(), recording: self.groups[group].clone() };
        product.apply(&self.device, None, v, out)
    }

    /// Products with each of `vectors`; `is_kept` means that their shared part has already run.
    pub(super) fn apply(
        &mut self,
        is_kept: bool,
        vectors: &[&[f64]],
        out: &mut [impl AsMut<[f64]>],
    ) -> Result<(), CurvatureError> {
        let lens = out.iter_mut().map(|out| out.as_mut().len());
        check_lengths(self.layout.len(), vectors.iter().map(|v| v.len()), lens)?;
        let first = (!is_kept).then_some(&self.keep);
        for (vectors, out) in vectors.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
            match &self.block {
                // A partial block costs as much as a full one.
                Some(block) if vectors.len() == BLOCK => self.apply_full(block, first, vectors, out)?,
                _ => {
                    for (v, out) in vectors.iter().zip(out) {
                        self.one.apply(&self.device, first, v, out.as_mut())?;
                    }
                }
            }
        }
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        for (v, product) in vectors.iter().zip(out) {
            let of_v = square(v);
            if of_v > 0.0 {
                self.largest = self.largest.max((square(product.as_mut()) / of_v).sqrt());
            }
        }
        Ok(())
    }

    /// Products with [`BLOCK`] vectors at once.
    fn apply_full(
        &self,
        block: &Product,
        first: Option<&Recording>,
        vectors: &[&[f64]],
        out: &mut [impl AsMut<[f64]>],
    ) -> Result<(), CurvatureError> {
        let mut packed = vec![0.0; block.v.len()];
        let tensors: Vec<(usize, usize)> =
            self.layout.iter().map(|(param, offset)| (offset, param.shape.iter().product())).collect();
        for (i, v) in vectors.iter().enumerate() {
            for &(offset, len) in &tensors {
                let to = &mut packed[BLOCK * offset + i * len..][..len];
                to.iter_mut().zip(&v[offset..offset + len]).for_each(|(to, &x)| *to = x);
            }
        }
        let result = block.run(&self.device, first, &packed)?;
        for (i, out) in out.iter_mut().enumerate() {
            for &(offset, len) in &tensors {
                let from = &result[BLOCK * offset + i * len..][..len];
                out.as_mut()[offset..offset + len].iter_mut().zip(from).for_each(|(to, &x)| *to = x);
            }
        }
        Ok(())
    }
}

macro_rules! operator {
    ($(#[$doc:meta])* $name:ident, $matrix:expr) => {
        $(#[$doc])*
        pub struct $name(MatrixProducts);

        impl $name {
            /// Records products at the parameters in `w` at the time of each product.
            ///
            /// # Errors
            /// Compilation or device errors.
            pub fn new(objective: &mut Objective, w: &Buffer) -> Result<Self, DeviceError> {
                Ok(Self(MatrixProducts::new(objective, $matrix, w, false, &[])?))
            }

            /// The same, ready to multiply [`BLOCK`] vectors at once, which takes less time for each, with another
            /// program. If so many do not fit the adapter's limits, they are multiplied one by one.
            ///
            /// # Errors
            /// Compilation or device errors.
            pub fn with_blocks(objective: &mut Objective, w: &Buffer) -> Result<Self, DeviceError> {
                Ok(Self(MatrixProducts::new(objective, $matrix, w, true, &[])?))
            }

            /// The same, if `blocks`, with products for each of some groups of chunks ([`Objective::groups`]).
            ///
            /// # Errors
            /// Compilation or device errors.
            pub fn in_groups(
                objective: &mut Objective,
                w: &Buffer,
                blocks: bool,
                groups: &[Range<usize>],
            ) -> Result<Self, DeviceError> {
                Ok(Self(MatrixProducts::new(objective, $matrix, w, blocks, groups)?))
            }

            /// The operator at the present parameters in `w`, whose own part is computed once; a product takes about
            /// three quarters of the time. The parameters must not change while it is in use.
            ///
            /// # Errors
            /// Device errors.
            pub fn linearise(&mut self) -> Result<Linearised<'_>, DeviceError> {
                self.0.device.run([&self.0.keep])?;
                self.0.largest = 0.0;
                Ok(Linearised(&mut self.0))
            }

            /// One product, and the work before the first product at new parameters.
            pub fn recordings(&self) -> (&Recording, &Recording) {
                (&self.0.one.recording, &self.0.keep)
            }

            /// A product with [`BLOCK`] vectors, if recorded.
            pub fn block_recording(&self) -> Option<&Recording> {
                Some(&self.0.block.as_ref()?.recording)
            }
        }

        impl Operator for $name {
            fn dim(&self) -> usize {
                self.0.layout.len()
            }

            fn rounding(&self) -> f64 {
                self.0.rounding()
            }

            fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
                self.0.form_errors(false, vectors, values)
            }

            fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
                self.0.apply(false, &[v], &mut [out])
            }

            fn apply_block(&mut self, vectors: &[&[f64]], products: &mut [Vec<f64>]) -> Result<(), CurvatureError> {
                self.0.apply(false, vectors, products)
            }
        }
    };
}

operator! {
    /// The exact Hessian of an objective.
    HessianOperator, Matrix::Hessian
}

operator! {
    /// The generalised Gauss–Newton matrix of an objective.
    GaussNewtonOperator, Matrix::GaussNewton
}

/// An operator at fixed parameters, see [`HessianOperator::linearise`].
pub struct Linearised<'a>(&'a mut MatrixProducts);

impl Linearised<'_> {
    /// Writes to `out` the product of `v` with the share of a group, counted from 0, in the matrix: all shares add up
    /// to the matrix.
    ///
    /// # Errors
    /// Device errors, vectors of other lengths, and [`CurvatureError::Option`] for a group that was not recorded.
    pub fn apply_group(&mut self, group: usize, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        if group >= self.0.groups.len() {
            let (name, value) = ("group", group as f64);
            return Err(CurvatureError::Option { name, value, expected: "one of those that were recorded" });
        }
        self.0.apply_group(group, v, out)
    }
}

impl Linearised<'_> {
    /// The error of a product relative to the largest.
    pub(crate) fn product_error(&self) -> f64 {
        product_error(&self.0.device)
    }
}

impl Operator for Linearised<'_> {
    fn dim(&self) -> usize {
        self.0.layout.len()
    }

    fn rounding(&self) -> f64 {
        self.0.rounding()
    }

    fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        self.0.form_errors(true, vectors, values)
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        self.0.apply(true, &[v], &mut [out])
    }

    fn apply_block(&mut self, vectors: &[&[f64]], products: &mut [Vec<f64>]) -> Result<(), CurvatureError> {
        self.0.apply(true, vectors, products)
    }
}

/// The official code's difference of gradients instead of the Hessian, see [`Objective::difference`]. For unit vectors
/// only, and neither linear nor symmetric where the network has kinks.
pub struct DifferenceOperator {
    device: Device,
    dim: usize,
    product: Product,
}

impl DifferenceOperator {
    /// Records the difference at the parameters in `w` at the time of each product.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn new(objective: &mut Objective, w: &Buffer) -> Result<Self, DeviceError> {
        let [v, result] = Product::buffers(objective, 1)?;
        let recording = objective.difference(w, &v, &result)?;
        let (device, dim) = (objective.device().clone(), objective.layout().len());
        Ok(Self { device, dim, product: Product { v, result, recording } })
    }
}

impl Operator for DifferenceOperator {
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        check_lengths(self.dim, [v.len()], [out.len()])?;
        self.product.apply(&self.device, None, v, out)
    }
}
