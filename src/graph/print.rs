//! Graphs as text, one node a line: `%7 = dot_general(%3, %5) {lhs_contract=[1], rhs_contract=[0]} : f32[1000,64]`.
//!
//! For eyes and for comparing what a pass did; nothing reads it back.

use std::fmt;

use super::{Binary, Compare, ConvSide, DType, Graph, NodeId, Op, Type, Unary};

impl Graph {
    /// The part of the graph that `outputs` need, followed by a line that names them.
    pub fn dump(&self, outputs: &[NodeId]) -> String {
        let live = self.reachable(outputs);
        let mut text = String::new();
        for id in self.ids().filter(|id| live[id.index()]) {
            text += &self.line(id);
            text.push('\n');
        }
        text + &format!("return {}\n", operands(outputs))
    }

    /// One node without the line's end.
    fn line(&self, id: NodeId) -> String {
        let node = self.node(id);
        let (name, attributes) = describe(self, &node.op);
        let mut line = format!("%{} = {name}", id.index());
        if !node.inputs.is_empty() {
            line += &format!("({})", operands(&node.inputs));
        }
        if !attributes.is_empty() {
            line += &format!(" {{{attributes}}}");
        }
        line + &format!(" : {}", node.ty)
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ids().try_for_each(|id| writeln!(f, "{}", self.line(id)))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtype = match self.dtype {
            DType::F32 => "f32",
            DType::U32 => "u32",
            DType::Bool => "bool",
        };
        write!(f, "{dtype}{}", list(&self.shape))
    }
}

fn operands(ids: &[NodeId]) -> String {
    ids.iter().map(|id| format!("%{}", id.index())).collect::<Vec<_>>().join(", ")
}

fn list(numbers: &[usize]) -> String {
    format!("[{}]", numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(","))
}

/// An op's name and its attributes, without those that the type repeats.
fn describe(graph: &Graph, op: &Op) -> (String, String) {
    let plain = |name: &str| (name.to_owned(), String::new());
    let with = |name: &str, attributes: String| (name.to_owned(), attributes);
    match op {
        Op::Input(index) => plain(&format!("input {:?}", graph.inputs()[*index].name)),
        Op::Constant(value) => plain(&format!("constant {value:?}")),
        Op::Iota { axis, .. } => with("iota", format!("axis={axis}")),
        Op::Unary(f) => plain(unary(*f)),
        Op::Binary(f) => plain(binary(*f)),
        Op::Compare(f) => plain(compare(*f)),
        Op::Select => plain("select"),
        Op::ToF32 => plain("to_f32"),
        Op::BroadcastInDim { dims, .. } => with("broadcast_in_dim", format!("dims={}", list(dims))),
        Op::Reshape { .. } => plain("reshape"),
        Op::Transpose { perm } => with("transpose", format!("perm={}", list(perm))),
        Op::Slice { start, limit } => with("slice", format!("start={}, limit={}", list(start), list(limit))),
        Op::Pad { low, high } => with("pad", format!("low={}, high={}", list(low), list(high))),
        Op::ReduceSum { axes } => with("reduce_sum", format!("axes={}", list(axes))),
        Op::ReduceMax { axes } => with("reduce_max", format!("axes={}", list(axes))),
        Op::DotGeneral(dims) => {
            let all = [
                ("lhs_batch", &dims.lhs_batch),
                ("rhs_batch", &dims.rhs_batch),
                ("lhs_contract", &dims.lhs_contract),
                ("rhs_contract", &dims.rhs_contract),
            ];
            let given = all.iter().filter(|(_, axes)| !axes.is_empty());
            let texts: Vec<String> = given.map(|(name, axes)| format!("{name}={}", list(axes))).collect();
            with("dot_general", texts.join(", "))
        }
        Op::Conv { of, window: w } => {
            let name = match of {
                ConvSide::Input => "conv_input",
                ConvSide::Kernel => "conv_kernel",
                ConvSide::Output => "conv",
            };
            with(name, format!("kernel={}, stride={}, low={}", list(&w.kernel), list(&w.stride), list(&w.low)))
        }
    }
}

fn unary(f: Unary) -> &'static str {
    match f {
        Unary::Neg => "neg",
        Unary::Exp => "exp",
        Unary::Expm1 => "expm1",
        Unary::Log => "log",
        Unary::Sqrt => "sqrt",
        Unary::Rsqrt => "rsqrt",
        Unary::Tanh => "tanh",
        Unary::Logistic => "logistic",
        Unary::Softplus => "softplus",
        Unary::Erf => "erf",
        Unary::StopGradient => "stop_gradient",
    }
}

fn binary(f: Binary) -> &'static str {
    match f {
        Binary::Add => "add",
        Binary::Sub => "sub",
        Binary::Mul => "mul",
        Binary::Div => "div",
        Binary::Max => "max",
    }
}

fn compare(f: Compare) -> &'static str {
    match f {
        Compare::Gt => "gt",
        Compare::Ge => "ge",
        Compare::Eq => "eq",
    }
}
