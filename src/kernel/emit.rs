//! WGSL expressions for fused nodes.
//!
//! [`Emitter::value`] returns the WGSL name of a node's value at a symbolic index: stored values are loaded, index maps
//! rewrite the index, elementwise nodes become `let` statements. The same code serves prologues, epilogues and maps, one
//! element at a time (`f32`) or four neighbours along the last axis (`vec4<f32>`). Four at a time is not
//! always possible; then emission fails with [`Unsuitable`] and the kernel is emitted again one by one.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::ops::Range;

use super::{Access, Place, Source};
use crate::graph::index::{Idx, pull_back};
use crate::graph::{Binary, Compare, DType, Graph, NodeId, Op, Unary};

/// The kernel cannot be emitted four elements at a time.
#[derive(Debug)]
pub(super) struct Unsuitable;

/// How a kernel sees one buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    F32,
    Vec4,
    U32,
}

impl View {
    fn element(self) -> &'static str {
        match self {
            View::F32 => "f32",
            View::Vec4 => "vec4<f32>",
            View::U32 => "u32",
        }
    }
}

/// One `var<storage>` of the kernel.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub source: Source,
    pub view: View,
    pub access: Access,
}

/// Where a stored node goes, besides the buffer that later kernels read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub source: Source,
    pub offset: usize,
    pub accumulate: bool,
}

/// A load or store of a tensor in one of the caller's buffers.
struct Touch {
    slot: usize,
    tensor: Range<usize>,
    /// Which element.
    flat: Idx,
    /// Whether other invocations than the one that stores an element load it.
    shared: bool,
    /// What is stored there; nothing for a load.
    stored: Option<(NodeId, Target)>,
}

/// What an emitter knows of the program around its kernel.
pub(super) struct Scope<'a> {
    pub graph: &'a Graph,
    /// Slot and offset of every input.
    pub inputs: &'a HashMap<NodeId, Place>,
    /// Values stored by any kernel.
    pub stored: &'a [bool],
    /// Where values stored by this kernel go.
    pub targets: &'a HashMap<NodeId, Vec<Target>>,
}

/// Emits the expressions of one kernel. See the module text.
pub(super) struct Emitter<'a> {
    pub scope: &'a Scope<'a>,
    /// Values of this kernel's own stores are computed, not loaded.
    own: HashSet<NodeId>,
    pub bindings: Vec<Binding>,
    /// What stands in the uniform `offsets`: where the tensors lie in the caller's buffers, in elements or in vec4s.
    pub offsets: Vec<u32>,
    /// Elements handled at once: 1 or 4.
    pub width: usize,
    /// Stores over elements that another invocation loads, or that are loaded later: they depend on who is first.
    pub races: Vec<(NodeId, Target)>,
    touched: Vec<Touch>,
    lines: String,
    names: HashMap<(NodeId, Vec<Idx>), String>,
    count: usize,
}

impl<'a> Emitter<'a> {
    pub fn new(scope: &'a Scope<'a>, stores: &[NodeId], width: usize) -> Self {
        Self {
            scope,
            own: stores.iter().copied().collect(),
            bindings: vec![],
            offsets: vec![],
            width,
            races: vec![],
            touched: vec![],
            lines: String::new(),
            names: HashMap::new(),
            count: 0,
        }
    }

    /// Declares that `id` at `index` is the WGSL variable `name`.
    pub fn define(&mut self, id: NodeId, index: &[Idx], name: &str) {
        self.names.insert((id, index.to_vec()), name.to_owned());
    }

    /// Takes the statements emitted so far; names defined by them are forgotten.
    pub fn take_lines(&mut self) -> String {
        self.names.clear();
        std::mem::take(&mut self.lines)
    }

    /// Says that invocations load what they have loaded so far for one another's elements.
    pub fn share_loads(&mut self) {
        self.touched.iter_mut().for_each(|touch| touch.shared = true);
    }

    /// Enters a load or store, and what races with it.
    fn touch(&mut self, slot: usize, tensor: Range<usize>, flat: &Idx, stored: Option<(NodeId, Target)>) {
        let meets = |t: &&Touch| t.slot == slot && t.tensor.start < tensor.end && tensor.start < t.tensor.end;
        for before in self.touched.iter().filter(meets) {
            match (before.stored, stored) {
                (Some(store), None) => self.races.push(store),
                (None, Some(store)) if before.shared || before.flat != *flat => self.races.push(store),
                _ => {}
            }
        }
        self.touched.push(Touch { slot, tensor, flat: flat.clone(), shared: false, stored });
    }

    /// Adds `let` and returns the new name.
    pub fn emit(&mut self, expression: &str) -> String {
        let name = format!("v{}", self.count);
        self.count += 1;
        let _ = writeln!(self.lines, "    let {name} = {expression};");
        name
    }

    /// The WGSL type of a value.
    fn v(&self) -> &'static str {
        if self.width == 4 { "vec4<f32>" } else { "f32" }
    }

    /// Name of a zero.
    pub fn zero(&mut self) -> String {
        self.emit(&format!("{}(0.0)", self.v()))
    }

    /// An offset in one of the caller's buffers. It is data, not part of the kernel, so that layers which differ only in
    /// where their parameters lie share their kernels.
    fn offset(&mut self, offset: usize) -> Idx {
        if offset == 0 {
            return Idx::constant(0);
        }
        let unit = if offset.is_multiple_of(4) { 4 } else { 1 };
        let value = (offset / unit) as u32;
        let number = self.offsets.iter().position(|&known| known == value).unwrap_or_else(|| {
            self.offsets.push(value);
            self.offsets.len() - 1
        });
        let name = format!("offsets[{}].{}", number / 4, ["x", "y", "z", "w"][number % 4]);
        Idx::var(&name, u32::MAX as usize / unit).times(unit as u64)
    }

    /// Name of the binding for a buffer seen in this way.
    fn binding(&mut self, source: Source, view: View, write: bool, read: bool) -> Result<String, Unsuitable> {
        let found = self.bindings.iter().position(|b| b.source == source && b.view == view);
        let at = found.unwrap_or_else(|| {
            let access = if read { Access::Read } else { Access::Write };
            self.bindings.push(Binding { source, view, access });
            self.bindings.len() - 1
        });
        let binding = &mut self.bindings[at];
        if (write && binding.access == Access::Read) || (read && binding.access == Access::Write) {
            binding.access = Access::ReadWrite;
        }
        // A buffer that is written can be bound only once.
        let others = self.bindings.iter().filter(|b| b.source == source).count();
        let written = self.bindings.iter().any(|b| b.source == source && b.access != Access::Read);
        if others > 1 && written { Err(Unsuitable) } else { Ok(format!("b{at}")) }
    }

    /// Loads the element(s) of a buffer at a flat index.
    fn load(&mut self, source: Source, flat: &Idx, dtype: DType) -> Result<String, Unsuitable> {
        let scalar_view = if dtype == DType::F32 { View::F32 } else { View::U32 };
        let typed = |x: String| match dtype {
            DType::Bool => format!("({x} != {}(0u))", if x.starts_with("vec4") { "vec4<u32>" } else { "u32" }),
            DType::F32 | DType::U32 => x,
        };
        if self.width == 1 {
            let b = self.binding(source, scalar_view, false, true)?;
            return Ok(self.emit(&typed(format!("{b}[{}]", flat.wgsl()))));
        }
        if let (Some(quad), DType::F32) = (flat.aligned_quad(), dtype) {
            let b = self.binding(source, View::Vec4, false, true)?;
            return Ok(self.emit(&format!("{b}[{}]", quad.wgsl())));
        }
        let b = self.binding(source, scalar_view, false, true)?;
        let vector = if dtype == DType::F32 { "vec4<f32>" } else { "vec4<u32>" };
        let expression = if flat.lane_stride() == Some(0) {
            format!("{vector}({b}[{}])", flat.wgsl())
        } else {
            let lanes: Vec<String> = (0..4).map(|l| format!("{b}[{}]", flat.with_lane(l).wgsl())).collect();
            format!("{vector}({})", lanes.join(", "))
        };
        Ok(self.emit(&typed(expression)))
    }

    /// WGSL name of the value of `id` at `index`. See the module text.
    pub fn value(&mut self, id: NodeId, index: &[Idx]) -> Result<String, Unsuitable> {
        let key = (id, index.to_vec());
        if let Some(name) = self.names.get(&key) {
            return Ok(name.clone());
        }
        let node = self.scope.graph.node(id);
        let place = self.scope.inputs.get(&id);
        let name = if let Some(place) = place {
            let flat = Idx::flatten(index, &node.ty.shape).plus(&self.offset(place.offset));
            self.touch(place.slot, place.offset..place.offset + node.ty.len(), &flat, None);
            self.load(Source::Slot(place.slot), &flat, node.ty.dtype)?
        } else if self.scope.stored[id.index()] && !self.own.contains(&id) {
            self.load(Source::Node(id), &Idx::flatten(index, &node.ty.shape), node.ty.dtype)?
        } else if let Some((operand, pulled)) = pull_back(self.scope.graph, id, index) {
            self.value(operand, &pulled)?
        } else {
            self.compute(id, index)?
        };
        self.names.insert(key, name.clone());
        Ok(name)
    }

    fn compute(&mut self, id: NodeId, index: &[Idx]) -> Result<String, Unsuitable> {
        let node = self.scope.graph.node(id);
        let mut operands = vec![];
        // These look elsewhere for theirs.
        if !matches!(node.op, Op::Pad { .. } | Op::ReduceSum { .. } | Op::ReduceMax { .. }) {
            for &input in &node.inputs {
                operands.push(self.value(input, index)?);
            }
        }
        let x = operands.first().map_or("", String::as_str);
        let v = self.v();
        let expression = match &node.op {
            Op::Constant(c) => format!("{v}({})", literal(c.get())),
            Op::Iota { axis, .. } => self.iota(&index[*axis]),
            Op::Unary(f) => match f {
                Unary::Neg => format!("-{x}"),
                Unary::Exp => format!("ew_exp({x})"),
                Unary::Expm1 => format!("ew_expm1({x})"),
                Unary::Log => format!("log({x})"),
                Unary::Sqrt => format!("sqrt({x})"),
                Unary::Rsqrt => format!("({v}(1.0) / sqrt({x}))"),
                Unary::Tanh => format!("ew_tanh({x})"),
                Unary::Logistic => format!("ew_logistic({x})"),
                Unary::Softplus => format!("ew_softplus({x})"),
                Unary::StopGradient => x.to_owned(),
            },
            Op::Binary(f) => {
                let y = &operands[1];
                match f {
                    Binary::Add => format!("{x} + {y}"),
                    Binary::Sub => format!("{x} - {y}"),
                    Binary::Mul => format!("{x} * {y}"),
                    Binary::Div => format!("{x} / {y}"),
                    Binary::Max => format!("max({x}, {y})"),
                }
            }
            Op::Compare(f) => {
                let (y, of_masks) = (&operands[1], self.scope.graph.node(node.inputs[0]).ty.dtype == DType::Bool);
                match f {
                    // WGSL orders no truth values.
                    Compare::Gt if of_masks => format!("({x} & !{y})"),
                    Compare::Ge if of_masks => format!("({x} | !{y})"),
                    Compare::Gt => format!("({x} > {y})"),
                    Compare::Ge => format!("({x} >= {y})"),
                    Compare::Eq => format!("({x} == {y})"),
                }
            }
            Op::Select => format!("select({}, {}, {x})", operands[2], operands[1]),
            Op::ToF32 => match self.scope.graph.node(node.inputs[0]).ty.dtype {
                DType::Bool => format!("select({v}(0.0), {v}(1.0), {x})"),
                DType::U32 | DType::F32 => format!("{v}({x})"),
            },
            Op::Pad { low, .. } => return self.pad(node.inputs[0], low, index),
            Op::ReduceSum { .. } | Op::ReduceMax { .. } => return self.reduce_row(id, index),
            Op::Input(_) | Op::BroadcastInDim { .. } | Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. } => {
                unreachable!("inputs have places and index maps are pulled back")
            }
            Op::DotGeneral(_) | Op::Conv { .. } => {
                unreachable!("the schedule stores every contraction that another kernel reads")
            }
        };
        Ok(self.emit(&expression))
    }

    fn iota(&self, index: &Idx) -> String {
        if self.width == 1 {
            return index.wgsl();
        }
        let lanes: Vec<String> = (0..4).map(|l| index.with_lane(l).wgsl()).collect();
        format!("vec4<u32>({})", lanes.join(", "))
    }

    /// Zero outside the operand; the index is clamped so that the load stays inside.
    fn pad(&mut self, operand: NodeId, low: &[usize], index: &[Idx]) -> Result<String, Unsuitable> {
        let shape = self.scope.graph.shape(operand);
        if shape.contains(&0) {
            return Ok(self.zero());
        }
        let mut inside = vec![];
        let mut shifted = vec![];
        for (axis, i) in index.iter().enumerate() {
            shifted.push(self.bounded(i, low[axis], shape[axis], &mut inside)?);
        }
        self.masked(operand, &shifted, &inside)
    }

    /// `index − low` where it lies below `extent`, which a condition added to `inside` tells; some index below it
    /// elsewhere.
    pub fn bounded(
        &mut self,
        index: &Idx,
        low: usize,
        extent: usize,
        inside: &mut Vec<String>,
    ) -> Result<Idx, Unsuitable> {
        if low == 0 && index.upper() < extent as u64 {
            return Ok(index.clone());
        }
        if index.lane_stride() != Some(0) {
            return Err(Unsuitable);
        }
        // Wraps around below `low`, which the comparison refuses like any other index outside.
        let at = self.emit(&format!("{} - {low}u", index.wgsl()));
        inside.push(format!("({at} < {extent}u)"));
        let clamped = self.emit(&format!("min({at}, {}u)", extent - 1));
        Ok(Idx::var(&clamped, extent))
    }

    /// The value of `id` at `index` where all conditions hold, and 0 elsewhere.
    pub fn masked(&mut self, id: NodeId, index: &[Idx], inside: &[String]) -> Result<String, Unsuitable> {
        let value = self.value(id, index)?;
        if inside.is_empty() {
            return Ok(value);
        }
        Ok(self.emit(&format!("select({}(0.0), {value}, {})", self.v(), inside.join(" && "))))
    }

    /// Emits the stores of `id`, whose value at `index` is then in its buffers.
    pub fn store(&mut self, id: NodeId, index: &[Idx]) -> Result<(), Unsuitable> {
        let value = self.value(id, index)?;
        let node = self.scope.graph.node(id);
        let scalar_view = if node.ty.dtype == DType::F32 { View::F32 } else { View::U32 };
        let scope = self.scope;
        for target in scope.targets.get(&id).into_iter().flatten() {
            let flat = Idx::flatten(index, &node.ty.shape).plus(&self.offset(target.offset));
            if let Source::Slot(slot) = target.source {
                self.touch(slot, target.offset..target.offset + node.ty.len(), &flat, Some((id, *target)));
            }
            let at = match (self.width, node.ty.dtype, flat.aligned_quad()) {
                (1, ..) => vec![(flat.wgsl(), scalar_view, String::new())],
                (_, DType::F32, Some(quad)) => vec![(quad.wgsl(), View::Vec4, String::new())],
                // One value for all four.
                _ if flat.lane_stride() == Some(0) => vec![(flat.wgsl(), scalar_view, "[0]".to_owned())],
                _ => (0..4).map(|l| (flat.with_lane(l).wgsl(), scalar_view, format!("[{l}]"))).collect(),
            };
            for (at, view, lane) in at {
                let b = self.binding(target.source, view, true, target.accumulate)?;
                let value = match node.ty.dtype {
                    DType::Bool => format!("select(0u, 1u, {value}{lane})"),
                    DType::F32 | DType::U32 => format!("{value}{lane}"),
                };
                let sum = if target.accumulate { format!("{b}[{at}] + ") } else { String::new() };
                let _ = writeln!(self.lines, "    {b}[{at}] = {sum}{value};");
            }
        }
        Ok(())
    }

    /// How each binding is used.
    pub fn access(&self) -> Vec<Access> {
        self.bindings.iter().map(|binding| binding.access).collect()
    }

    /// Declarations of the bindings.
    pub fn declarations(&self) -> String {
        let mut text = String::new();
        for (i, binding) in self.bindings.iter().enumerate() {
            let access = match binding.access {
                Access::Read => "read",
                Access::Write | Access::ReadWrite => "read_write",
            };
            let element = binding.view.element();
            let _ = writeln!(text, "@group(0) @binding({i}) var<storage, {access}> b{i}: array<{element}>;");
        }
        if !self.offsets.is_empty() {
            let (at, len) = (self.bindings.len(), self.offsets.len().div_ceil(4));
            let _ = writeln!(text, "@group(0) @binding({at}) var<uniform> offsets: array<vec4<u32>, {len}>;");
        }
        text
    }
}

/// An f32 as a WGSL literal that reads back exactly.
fn literal(value: f32) -> String {
    if value != 0.0 && !value.is_normal() {
        return format!("bitcast<f32>({}u)", value.to_bits());
    }
    format!("{value:?}f")
}
