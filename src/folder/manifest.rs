//! The manifest of a run: everything needed to judge or repeat it that is not in `config.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::config::MeasuringSet;
use crate::files::sha256;

/// The contents of `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The program's version.
    pub version: String,
    /// The source commit, if the program was built from a repository.
    pub commit: Option<String>,
    /// The command line, program name included.
    pub command: Vec<String>,
    /// The seed, repeated from the configuration.
    pub seed: u64,
    /// The settings that the run began with, which say whether `config.toml` was changed; early versions did not write them.
    #[serde(default)]
    pub settings: Option<Value>,
    /// The examples.
    pub data: DataRecord,
    /// The file with the initial weights, where they were not drawn from the seed.
    pub init: Option<InitFile>,
    /// The adapter's name.
    pub adapter: String,
    /// What tells the adapter from others of its name; empty in manifests of versions that did not record it.
    #[serde(default)]
    pub adapter_place: String,
    /// The driver's name.
    pub driver: String,
    /// The driver's version.
    pub driver_info: String,
    /// The graphics interface, such as Vulkan or Metal.
    pub backend: String,
    /// The device limits that shaped the run, by name.
    pub limits: BTreeMap<String, u64>,
    /// The capability tier the kernels were chosen for.
    pub tier: String,
    /// The kernel variants in use, one line each.
    pub kernel_choices: Vec<String>,
    /// The variant of each class of contractions, for `run.kernels`. Where several are used in one class, because the rule of
    /// thumb goes by more than the class, it is not listed: the rule of thumb gives them again.
    pub choices: BTreeMap<String, String>,
    /// Examples handled at once; the last chunk may have fewer.
    pub chunk: usize,
    /// Chunks that make up the examples of an update.
    pub chunks: usize,
    /// What the curvature is measured on, if it is.
    pub measured: Option<MeasuringSet>,
    /// Trained numbers in the model.
    pub parameters: usize,
    /// Most memory that the run was going to take, as known before its first step.
    pub memory_plan: MemoryPlan,
    /// Most bytes of device buffers that there were at once; 0 until the run has ended.
    pub memory_peak_bytes: u64,
    /// Wall time from the first step to the last.
    pub wall_secs: f64,
    /// Updates made.
    pub steps_done: u64,
    /// Why the run ended: `running` until it has.
    pub ended: Ended,
    /// When it was resumed, and by what. The fields above say how it began.
    pub resumed: Vec<Resumed>,
}

/// What a run will take, known before its first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// Most bytes of device buffers at once.
    pub device_bytes: u64,
    /// Most bytes of examples and of the eigensolver's vectors in the host's memory.
    pub host_bytes: u64,
}

/// The examples of a run, told from any others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRecord {
    /// The data set.
    pub name: String,
    /// Training examples in use.
    pub train: usize,
    /// Test examples in use.
    pub test: usize,
    /// SHA-256 of their features and labels as they are on the device, little-endian, the training set first.
    pub sha256: String,
}

impl fmt::Display for DataRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, train, test, sha256 } = self;
        write!(f, "{train} and {test} examples of {name} (SHA-256 {}…)", sha256.get(..12).unwrap_or(sha256))
    }
}

/// A file of initial weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitFile {
    /// Where it was.
    pub path: PathBuf,
    /// The SHA-256 of its bytes.
    pub sha256: String,
}

impl InitFile {
    /// That of a file with these bytes.
    pub fn of(path: &Path, bytes: &[u8]) -> Self {
        Self { path: path.into(), sha256: sha256([bytes]) }
    }
}

/// One resumption of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Updates made before.
    pub step: u64,
    /// The program's version.
    pub version: String,
    /// The source commit, if known.
    pub commit: Option<String>,
    /// The command line.
    pub command: Vec<String>,
    /// The adapter's name.
    pub adapter: String,
    /// The driver's name and version.
    pub driver: String,
}

impl Resumed {
    /// A resumption by a process whose own manifest is `now`.
    pub fn at(step: u64, now: &Manifest) -> Self {
        let Manifest { version, commit, command, adapter, driver, driver_info, .. } = now.clone();
        Self { step, version, commit, command, adapter, driver: format!("{driver} {driver_info}") }
    }
}

/// Why a run ended; in the manifest, as the words of its `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It has not; if the process is gone, it was killed.
    Running,
    /// All steps were made.
    Done,
    /// A row met `run.until`.
    Reached {
        /// What it met.
        until: String,
    },
    /// The user stopped it.
    Interrupted,
    /// `run.time_limit` was over.
    TimeLimit,
    /// The loss was no longer finite before this step.
    Diverged {
        /// The step.
        step: u64,
    },
    /// Something failed.
    Failed {
        /// The error's message.
        error: String,
    },
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Done => f.write_str("done"),
            Self::Reached { until } => write!(f, "reached {until}"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::TimeLimit => f.write_str("time limit"),
            Self::Diverged { step } => write!(f, "diverged at step {step}"),
            Self::Failed { error } => write!(f, "error: {error}"),
        }
    }
}

impl Ended {
    /// Whether nothing of the run is left to do: it made its steps, met its rule, or cannot go on.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Done | Self::Reached { .. } | Self::Diverged { .. } => true,
            Self::Running | Self::Interrupted | Self::TimeLimit | Self::Failed { .. } => false,
        }
    }
}

/// Words that no version writes count as an error's.
impl From<&str> for Ended {
    fn from(words: &str) -> Self {
        match words {
            "running" => Self::Running,
            "done" => Self::Done,
            "interrupted" => Self::Interrupted,
            "time limit" => Self::TimeLimit,
            _ => {
                let after = |prefix| words.strip_prefix(prefix);
                let diverged = after("diverged at step ").and_then(|step| step.parse().ok());
                match (diverged, after("reached ")) {
                    (Some(step), _) => Self::Diverged { step },
                    (None, Some(until)) => Self::Reached { until: until.to_owned() },
                    (None, None) => Self::Failed { error: after("error: ").unwrap_or(words).to_owned() },
                }
            }
        }
    }
}

impl<'de> Deserialize<'de> for Ended {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

impl Serialize for Ended {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Manifest {
    /// The commit this program was built from, where the build knew it.
    pub const COMMIT: Option<&str> = option_env!("EDGEWALK_COMMIT");

    /// What has changed, if anything, that the bits of a run depend on, when a process with the manifest `now` goes on with it.
    pub fn change(&self, now: &Self) -> Option<String> {
        let fields = |m: &Self| {
            let program = format!("{} {}", m.version, m.commit.as_deref().unwrap_or_default());
            [
                ("program", program),
                ("adapter", m.adapter.clone()),
                ("driver", format!("{} {}", m.driver, m.driver_info)),
            ]
        };
        let (was, is) = (fields(self), fields(now));
        let changed = was.iter().zip(&is).filter(|(was, is)| was != is);
        let words: Vec<String> = changed
            .map(|((name, was), (_, is))| format!("the {name} is `{}` and was `{}`", is.trim(), was.trim()))
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }

    /// The manifest as indented JSON with a final newline.
    pub fn to_json(&self) -> String {
        let json =
            serde_json::to_string_pretty(self).expect("strings, numbers and string-keyed maps always have a JSON form");
        json + "\n"
    }
}
