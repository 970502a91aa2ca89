//! The speed of the kernel families, to compare with the adapter's best; no verdict.

use super::Row;
use super::case::{Case, LoadedCase};
use crate::device::{Device, DeviceError, Peaks};
use crate::graph::Window;

/// Seconds to time a load.
const BUDGET_SECS: f64 = 0.25;

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

pub(super) fn rows(device: &Device) -> Result<Vec<Row>, DeviceError> {
    let Peaks { flops_per_sec, bytes_per_sec, launch_secs } = device.peaks()?;
    let mut rows = vec![
        Row::note("multiply-adds in registers", format!("{:.1} GFLOP/s", flops_per_sec / 1e9)),
        Row::note("copy", format!("{:.1} GB/s", bytes_per_sec / 1e9)),
        Row::note("smallest dispatch", format!("{:.1} µs each", 1e6 * launch_secs)),
    ];
    let loads = [
        matmul("matmul 512×512×512", [512, 512, 512], false),
        matmul("matmul 1000×64×784", [1000, 64, 784], false),
        matmul("matmul 784×64×1000, turned", [784, 64, 1000], true),
        conv(),
        sum(),
        elementwise(),
    ];
    for load in &loads {
        rows.push(row(device, load)?);
    }
    Ok(rows)
}

fn row(device: &Device, Load { case, work, unit }: &Load) -> Result<Row, DeviceError> {
    let LoadedCase { recording, .. } = case.load(device)?;
    let each = device.time(&recording, BUDGET_SECS)?;
    Ok(Row::note(case.name, format!("{:.1} {unit} ({:.3} ms each)", work / each / 1e9, 1e3 * each)))
}
