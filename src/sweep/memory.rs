//! The number of jobs at once: one for each core, or one on a GPU, and never more than fit into memory.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::SweepError;
use crate::config::{Config, ModelConfig, build};
use crate::data::{self, Dataset, Request};
use crate::device::{Device, Precision};
use crate::model::Layout;
use crate::onnx::Network;
use crate::run::batches::settle_groups;
use crate::run::inputs::{self, Inputs};
use crate::run::memory_check::{PROCESS_BYTES, check, free_bytes, machine_bytes};
use crate::run::{RunError, kernels, read_params};
use crate::text::counted;

const MIB: f64 = (1 << 20) as f64;

/// The number of jobs at once, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capacity {
    /// Jobs at once; at least 1.
    pub parallel: usize,
    /// The reason, in words.
    pub why: String,
    /// Threads of a job, if the adapter is software and would otherwise use all cores for each job.
    pub threads: Option<usize>,
    /// The needs of the largest job, in bytes of this machine's memory.
    pub job_bytes: u64,
    /// Free memory in bytes; `u64::MAX` if unknown.
    pub free_bytes: u64,
}

impl Capacity {
    /// `count` jobs at once for the reason `why`, or as many as memory holds. One is known to fit.
    fn of(count: usize, why: String, job_bytes: u64, free_bytes: u64) -> Self {
        let fit = usize::try_from(free_bytes / job_bytes).unwrap_or(usize::MAX).max(1);
        let (parallel, why) = if fit < count { (fit, "memory holds no more".to_owned()) } else { (count.max(1), why) };
        Self { parallel, why, threads: None, job_bytes, free_bytes }
    }
}

/// A size for people.
fn mib(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / MIB)
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parallel, why, job_bytes, free_bytes, .. } = self;
        write!(f, "{parallel} at a time ({why}; the largest needs {} of {})", mib(*job_bytes), mib(*free_bytes))
    }
}

/// Plans the memory of every job on the adapter, and chooses the number of jobs at once: `wanted`, or one for each
/// core, or one on a GPU, but no more than fit.
///
/// A `plan` refuses jobs whose files are missing. Otherwise a job whose data cannot be read does not count: its own
/// process reports the error.
///
/// # Errors
/// [`SweepError::Job`] for a job that does not fit alone, lacks a file, or is refused by the adapter or the model;
/// [`crate::device::DeviceError`] if there is no adapter.
pub fn capacity(
    jobs: &[(String, Config)],
    adapter: Option<&str>,
    wanted: Option<usize>,
    plan: bool,
) -> Result<Capacity, SweepError> {
    let first = jobs.first().map_or(Precision::F32, |(_, config)| config.run.precision);
    let device = Device::open_with(adapter, first)?;
    let kind = device.adapter().kind.clone();
    let free_bytes = free_bytes();
    let adapter = adapter.map(str::to_owned);
    let mut planner =
        MemoryPlanner { device, adapter, free_bytes, plan, network: None, data: None, needs: HashMap::new() };
    let mut job_bytes = PROCESS_BYTES;
    for (job, config) in jobs {
        match planner.need(config) {
            Ok(bytes) => job_bytes = job_bytes.max(bytes),
            Err(RunError::Data(_)) if !plan => {}
            Err(cause) => return Err(SweepError::Job { job: job.clone(), cause: Box::new(cause) }),
        }
    }
    let (count, why) = match wanted {
        Some(wanted) => (wanted, "as asked".to_owned()),
        None if kind != "Cpu" => (1, "a job has the GPU for itself".to_owned()),
        // One thread for each job is faster than all threads for one job after another (docs/sweeps.md).
        None => (cores().min(jobs.len()), counted(cores(), "core")),
    };
    let mut capacity = Capacity::of(count, why, job_bytes, free_bytes);
    if kind == "Cpu" && capacity.parallel > 1 {
        capacity.threads = Some((cores() / capacity.parallel).max(1));
    }
    Ok(capacity)
}

/// Cores of this machine that the program may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Plans memory, once for all jobs that differ only in numbers such as the learning rate.
struct MemoryPlanner {
    device: Device,
    adapter: Option<String>,
    free_bytes: u64,
    /// Whether the files of kernels and initial weights are read too.
    plan: bool,
    network: Option<(ModelConfig, Option<Arc<Network>>)>,
    data: Option<(Request, Arc<Dataset>)>,
    needs: HashMap<String, u64>,
}

impl MemoryPlanner {
    /// Bytes of this machine's memory that a job needs; an error if they are not free.
    fn need(&mut self, config: &Config) -> Result<u64, RunError> {
        let mut class = config.clone();
        class.run.seed = 0;
        class.run.steps = 1;
        class.optim.lr = 1.0;
        class.optim.rho = if config.optim.perturbs() { 1.0 } else { 0.0 };
        let key = class.to_toml();
        if let Some(&bytes) = self.needs.get(&key) {
            return Ok(bytes);
        }
        if self.plan {
            self.check_files(config)?;
        }
        let (network, data) = (self.network(config)?, self.data(config)?);
        let mut config = config.clone();
        settle_groups(&mut config, data.train.len())?;
        let config = &config;
        if self.device.precision() != config.run.precision {
            self.device = inputs::open(config, self.adapter.as_deref())?;
        }
        let inputs = Inputs::on(self.device.clone(), network, data, config)?;
        let (_, first) = inputs.batches(config)?;
        let parts = inputs.setup(config, &first);
        let (plan, _) = parts.plan(&self.device)?;
        check(&parts, &self.device, &plan, self.free_bytes)?;
        let bytes = machine_bytes(&plan, &self.device);
        self.needs.insert(key, bytes);
        Ok(bytes)
    }

    /// Reads the files of kernels and initial weights, as a new run would.
    fn check_files(&mut self, config: &Config) -> Result<(), RunError> {
        if let Some(path) = &config.run.kernels {
            kernels::recorded(path, self.device.target())?;
        }
        if let Some(path) = &config.run.init {
            let (network, data) = (self.network(config)?, self.data(config)?);
            let model = build::model(config, network.as_ref(), &data.train)?;
            read_params(&Layout::of(&*model)?, path, config.run.init_layout)?;
        }
        Ok(())
    }

    /// The network of a configuration, read unless it is that of the one before.
    fn network(&mut self, config: &Config) -> Result<Option<Arc<Network>>, RunError> {
        match &self.network {
            Some((of, network)) if *of == config.model => Ok(network.clone()),
            _ => {
                let network = build::network(config)?;
                self.network = Some((config.model.clone(), network.clone()));
                Ok(network)
            }
        }
    }

    /// The data of a configuration, read unless they are those of the one before.
    fn data(&mut self, config: &Config) -> Result<Arc<Dataset>, RunError> {
        let network = self.network(config)?;
        let request = build::request(config, network.as_deref());
        match &self.data {
            Some((of, data)) if *of == request => Ok(Arc::clone(data)),
            _ => {
                let data = Arc::new(data::load(&request)?);
                self.data = Some((request, Arc::clone(&data)));
                Ok(data)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_run_at_once_than_memory_holds() {
        let at_once = |count, job_bytes, free_bytes| {
            let capacity = Capacity::of(count, "as asked".into(), job_bytes, free_bytes);
            (capacity.parallel, capacity.why)
        };
        assert_eq!(at_once(4, 100, 400), (4, "as asked".into()));
        assert_eq!(at_once(4, 100, 399), (3, "memory holds no more".into()));
        assert_eq!(at_once(1, 100, 199), (1, "as asked".into()));
        assert_eq!(at_once(16, 300 << 20, u64::MAX), (16, "as asked".into()));
    }
}
