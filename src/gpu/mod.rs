//! The machine room: the only folder that imports wgpu. It opens an adapter, holds buffers and runs recorded programs.
//!
//! `kernel` describes computations as data; here they meet a device. Nothing waits for the device except a read-back and
//! the bound on work in flight.

mod adapter;
mod buffer;
mod compiled;
mod memory;
mod peaks;
mod profile;
mod program;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

pub use adapter::adapters;
pub use buffer::Buffer;
pub use program::{Loaded, Recording};

use crate::adapter::{Account, AdapterSummary, DeviceError, lock};
use crate::kernel::{Choices, Kernel, ShapeClass, Target, Variant};

/// An open device, and what kernels are compiled for. Cloning is cheap and shares the device.
#[derive(Clone)]
pub struct Gpu(Arc<Shared>, Arc<Target>);

struct Shared {
    device: wgpu::Device,
    queue: wgpu::Queue,
    summary: AdapterSummary,
    /// Whether it only counts, see [`Gpu::dry`].
    dry: bool,
    account: Account,
    compiled: Arc<compiled::Compiled>,
    pipelines: Arc<program::Pipelines>,
    /// What the contractions of loaded programs are computed by.
    variants: Mutex<BTreeMap<ShapeClass, BTreeSet<Variant>>>,
    scratch: Mutex<Vec<Buffer>>,
    /// Where buffers are copied to be read.
    readback: Mutex<Option<Buffer>>,
    trouble: Arc<Mutex<Trouble>>,
    flight: Mutex<run::Flight>,
    alter: Option<Alter>,
}

/// Changes a kernel before it is compiled.
type Alter = Arc<dyn Fn(&mut Kernel) + Send + Sync>;

/// What the device reported from its own threads.
#[derive(Default)]
struct Trouble {
    /// That it is lost, and why. There is no way back.
    lost: Option<String>,
    /// The first error since the last look.
    error: Option<DeviceError>,
}

impl Gpu {
    /// Opens an adapter: the one that is meant as [`position`](crate::adapter::position) has it, or the most capable one.
    /// Environment variables of wgpu (`WGPU_BACKEND`, `WGPU_STRICT_WEBGPU_COMPLIANCE`, …) are honoured.
    ///
    /// # Errors
    /// [`DeviceError::NoAdapter`], [`DeviceError::NoDevice`], and those of
    /// [`position`](crate::adapter::position).
    pub fn open(wanted: Option<&str>) -> Result<Self, DeviceError> {
        Self::open_with(wanted, None)
    }

    /// Opens an adapter that is broken on purpose: every kernel is handed to `alter` before it is compiled. It is how the
    /// tests of [`crate::doctor`] see to it that a wrong kernel is found. Altered kernels are compiled with bounds checks,
    /// since nothing is known of their indices.
    ///
    /// # Errors
    /// As [`Gpu::open`].
    #[doc(hidden)]
    pub fn open_altered(
        wanted: Option<&str>,
        alter: impl Fn(&mut Kernel) + Send + Sync + 'static,
    ) -> Result<Self, DeviceError> {
        Self::open_with(wanted, Some(Arc::new(alter)))
    }

    fn open_with(wanted: Option<&str>, alter: Option<Alter>) -> Result<Self, DeviceError> {
        let opened = adapter::open(wanted)?;
        let trouble = Arc::new(Mutex::new(Trouble::default()));
        let (errors, losses) = (Arc::clone(&trouble), Arc::clone(&trouble));
        opened.device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            let error = match error {
                wgpu::Error::OutOfMemory { .. } => DeviceError::NoMemory(error.to_string()),
                _ => DeviceError::Device(error.to_string()),
            };
            lock(&errors).error.get_or_insert(error);
        }));
        opened.device.set_device_lost_callback(move |reason, message| {
            lock(&losses).lost.get_or_insert(format!("{reason:?}: {message}"));
        });
        let shared = Shared {
            flight: Mutex::new(run::Flight::new(opened.target.cpu, &opened.summary.kind)),
            device: opened.device,
            queue: opened.queue,
            summary: opened.summary,
            dry: false,
            account: Account::default(),
            compiled: Arc::new(compiled::Compiled::new(compiled::MOST_PROGRAMS)),
            pipelines: Arc::new(program::Pipelines::new(program::MOST_PIPELINES)),
            variants: Mutex::default(),
            scratch: Mutex::default(),
            readback: Mutex::default(),
            trouble,
            alter,
        };
        Ok(Self(Arc::new(shared), Arc::new(opened.target)))
    }

    /// This device for kernels chosen otherwise: everything is shared, but programs compiled through the returned handle take
    /// these variants. Opening a device gives the default rules alone, which depend on nothing but shapes and the adapter.
    #[must_use]
    pub fn with_choices(&self, choices: Choices) -> Self {
        let target = Target { choices: Arc::new(choices), ..self.target().clone() };
        Self(Arc::clone(&self.0), Arc::new(target))
    }

    /// A dry device for the same adapter: it refuses what this one would refuse for its size, and counts the memory of the
    /// rest ([`Gpu::memory`]), but nothing is made or run. Programs compiled for one are there for the other.
    #[must_use]
    pub fn dry(&self) -> Self {
        self.sibling(true)
    }

    /// This device with an account and intermediate values of its own, for work beside a run whose memory is counted.
    #[must_use]
    pub fn aside(&self) -> Self {
        self.sibling(false)
    }

    /// A dry device that compiles for another kind of adapter, whose kernels can be looked at and not run.
    #[doc(hidden)]
    #[must_use]
    pub fn dry_for(&self, target: Target) -> Self {
        let Self(mut shared, _) = self.sibling(true);
        let compiled = compiled::Compiled::new(compiled::MOST_PROGRAMS);
        Arc::get_mut(&mut shared).expect("it has just been made").compiled = Arc::new(compiled);
        Self(shared, Arc::new(target))
    }

    fn sibling(&self, dry: bool) -> Self {
        let shared = &self.0;
        let sibling = Shared {
            device: shared.device.clone(),
            queue: shared.queue.clone(),
            summary: shared.summary.clone(),
            dry,
            account: Account::default(),
            compiled: Arc::clone(&shared.compiled),
            pipelines: Arc::clone(&shared.pipelines),
            variants: Mutex::default(),
            scratch: Mutex::default(),
            readback: Mutex::default(),
            trouble: Arc::clone(&shared.trouble),
            flight: Mutex::new(run::Flight::new(self.target().cpu, &shared.summary.kind)),
            alter: shared.alter.clone(),
        };
        Self(Arc::new(sibling), Arc::clone(&self.1))
    }

    /// The adapter in use.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.0.summary
    }

    /// What kernels are compiled for.
    pub fn target(&self) -> &Target {
        &self.1
    }

    /// The variants with which the programs loaded so far would be compiled to the same kernels again. Where the contractions of
    /// a class got several, since not every variant takes every epilogue, that is what this handle's choices know of the
    /// class, and nothing if they know nothing: the default rule repeats itself.
    pub fn variants(&self) -> BTreeMap<ShapeClass, Variant> {
        let known = &self.target().choices.known;
        let single = |(&class, variants): (&ShapeClass, &BTreeSet<Variant>)| {
            let variant = if variants.len() == 1 { variants.first() } else { known.get(&class) };
            variant.map(|&variant| (class, variant))
        };
        lock(&self.0.variants).iter().filter_map(single).collect()
    }

    /// Turns what the device reported since the last call into an error.
    fn check(&self) -> Result<(), DeviceError> {
        let mut trouble = lock(&self.0.trouble);
        let error = trouble.error.take();
        match (&trouble.lost, error) {
            // Some allocations fail for good: wgpu then gives the device up, for this reason.
            (Some(reason), _) if reason.contains("Out of memory") => Err(DeviceError::NoMemory(reason.clone())),
            (Some(reason), _) => Err(DeviceError::Lost(reason.clone())),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(()),
        }
    }
}
