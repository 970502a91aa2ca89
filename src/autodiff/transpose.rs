//! Linear programs run backwards, one rule per linear op in the order of [`Op`].
//!
//! For y = A·t this builds Aᵀ·u, from the last node that depends on t to the first, handing each node's cotangent to
//! its operands. The programs come from `jvp`; a non-linear op is a mistake there.

use super::refuse;
use crate::graph::{Binary, ConvSide, DotDims, Graph, Node, NodeId, Op, Unary, Window};

/// Aᵀ·u for the linear map A from `variables` to the nodes in `seeds`, each of which comes with its cotangent u.
///
/// One result per variable, `None` where no seed depends on it.
pub(super) fn transpose(graph: &mut Graph, seeds: &[(NodeId, NodeId)], variables: &[NodeId]) -> Vec<Option<NodeId>> {
    let ids = graph.ids();
    let linear = dependent(graph, variables);
    let mut cotangent: Vec<Option<NodeId>> = vec![None; graph.nodes().len()];
    for &(y, u) in seeds {
        let (y_ty, u_ty) = (&graph.node(y).ty, graph.ty(u));
        if y_ty != u_ty {
            let types = format!("a cotangent is {u_ty} and its output {y_ty}");
            refuse(graph, format!("{types}; both must be F32 of one shape"));
            continue;
        }
        accumulate(graph, &mut cotangent[y.index()], u);
    }
    for y in ids.rev().filter(|y| linear[y.index()]) {
        let Some(u) = cotangent[y.index()] else { continue };
        let node = graph.node(y).clone();
        let operands: Vec<usize> = (0..node.inputs.len()).filter(|&i| linear[node.inputs[i].index()]).collect();
        for &i in &operands {
            let share = OperandCotangent { y, node: &node, i, alone: operands.len() == 1, u }.rule(graph);
            accumulate(graph, &mut cotangent[node.inputs[i].index()], share);
        }
    }
    variables.iter().map(|x| cotangent[x.index()]).collect()
}

/// For every node, whether it depends on any of `variables`.
fn dependent(graph: &Graph, variables: &[NodeId]) -> Vec<bool> {
    let mut found = vec![false; graph.nodes().len()];
    for variable in variables {
        found[variable.index()] = true;
    }
    for id in graph.ids() {
        if graph.node(id).inputs.iter().any(|x| found[x.index()]) {
            found[id.index()] = true;
        }
    }
    found
}

fn accumulate(graph: &mut Graph, total: &mut Option<NodeId>, share: NodeId) {
    *total = Some(match *total {
        Some(before) => graph.add(before, share),
        None => share,
    });
}

/// The cotangent of operand `i` of `y`, from the cotangent `u` of `y`.
struct OperandCotangent<'a> {
    y: NodeId,
    node: &'a Node,
    i: usize,
    /// Whether no other operand is linear.
    alone: bool,
    u: NodeId,
}

impl OperandCotangent<'_> {
    fn rule(&self, graph: &mut Graph) -> NodeId {
        let Self { y, node, i, alone, u } = *self;
        let x = &node.inputs;
        let shape = graph.shape(x[i]).to_vec();
        match &node.op {
            Op::Unary(Unary::Neg) => graph.neg(u),
            Op::Binary(Binary::Add) => u,
            Op::Binary(Binary::Sub) if i == 0 => u,
            Op::Binary(Binary::Sub) => graph.neg(u),
            Op::Binary(Binary::Mul) if alone => graph.mul(u, x[1 - i]),
            Op::Binary(Binary::Div) if alone && i == 0 => graph.div(u, x[1]),
            Op::Select => self.select(graph),
            Op::BroadcastInDim { shape: to, dims } => {
                let repeated: Vec<usize> = (0..to.len()).filter(|axis| !dims.contains(axis)).collect();
                graph.reduce_sum(u, &repeated)
            }
            Op::Reshape { .. } => graph.reshape(u, &shape),
            Op::Transpose { perm } => graph.transpose(u, &inverse(perm)),
            Op::Slice { start, limit } => {
                let cut: Vec<usize> = shape.iter().zip(limit).map(|(length, limit)| length - limit).collect();
                graph.pad(u, start, &cut)
            }
            Op::Pad { low, .. } => {
                let limit: Vec<usize> = shape.iter().zip(low).map(|(length, low)| low + length).collect();
                graph.slice(u, low, &limit)
            }
            Op::ReduceSum { axes } => graph.broadcast_over(u, &shape, axes),
            Op::DotGeneral(dims) if alone => self.dot_general(graph, dims),
            Op::Conv { of, window } if alone => self.conv(graph, *of, *window),
            Op::Input(_)
            | Op::Constant(_)
            | Op::Iota { .. }
            | Op::Unary(
                Unary::Exp
                | Unary::Expm1
                | Unary::Log
                | Unary::Sqrt
                | Unary::Rsqrt
                | Unary::Tanh
                | Unary::Logistic
                | Unary::Softplus
                | Unary::Erf
                | Unary::StopGradient,
            )
            | Op::Binary(Binary::Mul | Binary::Div | Binary::Max)
            | Op::Compare(_)
            | Op::ToF32
            | Op::ReduceMax { .. }
            | Op::DotGeneral(_)
            | Op::Conv { .. } => unreachable!(
                "%{} = {:?} is not linear in its operand {i} (%{}); the rule in autodiff::jvp that made it is wrong",
                y.index(),
                node.op,
                x[i].index()
            ),
        }
    }

    fn select(&self, graph: &mut Graph) -> NodeId {
        let shape = graph.shape(self.u).to_vec();
        let zero = graph.full(0.0, &shape);
        let (on_true, on_false) = if self.i == 1 { (self.u, zero) } else { (zero, self.u) };
        graph.select(self.node.inputs[0], on_true, on_false)
    }

    /// Of a contraction: `u` contracted with the other operand over that one's free axes.
    ///
    /// The two may stand in either order; the one that yields the operand's own axis order needs no transposition. For
    /// C = A·B these are dA = u·Bᵀ and dB = Aᵀ·u, with the transposes expressed by the contracted axes alone.
    fn dot_general(&self, graph: &mut Graph, dims: &DotDims) -> NodeId {
        let Self { i, u, .. } = *self;
        let x = &self.node.inputs;
        let rank = |side: usize| graph.shape(x[side]).len();
        let batch = [&dims.lhs_batch, &dims.rhs_batch];
        let contract = [&dims.lhs_contract, &dims.rhs_contract];
        let free = [dims.lhs_free(rank(0)), dims.rhs_free(rank(1))];
        let other = 1 - i;
        // The axes of u: batch axes and the other operand's free axes.
        let u_batch: Vec<usize> = (0..batch[0].len()).collect();
        let first = batch[0].len() + if i == 0 { free[0].len() } else { 0 };
        let u_contract: Vec<usize> = (first..first + free[other].len()).collect();
        // The axes of operand i that are contracted, in the order in which the other operand keeps their partners.
        let mut pairs: Vec<(usize, usize)> = contract[other].iter().copied().zip(contract[i].iter().copied()).collect();
        pairs.sort_unstable();
        let partners: Vec<usize> = pairs.into_iter().map(|(_, mine)| mine).collect();

        let u_last: Vec<usize> = [&batch[i][..], &partners, &free[i]].concat();
        if u_last.is_sorted() {
            let dims = DotDims {
                lhs_batch: batch[other].clone(),
                rhs_batch: u_batch,
                lhs_contract: free[other].clone(),
                rhs_contract: u_contract,
            };
            return graph.dot_general(x[other], u, dims);
        }
        let u_first: Vec<usize> = [&batch[i][..], &free[i], &partners].concat();
        let dims = DotDims {
            lhs_batch: u_batch,
            rhs_batch: batch[other].clone(),
            lhs_contract: u_contract,
            rhs_contract: free[other].clone(),
        };
        let result = graph.dot_general(u, x[other], dims);
        graph.transpose(result, &inverse(&u_first))
    }

    /// Of a convolution: `u` takes the place of the result, and the operand follows from the other two.
    fn conv(&self, graph: &mut Graph, of: ConvSide, window: Window) -> NodeId {
        let wanted = of.operands()[self.i];
        let given = wanted.operands().map(|side| if side == of { self.u } else { self.node.inputs[1 - self.i] });
        graph.push(Op::Conv { of: wanted, window }, &given)
    }
}

fn inverse(perm: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; perm.len()];
    for (to, &from) in perm.iter().enumerate() {
        inverse[from] = to;
    }
    inverse
}
