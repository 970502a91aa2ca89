//! Families: a WGSL file of `shaders/` plus the prelude that defines its hooks makes one kernel.
//!
//! WGSL module scope does not depend on order, so a kernel is simply family + helpers + prelude. This file holds the map
//! and reduction families; `matmul` holds the contractions.

use super::emit::{Emitter, Scope, Unsuitable};
use super::{Emitted, Kernel, KernelError, Target, matmul};
use crate::graph::index::Idx;
use crate::graph::{NodeId, Op};
use crate::passes::{FusedKernel, Root};

const MAP: &str = include_str!("../../shaders/map.wgsl");
const REDUCE: &str = include_str!("../../shaders/reduce.wgsl");
/// Elementary functions that expressions call.
pub(super) const MATH: &str = include_str!("../../shaders/math.wgsl");

/// Invocations per workgroup of the map and reduction families.
const WORKGROUP: usize = 64;
/// Most workgroups along one axis of a grid under the WebGPU defaults.
pub(super) const MAX_GRID: usize = 65_535;

/// Emits the kernel of a scheduled group of nodes.
pub(super) fn emit(scope: &Scope, fused: &FusedKernel, target: &Target) -> Result<Emitted, KernelError> {
    match fused.root {
        Root::Dot(root) => matmul::emit(scope, fused, root, target),
        Root::Map | Root::Reduce(_) | Root::Rows(_) => {
            let side_by_side = match fused.root {
                Root::Rows(first) => *scope.graph.shape(scope.graph.node(first).inputs[0]).last().expect("rows"),
                Root::Map | Root::Reduce(_) | Root::Dot(_) => scope.graph.node(fused.stores[0]).ty.len(),
            };
            let wide = if side_by_side.is_multiple_of(4) { linear(scope, fused, 4) } else { Err(Unsuitable) };
            let name = format!("a kernel of shape {:?}", scope.graph.shape(fused.stores[0]));
            wide.or_else(|Unsuitable| linear(scope, fused, 1)).map_err(|Unsuitable| KernelError::MixedTypes(name))
        }
    }
}

/// A map or reduction with `width` elements per invocation, or a row of such elements. Shapes hold less than 2³² elements, so
/// its grid always fits.
fn linear(scope: &Scope, fused: &FusedKernel, width: usize) -> Result<Emitted, Unsuitable> {
    let graph = scope.graph;
    let shape = match fused.root {
        Root::Rows(first) => graph.shape(first),
        Root::Map | Root::Reduce(_) | Root::Dot(_) => graph.shape(fused.stores[0]),
    };
    let len: usize = shape.iter().product();
    let (count, i) = match fused.root {
        Root::Rows(_) => (len, Idx::var("i", len)),
        _ if width == 4 => (len / 4, Idx::quad("i", len / 4)),
        _ => (len, Idx::var("i", len)),
    };
    let out = i.unflatten(shape);
    let mut emitter = Emitter::new(scope, &fused.stores, width);
    let (family, name, terms, hooks) = match fused.root {
        Root::Reduce(root) => {
            let (terms, hooks) = reduction(&mut emitter, scope, root, &out)?;
            emitter.define(root, &out, "result");
            let finish = stores(&mut emitter, fused, &out)?;
            (REDUCE, "reduce", terms, format!("{hooks}fn finish(i: u32, result: V) {{\n{finish}}}\n"))
        }
        Root::Rows(first) => {
            let rows = graph.shape(graph.node(first).inputs[0]);
            let row = rows[rows.len() - 1];
            for &id in &fused.stores {
                let elements = if graph.shape(id) == rows { emitter.along_row(&out, row) } else { vec![out.clone()] };
                elements.iter().try_for_each(|index| emitter.store(id, index))?;
            }
            (MAP, "rows", row, format!("fn body(i: u32) {{\n{}}}\n", emitter.take_lines()))
        }
        Root::Map | Root::Dot(_) => {
            let body = stores(&mut emitter, fused, &out)?;
            (MAP, "map", 1, format!("fn body(i: u32) {{\n{body}}}\n"))
        }
    };
    let groups = count.div_ceil(WORKGROUP);
    let (x, y) = (groups.min(MAX_GRID), groups.div_ceil(MAX_GRID));
    let v = if width == 4 { "vec4<f32>" } else { "f32" };
    let constants = format!(
        "alias V = {v};\nconst WG: u32 = {WORKGROUP}u;\nconst GRID_X: u32 = {x}u;\nconst COUNT: u32 = {count}u;\n"
    );
    // Of rows, all elements are written out.
    let times = if matches!(fused.root, Root::Rows(_)) { width * len } else { len * terms };
    let operations = hooks.matches("let ").count() as f64;
    let label = format!("{name} {shape:?}{}", if terms == 1 { String::new() } else { format!(" of {terms}") });
    let wgsl = module(family, &[MATH, &constants, &emitter.declarations(), &hooks]);
    Ok(Emitted {
        kernel: Kernel {
            label,
            wgsl,
            subgroups: false,
            access: emitter.access(),
            offsets: emitter.offsets.len(),
            variant: None,
        },
        sources: emitter.bindings.iter().map(|b| b.source).collect(),
        offsets: emitter.offsets,
        grid: [x as u32, y as u32, 1],
        flops: operations * times as f64,
    })
}

/// Family and prelude as one module.
pub(super) fn module(family: &str, prelude: &[&str]) -> String {
    let mut wgsl = family.to_owned();
    for part in prelude {
        wgsl.push('\n');
        wgsl.push_str(part);
    }
    wgsl
}

/// Statements that store what the kernel stores, at the multi-index `out`.
pub(super) fn stores(emitter: &mut Emitter, fused: &FusedKernel, out: &[Idx]) -> Result<String, Unsuitable> {
    for &id in &fused.stores {
        emitter.store(id, out)?;
    }
    Ok(emitter.take_lines())
}

/// Number of terms, and the hooks `TERMS`, `INIT`, `term` and `combine`.
fn reduction(emitter: &mut Emitter, scope: &Scope, root: NodeId, out: &[Idx]) -> Result<(usize, String), Unsuitable> {
    let node = scope.graph.node(root);
    let (axes, init, combine) = match &node.op {
        Op::ReduceMax { axes } => (axes, "-3.4028234e38", "max(a, b)"),
        Op::ReduceSum { axes } => (axes, "0.0", "a + b"),
        other => unreachable!("{other:?} is not a reduction"),
    };
    let operand = scope.graph.shape(node.inputs[0]);
    let reduced: Vec<usize> = axes.iter().map(|&a| operand[a]).collect();
    let terms: usize = reduced.iter().product();
    let mut inner = Idx::var("r", terms).unflatten(&reduced).into_iter();
    let mut outer = out.iter().cloned();
    let index = (0..operand.len()).map(|a| if axes.contains(&a) { inner.next() } else { outer.next() });
    let index: Vec<Idx> = index.flatten().collect();
    let body = if terms == 0 {
        "    return V(0.0);\n".to_owned()
    } else {
        let value = emitter.value(node.inputs[0], &index)?;
        format!("{}    return {value};\n", emitter.take_lines())
    };
    let hooks = format!(
        "const TERMS: u32 = {terms}u;\nconst INIT: f32 = {init};\nfn term(i: u32, r: u32) -> V {{\n{body}}}\n\
         fn combine(a: V, b: V) -> V {{\n    return {combine};\n}}\n"
    );
    Ok((terms, hooks))
}
