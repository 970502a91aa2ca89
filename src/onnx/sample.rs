//! The outputs of a network for given inputs, in float64 by the interpreter, for comparison with another program's.

use super::{Network, OnnxError};
use crate::graph::{DType, Graph, NodeId, Tensor, eval};

impl Network {
    /// The output for inputs of this shape, whose first axis counts the examples, with the parameters of the file.
    ///
    /// # Errors
    /// [`OnnxError::Shape`] if the network reads other shapes, [`OnnxError::Node`] for a node that does not fit its
    /// operands.
    pub fn outputs(&self, shape: &[usize], values: Vec<f64>) -> Result<Tensor, OnnxError> {
        let input = self.input();
        let open = |size: &Option<usize>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
        let fits = |axes: &[usize]| {
            axes.len() == input.shape.len()
                && axes.iter().zip(&input.shape).all(|(&size, open)| open.is_none_or(|it| it == size))
        };
        if !shape.split_first().is_some_and(|(&examples, axes)| examples > 0 && fits(axes)) {
            let wanted: Vec<String> = input.shape.iter().map(open).collect();
            let problem = format!("it reads arrays of shape [examples, {}], and x has {shape:?}", wanted.join(", "));
            return Err(OnnxError::Shape(problem));
        }
        let mut g = Graph::new();
        let arrays = self.params().iter().chain(self.constants());
        let (nodes, mut given): (Vec<NodeId>, Vec<_>) = arrays
            .map(|array| {
                let node = g.input_f32(&array.name, &array.shape);
                (node, (node, Tensor { shape: array.shape.clone(), data: array.values.clone() }))
            })
            .unzip();
        let x = g.input("x", shape, if input.tokens { DType::U32 } else { DType::F32 });
        given.push((x, Tensor { shape: shape.to_vec(), data: values }));
        let y = self.forward(&mut g, &nodes, x)?;
        let mut found = eval(&g, &[y], &given).map_err(|error| OnnxError::Shape(error.to_string()))?;
        Ok(found.swap_remove(0))
    }
}
