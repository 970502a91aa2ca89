//! Families: a WGSL file of `shaders/` plus the prelude that defines its hooks makes one kernel.
//!
//! WGSL module scope does not depend on order, so a kernel is simply family + helpers + prelude. This file holds the map
//! and reduction families; `rows` holds rows that a workgroup shares, and `matmul` the contractions.

use super::spell::{Speller, binary, declarations, neutral, vector};
use super::{Emitted, Kernel, ShapeClass, Variant};
use crate::plan::{Fold, Line, Step};

const MAP: &str = include_str!("../../shaders/map.wgsl");
const REDUCE: &str = include_str!("../../shaders/reduce.wgsl");
/// Elementary functions that expressions call.
const MATH: &str = include_str!("../../shaders/math.wgsl");

/// Invocations per workgroup of the map, reduction and rows families.
pub(super) const WORKGROUP: usize = 64;
/// Most workgroups along one axis of a grid under the WebGPU defaults.
pub(super) const MAX_GRID: usize = 65_535;

/// The kernel of code that runs for every element or row.
pub(super) fn each(step: &Step, count: usize, body: &[Line]) -> Emitted {
    let speller = Speller { width: step.width, root: "result" };
    linear(MAP, step, &format!("fn body(i: u32) {{\n{}}}\n", speller.lines(body)), count, WORKGROUP)
}

/// The kernel of a reduction: hooks `TERMS`, `INIT`, `term`, `combine` and `finish`.
pub(super) fn reduce(step: &Step, fold: &Fold) -> Emitted {
    let Fold { count, with, terms, term, finish } = fold;
    let speller = Speller { width: step.width, root: "result" };
    let term = term.as_ref().map_or("    return V(0.0);\n".to_owned(), |body| speller.returning(body));
    let hooks = format!(
        "const TERMS: u32 = {terms}u;\nconst INIT: f32 = {};\nfn term(i: u32, r: u32) -> V {{\n{term}}}\n\
         fn combine(a: V, b: V) -> V {{\n    return {};\n}}\nfn finish(i: u32, result: V) {{\n{}}}\n",
        neutral(*with),
        binary(*with, &["a", "b"].map(str::to_owned)),
        speller.lines(finish)
    );
    linear(REDUCE, step, &hooks, *count, WORKGROUP)
}

/// A kernel whose workgroups, in a line, compute `each` of `count` elements or rows. Shapes hold less than 2³²
/// elements, so the grid always fits.
pub(super) fn linear(family: &str, step: &Step, hooks: &str, count: usize, each: usize) -> Emitted {
    let groups = count.div_ceil(each);
    let (x, y) = (groups.min(MAX_GRID), groups.div_ceil(MAX_GRID));
    let constants = format!(
        "alias V = {};\nconst WG: u32 = {WORKGROUP}u;\nconst GRID_X: u32 = {x}u;\nconst COUNT: u32 = {count}u;\n",
        vector(step.width)
    );
    (kernel(step, step.label.clone(), [family, &constants, hooks], None), [x as u32, y as u32, 1])
}

/// Family and prelude as one module.
pub(super) fn kernel(
    step: &Step,
    label: String,
    [family, constants, hooks]: [&str; 3],
    variant: Option<(ShapeClass, Variant)>,
) -> Kernel {
    let wgsl = [family, MATH, constants, &declarations(step), hooks].join("\n");
    let access = step.bindings.iter().map(|binding| binding.access).collect();
    let subgroups = variant.is_some_and(|(_, variant)| variant.subgroups());
    Kernel { label, wgsl, subgroups, access, offsets: step.offsets.len(), variant }
}
