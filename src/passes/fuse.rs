//! Which values are stored, and which kernel computes what.
//!
//! A kernel has a root (a contraction, a reduction, or none: a map) and an epilogue: elementwise nodes of the root's
//! shape that need nothing computed later. Each elementwise node joins the *latest* kernel it depends on. A value that
//! another kernel needs is stored, unless it is cheap to compute again from what is stored anyway (relu's mask from
//! relu's value). Reductions of short rows and what lies between them share a kernel that holds whole rows: a softmax or a
//! layer norm is one. Index maps (broadcast, reshape, transpose, slice, pad) are never executed: consumers load through
//! them; so are elementwise nodes behind them, which become a reduction's prologue. Operands of a contraction are read
//! many times and must be stored, up to an index map that keeps the right operand's rows contiguous.

use std::collections::HashSet;

use crate::graph::index::{Idx, pull_back};
use crate::graph::{Binary, ConvSide, Graph, NodeId, Op, Unary};

/// What a kernel does before its epilogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// Nothing: every invocation computes elements of the kernel's shape.
    Map,
    /// A `ReduceSum` or `ReduceMax` node.
    Reduce(NodeId),
    /// Nothing, but every invocation computes a whole row: this is the first of the reductions of rows in it.
    Rows(NodeId),
    /// A contraction: a `DotGeneral` or `Conv` node.
    Dot(NodeId),
}

impl Root {
    /// The shape of the rows that invocations hold, of [`Root::Rows`].
    pub fn rows(self, graph: &Graph) -> Option<&[usize]> {
        match self {
            Self::Rows(first) => Some(graph.shape(graph.node(first).inputs[0])),
            Self::Map | Self::Reduce(_) | Self::Dot(_) => None,
        }
    }
}

/// One kernel to be: its root and the nodes that it stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FusedKernel {
    /// See [`Root`].
    pub root: Root,
    /// The stored nodes, at least one, all of the root's shape; of [`Root::Rows`], of the rows' shape or with an element a row.
    pub stores: Vec<NodeId>,
}

/// Kernels in order of execution.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The kernels.
    pub kernels: Vec<FusedKernel>,
    /// For every node, whether some kernel stores it.
    pub stored: Vec<bool>,
}

impl Schedule {
    /// Stored values and inputs that a kernel loads.
    pub fn loads(&self, graph: &Graph, kernel: &FusedKernel) -> HashSet<NodeId> {
        let mut loads = HashSet::new();
        let mut seen: HashSet<NodeId> = kernel.stores.iter().copied().collect();
        let mut pending: Vec<NodeId> = kernel.stores.clone();
        if let Root::Reduce(root) | Root::Dot(root) = kernel.root
            && !graph.node(root).ty.is_empty()
        {
            pending.extend(&graph.node(root).inputs);
            seen.insert(root);
            pending.retain(|id| *id != root);
        }
        while let Some(id) = pending.pop() {
            // Nothing is loaded for a value without elements.
            if graph.node(id).ty.is_empty() {
                continue;
            }
            if matches!(graph.node(id).op, Op::Input(_)) || self.stored[id.index()] && !kernel.stores.contains(&id) {
                loads.insert(id);
                continue;
            }
            pending.extend(graph.node(id).inputs.iter().filter(|i| seen.insert(**i)));
        }
        loads
    }

    /// A node to be cut out of a kernel that touches too many buffers: of those computed in it, the one whose own loads
    /// come closest to half of all. `None` when nothing is left to cut.
    pub fn cut(&self, graph: &Graph, kernel: &FusedKernel, cuts: &HashSet<NodeId>) -> Option<NodeId> {
        let all = self.loads(graph, kernel).len() + kernel.stores.len();
        let mut candidates: Vec<(usize, NodeId)> = vec![];
        let mut seen: HashSet<NodeId> = kernel.stores.iter().copied().collect();
        let mut pending: Vec<(NodeId, Root)> = kernel.stores.iter().map(|&id| (id, kernel.root)).collect();
        while let Some((id, root)) = pending.pop() {
            let node = graph.node(id);
            let computed = !self.stored[id.index()] || kernel.stores.contains(&id);
            if !computed || kernel.root == Root::Dot(id) || matches!(node.op, Op::Input(_)) {
                continue;
            }
            // Behind a reduction lies its prologue, a map when cut out.
            let is_root = kernel.root == Root::Reduce(id) || kernel.root == Root::Rows(id);
            let root = if is_root { Root::Map } else { root };
            pending.extend(node.inputs.iter().filter(|i| seen.insert(**i)).map(|&i| (i, root)));
            // What a map stores alone is all there is to it; behind a root it leaves the root.
            let whole = kernel.root == Root::Map && kernel.stores == [id];
            if !is_root && !cuts.contains(&id) && !whole && !node.inputs.is_empty() {
                let alone = FusedKernel { root, stores: vec![id] };
                let loads = self.loads(graph, &alone).len();
                if loads >= 2 || kernel.stores.contains(&id) {
                    candidates.push(((2 * loads).abs_diff(all), id));
                }
            }
        }
        candidates.into_iter().min().map(|(_, id)| id)
    }
}

/// Where a node's value can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    /// Anywhere: it depends on inputs alone.
    Free,
    /// In the epilogue of this kernel.
    In(usize),
    /// By loading stored values, once this kernel has run.
    After(usize),
}

impl Ready {
    fn kernel(self) -> Option<usize> {
        match self {
            Ready::Free => None,
            Ready::In(k) | Ready::After(k) => Some(k),
        }
    }
}

/// Whether an op reads its operands many times, so that they must be stored.
pub(super) fn is_contraction(op: &Op) -> bool {
    matches!(op, Op::DotGeneral(_) | Op::Conv { .. })
}

/// Whether an op only says where elements of its operand are found.
pub(super) fn is_index_map(op: &Op) -> bool {
    matches!(
        op,
        Op::BroadcastInDim { .. } | Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. } | Op::Pad { .. }
    )
}

/// Longest row that an invocation holds.
const LONGEST_ROW: usize = 128;

/// The shape of the rows that a node reduces, if it reduces rows that an invocation can hold.
fn reduced_rows(graph: &Graph, id: NodeId) -> Option<&[usize]> {
    let node = graph.node(id);
    let (Op::ReduceSum { axes } | Op::ReduceMax { axes }) = &node.op else { return None };
    let rows = graph.shape(node.inputs[0]);
    let last = rows.len().checked_sub(1)?;
    let most = if rows[last].is_multiple_of(4) { LONGEST_ROW } else { LONGEST_ROW / 4 };
    (*axes == [last] && (1..=most).contains(&rows[last])).then_some(rows)
}

/// The axis of a contraction's operand along which kernels read rows, which must lie side by side in memory.
fn row_axis(op: &Op, side: usize, rank: usize) -> Option<usize> {
    match op {
        Op::DotGeneral(dims) => (side == 1 && !dims.rhs_free(rank).is_empty()).then(|| rank - 1),
        // The input side reads its kernel along the channels in.
        Op::Conv { of: ConvSide::Input, .. } if side == 0 => Some(rank - 2),
        _ => Some(rank - 1),
    }
}

/// Follows index maps down from a contraction's operand to the value that must be stored, its `producer`: the furthest one
/// that has the rows contiguous, or where nothing has, the operand itself.
pub(super) fn producer(graph: &Graph, root: NodeId, side: usize) -> NodeId {
    let operand = graph.node(root).inputs[side];
    let shape = graph.shape(operand);
    // One variable per axis.
    let name = |axis: usize| format!("i{axis}");
    let mut index: Vec<Idx> = shape.iter().enumerate().map(|(a, &n)| Idx::var(&name(a), n)).collect();
    let row = row_axis(&graph.node(root).op, side, shape.len()).filter(|&axis| shape[axis] > 1);
    let (mut base, mut found) = (operand, operand);
    loop {
        let flat = Idx::flatten(&index, graph.shape(base));
        if row.is_none_or(|axis| flat.stride(&name(axis)) == Some(1)) {
            found = base;
        }
        let Some((next, pulled)) = pull_back(graph, base, &index) else { return found };
        (base, index) = (next, pulled);
    }
}

/// Schedules what `outputs` need. Nodes in `cuts` start a kernel of their own, which bounds a kernel's operands.
///
/// # Panics
/// When one of them is not a node of the graph.
pub fn fuse(graph: &Graph, outputs: &[NodeId], cuts: &HashSet<NodeId>) -> Schedule {
    let live = needed(graph, outputs);
    let forced = forced(graph, outputs, cuts, &live);
    let mut fuser = Fuser {
        graph,
        ready: vec![Ready::Free; graph.nodes().len()],
        schedule: Schedule { kernels: vec![], stored: vec![false; graph.nodes().len()] },
    };
    for id in graph.ids().filter(|id| live[id.index()]) {
        fuser.place(id, forced[id.index()], cuts.contains(&id));
    }
    // What a kernel needs from an earlier one is decided from the last kernel backwards: storing a value for a later
    // kernel may make an earlier one need more.
    let mut pending: Vec<(NodeId, usize)> = vec![];
    for (k, kernel) in fuser.schedule.kernels.iter().enumerate() {
        match kernel.root {
            Root::Map | Root::Rows(_) => {}
            Root::Reduce(id) | Root::Dot(id) if graph.node(id).ty.is_empty() => {}
            Root::Reduce(id) | Root::Dot(id) => pending.extend(graph.node(id).inputs.iter().map(|&i| (i, k))),
        }
        pending.extend(kernel.stores.iter().map(|&id| (id, k)));
    }
    let mut seen = HashSet::new();
    while let Some((id, kernel)) = pending.pop() {
        if seen.insert((id, kernel)) {
            fuser.demand(id, kernel, &mut pending);
        }
    }
    fuser.schedule.kernels.retain(|kernel| !kernel.stores.is_empty());
    for kernel in &mut fuser.schedule.kernels {
        kernel.stores.sort_unstable();
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
fn forced(graph: &Graph, outputs: &[NodeId], cuts: &HashSet<NodeId>, live: &[bool]) -> Vec<bool> {
    let mut forced = vec![false; graph.nodes().len()];
    for id in outputs.iter().chain(cuts) {
        forced[id.index()] = true;
    }
    for id in graph.ids().filter(|id| live[id.index()]) {
        if is_contraction(&graph.node(id).op) {
            for side in 0..2 {
                if graph.node(id).ty.is_empty() || graph.node(graph.node(id).inputs[side]).ty.is_empty() {
                    continue;
                }
                let base = producer(graph, id, side);
                forced[base.index()] |= !matches!(graph.node(base).op, Op::Input(_));
            }
        }
    }
    forced
}

struct Fuser<'a> {
    graph: &'a Graph,
    ready: Vec<Ready>,
    schedule: Schedule,
}

impl Fuser<'_> {
    /// Decides where a node is computed.
    fn place(&mut self, id: NodeId, forced: bool, cut: bool) {
        let node = self.graph.node(id);
        let latest = node.inputs.iter().filter_map(|i| self.ready[i.index()].kernel()).max();
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
            Op::ReduceSum { .. } | Op::ReduceMax { .. } => match reduced_rows(self.graph, id) {
                Some(rows) => self.row_kernel(id, rows, cut),
                None => self.new_kernel(Root::Reduce(id)),
            },
            Op::DotGeneral(_) | Op::Conv { .. } => self.new_kernel(Root::Dot(id)),
        };
        let is_root = match node.op {
            Op::ReduceSum { .. } | Op::ReduceMax { .. } => true,
            _ => is_contraction(&node.op),
        };
        if forced && !is_root && (cut || !matches!(ready, Ready::In(_))) {
            ready = self.new_kernel(Root::Map);
        }
        self.ready[id.index()] = ready;
        if let (true, Some(k)) = (forced, ready.kernel()) {
            self.store(id, k);
        }
    }

    /// Whether a node gives each element of a row in kernel `k` the row's value, known there.
    fn spreads_over_rows(&self, id: NodeId, k: usize) -> bool {
        let node = self.graph.node(id);
        let (Op::BroadcastInDim { shape, dims }, Some(rows)) =
            (&node.op, self.schedule.kernels[k].root.rows(self.graph))
        else {
            return false;
        };
        let last = rows.len() - 1;
        self.ready[node.inputs[0].index()] == Ready::In(k)
            && shape == rows
            && self.graph.shape(node.inputs[0]) == &rows[..last]
            && dims.iter().copied().eq(0..last)
    }

    /// Puts a reduction of rows into the latest kernel that holds such rows and comes late enough, or a new one.
    fn row_kernel(&mut self, id: NodeId, rows: &[usize], cut: bool) -> Ready {
        let operand = self.ready[self.graph.node(id).inputs[0].index()];
        let is_ready = |&k: &usize| match operand {
            Ready::Free => true,
            Ready::In(j) => j <= k,
            Ready::After(j) => j < k,
        };
        let latest = self.schedule.kernels.iter().rposition(|kernel| kernel.root.rows(self.graph) == Some(rows));
        match latest.filter(|k| !cut && is_ready(k)) {
            Some(k) => Ready::In(k),
            None => self.new_kernel(Root::Rows(id)),
        }
    }

    fn new_kernel(&mut self, root: Root) -> Ready {
        self.schedule.kernels.push(FusedKernel { root, stores: vec![] });
        Ready::In(self.schedule.kernels.len() - 1)
    }

    fn store(&mut self, id: NodeId, kernel: usize) {
        if !self.schedule.stored[id.index()] {
            self.schedule.stored[id.index()] = true;
            self.schedule.kernels[kernel].stores.push(id);
        }
    }

    /// Makes sure that `kernel` can compute `id`, and lists what that needs in turn.
    fn demand(&mut self, id: NodeId, kernel: usize, pending: &mut Vec<(NodeId, usize)>) {
        if self.graph.node(id).ty.is_empty() {
            return;
        }
        let home = match self.ready[id.index()] {
            Ready::In(home) => Some(home),
            Ready::Free | Ready::After(_) => None,
        };
        let inputs = self.graph.node(id).inputs.iter();
        match home {
            Some(home) if home == kernel => {
                let root = self.schedule.kernels[kernel].root;
                if root != Root::Reduce(id) && root != Root::Dot(id) {
                    pending.extend(inputs.map(|&i| (i, kernel)));
                }
            }
            Some(_) if self.schedule.stored[id.index()] => {}
            Some(home) => {
                if is_cheap(self.graph, id, &|id| self.schedule.stored[id.index()], &mut (8, 2)) {
                    pending.extend(inputs.map(|&i| (i, kernel)));
                } else {
                    self.store(id, home);
                    pending.push((id, home));
                }
            }
            None => pending.extend(inputs.map(|&i| (i, kernel))),
        }
    }
}

/// Whether a node can be computed again from inputs and stored values within the budget of (operations, loads).
pub(super) fn is_cheap(graph: &Graph, id: NodeId, stored: &dyn Fn(NodeId) -> bool, budget: &mut (i32, i32)) -> bool {
    let node = graph.node(id);
    let (ops, loads) = match &node.op {
        Op::Input(_) => (0, 1),
        _ if stored(id) => (0, 1),
        Op::Constant(_) | Op::Iota { .. } => (0, 0),
        Op::Unary(Unary::Neg | Unary::StopGradient) => (1, 0),
        Op::Unary(Unary::Exp | Unary::Log | Unary::Sqrt | Unary::Rsqrt) => (6, 0),
        Op::Unary(Unary::Expm1 | Unary::Tanh | Unary::Logistic | Unary::Softplus) => (9, 0),
        Op::Binary(Binary::Div) => (2, 0),
        Op::Binary(_) | Op::Compare(_) | Op::Select | Op::ToF32 | Op::Pad { .. } => (1, 0),
        Op::BroadcastInDim { .. } | Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. } => (0, 0),
        Op::ReduceSum { .. } | Op::ReduceMax { .. } | Op::DotGeneral(_) | Op::Conv { .. } => return false,
    };
    *budget = (budget.0 - ops, budget.1 - loads);
    if budget.0 < 0 || budget.1 < 0 {
        return false;
    }
    loads > 0 || node.inputs.iter().all(|&i| is_cheap(graph, i, stored, budget))
}
