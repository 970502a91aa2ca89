//! Contractions: the prelude of the matmul families.
//!
//! A `DotGeneral` is seen as C[b,m,n] = Σₖ A[b,m,k]·B[b,k,n], where b, m, n, k are the flattened batch, left free, right
//! free and contracted axes. Operands are loaded through their index maps; the fused epilogue runs in `store4`, before
//! anything is stored. The chooser decides which family does it.

use super::choose::{Choice, Problem, choose};
use super::emit::{Emitter, Scope, Unsuitable};
use super::family::{MATH, MAX_GRID, module, stores};
use super::{Emitted, Kernel, KernelError, Target};
use crate::graph::index::Idx;
use crate::graph::{DotDims, Graph, NodeId, Op};
use crate::passes::FusedKernel;

/// A contraction with its axes in groups.
struct Contraction<'a> {
    graph: &'a Graph,
    root: NodeId,
    operands: [NodeId; 2],
    dims: &'a DotDims,
    problem: Problem,
}

/// Emits the kernel of a contraction and its epilogue.
pub(super) fn emit(scope: &Scope, fused: &FusedKernel, root: NodeId, target: &Target) -> Result<Emitted, KernelError> {
    let node = scope.graph.node(root);
    let Op::DotGeneral(dims) = &node.op else { unreachable!("a Dot root is a DotGeneral") };
    let operands = [node.inputs[0], node.inputs[1]];
    let size = |side: usize, axes: &[usize]| axes.iter().map(|&a| scope.graph.shape(operands[side])[a]).product();
    let rank = |side: usize| scope.graph.shape(operands[side]).len();
    let mut problem = Problem {
        batch: size(0, &dims.lhs_batch),
        m: size(0, &dims.lhs_free(rank(0))),
        n: size(1, &dims.rhs_free(rank(1))),
        k: size(0, &dims.lhs_contract),
        a_along_k: true,
    };
    let mut contraction = Contraction { graph: scope.graph, root, operands, dims, problem };
    let lhs = contraction.flat_lhs(scope);
    problem.a_along_k = lhs.stride("k") == Some(1) || lhs.stride("m") != Some(1);
    contraction.problem = problem;
    let choice = choose(&problem, target);
    if choice.grid.iter().any(|&g| g as usize > MAX_GRID) {
        return Err(KernelError::TooLarge(choice.label(&problem)));
    }
    let wide = if problem.n.is_multiple_of(4) { contraction.kernel(scope, fused, &choice, 4) } else { Err(Unsuitable) };
    wide.or_else(|Unsuitable| contraction.kernel(scope, fused, &choice, 1))
        .map_err(|Unsuitable| KernelError::MixedTypes(choice.label(&problem)))
}

impl Contraction<'_> {
    /// The left operand's multi-index from the flat indices b, m and k; likewise for the right with b, k and n.
    fn operand_index(&self, side: usize, b: &Idx, free: &Idx, k: &Idx) -> Vec<Idx> {
        let shape = self.graph.shape(self.operands[side]);
        let (batch, contract, rest) = match side {
            0 => (&self.dims.lhs_batch, &self.dims.lhs_contract, self.dims.lhs_free(shape.len())),
            _ => (&self.dims.rhs_batch, &self.dims.rhs_contract, self.dims.rhs_free(shape.len())),
        };
        let mut index = vec![Idx::constant(0); shape.len()];
        for (axes, flat) in [(batch, b), (contract, k), (&rest, free)] {
            let lens: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
            for (&axis, i) in axes.iter().zip(flat.unflatten(&lens)) {
                index[axis] = i;
            }
        }
        index
    }

    /// Where the left operand's element (b, m, k) lies in the buffer it is loaded from.
    fn flat_lhs(&self, scope: &Scope) -> Idx {
        let p = &self.problem;
        let (b, m, k) = (Idx::var("b", p.batch), Idx::var("m", p.m), Idx::var("k", p.k));
        let mut index = self.operand_index(0, &b, &m, &k);
        let mut id = self.operands[0];
        while !scope.stored[id.index()] {
            let Some((next, pulled)) = crate::graph::index::pull_back(self.graph, id, &index) else { break };
            (id, index) = (next, pulled);
        }
        Idx::flatten(&index, self.graph.shape(id))
    }

    /// Body of a function that returns four elements of an operand; `along` is the variable that counts them, a multiple
    /// of 4 below `extent`. Elements beyond the extent repeat the last one.
    fn load4(&self, emitter: &mut Emitter, side: usize, along: &str, extent: usize) -> Result<String, Unsuitable> {
        let p = &self.problem;
        let var =
            |name: &str, extent: usize, lane: &Idx| if name == along { lane.clone() } else { Idx::var(name, extent) };
        let index = |lane: &Idx| {
            let (b, k) = (var("b", p.batch, lane), var("k", p.k, lane));
            let free = if side == 0 { var("m", p.m, lane) } else { var("n", p.n, lane) };
            self.operand_index(side, &b, &free, &k)
        };
        if extent.is_multiple_of(4) {
            emitter.width = 4;
            let value = emitter.value(self.operands[side], &index(&Idx::quad("quad", extent / 4)))?;
            return Ok(format!("    let quad = {along} / 4u;\n{}    return {value};\n", emitter.take_lines()));
        }
        emitter.width = 1;
        let mut lanes = vec![];
        let mut lines = String::new();
        for lane in 0..4 {
            let name = format!("{along}{lane}");
            lines += &format!("    let {name} = min({along} + {lane}u, {}u);\n", extent - 1);
            lanes.push(emitter.value(self.operands[side], &index(&Idx::var(&name, extent)))?);
        }
        lines += &emitter.take_lines();
        Ok(format!("{lines}    return vec4<f32>({});\n", lanes.join(", ")))
    }

    /// The complete kernel, its epilogue `width` elements at a time.
    fn kernel(&self, scope: &Scope, fused: &FusedKernel, choice: &Choice, width: usize) -> Result<Emitted, Unsuitable> {
        let p = &self.problem;
        let mut emitter = Emitter::new(scope, &fused.stores, width);
        let mut hooks = String::new();
        let mut function = |head: &str, body: &str| hooks += &format!("fn {head} {{\n{body}}}\n");
        if p.k == 0 {
            function("load_a4(b: u32, m: u32, k: u32) -> vec4<f32>", "    return vec4<f32>();\n");
            function("load_b4(b: u32, k: u32, n: u32) -> vec4<f32>", "    return vec4<f32>();\n");
        } else {
            let (along, extent) = if p.a_along_k { ("k", p.k) } else { ("m", p.m) };
            function("load_a4(b: u32, m: u32, k: u32) -> vec4<f32>", &self.load4(&mut emitter, 0, along, extent)?);
            function("load_b4(b: u32, k: u32, n: u32) -> vec4<f32>", &self.load4(&mut emitter, 1, "n", p.n)?);
        }
        emitter.width = width;
        let n = if width == 4 { Idx::quad("quad", p.n / 4) } else { Idx::var("n", p.n) };
        let out = self.output_index(&n);
        emitter.define(self.root, &out, "acc");
        let body = stores(&mut emitter, fused, &out)?;
        let store4 = if width == 4 {
            format!("    let quad = n / 4u;\n{body}")
        } else {
            function("store1(b: u32, m: u32, n: u32, acc: f32)", &body);
            let lane = |l: usize| format!("    if (n + {l}u < N) {{ store1(b, m, n + {l}u, acc[{l}]); }}\n");
            (0..4).map(lane).collect()
        };
        function("store4(b: u32, m: u32, n: u32, acc: vec4<f32>)", &store4);
        let constants = format!(
            "alias V = {};\nconst M: u32 = {}u;\nconst N: u32 = {}u;\nconst K: u32 = {}u;\n\
             const A_ALONG_K: bool = {};\n{}",
            if width == 4 { "vec4<f32>" } else { "f32" },
            p.m,
            p.n,
            // An empty sum is one term of zeros.
            p.k.max(1),
            p.a_along_k,
            choice.constants()
        );
        let wgsl = module(choice.source(), &[MATH, &constants, &emitter.declarations(), &hooks]);
        Ok(Emitted {
            kernel: Kernel {
                label: choice.label(p),
                wgsl,
                subgroups: choice.subgroups(),
                access: emitter.bindings.iter().map(|b| b.access).collect(),
            },
            sources: emitter.bindings.iter().map(|b| b.source).collect(),
            grid: choice.grid,
            flops: 2.0 * [p.batch, p.m, p.n, p.k].iter().map(|&d| d as f64).product::<f64>(),
        })
    }

    /// Multi-index of the result: batch, left free, right free axes.
    fn output_index(&self, n: &Idx) -> Vec<Idx> {
        let p = &self.problem;
        let shapes = [self.graph.shape(self.operands[0]), self.graph.shape(self.operands[1])];
        let lens = |side: usize, axes: &[usize]| axes.iter().map(|&a| shapes[side][a]).collect::<Vec<_>>();
        let mut out = Idx::var("b", p.batch).unflatten(&lens(0, &self.dims.lhs_batch));
        out.extend(Idx::var("m", p.m).unflatten(&lens(0, &self.dims.lhs_free(shapes[0].len()))));
        out.extend(n.unflatten(&lens(1, &self.dims.rhs_free(shapes[1].len()))));
        out
    }
}
