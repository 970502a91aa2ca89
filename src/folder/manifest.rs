//! The manifest of a run: all that is needed to judge or repeat it and is not in `config.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::data_record::DataRecord;
use crate::config::{ConfigError, MeasuringSet};
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
    /// The settings at the start of the run, to detect changes of `config.toml`; early versions lack them.
    #[serde(default)]
    pub settings: Option<Value>,
    /// The examples.
    pub data: DataRecord,
    /// The file of the network, if it comes from one; manifests of early versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<InitFile>,
    /// The file of the initial weights, if they were not drawn from the seed.
    pub init: Option<InitFile>,
    /// The name of the machine; empty in early manifests.
    #[serde(default)]
    pub host: String,
    /// The start of the run, such as `2026-12-01T15:18:08Z`; empty in early manifests.
    #[serde(default)]
    pub began: String,
    /// The adapter's name.
    pub adapter: String,
    /// Distinguishes the adapter from others of its name; empty in early manifests.
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
    /// The variant of each class of contractions, for `run.kernels`. Classes that use several variants are omitted; the
    /// default rule reproduces them.
    pub choices: BTreeMap<String, String>,
    /// Examples handled at once; the last chunk may have fewer.
    pub chunk: usize,
    /// Chunks that make up the examples of an update.
    pub chunks: usize,
    /// The measuring set, if curvature is measured.
    pub measured: Option<MeasuringSet>,
    /// Trained numbers in the model.
    pub parameters: usize,
    /// The planned memory, known before the first step.
    pub memory_plan: MemoryPlan,
    /// The largest number of bytes in device buffers at once; 0 until the run has ended.
    pub memory_peak_bytes: u64,
    /// Wall time from the first step to the last.
    pub wall_secs: f64,
    /// Updates made.
    pub steps_done: u64,
    /// Why the run ended: `running` until it has.
    pub ended: Ended,
    /// The quantity that was not finite, if the run diverged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_finite: Option<String>,
    /// The resumptions. The fields above describe the start.
    pub resumed: Vec<Resumed>,
    /// The checkpoint that the run began with, if it is a fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
}

/// The checkpoint that a fork began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run folder.
    pub path: PathBuf,
    /// Updates made before.
    pub step: u64,
}

/// The memory plan of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// The most bytes of device buffers at once.
    pub device_bytes: u64,
    /// The most bytes of examples and the eigensolver's vectors in the host's memory.
    pub host_bytes: u64,
}

/// A file of initial weights, or of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitFile {
    /// Its path.
    pub path: PathBuf,
    /// The SHA-256 of its bytes; see [`Network::sha256`](crate::onnx::Network::sha256) for a network.
    pub sha256: String,
}

impl InitFile {
    /// The identity of a file with these bytes.
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
    /// The name of the machine; empty in early manifests.
    #[serde(default)]
    pub host: String,
    /// The time, such as `2026-12-01T15:18:08Z`; empty in early manifests.
    #[serde(default)]
    pub began: String,
}

impl Resumed {
    /// A resumption by a process whose own manifest is `now`.
    pub fn at(step: u64, now: &Manifest) -> Self {
        let Manifest { version, commit, command, adapter, driver, driver_info, host, began, .. } = now.clone();
        Self { step, version, commit, command, adapter, driver: format!("{driver} {driver_info}"), host, began }
    }
}

/// Why a run ended; in the manifest, as the words of its `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It has not ended; if the process is dead, it was killed.
    Running,
    /// All steps were made.
    Done,
    /// A row met `run.until`.
    Reached {
        /// The rule that it met.
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
    /// Whether the run is complete: it made its steps, met its rule, or cannot continue.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Done | Self::Reached { .. } | Self::Diverged { .. } => true,
            Self::Running | Self::Interrupted | Self::TimeLimit | Self::Failed { .. } => false,
        }
    }
}

/// Unknown words count as an error's.
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
    /// The commit of this build, if known.
    pub const COMMIT: Option<&str> = option_env!("EDGEWALK_COMMIT");

    /// The changes, if any, that affect the bits of a run when a process with the manifest `now` continues it.
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

    /// Refuses another network than that of the run, which may have moved.
    ///
    /// # Errors
    /// [`ConfigError::Conflict`].
    pub fn check_network(&self, now: Option<&InitFile>) -> Result<(), ConfigError> {
        let (Some(was), Some(now)) = (&self.network, now) else { return Ok(()) };
        if was.sha256 == now.sha256 {
            return Ok(());
        }
        let short = |file: &InitFile| file.sha256.get(..12).unwrap_or(&file.sha256).to_owned();
        Err(ConfigError::Conflict {
            problem: format!(
                "the network {} is not that of the run: its SHA-256 is {}… and was {}…",
                now.path.display(),
                short(now),
                short(was)
            ),
            remedy: "put back the file that the run began with, or begin a new run with `edgewalk train DIR/config.toml`",
        })
    }

    /// The manifest as indented JSON with a final newline.
    pub fn to_json(&self) -> String {
        let json =
            serde_json::to_string_pretty(self).expect("strings, numbers and string-keyed maps always have a JSON form");
        json + "\n"
    }
}
