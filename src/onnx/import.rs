//! The nodes of a network, one after the other, as nodes of our graph. Values that are known without the examples, such
//! as shapes, are computed at once.

use std::collections::HashMap;

use super::call::{Call, Done, Value};
use super::proto::Node;
use super::{OnnxError, axes, elementwise, fold, layers, parts, pooling};
use crate::graph::{DType, Graph, NodeId};
use crate::text::visible;

/// The result of a network's node.
fn apply(call: &mut Call<'_>) -> Done {
    let op = call.node.op.as_str();
    if let Some(known) = call.all_known() {
        let folded = match &known[..] {
            [x] => fold::unary(op, x),
            [x, y] => fold::binary(op, x, y)?,
            _ => None,
        };
        if let Some(array) = folded {
            return Ok(vec![Value::known(array)]);
        }
    }
    for family in [elementwise::apply, axes::apply, parts::apply, layers::apply, pooling::apply] {
        if let Some(done) = family(call) {
            return done;
        }
    }
    Err("it depends on the examples or the parameters, and is read on constants alone".to_owned())
}

/// Whether a node's operator is one of those that are read.
pub(super) fn is_read(node: &Node) -> bool {
    let op = node.op.as_str();
    let families = [fold::OPS, elementwise::OPS, axes::OPS, parts::OPS, layers::OPS, pooling::OPS];
    let is_standard = ["", "ai.onnx"].contains(&node.domain.as_str());
    is_standard && families.iter().any(|ops| ops.contains(&op))
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
        let fault = |problem: String| {
            let name = if node.name.is_empty() {
                node.outputs.first().cloned().unwrap_or_default()
            } else {
                node.name.clone()
            };
            OnnxError::Node { node: format!("`{}` ({})", visible(&name), visible(&node.op)), problem }
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
