//! How fast the kernel families are: figures to compare with what the hardware should do, and no verdict.

use std::time::Instant;

use super::Row;
use super::case::{Bound, Case};
use crate::gpu::{Gpu, GpuError, Recording};
use crate::graph::Window;

/// Timed runs, of which the median counts.
const RUNS: usize = 5;
/// Seconds a timed run should take, so that what a submission costs does not show.
const RUN_SECS: f64 = 0.04;
/// Most repetitions in a timed run.
const REPETITIONS: f64 = 1000.0;

/// A case with its work in operations or bytes.
struct Load {
    case: Case,
    work: f64,
    unit: &'static str,
}

fn matmul(name: &'static str, sizes: [usize; 3], turned: bool) -> Load {
    let work = 2.0 * sizes.iter().product::<usize>() as f64;
    Load { case: Case::matmul(name, sizes, turned), work, unit: "GFLOP/s" }
}

fn conv() -> Load {
    let (images, side, ci, co) = (16, 32, 16, 32);
    let mut case = Case::new("convolution 16→32 of 32×32");
    let (x, w) = (case.normal(&[images, side, side, ci]), case.normal(&[3, 3, ci, co]));
    case.outputs.push(case.graph.conv(x, w, Window::same([side; 2], [3, 3], [1, 1])));
    Load { case, work: 2.0 * (images * side * side * 9 * ci * co) as f64, unit: "GFLOP/s" }
}

/// Numbers of the memory-bound loads: 8 MiB, more than caches of the last level share out to a core.
const LEN: usize = 1 << 21;

fn sum() -> Load {
    let mut case = Case::new("sum of 2²¹");
    let x = case.normal(&[LEN / 1024, 1024]);
    case.outputs.push(case.graph.sum_all(x));
    Load { case, work: 4.0 * LEN as f64, unit: "GB/s" }
}

fn elementwise() -> Load {
    let mut case = Case::new("elementwise, 2²¹ of a·x + y");
    let (x, y) = (case.normal(&[LEN]), case.normal(&[LEN]));
    let scaled = case.graph.scale(x, 0.5);
    case.outputs.push(case.graph.add(scaled, y));
    Load { case, work: 12.0 * LEN as f64, unit: "GB/s" }
}

pub(super) fn rows(gpu: &Gpu) -> Result<Vec<Row>, GpuError> {
    let loads = [
        matmul("matmul 512×512×512", [512, 512, 512], false),
        matmul("matmul 1000×64×784", [1000, 64, 784], false),
        matmul("matmul 784×64×1000, turned", [784, 64, 1000], true),
        conv(),
        sum(),
        elementwise(),
    ];
    loads.into_iter().map(|load| row(gpu, &load)).collect()
}

fn row(gpu: &Gpu, Load { case, work, unit }: &Load) -> Result<Row, GpuError> {
    let Bound { recording, .. } = case.load(gpu)?;
    // The first run compiles, the second says how often to repeat.
    time(gpu, &recording)?;
    let once = time(gpu, &recording)?;
    let repetitions = (RUN_SECS / once).clamp(1.0, REPETITIONS) as usize;
    let repeated = (1..repetitions).fold(recording.clone(), |all, _| all.then(&recording));
    let mut secs = (0..RUNS).map(|_| time(gpu, &repeated)).collect::<Result<Vec<_>, _>>()?;
    secs.sort_by(f64::total_cmp);
    let each = secs[RUNS / 2] / repetitions as f64;
    Ok(Row::note(case.name, format!("{:.1} {unit} ({:.3} ms each)", work / each / 1e9, 1e3 * each)))
}

fn time(gpu: &Gpu, recording: &Recording) -> Result<f64, GpuError> {
    let start = Instant::now();
    gpu.run([recording])?;
    gpu.wait()?;
    Ok(start.elapsed().as_secs_f64())
}
