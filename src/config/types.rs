//! The configuration of a run. A `Config` that exists is complete and valid: it is built from a preset
//! ([`crate::config::preset`]), a TOML file laid over the quickstart preset, and `--set key=value` changes, in that
//! order; every key passes the table in `keys`, and contradictions are refused. [`Config::to_toml`] lists every key, so
//! the `config.toml` of a run folder repeats the run.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Table;

use super::choice::{
    Centre, CheckpointEvery, IgnoreIndex, LossKind, LrSchedule, MeasureAt, MeasureMethod, MeasureOn, ModelKind,
    OptimBase, OptimKind, Tune,
};
use super::until::Until;
use crate::adapter::Precision;
use crate::curvature::Order;
use crate::data::{DataName, ImageLayout, TargetsAs, TestSize};
use crate::model::{Activation, Initializer, Norm, Pool, Readout, Reduction, WeightLayout};

/// `[data]`: the examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The data set.
    pub name: DataName,
    /// The folder that holds its files; `None` (written `""`) is the usual place.
    #[serde(serialize_with = "path_out", deserialize_with = "path_in")]
    pub path: Option<PathBuf>,
    /// The first so many training examples in file order; 0 is all of them.
    pub train: usize,
    /// The first so many test examples in file order, 0 being none; or a share of the training examples.
    pub test: TestSize,
    /// The classes to keep, numbered anew in this order; empty is all.
    pub classes: Vec<u32>,
    /// The meaning of labels.
    pub targets: TargetsAs,
    /// Whether the mean of each feature is subtracted.
    pub centre: Centre,
    /// Chebyshev: the degree of the polynomial.
    pub degree: u32,
    /// Arrays: features are divided by this.
    pub scale: f64,
    /// Arrays: the order of an image's axes in the file.
    pub layout: ImageLayout,
    /// Arrays: the column of a table with the labels; empty is the last one.
    pub target: String,
    /// Arrays: the seed that chooses the examples of a share for testing.
    pub split_seed: u64,
}

/// `[model]`: the network. A family uses only its own keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The family.
    pub kind: ModelKind,
    /// ONNX: the file; `None` (written `""`) for other families.
    #[serde(serialize_with = "path_out", deserialize_with = "path_in")]
    pub path: Option<PathBuf>,
    /// ONNX: patterns of the names of arrays that are no parameters, separated by commas; `None`
    /// (written `""`) for none.
    #[serde(serialize_with = "word_out", deserialize_with = "word_in")]
    pub freeze: Option<String>,
    /// The initial values of kernels.
    pub initializer: Initializer,
    /// The function after each hidden layer of an MLP or convolution of a CNN, ResNet or VGG.
    pub activation: Activation,
    /// MLP: dense layers, the linear output included: 4 is three hidden layers. ResNet: 6n + 2 layers.
    pub depth: usize,
    /// MLP: units in each hidden layer.
    pub width: usize,
    /// CNN: blocks, each of which ends with a pooling.
    pub blocks: usize,
    /// CNN: convolutions in a block.
    pub layers_per_block: usize,
    /// CNN, ResNet, VGG: channels of the first block, stage or layer.
    pub channels: usize,
    /// CNN: factor from the channels of one block to those of the next.
    pub growth: usize,
    /// CNN: stride of each block's first convolution.
    pub stride: usize,
    /// CNN: the normalisation after each activation. ResNet, VGG: that after each convolution.
    pub norm: Norm,
    /// The groups of channels of group normalisation.
    pub groups: usize,
    /// The examples that share the statistics of batch normalisation; 0 is all of an update, or of the set that is
    /// evaluated.
    pub norm_batch: usize,
    /// CNN: the pooling of a block. VGG: its poolings.
    pub pool: Pool,
    /// Transformer, ViT: blocks.
    pub layers: usize,
    /// Transformer, ViT: attention heads.
    pub heads: usize,
    /// Transformer, ViT: size of a head's queries, keys and values.
    pub key_size: usize,
    /// Transformer, ViT: features of a token between blocks.
    pub model_size: usize,
    /// Transformer: characters of a window.
    pub seq_len: usize,
    /// ViT: height and width of a patch.
    pub patch_size: usize,
    /// ViT: the vector that the outputs are computed from.
    pub readout: Readout,
}

impl ModelConfig {
    /// Whether the outputs of an example depend on the other examples of its batch.
    pub fn mixes_examples(&self) -> bool {
        let has_norm = match self.kind {
            ModelKind::Cnn | ModelKind::ResNet | ModelKind::Vgg => true,
            ModelKind::Mlp | ModelKind::Transformer | ModelKind::Vit | ModelKind::Onnx => false,
        };
        has_norm && self.norm == Norm::Batch
    }
}

/// `[loss]`: the minimised function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// The loss function.
    pub kind: LossKind,
    /// The reduction of one example's outputs to its loss.
    pub reduction: Reduction,
    /// Cross-entropy: the share of each label that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// Cross-entropy: the label that does not count.
    pub ignore_index: IgnoreIndex,
}

/// `[optim]`: the update rule w⁺ = w − η ∇L(w + ρ g/(‖g‖ + ε)) or a relative of it, see [`crate::optim::Rule`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimConfig {
    /// The rule.
    pub kind: OptimKind,
    /// What makes an update of its gradient.
    pub base: OptimBase,
    /// The learning rate η, above 0; the largest of a schedule.
    pub lr: f64,
    /// The learning rate after the warm-up.
    pub schedule: LrSchedule,
    /// Updates of the warm-up, through which the learning rate rises along a straight line; 0 is none.
    pub warmup: u64,
    /// The update with which `cosine` and `linear` have reached `final_lr`; [`resolve`](super::resolve) makes 0 the
    /// steps of the run.
    pub decay_steps: u64,
    /// What they end at.
    pub final_lr: f64,
    /// Updates between two drops of `step`.
    pub drop_every: u64,
    /// The factor of a drop.
    pub drop_factor: f64,
    /// The gauge that `edge` sets at every measurement.
    pub target_gauge: f64,
    /// SAM's radius ρ; 0 is gradient descent.
    pub rho: f64,
    /// ε, which keeps a normalised perturbation finite.
    pub epsilon: f64,
    /// ASAM: added to every |w|.
    pub asam_eta: f64,
    /// Whether ASAM's T is the same for biases, rather than 1.
    pub asam_biases: bool,
    /// Steps of the ascent, each of ρ/`ascent_steps`.
    pub ascent_steps: usize,
    /// The first update that is perturbed.
    pub sam_from: u64,
    /// The first after it that is not; 0 is none.
    pub sam_until: u64,
    /// β of the momentum; 0 is none.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's, rather than Polyak's.
    pub nesterov: bool,
    /// β₁ of Adam.
    pub beta1: f64,
    /// β₂ of adaptive bases.
    pub beta2: f64,
    /// The ε that adaptive bases add to √ν.
    pub eps: f64,
    /// Weight decay c: c w is added to the gradient; for AdamW w is multiplied by 1 − ηc.
    pub weight_decay: f64,
    /// Examples per update; 0 is the full training set.
    pub batch: usize,
    /// m of m-SAM: examples that share a perturbation; 0 is all of the update.
    pub micro_batch: usize,
}

impl OptimConfig {
    /// Whether updates use a perturbed gradient.
    pub fn perturbs(&self) -> bool {
        !matches!(self.kind, OptimKind::Gd | OptimKind::Flow) && self.rho > 0.0
    }

    /// Whether updates divide by running means.
    pub fn is_adaptive(&self) -> bool {
        self.base != OptimBase::Sgd
    }

    /// Gradients of an update, perturbed ones included.
    pub fn gradients(&self) -> usize {
        match self.kind {
            OptimKind::Flow => 4,
            _ if self.perturbs() => 1 + self.ascent_steps,
            OptimKind::Gd | OptimKind::Sam | OptimKind::Usam | OptimKind::Asam => 1,
        }
    }
}

/// `[run]`: length, seed and chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Updates to make.
    pub steps: u64,
    /// Ends the run earlier, after the update of the first logged step whose row of `metrics.csv` meets it.
    #[serde(serialize_with = "word_out", deserialize_with = "word_in")]
    pub until: Option<Until>,
    /// Seconds after which a run writes a checkpoint and ends, each time it is started or resumed; 0 is no limit.
    pub time_limit: f64,
    /// Steps between two checkpoints.
    pub checkpoint_every: CheckpointEvery,
    /// How many checkpoints are kept, the latest ones; 0 is all.
    pub keep: usize,
    /// A safetensors file with the initial weights, a checkpoint or a run; `None` (written `""`) is to draw them.
    #[serde(serialize_with = "path_out", deserialize_with = "path_in")]
    pub init: Option<PathBuf>,
    /// The names and axes of its tensors.
    pub init_layout: WeightLayout,
    /// Whether rows also go to an event file of TensorBoard, in `RUN/tensorboard`.
    pub tensorboard: bool,
    /// The seed of the initial weights, of the minibatches and of the eigensolver's start.
    pub seed: u64,
    /// Steps between two rows of `metrics.csv`.
    pub log_every: u64,
    /// Examples handled at once; 0 lets the planner choose. Affects only rounding.
    pub chunk: usize,
    /// The share of the free memory in which products may keep what they have in common.
    pub memory: f64,
    /// Width of parameters, data, state and products.
    pub precision: Precision,
    /// Time to spend on choosing kernels by timing them.
    pub tune: Tune,
    /// A manifest whose kernels are used unchanged; `None` (written `""`) is to choose.
    #[serde(serialize_with = "path_out", deserialize_with = "path_in")]
    pub kernels: Option<PathBuf>,
}

/// The shortest window that shows a period, see [`MeasureConfig::window`].
pub const SHORTEST_WINDOW: u64 = 8;

/// `[measure]`: the Hessian's top eigenvalues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureConfig {
    /// Steps between two rows of `curvature.csv`; 0 is never.
    pub every: u64,
    /// Above 0, this many rows in every factor of ten of steps instead, see [`MeasureConfig::due`].
    pub per_decade: u64,
    /// The examples to measure on.
    pub on: MeasureOn,
    /// With `on = "fixed"`, their number; 0 is the full training set.
    pub examples: usize,
    /// The parameters to measure at.
    pub at: MeasureAt,
    /// Eigenvalues to find.
    pub top: usize,
    /// Which of them come first.
    pub order: Order,
    /// Lowest eigenvalues to find as well; with 0, λ_min is the lowest value met.
    pub bottom: usize,
    /// Above 0, only those of the `top` that reach this fraction of the edge are found, and the first that does not.
    pub track: f64,
    /// The eigensolver, and whether the official code's estimate is shown beside it.
    pub method: MeasureMethod,
    /// The relative residual at which an eigenpair counts as converged.
    pub tol: f64,
    /// The eigensolver's limit; pairs that have not converged are logged with their residuals.
    pub max_iterations: usize,
    /// The most fresh minibatches for the mean of the batch sharpness; 0 is none.
    pub batches: u64,
    /// Updates after each measurement for which the oscillation along v₁ is followed, for `oscillation.csv`; 0 is none.
    pub window: u64,
}

/// Everything that decides a run, complete and valid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The examples.
    pub data: DataConfig,
    /// The network.
    pub model: ModelConfig,
    /// The minimised function.
    pub loss: LossConfig,
    /// The update rule.
    pub optim: OptimConfig,
    /// Length, seed and chunking.
    pub run: RunConfig,
    /// The curvature measurements.
    pub measure: MeasureConfig,
}

impl Config {
    /// The configuration as TOML, every key in a fixed order; reading it gives the identical configuration.
    ///
    /// # Panics
    /// If a count built by hand exceeds TOML's largest integer, `i64::MAX`; [`super::resolve`] lets none through.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("the table of keys keeps every count within TOML's integers")
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("sections of numbers and words have a JSON form")
    }

    pub(super) fn to_table(&self) -> Table {
        Table::try_from(self).expect("the table of keys keeps every count within TOML's integers")
    }

    /// Examples handled at once; 0 lets the planner choose. The groups of m-SAM are handled one by one, and so are the
    /// batches of batch normalisation.
    pub fn chunk(&self) -> usize {
        match () {
            () if self.optim.perturbs() && self.optim.micro_batch > 0 => self.optim.micro_batch,
            () if self.model.mixes_examples() => self.model.norm_batch,
            () => self.run.chunk,
        }
    }
}

fn path_out<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = path.as_deref().map(Path::to_string_lossy);
    serializer.serialize_str(&text.unwrap_or_default())
}

fn path_in<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| text.into()))
}

fn word_out<T: Display, S: Serializer>(word: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&word.as_ref().map(T::to_string).unwrap_or_default())
}

fn word_in<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(D::Error::custom) }
}
