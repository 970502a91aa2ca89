//! The profiler of wgpu: one row for each dispatch, and times that tell much work from little.

use edgewalk::device::Recording;
use edgewalk::graph::{Graph, NodeId, Tensor};
use edgewalk::kernel::Program;

use super::device::{program, wgpu};

/// Products of square matrices of these sizes, independent of one another.
fn products(sizes: &[usize]) -> Program {
    let mut graph = Graph::new();
    let mut given: Vec<(NodeId, Tensor)> = vec![];
    let mut outputs = vec![];
    for size in sizes {
        let shape = [*size; 2];
        let [a, b] = ["a", "b"].map(|name| graph.input_f32(name, &shape));
        let zeros = Tensor { shape: shape.to_vec(), data: vec![0.0; size * size] };
        given.extend([(a, zeros.clone()), (b, zeros)]);
        outputs.push(graph.matmul(a, b));
    }
    program(&graph, &outputs, &given, wgpu().target().unwrap())
}

/// The program's recording, twice over with a copy between.
fn twice(program: Program) -> (Recording, Vec<String>) {
    let labels = program.dispatches.iter().map(|d| program.kernels[d.kernel].label.clone()).collect();
    let buffers = [0, 1, 2, 3].map(|slot| wgpu().buffer("a slot", program.slots[slot]).unwrap());
    let once = wgpu().load(program).unwrap().bind(wgpu(), &buffers.each_ref()).unwrap();
    (once.clone().then(&Recording::copy(&buffers[2], &buffers[0], 0).unwrap()).then(&once), labels)
}

#[test]
fn every_dispatch_has_a_row_with_its_label_and_work() {
    let program = products(&[8, 256, 20]);
    let work: Vec<(f64, f64)> = program.dispatches.iter().map(|d| (d.flops, d.bytes)).collect();
    let (recording, labels) = twice(program);
    let rows = wgpu().profile(&recording, 0.2).unwrap();
    assert_eq!(rows.len(), recording.dispatches());
    assert_eq!(rows.len(), 2 * labels.len());
    for (i, row) in rows.iter().enumerate() {
        let of = i % labels.len();
        assert_eq!(*row.label, labels[of]);
        assert_eq!((row.flops, row.bytes), work[of]);
        assert!(row.secs > 0.0 && row.secs.is_finite(), "{row:?}");
    }
    assert_eq!(wgpu().profile(&Recording::default(), 0.1).unwrap(), []);
}

#[test]
fn times_tell_much_work_from_little() {
    // The products differ by a factor of 32768 in work; their launches cost the same.
    let (recording, _) = twice(products(&[16, 512]));
    let rows = wgpu().profile(&recording, 0.5).unwrap();
    let secs = |most: bool| rows.iter().filter(|row| (row.flops > 1e6) == most).map(|row| row.secs).fold(0.0, f64::max);
    assert!(secs(true) > 5.0 * secs(false), "{rows:?}");
    // The whole takes about the sum of its dispatches, whatever the machine does besides.
    let sum: f64 = rows.iter().map(|row| row.secs).sum();
    let whole = wgpu().time(&recording, 0.5).unwrap();
    assert!(whole > 0.3 * sum && whole < 10.0 * sum, "{whole} against {sum}");
}

#[test]
fn an_adapter_has_limits_that_a_matmul_stays_below() {
    let peaks = wgpu().peaks().unwrap();
    assert!(peaks.flops_per_sec > 1e8 && peaks.bytes_per_sec > 1e7, "{peaks:?}");
    assert!(peaks.launch_secs > 1e-8 && peaks.launch_secs < 1e-2, "{peaks:?}");
    let (recording, _) = twice(products(&[256]));
    let row = &wgpu().profile(&recording, 0.3).unwrap()[0];
    let share = peaks.least_secs(row.flops, row.bytes) / row.secs;
    // Twice, because other programs may have held the measurement of the limits up.
    assert!(share < 2.0, "{share} of the limit: {row:?}, {peaks:?}");
    // The larger of the two bounds counts.
    let both = [1e9 / peaks.flops_per_sec, 1e9 / peaks.bytes_per_sec];
    assert_eq!(peaks.least_secs(1e9, 1e9), both[0].max(both[1]));
}
