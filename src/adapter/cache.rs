//! What has been compiled once is found again: as long as anything holds it, and the latest of it for a while longer.
//!
//! A software driver takes megabytes for a kernel, so a process that goes through many networks must not keep all of
//! theirs.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, Weak};

use super::lock;

/// See the module text.
#[derive(Debug)]
pub(crate) struct Cache<K, V>(Mutex<Entries<K, V>>);

#[derive(Debug)]
struct Entries<K, V> {
    known: HashMap<K, Weak<V>>,
    /// The latest, which are held here.
    latest: VecDeque<Arc<V>>,
    most: usize,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    /// Holds the latest `most` values.
    pub fn new(most: usize) -> Self {
        Self(Mutex::new(Entries { known: HashMap::new(), latest: VecDeque::new(), most }))
    }

    /// The value of a key, made if nothing holds it any more. Making it does not lock the cache.
    pub fn get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        if let Some(value) = lock(&self.0).known.get(&key).and_then(Weak::upgrade) {
            return Ok(value);
        }
        let value = Arc::new(make()?);
        let mut entries = lock(&self.0);
        entries.known.retain(|_, value| value.strong_count() > 0);
        entries.known.insert(key, Arc::downgrade(&value));
        entries.latest.push_back(Arc::clone(&value));
        if entries.latest.len() > entries.most {
            entries.latest.pop_front();
        }
        Ok(value)
    }

    /// Keeps nothing but what something else holds.
    pub fn trim(&self) {
        lock(&self.0).latest.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_held_and_the_latest_is_kept() {
        let cache = Cache::<u32, u32>::new(2);
        let made = |key| {
            let mut made = false;
            let value = cache.get(key, || {
                made = true;
                Ok::<_, ()>(10 * key)
            });
            assert_eq!(*value.clone().unwrap(), 10 * key);
            (made, value.unwrap())
        };
        let (first, held) = made(1);
        assert!(first);
        for key in [2, 3, 4] {
            assert!(made(key).0 && !made(key).0);
        }
        assert!(!made(1).0 && !made(4).0 && made(2).0);
        drop(held);
        assert!(made(1).0);
        cache.trim();
        assert!(made(1).0);
        assert!(lock(&cache.0).known.len() <= 3);
    }
}
