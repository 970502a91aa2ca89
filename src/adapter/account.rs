//! How much of the device's memory the buffers made here take.
//!
//! Each buffer enters its bytes in the account of its device and takes them out when the last handle is gone; a
//! recording holds handles of all it is bound to.

use std::sync::{Arc, Mutex};

use super::lock;

/// Bytes of the buffers of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Of those there are.
    pub now: u64,
    /// The most there have been at once.
    pub peak: u64,
}

/// The books of one device.
pub(crate) type Account = Arc<Mutex<Memory>>;

/// The bytes of one buffer, in the account as long as this lives.
#[derive(Debug)]
pub(crate) struct Share {
    account: Account,
    bytes: u64,
}

impl Share {
    pub fn new(account: &Account, bytes: u64) -> Self {
        let mut memory = lock(account);
        memory.now += bytes;
        memory.peak = memory.peak.max(memory.now);
        Self { account: Arc::clone(account), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        lock(&self.account).now -= self.bytes;
    }
}
