//! Code for fused nodes.
//!
//! [`Lowering::value`] returns the name of a node's value at a symbolic index: stored values are loaded, index maps
//! rewrite the index, elementwise nodes become lines. The same code serves prologues, epilogues and maps, one element
//! at a time or four neighbours along the last axis. Four at a time is not always possible; then lowering fails with
//! [`Unsuitable`], and the step is lowered again one by one.

use std::collections::{HashMap, HashSet};

use super::accesses::{Accesses, Destination, Source, Unsuitable};
use super::code::{Access, Address, Code, ELEMENT, Expr, Line, Name, Test, View};
use super::form::Form;
use super::spec::Place;
use crate::graph::{Binary, DType, Graph, NodeId, Op};
use crate::index::{Idx, pull_back};

/// What is known of the program around a step.
pub(super) struct Scope<'a> {
    pub graph: &'a Graph,
    pub form: Form,
    /// Slot and offset of every input.
    pub inputs: &'a HashMap<NodeId, Place>,
    /// Values stored by any step.
    pub stored: &'a [bool],
    /// Where stored values go.
    pub targets: &'a HashMap<NodeId, Vec<Destination>>,
}

/// A step whose values have no buffers yet.
pub(super) struct Lowered {
    pub label: String,
    pub width: usize,
    pub code: Code,
    pub accesses: Accesses,
    pub flops: f64,
}

/// Lowers the expressions of one step. See the module text.
pub(super) struct Lowering<'a> {
    pub scope: &'a Scope<'a>,
    /// Values of the step's own stores are computed, not loaded.
    own: HashSet<NodeId>,
    pub accesses: Accesses,
    /// Elements handled at once: 1 or 4.
    pub width: usize,
    lines: Vec<Line>,
    names: HashMap<(NodeId, Vec<Idx>), Name>,
    count: usize,
}

impl<'a> Lowering<'a> {
    pub fn new(scope: &'a Scope<'a>, stores: &[NodeId], width: usize) -> Self {
        let own = stores.iter().copied().collect();
        let (accesses, names) = (Accesses::default(), HashMap::new());
        Self { scope, own, accesses, width, lines: vec![], names, count: 0 }
    }

    /// Declares that `id` at `index` is what the step's loop has computed.
    pub fn define_root(&mut self, id: NodeId, index: &[Idx]) {
        self.names.insert((id, index.to_vec()), Name::Root);
    }

    /// Takes the lines so far; names defined by them are forgotten.
    pub fn take_lines(&mut self) -> Vec<Line> {
        self.names.clear();
        std::mem::take(&mut self.lines)
    }

    /// Adds a line and returns the new name.
    pub fn emit(&mut self, expr: Expr) -> Name {
        self.lines.push(Line::Let(self.count, expr));
        self.count += 1;
        Name::Value(self.count - 1)
    }

    /// Adds a line that computes an index below `extent`.
    pub fn emit_index(&mut self, expr: Expr, extent: usize) -> Idx {
        self.emit(expr);
        Idx::var(&format!("v{}", self.count - 1), extent)
    }

    /// The element(s) of a buffer at a flat index, and how that buffer is seen.
    fn address(&self, flat: Idx, dtype: DType) -> (Address, View) {
        let one_by_one = if dtype == DType::F32 { View::Floats } else { View::Words };
        if self.width == 1 {
            return (Address::One(flat), one_by_one);
        }
        match (dtype, flat.aligned_quad()) {
            (DType::F32, Some(quad)) => (Address::Quad(quad), View::Quads),
            _ if flat.lane_stride() == Some(0) => (Address::Same(flat), one_by_one),
            _ => (Address::Each([0, 1, 2, 3].map(|lane| flat.with_lane(lane))), one_by_one),
        }
    }

    fn load(&mut self, source: Source, flat: Idx, dtype: DType) -> Result<Name, Unsuitable> {
        let (at, view) = self.address(flat, dtype);
        let binding = self.accesses.binding(source, view, Access::Read)?;
        Ok(self.emit(Expr::Load { binding, at, dtype }))
    }

    /// Name of the value of `id` at `index`. See the module text.
    pub fn value(&mut self, id: NodeId, index: &[Idx]) -> Result<Name, Unsuitable> {
        let key = (id, index.to_vec());
        if let Some(&name) = self.names.get(&key) {
            return Ok(name);
        }
        let ty = &self.scope.graph.node(id).ty;
        let name = if let Some(place) = self.scope.inputs.get(&id) {
            let flat = Idx::flatten(index, &ty.shape).plus(&self.accesses.offset(place.offset));
            self.accesses.touch(place.slot, place.offset..place.offset + ty.len(), &flat, None);
            self.load(Source::Slot(place.slot), flat, ty.dtype)?
        } else if self.scope.stored[id.index()] && !self.own.contains(&id) {
            self.load(Source::Node(id), Idx::flatten(index, &ty.shape), ty.dtype)?
        } else if let Some((operand, pulled)) = pull_back(self.scope.graph, id, index) {
            self.value(operand, &pulled)?
        } else {
            self.compute(id, index)?
        };
        self.names.insert(key, name);
        Ok(name)
    }

    fn compute(&mut self, id: NodeId, index: &[Idx]) -> Result<Name, Unsuitable> {
        let node = self.scope.graph.node(id);
        let dtype = |lowering: &Self| lowering.scope.graph.node(node.inputs[0]).ty.dtype;
        let mut at = |operand: usize| self.value(node.inputs[operand], index);
        let expr = match &node.op {
            Op::Constant(c) => Expr::Constant(c.get()),
            Op::Iota { axis, .. } => Expr::Position(index[*axis].clone()),
            Op::Unary(f) => Expr::Unary(*f, at(0)?),
            Op::Binary(f) => Expr::Binary(*f, [at(0)?, at(1)?]),
            Op::Compare(f) => {
                let operands = [at(0)?, at(1)?];
                Expr::Compare(*f, dtype(self), operands)
            }
            Op::Select => Expr::Select([at(0)?, at(1)?, at(2)?]),
            Op::ToF32 => {
                let operand = at(0)?;
                Expr::ToF32(dtype(self), operand)
            }
            Op::Pad { low, .. } => return self.pad(node.inputs[0], low, index),
            Op::ReduceSum { .. } | Op::ReduceMax { .. } => return self.reduce_row(id, index),
            Op::Input(_) | Op::BroadcastInDim { .. } | Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. } => {
                unreachable!("inputs have places and index maps are pulled back")
            }
            Op::DotGeneral(_) | Op::Conv { .. } => {
                unreachable!("the schedule stores every contraction that another step reads")
            }
        };
        Ok(self.emit(expr))
    }

    /// Indices of the element(s) of a row of so many elements, at the index of the row: of every element where they are
    /// written out, and otherwise of any one, as a variable.
    pub fn along_row(&self, row: &[Idx], len: usize) -> Vec<Vec<Idx>> {
        let wide = self.width == 4;
        let last = if self.scope.form.loops_over_rows() {
            vec![if wide { Idx::quad(ELEMENT, len / 4) } else { Idx::var(ELEMENT, len) }]
        } else {
            let place = |i| if wide { Idx::quad_from(i) } else { Idx::constant(i as u64) };
            (0..len).step_by(self.width).map(place).collect()
        };
        last.into_iter().map(|i| [row, &[i]].concat()).collect()
    }

    /// The reduction `id` of the row at this index, in order; of four at a time, all four are the result.
    pub fn reduce_row(&mut self, id: NodeId, row: &[Idx]) -> Result<Name, Unsuitable> {
        let node = self.scope.graph.node(id);
        let (with, operand) = (combiner(&node.op), node.inputs[0]);
        let len = *self.scope.graph.shape(operand).last().expect("a row has elements");
        if self.scope.form.loops_over_rows() {
            let x = self.value(operand, &self.along_row(row, len)[0])?;
            return Ok(self.emit(Expr::OverRow(with, x)));
        }
        let mut result: Option<Name> = None;
        for index in self.along_row(row, len) {
            let x = self.value(operand, &index)?;
            result = Some(match result {
                None => x,
                Some(sum) => self.emit(Expr::Binary(with, [sum, x])),
            });
        }
        let result = result.expect("a row has elements");
        if self.width == 1 {
            return Ok(result);
        }
        let halves = [0, 1].map(|half| self.emit(Expr::Half(with, result, half)));
        Ok(self.emit(Expr::Spread(with, halves)))
    }

    /// Zero outside the operand; the index is clamped so that the load stays inside.
    fn pad(&mut self, operand: NodeId, low: &[usize], index: &[Idx]) -> Result<Name, Unsuitable> {
        let shape = self.scope.graph.shape(operand);
        if shape.contains(&0) {
            return Ok(self.emit(Expr::Zero));
        }
        let mut inside = vec![];
        let mut shifted = vec![];
        for (axis, i) in index.iter().enumerate() {
            shifted.push(self.bounded(i, low[axis], shape[axis], &mut inside)?);
        }
        self.masked(operand, &shifted, inside)
    }

    /// `index − low` where it lies below `extent`, which a condition added to `inside` tells; some index below it
    /// elsewhere.
    pub fn bounded(
        &mut self,
        index: &Idx,
        low: usize,
        extent: usize,
        inside: &mut Vec<Test>,
    ) -> Result<Idx, Unsuitable> {
        if low == 0 && index.upper() < extent as u64 {
            return Ok(index.clone());
        }
        if index.lane_stride() != Some(0) {
            return Err(Unsuitable);
        }
        // Wraps around below `low`, which the comparison refuses like any other index outside.
        let minus = Idx::constant(low as u64);
        let at = self.emit(Expr::Difference { from: index.clone(), plus: None, minus });
        inside.push(Test::Below(at, extent));
        Ok(self.emit_index(Expr::AtMost(at, extent - 1), extent))
    }

    /// The value of `id` at `index` where all conditions hold, and 0 elsewhere.
    pub fn masked(&mut self, id: NodeId, index: &[Idx], inside: Vec<Test>) -> Result<Name, Unsuitable> {
        let value = self.value(id, index)?;
        Ok(if inside.is_empty() { value } else { self.emit(Expr::Masked(value, inside)) })
    }

    /// Stores `id`, whose value at `index` is then in its buffers.
    pub fn store(&mut self, id: NodeId, index: &[Idx]) -> Result<(), Unsuitable> {
        let value = self.value(id, index)?;
        let (ty, scope) = (&self.scope.graph.node(id).ty, self.scope);
        for target in scope.targets.get(&id).into_iter().flatten() {
            let flat = Idx::flatten(index, &ty.shape).plus(&self.accesses.offset(target.offset));
            if let Source::Slot(slot) = target.source {
                let tensor = target.offset..target.offset + ty.len();
                self.accesses.touch(slot, tensor, &flat, Some((id, *target)));
            }
            let (at, view) = self.address(flat, ty.dtype);
            let access = if target.accumulate { Access::ReadWrite } else { Access::Write };
            let binding = self.accesses.binding(target.source, view, access)?;
            self.lines.push(Line::Store { binding, at, value, dtype: ty.dtype, accumulate: target.accumulate });
        }
        Ok(())
    }

    /// The code that stores what a step stores, at the multi-index `out`.
    pub fn stores(&mut self, stores: &[NodeId], out: &[Idx]) -> Result<Vec<Line>, Unsuitable> {
        stores.iter().try_for_each(|&id| self.store(id, out))?;
        Ok(self.take_lines())
    }
}

/// What adds a term of a reduction to those before.
pub(super) fn combiner(reduction: &Op) -> Binary {
    match reduction {
        Op::ReduceMax { .. } => Binary::Max,
        Op::ReduceSum { .. } => Binary::Add,
        other => unreachable!("{other:?} is not a reduction"),
    }
}
