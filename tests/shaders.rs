//! Every kernel that networks lead to, for every kind of adapter, is valid WGSL within the WebGPU defaults, and within what
//! OpenGL ES 3.1 asks of every driver where that is less. No GPU needed.

use std::collections::BTreeMap;
use std::sync::Arc;

use edgewalk::graph::{DotDims, Graph, Tensor};
use edgewalk::kernel::{Choices, Kernel, Registers, Target, Variant, validate};
use edgewalk::passes::SplitPolicy;
use naga::AddressSpace;

use super::device::program;
use super::networks::{ACTIVATIONS, LOSSES, mlp, network};

/// The default limit of WebGPU, and the least of OpenGL ES 3.1.
const MAX_STORAGE_BUFFERS: usize = 8;
const FEWEST_STORAGE_BUFFERS: usize = 4;
const MAX_INVOCATIONS: u32 = 256;
const FEWEST_INVOCATIONS: u32 = 128;
const MAX_WORKGROUP_BYTES: u32 = 16 << 10;
const MAX_GRID: u32 = 65_535;

/// Software adapters with subgroups of 8 and 16 lanes and without, GPUs, and few bindings.
pub fn targets() -> [Target; 5] {
    let software = |subgroup, split| Target {
        subgroup,
        cpu: true,
        registers: Registers::Many,
        invocations: MAX_INVOCATIONS,
        max_bindings: MAX_STORAGE_BUFFERS,
        split,
        choices: Arc::default(),
    };
    let sliced = SplitPolicy { wanted_tiles: 128, min_slice: 16, ..SplitPolicy::SOFTWARE };
    let gpu = |split| Target { cpu: false, ..software(None, split) };
    [
        software(Some(8), SplitPolicy::SOFTWARE),
        software(Some(16), sliced),
        software(None, SplitPolicy::SOFTWARE),
        gpu(sliced),
        Target { max_bindings: FEWEST_STORAGE_BUFFERS, invocations: FEWEST_INVOCATIONS, ..gpu(SplitPolicy::SOFTWARE) },
    ]
}

/// Kernels by source, each with the bindings and invocations that its targets allow, and the largest extent of a grid.
fn all_kernels() -> (BTreeMap<String, (Kernel, [usize; 2])>, u32) {
    let mut kernels: BTreeMap<String, (Kernel, [usize; 2])> = BTreeMap::new();
    let mut largest = 0;
    // (inputs, width, outputs, examples): multiples of 4, odd, long sums, and a network of single units.
    let sizes = [(12, 8, 4, 16), (7, 5, 3, 33), (784, 20, 10, 1031), (1, 1, 2, 1)];
    for (i, activation) in ACTIVATIONS.into_iter().enumerate() {
        for (j, loss) in LOSSES.into_iter().enumerate() {
            for (inputs, width, outputs, examples) in sizes {
                // Expressions depend on activation and loss, their lowering on sizes: only one size meets all pairs.
                if examples != 33 && (i + j) % 3 > 0 {
                    continue;
                }
                let network = network(&mlp(activation, inputs, width, outputs), loss, examples);
                for (_, outputs) in &network.programs {
                    for target in targets() {
                        let program = program(&network.graph, outputs, &network.given, &target);
                        largest = program.dispatches.iter().flat_map(|d| d.grid).fold(largest, u32::max);
                        for kernel in program.kernels.iter().cloned() {
                            let (_, least) = kernels.entry(kernel.wgsl.clone()).or_insert((kernel, allowed(&target)));
                            *least = [0, 1].map(|i| least[i].min(allowed(&target)[i]));
                        }
                    }
                }
            }
        }
    }
    (kernels, largest)
}

/// Bindings and invocations.
fn allowed(target: &Target) -> [usize; 2] {
    [target.max_bindings, target.invocations as usize]
}

/// What a kernel asks for beyond the limits.
fn excess(kernel: &Kernel, [allowed, most]: [usize; 2]) -> Vec<String> {
    let module = naga::front::wgsl::parse_str(&kernel.wgsl).unwrap();
    let mut found = vec![];
    let storage =
        module.global_variables.iter().filter(|(_, v)| matches!(v.space, AddressSpace::Storage { .. })).count();
    if storage > allowed || storage != kernel.access.len() {
        found.push(format!("{storage} storage buffers, {} described, {allowed} allowed", kernel.access.len()));
    }
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let shared = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    let bytes: u32 = shared.map(|(_, v)| layouter[v.ty].size).sum();
    if bytes > MAX_WORKGROUP_BYTES {
        found.push(format!("{bytes} bytes of workgroup memory"));
    }
    let invocations: u32 = module.entry_points.iter().map(|e| e.workgroup_size.iter().product::<u32>()).sum();
    if module.entry_points.len() != 1 || !(1..=most).contains(&(invocations as usize)) {
        found.push(format!("{invocations} invocations in {} entry points", module.entry_points.len()));
    }
    found
}

#[test]
fn every_kernel_is_valid_within_the_lowest_limits() {
    let (kernels, largest_grid) = all_kernels();
    let mut errors = vec![];
    for (kernel, allowed) in kernels.values() {
        match validate(kernel) {
            Err(error) => errors.push(format!("{}: {error}", kernel.label)),
            Ok(()) => errors.extend(excess(kernel, *allowed).into_iter().map(|e| format!("{}: {e}", kernel.label))),
        }
    }
    println!("{} distinct kernels, {} problems", kernels.len(), errors.len());
    assert!(errors.is_empty(), "{} of {} kernels:\n{}", errors.len(), kernels.len(), errors.join("\n"));
    assert!(largest_grid <= MAX_GRID, "a dispatch of {largest_grid} workgroups along one axis");

    // No file of shaders/ is dead; those of an adapter's peaks are no programs' kernels.
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders")).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("peak_") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(kernels.keys().any(|wgsl| wgsl.contains(&text)), "{} is in no kernel", path.display());
    }
}

#[test]
fn every_variant_is_valid_within_the_lowest_limits() {
    for &variant in Variant::ALL {
        let choices = Arc::new(Choices { tried: Some(variant), ..Choices::default() });
        for target in targets().map(|target| Target { choices: choices.clone(), ..target }) {
            // The left operand along k and along m; sizes that fit a tile and that do not.
            for (m, n, k, lhs_contract) in [(128, 128, 64, 1), (128, 128, 64, 0), (65, 17, 33, 1), (65, 17, 33, 0)] {
                let mut g = Graph::new();
                let x = g.input_f32("a", &if lhs_contract == 1 { [m, k] } else { [k, m] });
                let y = g.input_f32("b", &[k, n]);
                let dims = DotDims { lhs_contract: vec![lhs_contract], rhs_contract: vec![0], ..DotDims::default() };
                let z = g.dot_general(x, y, dims);
                let zeros = |id| (id, Tensor { shape: g.shape(id).to_vec(), data: vec![0.0; g.node(id).ty.len()] });
                for kernel in program(&g, &[z], &[zeros(x), zeros(y)], &target).kernels.iter().cloned() {
                    validate(&kernel).unwrap();
                    assert_eq!(excess(&kernel, allowed(&target)), Vec::<String>::new(), "{}", kernel.label);
                }
            }
        }
    }
}

#[test]
fn a_kernel_that_asks_for_too_much_is_found() {
    let wgsl = "var<workgroup> a: array<vec4<f32>, 1025>;\n@group(0) @binding(0) var<storage, read_write> b: array<f32>;\n\
                @compute @workgroup_size(257) fn main() { b[0] = a[0].x; }";
    let kernel = Kernel {
        label: "greedy".to_owned(),
        wgsl: wgsl.to_owned(),
        subgroups: false,
        access: vec![],
        offsets: 0,
        variant: None,
    };
    assert_eq!(excess(&kernel, [0, MAX_INVOCATIONS as usize]).len(), 3);
    let broken = Kernel { wgsl: "fn main() -> f32 {}".to_owned(), ..kernel };
    assert!(validate(&broken).unwrap_err().to_string().contains("greedy"));
}
