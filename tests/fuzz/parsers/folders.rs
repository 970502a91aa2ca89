//! What a run leaves in its folder besides tables, and the remembered kernels.

use std::fs;
use std::path::Path;

use edgewalk::device::AdapterSummary;
use edgewalk::folder::checkpoint::{Checkpoint, DONE, PARAMS, STATE};
use edgewalk::folder::{RunDir, choices};
use edgewalk::run::kernel_cache::KernelCache;
use sha2::{Digest, Sha256};

use super::{bounded, in_folder, parts, put, refused};

/// `manifest.json`.
pub fn manifest(input: &[u8]) -> bool {
    in_folder(|folder| {
        put(&folder.join("config.toml"), b"");
        // What another parser left would make it a sweep's.
        let _ = fs::remove_file(folder.join("sweep.toml"));
        let run = RunDir::open(folder).expect("a folder with a configuration");
        put(&run.manifest(), input);
        match bounded(input.len(), || run.read_manifest()) {
            Ok(manifest) => {
                put(&run.manifest(), manifest.to_json().as_bytes());
                assert_eq!(run.read_manifest().expect("just written"), manifest);
                true
            }
            Err(error) => {
                refused(&error, "manifest.json");
                false
            }
        }
    })
}

/// The adapter that kernels are remembered for.
pub fn cache(folder: &Path) -> KernelCache {
    let [name, place, driver, driver_info, backend, kind, tier] =
        ["An Adapter", "0", "driver", "1.2", "Vulkan", "DiscreteGpu", "portable"].map(str::to_owned);
    KernelCache::within(
        folder,
        &AdapterSummary { name, place, driver, driver_info, backend, kind, tier, limits: Default::default() },
    )
}

/// Remembered kernels.
pub fn kernels(input: &[u8]) -> bool {
    in_folder(|folder| {
        let cache = cache(folder);
        fs::create_dir_all(cache.path().parent().expect("it lies in a folder")).expect("it can be made");
        put(cache.path(), input);
        match bounded(input.len(), || cache.read()) {
            Ok(known) => {
                let choices = serde_json::json!({ "choices": choices::words(&known) }).to_string();
                assert_eq!(choices::parse(&choices), Ok(known));
                true
            }
            Err(problem) => {
                refused(&problem, &cache.path().to_string_lossy());
                false
            }
        }
    })
}

/// A checkpoint: its hashes, its state, its parameters.
pub fn checkpoint(input: &[u8]) -> bool {
    let [done, state, params] = parts(input);
    in_folder(|folder| {
        let path = folder.join("step_00000003");
        fs::create_dir_all(&path).expect("it can be made");
        for (name, bytes) in [(DONE, done), (STATE, state), (PARAMS, params)] {
            put(&path.join(name), bytes);
        }
        let read = bounded(input.len(), || Checkpoint::read(&path));
        let hash = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let sums = format!("{}  {PARAMS}\n{}  {STATE}\n", hash(params), hash(state));
        match read {
            Ok(read) => {
                assert_eq!((&read.params[..], &read.state[..], sums.as_bytes()), (params, state, done));
                true
            }
            Err(error) => {
                assert_ne!(sums.as_bytes(), done, "{error}");
                refused(&error, "step_00000003");
                false
            }
        }
    })
}
