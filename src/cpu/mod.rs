//! The processor as a device: the same plans as loops over host memory, in f32 or f64, without any driver.
//!
//! A step of a plan becomes a `tape` of vector instructions, which runs on a block of elements at a time, or a product
//! by `gemm` with a tape as its epilogue. A step divides its work into tasks by shapes alone, so results have the same
//! bits whatever the number of threads. `memory` has all that is unsafe.

mod block;
mod buffer;
mod compile;
mod convolve;
mod element;
mod functions;
mod gemm;
mod layout;
mod loops;
mod memory;
mod model;
mod pool;
mod product;
mod profile;
mod program;
mod run;
mod tape;
mod vector;

use std::sync::{Arc, Mutex};

use crate::adapter::{Account, AdapterSummary, Cache, DeviceError, Memory, Share, lock};
use crate::plan::{Spec, SpecKey};

pub use crate::adapter::Precision;
pub use buffer::Buffer;
use pool::{Needs, Pool};
pub use program::{Program, compile};
pub use run::{Loaded, Recording};

/// The processor, with a precision. Cloning is cheap and shares the device.
#[derive(Clone)]
pub struct Cpu(Arc<Shared>);

struct Shared {
    summary: AdapterSummary,
    precision: Precision,
    /// Whether it only counts, see [`Cpu::dry`].
    dry: bool,
    account: Account,
    compiled: Arc<Cache<SpecKey, Program>>,
    /// Buffers for intermediate values of all programs.
    scratch: Mutex<Vec<Buffer>>,
    /// What all programs so far need of each thread, and its bytes in the account.
    needs: Mutex<(Needs, Option<Share>)>,
    threads: Arc<Threads>,
}

/// The threads of a device, which one run at a time uses: all that are its siblings share them and their buffers.
#[derive(Debug)]
struct Threads {
    running: Mutex<()>,
    count: usize,
    pools: Pools,
}

/// By precision.
#[derive(Debug)]
enum Pools {
    F32(Pool<f32>),
    F64(Pool<f64>),
}

/// Programs that are kept when nothing uses them: those of a few objectives.
const MOST_PROGRAMS: usize = 64;

impl Cpu {
    /// The processor with elements of this precision, on as many threads as it has cores or `RAYON_NUM_THREADS` says.
    ///
    /// # Errors
    /// [`DeviceError::Device`] where the system gives no threads.
    pub fn open(precision: Precision) -> Result<Self, DeviceError> {
        Self::with_threads(precision, 0)
    }

    /// The same on so many threads.
    ///
    /// # Errors
    /// As [`Cpu::open`].
    pub fn with_threads(precision: Precision, threads: usize) -> Result<Self, DeviceError> {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let threads = threads.map_err(|error| DeviceError::Device(error.to_string()))?;
        let count = threads.current_num_threads();
        let pools = match precision {
            Precision::F32 => Pools::F32(Pool::new(threads)),
            Precision::F64 => Pools::F64(Pool::new(threads)),
        };
        let threads = Arc::new(Threads { running: Mutex::default(), count, pools });
        let compiled = Arc::new(Cache::new(MOST_PROGRAMS));
        Ok(Self::with(model::summary(precision, count), precision, false, compiled, threads))
    }

    fn with(
        summary: AdapterSummary,
        precision: Precision,
        dry: bool,
        compiled: Arc<Cache<SpecKey, Program>>,
        threads: Arc<Threads>,
    ) -> Self {
        let (account, scratch, needs) = (Account::default(), Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { summary, precision, dry, account, compiled, scratch, needs, threads }))
    }

    fn sibling(&self, dry: bool) -> Self {
        let Shared { summary, precision, compiled, threads, .. } = &*self.0;
        Self::with(summary.clone(), *precision, dry, Arc::clone(compiled), Arc::clone(threads))
    }

    /// A device that counts the memory of what is made on it, but makes and runs nothing. Programs compiled for one are
    /// there for the other.
    #[must_use]
    pub fn dry(&self) -> Self {
        self.sibling(true)
    }

    /// This device with an account and intermediate values of its own, for work beside a run whose memory is counted.
    #[must_use]
    pub fn aside(&self) -> Self {
        self.sibling(false)
    }

    /// The processor in words.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.0.summary
    }

    /// Width of the elements.
    pub fn precision(&self) -> Precision {
        self.0.precision
    }

    /// Bytes of all buffers made through this device, and of what its threads have for themselves.
    pub fn memory(&self) -> Memory {
        *lock(&self.0.account)
    }

    /// Frees what is kept to be used again and nothing uses now.
    pub fn trim(&self) {
        self.0.compiled.trim();
        lock(&self.0.scratch).clear();
    }

    /// Compiles a graph, or finds the program. It is plain data: see [`Cpu::load`].
    ///
    /// # Errors
    /// As [`compile`].
    pub fn compile(&self, spec: &Spec) -> Result<Arc<Program>, DeviceError> {
        self.0.compiled.get(spec.key(), || compile(spec)).map_err(|error| DeviceError::Kernel(error.into()))
    }
}
