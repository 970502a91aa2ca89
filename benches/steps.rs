//! Times of what a run is made of: a gradient, a SAM step, H·v, a curvature check, a tiny step.
//!
//! `cargo bench` prints them for the preferred adapter (EDGEWALK_ADAPTER names another). Quote ratios from one run.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use edgewalk::curvature::{EigenOptions, Spectrum, lanczos};
use edgewalk::data::{Examples, Features};
use edgewalk::gpu::{Buffer, Gpu, Recording};
use edgewalk::model::{Activation, Loss, Mlp, Reduction, initial_params};
use edgewalk::objective::{HessianOperator, Objective};
use edgewalk::optim::{Optimizer, Sam};

/// Made-up images: time does not depend on what they show.
fn examples(count: usize) -> Examples {
    let pixel = |i: usize| (i.wrapping_mul(2_654_435_761) >> 7) as u8;
    Examples {
        features: Features::Real((0..count * 784).map(|i| f32::from(pixel(i)) / 256.0 - 0.5).collect()),
        labels: (0..count).map(|i| (i % 10) as u32).collect(),
        shape: vec![784],
        classes: 10,
    }
}

/// 784-w-w-w-10, mean squared error, at its initial parameters.
fn setup(gpu: &Gpu, width: usize, count: usize) -> (Objective, Buffer) {
    let mlp = Mlp { inputs: 784, width, depth: 4, outputs: 10, activation: Activation::Relu };
    let loss = Loss::Mse(Reduction::Mean);
    let objective = Objective::new(gpu, Arc::new(mlp), loss, &examples(count), 0).expect("fits any adapter");
    let w = objective.vector("w").expect("fits any adapter");
    gpu.write(&w, &initial_params(objective.layout(), 0));
    (objective, w)
}

fn steps(c: &mut Criterion) {
    let adapter = std::env::var("EDGEWALK_ADAPTER").ok();
    let gpu = Gpu::open(adapter.as_deref()).expect("an adapter");
    println!("adapter: {}", gpu.adapter().name);
    for (width, count) in [(200, 1000), (64, 1000), (64, 100), (16, 32)] {
        let (mut objective, w) = setup(&gpu, width, count);
        let mut group = c.benchmark_group(format!("784-{width}-{width}-{width}-10 on {count}"));
        group.sample_size(20);
        let mut time = |name: &str, recording: &Recording| {
            group.throughput(Throughput::Elements(recording.flops() as u64));
            let name = BenchmarkId::new(name, format!("{} dispatches", recording.dispatches()));
            group.bench_function(name, |b| {
                b.iter(|| {
                    gpu.run([recording]).expect("runs");
                    gpu.wait().expect("runs");
                });
            });
        };
        // No learning: the parameters stay where they are, whatever the number of iterations.
        let gd = Optimizer::new(&mut objective, Sam { lr: 1e-30, rho: 0.0, epsilon: 1e-5 }, &w).expect("records");
        let sam = Optimizer::new(&mut objective, Sam { lr: 1e-30, rho: 0.05, epsilon: 1e-5 }, &w).expect("records");
        let hessian = HessianOperator::new(&mut objective, &w).expect("records");
        time("gradient step", &gd.step);
        if width * count < 10_000 {
            // Against 100 times the step above, this shows what waiting for the host costs.
            let hundred = (0..100).fold(Recording::default(), |all, _| all.then(&gd.step));
            time("100 gradient steps", &hundred);
        }
        time("logged gradient step", &gd.logged_step);
        time("SAM step", &sam.step);
        time("H·v", hessian.recording());
        group.finish();
    }
    let (mut objective, w) = setup(&gpu, 64, 1000);
    let mut hessian = HessianOperator::new(&mut objective, &w).expect("records");
    let options = EigenOptions::default();
    let cold = lanczos(&mut hessian, &[], &options).expect("finite");
    println!("curvature check: {} products", cold.products);
    let mut group = c.benchmark_group("curvature check");
    group.sample_size(10);
    group.bench_function("cold", |b| {
        b.iter(|| black_box(lanczos(&mut hessian, &[], &options).map(|s: Spectrum| s.products)));
    });
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
