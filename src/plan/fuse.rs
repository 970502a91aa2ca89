//! Which values are stored, and which group computes what.
//!
//! A group has a root (a contraction, a reduction, or none: a map) and an epilogue: elementwise nodes of the root's
//! shape that need nothing computed later. Each elementwise node joins the *latest* group it depends on. A value that
//! another group needs is stored, unless it is cheap to compute again from what is stored anyway (relu's mask from
//! relu's value). Reductions of short rows and what lies between them share a group that holds whole rows: a softmax or
//! a layer norm is one. Index maps (broadcast, reshape, transpose, slice, pad) are never executed: consumers load through
//! them; so are elementwise nodes behind them, which become a reduction's prologue. Operands of a contraction are read
//! many times and must be stored, up to an index map that keeps the right operand's rows contiguous.
//!
//! For blocks, a step costs little and memory is slower than arithmetic. So their steps also store what is dear and made
//! larger by a broadcast; and where several values come from a few, they store those few.

use std::collections::HashSet;

use super::form::Form;
use super::product::read_from;
use super::schedule::{Group, Root, Schedule};
use crate::graph::{DType, Graph, NodeId, Op, Unary};
use crate::passes::is_cheap;

/// Where a node's value can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    /// Anywhere: it depends on inputs alone.
    Free,
    /// In the epilogue of this group.
    In(usize),
    /// By loading stored values, once this group has run.
    After(usize),
}

impl Ready {
    fn group(self) -> Option<usize> {
        match self {
            Ready::Free => None,
            Ready::In(k) | Ready::After(k) => Some(k),
        }
    }
}

/// The shape of the rows that a node reduces, if it reduces rows that a step can hold.
fn reduced_rows(graph: &Graph, id: NodeId, form: Form) -> Option<&[usize]> {
    let node = graph.node(id);
    let (Op::ReduceSum { axes } | Op::ReduceMax { axes }) = &node.op else { return None };
    let rows = graph.shape(node.inputs[0]);
    let last = rows.len().checked_sub(1)?;
    (*axes == [last] && form.holds_rows(rows[last])).then_some(rows)
}

/// Schedules what `outputs` need, for steps of this form. Nodes in `cuts` start a group of their own, which bounds a
/// group's operands.
///
/// # Panics
/// When one of them is not a node of the graph.
pub fn fuse(graph: &Graph, outputs: &[NodeId], cuts: &HashSet<NodeId>, form: Form) -> Schedule {
    let live = needed(graph, outputs);
    let forced = forced(graph, outputs, cuts, &live, form);
    let mut fuser = Fuser {
        graph,
        form,
        spread: spread(graph, &live, form),
        uses: uses(graph, &live),
        ready: vec![Ready::Free; graph.nodes().len()],
        schedule: Schedule { groups: vec![], stored: vec![false; graph.nodes().len()] },
    };
    for id in graph.ids().filter(|id| live[id.index()]) {
        fuser.place(id, forced[id.index()], cuts.contains(&id));
    }
    // What a group needs from an earlier one is decided from the last group backwards: storing a value for a later
    // group may make an earlier one need more.
    let mut pending: Vec<(NodeId, usize)> = vec![];
    for (k, group) in fuser.schedule.groups.iter().enumerate() {
        match group.root {
            Root::Map | Root::Rows(_) => {}
            Root::Reduce(id) | Root::Dot(id) if graph.node(id).ty.is_empty() => {}
            Root::Reduce(id) | Root::Dot(id) => pending.extend(graph.node(id).inputs.iter().map(|&i| (i, k))),
        }
        pending.extend(group.stores.iter().map(|&id| (id, k)));
    }
    let mut seen = HashSet::new();
    while let Some((id, group)) = pending.pop() {
        if seen.insert((id, group)) {
            fuser.demand(id, group, &mut pending);
        }
    }
    fuser.schedule.groups.retain(|group| !group.stores.is_empty());
    for group in &mut fuser.schedule.groups {
        group.stores.sort_unstable();
    }
    fuser.schedule
}

/// For every node, whether `outputs` need its elements: what has none needs nothing.
fn needed(graph: &Graph, outputs: &[NodeId]) -> Vec<bool> {
    let mut needed = vec![false; graph.nodes().len()];
    for output in outputs {
        needed[output.index()] = true;
    }
    for id in graph.ids().rev().filter(|id| !graph.node(*id).ty.is_empty()) {
        if needed[id.index()] {
            for input in &graph.node(id).inputs {
                needed[input.index()] = true;
            }
        }
    }
    needed
}

/// Nodes that must be stored whatever the schedule: outputs, cuts and what contractions read.
fn forced(graph: &Graph, outputs: &[NodeId], cuts: &HashSet<NodeId>, live: &[bool], form: Form) -> Vec<bool> {
    let mut forced = vec![false; graph.nodes().len()];
    for id in outputs.iter().chain(cuts) {
        forced[id.index()] = true;
    }
    for id in graph.ids().filter(|id| live[id.index()]) {
        if graph.node(id).op.is_contraction() {
            for side in 0..2 {
                if graph.node(id).ty.is_empty() || graph.node(graph.node(id).inputs[side]).ty.is_empty() {
                    continue;
                }
                let base = read_from(graph, id, side, form);
                forced[base.index()] |= !matches!(graph.node(base).op, Op::Input(_));
            }
        }
    }
    forced
}

/// Nodes that become larger by a broadcast, whose consumers would compute each element many times. An invocation of a
/// kernel, which has arithmetic to spare, does that rather than wait for one more step.
fn spread(graph: &Graph, live: &[bool], form: Form) -> Vec<bool> {
    let mut spread = vec![false; graph.nodes().len()];
    for id in graph.ids().filter(|id| form == Form::Blocks && live[id.index()]) {
        let node = graph.node(id);
        if let Op::BroadcastInDim { .. } = node.op {
            spread[node.inputs[0].index()] |= node.ty.len() > graph.node(node.inputs[0]).ty.len();
        }
    }
    spread
}

/// For every node, how many others it is an operand of.
fn uses(graph: &Graph, live: &[bool]) -> Vec<usize> {
    let mut uses = vec![0; graph.nodes().len()];
    for id in graph.ids().filter(|id| live[id.index()]) {
        graph.node(id).inputs.iter().for_each(|input| uses[input.index()] += 1);
    }
    uses
}

struct Fuser<'a> {
    graph: &'a Graph,
    form: Form,
    /// For every node, whether something makes it larger.
    spread: Vec<bool>,
    /// For every node, how many others it is an operand of.
    uses: Vec<usize>,
    ready: Vec<Ready>,
    schedule: Schedule,
}

impl Fuser<'_> {
    /// Decides where a node is computed.
    fn place(&mut self, id: NodeId, forced: bool, cut: bool) {
        let node = self.graph.node(id);
        let latest = node.inputs.iter().filter_map(|i| self.ready[i.index()].group()).max();
        let mut ready = match &node.op {
            Op::Input(_) | Op::Constant(_) | Op::Iota { .. } => Ready::Free,
            Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::ToF32 => match latest {
                None => Ready::Free,
                Some(k) if node.inputs.iter().any(|i| self.ready[i.index()] == Ready::After(k)) => Ready::After(k),
                Some(k) => Ready::In(k),
            },
            Op::BroadcastInDim { .. }
            | Op::Reshape { .. }
            | Op::Transpose { .. }
            | Op::Slice { .. }
            | Op::Pad { .. } => match latest {
                Some(k) if self.spreads_over_rows(id, k) => Ready::In(k),
                latest => latest.map_or(Ready::Free, Ready::After),
            },
            Op::ReduceSum { .. } | Op::ReduceMax { .. } => match reduced_rows(self.graph, id, self.form) {
                Some(rows) => self.row_group(id, rows, cut),
                None => self.new_group(Root::Reduce(id)),
            },
            Op::DotGeneral(_) | Op::Conv { .. } => self.new_group(Root::Dot(id)),
        };
        let is_root = match &node.op {
            Op::ReduceSum { .. } | Op::ReduceMax { .. } => true,
            op => op.is_contraction(),
        };
        let is_computed = !is_root && !matches!(ready, Ready::In(_));
        let is_spread = is_computed && self.spread[id.index()] && self.is_dear(id);
        if is_spread || forced && (is_computed || cut && !is_root) {
            ready = self.new_group(Root::Map);
        }
        self.ready[id.index()] = ready;
        if let (true, Some(k)) = (forced || is_spread, ready.group()) {
            self.store(id, k);
        }
    }

    /// Whether a value takes more than a few operations on what can be stored.
    fn is_dear(&self, id: NodeId) -> bool {
        let can_be_stored = |id: NodeId| matches!(self.ready[id.index()], Ready::In(_));
        self.graph.node(id).ty.dtype == DType::F32 && !is_cheap(self.graph, id, &can_be_stored, &mut (8, 2))
    }

    /// Whether a node gives each element of a row in group `k` the row's value, known there.
    fn spreads_over_rows(&self, id: NodeId, k: usize) -> bool {
        let node = self.graph.node(id);
        let (Op::BroadcastInDim { shape, dims }, Some(rows)) =
            (&node.op, self.schedule.groups[k].root.rows(self.graph))
        else {
            return false;
        };
        let last = rows.len() - 1;
        self.ready[node.inputs[0].index()] == Ready::In(k)
            && shape == rows
            && self.graph.shape(node.inputs[0]) == &rows[..last]
            && dims.iter().copied().eq(0..last)
    }

    /// Puts a reduction of rows into the latest group that holds such rows and comes late enough, or a new one.
    fn row_group(&mut self, id: NodeId, rows: &[usize], cut: bool) -> Ready {
        let operand = self.ready[self.graph.node(id).inputs[0].index()];
        let is_ready = |&k: &usize| match operand {
            Ready::Free => true,
            Ready::In(j) => j <= k,
            Ready::After(j) => j < k,
        };
        let latest = self.schedule.groups.iter().rposition(|group| group.root.rows(self.graph) == Some(rows));
        match latest.filter(|k| !cut && is_ready(k)) {
            Some(k) => Ready::In(k),
            None => self.new_group(Root::Rows(id)),
        }
    }

    fn new_group(&mut self, root: Root) -> Ready {
        self.schedule.groups.push(Group { root, stores: vec![] });
        Ready::In(self.schedule.groups.len() - 1)
    }

    fn store(&mut self, id: NodeId, group: usize) {
        if !self.schedule.stored[id.index()] {
            self.schedule.stored[id.index()] = true;
            self.schedule.groups[group].stores.push(id);
        }
    }

    /// Makes sure that `group` can compute `id`, and lists what that needs in turn.
    fn demand(&mut self, id: NodeId, group: usize, pending: &mut Vec<(NodeId, usize)>) {
        if self.graph.node(id).ty.is_empty() {
            return;
        }
        let home = match self.ready[id.index()] {
            Ready::In(home) => Some(home),
            Ready::Free | Ready::After(_) => None,
        };
        let inputs = self.graph.node(id).inputs.iter();
        match home {
            Some(home) if home == group => {
                let root = self.schedule.groups[group].root;
                if root != Root::Reduce(id) && root != Root::Dot(id) {
                    pending.extend(inputs.map(|&i| (i, group)));
                }
            }
            Some(_) if self.schedule.stored[id.index()] => {}
            Some(home) => {
                if is_cheap(self.graph, id, &|id| self.schedule.stored[id.index()], &mut (8, 2)) {
                    pending.extend(inputs.map(|&i| (i, group)));
                } else if let Some(bases) = self.bases(id, home) {
                    for base in bases {
                        self.store(base, home);
                        pending.push((base, home));
                    }
                    pending.extend(inputs.map(|&i| (i, group)));
                } else {
                    self.store(id, home);
                    pending.push((id, home));
                }
            }
            None => pending.extend(inputs.map(|&i| (i, group))),
        }
    }

    /// Values of group `home` to store in place of `id`, which is computed from them with few operations: those that
    /// are dear, or that several others come from. One such value (what a gelu is of, and its tanh) stands for many
    /// that derivatives need, and loops over blocks have arithmetic to spare where memory is slow.
    fn bases(&self, id: NodeId, home: usize) -> Option<Vec<NodeId>> {
        const MOST_OPERATIONS: usize = 16;
        const MOST_LOADS: usize = 3;
        if self.form != Form::Blocks || self.is_base(id, home) {
            return None;
        }
        let (mut bases, mut operations, mut loads) = (vec![], 0, 0);
        let mut seen = HashSet::from([id]);
        let mut pending = vec![id];
        while let Some(next) = pending.pop() {
            let node = self.graph.node(next);
            if self.schedule.stored[next.index()] || matches!(node.op, Op::Input(_)) {
                loads += 1;
            } else if self.is_base(next, home) {
                bases.push(next);
                loads += 1;
            } else {
                operations += match &node.op {
                    Op::Constant(_) | Op::Iota { .. } => 0,
                    Op::Unary(_) | Op::Binary(_) | Op::Compare(_) | Op::Select | Op::ToF32 => 1,
                    op if op.is_index_map() => 0,
                    _ => return None,
                };
                pending.extend(node.inputs.iter().filter(|input| seen.insert(**input)));
            }
            if operations > MOST_OPERATIONS || loads > MOST_LOADS {
                return None;
            }
        }
        (!bases.is_empty()).then_some(bases)
    }

    /// Whether a value of group `home` is dear, or several others come from it.
    fn is_base(&self, id: NodeId, home: usize) -> bool {
        let node = self.graph.node(id);
        let is_dear = match &node.op {
            Op::Unary(f) => !matches!(f, Unary::Neg | Unary::StopGradient),
            Op::DotGeneral(_) | Op::Conv { .. } => true,
            _ => self.uses[id.index()] > 2,
        };
        node.ty.dtype == DType::F32 && self.ready[id.index()] == Ready::In(home) && is_dear
    }
}
