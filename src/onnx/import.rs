//! The nodes of a network, one after the other, as nodes of our graph. Values that are known without the examples, such
//! as shapes, are computed at once.

use std::collections::HashMap;
use std::rc::Rc;

use super::array::{Array, Elements};
use super::proto::Node;
use super::{OnnxError, axes, elementwise, fold, layers, parts, pooling};
use crate::graph::{Compare, DType, Graph, NodeId};
use crate::text::visible;

/// The most elements of a constant that is computed here and then used with examples: each is an op of its own.
const MOST_WRITTEN: usize = 256;

/// A value between nodes.
#[derive(Clone)]
pub(super) enum Value {
    /// Numbers.
    Node(NodeId),
    /// Tokens.
    Tokens(NodeId),
    /// Truth values.
    Mask(NodeId),
    /// Known without the examples; a constant of the file has a node too.
    Known(Rc<Array>, Option<NodeId>),
}

impl Value {
    pub fn known(array: Array) -> Self {
        Self::Known(Rc::new(array), None)
    }
}

/// A node with its operands.
pub(super) struct Call<'a> {
    pub g: &'a mut Graph,
    pub node: &'a Node,
    pub opset: i64,
    operands: Vec<Option<Value>>,
}

/// The result of a node, or its fault with advice.
pub(super) type Done = Result<Vec<Value>, String>;

impl Call<'_> {
    /// The number of operands, those left out at the end not counted.
    pub fn len(&self) -> usize {
        self.operands.len()
    }

    /// An operand, if it is given.
    pub fn get(&self, at: usize) -> Option<&Value> {
        self.operands.get(at)?.as_ref()
    }

    /// An operand that must be given.
    pub fn value(&self, at: usize) -> Result<Value, String> {
        self.get(at).cloned().ok_or_else(|| format!("operand {at} is missing; export it again"))
    }

    /// The shape of an operand.
    pub fn shape(&self, at: usize) -> Result<Vec<usize>, String> {
        Ok(match self.value(at)? {
            Value::Node(id) | Value::Tokens(id) | Value::Mask(id) => self.g.shape(id).to_vec(),
            Value::Known(array, _) => array.shape.clone(),
        })
    }

    /// An operand as numbers in the graph.
    pub fn input(&mut self, at: usize) -> Result<NodeId, String> {
        let value = self.value(at)?;
        self.numbers(value)
    }

    /// A value as numbers in the graph.
    pub fn numbers(&mut self, value: Value) -> Result<NodeId, String> {
        match value {
            Value::Node(id) | Value::Known(_, Some(id)) => Ok(id),
            Value::Tokens(id) | Value::Mask(id) => Ok(self.g.to_f32(id)),
            Value::Known(array, None) => self.written(&array),
        }
    }

    /// A known array as ops: one value everywhere, or a choice of few by their place.
    fn written(&mut self, array: &Array) -> Result<NodeId, String> {
        if let Some(value) = array.uniform() {
            return Ok(self.g.full(value, &array.shape));
        }
        let numbers = array.elements.numbers();
        if numbers.len() > MOST_WRITTEN {
            let shape = &array.shape;
            return Err(format!(
                "it uses a constant of shape {shape:?} that other nodes compute; export with constant folding"
            ));
        }
        let flat = [numbers.len()];
        let place = self.g.iota(&flat, 0);
        let place = self.g.to_f32(place);
        let mut all = self.g.full(0.0, &flat);
        for (i, &number) in numbers.iter().enumerate() {
            let here = self.g.full(i as f64, &flat);
            let here = self.g.compare(Compare::Eq, place, here);
            let number = self.g.full(number, &flat);
            all = self.g.select(here, number, all);
        }
        Ok(self.g.reshape(all, &array.shape))
    }

    /// An operand as a mask in the graph.
    pub fn mask(&mut self, at: usize) -> Result<NodeId, String> {
        match self.value(at)? {
            Value::Mask(id) => Ok(id),
            other => {
                let numbers = self.numbers(other)?;
                let shape = self.g.shape(numbers).to_vec();
                let half = self.g.full(0.5, &shape);
                Ok(self.g.compare(Compare::Gt, numbers, half))
            }
        }
    }

    /// An operand that must be known without the examples.
    pub fn array(&self, at: usize) -> Result<Rc<Array>, String> {
        match self.value(at)? {
            Value::Known(array, _) => Ok(array),
            _ => Err(format!("operand {at} depends on the examples or the parameters, and must be a constant")),
        }
    }

    /// An operand of known whole numbers.
    pub fn whole(&self, at: usize) -> Result<Vec<i64>, String> {
        match &self.array(at)?.elements {
            Elements::Whole(values) => Ok(values.clone()),
            Elements::Real(_) | Elements::Flags(_) => Err(format!("operand {at} is no list of whole numbers")),
        }
    }

    /// An operand that is one known number.
    pub fn number(&self, at: usize) -> Result<f64, String> {
        self.array(at)?.uniform().ok_or_else(|| format!("operand {at} must be one number"))
    }

    /// All operands, if all are known.
    pub fn all_known(&self) -> Option<Vec<Rc<Array>>> {
        let known = |value: &Option<Value>| match value {
            Some(Value::Known(array, _)) => Some(Rc::clone(array)),
            _ => None,
        };
        self.operands.iter().map(known).collect()
    }

    pub fn int(&self, name: &str, usual: i64) -> i64 {
        self.node.attributes.iter().find(|attribute| attribute.name == name).map_or(usual, |it| it.int)
    }

    pub fn float(&self, name: &str, usual: f64) -> f64 {
        self.node.attributes.iter().find(|attribute| attribute.name == name).map_or(usual, |it| it.float.into())
    }

    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.node.attributes.iter().find(|attribute| attribute.name == name).map(|it| it.ints.clone())
    }

    pub fn text(&self, name: &str) -> Option<String> {
        let found = self.node.attributes.iter().find(|attribute| attribute.name == name)?;
        Some(String::from_utf8_lossy(&found.text).into_owned())
    }

    /// An axis counted from either end.
    pub fn axis(axis: i64, rank: usize) -> Result<usize, String> {
        let from_start = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        let found = from_start.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
        found.ok_or_else(|| format!("it names axis {axis} of a value with {rank}"))
    }
}

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
    Err("this operator is not read".to_owned())
}

/// Whether a node's operator is one of those that are read.
pub(super) fn is_read(node: &Node) -> bool {
    let op = node.op.as_str();
    let families = [elementwise::OPS, axes::OPS, parts::OPS, layers::OPS, pooling::OPS];
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
