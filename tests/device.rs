//! Runs a graph on the adapter and compares it with the interpreter.

use std::sync::{Arc, LazyLock, Mutex};

use edgewalk::cpu::Cpu;
use edgewalk::device::{Device, Precision};
use edgewalk::graph::{DType, Graph, NodeId, Tensor, eval};
use edgewalk::kernel::{Program, Registers, Target, compile};
use edgewalk::passes::SplitPolicy;
use edgewalk::plan::{Output, Place, Spec};

pub use super::program::adapter;
use super::program::wgpu_adapter;

/// Devices that no test uses at present, with the names that opened them.
static IDLE: Mutex<Vec<(String, &'static Device)>> = Mutex::new(vec![]);

/// A test's device, from its first use until its thread ends. A software driver compiles one kernel at a time on each
/// device, so tests that run side by side have one each.
struct Lease {
    adapter: String,
    device: &'static Device,
}

impl Lease {
    fn take(adapter: String) -> Self {
        let idle = {
            let mut idle = IDLE.lock().unwrap();
            idle.iter().position(|(name, _)| *name == adapter).map(|i| idle.swap_remove(i).1)
        };
        // What the last test left; here, since a thread that ends can free nothing of wgpu's any more.
        if let Some(device) = idle {
            device.trim();
            give_back();
        }
        let open = || Device::open(Some(&adapter)).unwrap_or_else(|error| panic!("{error}"));
        let device = idle.unwrap_or_else(|| Box::leak(Box::new(open())));
        Self { adapter, device }
    }
}

/// Gives freed memory back to the system. The GNU allocator keeps it, and drivers' compilers leave it in small pieces:
/// without this, the suite ends with 2 GiB that nothing uses.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "nothing safe calls it")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> i32;
        }
        // SAFETY: it may be called at any time and from any thread.
        unsafe { malloc_trim(0) };
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A test that failed leaves its device alone: who knows in which state.
        if !std::thread::panicking() {
            IDLE.lock().unwrap().push((std::mem::take(&mut self.adapter), self.device));
        }
    }
}

thread_local! {
    static LEASE: Lease = Lease::take(adapter().unwrap());
    static WGPU: Lease = Lease::take(wgpu_adapter());
}

/// The device under test, see [`adapter`].
pub fn the_device() -> &'static Device {
    LEASE.with(|lease| lease.device)
}

/// The same, or an adapter of wgpu where that is the processor, see [`wgpu_adapter`].
pub fn wgpu() -> &'static Device {
    if is_native() { WGPU.with(|lease| lease.device) } else { the_device() }
}

/// Whether the device under test is the native one.
pub fn is_native() -> bool {
    adapter().is_some_and(|adapter| adapter == "native")
}

/// What kernels for the adapter under test are compiled for.
pub fn own_target() -> Target {
    if is_native() {
        return Target {
            subgroup: None,
            cpu: true,
            registers: Registers::Some,
            invocations: 256,
            max_bindings: 8,
            split: SplitPolicy::SOFTWARE,
            choices: Arc::default(),
        };
    }
    the_device().target().expect("it has kernels").clone()
}

static SINGLE: LazyLock<Cpu> = LazyLock::new(|| Cpu::open(Precision::F32).unwrap());
static DOUBLE: LazyLock<Cpu> = LazyLock::new(|| Cpu::open(Precision::F64).unwrap());

/// The native device, in 32 bits.
pub fn native() -> Device {
    Device::Cpu(SINGLE.clone())
}

/// Values of `outputs` computed by the native device.
pub fn run_native(graph: &Graph, outputs: &[NodeId], inputs: &[(NodeId, Tensor)], precision: Precision) -> Vec<Tensor> {
    let cpu = if precision == Precision::F32 { &*SINGLE } else { &*DOUBLE };
    let (places, results, len) = places(graph, outputs, inputs);
    let spec = Spec { name: "test", graph, inputs: &places, outputs: &results, slots: &len };
    let program = cpu.compile(&spec).unwrap_or_else(|error| panic!("{error}\n{graph}"));
    let is_f32 = |id: &NodeId| graph.node(*id).ty.dtype == DType::F32;
    let data =
        |float: bool| inputs.iter().filter(move |(id, _)| is_f32(id) == float).flat_map(|(_, t)| &t.data).copied();
    let floats = cpu.buffer_from("floats", &data(true).collect::<Vec<f64>>()).unwrap();
    let integers = cpu.buffer_from("integers", &data(false).map(|x| x as u32).collect::<Vec<u32>>()).unwrap();
    let results = [2, 3].map(|slot| cpu.buffer("results", len[slot]).unwrap());
    let loaded = cpu.load(program).unwrap();
    let recording = loaded.bind(cpu, &[&floats, &integers, &results[0], &results[1]]).unwrap();
    cpu.run([&recording]).unwrap();
    let mut floats = cpu.read::<f64>(&results[0]).unwrap().into_iter();
    let mut words = cpu.read::<u32>(&results[1]).unwrap().into_iter().map(f64::from);
    let value = |id: &NodeId| {
        let ty = &graph.node(*id).ty;
        let data =
            if is_f32(id) { floats.by_ref().take(ty.len()).collect() } else { words.by_ref().take(ty.len()).collect() };
        Tensor { shape: ty.shape.clone(), data }
    };
    outputs.iter().map(value).collect()
}

/// Checks that the native device computes what the interpreter computes, in both precisions.
pub fn assert_native_agrees(graph: &Graph, outputs: &[NodeId], inputs: &[(NodeId, Tensor)], tolerance: f64) {
    let expected = eval(graph, outputs, inputs).unwrap();
    for (precision, tolerance) in [(Precision::F32, tolerance), (Precision::F64, 1e-12)] {
        let found = run_native(graph, outputs, inputs, precision);
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = relative_error(&found.data, &expected.data);
            assert!(
                error <= tolerance,
                "output {i} is off by {error:e} in {precision:?} on the native device\nfound {:?}\nexpected {:?}\n{}",
                &found.data[..found.data.len().min(20)],
                &expected.data[..expected.data.len().min(20)],
                graph.dump(outputs)
            );
        }
    }
}

type Places = (Vec<(NodeId, Place)>, Vec<Output>, [usize; 4]);

/// Where things lie: `F32` inputs in slot 0 and outputs in slot 2, others in slots 1 and 3.
fn places(graph: &Graph, outputs: &[NodeId], inputs: &[(NodeId, Tensor)]) -> Places {
    let mut len = [0usize; 4];
    let mut place = |slot: usize, elements: usize| {
        let place = Place { slot, offset: len[slot] };
        len[slot] += elements;
        place
    };
    let slot = |id: &NodeId| usize::from(graph.node(*id).ty.dtype != DType::F32);
    let inputs: Vec<_> = inputs.iter().map(|(id, t)| (*id, place(slot(id), t.data.len()))).collect();
    let outputs: Vec<_> = outputs
        .iter()
        .map(|&node| Output { node, place: place(2 + slot(&node), graph.node(node).ty.len()), accumulate: false })
        .collect();
    (inputs, outputs, len)
}

/// Kernels, with places as [`places`] has them.
pub fn program(graph: &Graph, outputs: &[NodeId], inputs: &[(NodeId, Tensor)], target: &Target) -> Program {
    let (inputs, outputs, len) = places(graph, outputs, inputs);
    compile(&Spec { name: "test", graph, inputs: &inputs, outputs: &outputs, slots: &len }, target)
        .unwrap_or_else(|error| panic!("{error}\n{graph}"))
}

/// Values of `outputs` computed on the adapter.
pub fn run_for(graph: &Graph, outputs: &[NodeId], inputs: &[(NodeId, Tensor)], target: &Target) -> Vec<Tensor> {
    if is_native() {
        return run_native(graph, outputs, inputs, Precision::F32);
    }
    let device = the_device();
    let program = program(graph, outputs, inputs, target);
    let is_f32 = |id: &NodeId| graph.node(*id).ty.dtype == DType::F32;
    let floats: Vec<f32> =
        inputs.iter().filter(|(id, _)| is_f32(id)).flat_map(|(_, t)| t.data.iter().map(|&x| x as f32)).collect();
    let integers: Vec<u32> =
        inputs.iter().filter(|(id, _)| !is_f32(id)).flat_map(|(_, t)| t.data.iter().map(|&x| x as u32)).collect();
    let floats = device.buffer_from("floats", &floats).unwrap();
    let integers = device.buffer_from("integers", &integers).unwrap();
    let results = [2, 3].map(|slot| device.buffer("results", program.slots[slot]).unwrap());
    let loaded = device.load(program).unwrap_or_else(|error| panic!("{error}\n{graph}"));
    let recording = loaded.bind(device, &[&floats, &integers, &results[0], &results[1]]).unwrap();
    device.run([&recording]).unwrap();
    let mut results = results.map(|buffer| device.read::<u32>(&buffer).unwrap().into_iter());
    outputs
        .iter()
        .map(|&id| {
            let ty = &graph.node(id).ty;
            let float = is_f32(&id);
            let value = |w: u32| if float { f64::from(f32::from_bits(w)) } else { f64::from(w) };
            let data = results[usize::from(!float)].by_ref().take(ty.len()).map(value).collect();
            Tensor { shape: ty.shape.clone(), data }
        })
        .collect()
}

/// Checks that the adapter, and the native device, compute what the interpreter computes, to `tolerance` relative to
/// the norm of each output.
pub fn assert_agrees_for(
    graph: &Graph,
    outputs: &[NodeId],
    inputs: &[(NodeId, Tensor)],
    tolerance: f64,
    target: &Target,
) {
    // Both sides start from the same f32 numbers.
    let inputs: Vec<(NodeId, Tensor)> = inputs
        .iter()
        .map(|(id, t)| {
            let rounded = |&x: &f64| if graph.node(*id).ty.dtype == DType::F32 { f64::from(x as f32) } else { x };
            (*id, Tensor { data: t.data.iter().map(rounded).collect(), ..t.clone() })
        })
        .collect();
    assert_native_agrees(graph, outputs, &inputs, tolerance);
    if is_native() {
        return;
    }
    let found = run_for(graph, outputs, &inputs, target);
    let expected = eval(graph, outputs, &inputs).unwrap();
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert_eq!(found.shape, expected.shape);
        let error = relative_error(&found.data, &expected.data);
        assert!(
            error <= tolerance,
            "output {i} is off by {error:e}\nfound {:?}\nexpected {:?}\n{}",
            &found.data[..found.data.len().min(20)],
            &expected.data[..expected.data.len().min(20)],
            graph.dump(outputs)
        );
    }
}

/// [`assert_agrees_for`] the adapter's own target.
pub fn assert_agrees(graph: &Graph, outputs: &[NodeId], inputs: &[(NodeId, Tensor)], tolerance: f64) {
    assert_agrees_for(graph, outputs, inputs, tolerance, &own_target());
}

/// ‖a − b‖ / ‖b‖ (‖a‖ when b = 0)
pub fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    let scale = norm(&mut b.iter().copied());
    if difference == 0.0 { 0.0 } else { difference / if scale > 0.0 { scale } else { 1.0 } }
}
