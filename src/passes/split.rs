//! Long sums as trees of short ones, and contraction operands in the layout that kernels read.
//!
//! A kernel invocation adds its terms one after the other, so a long sum is cut into stages of at most [`FAN_IN`]
//! terms: [R, …] → [c, R/c, …] → sum over c → [R/c, …] → … The tree depends on shapes and the [`SplitPolicy`] alone, so
//! equal ones give equal bits; and rounding grows with the tree's depth instead of R. Long rows stay whole if they are
//! many and workgroups share them. A contraction whose result is too small to occupy the adapter (a weight gradient:
//! tall operands, small result) is cut into s slices of the contracted axis, computed as one batched product and then
//! added up in order.
//!
//! Matmul kernels read rows of their right operand; where it lies the other way round, a transposed copy is asked for.

use std::ops::Range;

use super::{Rewritten, rewrite};
use crate::graph::{Binary, ConvSide, DotDims, Graph, NodeId, Op, Window};

/// Most terms that one invocation adds up.
pub const FAN_IN: usize = 256;
/// Invocations that share a long row. Each adds up at most [`FAN_IN`] elements, or groups of four.
const SHARERS: usize = 64;
/// Fewest long rows that stay whole: fewer leave a GPU idle.
const LONG_ROWS: usize = 64;
/// Most terms of a sum over examples and positions: the kernel side of a convolution has millions.
const CONV_SLICE: usize = 4096;
/// Most terms of one slice of a contraction: some drivers end a loop after 65,535 rounds of 4 terms.
const MAX_SLICE: usize = 1 << 17;

/// How sums and contractions are cut for an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitPolicy {
    /// Result tiles of 64 × 64 that keep the adapter busy; fewer ask for slices.
    pub wanted_tiles: usize,
    /// Fewest terms left in a slice.
    pub min_slice: usize,
    /// Whether long sums over several axes take them one after the other, so that every stage counts whole axes.
    /// Kernels see all of them as one, which has fewer stages.
    pub by_axes: bool,
    /// Whether long rows stay whole if they are many: a workgroup shares each.
    pub long_rows: bool,
}

impl SplitPolicy {
    /// For GPUs.
    pub const GPU: Self = Self { wanted_tiles: 128, min_slice: 256, by_axes: false, long_rows: true };
    /// For software adapters.
    pub const SOFTWARE: Self = Self { wanted_tiles: 1, min_slice: 256, by_axes: false, long_rows: false };
}

/// Rewrites what `outputs` need as the module text says.
pub fn split(graph: &Graph, outputs: &[NodeId], policy: SplitPolicy) -> Rewritten {
    rewrite(graph, outputs, |g, op, inputs| match op {
        Op::ReduceSum { axes } => reduction(g, inputs[0], axes, Binary::Add, policy),
        Op::ReduceMax { axes } => reduction(g, inputs[0], axes, Binary::Max, policy),
        Op::DotGeneral(dims) => contraction(g, inputs[0], inputs[1], dims, policy),
        Op::Conv { of, window } => convolution(g, *of, window, [inputs[0], inputs[1]]),
        _ => g.push(op.clone(), inputs),
    })
}

/// Reduces over `axes` with `f` (`Add` or `Max`) as the policy says.
fn reduction(g: &mut Graph, x: NodeId, axes: &[usize], f: Binary, policy: SplitPolicy) -> NodeId {
    let shape = g.shape(x).to_vec();
    let terms = |axes: &[usize]| axes.iter().map(|&a| shape[a]).product::<usize>();
    if policy.long_rows && are_shared_rows(&shape, axes) {
        return reduce(g, x, axes, f);
    }
    if !policy.by_axes || terms(axes) <= FAN_IN {
        return reduction_tree(g, x, axes, f);
    }
    // As many axes at once as stay below the limit, and at least one.
    let most = (1..=axes.len()).take_while(|&n| n == 1 || terms(&axes[..n]) <= FAN_IN).last().unwrap_or(1);
    let first = reduction_tree(g, x, &axes[..most], f);
    let rest: Vec<usize> = axes[most..].iter().map(|a| a - most).collect();
    if rest.is_empty() { first } else { reduction(g, first, &rest, f, policy) }
}

/// Whether a reduction over `axes` is one of rows that are many, and of which a workgroup can share each.
fn are_shared_rows(shape: &[usize], axes: &[usize]) -> bool {
    let (Some((&len, outer)), &[axis]) = (shape.split_last(), axes) else { return false };
    let width = if len.is_multiple_of(4) { 4 } else { 1 };
    axis == outer.len() && outer.iter().product::<usize>() >= LONG_ROWS && len <= FAN_IN * SHARERS * width
}

/// Reduces over `axes` with `f` (`Add` or `Max`) at once.
fn reduce(g: &mut Graph, x: NodeId, axes: &[usize], f: Binary) -> NodeId {
    match f {
        Binary::Max => g.reduce_max(x, axes),
        _ => g.reduce_sum(x, axes),
    }
}

/// Reduces over `axes` with `f` (`Add` or `Max`) in stages.
fn reduction_tree(g: &mut Graph, x: NodeId, axes: &[usize], f: Binary) -> NodeId {
    let shape = g.shape(x).to_vec();
    let terms: usize = axes.iter().map(|&a| shape[a]).product();
    if terms <= FAN_IN {
        return reduce(g, x, axes, f);
    }
    // Bring the reduced axes to the front and see them as one.
    let kept: Vec<usize> = (0..shape.len()).filter(|a| !axes.contains(a)).collect();
    let perm: Vec<usize> = axes.iter().chain(&kept).copied().collect();
    let kept: Vec<usize> = kept.iter().map(|&a| shape[a]).collect();
    let x = g.transpose(x, &perm);
    let x = g.reshape(x, &[&[terms], &kept[..]].concat());
    let exact = (FAN_IN / 4..=FAN_IN).rev().find(|c| terms.is_multiple_of(*c));
    let chunk = exact.unwrap_or(FAN_IN);
    let chunks = terms / chunk;
    // Neighbouring partial results take neighbouring elements, which coalesces their loads.
    let main = part(g, x, 0, 0..chunk * chunks);
    let main = g.reshape(main, &[&[chunk, chunks], &kept[..]].concat());
    let main = reduce(g, main, &[0], f);
    let main = reduction_tree(g, main, &[0], f);
    if chunk * chunks == terms {
        return main;
    }
    let rest = part(g, x, 0, chunk * chunks..terms);
    let rest = reduce(g, rest, &[0], f);
    g.binary(f, main, rest)
}

fn contraction(g: &mut Graph, lhs: NodeId, rhs: NodeId, dims: &DotDims, policy: SplitPolicy) -> NodeId {
    // Right operand as [batch, contracted, free].
    let rank = g.shape(rhs).len();
    let perm: Vec<usize> =
        dims.rhs_batch.iter().chain(&dims.rhs_contract).copied().chain(dims.rhs_free(rank)).collect();
    let rhs = g.transpose(rhs, &perm);
    let (batches, contracted) = (dims.rhs_batch.len(), dims.rhs_contract.len());
    let dims = DotDims {
        rhs_batch: (0..batches).collect(),
        rhs_contract: (batches..batches + contracted).collect(),
        ..dims.clone()
    };
    let size = |id: NodeId, axes: &[usize]| -> usize { axes.iter().map(|&a| g.shape(id)[a]).product() };
    let tiles = size(lhs, &dims.lhs_batch)
        * size(lhs, &dims.lhs_free(g.shape(lhs).len())).div_ceil(64)
        * size(rhs, &dims.rhs_free(rank)).div_ceil(64);
    let terms = size(lhs, &dims.lhs_contract);
    let slices = policy.wanted_tiles.div_ceil(tiles.max(1)).min(terms / policy.min_slice.max(1));
    let slices = slices.max(terms.div_ceil(MAX_SLICE));
    if slices < 2 {
        return g.dot_general(lhs, rhs, dims);
    }
    let (lhs, rhs, dims) = join_contracted(g, lhs, rhs, &dims);
    two_stage(g, lhs, rhs, &dims, slices)
}

/// Several contracted axes as one. The right operand has them side by side; the left one gets them last.
fn join_contracted(g: &mut Graph, lhs: NodeId, rhs: NodeId, dims: &DotDims) -> (NodeId, NodeId, DotDims) {
    if dims.lhs_contract.len() == 1 {
        return (lhs, rhs, dims.clone());
    }
    let free = dims.lhs_free(g.shape(lhs).len());
    let perm: Vec<usize> = dims.lhs_batch.iter().chain(&free).chain(&dims.lhs_contract).copied().collect();
    let lhs = g.transpose(lhs, &perm);
    let (kept, batches) = (perm.len() - dims.lhs_contract.len(), dims.lhs_batch.len());
    let (shape, terms) = (g.shape(lhs).to_vec(), g.shape(lhs)[kept..].iter().product());
    let lhs = g.reshape(lhs, &[&shape[..kept], &[terms]].concat());
    let shape = g.shape(rhs).to_vec();
    let rhs = g.reshape(rhs, &[&shape[..batches], &[terms], &shape[batches + dims.rhs_contract.len()..]].concat());
    let dims = DotDims {
        lhs_batch: (0..batches).collect(),
        rhs_batch: (0..batches).collect(),
        lhs_contract: vec![kept],
        rhs_contract: vec![batches],
    };
    (lhs, rhs, dims)
}

/// Σ over slices of the contracted axis, the remainder last.
fn two_stage(g: &mut Graph, lhs: NodeId, rhs: NodeId, dims: &DotDims, slices: usize) -> NodeId {
    let (la, ra) = (dims.lhs_contract[0], dims.rhs_contract[0]);
    let each = g.shape(lhs)[la] / slices;
    // Cutting shifts the axes behind the contracted one by one; the slice index becomes the last batch axis.
    let shift = |axes: &[usize], at: usize| -> Vec<usize> { axes.iter().map(|&a| a + usize::from(a > at)).collect() };
    let mut sliced = DotDims {
        lhs_batch: shift(&dims.lhs_batch, la),
        rhs_batch: shift(&dims.rhs_batch, ra),
        lhs_contract: vec![la + 1],
        rhs_contract: vec![ra + 1],
    };
    sliced.lhs_batch.push(la);
    sliced.rhs_batch.push(ra);
    let product = |is_cut: bool| Op::DotGeneral(if is_cut { sliced.clone() } else { dims.clone() });
    in_slices(g, [lhs, rhs], [la, ra], [slices, each], dims.lhs_batch.len(), product)
}

/// A contraction over one axis of each operand, in so many slices of `each` terms: `product(true)` contracts the
/// operands with that axis cut in two, [slices, each], and leaves the slices as axis `at`; `product(false)` contracts
/// what remains.
fn in_slices(
    g: &mut Graph,
    operands: [NodeId; 2],
    axes: [usize; 2],
    [slices, each]: [usize; 2],
    at: usize,
    product: impl Fn(bool) -> Op,
) -> NodeId {
    let terms = g.shape(operands[0])[axes[0]];
    let main = [0, 1].map(|i| {
        let whole = part(g, operands[i], axes[i], 0..slices * each);
        cut(g, whole, axes[i], [slices, each])
    });
    let main = g.push(product(true), &main);
    let main = reduction_tree(g, main, &[at], Binary::Add);
    if slices * each == terms {
        return main;
    }
    let rest = [0, 1].map(|i| part(g, operands[i], axes[i], slices * each..terms));
    let rest = g.push(product(false), &rest);
    g.add(main, rest)
}

/// The kernel side, summed over groups of examples and then over the groups; the input side, with its kernel turned.
fn convolution(g: &mut Graph, of: ConvSide, window: &Window, operands: [NodeId; 2]) -> NodeId {
    let conv = Op::Conv { of, window: *window };
    match of {
        ConvSide::Output => g.push(conv, &operands),
        ConvSide::Input => {
            // A copy with the channels exchanged, seen as the kernel it is a copy of: its rows are channels in.
            let rank = g.shape(operands[0]).len();
            let mut perm: Vec<usize> = (0..rank).collect();
            perm.swap(rank - 1, rank - 2);
            let turned = g.push(Op::Transpose { perm: perm.clone() }, &[operands[0]]);
            let seen = g.push(Op::Transpose { perm }, &[turned]);
            g.push(conv, &[seen, operands[1]])
        }
        ConvSide::Kernel => {
            let examples = g.shape(operands[0]).len() - 4;
            let each = (CONV_SLICE / window.output.iter().product::<usize>().max(1)).max(1);
            let groups = g.shape(operands[0])[examples] / each;
            if groups < 2 {
                return g.push(conv, &operands);
            }
            // Groups of examples are a batch axis, the last one.
            in_slices(g, operands, [examples; 2], [groups, each], examples, |_| conv.clone())
        }
    }
}

/// These indices of one axis.
fn part(g: &mut Graph, x: NodeId, axis: usize, indices: Range<usize>) -> NodeId {
    let (mut start, mut limit) = (vec![0; g.shape(x).len()], g.shape(x).to_vec());
    (start[axis], limit[axis]) = (indices.start, indices.end);
    g.slice(x, &start, &limit)
}

/// Splits one axis in two.
fn cut(g: &mut Graph, x: NodeId, axis: usize, two: [usize; 2]) -> NodeId {
    let mut shape = g.shape(x).to_vec();
    shape.splice(axis..=axis, two);
    g.reshape(x, &shape)
}
