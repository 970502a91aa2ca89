//! Contractions: where elements of their operands and results lie.
//!
//! A `DotGeneral` is seen as C[b,m,n] = Σₖ A[b,m,k]·B[b,k,n], where b, m, n, k are the flattened batch, left free,
//! right free and contracted axes; a side of a convolution likewise (`patches` says how). Operands are loaded through
//! their index maps, in kernels four elements at a time; the epilogue runs before anything is stored.

use super::accesses::Unsuitable;
use super::code::{Body, Code, Elements, Name, Product, ProductShape};
use super::form::Form;
use super::lower::{Lowered, Lowering, Scope};
use super::patches::Patches;
use super::schedule::Group;
use super::spec::PlanError;
use crate::graph::{ConvSide, DotDims, Graph, NodeId, Op};
use crate::index::{Idx, pull_back};
use crate::passes::producer;

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
    shape: ProductShape,
}

/// The value that an operand of a contraction is read from, which must be stored: the furthest down its index maps that
/// the step can read in its way.
///
/// Kernels read rows side by side. Blocks read with any strides: constant ones along the flattened batch, free and
/// contracted axes, and for patches along each axis.
pub(super) fn read_from(graph: &Graph, root: NodeId, side: usize, form: Form) -> NodeId {
    if form != Form::Blocks {
        return producer(graph, root, side);
    }
    let (contraction, operand) = (Contraction::of(graph, root), graph.node(root).inputs[side]);
    let p = &contraction.shape;
    let [b, k] = [Idx::var("b", p.batch), Idx::var("k", p.k)];
    let is_left = (side == 0) == contraction.has_left_first();
    let free = if is_left { Idx::var("m", p.m) } else { Idx::var("n", p.n) };
    let (mut index, names) = match &contraction.kind {
        Kind::Dot(dims) => {
            (contraction.dot_index(dims, side, [&b, &free, &k]), ["b", "m", "n", "k"].map(str::to_owned).to_vec())
        }
        Kind::Conv(patches) if !is_left => {
            (patches.right_index([&b, &free, &k]), ["b", "n", "k"].map(str::to_owned).to_vec())
        }
        Kind::Conv(_) => {
            let shape = graph.shape(operand);
            let names: Vec<String> = (0..shape.len()).map(|axis| format!("i{axis}")).collect();
            (names.iter().zip(shape).map(|(name, &len)| Idx::var(name, len)).collect(), names)
        }
    };
    let (mut base, mut found) = (operand, operand);
    loop {
        let flat = Idx::flatten(&index, graph.shape(base));
        if names.iter().all(|name| flat.stride(name).is_some()) {
            found = base;
        }
        let Some((next, pulled)) = pull_back(graph, base, &index) else { return found };
        (base, index) = (next, pulled);
    }
}

/// Lowers a contraction and its epilogue.
pub(super) fn lower(scope: &Scope, group: &Group, root: NodeId) -> Result<Lowered, PlanError> {
    let contraction = Contraction::new(scope, root);
    let step = |width| contraction.lower(scope, group, width);
    let mixed = |Unsuitable| PlanError::MixedTypes(contraction.shape.label());
    if scope.form == Form::Blocks {
        return step(1).map_err(mixed);
    }
    let wide = if contraction.shape.n.is_multiple_of(4) { step(4) } else { Err(Unsuitable) };
    wide.or_else(|Unsuitable| step(1)).map_err(mixed)
}

impl<'a> Contraction<'a> {
    fn new(scope: &Scope<'a>, root: NodeId) -> Self {
        let mut contraction = Self::of(scope.graph, root);
        contraction.shape.a_along_k = contraction.a_along_k(scope);
        contraction
    }

    /// As if neighbours of A differed in k.
    fn of(graph: &'a Graph, root: NodeId) -> Self {
        let node = graph.node(root);
        let inputs = [node.inputs[0], node.inputs[1]];
        let (operands, kind) = match &node.op {
            Op::DotGeneral(dims) => (inputs, Kind::Dot(dims)),
            Op::Conv { of, window } => {
                let patches = Patches::new(*of, *window, inputs.map(|id| graph.shape(id)));
                (patches.operands(inputs), Kind::Conv(patches))
            }
            other => unreachable!("{other:?} is not a contraction"),
        };
        let is_conv = matches!(kind, Kind::Conv(_));
        let shape = ProductShape { batch: 1, m: 1, n: 1, k: 1, a_along_k: true, is_conv };
        let mut contraction = Self { graph, root, operands, kind, shape };
        let [batch, m, n, k] = contraction.axes().map(|axes| axes.iter().product());
        contraction.shape = ProductShape { batch, m, n, k, ..shape };
        contraction
    }

    /// Whether A is the op's first operand.
    fn has_left_first(&self) -> bool {
        !matches!(self.graph.node(self.root).op, Op::Conv { of: ConvSide::Input, .. })
    }

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

    /// Name of an operand's element (b, m, k) or (b, k, n).
    fn element(&self, lowering: &mut Lowering, side: usize, at: [&Idx; 3]) -> Result<Name, Unsuitable> {
        let operand = self.operands[side];
        match (&self.kind, side) {
            (Kind::Dot(dims), _) => lowering.value(operand, &self.dot_index(dims, side, at)),
            (Kind::Conv(patches), 0) => patches.patch(lowering, operand, at),
            (Kind::Conv(patches), _) => lowering.value(operand, &patches.right_index(at)),
        }
    }

    /// Whether neighbours of A in memory differ in k, not in m.
    fn a_along_k(&self, scope: &Scope) -> bool {
        let dims = match &self.kind {
            Kind::Dot(dims) => dims,
            Kind::Conv(patches) => return patches.a_along_k(),
        };
        let p = &self.shape;
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

    /// Elements of an operand; in kernels four, and `along` is the variable that counts them, a multiple of 4 below
    /// `extent`.
    fn elements(
        &self,
        lowering: &mut Lowering,
        side: usize,
        along: &'static str,
        extent: usize,
    ) -> Result<Elements, Unsuitable> {
        let p = &self.shape;
        if lowering.scope.form == Form::Blocks {
            let [b, k] = [Idx::var("b", p.batch), Idx::var("k", p.k)];
            let free = if side == 0 { Idx::var("m", p.m) } else { Idx::var("n", p.n) };
            let value = self.element(lowering, side, [&b, &free, &k])?;
            return Ok(Elements::One(Body { lines: lowering.take_lines(), value }));
        }
        let var =
            |name: &str, extent: usize, lane: &Idx| if name == along { lane.clone() } else { Idx::var(name, extent) };
        let element = |lowering: &mut Lowering, lane: &Idx| {
            let (b, k) = (var("b", p.batch, lane), var("k", p.k, lane));
            let free = if side == 0 { var("m", p.m, lane) } else { var("n", p.n, lane) };
            self.element(lowering, side, [&b, &free, &k])
        };
        if extent.is_multiple_of(4) {
            lowering.width = 4;
            let before = (lowering.accesses.bindings.clone(), lowering.accesses.offsets.clone());
            match element(lowering, &Idx::quad("quad", extent / 4)) {
                Ok(value) => {
                    return Ok(Elements::Together { along, body: Body { lines: lowering.take_lines(), value } });
                }
                // Four neighbours that padding treats differently: one by one, then.
                Err(Unsuitable) => {
                    lowering.take_lines();
                    (lowering.accesses.bindings, lowering.accesses.offsets) = before;
                }
            }
        }
        lowering.width = 1;
        let mut at = |lane: usize| element(lowering, &Idx::var(&format!("{along}{lane}"), extent));
        let values = [at(0)?, at(1)?, at(2)?, at(3)?];
        Ok(Elements::Apart { along, extent, lines: lowering.take_lines(), values })
    }

    /// The complete step, its epilogue `width` elements at a time.
    fn lower(&self, scope: &Scope, group: &Group, width: usize) -> Result<Lowered, Unsuitable> {
        let shape = self.shape;
        let mut lowering = Lowering::new(scope, &group.stores, width);
        let operands = if shape.k == 0 {
            None
        } else {
            let (along, extent) = if shape.a_along_k { ("k", shape.k) } else { ("m", shape.m) };
            let a = self.elements(&mut lowering, 0, along, extent)?;
            Some([a, self.elements(&mut lowering, 1, "n", shape.n)?])
        };
        let field = match &self.kind {
            Kind::Conv(patches) if scope.form == Form::Blocks && shape.k > 0 => {
                patches.field(&mut lowering, self.operands[0], shape.batch)?
            }
            Kind::Conv(_) | Kind::Dot(_) => None,
        };
        lowering.accesses.share_loads();
        let of_operands = lowering.accesses.bindings.len();
        lowering.width = width;
        let out = self.output_index(width);
        lowering.define_root(self.root, &out);
        let finish = lowering.stores(&group.stores, &out)?;
        let accesses = (lowering.accesses.bindings.len() - of_operands) * (4 / width);
        let code = Code::Product(Box::new(Product { shape, operands, field, finish, accesses }));
        Ok(Lowered { label: shape.label(), width, code, accesses: lowering.accesses, flops: shape.flops() })
    }

    /// Multi-index of the result: the axes of b, m and n.
    fn output_index(&self, width: usize) -> Vec<Idx> {
        let p = &self.shape;
        let n = if width == 4 { Idx::quad("quad", p.n / 4) } else { Idx::var("n", p.n) };
        let [batch, m_axes, n_axes, _] = self.axes();
        let mut out = Idx::var("b", p.batch).unflatten(&batch);
        out.extend(Idx::var("m", p.m).unflatten(&m_axes));
        out.extend(n.unflatten(&n_axes));
        out
    }
}
