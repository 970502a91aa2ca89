//! The loss and derivatives of an objective by definition: the graph that `objective` compiles, interpreted in f64.

use crate::autodiff;
use crate::data::{Examples, Features};
use crate::graph::{DType, Graph, NodeId, Tensor, eval};
use crate::model::{Layout, Loss, Model};

/// A model's mean loss over examples, as a graph.
pub(super) struct Definition {
    layout: Layout,
    graph: Graph,
    /// The examples.
    given: Vec<(NodeId, Tensor)>,
    w: Vec<NodeId>,
    mean: NodeId,
}

/// ∇L and H·v.
pub(super) struct Derivatives {
    pub gradient: Vec<f64>,
    pub product: Vec<f64>,
}

pub(super) fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| x.into()).collect()
}

/// A flat vector as the values of one input per parameter tensor.
fn tensors(layout: &Layout, nodes: &[NodeId], values: &[f64]) -> Vec<(NodeId, Tensor)> {
    let each = layout.iter().zip(nodes).map(|((param, offset), &id)| {
        let data = values[offset..][..param.shape.iter().product()].to_vec();
        (id, Tensor { shape: param.shape.clone(), data })
    });
    each.collect()
}

fn inputs(g: &mut Graph, layout: &Layout) -> Vec<NodeId> {
    layout.iter().map(|(param, _)| g.input_f32(&param.name, &param.shape)).collect()
}

impl Definition {
    pub fn new(model: &dyn Model, loss: Loss, data: &Examples) -> Self {
        let (layout, mut g) = (Layout::of(model).expect("the doctor's networks have sizes"), Graph::new());
        let w = inputs(&mut g, &layout);
        let integers = |values: &[u32]| values.iter().map(|&x| x.into()).collect::<Vec<f64>>();
        let (dtype, features) = match data.features() {
            Features::Real(values) => (DType::F32, widen(values)),
            Features::Tokens(codes) => (DType::U32, integers(codes)),
        };
        let (shape, count) = (vec![data.len(), data.dim()], vec![data.labels().len()]);
        let (x, labels) = (g.input("x", &shape, dtype), g.input("labels", &count, DType::U32));
        let weights = g.input_f32("weights", &count);
        let equal = || vec![1.0 / data.labels().len() as f64; data.labels().len()];
        let weighing = data.label_weights().unwrap_or_else(equal);
        let given = vec![
            (x, Tensor { shape, data: features }),
            (labels, Tensor { shape: count.clone(), data: integers(data.labels()) }),
            (weights, Tensor { shape: count, data: weighing }),
        ];
        let outputs = model.forward(&mut g, &w, x);
        let losses = loss.per_label(&mut g, outputs, labels);
        let weighted = g.mul(losses, weights);
        let mean = g.sum_all(weighted);
        Self { layout, graph: g, given, w, mean }
    }

    fn eval(&self, graph: &Graph, outputs: &[NodeId], vectors: Vec<(NodeId, Tensor)>) -> Vec<Tensor> {
        let inputs = [self.given.clone(), vectors].concat();
        eval(graph, outputs, &inputs).expect("every input of the network has its value")
    }

    /// L(w)
    pub fn loss(&self, w: &[f64]) -> f64 {
        self.eval(&self.graph, &[self.mean], tensors(&self.layout, &self.w, w))[0].data[0]
    }

    /// ∇L(w) and H(w)·v
    pub fn derivatives(&self, w: &[f64], v: &[f64]) -> Derivatives {
        let mut g = self.graph.clone();
        let along = inputs(&mut g, &self.layout);
        let mut wanted = autodiff::grad(&mut g, self.mean, &self.w);
        wanted.extend(autodiff::hvp(&mut g, self.mean, &self.w, &along));
        let vectors = [tensors(&self.layout, &self.w, w), tensors(&self.layout, &along, v)].concat();
        let values = self.eval(&g, &wanted, vectors);
        let flat = |tensors: &[Tensor]| tensors.iter().flat_map(|tensor| tensor.data.clone()).collect();
        let (gradient, product) = values.split_at(self.w.len());
        Derivatives { gradient: flat(gradient), product: flat(product) }
    }
}
