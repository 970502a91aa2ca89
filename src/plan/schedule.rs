//! What fusion decides: groups of nodes, each to become a step, in the order in which they are computed.

use std::collections::HashSet;

use crate::graph::{Graph, NodeId, Op};

/// What a step does before its epilogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// Nothing: every invocation computes elements of the group's shape.
    Map,
    /// A `ReduceSum` or `ReduceMax` node.
    Reduce(NodeId),
    /// Nothing, but the step computes whole rows: this is the first of the reductions of rows in it.
    Rows(NodeId),
    /// A contraction: a `DotGeneral` or `Conv` node.
    Dot(NodeId),
}

impl Root {
    /// The shape of the rows that a step computes, of [`Root::Rows`].
    pub fn rows(self, graph: &Graph) -> Option<&[usize]> {
        match self {
            Self::Rows(first) => Some(graph.shape(graph.node(first).inputs[0])),
            Self::Map | Self::Reduce(_) | Self::Dot(_) => None,
        }
    }
}

/// What one step computes: its root and the nodes that it stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// See [`Root`].
    pub root: Root,
    /// The stored nodes, at least one, all of the root's shape; of [`Root::Rows`], of the rows' shape or with an element a row.
    pub stores: Vec<NodeId>,
}

/// Groups in order of execution.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The groups.
    pub groups: Vec<Group>,
    /// For every node, whether some group stores it.
    pub stored: Vec<bool>,
}

impl Schedule {
    /// Stored values and inputs that a group loads.
    pub fn loads(&self, graph: &Graph, group: &Group) -> HashSet<NodeId> {
        let mut loads = HashSet::new();
        let mut seen: HashSet<NodeId> = group.stores.iter().copied().collect();
        let mut pending: Vec<NodeId> = group.stores.clone();
        if let Root::Reduce(root) | Root::Dot(root) = group.root
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
            if is_input(graph, id) || self.stored[id.index()] && !group.stores.contains(&id) {
                loads.insert(id);
                continue;
            }
            pending.extend(graph.node(id).inputs.iter().filter(|i| seen.insert(**i)));
        }
        loads
    }

    /// A node to be cut out of a group that touches too many buffers: of those computed in it, the one whose own loads
    /// come closest to half of all. `None` when nothing is left to cut.
    pub fn cut(&self, graph: &Graph, group: &Group, cuts: &HashSet<NodeId>) -> Option<NodeId> {
        let all = self.loads(graph, group).len() + group.stores.len();
        let mut candidates: Vec<(usize, NodeId)> = vec![];
        let mut seen: HashSet<NodeId> = group.stores.iter().copied().collect();
        let mut pending: Vec<(NodeId, Root)> = group.stores.iter().map(|&id| (id, group.root)).collect();
        while let Some((id, root)) = pending.pop() {
            let node = graph.node(id);
            let computed = !self.stored[id.index()] || group.stores.contains(&id);
            if !computed || group.root == Root::Dot(id) || is_input(graph, id) {
                continue;
            }
            // Behind a reduction lies its prologue, a map when cut out.
            let is_root = group.root == Root::Reduce(id) || group.root == Root::Rows(id);
            let root = if is_root { Root::Map } else { root };
            pending.extend(node.inputs.iter().filter(|i| seen.insert(**i)).map(|&i| (i, root)));
            // What a map stores alone is all there is to it; behind a root it leaves the root.
            let whole = group.root == Root::Map && group.stores == [id];
            if !is_root && !cuts.contains(&id) && !whole && !node.inputs.is_empty() {
                let alone = Group { root, stores: vec![id] };
                let loads = self.loads(graph, &alone).len();
                if loads >= 2 || group.stores.contains(&id) {
                    candidates.push(((2 * loads).abs_diff(all), id));
                }
            }
        }
        candidates.into_iter().min().map(|(_, id)| id)
    }
}

/// Inputs are loaded from where the caller keeps them, even if some step also copies them to an output.
pub(super) fn is_input(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.node(id).op, Op::Input(_))
}
