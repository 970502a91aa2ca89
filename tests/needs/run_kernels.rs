//! The kernels of everything that a run may need on a device: updates of every rule, measurements by every method, test sets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use edgewalk::data::{Dataset, Examples, made_up};
use edgewalk::device::Device;
use edgewalk::gpu::Gpu;
use edgewalk::kernel::{Kernel, Target};
use edgewalk::model::{Activation, Cnn, Mlp, Transformer};

use super::whole_runs::{assemble, config};

/// Settings, each beside the preset's others: rules, measurements, losses.
const SETTINGS: [&[&str]; 15] = [
    &[],
    &["optim.kind=gd"],
    &["optim.kind=usam"],
    &["optim.kind=asam"],
    &["momentum=0.9"],
    &["momentum=0.9", "nesterov=true", "weight_decay=0.01"],
    &["ascent_steps=3", "sam_from=2"],
    &["batch=8", "micro_batch=4"],
    &["batch=8", "measure.on=fixed", "measure.examples=12"],
    &["method=power"],
    &["method=official"],
    &["at=midpoint"],
    &["window=8", "top=2", "bottom=2"],
    &["track=0.5"],
    &["loss.kind=cross-entropy", "run.chunk=7"],
];

/// The distinct kernels of runs with these settings, by source, for these kinds of adapter.
pub fn kernels(kinds: &[Target]) -> BTreeMap<String, Kernel> {
    let found: Arc<Mutex<BTreeMap<String, Kernel>>> = Arc::default();
    let seen = Arc::clone(&found);
    let adapter = super::program::adapter();
    let device = Gpu::open_altered(adapter.as_deref(), move |kernel| {
        seen.lock().unwrap().insert(kernel.wgsl.clone(), kernel.clone());
    });
    let device = device.unwrap();
    let data = |of: fn(usize) -> Examples| Dataset { train: of(20), test: Some(of(8)) };
    for kind in kinds {
        let device = Device::Gpu(device.dry_for(kind.clone()));
        let activation = Activation::Tanh;
        let mlp = Arc::new(Mlp { inputs: 64, width: 12, depth: 3, outputs: 10, activation });
        for sets in SETTINGS {
            assemble(&device, &config(sets), mlp.clone(), &data(|count| made_up::images(count, [8, 8, 1]).unwrap()));
        }
        let cnn = Arc::new(Cnn::paper([16, 16, 3], 4, 10));
        assemble(&device, &config(&[]), cnn, &data(|count| made_up::images(count, [16, 16, 3]).unwrap()));
        let transformer =
            Arc::new(Transformer { layers: 1, heads: 2, key_size: 4, model_size: 8, length: 8, vocabulary: 128 });
        assemble(
            &device,
            &config(&["loss.kind=cross-entropy"]),
            transformer,
            &data(|count| made_up::windows(count, 8).unwrap()),
        );
    }
    let found = found.lock().unwrap();
    found.clone()
}
