//! Families: a WGSL file of `shaders/` plus the prelude that defines its hooks makes one kernel.
//!
//! WGSL module scope does not depend on order, so a kernel is simply family + helpers + prelude. This file holds the map
//! and reduction families; `matmul` holds the contractions.

use std::collections::HashSet;

use super::emit::{Emitter, Scope, Unsuitable};
use super::rows;
use super::rows::combine;
use super::{Emitted, Kernel, KernelError, Target, matmul};
use crate::graph::index::Idx;
use crate::graph::{NodeId, Op};
use crate::passes::{FusedKernel, Root};

pub(super) const MAP: &str = include_str!("../../shaders/map.wgsl");
const REDUCE: &str = include_str!("../../shaders/reduce.wgsl");
/// Elementary functions that expressions call.
pub(super) const MATH: &str = include_str!("../../shaders/math.wgsl");

/// Invocations per workgroup of the map and reduction families.
const WORKGROUP: usize = 64;
/// Most workgroups along one axis of a grid under the WebGPU defaults.
pub(super) const MAX_GRID: usize = 65_535;

/// Emits the kernel of a scheduled group of nodes.
pub(super) fn emit(scope: &Scope, fused: &FusedKernel, target: &Target) -> Result<Emitted, KernelError> {
    if let Root::Dot(root) = fused.root {
        return matmul::emit(scope, fused, root, target);
    }
    let shape = scope.graph.shape(fused.stores[0]);
    let side_by_side = fused.root.rows(scope.graph).map_or_else(|| shape.iter().product(), |rows| rows[rows.len() - 1]);
    let kernel = |width| match fused.root {
        Root::Map | Root::Dot(_) => map(scope, fused, width),
        Root::Reduce(root) => reduce(scope, fused, root, width),
        Root::Rows(first) => rows::emit(scope, fused, first, width),
    };
    // A buffer that is read in both ways, by fours and one by one, is bound twice, which there may not be room for.
    let fits = |e: &Emitted| {
        let bound = e.sources.len();
        bound <= target.max_bindings || e.sources.iter().collect::<HashSet<_>>().len() == bound
    };
    let wide = if side_by_side.is_multiple_of(4) { kernel(4) } else { Err(Unsuitable) };
    let wide = wide.and_then(|e| if fits(&e) { Ok(e) } else { Err(Unsuitable) });
    let mixed = |Unsuitable| KernelError::MixedTypes(format!("a kernel of shape {shape:?}"));
    wide.or_else(|Unsuitable| kernel(1)).map_err(mixed)
}

/// Elements of a shape by the groups of `width` that invocations compute: how many groups, and the multi-index of one.
pub(super) fn groups(shape: &[usize], width: usize) -> (usize, Vec<Idx>) {
    let count = shape.iter().product::<usize>() / width;
    let i = if width == 4 { Idx::quad("i", count) } else { Idx::var("i", count) };
    (count, i.unflatten(shape))
}

/// `width` elements an invocation.
fn map(scope: &Scope, fused: &FusedKernel, width: usize) -> Result<Emitted, Unsuitable> {
    let shape = scope.graph.shape(fused.stores[0]);
    let (count, out) = groups(shape, width);
    let mut emitter = Emitter::new(scope, &fused.stores, width);
    let body = stores(&mut emitter, fused, &out)?;
    let hooks = format!("fn body(i: u32) {{\n{body}}}\n");
    Ok(linear(MAP, format!("map {shape:?}"), emitter, &hooks, count, count * width))
}

/// `width` results an invocation.
fn reduce(scope: &Scope, fused: &FusedKernel, root: NodeId, width: usize) -> Result<Emitted, Unsuitable> {
    let shape = scope.graph.shape(fused.stores[0]);
    let (count, out) = groups(shape, width);
    let mut emitter = Emitter::new(scope, &fused.stores, width);
    let (terms, hooks) = reduction(&mut emitter, scope, root, &out)?;
    emitter.define(root, &out, "result");
    let finish = stores(&mut emitter, fused, &out)?;
    let hooks = format!("{hooks}fn finish(i: u32, result: V) {{\n{finish}}}\n");
    let label = format!("reduce {shape:?}{}", if terms == 1 { String::new() } else { format!(" of {terms}") });
    Ok(linear(REDUCE, label, emitter, &hooks, count, count * width * terms))
}

/// A kernel of `count` invocations in a line. Each `let` of its hooks is executed `times` over all invocations. Shapes hold less
/// than 2³² elements, so the grid always fits.
pub(super) fn linear(
    family: &str,
    label: String,
    emitter: Emitter,
    hooks: &str,
    count: usize,
    times: usize,
) -> Emitted {
    let groups = count.div_ceil(WORKGROUP);
    let (x, y) = (groups.min(MAX_GRID), groups.div_ceil(MAX_GRID));
    let v = if emitter.width == 4 { "vec4<f32>" } else { "f32" };
    let constants = format!(
        "alias V = {v};\nconst WG: u32 = {WORKGROUP}u;\nconst GRID_X: u32 = {x}u;\nconst COUNT: u32 = {count}u;\n"
    );
    let wgsl = module(family, &[MATH, &constants, &emitter.declarations(), hooks]);
    Emitted {
        kernel: Kernel {
            label,
            wgsl,
            subgroups: false,
            access: emitter.access(),
            offsets: emitter.offsets.len(),
            variant: None,
        },
        sources: emitter.bindings.iter().map(|b| b.source).collect(),
        races: emitter.races,
        offsets: emitter.offsets,
        grid: [x as u32, y as u32, 1],
        flops: (hooks.matches("let ").count() * times) as f64,
    }
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
    let (axes, init) = match &node.op {
        Op::ReduceMax { axes } => (axes, "-3.4028234e38"),
        Op::ReduceSum { axes } => (axes, "0.0"),
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
         fn combine(a: V, b: V) -> V {{\n    return {};\n}}\n",
        combine(&node.op, "a", "b")
    );
    Ok((terms, hooks))
}
