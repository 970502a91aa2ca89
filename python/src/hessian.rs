//! Products with the exact Hessian of a network's loss, and what is found with them. All vectors are float64 on the
//! host; products have the device's precision.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edgewalk::curvature::{
    CurvatureError, DensityOptions, EigenOptions, Eigenpair, Operator, TraceOptions, lanczos, spectral_density, trace,
};
use edgewalk::data::{Examples, Features, Targets};
use edgewalk::device::{Buffer, Device, DeviceError, Precision};
use edgewalk::model::{Loss, OnnxModel, Reduction};
use edgewalk::objective::{HessianOperator, Linearised, Objective};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::{Bound, FromPyObject, PyErr, PyResult, Python, pyclass, pymethods};

use crate::error::{of_device, of_solver, refused};
use crate::network::Network;

/// The examples' features, the examples along the first axis.
#[derive(FromPyObject)]
enum X<'py> {
    Real(PyReadonlyArrayDyn<'py, f32>),
    Tokens(PyReadonlyArrayDyn<'py, u32>),
}

/// Their labels: classes, or targets row after row.
#[derive(FromPyObject)]
enum Y<'py> {
    Classes(PyReadonlyArray1<'py, u32>),
    Numbers(PyReadonlyArray2<'py, f32>),
}

/// The state behind the lock.
struct State {
    objective: Objective,
    w: Buffer,
    params: Vec<f64>,
    operator: HessianOperator,
}

/// The Hessian of a network's mean loss over some examples.
#[pyclass(frozen)]
pub struct Hessian {
    state: Mutex<State>,
    shapes: Vec<(String, Vec<usize>)>,
    dim: usize,
    device: String,
}

/// Eigenvalues, their errors, whether each converged, and the vectors one after another.
type Found<'py> = (Vec<f64>, Vec<f64>, Vec<bool>, Bound<'py, PyArray1<f64>>, usize);

#[pymethods]
impl Hessian {
    #[new]
    #[pyo3(signature = (network, x, y, loss, reduction, device, precision))]
    #[expect(clippy::too_many_arguments, reason = "only the Python class calls it, which names them")]
    fn new(
        py: Python<'_>,
        network: &Network,
        x: X<'_>,
        y: Y<'_>,
        loss: &str,
        reduction: &str,
        device: Option<&str>,
        precision: &str,
    ) -> PyResult<Self> {
        let reduction: Reduction = word("reduction", reduction)?;
        let precision: Precision = word("precision", precision)?;
        let loss = match loss {
            "cross-entropy" => Loss::CrossEntropy,
            "mse" => Loss::Mse(reduction),
            _ => return Err(PyValueError::new_err(format!("loss: `{loss}` is none of cross-entropy, mse"))),
        };
        let (features, shape) = match x {
            X::Real(x) => (Features::Real(x.as_slice()?.to_vec()), x.shape()[1..].to_vec()),
            X::Tokens(x) => (Features::Tokens(x.as_slice()?.to_vec()), x.shape()[1..].to_vec()),
        };
        let targets = match y {
            Y::Classes(y) => {
                let labels = y.as_slice()?.to_vec();
                let classes = labels.iter().max().map_or(0, |&most| most as usize + 1);
                Targets::Classes { labels, classes }
            }
            Y::Numbers(y) => Targets::Numbers { values: y.as_slice()?.to_vec(), width: y.shape()[1] },
        };
        let (network, device) = (Arc::clone(&network.0), device.map(str::to_owned));
        py.detach(|| {
            // An ONNX file does not say whether a token is padding.
            let examples = Examples::with_targets(features, shape, targets).map_err(|error| refused(&error))?;
            let examples = examples.without_padding();
            let model = OnnxModel::new(network, examples.shape()).map_err(|error| refused(&error))?;
            let device = Device::open_with(device.as_deref(), precision).map_err(|error| of_device(&error))?;
            let state = State::new(&device, model, loss, &examples).map_err(|error| of_device(&error))?;
            let layout = state.objective.layout();
            let shapes = layout.iter().map(|(param, _)| (param.name.clone(), param.shape.clone())).collect();
            let (dim, device) = (layout.len(), device.adapter().name.clone());
            Ok(Self { state: Mutex::new(state), shapes, dim, device })
        })
    }

    /// The name and shape of each parameter, in the order of the vectors.
    #[getter]
    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.shapes.clone()
    }

    /// The number of parameters.
    #[getter]
    fn dim(&self) -> usize {
        self.dim
    }

    /// The device's name.
    #[getter]
    fn device(&self) -> &str {
        &self.device
    }

    /// A copy of the parameters.
    fn params<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        let params = py.detach(|| self.lock().params.clone());
        PyArray1::from_vec(py, params)
    }

    /// Replaces the parameters.
    fn set_params(&self, py: Python<'_>, params: PyReadonlyArray1<'_, f64>) -> PyResult<()> {
        let params = params.as_slice()?.to_vec();
        py.detach(|| {
            let state = &mut *self.lock();
            state.objective.set_params(&state.w, &params).map_err(|error| of_device(&error))?;
            state.params = params;
            Ok(())
        })
    }

    /// Products with the rows of `vectors`, as rows.
    fn products<'py>(
        &self,
        py: Python<'py>,
        vectors: PyReadonlyArray2<'_, f64>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let (count, dim) = (vectors.shape()[0], vectors.shape()[1]);
        if dim != self.dim {
            return Err(of_solver(&CurvatureError::Length { len: dim, dim: self.dim }));
        }
        let vectors = vectors.as_slice()?.to_vec();
        let products = self.solve(py, move |operator| {
            let (mut vectors, mut out) = (vectors, Vec::with_capacity(count * dim));
            let scales: Vec<f64> = vectors.chunks_mut(dim).map(scale_down).collect();
            let vectors: Vec<&[f64]> = vectors.chunks(dim).collect();
            let mut products = vec![vec![0.0; dim]; count];
            operator.apply_block(&vectors, &mut products)?;
            for (number, (product, scale)) in products.iter().zip(scales).enumerate() {
                out.extend(product.iter().map(|x| x * scale));
                if out[number * dim..].iter().any(|x| !x.is_finite()) {
                    return Err(CurvatureError::NonFinite { product: number + 1 });
                }
            }
            Ok(out)
        })?;
        let products = numpy::ndarray::Array2::from_shape_vec((count, dim), products);
        let products = products.map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
        Ok(PyArray2::from_owned_array(py, products))
    }

    /// Eigenpairs by Lanczos: those at the top, then the lowest, rising.
    #[expect(clippy::too_many_arguments, reason = "only the Python class calls it, which names them")]
    fn eigenvalues<'py>(
        &self,
        py: Python<'py>,
        top: usize,
        bottom: usize,
        tol: f64,
        order: &str,
        max_iterations: usize,
        block: usize,
        seed: u64,
    ) -> PyResult<Found<'py>> {
        let order = word("order", order)?;
        let options = EigenOptions { top, order, bottom, above: None, block, tol, max_iterations, seed };
        let spectrum = self.solve(py, move |operator| lanczos(operator, None, &options))?;
        let pairs: Vec<&Eigenpair> = spectrum.pairs.iter().chain(&spectrum.bottom).collect();
        let vectors = pairs.iter().flat_map(|pair| pair.vector.iter().copied()).collect();
        Ok((
            pairs.iter().map(|pair| pair.value).collect(),
            pairs.iter().map(|pair| pair.error).collect(),
            pairs.iter().map(|pair| pair.converged).collect(),
            PyArray1::from_vec(py, vectors),
            spectrum.products,
        ))
    }

    /// The trace by Hutch++: the value, the ends of its interval, and the products spent.
    fn trace(&self, py: Python<'_>, products: usize, level: f64, seed: u64) -> PyResult<(f64, (f64, f64), usize)> {
        let options = TraceOptions { products, level, seed, ..TraceOptions::default() };
        let found = self.solve(py, move |operator| trace(operator, &options))?;
        Ok((found.estimate.value, found.estimate.interval, found.products))
    }

    /// The spectral density: the nodes and weights of all probes, and the products spent.
    fn density(&self, py: Python<'_>, probes: usize, steps: usize, seed: u64) -> PyResult<(Vec<f64>, Vec<f64>, usize)> {
        let options = DensityOptions { probes, steps, seed, ..DensityOptions::default() };
        let found = self.solve(py, move |operator| spectral_density(operator, &options))?;
        let share = 1.0 / found.probes.len() as f64;
        let nodes = found.probes.iter().flatten().map(|node| (node.value, share * node.weight));
        let (values, weights) = nodes.unzip();
        Ok((values, weights, found.products))
    }

    /// The loss, and its gradient.
    fn gradient<'py>(&self, py: Python<'py>) -> PyResult<(f64, Bound<'py, PyArray1<f64>>)> {
        let (loss, gradient) = py.detach(|| self.lock().gradient()).map_err(|error| of_device(&error))?;
        Ok((loss, PyArray1::from_vec(py, gradient)))
    }
}

impl Hessian {
    /// The state; a panic elsewhere leaves nothing half done that a later call relies on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Solves with the operator at the present parameters, without holding the interpreter.
    fn solve<T: Send>(
        &self,
        py: Python<'_>,
        solver: impl FnOnce(&mut dyn Operator) -> Result<T, CurvatureError> + Send,
    ) -> PyResult<T> {
        py.detach(|| {
            let mut state = self.lock();
            let operator = state.operator.linearise().map_err(|error| of_device(&error))?;
            let mut operator = InterruptibleOperator { operator, interrupt: None };
            let found = solver(&mut operator);
            match operator.interrupt {
                Some(interrupt) => Err(interrupt),
                None => found.map_err(|error| of_solver(&error)),
            }
        })
    }
}

impl State {
    fn new(device: &Device, model: OnnxModel, loss: Loss, examples: &Examples) -> Result<Self, DeviceError> {
        let mut objective = Objective::new(device, Arc::new(model), loss, examples, 0)?;
        let params = objective.layout().brought().unwrap_or_default().to_vec();
        let w = objective.vector("the parameters")?;
        objective.set_params(&w, &params)?;
        let operator = HessianOperator::with_blocks(&mut objective, &w)?;
        Ok(Self { objective, w, params, operator })
    }

    /// The loss, and its gradient.
    fn gradient(&mut self) -> Result<(f64, Vec<f64>), DeviceError> {
        let Self { objective, w, .. } = self;
        let gradient = objective.vector("the gradient")?;
        let partials = objective.device().buffer("partial sums", objective.partials_len())?;
        let recording = objective.gradient(w, &gradient, Some(&partials))?;
        objective.device().run([&recording])?;
        let sums: Vec<f64> = objective.device().read(&partials)?;
        Ok((objective.metrics(&sums).loss, objective.read(&gradient)?))
    }
}

/// Divides a vector by a power of two, which is exact, so that the numbers fit the device's precision; returns it.
fn scale_down(v: &mut [f64]) -> f64 {
    let largest = v.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    if largest == 0.0 {
        return 1.0;
    }
    // 2^1023 is the largest power of two, and the reciprocal of the smallest normal number is 2^1022.
    let scale = 2.0_f64.powi((largest.log2().floor() as i32).clamp(-1022, 1022));
    v.iter_mut().for_each(|x| *x /= scale);
    scale
}

/// An enum of the library from its word.
fn word<T: std::str::FromStr<Err = String>>(name: &str, word: &str) -> PyResult<T> {
    word.parse().map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

/// An operator that forms no products after Ctrl-C.
struct InterruptibleOperator<'a> {
    operator: Linearised<'a>,
    interrupt: Option<PyErr>,
}

impl InterruptibleOperator<'_> {
    fn check(&mut self) -> Result<(), CurvatureError> {
        if self.interrupt.is_none() {
            self.interrupt = Python::attach(|py| py.check_signals()).err();
        }
        if self.interrupt.is_some() { Err(CurvatureError::Interrupted) } else { Ok(()) }
    }
}

impl Operator for InterruptibleOperator<'_> {
    fn dim(&self) -> usize {
        self.operator.dim()
    }

    fn rounding(&self) -> f64 {
        self.operator.rounding()
    }

    fn form_errors(&mut self, vectors: &[&[f64]], values: &[f64]) -> Result<Vec<f64>, CurvatureError> {
        self.check()?;
        self.operator.form_errors(vectors, values)
    }

    fn apply(&mut self, v: &[f64], out: &mut [f64]) -> Result<(), CurvatureError> {
        self.check()?;
        self.operator.apply(v, out)
    }

    fn apply_block(&mut self, vectors: &[&[f64]], products: &mut [Vec<f64>]) -> Result<(), CurvatureError> {
        use edgewalk::objective::BLOCK;
        // In blocks of the device's size, so that the products are the same.
        for (vectors, products) in vectors.chunks(BLOCK).zip(products.chunks_mut(BLOCK)) {
            self.check()?;
            self.operator.apply_block(vectors, products)?;
        }
        Ok(())
    }
}
