//! What all devices have in common: their description, the choice of one by name, the memory that their buffers take,
//! the programs that they have compiled, and their errors.

mod account;
mod cache;
mod checks;
mod error;
mod measure;
mod precision;
mod summary;
mod value;
mod wanted;

use std::sync::{Mutex, PoisonError};

pub use account::Memory;
pub(crate) use account::{Account, Share};
pub(crate) use cache::Cache;
pub(crate) use checks::{buffer_bytes, check_copy, check_write};
pub use error::DeviceError;
pub use measure::{DispatchTime, Peaks};
pub(crate) use measure::{MOST_REPETITIONS, best};
pub use precision::Precision;
pub use summary::AdapterSummary;
pub use value::Value;
pub use wanted::{position, same};

/// Locks; the guarded data stays consistent even if another thread panicked while holding it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
