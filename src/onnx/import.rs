//! The nodes of a network, one after the other, as nodes of our graph. Values that are known without the examples, such
//! as shapes, are computed at once.

use std::collections::HashMap;

use super::call::{Call, Done, Value};
use super::proto::{Node, is_standard};
use super::{OnnxError, axes, einsum, elementwise, fold, layers, parts, pooling, positions};
use crate::graph::{DType, Graph, NodeId};
use crate::text::visible;

/// The operators of a module, and the function that adds one of their nodes.
type Family = (&'static [&'static str], fn(&mut Call<'_>) -> Done);

const FAMILIES: [Family; 7] = [
    (elementwise::OPS, elementwise::apply),
    (axes::OPS, axes::apply),
    (parts::OPS, parts::apply),
    (layers::OPS, layers::apply),
    (pooling::OPS, pooling::apply),
    (positions::OPS, positions::apply),
    (einsum::OPS, einsum::apply),
];

/// The results of a node.
fn apply(call: &mut Call<'_>) -> Done {
    let op = call.node.op.as_str();
    if let Some(known) = call.all_known() {
        let folded = match &known[..] {
            [x] => fold::unary(op, x),
            [x, y] => fold::binary(if op == "Mod" && call.node.int("fmod", 0) != 0 { "Fmod" } else { op }, x, y)?,
            _ => None,
        };
        if let Some(array) = folded {
            return Ok(vec![Value::known(array)]);
        }
    }
    match FAMILIES.iter().find(|(ops, _)| ops.contains(&op)) {
        Some((_, add)) => add(call),
        None => Err("it depends on the examples or the parameters, and is read on constants alone".to_owned()),
    }
}

/// Whether a node's operator is one of those that are read.
pub(super) fn is_read(node: &Node) -> bool {
    let op = node.op.as_str();
    let is_known = fold::OPS.contains(&op) || FAMILIES.iter().any(|(ops, _)| ops.contains(&op));
    is_known && is_standard(&node.domain)
}

/// Adds all nodes, in an order in which operands come first, and returns the value of that name.
///
/// # Errors
/// [`OnnxError::Node`] for the first node that cannot be added.
pub(super) fn run<'a>(
    g: &mut Graph,
    nodes: impl Iterator<Item = &'a Node>,
    mut values: HashMap<&'a str, Value>,
    opset: i64,
    output: &str,
) -> Result<NodeId, OnnxError> {
    for node in nodes {
        let fault = |problem: String| OnnxError::Node {
            node: format!("`{}` ({})", visible(node.shown()), visible(&node.op)),
            problem,
        };
        let operand = |name: &String| -> Result<Option<Value>, OnnxError> {
            match name.as_str() {
                "" => Ok(None),
                name => values.get(name).cloned().map(Some).ok_or_else(|| OnnxError::Missing(visible(name))),
            }
        };
        let operands = node.inputs.iter().map(operand).collect::<Result<Vec<_>, _>>()?;
        let results = apply(&mut Call { g, node, opset, operands }).map_err(fault)?;
        for (name, value) in node.outputs.iter().zip(results) {
            values.insert(name, value);
        }
    }
    match values.get(output) {
        Some(Value::Node(id)) if g.node(*id).ty.dtype == DType::F32 => Ok(*id),
        Some(_) => {
            Err(OnnxError::Shape("its output does not depend on the examples, or is no array of floats".to_owned()))
        }
        None => Err(OnnxError::Missing(visible(output))),
    }
}
