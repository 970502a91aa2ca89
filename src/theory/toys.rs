//! Losses that can be solved by hand, on a device with their parameters. The eigenvalues of the quadratic are its data,
//! so one compiled program serves every check on it.

use std::cell::Cell;
use std::sync::Arc;

use super::TheoryError;
use crate::curvature::{EigenOptions, Spectrum, lanczos};
use crate::data::{Examples, Features};
use crate::device::{Buffer, Device, DeviceError};
use crate::graph::{Graph, NodeId};
use crate::model::{Init, Loss, Model, ModelError, Param};
use crate::objective::{HessianOperator, Objective};
use crate::optim::{Optimizer, Rule, StepMetrics};

/// Modes of the quadratic.
pub(super) const MODES: usize = 4;

/// L = ½ Σ λᵢ wᵢ² with the λᵢ as the only example.
struct Quadratic;

impl Model for Quadratic {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        Ok(vec![Param { name: "w".into(), shape: vec![MODES], init: Init::Ones }])
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        let shape = g.shape(x).to_vec();
        let square = g.mul(params[0], params[0]);
        let square = g.broadcast(square, &shape, &[1]);
        let terms = g.mul(x, square);
        let sum = g.reduce_sum(terms, &[1]);
        let half = g.scale(sum, 0.5);
        g.reshape(half, &[shape[0], 1])
    }
}

/// L = ½(1 + y)x² with w = (x, y): a valley along y, flatter for smaller y. The example is ignored.
pub(super) struct Valley;

impl Model for Valley {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        Ok(["x", "y"].map(|name| Param { name: name.into(), shape: vec![1, 1], init: Init::Zeros }).into())
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], _: NodeId) -> NodeId {
        let square = g.mul(params[0], params[0]);
        let half = g.scale(square, 0.5);
        let width = g.offset(params[1], 1.0);
        g.mul(width, half)
    }
}

/// L = mean over examples x of ½(x·w)², a quadratic whose Hessian is the mean of xxᵀ.
pub(super) struct Regression;

impl Model for Regression {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        Ok(vec![Param { name: "w".into(), shape: vec![MODES, 1], init: Init::Ones }])
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        let product = g.matmul(x, params[0]);
        let square = g.mul(product, product);
        g.scale(square, 0.5)
    }
}

/// One example of these numbers, of the only class.
pub(super) fn example(numbers: &[f64]) -> Examples {
    let features = Features::Real(numbers.iter().map(|&x| x as f32).collect());
    Examples::new(features, [numbers.len()], vec![0], 1).expect("toys have some finite numbers")
}

/// A loss on the device, with parameters that its runs change.
pub(super) struct Toy {
    pub objective: Objective,
    pub w: Buffer,
}

/// The quadratic.
pub(super) fn quadratic(device: &Device) -> Result<Toy, DeviceError> {
    Toy::new(device, Arc::new(Quadratic), Loss::Output, &example(&[1.0; MODES]), 0)
}

impl Toy {
    /// A loss over examples in chunks of `chunk`, or as planned if 0.
    pub fn new(
        device: &Device,
        model: Arc<dyn Model>,
        loss: Loss,
        data: &Examples,
        chunk: usize,
    ) -> Result<Self, DeviceError> {
        let objective = Objective::new(device, model, loss, data, chunk)?;
        let w = objective.vector("the parameters")?;
        Ok(Self { objective, w })
    }

    pub fn device(&self) -> &Device {
        self.objective.device()
    }

    /// Sets these parameters; the others become 0.
    pub fn put(&self, w: &[f64]) -> Result<(), DeviceError> {
        let mut params = vec![0.0; self.objective.layout().len()];
        params.iter_mut().zip(w).for_each(|(param, &x)| *param = x as f32);
        self.objective.set_params(&self.w, &params)
    }

    /// The parameters.
    pub fn read(&self) -> Result<Vec<f64>, DeviceError> {
        self.objective.read(&self.w)
    }

    /// A run of `rule` from these parameters, at rest.
    pub fn start(&mut self, rule: Rule, w: &[f64]) -> Result<ToyRun<'_>, DeviceError> {
        let optimizer = Optimizer::new(&mut self.objective, rule, &self.w)?;
        self.put(w)?;
        Ok(ToyRun { toy: self, optimizer, made: Cell::new(0) })
    }

    /// The `top` eigenpairs of the Hessian at the parameters.
    pub fn spectrum(&mut self, top: usize) -> Result<Spectrum, TheoryError> {
        let mut hessian = HessianOperator::new(&mut self.objective, &self.w)?;
        Ok(lanczos(&mut hessian, None, &EigenOptions { top, tol: 1e-6, ..EigenOptions::default() })?)
    }
}

/// A run of a rule.
pub(super) struct ToyRun<'a> {
    pub toy: &'a Toy,
    pub optimizer: Optimizer,
    /// The updates made.
    made: Cell<u64>,
}

/// What an update starts from.
pub(super) struct Around {
    pub grad_norm: f64,
    /// The diagonal P of an adaptive base.
    pub preconditioner: Option<Vec<f64>>,
}

impl ToyRun<'_> {
    /// Makes `steps` updates and reads the parameters.
    pub fn advance(&self, steps: usize) -> Result<Vec<f64>, DeviceError> {
        for _ in 0..steps {
            let step = self.made.replace(self.made.get() + 1);
            self.toy.device().run([&*self.optimizer.step(step)?])?;
        }
        self.toy.read()
    }

    /// The first parameter before each of `steps` updates.
    pub fn trace(&self, steps: usize) -> Result<Vec<f64>, DeviceError> {
        let mut trace = vec![];
        for _ in 0..steps {
            trace.push(self.toy.read()?[0]);
            self.advance(1)?;
        }
        Ok(trace)
    }

    /// What the next update starts from.
    pub fn around(&self) -> Result<Around, DeviceError> {
        let grad_norm = self.metrics()?.grad_norm;
        let preconditioner = self.optimizer.preconditioner(&self.toy.objective, self.made.get())?;
        Ok(Around { grad_norm, preconditioner })
    }

    /// Loss and ‖g‖ at the parameters.
    pub fn metrics(&self) -> Result<StepMetrics, DeviceError> {
        let probe = &self.optimizer.probe;
        self.toy.device().run([probe.recording(0)])?;
        Ok(probe.metrics(&self.toy.objective, &self.toy.device().read(probe.row())?))
    }
}
