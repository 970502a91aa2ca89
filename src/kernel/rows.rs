//! Kernels whose invocations hold a row each: reductions of rows, and what lies between them, are computed where they are needed.

use super::Emitted;
use super::emit::{Emitter, Scope, Unsuitable};
use super::family::{MAP, groups, linear};
use crate::graph::index::Idx;
use crate::graph::{NodeId, Op};
use crate::passes::FusedKernel;

/// A row an invocation, `width` of its elements at a time; `first` is a reduction of these rows.
pub(super) fn emit(scope: &Scope, fused: &FusedKernel, first: NodeId, width: usize) -> Result<Emitted, Unsuitable> {
    let graph = scope.graph;
    let (shape, rows) = (graph.shape(first), graph.shape(graph.node(first).inputs[0]));
    let row = rows[rows.len() - 1];
    let (count, out) = groups(shape, 1);
    let mut emitter = Emitter::new(scope, &fused.stores, width);
    for &id in &fused.stores {
        let elements = if graph.shape(id) == rows { emitter.along_row(&out, row) } else { vec![out.clone()] };
        elements.iter().try_for_each(|index| emitter.store(id, index))?;
    }
    let hooks = format!("fn body(i: u32) {{\n{}}}\n", emitter.take_lines());
    // All elements of a row are written out.
    Ok(linear(MAP, format!("rows {shape:?} of {row}"), emitter, &hooks, count, count * width))
}

impl Emitter<'_> {
    /// Indices of the element(s) of a row of so many elements, at the index of the row.
    fn along_row(&self, row: &[Idx], len: usize) -> Vec<Vec<Idx>> {
        let last = (0..len).step_by(self.width);
        let last = last.map(|i| if self.width == 4 { Idx::quad_from(i) } else { Idx::constant(i as u64) });
        last.map(|i| [row, &[i]].concat()).collect()
    }

    /// The reduction `id` of the row at this index, in order; of four at a time, all four are the result.
    pub fn reduce_row(&mut self, id: NodeId, row: &[Idx]) -> Result<String, Unsuitable> {
        let node = self.scope.graph.node(id);
        let (op, operand) = (&node.op, node.inputs[0]);
        let len = *self.scope.graph.shape(operand).last().expect("a row has elements");
        let mut result: Option<String> = None;
        for index in self.along_row(row, len) {
            let x = self.value(operand, &index)?;
            result = Some(match result {
                None => x,
                Some(sum) => self.emit(&combine(op, &sum, &x)),
            });
        }
        let result = result.expect("a row has elements");
        if self.width == 1 {
            return Ok(result);
        }
        let [xy, zw] = ["xy", "zw"].map(|pair| pair.split_at(1)).map(|(a, b)| {
            let pair = combine(op, &format!("{result}.{a}"), &format!("{result}.{b}"));
            self.emit(&pair)
        });
        Ok(self.emit(&format!("vec4<f32>({})", combine(op, &xy, &zw))))
    }
}

/// A step of a reduction: a ∘ b.
pub(super) fn combine(reduction: &Op, a: &str, b: &str) -> String {
    match reduction {
        Op::ReduceMax { .. } => format!("max({a}, {b})"),
        Op::ReduceSum { .. } => format!("{a} + {b}"),
        other => unreachable!("{other:?} is not a reduction"),
    }
}
