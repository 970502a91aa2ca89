//! A node with its operands, and the values between nodes.

use std::sync::Arc;

use super::array::{Array, Elements};
use super::proto::Node;
use crate::graph::{Compare, Graph, NodeId, len};

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
    Known(Arc<Array>, Option<NodeId>),
}

impl Value {
    pub fn known(array: Array) -> Self {
        Self::Known(Arc::new(array), None)
    }
}

/// A large number in the place of infinity, on which devices do not agree; softmax makes the same of both.
pub(super) fn finite(value: f64) -> f64 {
    if value.is_infinite() { value.signum() * 1e30 } else { value }
}

/// A matrix, repeated along other axes, with one value where column − row ≥ `from`, and another below: the mask of
/// causal attention.
struct Triangle {
    from: i64,
    above: f64,
    below: f64,
}

impl Triangle {
    fn of(array: &Array) -> Option<Self> {
        let [.., rows, columns] = array.shape[..] else { return None };
        let numbers = array.elements.numbers();
        let (above, below) = (*numbers.get(columns.checked_sub(1)?)?, *numbers.get((rows.checked_sub(1)?) * columns)?);
        let difference = |at: usize| (at % columns) as i64 - (at / columns % rows) as i64;
        let is_above = |at: &usize| numbers[*at].to_bits() == above.to_bits();
        let from = (0..numbers.len()).filter(is_above).map(difference).min()?;
        let expected = |at: usize| if difference(at) >= from { above } else { below };
        let fits = (0..numbers.len()).all(|at| numbers[at].to_bits() == expected(at).to_bits());
        fits.then_some(Self { from, above, below })
    }

    fn written(&self, g: &mut Graph, shape: &[usize]) -> NodeId {
        let last = shape.len() - 1;
        let [row, column] = [last - 1, last].map(|axis| {
            let count = g.iota(shape, axis);
            g.to_f32(count)
        });
        let row = g.offset(row, self.from as f64);
        let is_above = g.compare(Compare::Ge, column, row);
        let [above, below] = [self.above, self.below].map(|value| g.full(finite(value), shape));
        g.select(is_above, above, below)
    }
}

/// Numbers that advance by equal steps along one axis and repeat along the others, as places do.
struct Ramp {
    axis: usize,
    first: f64,
    step: f64,
}

impl Ramp {
    fn of(array: &Array) -> Option<Self> {
        let shape = &array.shape;
        let axis = (0..shape.len()).find(|&axis| shape[axis] > 1)?;
        let numbers = array.elements.numbers();
        let stride = len(&shape[axis + 1..]);
        let (first, step) = (*numbers.first()?, numbers.get(stride)? - numbers.first()?);
        let expected = |at: usize| first + step * (at / stride % shape[axis]) as f64;
        (0..numbers.len()).all(|at| numbers[at] == expected(at)).then_some(Self { axis, first, step })
    }

    fn written(&self, g: &mut Graph, shape: &[usize]) -> NodeId {
        let count = g.iota(shape, self.axis);
        let count = g.to_f32(count);
        let count = g.scale(count, self.step);
        g.offset(count, self.first)
    }
}

/// A node with its operands.
pub(super) struct Call<'a> {
    pub g: &'a mut Graph,
    pub node: &'a Node,
    pub opset: i64,
    pub operands: Vec<Option<Value>>,
}

/// The result of a node, or its fault with advice.
pub(super) type Done = Result<Vec<Value>, String>;

impl Call<'_> {
    /// The number of operands, without those left out at the end.
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

    /// A known array as ops: one value everywhere, a triangle, equal steps, or a choice of few by their place.
    fn written(&mut self, array: &Array) -> Result<NodeId, String> {
        if let Some(value) = array.uniform() {
            return Ok(self.g.full(finite(value), &array.shape));
        }
        if let Some(triangle) = Triangle::of(array) {
            return Ok(triangle.written(self.g, &array.shape));
        }
        if let Some(ramp) = Ramp::of(array) {
            return Ok(ramp.written(self.g, &array.shape));
        }
        let numbers: Vec<f64> = array.elements.numbers().into_iter().map(finite).collect();
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

    /// An operand that must be known without the examples.
    pub fn array(&self, at: usize) -> Result<Arc<Array>, String> {
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

    /// A list of known whole numbers: an operand, or in early versions an attribute.
    pub fn list(&self, at: usize, name: &str) -> Result<Option<Vec<i64>>, String> {
        match self.get(at) {
            Some(_) => self.whole(at).map(Some),
            None => Ok(self.node.ints(name)),
        }
    }

    /// An operand that is one known number.
    pub fn number(&self, at: usize) -> Result<f64, String> {
        self.array(at)?.uniform().ok_or_else(|| format!("operand {at} must be one number"))
    }

    /// All operands, if all are known.
    pub fn all_known(&self) -> Option<Vec<Arc<Array>>> {
        let known = |value: &Option<Value>| match value {
            Some(Value::Known(array, _)) => Some(Arc::clone(array)),
            _ => None,
        };
        self.operands.iter().map(known).collect()
    }

    /// An axis counted from either end.
    pub fn axis(axis: i64, rank: usize) -> Result<usize, String> {
        let from_start = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        let found = from_start.and_then(|axis| usize::try_from(axis).ok()).filter(|&axis| axis < rank);
        found.ok_or_else(|| format!("it names axis {axis} of a value with {rank}"))
    }

    /// Axes counted from either end.
    pub fn axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, String> {
        axes.iter().map(|&axis| Self::axis(axis, rank)).collect()
    }
}
