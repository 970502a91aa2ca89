//! The loss of a model over a data set, and its derivatives, as recordings over flat device vectors.
//!
//! L(w) = (1/N) Σᵢ ℓᵢ(w) is summed over chunks of examples, each of them one program (compiled once per number of
//! rows). The first chunk stores its share of a gradient or product; the others add theirs. Each label weighs 1/N
//! whatever its chunk, so chunks change nothing but rounding; a padding label weighs 0. `optim` joins the recordings
//! into steps; [`HessianOperator`] offers them to `curvature`.

mod chunk;
mod difference;
mod linear;
mod operator;
mod plan;
mod problem;
mod rounding;
pub mod tune;
pub(crate) mod vectors;

use std::collections::HashMap;
use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::data::Examples;
use crate::device::{Buffer, Device, DeviceError, Loaded, Recording, Value};
use crate::model::{Layout, Loss, Model};

use chunk::{Chunk, chunk_rows};
pub(crate) use linear::KEPT_BYTES;
pub use operator::{BLOCK, DifferenceOperator, GaussNewtonOperator, HessianOperator, Linearised};
pub use plan::Plan;
pub use problem::Matrix;
use problem::{PARTIALS, Problem, Quantity, dtype_of};

/// A mismatch, as the device's error.
fn mismatch(error: impl Error) -> DeviceError {
    DeviceError::Mismatch(error.to_string())
}

/// Mean loss and fraction of misclassified examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// Mean loss.
    pub loss: f64,
    /// Fraction misclassified, see [`crate::model::wrong`]; NaN for targets of a regression, which have no classes.
    pub error: f64,
}

/// The vectors of the parameters' length that a quantity reads and writes.
#[derive(Clone, Copy)]
struct Buffers<'a> {
    w: &'a Buffer,
    v: Option<&'a Buffer>,
    result: Option<&'a Buffer>,
}

/// A model's loss over a data set on a device. See the module text.
pub struct Objective {
    device: Device,
    problem: Problem,
    chunks: Vec<Chunk>,
    /// The model's constants, if it has some.
    constants: Option<Buffer>,
    plan: Plan,
    programs: HashMap<(Quantity, usize, bool), Loaded>,
    /// Buffers in which chunks take turns to keep values for products.
    kept: Vec<Buffer>,
    /// The most bytes for those of all chunks together.
    most_kept: u64,
}

impl Objective {
    /// Uploads the examples in chunks of `chunk` rows, or as many as the planner chooses if 0.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when model, loss and examples do not match, [`DeviceError::BufferTooLarge`] when the
    /// parameters or a single example exceed the adapter's limits, and the device's own errors.
    pub fn new(
        device: &Device,
        model: Arc<dyn Model>,
        loss: Loss,
        data: &Examples,
        chunk: usize,
    ) -> Result<Self, DeviceError> {
        Self::in_groups(device, model, loss, data, chunk, 0)
    }

    /// The same with chunks that do not reach across a multiple of `group` examples, so that [`Self::groups`] can tell
    /// groups of that size apart; 0 for one group.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn in_groups(
        device: &Device,
        model: Arc<dyn Model>,
        loss: Loss,
        data: &Examples,
        chunk: usize,
        group: usize,
    ) -> Result<Self, DeviceError> {
        let layout = Layout::of(&*model).map_err(mismatch)?;
        let (dtype, dim, labels_each, examples) = (dtype_of(data), data.dim(), data.labels_each(), data.len());
        let max_len =
            usize::try_from(device.max_binding_bytes() / device.precision().bytes() as u64).unwrap_or(usize::MAX);
        let targets = data.targets().kind();
        let constants = model.constants();
        let weighted = data.label_weights().is_some();
        let problem =
            Problem { model, loss, layout, constants, dtype, dim, labels_each, targets, weighted, examples, max_len };
        device.check_size("the parameter vector", problem.layout.device_len())?;
        problem.check_examples(data)?;
        problem.check_model()?;
        let mut plan = Plan::new(device, &problem, chunk)?;
        let mut chunks = vec![];
        for rows in chunk_rows(examples, plan.rows, if group == 0 { examples } else { group }) {
            chunks.push(Chunk::new(device, &problem, rows)?);
        }
        plan.chunks = chunks.len();
        let constants: Vec<f64> = problem.constants.iter().flat_map(|it| it.values.iter().copied()).collect();
        let constants = match constants.is_empty() {
            true => None,
            false => Some(device.buffer_from("the model's constants", &constants)?),
        };
        let (device, programs) = (device.clone(), HashMap::new());
        let (kept, most_kept) = (vec![], KEPT_BYTES);
        let objective = Self { device, problem, chunks, constants, plan, programs, kept, most_kept };
        objective.replace(data)?;
        Ok(objective)
    }

    /// Replaces the examples, ordered with the work submitted before and after.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when their number or kind differs.
    pub fn replace(&self, data: &Examples) -> Result<(), DeviceError> {
        let examples = self.problem.examples;
        self.problem.check_examples(data)?;
        if data.len() != examples {
            let problem = format!("{} examples in the place of {examples}; give as many as there were", data.len());
            return Err(DeviceError::Mismatch(problem));
        }
        let weights = data.label_weights();
        if weights.is_some() != self.problem.weighted {
            let problem = "examples with labels that do not count in the place of others, or the reverse; give examples \
                           of one kind";
            return Err(DeviceError::Mismatch(problem.to_owned()));
        }
        let mut first = 0;
        for chunk in &self.chunks {
            chunk.write(&self.device, &self.problem, data, weights.as_deref(), first)?;
            first += chunk.rows;
        }
        Ok(())
    }

    /// Writes parameters to `w`, a vector of this objective.
    ///
    /// # Errors
    /// [`DeviceError::Mismatch`] when their number differs from the model's, when one is not finite (its tensor is named),
    /// and when `w` is too short.
    pub fn set_params<V: Value + Into<f64>>(&self, w: &Buffer, params: &[V]) -> Result<(), DeviceError> {
        self.layout().check(params).map_err(mismatch)?;
        self.check_vector(w)?;
        self.device.write(w, params)
    }

    /// Refuses a buffer that is not a vector of this objective.
    pub(crate) fn check_vector(&self, vector: &Buffer) -> Result<(), DeviceError> {
        let (len, needed) = (vector.len(), self.layout().device_len());
        if len == needed {
            return Ok(());
        }
        let problem = format!(
            "a buffer of {len} elements is no vector of this objective, which has {needed}; make it with `vector`"
        );
        Err(DeviceError::Mismatch(problem))
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The parameters' ranges in the flat vector.
    pub fn layout(&self) -> &Layout {
        &self.problem.layout
    }

    /// The number of examples of the mean.
    pub fn examples(&self) -> usize {
        self.problem.examples
    }

    /// The chunks of each group of `size` examples, in their order, of which the last may hold fewer; `None` if a chunk
    /// reaches across two groups. 0 is one group of all examples.
    pub fn groups(&self, size: usize) -> Option<Vec<Range<usize>>> {
        let size = if size == 0 { self.examples() } else { size };
        let (mut groups, mut first, mut held) = (vec![], 0, 0);
        for (i, chunk) in self.chunks.iter().enumerate() {
            held += chunk.rows;
            if held > size {
                return None;
            }
            if held == size || i + 1 == self.chunks.len() {
                groups.push(first..i + 1);
                (first, held) = (i + 1, 0);
            }
        }
        Some(groups)
    }

    /// The number of examples in some chunks.
    pub(crate) fn examples_of(&self, chunks: Range<usize>) -> usize {
        self.chunks[chunks].iter().map(|chunk| chunk.rows).sum()
    }

    /// The chunks of the work.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A zeroed vector of the parameters' length, on the device.
    ///
    /// # Errors
    /// As [`Device::buffer`].
    pub fn vector(&self, what: &str) -> Result<Buffer, DeviceError> {
        self.device.buffer(what, self.layout().device_len())
    }

    /// Reads a vector of the parameters' length.
    ///
    /// # Errors
    /// As [`Device::read`].
    pub fn read<V: Value>(&self, vector: &Buffer) -> Result<Vec<V>, DeviceError> {
        let mut values = self.device.read(vector)?;
        values.truncate(self.layout().len());
        Ok(values)
    }

    /// The number of partial sums of [`Self::loss`] and [`Self::gradient`].
    pub fn partials_len(&self) -> usize {
        2 * PARTIALS * self.chunks.len()
    }

    /// Loss and error from these partial sums, added up in f64.
    pub fn metrics(&self, partials: &[f64]) -> Metrics {
        let sum = |values: &[f64]| values.iter().sum::<f64>();
        let sums = partials.chunks_exact(2 * PARTIALS).map(|chunk| chunk.split_at(PARTIALS));
        let (loss, error) = sums.fold((0.0, 0.0), |(l, e), (loss, error)| (l + sum(loss), e + sum(error)));
        let scale = self.problem.uniform_weight().unwrap_or(1.0);
        let error = if self.problem.misclassifies() { error * scale } else { f64::NAN };
        Metrics { loss: loss * scale, error }
    }

    /// Records loss and error at `w`; their partial sums go to the first elements of `partials`.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn loss(&mut self, w: &Buffer, partials: &Buffer) -> Result<Recording, DeviceError> {
        self.record(Quantity::Loss, Buffers { w, v: None, result: None }, Some(partials))
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
    ) -> Result<Recording, DeviceError> {
        let buffers = Buffers { w, v: None, result: Some(gradient) };
        self.record(Quantity::Gradient { metrics: partials.is_some() }, buffers, partials)
    }

    /// Records `gradient` = the share of chunk `number` in ∇L(w), Σ ∇ℓᵢ(w)/N over its examples; with `accumulate` it is
    /// added to the present values, and with `partials` the chunk's loss and error are stored where [`Self::gradient`]
    /// stores them.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn chunk_gradient(
        &mut self,
        number: usize,
        w: &Buffer,
        gradient: &Buffer,
        accumulate: bool,
        partials: Option<&Buffer>,
    ) -> Result<Recording, DeviceError> {
        if number >= self.chunks.len() {
            let chunks = self.chunks.len();
            return Err(DeviceError::Mismatch(format!("there is no chunk {number}; the {chunks} chunks count from 0")));
        }
        let quantity = Quantity::Gradient { metrics: partials.is_some() };
        let loaded = self.load(quantity, number, accumulate)?;
        let buffers = Buffers { w, v: None, result: Some(gradient) };
        let recording = self.bind(&loaded, &self.chunks[number], buffers, &[])?;
        self.and_partials(recording, number, partials)
    }

    /// Records `result` = ∇(vᵀHv) at `w`; for a unit eigenvector v of H, the gradient of its eigenvalue.
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn curvature_grad(&mut self, w: &Buffer, v: &Buffer, result: &Buffer) -> Result<Recording, DeviceError> {
        self.record(Quantity::CurvatureGrad, Buffers { w, v: Some(v), result: Some(result) }, None)
    }

    fn record(
        &mut self,
        quantity: Quantity,
        buffers: Buffers<'_>,
        partials: Option<&Buffer>,
    ) -> Result<Recording, DeviceError> {
        let mut recording = Recording::default();
        for i in 0..self.chunks.len() {
            let loaded = self.load(quantity, i, i > 0)?;
            recording = recording.then(&self.bind(&loaded, &self.chunks[i], buffers, &[])?);
            recording = self.and_partials(recording, i, partials)?;
        }
        Ok(recording)
    }

    /// A chunk's recording, followed by a copy of the chunk's loss and error to its place among `partials`, if given.
    fn and_partials(
        &self,
        recording: Recording,
        chunk: usize,
        partials: Option<&Buffer>,
    ) -> Result<Recording, DeviceError> {
        let Some(all) = partials else { return Ok(recording) };
        Ok(recording.then(&Recording::copy(&self.chunks[chunk].partials, all, chunk * 2 * PARTIALS)?))
    }

    /// The program of a quantity for a chunk, compiled at its first use.
    fn load(&mut self, quantity: Quantity, chunk: usize, accumulate: bool) -> Result<Loaded, DeviceError> {
        let rows = self.chunks[chunk].rows;
        let key = (quantity, rows, accumulate);
        if let Some(loaded) = self.programs.get(&key) {
            return Ok(loaded.clone());
        }
        let loaded = self.device.load(self.problem.program(quantity, rows, accumulate, &self.device)?)?;
        self.programs.insert(key, loaded.clone());
        Ok(loaded)
    }

    /// Binds a chunk's program; unused slots get any existing buffer.
    fn bind(
        &self,
        loaded: &Loaded,
        chunk: &Chunk,
        Buffers { w, v, result }: Buffers<'_>,
        kept: &[Buffer],
    ) -> Result<Recording, DeviceError> {
        let weights = chunk.weights.as_ref().unwrap_or(&chunk.partials);
        let constants = self.constants.as_ref().unwrap_or(&chunk.partials);
        let (v, result) = (v.unwrap_or(w), result.unwrap_or(w));
        let mut slots = vec![w, &chunk.x, &chunk.labels, v, result, &chunk.partials, weights, constants];
        let kept_slots = loaded.slots().len() - slots.len();
        slots.extend(&kept[..kept_slots]);
        loaded.bind(&self.device, &slots)
    }

    /// Seconds that a full gradient takes, from timing the first chunk (the better of two runs).
    ///
    /// # Errors
    /// Compilation or device errors.
    pub fn gradient_secs(&mut self) -> Result<f64, DeviceError> {
        let Some(chunk) = self.chunks.first() else { return Ok(0.0) };
        let rows = chunk.rows;
        let loaded = self.load(Quantity::Gradient { metrics: false }, 0, false)?;
        let (w, g) = (self.vector("w")?, self.vector("the gradient")?);
        let recording = self.bind(&loaded, &self.chunks[0], Buffers { w: &w, v: None, result: Some(&g) }, &[])?;
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let start = Instant::now();
            self.device.run([&recording])?;
            self.device.wait()?;
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best * self.problem.examples as f64 / rows as f64)
    }
}
