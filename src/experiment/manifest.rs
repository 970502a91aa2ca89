//! The manifest of a run: everything needed to judge or repeat it that is not in `config.toml`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::equipment::MemoryPlan;
use super::measuring::MeasuringSet;

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
    /// The adapter's name.
    pub adapter: String,
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
}

/// Why a run ended; in the manifest, as the words of its `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It has not; if the process is gone, it was killed.
    Running,
    /// All steps were made.
    Done,
    /// The user stopped it.
    Interrupted,
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
            Self::Interrupted => f.write_str("interrupted"),
            Self::Diverged { step } => write!(f, "diverged at step {step}"),
            Self::Failed { error } => write!(f, "error: {error}"),
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
            _ => match words.strip_prefix("diverged at step ").and_then(|step| step.parse().ok()) {
                Some(step) => Self::Diverged { step },
                None => Self::Failed { error: words.strip_prefix("error: ").unwrap_or(words).to_owned() },
            },
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

    /// The manifest as indented JSON with a final newline.
    pub fn to_json(&self) -> String {
        let json =
            serde_json::to_string_pretty(self).expect("strings, numbers and string-keyed maps always have a JSON form");
        json + "\n"
    }
}
