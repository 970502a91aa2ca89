//! The configuration of a run: what it may hold, where it comes from, and what makes it valid.
//!
//! One idea: a `Config` that exists is complete and valid. It is built from a preset ([`super::preset`]), a TOML
//! file laid over the quickstart preset, and `--set key=value` changes, in that order; every key passes the table in
//! `keys` on the way in, and the combinations that make no sense are refused here. Written back with
//! [`Config::to_toml`] it lists every key, so `config.toml` in a run folder repeats the run.

use std::fmt::Display;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Table;

use super::{conflicts, keys, preset};

pub use super::choice::{
    Auto, CheckpointEvery, LossKind, MeasureAt, MeasureMethod, MeasureOn, ModelKind, OptimKind, Tune,
};
pub use super::until::Until;
use crate::paths::read_text;

pub use crate::data::DataName;
pub use crate::model::{Activation, Norm, Pool, Reduction};

/// What is wrong with a configuration. Each message names the key or file and says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The name is neither a preset nor a file.
    #[error("there is no preset `{name}`{meant} (known presets: {known}; the name of a file must end in .toml)")]
    UnknownPreset {
        /// The name as given.
        name: String,
        /// The preset that may have been meant, in words; empty if none is near.
        meant: String,
        /// Every preset, comma separated.
        known: String,
    },
    /// The file cannot be read.
    #[error("cannot read the config {}: {cause}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not text.
    #[error("{} {problem}; save it as UTF-8, or correct that byte", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where.
        problem: String,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML; correct the marked line\n{message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        message: String,
    },
    /// A key that no section has.
    #[error("unknown key `{key}`{meant} (`edgewalk train --print-config` lists every key)")]
    UnknownKey {
        /// The key as given.
        key: String,
        /// What may have been meant, in words; empty if nothing is near.
        meant: String,
    },
    /// A short name that several sections share.
    #[error("the key `{key}` is ambiguous; write one of {candidates}")]
    AmbiguousKey {
        /// The short name as given.
        key: String,
        /// The full names it could stand for, comma separated.
        candidates: String,
    },
    /// A `--set` argument without `=`.
    #[error("`--set {argument}` has no value; write --set key=value, for example --set lr=0.1")]
    NotKeyValue {
        /// The argument as given.
        argument: String,
    },
    /// A value of the wrong type or out of range.
    #[error("`{key} = {value}` is not allowed; it must be {allowed}")]
    BadValue {
        /// The key, with its section.
        key: String,
        /// The value as TOML.
        value: String,
        /// What is accepted, in words.
        allowed: String,
    },
    /// `run.kernels` names no usable record.
    #[error("cannot take the kernels of {}: {problem}; run.kernels must be the manifest.json of a run", path.display())]
    Kernels {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Two values that exclude one another.
    #[error("{problem}; {remedy}")]
    Conflict {
        /// The keys and values that do not go together.
        problem: String,
        /// What to change.
        remedy: &'static str,
    },
}

/// `[data]`: the examples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The data set.
    pub name: DataName,
    /// The folder that holds its files; `None` (written `""`) is the usual place.
    #[serde(serialize_with = "path_out", deserialize_with = "path_in")]
    pub path: Option<PathBuf>,
    /// The first so many training examples in file order; 0 is all of them.
    pub train: usize,
    /// The first so many test examples in file order; 0 is none.
    pub test: usize,
}

/// `[model]`: the network. A family looks at its own keys only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The family.
    pub kind: ModelKind,
    /// The function after each hidden layer of an MLP or convolution of a CNN.
    pub activation: Activation,
    /// MLP: dense layers, the linear output included: 4 is three hidden layers.
    pub depth: usize,
    /// MLP: units in each hidden layer.
    pub width: usize,
    /// CNN: blocks, each of which ends with a pooling.
    pub blocks: usize,
    /// CNN: convolutions in a block.
    pub layers_per_block: usize,
    /// CNN: channels of the first block.
    pub channels: usize,
    /// CNN: factor from the channels of one block to those of the next.
    pub growth: usize,
    /// CNN: stride of each block's first convolution.
    pub stride: usize,
    /// CNN: what follows each activation.
    pub norm: Norm,
    /// CNN: what a block ends with.
    pub pool: Pool,
    /// Transformer: blocks.
    pub layers: usize,
    /// Transformer: attention heads.
    pub heads: usize,
    /// Transformer: size of a head's queries, keys and values.
    pub key_size: usize,
    /// Transformer: features of a token between blocks.
    pub model_size: usize,
    /// Transformer: characters of a window.
    pub seq_len: usize,
}

/// `[loss]`: what is minimised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// The loss function.
    pub kind: LossKind,
    /// How one example's loss is formed from its outputs.
    pub reduction: Reduction,
}

/// `[optim]`: the update rule w⁺ = w − η ∇L(w + ρ g/(‖g‖ + ε)) or a relative of it, see [`crate::optim::Rule`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimConfig {
    /// The rule.
    pub kind: OptimKind,
    /// The learning rate η, above 0.
    pub lr: f64,
    /// SAM's radius ρ; 0 is gradient descent, which does not look at it.
    pub rho: f64,
    /// ε, which keeps a normalised perturbation finite.
    pub epsilon: f64,
    /// ASAM: what is added to every |w|.
    pub asam_eta: f64,
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
    /// Weight decay c: c w is added to the gradient.
    pub weight_decay: f64,
    /// Examples per update; 0 is the full training set.
    pub batch: usize,
    /// m of m-SAM: examples that share a perturbation; 0 is all of the update.
    pub micro_batch: usize,
}

impl OptimConfig {
    /// Whether updates look at a perturbed gradient.
    pub fn perturbs(&self) -> bool {
        self.kind != OptimKind::Gd && self.rho > 0.0
    }

    /// Gradients of an update, a perturbed one where there are such.
    pub fn gradients(&self) -> usize {
        if self.perturbs() { 1 + self.ascent_steps } else { 1 }
    }
}

/// `[run]`: how long, from which random numbers, and how the work is cut.
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
    /// A safetensors file with the initial weights; `None` (written `""`) is to draw them.
    #[serde(serialize_with = "path_out", deserialize_with = "path_in")]
    pub init: Option<PathBuf>,
    /// Whether rows also go to an event file of TensorBoard, in `RUN/tensorboard`.
    pub tensorboard: bool,
    /// The seed of the initial weights, of the minibatches and of the eigensolver's start.
    pub seed: u64,
    /// Steps between two rows of `metrics.csv`.
    pub log_every: u64,
    /// Examples handled at once; 0 lets the planner choose. It never changes the result beyond rounding.
    pub chunk: usize,
    /// Time to spend on choosing kernels by timing them.
    pub tune: Tune,
    /// A manifest whose kernels are taken as they are; `None` (written `""`) is to choose.
    #[serde(serialize_with = "path_out", deserialize_with = "path_in")]
    pub kernels: Option<PathBuf>,
}

/// `[measure]`: the Hessian's top eigenvalues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeasureConfig {
    /// Steps between two rows of `curvature.csv`; 0 is never.
    pub every: u64,
    /// Above 0, so many rows in every factor of ten of steps instead, see [`MeasureConfig::due`].
    pub per_decade: u64,
    /// The examples to measure on.
    pub on: MeasureOn,
    /// With `on = "fixed"`, how many; 0 is the full training set.
    pub examples: usize,
    /// The parameters to measure at.
    pub at: MeasureAt,
    /// Eigenvalues to find, largest in magnitude first.
    pub top: usize,
    /// Lowest eigenvalues to find besides; with 0, λ_min is the lowest value met on the way.
    pub bottom: usize,
    /// Above 0, only those of the `top` are found that reach this fraction of the edge, and the first that does not.
    pub track: f64,
    /// The eigensolver, and whether the official code's estimate is shown beside it.
    pub method: MeasureMethod,
    /// The relative residual at which an eigenpair counts as converged.
    pub tol: f64,
    /// The eigensolver's limit; what has not converged by then is logged with its residual.
    pub max_iterations: usize,
    /// Updates after each measurement over which the oscillation along v₁ is followed, for `oscillation.csv`; 0 is none.
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
    /// What is minimised.
    pub loss: LossConfig,
    /// The update rule.
    pub optim: OptimConfig,
    /// Length, seed and chunking.
    pub run: RunConfig,
    /// The curvature measurements.
    pub measure: MeasureConfig,
}

/// A configuration with the name its run folder is called after.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// The preset's name, or the file's name without `.toml`.
    pub name: String,
    /// The settings.
    pub config: Config,
}

/// Builds the configuration of a run from the command line: `target` is a preset or a TOML file (none:
/// `quickstart`), and `sets` are the `key=value` changes, applied in order.
///
/// A target that ends in `.toml` or exists as a file is a file; keys it leaves out keep the quickstart's values.
///
/// # Errors
/// A [`ConfigError`] for an unknown preset, an unreadable file, and every unknown key or unacceptable value.
pub fn resolve(target: Option<&str>, sets: &[String]) -> Result<Resolved, ConfigError> {
    let target = target.unwrap_or(preset::QUICKSTART);
    let path = Path::new(target);
    let (name, mut table) = if target.ends_with(".toml") || path.is_file() {
        let mut table = preset::find(preset::QUICKSTART)?.config.to_table();
        keys::overlay(&mut table, read_table(path)?)?;
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        (stem.to_string_lossy().into_owned(), table)
    } else {
        let preset = preset::find(target)?;
        (preset.name.to_owned(), preset.config.to_table())
    };
    for argument in sets {
        keys::set(&mut table, argument)?;
    }
    let config = Config::from_table(table)?;
    Ok(Resolved { name, config })
}

/// Reads a TOML file, not yet looking at its keys.
fn read_table(path: &Path) -> Result<Table, ConfigError> {
    let text = read_text(path).map_err(|cause| match cause.kind() {
        ErrorKind::InvalidData => ConfigError::NotText { path: path.into(), problem: cause.to_string() },
        _ => ConfigError::Read { path: path.into(), cause },
    })?;
    text.parse().map_err(|error: toml::de::Error| ConfigError::Parse {
        path: path.into(),
        message: error.to_string().trim_end().into(),
    })
}

impl Config {
    /// The configuration as TOML, every key in a fixed order; reading it gives the identical configuration.
    ///
    /// # Panics
    /// If a count built by hand exceeds TOML's largest integer, `i64::MAX`; [`resolve`] lets none through.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("the table of keys keeps every count within TOML's integers")
    }

    /// The same as JSON.
    pub(super) fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("sections of numbers and words have a JSON form")
    }

    fn to_table(&self) -> Table {
        Table::try_from(self).expect("the table of keys keeps every count within TOML's integers")
    }

    /// The last gate: `table` holds every key with an acceptable value; the combinations remain.
    fn from_table(table: Table) -> Result<Self, ConfigError> {
        let config: Self = table.try_into().expect("the table of keys accepts only what the sections can hold");
        conflicts::check(&config)?;
        Ok(config)
    }

    /// Examples handled at once; 0 lets the planner choose. The groups of m-SAM are handled one by one.
    pub fn chunk(&self) -> usize {
        if self.optim.perturbs() && self.optim.micro_batch > 0 { self.optim.micro_batch } else { self.run.chunk }
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
