//! The loss of a model over a data set, and its derivatives, as recordings over flat device vectors.
//!
//! L(w) = (1/N) Σᵢ ℓᵢ(w) is a sum over chunks of examples: every chunk is one program (compiled once per number of rows,
//! so the ragged last chunk has its own), the first chunk stores its share of a gradient or product and the others add
//! theirs. Each example weighs 1/N whatever its chunk, so chunks change nothing but rounding.
//!
//! A label that does not count (of a padding token) weighs 0, and the others share its part; the weights are data.
//!
//! `optim` joins these recordings into steps; [`HessianOperator`] shows them to `curvature`.

mod difference;
mod operator;
mod plan;
pub(crate) mod vectors;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::autodiff;
use crate::data::{Examples, Features};
use crate::gpu::{Buffer, Gpu, GpuError, Loaded, Recording};
use crate::graph::{DType, Graph, NodeId};
use crate::kernel::{Output, Place, Program, Spec, Target, compile};
use crate::model::{Layout, Loss, Model, wrong};

pub use operator::{DifferenceOperator, GaussNewtonOperator, HessianOperator};
pub use plan::Plan;

/// Partial sums per chunk that the host adds up in f64.
const PARTIALS: usize = 64;

/// What a chunk's program computes from the parameters, and along a vector where it needs one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Quantity {
    /// Loss and error alone.
    Loss,
    /// ∇L, and loss and error if asked.
    Gradient { metrics: bool },
    /// H·v
    Hvp,
    /// G·v, the generalised Gauss–Newton product.
    Ggn,
    /// ∇(vᵀHv)
    CurvatureGrad,
}

/// Mean loss and fraction of misclassified examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// Mean loss.
    pub loss: f64,
    /// Fraction misclassified.
    pub error: f64,
}

struct Chunk {
    rows: usize,
    x: Buffer,
    labels: Buffer,
    /// Weights of the labels, where they differ.
    weights: Option<Buffer>,
    /// Partial sums of loss and error.
    partials: Buffer,
}

/// A model's loss over a data set on a device. See the module text.
pub struct Objective {
    gpu: Gpu,
    problem: Problem,
    chunks: Vec<Chunk>,
    plan: Plan,
    programs: HashMap<(Quantity, usize, bool), Loaded>,
}

/// What is differentiated: everything about an objective but its data and device.
struct Problem {
    model: Arc<dyn Model>,
    loss: Loss,
    layout: Layout,
    /// Type and number of an example's features.
    dtype: DType,
    dim: usize,
    labels_each: usize,
    examples: usize,
}

impl Objective {
    /// Uploads the examples in chunks of `chunk` rows, or as many as the planner finds good if 0.
    ///
    /// # Errors
    /// [`GpuError::BufferTooLarge`] when the parameters or a single example exceed the adapter's limits, and the
    /// device's own errors.
    pub fn new(gpu: &Gpu, model: Arc<dyn Model>, loss: Loss, data: &Examples, chunk: usize) -> Result<Self, GpuError> {
        let dtype = match data.features {
            Features::Real(_) => DType::F32,
            Features::Tokens(_) => DType::U32,
        };
        let layout = Layout::of(&*model);
        let (dim, labels_each, examples) = (data.dim(), data.labels_each(), data.len());
        let problem = Problem { model, loss, layout, dtype, dim, labels_each, examples };
        let plan = Plan::new(gpu, &problem, chunk)?;
        let mut chunks = vec![];
        for first in (0..examples).step_by(plan.rows) {
            let rows = plan.rows.min(examples - first);
            let weights = match dtype {
                DType::U32 => Some(gpu.buffer("the weights of a chunk's labels", rows * labels_each)?),
                DType::F32 | DType::Bool => None,
            };
            chunks.push(Chunk {
                rows,
                x: gpu.buffer("a chunk of examples", rows * dim)?,
                labels: gpu.buffer("a chunk of labels", rows * labels_each)?,
                weights,
                partials: gpu.buffer("partial sums", 2 * PARTIALS)?,
            });
        }
        let objective = Self { gpu: gpu.clone(), problem, chunks, plan, programs: HashMap::new() };
        objective.replace(data);
        Ok(objective)
    }

    /// Puts other examples in the place of those it has, ordered with the work submitted before and after.
    ///
    /// # Panics
    /// When they are not as many, or of another kind.
    pub fn replace(&self, data: &Examples) {
        let Problem { dim, labels_each, examples, .. } = self.problem;
        let fits = (data.len(), data.dim(), data.labels_each()) == (examples, dim, labels_each);
        assert!(fits, "{} examples of {:?} in the place of {examples} of {dim} features", data.len(), data.shape);
        let weights = data.label_weights();
        let mut first = 0;
        for chunk in &self.chunks {
            let (x, labels) = (first * dim..(first + chunk.rows) * dim, first * labels_each..);
            let labels = labels.start..labels.start + chunk.rows * labels_each;
            match &data.features {
                Features::Real(values) => self.gpu.write(&chunk.x, &values[x]),
                Features::Tokens(codes) => self.gpu.write(&chunk.x, &codes[x]),
            }
            self.gpu.write(&chunk.labels, &data.labels[labels.clone()]);
            if let (Some(buffer), Some(weights)) = (&chunk.weights, &weights) {
                self.gpu.write(buffer, &weights[labels]);
            }
            first += chunk.rows;
        }
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The parameters' ranges in the flat vector.
    pub fn layout(&self) -> &Layout {
        &self.problem.layout
    }

    /// How many examples the mean is over.
    pub fn examples(&self) -> usize {
        self.problem.examples
    }

    /// How the work is cut.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A zeroed vector of the parameters' length, on the device.
    ///
    /// # Errors
    /// As [`Gpu::buffer`].
    pub fn vector(&self, what: &str) -> Result<Buffer, GpuError> {
        self.gpu.buffer(what, self.layout().device_len())
    }

    /// Reads a vector of the parameters' length.
    ///
    /// # Errors
    /// As [`Gpu::read`].
    pub fn read(&self, vector: &Buffer) -> Result<Vec<f32>, GpuError> {
        let mut values = self.gpu.read::<f32>(vector)?;
        values.truncate(self.layout().len());
        Ok(values)
    }

    /// Elements of the partial sums that [`Self::loss`] and [`Self::gradient`] leave behind.
    pub fn partials_len(&self) -> usize {
        2 * PARTIALS * self.chunks.len()
    }

    /// Loss and error from these partial sums, added up in f64.
    pub fn metrics(&self, partials: &[f32]) -> Metrics {
        let sum = |values: &[f32]| values.iter().map(|&x| f64::from(x)).sum::<f64>();
        let sums = partials.chunks_exact(2 * PARTIALS).map(|chunk| chunk.split_at(PARTIALS));
        let (loss, error) = sums.fold((0.0, 0.0), |(l, e), (loss, error)| (l + sum(loss), e + sum(error)));
        let scale = self.problem.uniform_weight().unwrap_or(1.0);
        Metrics { loss: loss * scale, error: error * scale }
    }

    /// Records loss and error at `w`; their partial sums go to the first elements of `partials`.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn loss(&mut self, w: &Buffer, partials: &Buffer) -> Result<Recording, GpuError> {
        self.record(Quantity::Loss, w, None, None, Some(partials))
    }

    /// Records `gradient` = ∇L(w), and with `partials` loss and error there.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn gradient(
        &mut self,
        w: &Buffer,
        gradient: &Buffer,
        partials: Option<&Buffer>,
    ) -> Result<Recording, GpuError> {
        self.record(Quantity::Gradient { metrics: partials.is_some() }, w, None, Some(gradient), partials)
    }

    /// Records `gradient` = the share of chunk `number` in ∇L(w), Σ ∇ℓᵢ(w)/N over its examples; with `accumulate` it is added
    /// to what is there.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn chunk_gradient(
        &mut self,
        number: usize,
        w: &Buffer,
        gradient: &Buffer,
        accumulate: bool,
    ) -> Result<Recording, GpuError> {
        let quantity = Quantity::Gradient { metrics: false };
        let loaded = self.loaded(quantity, self.chunks[number].rows, accumulate)?;
        self.bind(&loaded, &self.chunks[number], w, None, Some(gradient))
    }

    /// Records `result` = H(w)·v.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn hvp(&mut self, w: &Buffer, v: &Buffer, result: &Buffer) -> Result<Recording, GpuError> {
        self.record(Quantity::Hvp, w, Some(v), Some(result), None)
    }

    /// Records `result` = G(w)·v, with G = Jᵀ·H_L·J the generalised Gauss–Newton matrix.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn ggn(&mut self, w: &Buffer, v: &Buffer, result: &Buffer) -> Result<Recording, GpuError> {
        self.record(Quantity::Ggn, w, Some(v), Some(result), None)
    }

    /// Records `result` = ∇(vᵀHv) at `w`; for a unit eigenvector v of H, the gradient of its eigenvalue.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn curvature_grad(&mut self, w: &Buffer, v: &Buffer, result: &Buffer) -> Result<Recording, GpuError> {
        self.record(Quantity::CurvatureGrad, w, Some(v), Some(result), None)
    }

    fn record(
        &mut self,
        quantity: Quantity,
        w: &Buffer,
        v: Option<&Buffer>,
        result: Option<&Buffer>,
        partials: Option<&Buffer>,
    ) -> Result<Recording, GpuError> {
        let mut recording = Recording::default();
        for i in 0..self.chunks.len() {
            let loaded = self.loaded(quantity, self.chunks[i].rows, i > 0)?;
            let chunk = &self.chunks[i];
            recording = recording.then(&self.bind(&loaded, chunk, w, v, result)?);
            if let Some(partials) = partials {
                recording = recording.then(&Recording::copy(&chunk.partials, partials, i * 2 * PARTIALS));
            }
        }
        Ok(recording)
    }

    /// The program of a quantity, compiled at its first use.
    fn loaded(&mut self, quantity: Quantity, rows: usize, accumulate: bool) -> Result<Loaded, GpuError> {
        let key = (quantity, rows, accumulate);
        if let Some(loaded) = self.programs.get(&key) {
            return Ok(loaded.clone());
        }
        let loaded = self.gpu.load(self.problem.program(quantity, rows, accumulate, self.gpu.target())?)?;
        self.programs.insert(key, loaded.clone());
        Ok(loaded)
    }

    /// Binds a chunk's program; slots that its quantity does not use get a buffer that is there anyway.
    fn bind(
        &self,
        loaded: &Loaded,
        chunk: &Chunk,
        w: &Buffer,
        v: Option<&Buffer>,
        result: Option<&Buffer>,
    ) -> Result<Recording, GpuError> {
        let unused = &chunk.partials;
        let (v, result) = (v.unwrap_or(unused), result.unwrap_or(unused));
        let weights = chunk.weights.as_ref().unwrap_or(unused);
        let slots = [w, &chunk.x, &chunk.labels, v, result, &chunk.partials, weights];
        loaded.bind(&self.gpu, &slots)
    }

    /// Seconds that a full gradient takes, from timing the first chunk (the better of two runs).
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn gradient_secs(&mut self) -> Result<f64, GpuError> {
        let Some(chunk) = self.chunks.first() else { return Ok(0.0) };
        let program =
            self.problem.program(Quantity::Gradient { metrics: false }, chunk.rows, false, self.gpu.target())?;
        let (w, g) = (self.vector("w")?, self.vector("the gradient")?);
        let recording = self.bind(&self.gpu.load(program)?, chunk, &w, None, Some(&g))?;
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let start = Instant::now();
            self.gpu.run([&recording])?;
            self.gpu.wait()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best * self.problem.examples as f64 / chunk.rows as f64)
    }
}

impl Problem {
    /// 1/N where all N labels weigh the same; `None` where their weights are data.
    fn uniform_weight(&self) -> Option<f64> {
        (self.dtype == DType::F32).then(|| 1.0 / (self.examples * self.labels_each) as f64)
    }

    /// The program of a quantity for a chunk of `rows` examples; with `accumulate` it adds to its result.
    fn program(&self, quantity: Quantity, rows: usize, accumulate: bool, target: &Target) -> Result<Program, GpuError> {
        // Slots, in the order in which `record` binds them.
        let [w_slot, x_slot, labels_slot, v_slot, result_slot, partials_slot, weights_slot]: [usize; 7] =
            std::array::from_fn(|i| i);
        let mut g = Graph::new();
        let mut inputs: Vec<(NodeId, Place)> = vec![];
        let mut vector = |g: &mut Graph, prefix: &str, slot: usize| -> Vec<NodeId> {
            let tensors = self.layout.iter().map(|(param, offset)| {
                let id = g.input_f32(&format!("{prefix}{}", param.name), &param.shape);
                inputs.push((id, Place { slot, offset }));
                id
            });
            tensors.collect()
        };
        let w = vector(&mut g, "", w_slot);
        let uses_v = matches!(quantity, Quantity::Hvp | Quantity::Ggn | Quantity::CurvatureGrad);
        let v = if uses_v { vector(&mut g, "v.", v_slot) } else { vec![] };
        let count = rows * self.labels_each;
        let x = g.input("x", &[rows, self.dim], self.dtype);
        let labels = g.input("labels", &[count], DType::U32);
        inputs.push((x, Place { slot: x_slot, offset: 0 }));
        inputs.push((labels, Place { slot: labels_slot, offset: 0 }));

        let outputs = self.model.forward(&mut g, &w, x);
        let losses = self.loss.per_label(&mut g, outputs, labels);
        let weights = if self.uniform_weight().is_none() {
            let weights = g.input_f32("weights", &[count]);
            inputs.push((weights, Place { slot: weights_slot, offset: 0 }));
            Some(weights)
        } else {
            None
        };
        let weighted = |g: &mut Graph, values: NodeId| weights.map_or(values, |weights| g.mul(values, weights));
        let losses = weighted(&mut g, losses);
        let sum = g.sum_all(losses);
        let loss = g.scale(sum, self.uniform_weight().unwrap_or(1.0) as f32);
        let (results, metrics) = match quantity {
            Quantity::Loss => (vec![], true),
            Quantity::Gradient { metrics } => (autodiff::grad(&mut g, loss, &w), metrics),
            Quantity::Hvp => (autodiff::hvp(&mut g, loss, &w, &v), false),
            Quantity::Ggn => (autodiff::ggn(&mut g, loss, outputs, &w, &v), false),
            Quantity::CurvatureGrad => (autodiff::curvature_grad(&mut g, loss, &w, &v), false),
        };
        let mut wanted: Vec<Output> = self
            .layout
            .iter()
            .zip(results)
            .map(|((_, offset), node)| Output { node, place: Place { slot: result_slot, offset }, accumulate })
            .collect();
        if metrics {
            let errors = wrong(&mut g, outputs, labels);
            let errors = weighted(&mut g, errors);
            for (i, values) in [losses, errors].into_iter().enumerate() {
                let node = partial_sums(&mut g, values);
                let place = Place { slot: partials_slot, offset: i * PARTIALS };
                wanted.push(Output { node, place, accumulate: false });
            }
        }
        let vector_len = |used: bool| if used { self.layout.device_len() } else { 0 };
        let slots = [
            vector_len(true),
            rows * self.dim,
            count,
            vector_len(uses_v),
            vector_len(quantity != Quantity::Loss),
            2 * PARTIALS,
            if weights.is_some() { count } else { 0 },
        ];
        let name = format!("{quantity:?} of {rows} examples");
        Ok(compile(&Spec { name: &name, graph: &g, inputs: &inputs, outputs: &wanted, slots: &slots }, target)?)
    }
}

/// [n] to [`PARTIALS`] sums of n / PARTIALS values each.
fn partial_sums(g: &mut Graph, values: NodeId) -> NodeId {
    let n = g.shape(values)[0];
    let each = n.div_ceil(PARTIALS);
    let padded = g.pad(values, &[0], &[each * PARTIALS - n]);
    let table = g.reshape(padded, &[each, PARTIALS]);
    g.reduce_sum(table, &[0])
}
