//! Code for a scheduled group of nodes: maps, reductions and rows. Contractions are in `product`.

use std::collections::HashSet;

use super::accesses::Unsuitable;
use super::code::{Body, Code, ELEMENT, Fold, Line};
use super::form::{Form, Rows};
use super::lower::{Lowered, Lowering, Scope, combiner};
use super::product;
use super::schedule::{Group, Root};
use super::spec::PlanError;
use crate::graph::{NodeId, Op};
use crate::index::Idx;

/// Lowers a group: for kernels four elements at a time where that is possible within their number of bindings.
pub(super) fn lower(scope: &Scope, group: &Group) -> Result<Lowered, PlanError> {
    if let Root::Dot(root) = group.root {
        return product::lower(scope, group, root);
    }
    let shape = scope.graph.shape(group.stores[0]);
    let side_by_side = group.root.rows(scope.graph).map_or_else(|| shape.iter().product(), |rows| rows[rows.len() - 1]);
    let step = |width| match group.root {
        Root::Map | Root::Dot(_) => map(scope, group, width),
        Root::Reduce(root) => reduce(scope, group, root, width),
        Root::Rows(first) => rows(scope, group, first, width),
    };
    let mixed = |Unsuitable| PlanError::MixedTypes(format!("a step of shape {shape:?}"));
    let Some(most) = scope.form.bindings() else { return step(1).map_err(mixed) };
    // A buffer that is read in both ways, by fours and one by one, is bound twice, which there may not be room for.
    let fits = |step: &Lowered| {
        let bindings = &step.accesses.bindings;
        let buffers: HashSet<_> = bindings.iter().map(|bound| bound.source).collect();
        bindings.len() <= most || buffers.len() == bindings.len()
    };
    let wide = if side_by_side.is_multiple_of(4) { step(4) } else { Err(Unsuitable) };
    let wide = wide.and_then(|step| if fits(&step) { Ok(step) } else { Err(Unsuitable) });
    wide.or_else(|Unsuitable| step(1)).map_err(mixed)
}

/// Elements of a shape by the groups of `width` that are handled at once: how many groups, and the multi-index of one.
fn groups(shape: &[usize], width: usize) -> (usize, Vec<Idx>) {
    let count = shape.iter().product::<usize>() / width;
    let i = if width == 4 { Idx::quad("i", count) } else { Idx::var("i", count) };
    (count, i.unflatten(shape))
}

fn map(scope: &Scope, group: &Group, width: usize) -> Result<Lowered, Unsuitable> {
    let shape = scope.graph.shape(group.stores[0]);
    let (count, out) = groups(shape, width);
    let mut lowering = Lowering::new(scope, &group.stores, width);
    let body = lowering.stores(&group.stores, &out)?;
    let flops = (lets(&body) * count * width) as f64;
    Ok(lowered(format!("map {shape:?}"), lowering, Code::Each { count, body }, flops))
}

/// A row at a time, `width` of its elements at once; `first` is a reduction of these rows.
fn rows(scope: &Scope, group: &Group, first: NodeId, width: usize) -> Result<Lowered, Unsuitable> {
    let graph = scope.graph;
    let (shape, rows) = (graph.shape(first), graph.shape(graph.node(first).inputs[0]));
    let row = rows[rows.len() - 1];
    let (count, out) = groups(shape, 1);
    let mut lowering = Lowering::new(scope, &group.stores, width);
    if let Form::Kernels { rows: Rows::Workgroup, .. } = scope.form {
        lowering.accesses.share_outside_of(ELEMENT);
    }
    for &id in &group.stores {
        let elements = if graph.shape(id) == rows { lowering.along_row(&out, row) } else { vec![out.clone()] };
        elements.iter().try_for_each(|index| lowering.store(id, index))?;
    }
    let body = lowering.take_lines();
    let label = format!("rows {shape:?} of {row}");
    let lines = (lets(&body) * count) as f64;
    let (code, each) = match scope.form {
        Form::Kernels { rows: Rows::Invocation, .. } => (Code::Each { count, body }, width),
        Form::Kernels { rows: Rows::Workgroup, .. } | Form::Blocks => {
            (Code::Rows { count, len: row / width, body }, row)
        }
    };
    Ok(lowered(label, lowering, code, lines * each as f64))
}

/// `width` results at a time.
fn reduce(scope: &Scope, group: &Group, root: NodeId, width: usize) -> Result<Lowered, Unsuitable> {
    let shape = scope.graph.shape(group.stores[0]);
    let (count, out) = groups(shape, width);
    let mut lowering = Lowering::new(scope, &group.stores, width);
    let (terms, term) = term(&mut lowering, root, &out)?;
    lowering.define_root(root, &out);
    let finish = lowering.stores(&group.stores, &out)?;
    let label = format!("reduce {shape:?}{}", if terms == 1 { String::new() } else { format!(" of {terms}") });
    let of_term = term.as_ref().map_or(0, |body| lets(&body.lines));
    let flops = ((of_term + lets(&finish)) * count * width * terms) as f64;
    let with = combiner(&scope.graph.node(root).op);
    Ok(lowered(label, lowering, Code::Reduce(Fold { count, with, terms, term, finish }), flops))
}

/// Number of terms of a reduction, and the term number `r`.
fn term(lowering: &mut Lowering, root: NodeId, out: &[Idx]) -> Result<(usize, Option<Body>), Unsuitable> {
    let node = lowering.scope.graph.node(root);
    let (Op::ReduceMax { axes } | Op::ReduceSum { axes }) = &node.op else {
        unreachable!("{:?} is not a reduction", node.op)
    };
    let operand = lowering.scope.graph.shape(node.inputs[0]);
    let reduced: Vec<usize> = axes.iter().map(|&a| operand[a]).collect();
    let terms: usize = reduced.iter().product();
    if terms == 0 {
        return Ok((0, None));
    }
    let mut inner = Idx::var("r", terms).unflatten(&reduced).into_iter();
    let mut outer = out.iter().cloned();
    let index = (0..operand.len()).map(|a| if axes.contains(&a) { inner.next() } else { outer.next() });
    let index: Vec<Idx> = index.flatten().collect();
    let value = lowering.value(node.inputs[0], &index)?;
    Ok((terms, Some(Body { lines: lowering.take_lines(), value })))
}

/// Values that lines compute.
fn lets(lines: &[Line]) -> usize {
    lines.iter().filter(|line| matches!(line, Line::Let(..))).count()
}

fn lowered(label: String, lowering: Lowering, code: Code, flops: f64) -> Lowered {
    Lowered { label, width: lowering.width, code, accesses: lowering.accesses, flops }
}
