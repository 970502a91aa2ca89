//! Families: a WGSL file of `shaders/` plus the prelude that defines its hooks makes one kernel.
//!
//! WGSL module scope does not depend on order, so a kernel is simply family + helpers + prelude. This file holds the map
//! and reduction families; `matmul` holds the contractions. Sums along rows have a family of their own on GPUs, where
//! invocations that each walk a row would read far from one another.

use super::emit::{Emitter, Scope, Unsuitable};
use super::{Emitted, Kernel, KernelError, Target, matmul};
use crate::graph::index::Idx;
use crate::graph::{NodeId, Op};
use crate::passes::{FusedKernel, Root};

const MAP: &str = include_str!("../../shaders/map.wgsl");
const REDUCE: &str = include_str!("../../shaders/reduce.wgsl");
const REDUCE_ROWS: &str = include_str!("../../shaders/reduce_rows.wgsl");
/// Elementary functions that expressions call.
pub(super) const MATH: &str = include_str!("../../shaders/math.wgsl");

/// Invocations per workgroup of the map and reduction families.
const WORKGROUP: usize = 64;
/// Fewest terms of a row that neighbours compute together.
const SHARED_TERMS: usize = 8;
/// Most workgroups along one axis of a grid under the WebGPU defaults.
pub(super) const MAX_GRID: usize = 65_535;

/// Emits the kernel of a scheduled group of nodes.
pub(super) fn emit(scope: &Scope, fused: &FusedKernel, target: &Target) -> Result<Emitted, KernelError> {
    match fused.root {
        Root::Dot(root) => matmul::emit(scope, fused, root, target),
        Root::Map | Root::Reduce(_) => {
            let len = scope.graph.node(fused.stores[0]).ty.len();
            let shared = !target.cpu && matches!(fused.root, Root::Reduce(root) if along_rows(scope, root));
            let wide = if len.is_multiple_of(4) && !shared { linear(scope, fused, 4, false) } else { Err(Unsuitable) };
            let name = format!("a kernel of shape {:?}", scope.graph.shape(fused.stores[0]));
            wide.or_else(|Unsuitable| linear(scope, fused, 1, shared))
                .map_err(|Unsuitable| KernelError::MixedTypes(name))
        }
    }
}

/// Whether the terms of a reduction are rows of some length.
fn along_rows(scope: &Scope, root: NodeId) -> bool {
    let node = scope.graph.node(root);
    let (Op::ReduceSum { axes } | Op::ReduceMax { axes }) = &node.op else { return false };
    let operand = scope.graph.shape(node.inputs[0]);
    let last = operand.iter().rposition(|&len| len > 1);
    let terms: usize = axes.iter().map(|&a| operand[a]).product();
    terms >= SHARED_TERMS && last.is_some_and(|last| axes.contains(&last))
}

/// A map or reduction with `width` elements per invocation, `shared` if its workgroups compute terms together. Shapes hold
/// less than 2³² elements, so its grid always fits.
fn linear(scope: &Scope, fused: &FusedKernel, width: usize, shared: bool) -> Result<Emitted, Unsuitable> {
    let graph = scope.graph;
    let shape = graph.shape(fused.stores[0]);
    let len: usize = shape.iter().product();
    let count = len / width;
    let i = if width == 4 { Idx::quad("i", count) } else { Idx::var("i", count) };
    let out = i.unflatten(shape);
    let mut emitter = Emitter::new(scope, &fused.stores, width);
    let (family, name, terms, hooks) = match fused.root {
        Root::Reduce(root) => {
            let (terms, hooks) = reduction(&mut emitter, scope, root, &out)?;
            emitter.define(root, &out, "result");
            let finish = stores(&mut emitter, fused, &out)?;
            let (family, name) = if shared { (REDUCE_ROWS, "reduce rows") } else { (REDUCE, "reduce") };
            (family, name, terms, format!("{hooks}fn finish(i: u32, result: V) {{\n{finish}}}\n"))
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
        flops: operations * (len * terms) as f64,
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
