//! What can go wrong between us and a device.

use crate::kernel::KernelError;

/// What can go wrong between us and a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No adapter at all.
    #[error("no graphics adapter found ({backends}); {advice}")]
    NoAdapter {
        /// Backends that were asked.
        backends: String,
        /// What to install on this platform, or to change in the environment.
        advice: String,
    },
    /// `--adapter` names none of them.
    #[error("no adapter matches `{wanted}`; choose one of: {known}")]
    UnknownAdapter {
        /// What was asked for.
        wanted: String,
        /// Index and name of each adapter.
        known: String,
    },
    /// `--adapter` names several of them.
    #[error("several adapters match `{wanted}`; give the number of one of: {known}")]
    SeveralAdapters {
        /// What was asked for.
        wanted: String,
        /// Index, name and place of each that matches.
        known: String,
    },
    /// An environment variable that restricts adapters has a value that it cannot have.
    #[error("{variable}: {problem}")]
    Ceiling {
        /// Its name.
        variable: &'static str,
        /// What is wrong, and the values that it can have.
        problem: String,
    },
    /// The adapter refused to give a device.
    #[error("adapter `{adapter}` gave no device: {reason}; try another one with --adapter (see `edgewalk info`)")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// The driver's reason.
        reason: String,
    },
    /// A buffer over the adapter's limits.
    #[error(
        "{what} needs a buffer of {needed_mib:.1} MiB, and `{adapter}` binds at most {limit_mib:.1} MiB; use a smaller \
         model or smaller chunks (run.chunk), or another --adapter"
    )]
    BufferTooLarge {
        /// What the buffer is for.
        what: String,
        /// Its size.
        needed_mib: f64,
        /// The adapter's limit.
        limit_mib: f64,
        /// The adapter's name.
        adapter: String,
    },
    /// Memory ran out.
    #[error("the device's memory ran out ({0}); use a smaller model or smaller chunks (run.chunk)")]
    NoMemory(String),
    /// What a caller handed over does not fit what it is used with: buffers, examples, parameters or settings.
    #[error("{0}")]
    Mismatch(String),
    /// Validation failed while recording or running.
    #[error("the device refused work: {0}")]
    Device(String),
    /// The device went away.
    #[error(
        "the device was lost ({0}); everything logged so far is kept: go on with `edgewalk resume`, or run again with smaller \
         chunks (run.chunk) if the driver resets slow work"
    )]
    Lost(String),
    /// The program could not be generated.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}
