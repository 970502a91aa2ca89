//! Contractions: the prelude of the matmul families.
//!
//! A `DotGeneral` is seen as C[b,m,n] = Σₖ A[b,m,k]·B[b,k,n], where b, m, n, k are the flattened batch, left free, right
//! free and contracted axes; a side of a convolution likewise (`conv` says how). Operands are loaded through their index
//! maps; the fused epilogue runs in `store4`, before anything is stored. The chooser decides which family does it.

use super::choose::{Problem, choose};
use super::conv::Patches;
use super::emit::{Emitter, Scope, Unsuitable};
use super::family::{MATH, MAX_GRID, module, stores};
use super::{Emitted, Kernel, KernelError, Target};
use crate::graph::index::{Idx, pull_back};
use crate::graph::{DotDims, Graph, NodeId, Op};
use crate::passes::FusedKernel;

/// What is contracted, and over what.
enum Kind<'a> {
    Dot(&'a DotDims),
    Conv(Patches),
}

/// A contraction with its axes in groups.
struct Contraction<'a> {
    graph: &'a Graph,
    root: NodeId,
    /// A and B.
    operands: [NodeId; 2],
    kind: Kind<'a>,
    problem: Problem,
}

/// Emits the kernel of a contraction and its epilogue.
pub(super) fn emit(scope: &Scope, fused: &FusedKernel, root: NodeId, target: &Target) -> Result<Emitted, KernelError> {
    let node = scope.graph.node(root);
    let inputs = [node.inputs[0], node.inputs[1]];
    let shapes = inputs.map(|id| scope.graph.shape(id));
    let (operands, kind) = match &node.op {
        Op::DotGeneral(dims) => (inputs, Kind::Dot(dims)),
        Op::Conv { of, window } => {
            let patches = Patches::new(*of, *window, shapes);
            (patches.operands(inputs), Kind::Conv(patches))
        }
        other => unreachable!("{other:?} is not a contraction"),
    };
    let conv = matches!(kind, Kind::Conv(_));
    let problem = Problem { batch: 1, m: 1, n: 1, k: 1, a_along_k: true, conv, epilogue: 0 };
    let mut contraction = Contraction { graph: scope.graph, root, operands, kind, problem };
    let size = |axes: Vec<usize>| axes.iter().product();
    let [batch, m, n, k] = contraction.axes().map(size);
    contraction.problem = Problem { batch, m, n, k, a_along_k: true, conv, epilogue: 0 };
    contraction.problem.a_along_k = contraction.a_along_k(scope);
    let kernel = |width| contraction.kernel(scope, fused, target, width);
    let wide = if n.is_multiple_of(4) { kernel(4) } else { Err(Unsuitable) };
    let mixed = |Unsuitable| KernelError::MixedTypes(contraction.problem.class().to_string());
    let emitted = wide.or_else(|Unsuitable| kernel(1)).map_err(mixed)?;
    if emitted.grid.iter().any(|&groups| groups as usize > MAX_GRID) {
        return Err(KernelError::TooLarge(emitted.kernel.label));
    }
    Ok(emitted)
}

impl Contraction<'_> {
    /// Lengths of the axes behind b, m, n and k.
    fn axes(&self) -> [Vec<usize>; 4] {
        let shapes = self.operands.map(|id| self.graph.shape(id));
        match &self.kind {
            Kind::Dot(dims) => {
                let lens = |side: usize, axes: &[usize]| axes.iter().map(|&a| shapes[side][a]).collect();
                [
                    lens(0, &dims.lhs_batch),
                    lens(0, &dims.lhs_free(shapes[0].len())),
                    lens(1, &dims.rhs_free(shapes[1].len())),
                    lens(0, &dims.lhs_contract),
                ]
            }
            Kind::Conv(patches) => patches.axes(),
        }
    }

    /// An operand of a `DotGeneral`: its multi-index from the flat indices b, m or n (`free`) and k.
    fn dot_index(&self, dims: &DotDims, side: usize, [b, free, k]: [&Idx; 3]) -> Vec<Idx> {
        let shape = self.graph.shape(self.operands[side]);
        let (batch, contract, rest) = match side {
            0 => (&dims.lhs_batch, &dims.lhs_contract, dims.lhs_free(shape.len())),
            _ => (&dims.rhs_batch, &dims.rhs_contract, dims.rhs_free(shape.len())),
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

    /// WGSL name of an operand's element (b, m, k) or (b, k, n).
    fn element(&self, emitter: &mut Emitter, side: usize, at: [&Idx; 3]) -> Result<String, Unsuitable> {
        let operand = self.operands[side];
        match (&self.kind, side) {
            (Kind::Dot(dims), _) => emitter.value(operand, &self.dot_index(dims, side, at)),
            (Kind::Conv(patches), 0) => patches.patch(emitter, operand, at),
            (Kind::Conv(patches), _) => emitter.value(operand, &patches.right_index(at)),
        }
    }

    /// Whether neighbours of A in memory differ in k, not in m.
    fn a_along_k(&self, scope: &Scope) -> bool {
        let dims = match &self.kind {
            Kind::Dot(dims) => dims,
            Kind::Conv(patches) => return patches.a_along_k(),
        };
        let p = &self.problem;
        let (b, m, k) = (Idx::var("b", p.batch), Idx::var("m", p.m), Idx::var("k", p.k));
        let mut index = self.dot_index(dims, 0, [&b, &m, &k]);
        let mut id = self.operands[0];
        while !scope.stored[id.index()] {
            let Some((next, pulled)) = pull_back(self.graph, id, &index) else { break };
            (id, index) = (next, pulled);
        }
        let flat = Idx::flatten(&index, self.graph.shape(id));
        flat.stride("k") == Some(1) || flat.stride("m") != Some(1)
    }

    /// Body of a function that returns four elements of an operand; `along` is the variable that counts them, a multiple
    /// of 4 below `extent`. Elements beyond the extent repeat the last one.
    fn load4(&self, emitter: &mut Emitter, side: usize, along: &str, extent: usize) -> Result<String, Unsuitable> {
        let p = &self.problem;
        let var =
            |name: &str, extent: usize, lane: &Idx| if name == along { lane.clone() } else { Idx::var(name, extent) };
        let element = |emitter: &mut Emitter, lane: &Idx| {
            let (b, k) = (var("b", p.batch, lane), var("k", p.k, lane));
            let free = if side == 0 { var("m", p.m, lane) } else { var("n", p.n, lane) };
            self.element(emitter, side, [&b, &free, &k])
        };
        if extent.is_multiple_of(4) {
            emitter.width = 4;
            let before = (emitter.bindings.clone(), emitter.offsets.clone());
            match element(emitter, &Idx::quad("quad", extent / 4)) {
                Ok(value) => {
                    let lines = emitter.take_lines();
                    return Ok(format!("    let quad = {along} / 4u;\n{lines}    return {value};\n"));
                }
                // Four neighbours that padding treats differently: one by one, then.
                Err(Unsuitable) => {
                    emitter.take_lines();
                    (emitter.bindings, emitter.offsets) = before;
                }
            }
        }
        emitter.width = 1;
        let mut lanes = vec![];
        let mut lines = String::new();
        for lane in 0..4 {
            let name = format!("{along}{lane}");
            lines += &format!("    let {name} = min({along} + {lane}u, {}u);\n", extent - 1);
            lanes.push(element(emitter, &Idx::var(&name, extent))?);
        }
        lines += &emitter.take_lines();
        Ok(format!("{lines}    return vec4<f32>({});\n", lanes.join(", ")))
    }

    /// The complete kernel, its epilogue `width` elements at a time.
    fn kernel(&self, scope: &Scope, fused: &FusedKernel, target: &Target, width: usize) -> Result<Emitted, Unsuitable> {
        let mut problem = self.problem;
        let p = &mut problem;
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
        emitter.share_loads();
        let operands = emitter.bindings.len();
        emitter.width = width;
        let n = if width == 4 { Idx::quad("quad", p.n / 4) } else { Idx::var("n", p.n) };
        let out = self.output_index(&n);
        emitter.define(self.root, &out, "acc");
        let body = stores(&mut emitter, fused, &out)?;
        p.epilogue = (emitter.bindings.len() - operands) * (4 / width);
        let variant = choose(p, target);
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
            variant.constants(target)
        );
        let wgsl = module(variant.source(), &[MATH, &constants, &emitter.declarations(), &hooks]);
        Ok(Emitted {
            kernel: Kernel {
                label: p.label(variant),
                wgsl,
                subgroups: variant.subgroups(),
                access: emitter.access(),
                offsets: emitter.offsets.len(),
                variant: Some((p.class(), variant)),
            },
            sources: emitter.bindings.iter().map(|b| b.source).collect(),
            races: emitter.races,
            offsets: emitter.offsets,
            grid: variant.grid(p, target).map(|groups| groups as u32),
            flops: p.flops(),
        })
    }

    /// Multi-index of the result: the axes of b, m and n.
    fn output_index(&self, n: &Idx) -> Vec<Idx> {
        let p = &self.problem;
        let [batch, m_axes, n_axes, _] = self.axes();
        let mut out = Idx::var("b", p.batch).unflatten(&batch);
        out.extend(Idx::var("m", p.m).unflatten(&m_axes));
        out.extend(n.unflatten(&n_axes));
        out
    }
}
