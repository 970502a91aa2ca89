//! Times of what a run is made of: a gradient, a SAM step, H·v, a curvature check, a tiny step.
//!
//! `cargo bench` prints them for the preferred adapter (EDGEWALK_ADAPTER names another). Quote ratios from one run.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use edgewalk::curvature::{EigenOptions, Spectrum, lanczos};
use edgewalk::data::{Examples, made_up};
use edgewalk::device::{Buffer, Device, Recording};
use edgewalk::model::{Activation, Cnn, Loss, Mlp, Model, Reduction, Transformer, initial_params};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::optim::{Optimizer, Rule};

// Ten samples in about a second, so that all of `cargo bench` is done in some three minutes.
const WARM_UP: Duration = Duration::from_millis(300);
const MEASUREMENT: Duration = Duration::from_secs(1);

/// An objective at its model's initial parameters.
fn setup(device: &Device, model: impl Model + 'static, loss: Loss, data: &Examples) -> (Objective, Buffer) {
    let objective = Objective::new(device, Arc::new(model), loss, data, 0).expect("fits any adapter");
    let w = objective.vector("w").expect("fits any adapter");
    objective.set_params(&w, &initial_params(objective.layout(), 0)).expect("as many as it has");
    (objective, w)
}

/// 784-w-w-w-10, mean squared error.
fn mlp(device: &Device, width: usize, count: usize) -> (Objective, Buffer) {
    let mlp = Mlp { inputs: 784, width, depth: 4, outputs: 10, activation: Activation::Relu };
    setup(device, mlp, Loss::Mse(Reduction::Mean), &made_up::images(count, [28, 28, 1]).expect("some examples"))
}

/// The paper's CNN with so many channels in its first block.
fn cnn(device: &Device, channels: usize, count: usize) -> (Objective, Buffer) {
    let image = [32, 32, 3];
    let cnn = Cnn::paper(image, channels, 10);
    setup(device, cnn, Loss::Mse(Reduction::Mean), &made_up::images(count, image).expect("some examples"))
}

/// Two blocks of four heads of 16.
fn transformer(device: &Device, length: usize, count: usize) -> (Objective, Buffer) {
    let model = Transformer { layers: 2, heads: 4, key_size: 16, model_size: 64, length, vocabulary: 128 };
    setup(device, model, Loss::CrossEntropy, &made_up::windows(count, length).expect("some examples"))
}

/// Times what a run is made of.
fn time(c: &mut Criterion, device: &Device, name: &str, (mut objective, w): (Objective, Buffer), repeated: bool) {
    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(WARM_UP).measurement_time(MEASUREMENT);
    let mut time = |name: &str, recording: &Recording| {
        group.throughput(Throughput::Elements(recording.flops() as u64));
        let name = BenchmarkId::new(name, format!("{} dispatches", recording.dispatches()));
        group.bench_function(name, |b| {
            b.iter(|| {
                device.run([recording]).expect("runs");
                device.wait().expect("runs");
            });
        });
    };
    // No learning: the parameters stay where they are, whatever the number of iterations.
    let gd = Optimizer::new(&mut objective, Rule::gd(1e-30), &w).expect("records");
    let sam = Optimizer::new(&mut objective, Rule::sam(1e-30, 0.05), &w).expect("records");
    let hessian = HessianOperator::with_blocks(&mut objective, &w).expect("records");
    let [gd_step, sam_step] = [gd.step(0), sam.step(0)].map(|step| step.expect("numbers that do not change"));
    time("gradient step", &gd_step);
    if repeated {
        // Against 100 times the step above, this shows what waiting for the host costs.
        let hundred = (0..100).fold(Recording::default(), |all, _| all.then(&gd_step));
        time("100 gradient steps", &hundred);
    }
    time("SAM step", &sam_step);
    let (product, keep) = hessian.recordings();
    time("kept for H·v", keep);
    time("H·v", product);
    if let Some(block) = hessian.block_recording() {
        time("H·v of 4", block);
    }
    group.finish();
}

fn steps(c: &mut Criterion) {
    let adapter = std::env::var("EDGEWALK_ADAPTER").ok();
    let device = Device::open(adapter.as_deref()).expect("an adapter");
    println!("adapter: {}", device.adapter().name);
    for (width, count) in [(200, 1000), (64, 1000), (64, 100), (16, 32)] {
        let name = format!("784-{width}-{width}-{width}-10 on {count}");
        time(c, &device, &name, mlp(&device, width, count), width * count < 10_000);
    }
    time(c, &device, "CNN 8-16 on 100", cnn(&device, 8, 100), false);
    time(c, &device, "CNN 16-32 on 100", cnn(&device, 16, 100), false);
    time(c, &device, "Transformer 2 x 64 on 32 x 32", transformer(&device, 32, 32), false);
    time(c, &device, "Transformer 2 x 64 on 32 x 64", transformer(&device, 64, 32), false);
    let (mut objective, w) = mlp(&device, 64, 1000);
    let mut hessian = HessianOperator::new(&mut objective, &w).expect("records");
    let options = EigenOptions::default();
    let cold = lanczos(&mut hessian.linearise().expect("runs"), None, &options).expect("finite");
    println!("curvature check: {} products", cold.products);
    let mut group = c.benchmark_group("curvature check");
    group.sample_size(10).warm_up_time(WARM_UP).measurement_time(MEASUREMENT);
    group.bench_function("cold", |b| {
        b.iter(|| {
            let mut here = hessian.linearise().expect("runs");
            black_box(lanczos(&mut here, None, &options).map(|s: Spectrum| s.products))
        });
    });
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
